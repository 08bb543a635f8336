"""Turn what the rooms decided into statuses and steps, compared with what stands there: nothing new, nothing to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet.conditions import find
from atoll.fleet.decisions import (
    Candidate,
    MembershipDecision,
    PlacementDecision,
    Problem,
    RolloutDecision,
)
from atoll.fleet.gates import MetricQuestion
from atoll.fleet.hosts import HostDecision
from atoll.fleet.plan import HubStep, Plan, RecordEvent, SetFinalizer, WriteStatus
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Member
from atoll.fleet.values import thaw
from atoll.membership.operations import Work

from .child_steps import list_wakes, plan_child_steps
from .hosts import plan_host_objects
from .hub_steps import plan_child_objects, plan_finalizers, plan_new_objects
from .interior import Covers
from .statuses import Subject, summarise_all
from .tenancy import Tenancy

HOLD: Final = timedelta(seconds=3)
"""How long a change may be under way before status says so: what is done by then costs one write, not two."""


def compose_plan(
    fleet: Fleet,
    now: datetime,
    *,
    problems: Sequence[Problem],
    rollout: RolloutDecision,
    placement: PlacementDecision,
    membership: MembershipDecision,
    tenancy: Tenancy,
    works: Mapping[str, Work],
    hosts: HostDecision,
    candidates: Sequence[Candidate],
    revision_of: Callable[[ClusterSet, Member], str],
    covers: Covers,
) -> tuple[Mapping[tuple[str, str], Mapping[str, Any]], Plan]:
    """Build wanted statuses and the plan."""
    subjects = summarise_all(
        fleet,
        now,
        problems=problems,
        rollout=rollout,
        placement=placement,
        tenancy=tenancy,
        works=works,
        hosts=hosts,
        candidates=candidates,
        revision_of=revision_of,
        detached=frozenset(membership.detached),
    )
    hub: list[HubStep] = []
    wakes = [moment for moment in (rollout.wake, *(work.wake for work in works.values())) if moment is not None]
    hub += plan_finalizers(fleet, tenancy)
    hub += plan_new_objects(fleet, rollout, membership)
    # What a rollout decides is recorded before anybody is told.
    hub += _plan_statuses([item for item in subjects if item.kind == "Rollout"], fleet, now, wakes)
    hub += plan_child_objects(fleet, rollout, works, hosts, covers=covers)
    hub += plan_host_objects(fleet, hosts)
    let_go = {(step.kind, step.name) for step in hub if isinstance(step, SetFinalizer) and not step.present}
    # Who is let go of is gone with that step; nobody will read its status.
    others = [item for item in subjects if item.kind != "Rollout" and (item.kind, item.name) not in let_go]
    hub += _plan_statuses(others, fleet, now, wakes)
    children = plan_child_steps(fleet, tenancy, works, rollout, now)
    wakes += list_wakes(fleet, works)
    wakes += _list_pause_ends(fleet)
    if placement.moves:
        wakes += [freeze.end for environment in fleet.environments for freeze in environment.freezes]
    future = [moment for moment in wakes if moment > now]
    questions = tuple(item for item in rollout.questions if isinstance(item, MetricQuestion))
    plan = Plan(hub=tuple(hub), children=children, questions=questions, wake=min(future, default=None))
    return {(subject.kind, subject.name): subject.wanted for subject in subjects}, plan


def _plan_statuses(subjects: Sequence[Subject], fleet: Fleet, now: datetime, wakes: list[datetime]) -> list[HubStep]:
    """Write what differs, or has something to record; what is held back for a moment is added to `wakes`."""
    steps: list[HubStep] = []
    for subject in subjects:
        if not subject.audit:
            if thaw(subject.stored) == subject.wanted:
                continue
            held = hold_until(subject, fleet, now)
            if held is not None and now < held:
                wakes.append(held)
                continue
        steps += _status_steps(subject)
    return steps


def _list_pause_ends(fleet: Fleet) -> list[datetime]:
    # Those of ClusterSets belong to their rollouts.
    pauses = [
        *(pool.paused for pool in fleet.host_pools),
        *(environment.paused for environment in fleet.environments),
        *(tenant.paused for tenant in fleet.tenants),
    ]
    return [pause.until for pause in pauses if pause is not None and pause.until is not None]


def hold_until(subject: Subject, fleet: Fleet, now: datetime) -> datetime | None:
    """Say until when a status is not written, because what it would say will soon be over, or says nothing new."""
    written = fleet.written.get((subject.kind, subject.name))
    if written is not None and _says_the_same(subject):
        # A burst of changes that alter nothing but the generation costs its first and its last write.
        return written + HOLD
    was_ready = find(subject.stored, "Ready").get("status") == "True"
    ready = find(subject.wanted, "Ready")
    if not was_ready or ready.get("status") == "True" or find(subject.wanted, "Stalled").get("status") == "True":
        return None
    if not subject.transient or thaw(subject.stored).get("placements") != subject.wanted.get("placements"):
        return None
    since = fleet.seen.get((subject.kind, subject.name))
    return since + HOLD if since is not None and now < since + HOLD else None


def _says_the_same(subject: Subject) -> bool:
    """Say whether two statuses differ in the generation that they have seen, and in nothing else."""
    return _without_generation(thaw(subject.stored)) == _without_generation(thaw(subject.wanted))


def _without_generation(status: Mapping[str, Any]) -> dict[str, Any]:
    conditions = [
        {key: value for key, value in entry.items() if key != "observedGeneration"}
        for entry in status.get("conditions", ())
    ]
    return {**status, "conditions": conditions, "observedGeneration": 0}


def _status_steps(subject: Subject) -> list[HubStep]:
    ready, before = find(subject.wanted, "Ready"), find(subject.stored, "Ready")
    reason = str(ready.get("message") or ready.get("reason", ""))
    steps: list[HubStep] = [
        WriteStatus(
            kind=subject.kind,
            name=subject.name,
            uid=subject.uid,
            status=subject.wanted,
            reason=reason,
            audit=subject.audit,
        )
    ]
    if (ready.get("status"), ready.get("reason")) != (before.get("status"), before.get("reason")):
        stalled = find(subject.wanted, "Stalled").get("status") == "True"
        blind = ready.get("status") == "Unknown" and bool(before)
        steps.append(
            RecordEvent(
                kind=subject.kind,
                name=subject.name,
                uid=subject.uid,
                type="Warning" if stalled or blind else "Normal",
                event_reason=str(ready.get("reason", "")),
                reason=reason,
            )
        )
    return steps
