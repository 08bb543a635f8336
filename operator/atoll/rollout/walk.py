"""The walk through the waves of one rollout: whose turn it is, who starts now, and what everybody waits for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from atoll.fleet.decisions import Advance, WaveStatus
from atoll.fleet.gates import JobQuestion, MetricQuestion
from atoll.fleet.observed import RolloutWave

from .gates import OPEN, judge_gates
from .limits import Books, find_limit, find_regions
from .rows import Course, Verdict
from .soaking import judge_soak
from .states import BUSY, FINISHED, MOVING
from .stored import StoredWave


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Where a rollout stands after this decision."""

    waves: tuple[WaveStatus, ...]
    verdicts: tuple[Verdict, ...]
    advances: tuple[Advance, ...] = ()
    waits: str = ""
    """What the wave whose turn it is waits for."""
    wake: datetime | None = None
    questions: tuple[MetricQuestion | JobQuestion, ...] = ()
    """What gates have to ask outside."""
    approvers: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Whose word counted, by (wave, gate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Turn:
    """What one wave comes to."""

    status: WaveStatus
    verdicts: tuple[Verdict, ...]
    advances: tuple[Advance, ...] = ()
    waits: str = ""
    wake: datetime | None = None
    questions: tuple[MetricQuestion | JobQuestion, ...] = ()
    approvers: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)


def walk_waves(course: Course, verdicts: Sequence[Verdict], books: Books, *, state: str, hold: str) -> Walk:
    """Go through the waves in order; only the first that is not over may start anything.

    `state` is the rollout's; `hold`: why nothing may start although it runs.
    """
    regions = find_regions(course.cluster_set)
    turns: list[_Turn] = []
    open_ = True
    for wave in course.rollout.waves:
        mine = tuple(verdict for verdict in verdicts if verdict.row.wave == wave.name)
        stored = course.stored.wave(wave.name)
        if stored.state == "Done":
            status = WaveStatus(
                name=wave.name,
                state="Done",
                started_time=stored.started_time,
                soak_until=stored.soak_until,
                gates=tuple(
                    {"name": name, "state": gate.state, "message": gate.message} for name, gate in stored.gates.items()
                ),
            )
            turn = _Turn(status=status, verdicts=mine)
        elif not open_:
            turn = _Turn(status=WaveStatus(name=wave.name, state="Waiting"), verdicts=mine)
        else:
            turn = _take_turn(course, wave, stored, mine, books, regions, state=state, hold=hold)
            open_ = turn.status.state == "Done"
        turns.append(turn)
    return Walk(
        waves=tuple(turn.status for turn in turns),
        verdicts=tuple(verdict for turn in turns for verdict in turn.verdicts),
        advances=tuple(advance for turn in turns for advance in turn.advances),
        waits=next((turn.waits for turn in turns if turn.waits), ""),
        wake=next((turn.wake for turn in turns if turn.wake), None),
        questions=tuple(question for turn in turns for question in turn.questions),
        approvers=dict(item for turn in turns for item in turn.approvers.items()),
    )


def _take_turn(
    course: Course,
    wave: RolloutWave,
    stored: StoredWave,
    verdicts: tuple[Verdict, ...],
    books: Books,
    regions: Mapping[str, str],
    *,
    state: str,
    hold: str,
) -> _Turn:
    advances: tuple[Advance, ...] = ()
    if state == "Running" and not hold:
        verdicts, advances = _start(course, wave, verdicts, books, regions)
    begun = any(verdict.row.state in MOVING | {"Done", "Failed", "Reverted"} for verdict in verdicts)
    started = stored.started_time or (course.now.replace(microsecond=0) if begun else None)
    if all(verdict.row.state in FINISHED for verdict in verdicts):
        if state in {"Running", "Paused"}:
            return _finish(course, wave, stored, verdicts, started)
        return _Turn(status=WaveStatus(name=wave.name, state="Held", started_time=started), verdicts=verdicts)
    moving = [verdict for verdict in verdicts if verdict.row.state in BUSY]
    status = WaveStatus(name=wave.name, state="Running" if moving else "Held", started_time=started)
    waits = _describe_moving(moving) if moving else _describe_waiting(verdicts)
    return _Turn(status=status, verdicts=verdicts, advances=advances, waits=waits)


def _finish(
    course: Course,
    wave: RolloutWave,
    stored: StoredWave,
    verdicts: tuple[Verdict, ...],
    started: datetime | None,
) -> _Turn:
    """Let a wave whose members are all through soak, and pass its gates."""
    gates = judge_gates(course, wave, verdicts)
    soak = judge_soak(course, wave, stored, verdicts, gates)
    closed = next((gate for gate in gates if gate.state != OPEN), None)

    def turn(state: str, waits: str, wake: datetime | None = None) -> _Turn:
        status = WaveStatus(
            name=wave.name,
            state=state,
            started_time=started,
            soak_until=soak.until,
            gates=tuple({"name": gate.name, "state": gate.state, "message": gate.message} for gate in gates),
        )
        questions = tuple(question for gate in gates for question in gate.questions) if state != "Done" else ()
        return _Turn(
            status=status,
            verdicts=verdicts,
            waits=waits,
            wake=wake,
            questions=questions,
            approvers={(wave.name, gate.name): gate.approvers for gate in gates if gate.approvers},
        )

    if soak.disturbed:
        return turn("Held", soak.disturbed)
    if soak.ends is not None and course.now < soak.ends:
        return turn("Soaking", f"wave {wave.name} soaks until {soak.ends:%H:%M:%S} UTC", soak.ends)
    if closed is not None:
        wakes = [gate.wake for gate in gates if gate.wake is not None]
        return turn("Held", closed.message, min(wakes, default=None))
    return turn("Done", "")


def _start(
    course: Course, wave: RolloutWave, verdicts: tuple[Verdict, ...], books: Books, regions: Mapping[str, str]
) -> tuple[tuple[Verdict, ...], tuple[Advance, ...]]:
    """Start as many members as the limits allow: first who stands between two hops, then who takes longest."""
    # Who finishes what an earlier rollout told it, or has just left the set, has another row, and moves all the same.
    names = {course.cluster_set.child_name(verdict.row.cluster) for verdict in verdicts}
    in_motion = names & books.moving.get(course.rollout.set_name, set())
    midway = {v.child.name for v in verdicts if v.child is not None and v.midway and v.row.state not in FINISHED}
    for name in {v.child.name for v in verdicts if v.child is not None and v.row.state not in FINISHED}:
        # Its own row says what it waits for, and its place is free again when that is over.
        books.failed.pop(name, None)
    advances: list[Advance] = []
    told: dict[str, Verdict] = {}
    ready = [verdict for verdict in verdicts if verdict.step is not None]
    unseen = [v for v in verdicts if v.inspect is not None and v.step is None and v.row.state == "Pending"]
    told.update({verdict.row.cluster: _look_first(verdict) for verdict in unseen})
    queued = 0
    for verdict in sorted(ready, key=lambda v: (not v.midway, -course.estimates.of(v.child).seconds, v.row.cluster)):
        child, step = verdict.child, verdict.step
        if child is None or step is None:
            continue
        # Who is midway keeps a place from newcomers, but not from others who are midway too: nobody waits for ever.
        others = in_motion if verdict.midway else in_motion | midway
        limit = find_limit(
            books, course.cluster_set, (wave.name, wave.max_concurrent, frozenset(others)), child.name, regions
        )
        if limit:
            # As many as move now are next: what is in their way is asked again before their turn, not in it.
            due = not verdict.fresh and queued < len(in_motion)
            queued += 1
            row = replace(verdict.row, message=limit)
            told[verdict.row.cluster] = replace(verdict, row=row, inspect=step.version if due else verdict.inspect)
            continue
        if not verdict.fresh:
            # It waited for its turn so long that nobody knows any more what is in the way. Its place is kept.
            told[verdict.row.cluster] = _look_first(replace(verdict, step=None, inspect=step.version))
            in_motion.add(child.name)
            continue
        in_motion.add(child.name)
        books.take(course.cluster_set.meta.name, child.name)
        reason = f"rollout {course.name}, wave {wave.name}: {verdict.row.cluster} {step.reason}"
        advances.append(
            Advance(child=child.name, version=step.version, revision=step.revision, rollout=course.name, reason=reason)
        )
        row = replace(verdict.row, state="Changing", message=step.reason)
        told[verdict.row.cluster] = replace(verdict, row=row, step=None)
    return tuple(told.get(verdict.row.cluster, verdict) for verdict in verdicts), tuple(advances)


def _look_first(verdict: Verdict) -> Verdict:
    message = "looking whether anything is in the way of its change"
    return replace(verdict, row=replace(verdict.row, state="Preflight", message=message))


def _describe_moving(moving: Sequence[Verdict]) -> str:
    words = [f"{v.row.cluster}: {v.row.message}" for v in moving[:3]]
    more = f" and {len(moving) - 3} more" if len(moving) > 3 else ""
    return "; ".join(words) + more


def _describe_waiting(verdicts: Sequence[Verdict]) -> str:
    waiting = [verdict for verdict in verdicts if verdict.row.state not in FINISHED and verdict.row.message]
    if not waiting:
        return ""
    more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
    return f"{waiting[0].row.cluster} waits: {waiting[0].row.message}{more}"
