"""What all benchmarks share: repeats, a yardstick, CPU and memory of processes, and how a result is printed."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import psutil

DRIFT_LIMIT: Final = 0.2
"""How far the yardstick may move during a benchmark before its numbers are marked as contaminated."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Repeated measurements of one thing."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle one."""
        return statistics.median(self.values)

    def show(self, unit: str) -> str:
        """Write median and range."""
        if len(self.values) == 1:
            return f"{number(self.median)} {unit}"
        return f"{number(self.median)} {unit} ({number(min(self.values))}–{number(max(self.values))})"


@dataclass(slots=True)
class Report:
    """Prints one benchmark's results as they come, and remembers which aims were missed."""

    name: str
    missed: list[str] = field(default_factory=list)

    def tell(self, text: str) -> None:
        """Print a line of context."""
        print(f"    {text}", flush=True)

    def row(
        self, what: str, ours: str, beside: str = "", *, ratio: float | None = None, aim: float | None = None
    ) -> None:
        """Print one result; with an aim, `ratio` must not exceed it."""
        shown = "" if ratio is None else f"{number(ratio)} ×"
        verdict = ""
        if ratio is not None and aim is not None:
            verdict = f"aim ≤ {number(aim)} {'met' if ratio <= aim else 'MISSED'}"
            if ratio > aim:
                self.missed.append(f"{self.name}: {what}: {number(ratio)} > {number(aim)}")
        print(f"  {what:<44} {ours:<30} {beside:<38} {shown:>9}  {verdict}".rstrip(), flush=True)


def number(value: float) -> str:
    """Write three significant digits, and no exponent."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(f"{abs(value):e}".partition("e")[2]))
    text = f"{value:,.{min(digits, 4)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ratios(ours: Sequence[float], peer: Sequence[float]) -> Spread:
    """Divide pair by pair: noise that lasted for a pair falls out."""
    return Spread(tuple(a / b for a, b in zip(ours, peer, strict=True)))


def repeat(count: int, call: Callable[[], object]) -> Spread:
    """Take the wall seconds of repeated calls."""
    seconds = []
    for _ in range(count):
        started = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started)
    return Spread(tuple(seconds))


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used, user and system."""
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process."""
    return int(psutil.Process(pid).memory_info().rss)


def until(ready: Callable[[], bool], what: str, *, seconds: float, pause: float = 0.1) -> float:
    """Wait until something is so; return the seconds that it took."""
    started = time.perf_counter()
    while not ready():
        if time.perf_counter() - started > seconds:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(pause)
    return time.perf_counter() - started


def yardstick() -> float:
    """Return the wall seconds of a fixed piece of work; it moves with what else the machine does."""
    # The first repeats wake the core up.
    return statistics.median(repeat(9, lambda: sum(index * index % 7 for index in range(300_000))).values[2:])


@contextmanager
def contaminated_by_load(report: Report) -> Iterator[None]:
    """Take the yardstick before and after, and say so when the machine changed in between."""
    before = yardstick()
    yield
    after = yardstick()
    moved = after / before - 1
    load = os.getloadavg()[0]
    mark = " CONTAMINATED: repeat this one" if abs(moved) > DRIFT_LIMIT else ""
    report.tell(f"yardstick {before * 1e3:.1f} → {after * 1e3:.1f} ms ({moved:+.0%}), load {load:.1f}{mark}")
