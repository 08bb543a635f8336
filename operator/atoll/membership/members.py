"""Which ChildClusters there shall be: joiners, leavers, and those who only lost their entry."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import replace

from atoll.fleet.decisions import AddressPlan, Departure, MembershipDecision, NewChild
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, DeletionPolicy, Member
from atoll.fleet.values import Version

from .protection import is_protected

RevisionOf = Callable[[ClusterSet, Member], str]
"""Computes a member's revision; the rollout room owns how."""


def plan_members(
    fleet: Fleet,
    addresses: AddressPlan,
    revision_of: RevisionOf,
    *,
    blocked: Set[str],
    placed_on: Mapping[str, int],
) -> MembershipDecision:
    """Compare declared members with the children that are there.

    `blocked`: names of sets that may not grow (a problem, a pause). `placed_on`: how many namespaces of
    tenants stand on each child.
    """
    new: list[NewChild] = []
    departures: list[Departure] = []
    detached: list[str] = []
    for cluster_set in sorted(fleet.cluster_sets, key=lambda item: item.meta.name):
        children = {child.member_name: child for child in fleet.children_of(cluster_set.meta.name)}
        if cluster_set.meta.deleting:
            if not is_protected(cluster_set.meta, protected=cluster_set.deletion_protection):
                departures += [_departure(child, cluster_set) for child in children.values() if not child.meta.deleting]
            continue
        if cluster_set.meta.name not in blocked:
            new += _joiners(fleet, cluster_set, children, addresses, revision_of)
        for name, child in children.items():
            if cluster_set.member(name) is not None or child.meta.deleting:
                continue
            if name in cluster_set.confirm_removal and not placed_on.get(child.name):
                departures.append(
                    Departure(child=child.name, reason=f"member {name} left the list and confirmRemoval names it")
                )
            else:
                detached.append(child.name)
    return MembershipDecision(new=tuple(new), departures=tuple(departures), detached=tuple(detached))


def _departure(child: ChildCluster, cluster_set: ClusterSet) -> Departure:
    fate = "destroyed" if child.deletion_policy is DeletionPolicy.DELETE else "let go and left running"
    return Departure(
        child=child.name,
        reason=f"ClusterSet {cluster_set.meta.name} is being deleted; under {child.deletion_policy} its clusters "
        f"are {fate}",
    )


def _joiners(
    fleet: Fleet,
    cluster_set: ClusterSet,
    children: Mapping[str, ChildCluster],
    addresses: AddressPlan,
    revision_of: RevisionOf,
) -> list[NewChild]:
    """List members without a child. While older ones are still to change, joiners join at what those serve."""
    basis = joining_basis(cluster_set, tuple(children.values()), revision_of)
    joiners = []
    for member in cluster_set.members:
        name = cluster_set.child_name(member.name)
        if member.name in children or name not in addresses.addresses:
            continue
        at = f" at {basis.version}, the last completed version" if basis.version != cluster_set.version else ""
        joiners.append(
            NewChild(
                name=name,
                set_name=cluster_set.meta.name,
                member_name=member.name,
                version=first_version(basis.version, fleet.versions.get(cluster_set.provider.kind, ())),
                revision=revision_of(basis, member),
                addresses=addresses.addresses[name],
                reason=f"member {member.name} of ClusterSet {cluster_set.meta.name} has no cluster yet{at}",
            )
        )
    return joiners


def joining_basis(cluster_set: ClusterSet, children: tuple[ChildCluster, ...], revision_of: RevisionOf) -> ClusterSet:
    """Return the set as new members shall join it: at its last completed version while a change is under way."""
    completed = cluster_set.status.get("version")
    if not completed:
        return cluster_set
    outdated = any(
        child.revision != revision_of(cluster_set, member)
        for child in children
        if (member := cluster_set.member(child.member_name)) is not None
    )
    return replace(cluster_set, version=Version.parse(completed)) if outdated else cluster_set


def first_version(wanted: Version, available: tuple[Version, ...]) -> Version:
    """Return the exact version to create a cluster at: the newest patch of a minor that names none."""
    if wanted.patch is not None:
        return wanted
    fitting = [version for version in available if wanted.is_satisfied_by(version)]
    return max(fitting, default=wanted)
