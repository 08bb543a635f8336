"""From apply to Ready, one cluster and three at once, beside the same planes started without any operator."""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from atoll.embedded.binaries import FoundBinaries
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Operation, OperationType
from atoll.toolchain import Sources, Toolchain
from tests.support.home import TestHome
from tests.support.manifests import cluster_set, member

from .homes import open_bench_home
from .measure import Report, Spread, contaminated_by_load, ratios

VERSION: Final = "v1.36.4"
ROUNDS: Final = {1: 5, 3: 3}
"""Repeats by number of clusters."""
GRACE_SECONDS: Final = 5.0
"""How long a controller manager waits before it begins to delete a namespace: verification sees one come and go."""
AIM: Final = 1.25


class _Clock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def run(report: Report) -> None:
    """Take turns: operator, planes alone, operator, planes alone."""
    with open_bench_home() as home:
        for count, rounds in ROUNDS.items():
            with contaminated_by_load(report):
                ours, alone = [], []
                for index in range(rounds):
                    ours.append(_grow(home, f"s{count}{index}", count))
                    alone.append(asyncio.run(_start_alone(count)))
                _show(report, f"apply to Ready, {count} cluster{'s' * (count > 1)}", ours, alone)


def _show(report: Report, what: str, ours: list[float], alone: list[float]) -> None:
    bound = [seconds + GRACE_SECONDS for seconds in alone]
    report.row(what, Spread(tuple(ours)).show("s"), f"planes alone {Spread(tuple(alone)).show('s')}")
    report.row("  beside planes alone", "", "", ratio=ratios(ours, alone).median)
    beside = f"planes + {GRACE_SECONDS:g} s, namespace grace"
    report.row("  beside the least that verification takes", "", beside, ratio=ratios(ours, bound).median, aim=AIM)
    report.row("  share of the clusters' own processes", f"{ratios(alone, ours).median:.0%}")


def _grow(home: TestHome, name: str, count: int) -> float:
    """Apply a set, wait until it is Ready, and remove it."""
    started = time.perf_counter()
    home.apply(cluster_set(name, *(member(f"m{index}", "dev") for index in range(count)), version=VERSION))
    home.wait_ready("clusterset", name, seconds=120)
    seconds = time.perf_counter() - started
    home.kubectl("delete", "clusterset", name, "-n", "fleet", "--timeout=60s", seconds=70)
    return seconds


async def _start_alone(count: int) -> float:
    """Start planes as the provider does, all at once, in a home of their own; ready is when /readyz says so."""
    with tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder:
        planes = Planes(Path(folder), FoundBinaries(Toolchain(Sources.from_environ(os.environ))), clock=_Clock())
        specs = [
            PlaneSpec(
                id=f"{index:016x}",
                name=f"alone-{index}",
                version=VERSION,
                pod_cidr=f"10.{140 + index}.0.0/16",
                service_cidr=f"10.139.{16 * index}.0/20",
            )
            for index in range(count)
        ]
        started = time.perf_counter()
        try:
            await asyncio.gather(*(planes.run_operation(spec.id, spec, _build_creation()) for spec in specs))
            return time.perf_counter() - started
        finally:
            await asyncio.gather(*(planes.remove(spec.id) for spec in specs))


def _build_creation() -> Operation:
    return Operation(id="create-alone", type=OperationType.CREATE, to_version=VERSION)
