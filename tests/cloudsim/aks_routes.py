"""The calls that the stand-in for Azure has, by method and path: the REST operations' own names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import unquote

from .core import Ask

PROVIDER: Final = "/providers/Microsoft.ContainerService"
GROUP: Final = "/subscriptions/{subscription}/resourceGroups/{group}"
CLUSTER: Final = f"{GROUP}{PROVIDER}/managedClusters/{{name}}"
POOL: Final = f"{CLUSTER}/agentPools/{{pool}}"
WINDOW: Final = f"{CLUSTER}/maintenanceConfigurations/{{window}}"
LOCATION: Final = f"/subscriptions/{{subscription}}{PROVIDER}/locations/{{location}}"
SERVICE: Final = "Microsoft.ContainerService"


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call."""

    name: str
    method: str
    path: re.Pattern[str]
    action: str = ""
    """The permission that it needs; empty: none of ours."""
    query: frozenset[str] = frozenset()
    """What the query may hold beside the version."""


def _route(name: str, method: str, path: str, action: str = "", query: tuple[str, ...] = ()) -> Route:
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path))
    return Route(
        name=name,
        method=method,
        path=re.compile(pattern, re.IGNORECASE),
        action=f"{SERVICE}/{action}" if action else "",
        query=frozenset(query),
    )


LOGIN: Final = (
    _route("DiscoverInstance", "GET", "/common/discovery/instance"),
    _route("GetOpenIdConfiguration", "GET", "/{tenant}/v2.0/.well-known/openid-configuration"),
    _route("GetKeys", "GET", "/{tenant}/discovery/v2.0/keys"),
    _route("GetToken", "POST", "/{tenant}/oauth2/v2.0/token"),
)
MANAGER: Final = (
    _route(
        "ManagedClusters_List",
        "GET",
        f"/subscriptions/{{subscription}}{PROVIDER}/managedClusters",
        "managedClusters/read",
        ("$skipToken",),
    ),
    _route(
        "ManagedClusters_ListByResourceGroup",
        "GET",
        f"{GROUP}{PROVIDER}/managedClusters",
        "managedClusters/read",
        ("$skipToken",),
    ),
    _route("ManagedClusters_Get", "GET", CLUSTER, "managedClusters/read"),
    _route("ManagedClusters_CreateOrUpdate", "PUT", CLUSTER, "managedClusters/write"),
    _route("ManagedClusters_UpdateTags", "PATCH", CLUSTER, "managedClusters/write"),
    _route("ManagedClusters_Delete", "DELETE", CLUSTER, "managedClusters/delete"),
    _route("ManagedClusters_AbortLatestOperation", "POST", f"{CLUSTER}/abort", "managedClusters/abort/action"),
    _route(
        "ManagedClusters_GetUpgradeProfile",
        "GET",
        f"{CLUSTER}/upgradeProfiles/default",
        "managedClusters/upgradeProfiles/read",
    ),
    _route(
        "ManagedClusters_ListClusterUserCredentials",
        "POST",
        f"{CLUSTER}/listClusterUserCredential",
        "managedClusters/listClusterUserCredential/action",
        ("format", "server-fqdn"),
    ),
    _route(
        "ManagedClusters_ListClusterAdminCredentials",
        "POST",
        f"{CLUSTER}/listClusterAdminCredential",
        "managedClusters/listClusterAdminCredential/action",
        ("server-fqdn",),
    ),
    _route(
        "ManagedClusters_ListKubernetesVersions",
        "GET",
        f"{LOCATION}/kubernetesVersions",
        "locations/kubernetesVersions/read",
    ),
    _route("AgentPools_List", "GET", f"{CLUSTER}/agentPools", "managedClusters/agentPools/read", ("$skipToken",)),
    _route("AgentPools_Get", "GET", POOL, "managedClusters/agentPools/read"),
    _route("AgentPools_CreateOrUpdate", "PUT", POOL, "managedClusters/agentPools/write"),
    _route("AgentPools_Delete", "DELETE", POOL, "managedClusters/agentPools/delete", ("ignore-pod-disruption-budget",)),
    _route(
        "AgentPools_GetUpgradeProfile",
        "GET",
        f"{POOL}/upgradeProfiles/default",
        "managedClusters/agentPools/upgradeProfiles/read",
    ),
    _route(
        "MaintenanceConfigurations_ListByManagedCluster",
        "GET",
        f"{CLUSTER}/maintenanceConfigurations",
        "managedClusters/maintenanceConfigurations/read",
        ("$skipToken",),
    ),
    _route("MaintenanceConfigurations_Get", "GET", WINDOW, "managedClusters/maintenanceConfigurations/read"),
    _route(
        "MaintenanceConfigurations_CreateOrUpdate", "PUT", WINDOW, "managedClusters/maintenanceConfigurations/write"
    ),
    _route("MaintenanceConfigurations_Delete", "DELETE", WINDOW, "managedClusters/maintenanceConfigurations/delete"),
    _route("GetOperation", "GET", f"{LOCATION}/operations/{{operation}}", "locations/operations/read"),
    _route(
        "GetOperationResult", "GET", f"{LOCATION}/operationresults/{{operation}}", "locations/operationresults/read"
    ),
)
LOGIN_NAMES: Final = frozenset(route.name for route in LOGIN)
BY_NAME: Final = {route.name: route for route in (*LOGIN, *MANAGER)}


def recognise(ask: Ask) -> Ask | None:
    """Return the ask with its name and what its path names; None when there is no such call."""
    for route, found in _matches(ask):
        parts = {name: unquote(value) for name, value in found.groupdict().items()}
        return replace(ask, name=route.name, subject=parts.get("name", ask.path), parts=parts)
    return None


def _matches(ask: Ask) -> Iterator[tuple[Route, re.Match[str]]]:
    for route in (*LOGIN, *MANAGER):
        found = route.path.fullmatch(ask.path) if route.method == ask.method else None
        if found is not None:
            yield route, found
