"""Steps on each child: its long work, its kubeconfig, its verification, its borders, and what shall be inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from atoll.fleet.cluster import ClusterRef, WantedCluster
from atoll.fleet.decisions import InspectChild, RolloutDecision
from atoll.fleet.gates import JobQuestion
from atoll.fleet.names import ABANDON
from atoll.fleet.observed import ChildCluster, ChildView
from atoll.fleet.plan import (
    ChildStep,
    ForgetCluster,
    InspectMember,
    PublishKubeconfig,
    RunGateJob,
    StartOperation,
    TryBorders,
    VerifyMember,
)
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import DeletionPolicy
from atoll.fleet.values import Version
from atoll.membership.operations import Work, to_operation
from atoll.rollout.health import VERIFICATION_ATTEMPTS

from .borders import count_cells, find_due_time, list_red_pairs, plan_borders
from .interior import is_workable
from .login import choose_authentication
from .settings import merge_settings, settle_settings
from .tenancy import Tenancy
from .works import is_orphaned

FIRST_RETRY: Final = timedelta(seconds=3)
LATER_RETRY: Final = timedelta(seconds=60)
"""Pauses between verifications: the first few catch slow answers, later ones wait for a person."""


def plan_child_steps(
    fleet: Fleet, tenancy: Tenancy, works: Mapping[str, Work], rollout: RolloutDecision, now: datetime
) -> Mapping[str, tuple[ChildStep, ...]]:
    """Plan the steps of each child, by name; children with nothing to do are left out."""
    planned = {}
    inspections = {item.child: item for item in rollout.inspections}
    jobs: dict[str, list[JobQuestion]] = {}
    for question in rollout.questions:
        if isinstance(question, JobQuestion):
            jobs.setdefault(question.child, []).append(question)
    for child in fleet.children:
        view = fleet.views.get(child.name)
        work = works.get(child.name)
        if view is None or work is None:
            continue
        steps = _steps(fleet, child, view, work, tenancy, now)
        if work.operation is None and not child.meta.deleting and view.member is not None:
            steps += _inspect(fleet, child, view, inspections.get(child.name))
            steps += [
                RunGateJob(child=child.name, question=question, reason=question.reason)
                for question in jobs.get(child.name, ())
            ]
        if steps:
            planned[child.name] = tuple(steps)
    return planned


def _steps(
    fleet: Fleet, child: ChildCluster, view: ChildView, work: Work, tenancy: Tenancy, now: datetime
) -> list[ChildStep]:
    steps: list[ChildStep] = []
    interior = tenancy.interiors.get(child.name)
    if interior is not None:
        steps += interior.steps
    orphan = is_orphaned(fleet, child) or child.deletion_policy is not DeletionPolicy.DELETE
    if child.meta.deleting and orphan:
        waiting = interior is not None and interior.pending
        if not view.released and not waiting:
            steps.append(
                ForgetCluster(
                    child=child.name,
                    provider=child.provider,
                    ref=_ref(child),
                    reason="it is deleted under Orphan: its cluster goes on running",
                    abandoned=ABANDON in child.meta.annotations,
                )
            )
        return steps
    if work.start and work.operation is not None:
        operation = to_operation(work.operation)
        steps.append(
            StartOperation(
                child=child.name,
                provider=child.provider,
                wanted=_wanted(fleet, child),
                operation=operation,
                reason=work.reason,
            )
        )
        return steps
    if child.meta.deleting:
        return steps
    if view.kubeconfig_digest and view.kubeconfig_digest != view.published_digest and work.operation is None:
        why = "its kubeconfig Secret is missing" if not view.published_digest else "its kubeconfig Secret was changed"
        steps.append(PublishKubeconfig(child=child.name, reason=why))
    if _should_verify(child, view, work, now):
        attempt = _attempt(child, view)
        steps.append(
            VerifyMember(
                child=child.name,
                revision=child.revision,
                version=str(child.version),
                attempt=attempt,
                reason=f"revision {child.revision} is reached and has to be verified",
                sample_application=_wants_sample(fleet, child),
            )
        )
    steps += _plan_borders(child, view, work, now)
    return steps


def _inspect(fleet: Fleet, child: ChildCluster, view: ChildView, inspection: InspectChild | None) -> list[ChildStep]:
    if inspection is None or view.member is None:
        return []
    return [
        InspectMember(
            child=child.name,
            provider=child.provider,
            wanted=replace(_wanted(fleet, child), version=str(inspection.version)),
            served=view.member.version,
            rollout=inspection.rollout,
            reason=inspection.reason,
            certificates_expire_time=view.cluster.certificates_expire_time,
        )
    ]


def _plan_borders(child: ChildCluster, view: ChildView, work: Work, now: datetime) -> list[ChildStep]:
    due = _find_borders_due(child, view, work)
    if due is None or now < due or view.member is None:
        return []
    borders = plan_borders(view.member, now=now, key=child.id, red=list_red_pairs(child, view))
    if borders is None:
        return []
    reason = f"{count_cells(borders)} borders between tenants have to be tried"
    return [TryBorders(child=child.name, borders=borders, reason=reason)]


def _find_borders_due(child: ChildCluster, view: ChildView, work: Work) -> datetime | None:
    if work.operation is not None or work.lost:
        # Its API server may be on its way down; what it answers now proves nothing.
        return None
    return find_due_time(child, view)


def _wants_sample(fleet: Fleet, child: ChildCluster) -> bool:
    cluster_set = fleet.cluster_set(child.set_name)
    return cluster_set is None or cluster_set.sample_application


def _attempt(child: ChildCluster, view: ChildView) -> int:
    run = view.verification
    return run.attempt + 1 if run is not None and run.revision == child.revision else 1


def list_wakes(fleet: Fleet, works: Mapping[str, Work]) -> list[datetime]:
    """List when verifications that have failed, and tries of borders, are due: nothing else may happen until then."""
    wakes = []
    for child in fleet.children:
        view, work = fleet.views.get(child.name), works.get(child.name)
        if view is not None and work is not None and _may_verify(child, view, work):
            due = _due_time(child, view)
            wakes += [due] if due is not None else []
        if view is not None and work is not None:
            due = _find_borders_due(child, view, work)
            wakes += [due] if due is not None else []
    return wakes


def _should_verify(child: ChildCluster, view: ChildView, work: Work, now: datetime) -> bool:
    if not _may_verify(child, view, work):
        return False
    due = _due_time(child, view)
    return due is None or now >= due


def _may_verify(child: ChildCluster, view: ChildView, work: Work) -> bool:
    if work.operation is not None or work.held or work.lost or child.done_revision == child.revision:
        return False
    if not is_workable(child, view) or view.member is None:
        return False
    if view.cluster.version and not child.version.is_satisfied_by(Version.parse(view.cluster.version)):
        # It has been told to change and may not begin yet: what it serves until then is no failure.
        return False
    run = view.verification
    return run is None or run.revision != child.revision or not run.passed


def _due_time(child: ChildCluster, view: ChildView) -> datetime | None:
    """Say when a verification that has failed is tried again; None: it was not tried yet."""
    run = view.verification
    if run is None or run.revision != child.revision:
        return None
    return run.time + (FIRST_RETRY if run.attempt < VERIFICATION_ATTEMPTS else LATER_RETRY)


def _ref(child: ChildCluster) -> ClusterRef:
    return ClusterRef(fleet=child.meta.namespace, name=child.name, id=child.id)


def _wanted(fleet: Fleet, child: ChildCluster) -> WantedCluster:
    cluster_set = fleet.cluster_set(child.set_name)
    settings = merge_settings(cluster_set, child.member_name) if cluster_set is not None else {}
    listed = cluster_set is not None and cluster_set.member(child.member_name) is not None
    return WantedCluster(
        ref=_ref(child),
        version=str(child.version),
        pod_cidr=child.pod_cidr,
        service_cidr=child.service_cidr,
        settings=settle_settings(settings, child.cloud, listed=listed),
        labels=child.meta.labels,
        hosts=child.hosts,
        authentication=choose_authentication(fleet, child),
        drill_before_change=cluster_set is not None
        and bool(cluster_set.backup.get("drillBeforeHop"))
        and str(child.version) != str(child.status.get("version", "")),
    )
