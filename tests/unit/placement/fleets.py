"""Fleets for the placement tests: builders, and an applier of patches over the spec values."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from atoll.fleet.decisions import Candidate, Patch, PlacementDecision
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import (
    ClusterSet,
    Environment,
    Isolation,
    Member,
    Meta,
    ProviderBlock,
    Regime,
    Tenant,
    TenantEnvironment,
    TenantNamespace,
    Topology,
)
from atoll.fleet.values import Requirement, Resources, Selector, Version
from atoll.placement import build_candidates, place

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
EARLIER = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)


def amounts(**texts: str | int) -> Resources:
    return Resources.parse(texts)


def build_meta(name: str, **more) -> Meta:
    return Meta(name=name, namespace="fleet", **more)


def build_set(name: str, *members: Member, version: str = "v1.36.4", **more) -> ClusterSet:
    return ClusterSet(
        meta=build_meta(name),
        version=Version.parse(version),
        provider=ProviderBlock(kind="local"),
        members=members,
        **more,
    )


def build_member(name: str, cpu: str | int = 16, memory: str = "64Gi", **more) -> Member:
    return Member(name=name, **{"capacity": amounts(cpu=cpu, memory=memory, pods=110), **more})


def build_tenant(name: str, *environments: TenantEnvironment | str, status=None, **more) -> Tenant:
    asked = tuple(ask(item) if isinstance(item, str) else item for item in environments)
    return Tenant(meta=build_meta(name), environments=asked, status=status or {}, **more)


def ask(environment: str, cpu: str | int = 4, memory: str = "8Gi", clusters: int = 1, **more) -> TenantEnvironment:
    namespaces = more.pop("namespaces", (TenantNamespace(resources=amounts(cpu=cpu, memory=memory)),))
    return TenantEnvironment(name=environment, namespaces=namespaces, clusters=clusters, **more)


def build_environment(name: str = "prod", **more) -> Environment:
    return Environment(meta=build_meta(name), **more)


def build_regime(name: str, **more) -> Regime:
    return Regime(meta=build_meta(name), **more)


def build_fleet(*parts: ClusterSet | Environment | Tenant | Regime, **more) -> Fleet:
    def pick(kind):
        return tuple(part for part in parts if isinstance(part, kind))

    return Fleet(
        name="fleet",
        cluster_sets=pick(ClusterSet),
        environments=pick(Environment),
        tenants=pick(Tenant),
        regimes=pick(Regime),
        **more,
    )


def settle(fleet: Fleet, decision: PlacementDecision) -> Fleet:
    """Write a decision into the tenants' status, as the shell would."""
    tenants = []
    for tenant in fleet.tenants:
        placements = tuple(
            {
                "environment": item.environment,
                "namespace": item.namespace,
                "cluster": item.cluster,
                "isolation": item.isolation.value,
                "state": item.state,
                "since": item.since.isoformat().replace("+00:00", "Z") if item.since else None,
                "reason": item.reason,
            }
            for item in decision.placements
            if item.tenant == tenant.meta.name
        )
        tenants.append(replace(tenant, status={"placements": placements}))
    return replace(fleet, tenants=tuple(tenants))


def stand(environment: str, namespace: str, cluster: str, state: str = "Placed", since: str = "2026-11-20T09:00:00Z"):
    return {"environment": environment, "namespace": namespace, "cluster": cluster, "state": state, "since": since}


def places(decision: PlacementDecision) -> dict[str, list[str]]:
    """Return clusters by namespace."""
    found: dict[str, list[str]] = {}
    for item in decision.placements:
        found.setdefault(item.namespace, []).append(item.cluster)
    return found


def apply_patches(fleet: Fleet, patches: Iterable[Patch]) -> Fleet:
    """Do what the patches say to the spec values, as an editor would to the manifests. Unknown paths are an error."""
    for patch in patches:
        match patch.kind:
            case "ClusterSet":
                sets = [_patch_set(s, patch) if s.meta.name == patch.name else s for s in fleet.cluster_sets]
                fleet = replace(fleet, cluster_sets=tuple(sets))
            case "Environment":
                changed = [_patch_environment(e, patch) if e.meta.name == patch.name else e for e in fleet.environments]
                fleet = replace(fleet, environments=tuple(changed))
            case "Tenant":
                tenants = [_patch_tenant(t, patch) if t.meta.name == patch.name else t for t in fleet.tenants]
                fleet = replace(fleet, tenants=tuple(tenants))
            case "Regime" if patch.path == "spec":
                assert fleet.regime(patch.name) is None
                fleet = replace(fleet, regimes=(*fleet.regimes, build_regime(patch.name, **patch.value)))
            case "Regime":
                regimes = [_patch_regime(r, patch) if r.meta.name == patch.name else r for r in fleet.regimes]
                fleet = replace(fleet, regimes=tuple(regimes))
            case _:
                raise AssertionError(patch)
    return fleet


def _patch_set(cluster_set: ClusterSet, patch: Patch) -> ClusterSet:
    found = re.fullmatch(r"spec\.clusters\[([a-z0-9-]+)\]\.([A-Za-z]+)", patch.path)
    assert found, patch
    name, field = found.groups()
    value = patch.value
    change = {
        "labels": lambda: {"labels": value},
        "country": lambda: {"country": value},
        "region": lambda: {"region": value},
        "regimes": lambda: {"regimes": tuple(value)},
        "capabilities": lambda: {"capabilities": tuple(value)},
        "workloadClasses": lambda: {"workload_classes": tuple(value or ())},
        "reservedFor": lambda: {"reserved_for": tuple(value["tenants"])},
        "capacity": lambda: {"capacity": Resources.parse(value)},
    }[field]()
    assert cluster_set.member(name) is not None
    members = tuple(replace(m, **change) if m.name == name else m for m in cluster_set.members)
    return replace(cluster_set, members=members)


def _patch_environment(environment: Environment, patch: Patch) -> Environment:
    value = patch.value
    match patch.path:
        case "spec.placement.clusterSelector":
            return replace(environment, selector=None if value is None else parse_selector(value))
        case "spec.allowedTenants":
            return replace(environment, allowed_tenants=tuple(value))
        case "spec.maxPerTenant":
            return replace(environment, max_per_tenant=Resources.parse(value))
        case "spec.topology":
            return replace(environment, topology=Topology(value))
        case "spec.isolation":
            return replace(environment, isolation=Isolation(value))
        case "spec.placement.spread.maxSkew":
            assert environment.spread is not None
            return replace(environment, spread=replace(environment.spread, max_skew=value))
    raise AssertionError(patch)


def parse_selector(value) -> Selector:
    expressions = tuple(
        Requirement(key=item["key"], operator=item["operator"], values=tuple(item.get("values", ())))
        for item in value.get("matchExpressions", ())
    )
    return Selector(match_labels=value.get("matchLabels", {}), match_expressions=expressions)


def _patch_tenant(tenant: Tenant, patch: Patch) -> Tenant:
    if patch.path == "spec.regimes":
        return replace(tenant, regimes=tuple(patch.value))
    isolated = re.fullmatch(r"spec\.environments\[([a-z0-9-]+)\]\.isolation", patch.path)
    if isolated:
        level = Isolation(patch.value)
        environments = [replace(e, isolation=level) if e.name == isolated.group(1) else e for e in tenant.environments]
        return replace(tenant, environments=tuple(environments))
    found = re.fullmatch(
        r"spec\.environments\[([a-z0-9-]+)\](?:\.namespaces\[([a-z0-9-]+)\])?\.(resources|workloadClass)", patch.path
    )
    assert found, patch
    environment, namespace, field = found.group(1), found.group(2) or "", found.group(3)
    change = {"resources": Resources.parse(patch.value)} if field == "resources" else {"workload_class": patch.value}
    return replace(
        tenant,
        environments=tuple(
            replace(
                item,
                namespaces=tuple(replace(n, **change) if n.name == namespace else n for n in item.namespaces),
            )
            if item.name == environment
            else item
            for item in tenant.environments
        ),
    )


def _patch_regime(regime: Regime, patch: Patch) -> Regime:
    match patch.path:
        case "spec.countries":
            return replace(regime, countries=tuple(patch.value))
        case "spec.incompatibleWith":
            return replace(regime, incompatible_with=tuple(patch.value))
        case "spec.versions.maxMinorsBehind":
            return replace(regime, max_minors_behind=patch.value)
    raise AssertionError(patch)


def decide(fleet: Fleet) -> tuple[tuple[Candidate, ...], PlacementDecision]:
    """Decide as if every declared member were there and well."""
    candidates = build_candidates(fleet, NOW, assume_available=True)
    return candidates, place(fleet, candidates, NOW)
