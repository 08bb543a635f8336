"""Tenants and the insides of children, brought together: what is written, what is applied, what is seen there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from atoll.fleet.decisions import Placement, PlacementDecision, Problem
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.governance import (
    attested_regimes,
    choose_pod_security,
    compile_labels,
    effective_regimes,
    find_contradictions,
)

from .interior import Compiled, Covers, Interior, plan_interior, settle_placements
from .leaving import mark_placement


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """Placements as they stand now, and the inside of each child."""

    placements: tuple[Placement, ...]
    interiors: Mapping[str, Interior]
    """By ChildCluster name."""
    problems: tuple[Problem, ...] = ()
    _by_tenant: Mapping[str, tuple[Placement, ...]] = field(init=False, repr=False, compare=False)
    _by_cluster: Mapping[str, tuple[Placement, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_tenant", _group(self.placements, lambda placement: placement.tenant))
        object.__setattr__(self, "_by_cluster", _group(self.placements, lambda placement: placement.cluster))

    def of_tenant(self, name: str) -> tuple[Placement, ...]:
        """Return a tenant's placements."""
        return self._by_tenant.get(name, ())

    def on_cluster(self, name: str) -> tuple[Placement, ...]:
        """Return what stands on a child, leaving or not."""
        return self._by_cluster.get(name, ())

    def counts_by_cluster(self) -> Mapping[str, int]:
        """Count namespaces by child."""
        return Counter(placement.cluster for placement in self.placements)


def plan_tenancy(fleet: Fleet, placement: PlacementDecision, now: datetime, *, covers: Covers) -> Tenancy:
    """Plan the inside of every child from the placements that stand in tenants' statuses already.

    A placement that was decided just now is written first; its namespace is made by a later decision, that reads it
    back. So a crash in between forgets nothing, and another operator sees what is meant.
    """
    decided = tuple(mark_placement(fleet, item) for item in _leave_with_tenant(fleet, placement))
    written = {
        (tenant.meta.name, entry.get("environment"), entry.get("namespace"), entry.get("cluster"))
        for tenant in fleet.tenants
        for entry in tenant.status.get("placements", ())
    }
    standing = (item for item in decided if (item.tenant, item.environment, item.namespace, item.cluster) in written)
    by_cluster = _group(standing, lambda item: item.cluster)
    frozen = _frozen_tenants(fleet, now)
    interiors = {}
    problems: list[Problem] = list(find_contradictions(fleet))
    for child in fleet.children:
        here = by_cluster.get(child.name, ())
        compiled, found = _compile(fleet, child, here)
        problems += found
        interiors[child.name] = plan_interior(fleet, child, here, compiled, covers=covers, frozen_tenants=frozen)
    settled: list[Placement] = []
    by_tenant = _group(decided, lambda item: item.tenant)
    for tenant in fleet.tenants:
        settled += settle_placements(tenant, by_tenant.get(tenant.meta.name, ()), interiors, fleet)
    return Tenancy(placements=tuple(settled), interiors=interiors, problems=tuple(dict.fromkeys(problems)))


def _group(items: Iterable[Placement], key: Callable[[Placement], str]) -> Mapping[str, tuple[Placement, ...]]:
    grouped: dict[str, list[Placement]] = {}
    for item in items:
        grouped.setdefault(key(item), []).append(item)
    return {name: tuple(mine) for name, mine in grouped.items()}


def _leave_with_tenant(fleet: Fleet, placement: PlacementDecision) -> list[Placement]:
    """Mark everything of a tenant that is being deleted, and everything on a child that goes, as leaving."""
    going = {tenant.meta.name for tenant in fleet.tenants if tenant.meta.deleting}
    leaving = {child.name for child in fleet.children if child.meta.deleting}
    return [
        replace(item, state="Leaving") if item.tenant in going or item.cluster in leaving else item
        for item in placement.placements
    ]


def _compile(
    fleet: Fleet, child: ChildCluster, placements: tuple[Placement, ...]
) -> tuple[Compiled, tuple[Problem, ...]]:
    """Compile labels and pod security for every tenancy on a child."""
    regimes = {regime.meta.name: regime for regime in fleet.regimes}
    cluster_set = fleet.cluster_set(child.set_name)
    member = cluster_set.member(child.member_name) if cluster_set is not None else None
    labels: dict[tuple[str, str], Mapping[str, str]] = {}
    levels: dict[tuple[str, str], str] = {}
    problems: list[Problem] = []
    for key in sorted({(item.tenant, item.environment) for item in placements}):
        tenant, environment = fleet.tenant(key[0]), fleet.environment(key[1])
        labels[key], found = compile_labels(cluster_set, member, environment, tenant, regimes)
        names = {*effective_regimes(environment, tenant), *attested_regimes(cluster_set, member)}
        levels[key] = choose_pod_security(sorted(names), regimes)
        problems += found
    return Compiled(labels=labels, pod_security=levels), tuple(problems)


def _frozen_tenants(fleet: Fleet, now: datetime) -> frozenset[str]:
    """Name the tenants for whom nothing is changed: paused ones, and those whose spec cannot be read."""
    paused = {item.meta.name for item in fleet.tenants if item.paused is not None and item.paused.holds(now)}
    unreadable = {item.name for item in fleet.invalid if item.kind == "Tenant"}
    return frozenset(paused | unreadable)
