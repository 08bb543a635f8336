"""How a tenant leaves a namespace: with notice where it moves, at once where it is deleted or asks for it no more.

Who moves keeps its access until the old place is empty. Then nobody gets in any more, and after another look that finds
it empty still the namespace goes, or stays for its data alone. Each phase is written on the namespace itself, so that a
crash anywhere forgets nothing.
"""

from __future__ import annotations

from dataclasses import replace

from atoll.fleet.decisions import Placement
from atoll.fleet.names import PLACEMENT_LABEL, RELEASE
from atoll.fleet.observed import MemberView
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import DeletionPolicy, Tenant


def mark_placement(fleet: Fleet, placement: Placement) -> Placement:
    """Say what the namespace of a placement shall say of itself, and who is let in."""
    if placement.state != "Leaving":
        return replace(placement, mark="placed", access=True)
    tenant, child = fleet.tenant(placement.tenant), fleet.child(placement.cluster)
    going = child is None or child.meta.deleting
    if tenant is None or going or not _is_asked_for(tenant, placement):
        return replace(placement, mark="released", access=False)
    view = fleet.views.get(placement.cluster)
    member = view.member if view is not None else None
    last = "emptied" if tenant.deletion_policy is DeletionPolicy.DELETE else "released"
    told = member.namespaces.get(placement.namespace, {}).get(PLACEMENT_LABEL, "") if member is not None else ""
    if member is None or told not in {"leaving", "emptied", "released"}:
        return replace(placement, mark="leaving", access=True)
    if told in {"emptied", "released"} or is_empty(member, tenant, placement):
        return replace(placement, mark=last, access=False)
    return replace(placement, mark="leaving", access=True)


def may_remove(fleet: Fleet, placement: Placement) -> bool:
    """Say whether a namespace goes now, with its data: only under deletionPolicy Delete, and never unlooked-at."""
    tenant, child = fleet.tenant(placement.tenant), fleet.child(placement.cluster)
    if placement.state != "Leaving" or tenant is None or tenant.deletion_policy is not DeletionPolicy.DELETE:
        return False
    if (child is None or child.meta.deleting) and _is_asked_for(tenant, placement):
        # It is the cluster that goes, not the tenant: who lets go of a cluster keeps what is in it.
        return False
    if placement.mark != "emptied":
        return placement.mark == "released"
    view = fleet.views.get(placement.cluster)
    member = view.member if view is not None else None
    if member is None or member.namespaces.get(placement.namespace, {}).get(PLACEMENT_LABEL) != "emptied":
        return False
    return is_empty(member, tenant, placement)


def is_empty(member: MemberView, tenant: Tenant, placement: Placement) -> bool:
    """Say whether nothing stands in a namespace any more, or its tenant lets go of it all the same."""
    if f"{placement.cluster}/{placement.namespace}" in tenant.meta.list_named(RELEASE):
        return True
    return member.occupancy.get(placement.namespace) == ""


def _is_asked_for(tenant: Tenant, placement: Placement) -> bool:
    """Say whether the tenant still wants such a namespace, and so has it somewhere else now."""
    if tenant.meta.deleting:
        return False
    wanted = ((environment.name, full) for environment, _, full in tenant.list_namespaces())
    return (placement.environment, placement.namespace) in wanted
