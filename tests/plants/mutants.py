"""Bugs to plant in the planner: one edit each, the invariant that it breaks, and a small fleet on which that shows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from atoll.fleet.names import REQUESTED_BY
from atoll.fleet.spec import Gate, Upgrade, Wave
from atoll.fleet.values import Share, freeze
from tests.faults.rollouts.explore import explore
from tests.faults.rollouts.scenes import SCENES
from tests.faults.rollouts.states import STEP, Scene
from tests.unit.rollout.builders import cluster_set, member, v, wave
from tests.unit.rollout.monitor import Broken, Monitor
from tests.unit.rollout.simulator import Nature, Simulator, settled_fleet

STATES: Final = 2000
SOAK: Final = int(STEP.total_seconds())
PAIR: Final = (member("dev", "dev", region="eu"), member("prod", region="eu"))
BY_NAME: Final = {scene.name: scene for scene in SCENES}
SLO: Final = Gate(
    name="slo",
    kind="metric",
    settings=freeze({"url": "http://prometheus", "query": "errors", "max": "0.01", "intervalSeconds": 5}),
)
SIGN_OFF: Final = Gate(name="sign-off", kind="approval", settings=freeze({"count": 1}))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One planted bug."""

    name: str
    invariant: str
    """What it breaks, by its name in the monitor."""
    file: str
    """Below operator/atoll/rollout/."""
    old: str
    """Must stand in the file exactly once."""
    new: str


def _two_waves(**more: object) -> Upgrade:
    waves = (wave("dev", "dev", soak_seconds=SOAK), wave("prod", "prod", max_concurrent=Share(2)))
    return Upgrade(waves=waves, max_concurrent=Share(2), **more)  # type: ignore[arg-type]


def _explore(name: str, upgrade: Upgrade, *happenings: str, targets: tuple[str, ...] = ("v1.36.4",)) -> None:
    scene = Scene(
        name=name,
        sets=(cluster_set(members=PAIR, upgrade=upgrade),),
        targets=targets,
        rollouts=1,
        happenings=frozenset(happenings),
    )
    _explore_scene(scene)


def _explore_scene(scene: Scene) -> None:
    found = explore(scene, STATES)
    if found.broken:
        raise Broken(found.broken[0], "\n".join(found.broken[1:]))


def _simulate(upgrade: Upgrade, script: Mapping[int, Callable[[Simulator], object]], **natures: Nature) -> None:
    owner = cluster_set(upgrade=upgrade)
    owner = replace(owner, meta=replace(owner.meta, annotations=freeze({REQUESTED_BY: "anna"})))
    world = Simulator(
        settled_fleet(owner), natures={f"s--{name}": item for name, item in natures.items()}, watcher=Monitor()
    )
    world.run({1: lambda world: world.change_set(version=v("v1.36.4")), **script}, ticks=60, rest=False)


def _gated(*gates: Gate) -> Upgrade:
    first: Wave = wave("canary", "dev", gates=gates)
    return Upgrade(waves=(first, wave("prod", "prod", max_concurrent=Share(2))), max_concurrent=Share(2))


def _measure(well: bool) -> Callable[[Simulator], object]:
    return lambda world: world.readings.update({("canary", "slo"): (well, "measured")})


def _let_the_metric_flap() -> None:
    """It is well while somebody's approval is missing, and no more when that comes."""
    approve = {14: lambda world: world.approve("canary", "sign-off", "bert")}
    _simulate(_gated(SLO, SIGN_OFF), {1: _ask, 3: _measure(True), 12: _measure(False), **approve})


def _let_the_server_fall_silent() -> None:
    """The answers of a metric's server grow old, and somebody's approval comes."""

    def fall_silent(world: Simulator) -> None:
        kept = dict(world.answers)
        world.readings.clear()
        world.now += timedelta(minutes=5)
        world.approve("canary", "sign-off", "bert")
        world.answers = kept

    _simulate(_gated(SLO, SIGN_OFF), {1: _ask, 3: _measure(True), 14: fall_silent})


def _let_the_asker_approve() -> None:
    _simulate(_gated(SIGN_OFF), {1: _ask, 8: lambda world: world.approve("canary", "sign-off", "anna")})


def _take_the_gate_out() -> None:
    _simulate(_gated(SIGN_OFF), {1: _ask, 8: lambda world: world.change_upgrade(waves=_gated().waves)})


def _ask(world: Simulator) -> None:
    world.change_set(version=v("v1.36.4"))


def _move_two_waves_of_a_region() -> None:
    """Another target comes while the second wave changes; the first begins anew, in the same region."""
    members = (member("dev", "dev", region="eu"), member("prod-a", region="eu"))
    waves = (wave("canary", "dev"), wave("prod", "prod"))
    upgrade = Upgrade(waves=waves, max_concurrent=Share(2), max_concurrent_per_region=1)
    world = Simulator(
        settled_fleet(cluster_set(members=members, upgrade=upgrade)),
        natures={"s--prod-a": Nature(seconds=300)},
        watcher=Monitor(),
    )
    world.run({1: _ask, 14: lambda world: world.change_set(version=v("v1.36.5"))}, ticks=40, rest=False)


def _revert_without_ability() -> None:
    scene = replace(BY_NAME["reverts"], can_revert=False, targets=("v1.36.4",))
    _explore_scene(scene)


RUNS: Final[Mapping[str, Callable[[], None]]] = MappingProxyType(
    {
        "soak-ignored": lambda: _explore("soak", _two_waves(), "silent"),
        "budget-off-by-one": lambda: _explore("budget", _two_waves(), "fail"),
        "waves-together": lambda: _explore("order", _two_waves()),
        "gate-judged-once": _let_the_metric_flap,
        "asker-counted": _let_the_asker_approve,
        "stale-answer-counts": _let_the_server_fall_silent,
        "removed-gate-opens": _take_the_gate_out,
        "window-end-ignored": lambda: _explore_scene(BY_NAME["windows"]),
        "look-of-another-hop": lambda: _explore("looks", _two_waves(), targets=("v1.37.1",)),
        "old-look": lambda: _explore("old", _two_waves(), "pause"),
        "environment-per-set": lambda: _explore_scene(BY_NAME["two-sets"]),
        "failure-forgotten": lambda: _explore("forget", _two_waves(), "unproven", "crash"),
        "region-of-the-wave-only": _move_two_waves_of_a_region,
        "revert-without-budget": lambda: _explore_scene(BY_NAME["reverts"]),
        "revert-without-ability": _revert_without_ability,
        "reverts-at-once": lambda: _explore_scene(BY_NAME["reverts"]),
        "pause-ignored": lambda: _explore("pause", _two_waves(), "pause"),
        "silence-is-health": lambda: _explore("silence", _two_waves(), "silent"),
    }
)
"""By name of the mutant: what shows it. Without a bug planted each ends quietly."""

MUTANTS: Final = (
    Mutant(
        name="soak-ignored",
        invariant="soak",
        file="walk.py",
        old="if soak.ends is not None and course.now < soak.ends:",
        new="if soak.ends is not None and course.now < soak.ends and not stored.soak_until:",
    ),
    Mutant(
        name="budget-off-by-one",
        invariant="failure-budget",
        file="follow.py",
        old="    over_budget = failures > upgrade.failure_budget.of(len(verdicts))",
        new="    over_budget = failures > upgrade.failure_budget.of(len(verdicts)) + 1",
    ),
    Mutant(
        name="waves-together",
        invariant="wave-order",
        file="walk.py",
        old='            open_ = turn.status.state == "Done"',
        new='            open_ = turn.status.state in {"Done", "Soaking"}',
    ),
    Mutant(
        name="gate-judged-once",
        invariant="gate",
        file="gates.py",
        old="    return JUDGES[gate.kind](course, wave.name, gate, verdicts, before)",
        new="    if before is not None and before.state == OPEN:\n"
        "        return GateVerdict(name=name, state=OPEN, message=before.message)\n"
        "    return JUDGES[gate.kind](course, wave.name, gate, verdicts, before)",
    ),
    Mutant(
        name="asker-counted",
        invariant="gate",
        file="gates.py",
        old="    if approval.username == requester:\n        return False\n",
        new="",
    ),
    Mutant(
        name="stale-answer-counts",
        invariant="gate",
        file="gates.py",
        old="    elif course.now - reading.time > timedelta(seconds=2 * interval) + STALE_AFTER:",
        new="    elif course.now - reading.time > timedelta(hours=2 * interval) + STALE_AFTER:",
    ),
    Mutant(
        name="removed-gate-opens",
        invariant="gate",
        file="gates.py",
        old="        return GateVerdict(name=name, state=CLOSED, message=message)\n    return JUDGES",
        new="        return GateVerdict(name=name, state=OPEN, message=message)\n    return JUDGES",
    ),
    Mutant(
        name="window-end-ignored",
        invariant="window",
        file="schedule.py",
        old="    slot = find_slot(calendars, closed, now, estimate.high) or",
        new="    slot = find_slot(calendars, closed, now, 0) or",
    ),
    Mutant(
        name="look-of-another-hop",
        invariant="preflight",
        file="inspections.py",
        old="    if run is None or run.rollout != rollout or run.version != version:",
        new="    if run is None or run.rollout != rollout:",
    ),
    Mutant(
        name="old-look",
        invariant="preflight",
        file="inspections.py",
        old="return Inspection(clear=True, fresh=age < FRESH)",
        new="return Inspection(clear=True, fresh=True)",
    ),
    Mutant(
        name="environment-per-set",
        invariant="environment-limit",
        file="limits.py",
        old="others = sorted(item for item in self.unavailable - {child} if name in self.hosted.get(item, ()))",
        new='others = sorted(i for i in self.unavailable - {child} if i.split("--")[0] == child.split("--")[0])',
    ),
    Mutant(
        name="failure-forgotten",
        invariant="forgets",
        file="rows.py",
        old="    if child.member_name in course.stored.failed:\n        return",
        new="    if child.member_name in course.stored.failed and child.operation is not None:\n        return",
    ),
    Mutant(
        name="region-of-the-wave-only",
        invariant="region-limit",
        file="limits.py",
        old='there = {other for other in moving - {child} if regions.get(other, "") == region}',
        new='there = {other for other in in_wave - {child} if regions.get(other, "") == region}',
    ),
    Mutant(
        name="revert-without-budget",
        invariant="revert",
        file="follow.py",
        old='    if state == "Halted" and cluster_set.upgrade.on_failure == "Revert"',
        new='    if cluster_set.upgrade.on_failure == "Revert"',
    ),
    Mutant(
        name="revert-without-ability",
        invariant="revert",
        file="revert.py",
        old="    if info is None or not info.can_revert:\n        return _say",
        new="    if info is None:\n        return _say",
    ),
    Mutant(
        name="reverts-at-once",
        invariant="revert-limit",
        file="revert.py",
        old="            if find_limit(books, course.cluster_set, in_wave, revert.child, regions):",
        new="            if len(reverts) > len(waves) + len(in_wave):",
    ),
    Mutant(
        name="pause-ignored",
        invariant="pause",
        file="follow.py",
        old='    return paused or course.rollout.action != "Run"',
        new='    return paused and course.rollout.action != "Run"',
    ),
    Mutant(
        name="silence-is-health",
        invariant="known-health",
        file="health.py",
        old="    if view.unreachable_since is not None or view.member is None:",
        new="    if view.member is None:\n        return ''\n    if view.unreachable_since is not None:",
    ),
)


def main() -> int:
    """Run what shows one mutant; say which invariant it breaks."""
    try:
        RUNS[sys.argv[1]]()
    except Broken as broken:
        print(f"broken: {broken.invariant}\n{broken}")
        return 1
    print("nothing is broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
