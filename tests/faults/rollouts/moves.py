"""What may happen to a small fleet between two decisions: time, clusters, people, metrics, and the operator's end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .states import STALE_LOOK, STALE_READING, Child, Party, Scene, World, put

LONG: Final = 3
"""Steps after which nobody counts how long a wave has been through: no scene soaks for longer."""


def list_moves(scene: Scene, world: World) -> Iterator[tuple[str, World]]:
    """Yield everything that may happen next, with what comes of it."""
    yield "time", pass_time(scene, world)
    if "crash" in scene.happenings:
        yield "crash", crash(world)
    for index, party in enumerate(world.parties):
        for place, child in enumerate(party.children):
            for name, changed in _list_child_moves(scene, child):
                yield f"{name} {index}.{place}", _with(world, index, put(party, place, changed))
        for name, asked in _list_set_moves(scene, party):
            yield f"{name} {index}", _with(world, index, asked)
        yield from _list_gate_moves(scene, world, index, party)


def pass_time(scene: Scene, world: World) -> World:
    """One step of time."""
    parties = []
    for party in world.parties:
        children = tuple(
            child
            if child.look is None or child.look[2] >= STALE_LOOK
            else child._replace(look=(*child.look[:2], child.look[2] + 1, child.look[3]))
            for child in party.children
        )
        run = party.run
        if run is not None:
            run = run._replace(
                stages=tuple(
                    stage._replace(
                        soak=None if stage.soak is None else max(0, stage.soak - 1),
                        over=None if stage.over is None else min(stage.over + 1, LONG),
                    )
                    for stage in run.stages
                )
            )
        parties.append(party._replace(children=children, run=run))
    readings = frozenset((*item[:4], min(item[4] + 1, STALE_READING)) for item in world.readings)
    return world._replace(parties=tuple(parties), readings=readings, phase=(world.phase + 1) % scene.phases)


def crash(world: World) -> World:
    """The operator begins anew, and knows what stands in the API."""
    parties = tuple(
        party._replace(children=tuple(child._replace(attempts=0, look=None) for child in party.children))
        for party in world.parties
    )
    return world._replace(parties=parties, readings=frozenset(), asked=frozenset())


def finish(child: Child) -> Child:
    """What it does has come to its end, well."""
    assert child.operation is not None
    kind, _, target, _, _ = child.operation
    return child._replace(served=target, operation=None, point="" if kind == "Revert" else child.point)


def prove(child: Child) -> Child:
    """It is verified."""
    return child._replace(done=child.revision, attempts=0, point="")


def mend(world: World) -> World:
    """Do what people would do at last: nothing is in the way any more, and everything is tried again."""
    parties = []
    for party in world.parties:
        children = tuple(child._replace(silent=False, blocked=False, attempts=0) for child in party.children)
        run = party.run
        failed = any(child.told_failed or (child.operation and child.operation[3]) for child in party.children)
        if run is not None and failed and run.state in {"", "Running", "Paused"}:
            # One that still runs is not tried again before it is aborted.
            run = run._replace(action="Abort")
        elif run is not None and run.action == "Pause":
            run = run._replace(action="Run")
        parties.append(party._replace(children=children, run=run, paused=False, retry=party.retry + 1))
    return world._replace(parties=tuple(parties))


def _list_child_moves(scene: Scene, child: Child) -> Iterator[tuple[str, Child]]:
    happens = scene.happenings
    if child.operation is not None and not child.operation[3]:
        yield "finish", finish(child)
        if "fail" in happens and child.operation[0] == "Change":
            yield "fail", child._replace(operation=(*child.operation[:3], True, child.operation[4]))
    elif child.operation is None and child.revision != child.done and not child.silent:
        yield "prove", prove(child)
        if "unproven" in happens and not child.attempts:
            yield "unproven", child._replace(attempts=3)
    if "silent" in happens:
        yield "silent", child._replace(silent=not child.silent)
    if "block" in happens:
        yield "block", child._replace(blocked=not child.blocked)
    if "leave" in happens and child.member:
        yield "leave", child._replace(member=False)


def _list_set_moves(scene: Scene, party: Party) -> Iterator[tuple[str, Party]]:
    run = party.run
    if "pause" in scene.happenings:
        yield "pause", party._replace(paused=not party.paused)
    if run is None:
        return
    if "pause" in scene.happenings and run.action != "Abort":
        yield "order", party._replace(run=run._replace(action="Pause" if run.action == "Run" else "Run"))
    if "abort" in scene.happenings and run.action != "Abort":
        yield "abort", party._replace(run=run._replace(action="Abort"))
    if run.number < scene.rollouts and run.revision:
        if "retry" in scene.happenings and party.retry == run.retry and run.state in {"Halted", "Aborted", "Reverted"}:
            yield "retry", party._replace(retry=party.retry + 1)
        for target in scene.targets:
            if target != party.version and party.version == run.version:
                yield f"target {target}", party._replace(version=target)


def _list_gate_moves(scene: Scene, world: World, index: int, party: Party) -> Iterator[tuple[str, World]]:
    run = party.run
    if run is None:
        return
    declared = scene.sets[index].upgrade.waves
    by_people = {(wave.name, gate.name) for wave in declared for gate in wave.gates if gate.kind == "approval"}
    names = tuple(m.name for m, c in zip(scene.sets[index].members, party.children, strict=True) if c.frozen)
    for wave, stage in zip(scene.waves(index, names), run.stages, strict=True):
        if stage.state == "Done":
            continue
        for gate in wave.gates:
            if gate.startswith("regime-") or (wave.name, gate) in by_people:
                for person in scene.people:
                    word = (index, wave.name, gate, person)
                    yield f"approve {person}", world._replace(approvals=world.approvals ^ {word})
    if "measure" in scene.happenings:
        for where in sorted(world.asked):
            others = frozenset(item for item in world.readings if item[:3] != where)
            if where[0] == index:
                for well in (True, False):
                    yield f"measure {well}", world._replace(readings=others | {(*where, well, 0)})


def _with(world: World, index: int, party: Party) -> World:
    return world._replace(parties=(*world.parties[:index], party, *world.parties[index + 1 :]))
