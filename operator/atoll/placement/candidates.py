"""Clusters as placement sees them: what is declared, merged with what stands and what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from atoll.fleet.decisions import Candidate
from atoll.fleet.names import MEMBER_LABEL, SET_LABEL
from atoll.fleet.observed import ChildCluster, ChildView, find_missing_wall
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Member
from atoll.fleet.values import Resources, Version

NODE_RESOURCES: Final = frozenset({"cpu", "memory", "pods"})
"""What tenants ask for and nodes offer; nodes name more, such as huge pages, that nobody can ask Atoll for."""

_UNKNOWN_VERSION = Version(0, 0)


def build_candidates(fleet: Fleet, now: datetime, *, assume_available: bool = False) -> tuple[Candidate, ...]:
    """Build one candidate for each declared member and each child that is there, by name.

    With `assume_available` (a plan without a live fleet) all declared members count as there.
    """
    children = {child.name: child for child in fleet.children}
    found: dict[str, Candidate] = {}
    for cluster_set in fleet.cluster_sets:
        for member in cluster_set.members:
            name = cluster_set.child_name(member.name)
            if name not in found:
                found[name] = _build_declared(
                    cluster_set, member, children.get(name), fleet.views.get(name), assume_available=assume_available
                )
    for name, child in children.items():
        if name not in found:
            found[name] = _build_departed(child, fleet.views.get(name), fleet.cluster_set(child.set_name))
    return tuple(found[name] for name in sorted(found))


def _build_declared(
    cluster_set: ClusterSet,
    member: Member,
    child: ChildCluster | None,
    view: ChildView | None,
    *,
    assume_available: bool,
) -> Candidate:
    message = "" if assume_available else _why_unavailable(child, view)
    return Candidate(
        cluster=cluster_set.child_name(member.name),
        set_name=cluster_set.meta.name,
        member_name=member.name,
        labels=_merge_labels(cluster_set, member),
        version=_choose_version(child, view, cluster_set.version),
        country=member.country,
        region=member.region,
        regimes=tuple(sorted({*cluster_set.regimes, *member.regimes})),
        capabilities=tuple(sorted({*cluster_set.capabilities, *member.capabilities})),
        workload_classes=member.workload_classes,
        reserved_for=member.reserved_for,
        capacity=_merge_capacity(member.capacity, view),
        available=not message,
        unavailable_message=message,
        unwalled=find_missing_wall(child, view) if child is not None else "",
        leaving=cluster_set.meta.deleting or (child is not None and child.meta.deleting),
    )


def _build_departed(child: ChildCluster, view: ChildView | None, cluster_set: ClusterSet | None) -> Candidate:
    """Build a cluster that nobody declares any more: what stands there is kept, nothing new is accepted."""
    message = _why_unavailable(child, view)
    return Candidate(
        cluster=child.name,
        set_name=child.set_name,
        member_name=child.member_name,
        labels=_merge_labels(cluster_set, Member(name=child.member_name)) if cluster_set is not None else {},
        version=_choose_version(child, view, child.version),
        regimes=tuple(sorted(cluster_set.regimes)) if cluster_set is not None else (),
        capabilities=tuple(sorted(cluster_set.capabilities)) if cluster_set is not None else (),
        capacity=_merge_capacity(None, view),
        available=not message,
        unavailable_message=message,
        leaving=True,
    )


def _merge_labels(cluster_set: ClusterSet, member: Member) -> Mapping[str, str]:
    """Merge what selectors read. What people set themselves is never overridden."""
    own = {
        SET_LABEL: cluster_set.meta.name,
        MEMBER_LABEL: member.name,
        "region": member.region,
        "country": member.country,
    }
    labels = {key: value for key, value in own.items() if value}
    return MappingProxyType({**labels, **cluster_set.labels, **member.labels})


def _choose_version(child: ChildCluster | None, view: ChildView | None, declared: Version) -> Version:
    """Prefer what is served over what is decided, and that over what is declared."""
    if view is not None and view.member is not None:
        return view.member.version
    return child.version if child is not None else declared


def _merge_capacity(declared: Resources | None, view: ChildView | None) -> Resources | None:
    """Count the nodes, one of several kept in reserve; what nodes do not name is taken from what is declared."""
    member = view.member if view is not None else None
    if member is None or member.allocatable is None:
        return declared
    nodes = member.nodes_for_tenants
    counted = {}
    for name, amount in Resources.parse(member.allocatable).amounts.items():
        if name not in NODE_RESOURCES:
            continue
        spared = amount * (nodes - 1) / nodes if nodes > 1 else amount
        counted[name] = spared.quantize(Decimal("0.001"), rounding="ROUND_FLOOR")
    return Resources(MappingProxyType({**(declared.amounts if declared is not None else {}), **counted}))


def _why_unavailable(child: ChildCluster | None, view: ChildView | None) -> str:
    """Say why a cluster accepts nothing now; empty when it does. Unknown is never available."""
    if child is None:
        return "it has not been made yet"
    if child.meta.deleting:
        return "it is being deleted"
    if view is None:
        return "it has not been looked at yet"
    if view.refused is not None:
        return f"its identity was refused: {view.refused[1]}"
    if view.unreachable_since is not None:
        since = view.unreachable_since.strftime("%Y-%m-%d %H:%M:%S")
        return f"it does not answer since {since}" + (
            f": {view.unreachable_message}" if view.unreachable_message else ""
        )
    if view.member is None:
        return "its API server has not answered yet"
    if not view.member.ready:
        return "its API server is not ready"
    if not child.cluster_uid:
        return "its identity has not been pinned yet"
    if not child.done_revision:
        return "it has not been verified yet"
    return ""
