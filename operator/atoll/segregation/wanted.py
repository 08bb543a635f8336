"""All that belongs into one child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Tenant
from atoll.fleet.values import Resources

from .access import build_accounts, build_bindings
from .flows import build_network_policies
from .limits import build_limit_range, build_quota
from .metadata import find_key
from .namespace import DEFAULT_POD_SECURITY, build_namespace
from .owner import build_owner, build_system_namespace
from .roles import build_cluster_roles

_ORDER = {"Namespace": 0, "ClusterRole": 1}


def wanted_objects(
    fleet: Fleet,
    child: ChildCluster,
    placements: Iterable[Placement],
    hub_uid: str,
    *,
    labels_for: Mapping[tuple[str, str], Mapping[str, str]],
    pod_security_for: Mapping[tuple[str, str], str] | None = None,
    tenants: Mapping[str, Tenant] | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """Build every object that belongs into `child`: namespaces, cluster roles, then the rest, each sorted.

    `labels_for` holds compiled governance labels by tenant and environment; `pod_security_for` the level where it is
    not the default. A `Leaving` placement keeps what holds or bounds data, and no access. Of a tenant that is not
    there, or cannot be read, nothing is known and nothing is built. `tenants` saves a search where many children are
    planned in one go.
    """
    levels = pod_security_for or {}
    mine = sorted(
        (item for item in placements if item.cluster == child.name and item.state != "Refused"),
        key=lambda item: item.namespace,
    )
    if tenants is None:
        names = {item.tenant for item in mine}
        tenants = {item.meta.name: item for item in fleet.tenants if item.meta.name in names}
    bodies = [build_system_namespace(), build_owner(hub_uid, fleet.name, child), *build_cluster_roles()]
    with_access: set[str] = set()
    for placement in mine:
        tenant = tenants.get(placement.tenant)
        key = (placement.tenant, placement.environment)
        if tenant is None or (placement.state == "Leaving" and key not in labels_for):
            continue
        bodies.append(build_namespace(placement, labels_for.get(key, {}), levels.get(key, DEFAULT_POD_SECURITY)))
        bodies += build_network_policies(placement)
        resources = _find_resources(tenant, placement)
        if resources is not None:
            bodies += [build_quota(placement, resources), build_limit_range(placement, resources)]
        if placement.state != "Leaving" and not tenant.meta.deleting:
            bodies += build_bindings(placement, tenant.members)
            with_access.add(placement.tenant)
    for name in sorted(with_access):
        bodies += build_accounts(name)
    return tuple(sorted(bodies, key=lambda body: (_ORDER.get(body["kind"], 2), *find_key(body))))


def _find_resources(tenant: Tenant, placement: Placement) -> Resources | None:
    """Return what the namespace may use; None when it is no longer asked for, so that its quota stays as it is."""
    for environment in tenant.environments:
        if environment.name == placement.environment:
            for namespace in environment.namespaces:
                if tenant.namespace_name(environment.name, namespace.name) == placement.namespace:
                    return namespace.resources
    return None
