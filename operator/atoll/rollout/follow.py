"""Following one rollout: its state, its rows, who starts or goes back now, and the sentence that says why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from atoll.fleet import reasons
from atoll.fleet.decisions import InspectChild, Problem, RevertChild, RolloutDecision, RolloutProgress, RolloutRow
from atoll.fleet.observed import Rollout
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet

from .estimates import Estimates
from .grading import forecast_rollout, forecast_rows, grade_rollout
from .limits import Books, find_remedy
from .restrictions import find_restriction
from .revert import plan_reverts
from .revisions import is_return
from .rows import Course, Verdict, judge_row, shorten
from .signatures import propose_holds
from .states import FINISHED, MOVING
from .walk import Walk, walk_waves

MESSAGES_LENGTH: Final = 600
"""Characters for what failed members say, in a message of which the API keeps 1024, and whose end is the remedy."""


def follow_rollout(
    fleet: Fleet, cluster_set: ClusterSet, rollout: Rollout, books: Books, now: datetime
) -> RolloutDecision:
    """Decide about the rollout that a set follows."""
    course = Course(
        fleet=fleet,
        cluster_set=cluster_set,
        rollout=rollout,
        hosted=books.hosted,
        noncompliant=books.noncompliant,
        now=now,
        estimates=Estimates.of_set(fleet, cluster_set.meta.name, cluster_set.provider.kind),
    )
    verdicts = [judge_row(course, wave.name, name) for wave in rollout.waves for name in wave.clusters]
    _correct_books(books, course, verdicts)
    state = _choose_state(course, verdicts)
    if state == "Running":
        _explain_places(books, course, verdicts)
    reverts: tuple[RevertChild, ...] = ()
    if state == "Halted" and cluster_set.upgrade.on_failure == "Revert" and not _is_stopped(course):
        verdicts, reverts = plan_reverts(course, verdicts, books)
    hold = _find_refusal(cluster_set, verdicts) or find_restriction(fleet, cluster_set)
    walk = walk_waves(course, verdicts, books, state=state, hold=hold.message if hold is not None else "")
    if state in {"Running", "Paused"} and all(wave.state == "Done" for wave in walk.waves):
        state = "Done"
    verdicts = list(forecast_rows(walk.verdicts))
    rows = tuple(_say_hold(verdict.row, hold) if state == "Running" else verdict.row for verdict in verdicts)
    forecast = forecast_rollout(course, walk) if state in {"Running", "Paused"} else None
    progress = RolloutProgress(
        name=course.name,
        set_name=cluster_set.meta.name,
        state=state,
        waves=walk.waves,
        rows=rows,
        message=_describe(course, state, rows, walk, hold, reverting=bool(reverts)),
        forecast=forecast,
        grade=grade_rollout(course, forecast),
        approvers=walk.approvers,
        proposals=propose_holds(course, walk.verdicts) if state in {"Running", "Paused"} else (),
    )
    problems = _list_problems(course, progress, walk, hold)
    working = state == "Running" and hold is None
    wakes = [verdict.wake for verdict in walk.verdicts if verdict.wake is not None]
    wakes += [time for time in (walk.wake,) if time is not None]
    return RolloutDecision(
        progress=(progress,),
        advances=walk.advances,
        reverts=reverts,
        inspections=_list_inspections(course, walk) if working else (),
        questions=walk.questions if working else (),
        problems=problems,
        wake=min(wakes, default=None),
    )


def _list_inspections(course: Course, walk: Walk) -> tuple[InspectChild, ...]:
    return tuple(
        InspectChild(
            child=verdict.child.name,
            version=verdict.inspect,
            rollout=course.name,
            reason=f"rollout {course.name}: what is in the way of changing {verdict.row.cluster} to {verdict.inspect}",
        )
        for verdict in walk.verdicts
        if verdict.inspect is not None and verdict.child is not None
    )


def supersede(rollout: Rollout, message: str) -> RolloutProgress:
    """Say that a rollout's target is not wanted any more; who is in the middle of a change finishes it."""
    return RolloutProgress(name=rollout.meta.name, set_name=rollout.set_name, state="Superseded", message=message)


def _choose_state(course: Course, verdicts: Sequence[Verdict]) -> str:
    """Choose the rollout's state, but for its being done. Halted and Aborted are never left by themselves."""
    stored, rollout, upgrade = course.stored.state, course.rollout, course.cluster_set.upgrade
    states = Counter(verdict.row.state for verdict in verdicts)
    failures = states["Failed"] + states["Reverted"]
    arrived = states["Done"] + states["Skipped"] == len(verdicts)
    over_budget = failures > upgrade.failure_budget.of(len(verdicts))
    if stored == "Reverted" or stored == "Halted" or (over_budget and stored != "Aborted"):
        if arrived:
            return "Done"
        gone_back = stored == "Reverted" or (upgrade.on_failure == "Revert" and states["Reverted"] == failures > 0)
        return "Reverted" if gone_back else "Halted"
    if stored == "Aborted" or rollout.action == "Abort":
        return "Done" if arrived else "Aborted"
    return "Paused" if _is_stopped(course) else "Running"


def _is_stopped(course: Course) -> bool:
    """Say whether a person has stopped the set or the rollout: nothing begins then, not even a way back."""
    paused = course.cluster_set.paused is not None and course.cluster_set.paused.holds(course.now)
    return paused or course.rollout.action != "Run"


def _correct_books(books: Books, course: Course, verdicts: Sequence[Verdict]) -> None:
    """Enter what the rows know better: who was given up moves no more, who tries again does."""
    moving = books.moving.setdefault(course.cluster_set.meta.name, set())
    for verdict in verdicts:
        if verdict.child is None:
            continue
        if verdict.row.state in MOVING:
            moving.add(verdict.child.name)
            books.failed.pop(verdict.child.name, None)
        elif is_return(verdict.child.revision, course.name):
            # It counts as failed until it is back; on its way it keeps its place.
            continue
        elif verdict.row.state == "Failed" and verdict.child.revision != verdict.child.done_revision:
            moving.discard(verdict.child.name)
            books.failed[verdict.child.name] = find_remedy(course.fleet, verdict.child)


def _explain_places(books: Books, course: Course, verdicts: Sequence[Verdict]) -> None:
    """Say of those that this rollout tries again, but in a later wave, how it gets there.

    Another rollout would change nothing: they wait for their wave, and the waves before it for their place.
    """
    for verdict in verdicts:
        if verdict.child is not None and verdict.child.name in books.failed and verdict.row.state not in FINISHED:
            name = verdict.child.name
            books.failed[name] = (
                f"{name} failed before and is tried again in wave {verdict.row.wave}, which comes later: let the "
                "environment have one more (spec.maxUnavailableClusters) until then"
            )


def _find_refusal(cluster_set: ClusterSet, verdicts: Sequence[Verdict]) -> Problem | None:
    for verdict in verdicts:
        if verdict.refusal is not None:
            return Problem(
                kind="ClusterSet",
                name=cluster_set.meta.name,
                path="spec.version",
                reason=verdict.refusal.reason,
                message=f"{verdict.row.cluster}: {verdict.refusal.message}",
            )
    return None


def _say_hold(row: RolloutRow, hold: Problem | None) -> RolloutRow:
    if hold is None or row.state not in {"Pending", "Held", "Preflight"}:
        return row
    return replace(row, state="Held", message=hold.message)


def _describe(
    course: Course, state: str, rows: Sequence[RolloutRow], walk: Walk, hold: Problem | None, *, reverting: bool
) -> str:
    """Say in one sentence what the rollout does or waits for."""
    states = Counter(row.state for row in rows)
    told = [f"{states['Done']} of {len(rows)} done"]
    told += [f"{states[state]} {state.lower()}" for state in ("Failed", "Reverted", "Skipped") if states[state]]
    summary = ", ".join(told)
    moving = [row.cluster for row in rows if row.state in MOVING]
    finishing = f"; {', '.join(moving)} will finish the change under way" if moving else ""
    if state in {"Halted", "Reverted"}:
        return f"{_describe_failure(course, state, rows, reverting=reverting)}{finishing}"
    if state == "Aborted":
        return f"aborted, {summary}{finishing}. {_remedy(course)}"
    if state == "Paused":
        paused = course.cluster_set.paused
        why = (
            paused.reason if paused is not None and paused.holds(course.now) else "spec.action of the Rollout is Pause"
        )
        return f"paused ({why}), {summary}{finishing}"
    if state == "Done":
        return summary
    if hold is not None:
        return f"held: {hold.message}{finishing}"
    return f"{walk.waits or 'its first members are about to start'} ({summary})"


def _describe_failure(course: Course, state: str, rows: Sequence[RolloutRow], *, reverting: bool) -> str:
    failed = [row for row in rows if row.state in {"Failed", "Reverted"}]
    budget = course.cluster_set.upgrade.failure_budget.of(len(rows))
    room = MESSAGES_LENGTH // max(1, len(failed[:3]))
    told = "; ".join(f"{row.cluster}: {shorten(row.message, room)}" for row in failed[:3]) or "a member failed"
    more = f" (and {len(failed) - 3} more)" if len(failed) > 3 else ""
    how = "reverted" if state == "Reverted" else "halted, reverting" if reverting else "halted"
    return f"{how}, {len(failed)} failed with a failure budget of {budget}: {told}{more}. {_remedy(course)}"


def _remedy(course: Course) -> str:
    retry = max(course.rollout.retry, course.cluster_set.upgrade.retry) + 1
    name = course.cluster_set.meta.name
    return f"Mend it and raise spec.upgrade.retry of ClusterSet {name} to {retry}, or change the target"


def _list_problems(course: Course, progress: RolloutProgress, walk: Walk, hold: Problem | None) -> tuple[Problem, ...]:
    name = course.cluster_set.meta.name
    if progress.state in {"Halted", "Reverted", "Aborted"}:
        reason = reasons.ROLLOUT_ABORTED if progress.state == "Aborted" else reasons.ROLLOUT_HALTED
        message = f"rollout {progress.name}: {progress.message}"
        return (Problem(kind="ClusterSet", name=name, path="spec.upgrade.retry", reason=reason, message=message),)
    if hold is not None:
        return (hold,)
    return tuple(
        Problem(
            kind="ClusterSet",
            name=name,
            path="spec.upgrade.windows",
            reason=reasons.WINDOW_TOO_SHORT,
            message=f"{verdict.row.cluster}: {verdict.stuck}",
        )
        for verdict in walk.verdicts
        if verdict.stuck
    )
