"""Edits of manifests that lead from one case to another.

A path walks through the fields as users write them; `[name]` picks an entry of a list map. The value is the whole new
value of the field, None takes the field away.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atoll.fleet.decisions import Patch
from atoll.fleet.spec import ClusterSet, Member, Regime
from atoll.fleet.values import Resources, Selector

from .case import Case


def build_patches(before: Case, after: Case, cluster_set: ClusterSet) -> tuple[Patch, ...]:
    """Write what differs as edits: of the ClusterSet, the Environment, the Tenant and the Regimes."""
    member = cluster_set.member(after.candidate.member_name)
    found: list[Patch] = []
    if member is not None:
        found += _patch_member(before, after, cluster_set.meta.name, member)
    found += _patch_environment(before, after)
    found += _patch_tenant(before, after)
    found += _patch_regimes(before, after)
    return tuple(sorted(found, key=lambda patch: (patch.kind, patch.name, patch.path)))


def _patch_member(before: Case, after: Case, set_name: str, member: Member) -> Iterable[Patch]:
    old, new = before.candidate, after.candidate
    path = f"spec.clusters[{member.name}]"
    values: dict[str, Any] = {}
    if dict(new.labels) != dict(old.labels):
        # Region and country are read as labels too, but are declared in fields of their own.
        declared = {**member.labels, **{key: text for key, text in new.labels.items() if old.labels.get(key) != text}}
        for key, text in (("region", new.region), ("country", new.country)):
            if key not in member.labels and declared.get(key) == text and getattr(old, key) != text:
                del declared[key]
        declared = {key: text for key, text in declared.items() if key in new.labels}
        if declared != dict(member.labels):
            values["labels"] = dict(sorted(declared.items()))
    if new.country != old.country:
        values["country"] = new.country
    if new.region != old.region:
        values["region"] = new.region
    if new.regimes != old.regimes:
        values["regimes"] = [*member.regimes, *sorted({*new.regimes} - {*old.regimes})]
    if new.capabilities != old.capabilities:
        values["capabilities"] = [*member.capabilities, *sorted({*new.capabilities} - {*old.capabilities})]
    if new.workload_classes != old.workload_classes:
        values["workloadClasses"] = list(new.workload_classes) or None
    if new.reserved_for != old.reserved_for and new.reserved_for is not None:
        values["reservedFor"] = {"tenants": list(new.reserved_for)}
    if new.capacity != old.capacity and new.capacity is not None:
        known = old.capacity.amounts if old.capacity is not None else {}
        raised = {name: amount for name, amount in new.capacity.amounts.items() if known.get(name) != amount}
        declared_amounts = member.capacity.amounts if member.capacity is not None else {}
        values["capacity"] = Resources({**declared_amounts, **raised}).to_manifest()
    return [Patch(kind="ClusterSet", name=set_name, path=f"{path}.{key}", value=value) for key, value in values.items()]


def _patch_environment(before: Case, after: Case) -> Iterable[Patch]:
    old, new = before.environment, after.environment
    values: dict[str, Any] = {}
    if new.selector != old.selector:
        values["spec.placement.clusterSelector"] = write_selector(new.selector)
    if new.allowed_tenants != old.allowed_tenants and new.allowed_tenants is not None:
        values["spec.allowedTenants"] = list(new.allowed_tenants)
    if new.max_per_tenant != old.max_per_tenant:
        values["spec.maxPerTenant"] = new.max_per_tenant.to_manifest()
    if new.isolation != old.isolation:
        values["spec.isolation"] = str(new.isolation)
    if new.spread != old.spread and new.spread is not None:
        values["spec.placement.spread.maxSkew"] = new.spread.max_skew
    found = [Patch(kind="Environment", name=old.meta.name, path=path, value=value) for path, value in values.items()]
    found += [
        Patch(kind="Environment", name=name, path="spec.topology", value=str(environment.topology))
        for name, environment in sorted(after.environments.items())
        if environment.topology != before.environments[name].topology
    ]
    return found


def _patch_tenant(before: Case, after: Case) -> Iterable[Patch]:
    name = before.tenant.meta.name
    if after.tenant.regimes != before.tenant.regimes:
        yield Patch(kind="Tenant", name=name, path="spec.regimes", value=list(after.tenant.regimes))
    path = f"spec.environments[{before.environment.meta.name}]"
    if after.asked.isolation != before.asked.isolation:
        yield Patch(kind="Tenant", name=name, path=f"{path}.isolation", value=str(after.asked.isolation))
    for old, new in zip(before.asked.namespaces, after.asked.namespaces, strict=True):
        at = f"{path}.namespaces[{old.name}]" if old.name else path
        if new.resources != old.resources:
            yield Patch(kind="Tenant", name=name, path=f"{at}.resources", value=new.resources.to_manifest())
        if new.workload_class != old.workload_class:
            yield Patch(kind="Tenant", name=name, path=f"{at}.workloadClass", value=new.workload_class)


def _patch_regimes(before: Case, after: Case) -> Iterable[Patch]:
    for name, new in after.regimes.items():
        old = before.regimes.get(name)
        if old is None:
            yield Patch(kind="Regime", name=name, path="spec", value=_write_new_regime(new))
            continue
        if new.countries != old.countries:
            yield Patch(kind="Regime", name=name, path="spec.countries", value=list(new.countries))
        if new.incompatible_with != old.incompatible_with:
            yield Patch(kind="Regime", name=name, path="spec.incompatibleWith", value=list(new.incompatible_with))
        if new.isolation != old.isolation:
            yield Patch(kind="Regime", name=name, path="spec.isolation", value=str(new.isolation))
        if new.max_minors_behind != old.max_minors_behind:
            yield Patch(kind="Regime", name=name, path="spec.versions.maxMinorsBehind", value=new.max_minors_behind)


def _write_new_regime(regime: Regime) -> dict[str, Any]:
    return {"title": regime.title}


def write_selector(selector: Selector | None) -> dict[str, Any] | None:
    """Write a selector as a manifest does; None when all clusters are meant."""
    if selector is None:
        return None
    written: dict[str, Any] = {}
    if selector.match_labels:
        written["matchLabels"] = dict(sorted(selector.match_labels.items()))
    if selector.match_expressions:
        written["matchExpressions"] = [
            {"key": item.key, "operator": item.operator, **({"values": list(item.values)} if item.values else {})}
            for item in selector.match_expressions
        ]
    return written
