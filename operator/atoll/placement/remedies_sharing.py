"""The smallest change where tenants must not meet: how they could share, or what to add so that they need not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType

from atoll.fleet.spec import Isolation, Topology

from .case import Case
from .edits import with_isolation, with_namespaces, with_shared
from .sharing import check_spread, check_topology, find_recluses


def fix_supported(case: Case) -> tuple[Case, str]:
    """Ask for the strictest isolation that there is."""
    changed = with_isolation(case, Isolation.CLUSTER)
    return changed, f"accept isolation Cluster in {_list_strict(case)}, or wait for a version that supports more"


def fix_isolation(case: Case) -> tuple[Case, str]:
    """Name the member to add; where the tenant asks for the isolation by itself, the edit takes that back.

    What a neighbour needs is not for this tenant to weaken.
    """
    own = f"add a member of its own to ClusterSet {case.candidate.set_name} spec.clusters"
    changed = with_isolation(case, Isolation.NAMESPACE)
    if find_recluses(case) or changed.isolation is not Isolation.NAMESPACE:
        return case, own
    sentence = f"{own}, or accept isolation Namespace in {_list_strict(case)}"
    return changed, sentence


def fix_topology(case: Case) -> tuple[Case, str]:
    """Let the environments share, each that stands in the way; a member of its own would do, too."""
    member = f"add a member for it to ClusterSet {case.candidate.set_name} spec.clusters"
    name = case.environment.meta.name
    if case.environment.topology is Topology.CROSS_ENVIRONMENT and "" in case.classes:
        first = next((item for item in case.candidate.workload_classes), "shared")
        if any(not item.name for item in case.namespaces):
            return case, f"declare namespaces with a workloadClass in Tenant {case.tenant.meta.name}"
        changed = {
            item.name: replace(item, workload_class=first) for item in case.namespaces if not item.workload_class
        }
        classed = with_namespaces(case, changed)
        sentence = f"give {', '.join(changed)} of Tenant {case.tenant.meta.name} workloadClass {first}"
        if not check_topology(classed):
            return classed, sentence
    strict = [name, *sorted({item.environment for item in case.residents} | ({case.kept_by} - {""}))]
    sharing = [item for item in dict.fromkeys(strict) if _is_strict(case, item)]
    for environment in tuple(sharing):
        fewer = [item for item in sharing if item != environment]
        if not check_topology(_share(case, fewer)):
            sharing = fewer
    words = ", ".join(f"Environment {item}" for item in sharing)
    return _share(case, sharing), f"{member}, or use topology SharedCluster in {words}" if sharing else member


def _is_strict(case: Case, environment: str) -> bool:
    found = case.environments.get(environment)
    return found is not None and found.topology is not Topology.SHARED_CLUSTER


def _share(case: Case, environments: Sequence[str]) -> Case:
    for environment in environments:
        case = with_shared(case, environment)
    return case


def fix_spread(case: Case) -> tuple[Case, str]:
    """State where a cluster stands; allow the skew that it takes."""
    spread = case.environment.spread
    assert spread is not None
    key, sentences = spread.topology_key, []
    if not case.domain:
        crowd = case.crowd
        where = min(crowd, key=lambda name: (crowd[name], name))
        old = case.candidate
        country, region = (where, old.region) if key == "country" else (old.country, where)
        labels = MappingProxyType({key: where, **old.labels})
        case = replace(case, candidate=replace(old, labels=labels, country=country, region=region))
        sentences.append(f"set {case.field}.{key} to where it stands, such as {where}")
    if check_spread(case):
        skew = case.crowd[case.domain] + 1 - min(case.crowd.values())
        case = replace(case, environment=replace(case.environment, spread=replace(spread, max_skew=skew)))
        name = case.environment.meta.name
        sentences.append(f"raise Environment {name} spec.placement.spread.maxSkew to {skew}, or add clusters elsewhere")
    return case, "; ".join(sentences)


def _list_strict(case: Case) -> str:
    """Name what asks for more isolation than a namespace."""
    named = [
        f"Regime {name}"
        for name in case.enforced
        if name in case.regimes and case.regimes[name].isolation is not Isolation.NAMESPACE
    ]
    if case.environment.isolation is not Isolation.NAMESPACE:
        named.insert(0, f"Environment {case.environment.meta.name}")
    if case.asked.isolation is not Isolation.NAMESPACE:
        named.insert(0, f"Tenant {case.tenant.meta.name} spec.environments[{case.asked.name}]")
    return ", ".join(named)
