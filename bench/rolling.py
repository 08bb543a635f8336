"""A rollout through a thousand simulated clusters: how near to the best it comes, and what it writes and computes."""

from __future__ import annotations

import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Final

from .measure import Report, contaminated_by_load, number
from .rolling_fleet import VERSIONS, Shape, Tally
from .rolling_world import World

SIGMAS: Final = (0.25, 0.5, 1.0)
SEED: Final = 6
FAILING: Final = 0.02
FIRST_AIM: Final = 1.2
LEARNT_AIM: Final = 1.05
RANGE_AIM: Final = 0.8
BREAKING: Final = Shape(clusters=200, window=10)
"""A fleet in which more clusters fail than its budget allows."""
BREAKING_SHARE: Final = 0.15


def run(report: Report) -> None:
    """Roll fleets of three spreads twice each, with a crash in the middle of both; and one that has to stop."""
    with contaminated_by_load(report), ProcessPoolExecutor(max_workers=2, mp_context=get_context("spawn")) as pool:
        breaking = pool.submit(roll_into_failure)
        rolls = {sigma: pool.submit(roll_twice, sigma) for sigma in SIGMAS}
        for sigma, future in rolls.items():
            first, third = future.result()
            _tell(report, f"σ {sigma}, no history", first, FIRST_AIM)
            _tell(report, f"σ {sigma}, third", third, LEARNT_AIM)
            _tell_ranges(report, f"σ {sigma}, third", third)
        _tell_halt(report, breaking.result())


def roll_twice(sigma: float) -> tuple[Tally, Tally]:
    """Roll a fleet of which nothing is remembered, and the same once more when two rollouts are behind it."""
    world = World(Shape(sigma=sigma), SEED)
    first = world.roll(VERSIONS[1], failing=FAILING, crash=True)
    world.pass_time(VERSIONS[2])
    return first, world.roll(VERSIONS[3], failing=FAILING, crash=True)


def roll_into_failure() -> Tally:
    """Roll a fleet in which too much fails."""
    return World(BREAKING, SEED).roll(VERSIONS[1], failing=BREAKING_SHARE, crash=False)


def _tell(report: Report, what: str, tally: Tally, aim: float) -> None:
    report.row(
        f"{what}: time over lower bound",
        f"{tally.seconds:.0f} s",
        f"bound {tally.bound:.0f} s, batches {tally.batches:.0f} s",
        ratio=tally.seconds / tally.bound,
        aim=aim,
    )
    report.row(f"{what}: fixed batches over ours", "", ratio=tally.batches / tally.seconds)
    report.row(
        f"{what}: a place stands empty",
        f"{statistics.mean(tally.gaps):.2f} s on average, {max(tally.gaps):.1f} at most",
        f"{len(tally.gaps)} times; the crash takes 35 s",
    )
    report.row(
        f"{what}: writes per transition, clusters",
        f"{tally.child_writes} of {tally.child_transitions}",
        f"{tally.idle_writes} when nothing had happened",
        ratio=tally.child_writes / tally.child_transitions,
        aim=1,
    )
    report.row(
        f"{what}: writes per transition, rollout",
        f"{tally.rollout_writes} of {tally.row_transitions}",
        ratio=tally.rollout_writes / tally.row_transitions,
        aim=1,
    )
    report.row(
        f"{what}: CPU of a decision",
        f"{statistics.median(tally.cpu) * 1e3:.0f} ms, {max(tally.cpu) * 1e3:.0f} at most",
        f"{len(tally.cpu)} decisions, {sum(tally.cpu):.0f} s; {number(tally.looks / Shape().clusters)} looks each",
    )
    kept = tally.state == "Done" and tally.most_moving <= Shape().window and not tally.idle_writes
    report.row(
        f"{what}: promises broken, of 0",
        f"{tally.state}, {tally.failures} failed",
        f"{tally.most_moving} moved at once at most",
        ratio=tally.late_starts + (not kept),
        aim=0,
    )


def _tell_ranges(report: Report, what: str, tally: Tally) -> None:
    grade = tally.grade
    outside = 1 - grade["within"] / grade["changes"]
    report.row(
        f"{what}: outside its forecast, of 20 %",
        f"{outside:.1%} of {grade['changes']} changes",
        f"widest over its median {number(tally.widest)}",
        ratio=outside / (1 - RANGE_AIM),
        aim=1,
    )
    report.row(f"{what}: widest range over its median", number(tally.widest), ratio=tally.widest, aim=1)
    report.row(
        f"{what}: first forecast of the whole",
        f"{grade['seconds']} s ({grade['lowSeconds']}–{grade['highSeconds']})",
        f"took {tally.seconds:.0f} s, 35 of them the crash",
        ratio=tally.seconds / grade["seconds"],
    )


def _tell_halt(report: Report, tally: Tally) -> None:
    budget = BREAKING.budget_percent * BREAKING.clusters // 100
    report.row(
        f"{BREAKING_SHARE:.0%} fail, budget {budget}: begun after that, of 0",
        f"{tally.state}, {tally.failures} failed",
        f"of {BREAKING.clusters}; {BREAKING.window} moved at once",
        ratio=tally.late_starts + (tally.state != "Halted"),
        aim=0,
    )
    report.row(
        "the same: failures over budget and window",
        f"{tally.failures}",
        "who is under way may still fail",
        ratio=tally.failures / (budget + BREAKING.window),
        aim=1,
    )
