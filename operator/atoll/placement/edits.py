"""Edits of a case: what it would be if somebody changed a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from atoll.fleet.spec import Isolation, Meta, Regime, TenantNamespace, Topology

from .case import Case

_LEVELS: Final = tuple(Isolation)


def with_regimes(case: Case, changed: Mapping[str, Regime]) -> Case:
    """Return the case with these regimes changed or made."""
    return replace(case, regimes=MappingProxyType({**case.regimes, **changed}))


def with_new_regimes(case: Case, names: list[str]) -> Case:
    """Return the case as if Regimes of these names had been made, asking for nothing yet."""
    meta = case.tenant.meta
    return with_regimes(
        case, {name: Regime(meta=Meta(name=name, namespace=meta.namespace), title=name) for name in names}
    )


def find_namespace(case: Case, name: str) -> TenantNamespace:
    """Return one of the namespaces in question."""
    return next(item for item in case.asked.namespaces if item.name == name)


def with_namespaces(case: Case, changed: Mapping[str, TenantNamespace]) -> Case:
    """Return the case with these namespaces of the tenant changed."""
    namespaces = tuple(changed.get(item.name, item) for item in case.asked.namespaces)
    asked = replace(case.asked, namespaces=namespaces)
    environments = tuple(asked if item.name == asked.name else item for item in case.tenant.environments)
    return replace(case, tenant=replace(case.tenant, environments=environments))


def with_isolation(case: Case, level: Isolation) -> Case:
    """Lower what tenant and environment ask for to `level`; what a regime asks for is not theirs to weaken."""
    asked = replace(case.asked, isolation=min(case.asked.isolation, level, key=_LEVELS.index))
    environments = tuple(asked if item.name == asked.name else item for item in case.tenant.environments)
    environment = replace(case.environment, isolation=min(case.environment.isolation, level, key=_LEVELS.index))
    return replace(case, tenant=replace(case.tenant, environments=environments), environment=environment)


def with_shared(case: Case, environment: str) -> Case:
    """Return the case as if an environment shared its clusters."""
    if environment not in case.environments:
        return case
    changed = replace(case.environments[environment], topology=Topology.SHARED_CLUSTER)
    case = replace(case, environments=MappingProxyType({**case.environments, environment: changed}))
    if environment == case.environment.meta.name:
        case = replace(case, environment=replace(case.environment, topology=Topology.SHARED_CLUSTER))
    return replace(case, kept_by="") if case.kept_by == environment else case
