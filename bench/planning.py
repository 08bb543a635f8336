"""`atoll plan` for a large fleet, and `atoll --help`: whole processes, as a person waits for them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import yaml

from .fleets import build_fleet
from .measure import Report, Spread, contaminated_by_load, number, ratios

CLUSTERS: Final = 500
TENANTS: Final = 2000
REPEATS: Final = 5
HELP_REPEATS: Final = 10
PLAN_SECONDS: Final = 2.0
PLAN_BYTES: Final = 200e6
HELP_SECONDS: Final = 0.3
ATOLL: Final = [sys.executable, "-P", "-m", "atoll.cli.main"]


def run(report: Report) -> None:
    """Time both, each beside the interpreter that does nothing."""
    with contaminated_by_load(report):
        _time_help(report)
    with contaminated_by_load(report), tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder:
        _time_plan(report, Path(folder))


def _time_help(report: Report) -> None:
    ours, bare = [], []
    for _ in range(HELP_REPEATS):
        ours.append(_run([*ATOLL, "--help"])[0])
        bare.append(_run([sys.executable, "-c", "pass"])[0])
    spread = Spread(tuple(ours))
    report.row(
        "atoll --help, of 300 ms",
        Spread(tuple(value * 1e3 for value in ours)).show("ms"),
        f"python -c pass {statistics_ms(bare)}; we take {number(ratios(ours, bare).median)} ×",
        ratio=spread.median / HELP_SECONDS,
        aim=1,
    )


def _time_plan(report: Report, folder: Path) -> None:
    for index, body in enumerate(build_fleet(CLUSTERS, TENANTS)):
        (folder / f"{index:05}.yaml").write_text(yaml.safe_dump(body), encoding="utf-8")
    runs = [_run([*ATOLL, "plan", str(folder)]) for _ in range(REPEATS)]
    wall = Spread(tuple(seconds for seconds, _, _ in runs))
    cpu = Spread(tuple(used for _, used, _ in runs))
    memory = max(peak for _, _, peak in runs)
    what = f"plan of {CLUSTERS} clusters, {TENANTS} tenants"
    report.row(f"{what}, of 2 s", wall.show("s"), f"CPU {cpu.show('s')}", ratio=wall.median / PLAN_SECONDS, aim=1)
    report.row("its memory at most, of 200 MB", f"{memory / 1e6:.0f} MB", ratio=memory / PLAN_BYTES, aim=1)


def _run(argv: list[str]) -> tuple[float, float, float]:
    """Run a program; return its wall seconds, its CPU seconds, and its peak memory in bytes."""
    started = time.perf_counter()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    # `atoll plan` ends with 1 when there is something to do.
    if process.returncode not in {0, 1}:
        raise RuntimeError(f"{argv} ended with {process.returncode}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


def statistics_ms(seconds: list[float]) -> str:
    """Write a median in milliseconds."""
    return f"{Spread(tuple(seconds)).median * 1e3:.0f} ms"
