"""A thousand tenants: what the operator spends on an event that asks for nothing, and how much memory it holds."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from tests.support.home import TestHome
from tests.support.manifests import environment, tenant

from .homes import QUIET, TENANT, Audit, count_writes, create_all, environment_of, open_bench_home, write_all
from .measure import Report, Spread, contaminated_by_load, cpu_seconds, ratios, resident_bytes, until

FEW: Final = 100
MANY: Final = 1000
EVENTS: Final = 1000
PAIRS: Final = 5
PEER: Final = Path(__file__).with_name("peer_kopf.py")


def run(report: Report) -> None:
    """Fill a fleet, weigh the operator, then let an outsider touch everything."""
    with open_bench_home("--resync", QUIET) as home:
        operator = home.operator()
        # No cluster: the tenants wait for one, and nothing has to be applied anywhere.
        create_all(home, [environment("dev")])
        _weigh(report, home, operator)
        with _open_peer(home) as peer:
            _settle(operator, peer)
            with contaminated_by_load(report):
                _compare(report, home, operator, peer)


def _weigh(report: Report, home: TestHome, operator: psutil.Process) -> None:
    empty = resident_bytes(operator.pid)
    _fill(home, 0, FEW)
    few = resident_bytes(operator.pid)
    seconds = _fill(home, FEW, MANY)
    many = resident_bytes(operator.pid)
    each = (many - few) / (MANY - FEW)
    report.row(
        f"memory at {MANY} objects",
        f"{many / 2**20:.0f} MiB",
        f"at none {empty / 2**20:.0f}, at {FEW} {few / 2**20:.0f}",
    )
    report.row("memory per object, by difference", f"{each / 1024:.1f} KiB", "a body as dicts: about 9.5 KiB")
    report.row(f"from {FEW} to {MANY} tenants settled", f"{seconds:.1f} s", f"{(MANY - FEW) / seconds:.0f} a second")


def _fill(home: TestHome, start: int, end: int) -> float:
    """Create tenants and wait until each has its status; return the seconds."""
    started = time.perf_counter()
    create_all(home, [tenant(f"t{index:04}", "dev") for index in range(start, end)])

    def settled() -> bool:
        found = home.get("tenants")["items"]
        return len(found) == end and all(item.get("status", {}).get("conditions") for item in found)

    until(settled, f"{end} tenants to have a status", seconds=240, pause=1)
    _settle(home.operator())
    return time.perf_counter() - started


def _settle(*processes: psutil.Process) -> None:
    """Wait until the processes have nothing more to do."""

    def idle() -> bool:
        before = [cpu_seconds(process.pid) for process in processes]
        time.sleep(1)
        return all(cpu_seconds(process.pid) - old < 0.05 for process, old in zip(processes, before, strict=True))

    until(idle, "the operators to be idle", seconds=90)


@contextmanager
def _open_peer(home: TestHome) -> Iterator[psutil.Process]:
    argv = [sys.executable, "-m", "kopf", "run", "--standalone", "--all-namespaces", "--quiet", str(PEER)]
    peer = subprocess.Popen(argv, env=environment_of(home), cwd=home.root, stdout=subprocess.DEVNULL)
    try:
        yield psutil.Process(peer.pid)
    finally:
        peer.terminate()
        peer.wait(20)


def _compare(report: Report, home: TestHome, operator: psutil.Process, peer: psutil.Process) -> None:
    """Touch every tenant once per pair; both operators get the same events at the same time."""
    ours: list[float] = []
    theirs: list[float] = []
    audit = Audit(home)
    for pair in range(PAIRS):
        before = cpu_seconds(operator.pid), cpu_seconds(peer.pid)
        touch = {"metadata": {"annotations": {"bench.example/round": str(pair)}}}
        write_all(home, [(TENANT, f"t{index % MANY:04}", touch) for index in range(EVENTS)])
        _settle(operator, peer)
        ours.append((cpu_seconds(operator.pid) - before[0]) / EVENTS * 1e6)
        theirs.append((cpu_seconds(peer.pid) - before[1]) / EVENTS * 1e6)
    ratio = ratios(ours, theirs)
    report.row(
        "CPU per event that asks for nothing",
        Spread(tuple(ours)).show("µs"),
        f"stock kopf on.event {statistics.median(theirs):,.0f} µs",
        ratio=ratio.median,
        aim=0.25,
    )
    report.row("writes for all of them", f"{count_writes(audit.requests())}", f"{EVENTS * PAIRS} events")
