"""All that belongs into one child."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final

from atoll.fleet.decisions import Placement
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Tenant
from atoll.fleet.values import Resources, Version

from .access import build_accounts, build_bindings
from .flows import build_network_policies, find_flows
from .limits import build_limit_range, build_quota
from .metadata import Labels, find_key, merge_labels
from .namespace import DEFAULT_POD_SECURITY, build_namespace
from .operators import Operators
from .owner import build_owner, build_system_namespace
from .policies import build_policies
from .roles import build_cluster_roles

ORDER: Final[Mapping[str, int]] = {
    "Namespace": 0,
    "ClusterRole": 1,
    "ValidatingAdmissionPolicy": 2,
    "ValidatingAdmissionPolicyBinding": 3,
}
"""In which order kinds are applied; all others come last."""
LAST: Final = len(ORDER)


def wanted_objects(
    fleet: Fleet,
    child: ChildCluster,
    placements: Iterable[Placement],
    hub_uid: str,
    *,
    labels_for: Mapping[tuple[str, str], Labels],
    pod_security_for: Mapping[tuple[str, str], str] | None = None,
    tenants: Mapping[str, Tenant] | None = None,
    operators: Operators | None = None,
    served: Version | None = None,
) -> tuple[Mapping[str, Any], ...]:
    """Build every object that belongs into `child`: namespaces, roles, policies, then the rest, each sorted.

    `labels_for` holds compiled governance labels by tenant and environment: they stand on everything that is made for
    it. `pod_security_for` holds the level where it is not the default. A placement without access keeps what holds or
    bounds data, and nothing else. Of a tenant that is not there, or cannot be read, nothing is known and nothing is
    built. `tenants` saves a search where many children are planned in one go. `operators` says who Atoll is in the
    child (None: not known yet), `served` the version of its API server (None: the one that it shall have).
    """
    levels = pod_security_for or {}
    mine = sorted(
        (item for item in placements if item.cluster == child.name and item.state != "Refused"),
        key=lambda item: item.namespace,
    )
    if tenants is None:
        names = {item.tenant for item in mine}
        tenants = {item.meta.name: item for item in fleet.tenants if item.meta.name in names}
    flows = find_flows(mine, tenants, child)
    bodies = [build_owner(hub_uid, fleet.name, child), *_build_machinery(served or child.version, operators)]
    labels_of_accounts: dict[str, list[Labels]] = {}
    for placement in mine:
        tenant = tenants.get(placement.tenant)
        if tenant is None:
            continue
        key = (placement.tenant, placement.environment)
        labels = labels_for.get(key, {})
        level = levels.get(key, DEFAULT_POD_SECURITY)
        bodies.append(build_namespace(placement, labels, level, tenant.meta.uid))
        bodies += build_network_policies(placement, labels, flows)
        resources = _find_resources(tenant, placement)
        if resources is not None:
            bodies += [build_quota(placement, resources, labels), build_limit_range(placement, resources, labels)]
        if placement.access:
            bodies += build_bindings(placement, tenant.members, labels)
            labels_of_accounts.setdefault(placement.tenant, []).append(labels)
    for name, several in sorted(labels_of_accounts.items()):
        bodies += build_accounts(name, merge_labels(several))
    return tuple(sorted(bodies, key=lambda body: (ORDER.get(body["kind"], LAST), *find_key(body))))


@lru_cache(maxsize=512)
def _build_machinery(served: Version, operators: Operators | None) -> tuple[Mapping[str, Any], ...]:
    """Build what hangs on nothing else: hundreds of children share it, and each decision asks for it anew."""
    return (build_system_namespace(), *build_cluster_roles(), *build_policies(served, operators))


def _find_resources(tenant: Tenant, placement: Placement) -> Resources | None:
    """Return what the namespace may use; None when it is no longer asked for, so that its quota stays as it is."""
    for environment, namespace, full in tenant.list_namespaces():
        if (environment.name, full) == (placement.environment, placement.namespace):
            return namespace.resources
    return None
