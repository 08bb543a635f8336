"""The decision alone, no I/O: a new fleet, and a settled one of which nothing is to be done."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from atoll.decision import decide
from atoll.fleet.snapshot import Fleet
from atoll.kube.compare import covers
from atoll.shell.covering import Covering

from .fleets import build_fleet
from .measure import Report, Spread, contaminated_by_load, repeat
from .world import World

SIZES: Final = (10, 100, 500)
SETTLED_SIZES: Final = (10, 50, 100)
"""Settling is done by deciding often, and its clusters hold a hundred objects each; it grows with them alone."""
TENANTS_PER_CLUSTER: Final = 4
REPEATS: Final = 5
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)


def run(report: Report) -> None:
    """Decide about fleets of several sizes; the exponent says how the time grows with the size (1: in proportion)."""
    with contaminated_by_load(report):
        times = [_show(report, f"new fleet of {size} clusters", _decide_new(size)) for size in SIZES]
        _show_growth(report, "growth of a new fleet's decision", SIZES, times)
        again, full = [], []
        for size in SETTLED_SIZES:
            world = World(build_fleet(size, TENANTS_PER_CLUSTER * size), NOW)
            fleet = world.settle()
            full.append(_show(report, f"settled fleet of {size}, first look", _decide_settled(fleet, world.now)))
            again.append(_show(report, f"settled fleet of {size}, as it was", _decide_again(fleet, world.now)))
        _show_growth(report, "growth of a settled fleet's decision", SETTLED_SIZES, again)


def _decide_new(size: int) -> Spread:
    """Plan everything, as `atoll plan` does."""
    fleet = World(build_fleet(size, TENANTS_PER_CLUSTER * size), NOW).fleet()
    decision = decide(fleet, NOW, covers=covers, assume_available=True)
    assert not decision.placement.unplaced
    return repeat(REPEATS, lambda: decide(fleet, NOW, covers=covers, assume_available=True))


def _decide_settled(fleet: Fleet, now: datetime) -> Spread:
    """Compare every object in every cluster."""

    def first() -> None:
        assert decide(fleet, now, covers=Covering()).plan.is_empty()

    return repeat(REPEATS, first)


def _decide_again(fleet: Fleet, now: datetime) -> Spread:
    """Decide again on the same looks at the clusters, as the operator does when something else has changed."""
    compare = Covering()

    def again() -> None:
        compare.begin()
        assert decide(fleet, now, covers=compare).plan.is_empty()

    again()
    return repeat(REPEATS, again)


def _show(report: Report, what: str, seconds: Spread) -> float:
    report.row(what, Spread(tuple(value * 1e3 for value in seconds.values)).show("ms"))
    return seconds.median


def _show_growth(report: Report, what: str, sizes: tuple[int, ...], times: list[float]) -> None:
    exponent = math.log(times[-1] / times[-2]) / math.log(sizes[-1] / sizes[-2])
    report.row(what, f"exponent {exponent:.2f}", f"from {sizes[-2]} to {sizes[-1]} clusters", ratio=exponent, aim=1.3)
