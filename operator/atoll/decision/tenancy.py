"""Tenants and the insides of children, brought together: what is written, what is applied, what is seen there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from atoll.fleet.decisions import Placement, PlacementDecision, Problem
from atoll.fleet.snapshot import Fleet
from atoll.governance import compile_labels

from .interior import Covers, Interior, plan_interior, settle_placements


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenancy:
    """Placements as they stand now, and the inside of each child."""

    placements: tuple[Placement, ...]
    interiors: Mapping[str, Interior]
    """By ChildCluster name."""
    problems: tuple[Problem, ...] = ()

    def of_tenant(self, name: str) -> tuple[Placement, ...]:
        """Return a tenant's placements."""
        return tuple(placement for placement in self.placements if placement.tenant == name)

    def on_cluster(self, name: str) -> tuple[Placement, ...]:
        """Return what stands on a child, leaving or not."""
        return tuple(placement for placement in self.placements if placement.cluster == name)

    def counts_by_cluster(self) -> Mapping[str, int]:
        """Count namespaces by child."""
        return Counter(placement.cluster for placement in self.placements)


def plan_tenancy(fleet: Fleet, placement: PlacementDecision, *, covers: Covers) -> Tenancy:
    """Plan the inside of every child from the placements that stand in tenants' statuses already.

    A placement that was decided just now is written first; its namespace is made by a later decision, that reads it
    back. So a crash in between forgets nothing, and another operator sees what is meant.
    """
    decided = tuple(_leave_with_tenant(fleet, placement))
    by_cluster: dict[str, list[Placement]] = {}
    for item in decided:
        tenant = fleet.tenant(item.tenant)
        entries = tenant.status.get("placements", ()) if tenant is not None else ()
        written = {(entry.get("environment"), entry.get("namespace"), entry.get("cluster")) for entry in entries}
        if (item.environment, item.namespace, item.cluster) in written:
            by_cluster.setdefault(item.cluster, []).append(item)
    regimes = {regime.meta.name: regime for regime in fleet.regimes}
    interiors = {}
    problems: list[Problem] = []
    for child in fleet.children:
        cluster_set = fleet.cluster_set(child.set_name)
        if cluster_set is None:
            continue
        here = tuple(by_cluster.get(child.name, ()))
        labels = {}
        for tenant_name, environment_name in sorted({(item.tenant, item.environment) for item in here}):
            labels[tenant_name, environment_name], found = compile_labels(
                cluster_set,
                cluster_set.member(child.member_name),
                fleet.environment(environment_name),
                fleet.tenant(tenant_name),
                regimes=regimes,
            )
            problems += found
        interiors[child.name] = plan_interior(fleet, child, cluster_set, here, labels, covers=covers)
    settled: list[Placement] = []
    for tenant in fleet.tenants:
        mine = tuple(item for item in decided if item.tenant == tenant.meta.name)
        settled += settle_placements(tenant, mine, interiors, fleet)
    return Tenancy(placements=tuple(settled), interiors=interiors, problems=tuple(dict.fromkeys(problems)))


def _leave_with_tenant(fleet: Fleet, placement: PlacementDecision) -> list[Placement]:
    """Mark everything of a tenant that is being deleted, and everything on a child that goes, as leaving."""
    going = {tenant.meta.name for tenant in fleet.tenants if tenant.meta.deleting}
    leaving = {child.name for child in fleet.children if child.meta.deleting}
    return [
        replace(item, state="Leaving") if item.tenant in going or item.cluster in leaving else item
        for item in placement.placements
    ]
