"""What each child shall hold inside, and which of it is still missing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.names import BEING_LEFT, TENANT_LABEL
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.plan import ApplyMemberObject, ChildStep, DeleteMemberObject
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import DeletionPolicy, Tenant
from atoll.segregation import find_operators, plan_member_objects, taken_namespaces, taken_owner, wanted_objects

from .leaving import may_remove

Covers = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]
"""Says whether an observed object already holds all that is wanted (`atoll.kube.compare.covers`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compiled:
    """Governance on one child, by (tenant, environment)."""

    labels: Mapping[tuple[str, str], Mapping[str, str]]
    pod_security: Mapping[tuple[str, str], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Interior:
    """One child's inside."""

    steps: tuple[ChildStep, ...] = ()
    pending: frozenset[str] = frozenset()
    """Namespaces, and tenants' names, for which something has still to be applied or removed."""
    taken: tuple[str, ...] = ()
    """Namespaces that somebody else made there."""
    foreign_owner: str = ""
    seen: bool = False
    """Whether we could look at all."""


def is_workable(child: ChildCluster, view: ChildView | None) -> bool:
    """Say whether anything may be written inside the child: its identity is pinned and is what answered."""
    return (
        view is not None
        and view.member is not None
        and view.refused is None
        and bool(child.cluster_uid)
        and view.member.cluster_uid == child.cluster_uid
    )


def plan_interior(
    fleet: Fleet,
    child: ChildCluster,
    placements: tuple[Placement, ...],
    tenancy_of: Compiled,
    *,
    covers: Covers,
    frozen_tenants: frozenset[str],
) -> Interior:
    """Compare what shall be in a child with what is there. `placements`: those that stand in tenants' statuses.

    Nothing is changed for `frozen_tenants`: they are paused, or their spec cannot be read.
    """
    view = fleet.views.get(child.name)
    if not is_workable(child, view) or view is None or view.member is None:
        return Interior()
    owner = taken_owner(view.member, fleet.hub_uid, fleet.name, child.id)
    if owner:
        return Interior(foreign_owner=owner, seen=True)
    found = ((item.tenant, fleet.tenant(item.tenant)) for item in placements)
    tenants = {name: tenant for name, tenant in found if tenant is not None}
    taken = taken_namespaces(placements, view.member, tenants)
    ours = tuple(
        placement
        for placement in placements
        # What is left is never made anew: that its namespace is gone means that it has been left.
        if placement.namespace not in taken
        and (placement.state != "Leaving" or placement.namespace in view.member.namespaces)
    )
    wanted = wanted_objects(
        fleet,
        child,
        ours,
        fleet.hub_uid,
        labels_for=tenancy_of.labels,
        pod_security_for=tenancy_of.pod_security,
        tenants=tenants,
        operators=find_operators(view.member.username, view.member.groups),
        served=view.member.version,
    )
    steps = plan_member_objects(
        child.name,
        wanted,
        view.member,
        covers=covers,
        taken=frozenset(taken),
        frozen_tenants=frozen_tenants,
        release_namespaces=_released(fleet, ours),
    )
    pending = frozenset(_touched(steps, view.member))
    unsent = tuple(step for step in steps if not _is_going(step, view.member))
    return Interior(steps=unsent, pending=pending, taken=taken, seen=True)


def _is_going(step: ChildStep, member: MemberView) -> bool:
    """Say whether a step deletes what is being deleted already: it takes time, and asking again makes it no shorter."""
    if not isinstance(step, DeleteMemberObject):
        return False
    there = member.objects.get((step.kind, step.namespace, step.name), {})
    return bool(there.get("metadata", {}).get("deletionTimestamp"))


def _released(fleet: Fleet, placements: tuple[Placement, ...]) -> frozenset[str]:
    """List the namespaces that go with their data."""
    return frozenset(placement.namespace for placement in placements if may_remove(fleet, placement))


def _touched(steps: tuple[ChildStep, ...], member: MemberView) -> set[str]:
    """Name the namespaces and tenants that the steps are about."""
    touched: set[str] = set()
    for step in steps:
        if isinstance(step, ApplyMemberObject):
            metadata = step.body["metadata"]
            touched.add(metadata["name"] if step.body["kind"] == "Namespace" else metadata.get("namespace", ""))
            touched.add(metadata.get("labels", {}).get(TENANT_LABEL, ""))
        elif isinstance(step, DeleteMemberObject):
            touched.add(step.name if step.kind == "Namespace" else step.namespace)
            there = member.objects.get((step.kind, step.namespace, step.name), {})
            touched.add(there.get("metadata", {}).get("labels", {}).get(TENANT_LABEL, ""))
    return touched - {""}


def settle_placements(
    tenant: Tenant, placements: tuple[Placement, ...], interiors: Mapping[str, Interior], fleet: Fleet
) -> tuple[Placement, ...]:
    """Move placements along by what was seen: made, taken by somebody else, or gone."""
    written = {
        (entry.get("environment"), entry.get("namespace"), entry.get("cluster")): entry.get("state")
        for entry in tenant.status.get("placements", ())
    }
    settled = []
    for placement in placements:
        key = (placement.environment, placement.namespace, placement.cluster)
        interior = interiors.get(placement.cluster)
        if fleet.child(placement.cluster) is None and placement.state == "Leaving":
            continue
        if interior is None or key not in written:
            settled.append(placement)
            continue
        busy = not interior.seen or placement.namespace in interior.pending or tenant.meta.name in interior.pending
        taken = placement.namespace in interior.taken
        if placement.state == "Leaving":
            # Of a namespace that is somebody else's there is nothing to clean up.
            waits = placement.mark in BEING_LEFT or tenant.deletion_policy is DeletionPolicy.DELETE
            if busy or (waits and not taken and _is_there(placement, fleet)):
                settled.append(placement)
            continue
        if taken:
            message = (
                f"namespace {placement.namespace} exists on {placement.cluster} and is not Atoll's; nothing was "
                "changed in it. Rename the tenant or environment, or remove that namespace."
            )
            settled.append(replace(placement, state="Refused", reason=message))
            continue
        if placement.state in {"Pending", "Refused"} and not busy:
            settled.append(replace(placement, state="Placed"))
            continue
        settled.append(placement)
    return tuple(settled)


def _is_there(placement: Placement, fleet: Fleet) -> bool:
    """Say whether a namespace was seen: it is being left, or its deletion takes its time."""
    view = fleet.views.get(placement.cluster)
    return view is not None and view.member is not None and placement.namespace in view.member.namespaces
