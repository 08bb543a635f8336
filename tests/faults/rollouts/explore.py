"""Breadth first over small fleets, on the production planner: a decision from every state, watched by the monitor.

Forecasts are left out of decisions here: they are the greatest part of a decision's cost, and nothing depends on them.
That this is so is checked on one state in a thousand, against the decision as it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from atoll.fleet.decisions import RolloutDecision
from atoll.fleet.snapshot import Fleet
from atoll.rollout import follow, grading, plan_rollouts
from tests.unit.rollout.monitor import Broken

from .moves import finish, list_moves, mend, pass_time, prove
from .states import Scene, World

SAMPLE: Final = 1000
"""One state in so many is decided about with forecasts, too."""
ENDING: Final = 400
"""From one state in so many the fleet is let run to its end."""
ROUNDS: Final = 120
"""Decisions after which a mended fleet must have arrived."""


@dataclass
class Found:
    """What was found in one scene."""

    scene: str
    states: int = 0
    """Distinct states from which was decided."""
    seen: int = 0
    """Those that were reached, and still wait, too."""
    edges: int = 0
    endings: int = 0
    seconds: float = 0.0
    complete: bool = False
    """Nothing is left that was not seen."""
    broken: tuple[str, ...] = ()
    """The invariant, what breaks it, and the state from which it was decided so."""
    fleets: int = 0
    """How many of those differ in more than what the monitor remembers."""


@contextmanager
def without_forecasts() -> Iterator[None]:
    """Leave forecasts out of decisions."""
    kept = follow.forecast_rollout, follow.grade_rollout
    follow.forecast_rollout = lambda course, walk: None  # type: ignore[assignment]
    follow.grade_rollout = lambda course, forecast: None  # type: ignore[assignment]
    try:
        yield
    finally:
        follow.forecast_rollout, follow.grade_rollout = kept


def explore(scene: Scene, limit: int, *, seconds: float = float("inf")) -> Found:
    """Decide from up to `limit` states of a scene, nearest first."""
    found = Found(scene.name)
    started = time.process_time()
    first = scene.settle_names(scene.begin())
    seen = {hash(first)}
    fleets = {hash(strip(first))}
    queue = deque([first])
    with without_forecasts():
        while queue and found.states < limit and time.process_time() - started < seconds:
            world = queue.popleft()
            try:
                following = [decide(scene, world, exact=found.states % SAMPLE == 0)]
                if found.states % ENDING == 0:
                    found.endings += 1
                    run_to_the_end(scene, world)
            except Broken as broken:
                found.broken = (broken.invariant, str(broken), describe(world))
                break
            found.states += 1
            following += [changed for _, changed in list_moves(scene, world)]
            for changed in following:
                found.edges += 1
                settled = scene.settle_names(changed)
                mark = hash(settled)
                if mark not in seen:
                    seen.add(mark)
                    fleets.add(hash(strip(settled)))
                    queue.append(settled)
    found.seen, found.fleets, found.complete = len(seen), len(fleets), not queue
    found.seconds = time.process_time() - started
    return found


def decide(scene: Scene, world: World, *, exact: bool = False) -> World:
    """Decide about a state as the operator does, and carry it out."""
    fleet, now = scene.build(world)
    decision = plan_rollouts(fleet, now)
    if exact:
        check_forecasts(fleet, now, decision)
    monitor = scene.wake_monitor(world, now)
    monitor(fleet, decision, now)
    return scene.put_monitor_to_sleep(scene.apply(world, decision, now), monitor, now)


def check_forecasts(fleet: Fleet, now: datetime, decision: RolloutDecision) -> None:
    """See that a decision is the same with forecasts and without."""
    patched = follow.forecast_rollout, follow.grade_rollout
    follow.forecast_rollout, follow.grade_rollout = grading.forecast_rollout, grading.grade_rollout
    try:
        whole = plan_rollouts(fleet, now)
    finally:
        follow.forecast_rollout, follow.grade_rollout = patched
    bare = tuple(replace(item, forecast=None, grade=None) for item in whole.progress)
    assert replace(whole, progress=bare) == decision, "a decision depends on a forecast"


def run_to_the_end(scene: Scene, world: World) -> None:
    """Mend everything, let everybody approve, and see that everybody arrives."""
    world = mend(world)
    before = None
    for _ in range(ROUNDS):
        # A look, and what it allows, are of the same moment: only changes take time.
        for _ in range(3):
            world = open_gates(scene, decide(scene, world))
        parties = []
        for party in world.parties:
            children = tuple(
                finish(child)
                if child.operation is not None and not child.operation[3]
                else prove(child)
                if child.operation is None and child.revision != child.done
                else child
                for child in party.children
            )
            parties.append(party._replace(children=children))
        world = pass_time(scene, world._replace(parties=tuple(parties)))
        if world._replace(phase=0) == before and not world.phase:
            break
        if not world.phase:
            before = world
    fleet, now = scene.build(world)
    monitor = scene.wake_monitor(world, now)
    if all(can_arrive(scene, world, index) for index in range(len(world.parties))):
        monitor.check_end(fleet)


def can_arrive(scene: Scene, world: World, index: int) -> bool:
    """Say whether a set asks for what can be done: nobody goes back to an older version."""
    party = world.parties[index]
    wanted = scene.parse(party.version)
    return all(scene.parse(child.served) <= wanted for child in party.children if child.member)


def open_gates(scene: Scene, world: World) -> World:
    """Let everybody approve everything, and all metrics be well."""
    words = {
        (index, wave.name, gate, person)
        for index, party in enumerate(world.parties)
        if party.run is not None
        for wave in scene.waves(
            index,
            tuple(m.name for m, c in zip(scene.sets[index].members, party.children, strict=True) if c.frozen),
        )
        for gate in wave.gates
        for person in scene.people
    }
    readings = frozenset((*where, True, 0) for where in world.asked)
    return world._replace(approvals=world.approvals | words, readings=readings)


def strip(world: World) -> World:
    """Leave out what the monitor remembers."""
    parties = []
    for party in world.parties:
        run = party.run
        if run is not None:
            run = run._replace(stages=tuple(stage._replace(over=None) for stage in run.stages))
        children = tuple(child._replace(rested=("", ""), failed="", was_done="") for child in party.children)
        parties.append(party._replace(run=run, children=children))
    return world._replace(parties=tuple(parties))


def describe(world: World) -> str:
    """Write a state for people."""
    lines = [f"phase {world.phase}, approvals {sorted(world.approvals)}, readings {sorted(world.readings)}"]
    for party in world.parties:
        lines.append(f"  set to {party.version}, paused {party.paused}, retry {party.retry}: {party.run}")
        lines += [f"    {child}" for child in party.children]
    return "\n".join(lines)
