"""Rules about whom a tenant shares a cluster with: isolation of tenants, topologies of environments, spread."""

from __future__ import annotations

from collections.abc import Sequence

from atoll.fleet.spec import Isolation, Topology

from .case import Case, Resident


def check_isolation(case: Case) -> str:
    """Check that nobody shares a cluster who must not, whoever of them it is that needs it alone."""
    own = case.tenant.meta.name
    others = sorted({item.tenant for item in case.residents if item.tenant != own})
    if others and case.isolation is not Isolation.NAMESPACE:
        return f"hosts tenant {_list(others)}, and tenant {own} needs a cluster to itself (isolation {case.isolation})"
    alone = sorted({item.tenant for item in find_recluses(case)})
    return f"belongs to tenant {_list(alone)} alone (isolation Cluster)" if alone else ""


def find_recluses(case: Case) -> list[Resident]:
    """List the other tenants there that need the cluster to themselves."""
    own = case.tenant.meta.name
    return [item for item in case.residents if item.tenant != own and item.isolation is not Isolation.NAMESPACE]


def check_topology(case: Case) -> str:
    """Check that environments share clusters as they say; where topologies meet, the strictest wins, both ways."""
    name, classes = case.environment.meta.name, case.classes
    if case.environment.topology is Topology.CROSS_ENVIRONMENT and "" in classes:
        return f"environment {name} is split by workload class, and these namespaces have none"
    found = [(item, _meet(case, item, classes)) for item in case.residents]
    words = sorted({message for _, message in found if message})
    if words:
        return words[0] if len(words) == 1 else f"{words[0]} (and {len(words) - 1} more)"
    if case.kept_by:
        return f"is kept by environment {case.kept_by} for itself (ClusterPerEnvironment)"
    return ""


def _meet(case: Case, resident: Resident, classes: frozenset[str]) -> str:
    """Say why a tenant in an environment cannot stand beside a resident; empty when it can."""
    name, there = case.environment.meta.name, resident.environment
    stranger = there != name
    theirs = case.environments[there].topology if there in case.environments else Topology.SHARED_CLUSTER
    if case.environment.topology is Topology.CLUSTER_PER_ENVIRONMENT and stranger:
        return f"hosts environment {there}, and environment {name} keeps its clusters to itself (ClusterPerEnvironment)"
    if case.environment.topology is Topology.CLUSTER_PER_TENANT:
        return (
            f"hosts tenant {resident.tenant} in environment {there}, and in environment {name} each tenant has "
            "clusters of its own (ClusterPerTenant)"
        )
    if theirs is Topology.CLUSTER_PER_ENVIRONMENT and stranger:
        return f"is kept by environment {there} for itself (ClusterPerEnvironment)"
    if theirs is Topology.CLUSTER_PER_TENANT:
        return f"belongs to tenant {resident.tenant} in environment {there} alone (ClusterPerTenant)"
    if resident.classes != classes and Topology.CROSS_ENVIRONMENT in {case.environment.topology, theirs}:
        served = ", ".join(sorted(item or "none" for item in resident.classes))
        return f"serves workload class {served} across environments, and these are of another (CrossEnvironment)"
    return ""


def check_spread(case: Case) -> str:
    """Check that the environment's placements stay even over regions or countries."""
    spread = case.environment.spread
    crowd = case.crowd
    if spread is None or not crowd:
        return ""
    key, name = spread.topology_key, case.environment.meta.name
    if not case.domain:
        return f"has no known {key}, and environment {name} is spread over them"
    here, fewest = crowd[case.domain], min(crowd.values())
    if here + 1 - fewest <= spread.max_skew:
        return ""
    least = min(item for item, count in crowd.items() if count == fewest)
    return (
        f"{key} {case.domain} has {here} placements of environment {name} and {least} has {fewest}, and one more would "
        f"pass maxSkew {spread.max_skew}"
    )


def _list(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + rest
