"""Limits: how many clusters may be on the move at once, counted over a wave, a set, a region and each environment.

Counted are names, in sets, so that a cluster which is told the same thing twice still counts once. The books are kept
for one decision and thrown away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from atoll.fleet.cluster import OperationType
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet

from .health import has_failed, is_given_up
from .stored import BLOCKING, UNFINISHED, rollout_number

RESIDENCY: Final = "country"
"""Code of the placement rule that holds up changes of a cluster while it is broken there."""


@dataclass(slots=True)
class Books:
    """Who is on the move, while one decision is made."""

    hosted: Mapping[str, tuple[str, ...]]
    """Environments by ChildCluster."""
    limits: Mapping[str, int]
    """`maxUnavailableClusters` by environment, where there is one."""
    noncompliant: Mapping[str, str]
    """Why a ChildCluster is not to be touched until a tenant has left it."""
    moving: dict[str, set[str]] = field(default_factory=dict)
    """ChildClusters on the move, by set."""
    unavailable: set[str] = field(default_factory=set)
    """ChildClusters of all sets that are changing, or stopped in the middle of a change."""
    failed: dict[str, str] = field(default_factory=dict)
    """Those of them that were given up keep their environments' places until a person mends them: how."""

    def take(self, set_name: str, child: str) -> None:
        """Enter a child that is told to move."""
        self.moving.setdefault(set_name, set()).add(child)
        self.unavailable.add(child)

    def find_environment_limit(self, child: str) -> str:
        """Say which environment has no room for one more cluster on the move; empty: all have."""
        for name in self.hosted.get(child, ()):
            limit = self.limits.get(name)
            if limit is None:
                continue
            others = sorted(item for item in self.unavailable - {child} if name in self.hosted.get(item, ()))
            if len(others) >= limit:
                told = ", ".join(others) or "none"
                remedy = "".join(
                    f". {words}" for words in sorted({self.failed[item] for item in others if item in self.failed})
                )
                return f"environment {name} allows {limit} unavailable clusters, and has {len(others)}: {told}{remedy}"
        return ""


def open_books(fleet: Fleet) -> Books:
    """Count who is on the move now."""
    books = Books(
        hosted=list_hosted(fleet),
        noncompliant=list_noncompliant(fleet),
        limits={
            environment.meta.name: environment.max_unavailable_clusters
            for environment in fleet.environments
            if environment.max_unavailable_clusters is not None
        },
    )
    for child in fleet.children:
        if not child.done_revision:
            continue
        drilled = child.operation is not None and child.operation.type is OperationType.DRILL
        if child.revision != child.done_revision or (child.operation is not None and not drilled):
            books.unavailable.add(child.name)
        if _is_moving(fleet, child):
            books.moving.setdefault(child.set_name, set()).add(child.name)
        if child.revision != child.done_revision and has_failed(child, fleet.views.get(child.name)):
            books.failed[child.name] = find_remedy(fleet, child)
    return books


def find_remedy(fleet: Fleet, child: ChildCluster) -> str:
    """Say what a person has to do for a child that was given up, so that it gives back its place."""
    if child.operation is None or child.operation.type not in {OperationType.CHANGE, OperationType.REVERT}:
        return f"Mend {child.name}; it is tried again by itself"
    cluster_set = fleet.cluster_set(child.set_name)
    if cluster_set is None:
        return f"Mend {child.name}"
    again = _describe_retry(fleet, cluster_set)
    if cluster_set.member(child.member_name) is None:
        # Only a rollout tells it to go on, and those of its set leave it out.
        return f"Mend {child.name}, add member {child.member_name} to ClusterSet {child.set_name} again, then {again}"
    return f"Mend {child.name}, then {again}"


def _describe_retry(fleet: Fleet, cluster_set: ClusterSet) -> str:
    """Say how a set gets another rollout to the same target, as its last one stands."""
    name = cluster_set.meta.name
    mine = [item for item in fleet.rollouts if item.set_name == name and not item.meta.deleting]
    last = max(mine, key=lambda item: (rollout_number(item.meta.name, name), item.meta.name), default=None)
    state = str(last.status.get("state", "")) if last is not None else ""
    if last is not None and state in UNFINISHED:
        return f"`atoll abort {name}` and `atoll retry {name}`"
    if state in BLOCKING:
        return f"`atoll retry {name}`"
    retry = max(cluster_set.upgrade.retry, last.retry if last is not None else 0)
    return f"raise spec.upgrade.retry of ClusterSet {name} to {retry + 1}"


def list_noncompliant(fleet: Fleet) -> Mapping[str, str]:
    """List the clusters where tenants stand that their residency forbids, as the tenants' statuses tell."""
    return {
        entry["cluster"]: f"tenant {tenant.meta.name} has to leave it first (rule {entry['rule']}); `atoll why "
        f"tenant/{tenant.meta.name}` tells where to"
        for tenant in sorted(fleet.tenants, key=lambda item: item.meta.name, reverse=True)
        for entry in tenant.status.get("placements", ())
        if entry.get("rule") == RESIDENCY
    }


def list_hosted(fleet: Fleet) -> Mapping[str, tuple[str, ...]]:
    """List the environments of each ChildCluster, as the tenants' statuses say."""
    found: dict[str, set[str]] = {}
    for tenant in fleet.tenants:
        for placement in tenant.status.get("placements") or ():
            if placement.get("state") != "Refused":
                found.setdefault(str(placement.get("cluster", "")), set()).add(str(placement.get("environment", "")))
    return {cluster: tuple(sorted(names)) for cluster, names in found.items()}


def find_regions(cluster_set: ClusterSet) -> Mapping[str, str]:
    """Return the region of each ChildCluster; all that name none count as one region."""
    return {cluster_set.child_name(member.name): member.region for member in cluster_set.members}


def find_limit(
    books: Books, cluster_set: ClusterSet, wave: tuple[str, int, frozenset[str]], child: str, regions: Mapping[str, str]
) -> str:
    """Say which limit keeps a child from moving now; empty: none.

    `wave`: its name, how many of it may move at once, and which others of it move or keep a place.
    """
    wave_name, wave_limit, in_wave = wave
    upgrade = cluster_set.upgrade
    moving = books.moving.get(cluster_set.meta.name, set()) | in_wave
    set_limit = upgrade.max_concurrent.of(len(cluster_set.members), least=1)
    if len(in_wave - {child}) >= wave_limit:
        return f"wave {wave_name} changes {wave_limit} at a time"
    if len(moving - {child}) >= set_limit:
        return f"the set changes {set_limit} at a time (spec.upgrade.maxConcurrent)"
    if upgrade.max_concurrent_per_region is not None:
        region = regions.get(child, "")
        there = {other for other in moving - {child} if regions.get(other, "") == region}
        limit = max(upgrade.max_concurrent_per_region, 1)
        if len(there) >= limit:
            return f"region {region or '(none)'} changes {limit} at a time (spec.upgrade.maxConcurrentPerRegion)"
    return books.find_environment_limit(child)


def _is_moving(fleet: Fleet, child: ChildCluster) -> bool:
    if child.operation is not None:
        return not child.operation.failed and child.operation.type in {OperationType.CHANGE, OperationType.REVERT}
    cluster_set = fleet.cluster_set(child.set_name)
    detached = cluster_set is None or cluster_set.member(child.member_name) is None
    if child.revision == child.done_revision or detached:
        # Nobody has to verify a detached child, so it may not hold up the others until somebody does.
        return False
    return not is_given_up(child, fleet.views.get(child.name))
