"""The long work of every child: what it needs, and whether it may begin now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from atoll.fleet.cluster import Presence
from atoll.fleet.names import ABANDON
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.membership.operations import Work, plan_work
from atoll.membership.protection import is_protected

from .tenancy import Tenancy


def plan_works(fleet: Fleet, tenancy: Tenancy, now: datetime) -> Mapping[str, Work]:
    """Plan the long work of each child whose provider is here."""
    works = {}
    for child in fleet.children:
        info = fleet.providers.get(child.provider)
        if info is None:
            continue
        works[child.name] = plan_work(
            child,
            fleet.views.get(child.name),
            info,
            now,
            may_begin=_may_begin(fleet, child, tenancy, now),
            orphan=is_orphaned(fleet, child),
        )
    return works


def is_orphaned(fleet: Fleet, child: ChildCluster) -> bool:
    """Say whether a deletion of this child leaves its cluster running whatever its policy says."""
    if ABANDON in child.meta.annotations or "ChildCluster" in fleet.terminating_kinds:
        return True
    cluster_set = fleet.cluster_set(child.set_name)
    return cluster_set is not None and is_protected(cluster_set.meta, protected=cluster_set.deletion_protection)


def _may_begin(fleet: Fleet, child: ChildCluster, tenancy: Tenancy, now: datetime) -> bool:
    """Say whether new long work may begin: not while paused, and not before tenants' access is revoked."""
    cluster_set = fleet.cluster_set(child.set_name)
    if child.meta.deleting:
        view = fleet.views.get(child.name)
        interior = tenancy.interiors.get(child.name)
        reachable = view is not None and view.member is not None and view.cluster.presence is Presence.PRESENT
        return interior is None or not interior.pending or not reachable
    return cluster_set is None or cluster_set.paused is None or not cluster_set.paused.holds(now)
