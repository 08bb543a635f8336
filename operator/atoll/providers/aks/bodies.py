"""What Azure is sent: whole bodies, and what differs in those that it returned. Pure.

A PUT of AKS replaces everything. So what changes a cluster begins with what Azure returned, leaves out only what cannot
be written, and writes the fields that Atoll owns over it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from ipaddress import IPv4Network
from typing import Any, Final

from .seen import SeenCluster, SeenPool, read_path
from .settings import Pool, Settings

MAX_SURGE: Final = "33%"
"""How many nodes more than it has a pool may use during an upgrade; Azure's advice for production."""
POLICY_ENGINE: Final = "cilium"
"""Without an engine AKS enforces no NetworkPolicy, and tenants would not be apart."""
NO_CHANNEL: Final = "none"
DNS_ADDRESS: Final = 10
"""Which address of the service block the cluster's DNS gets; Azure leaves the choice to us."""
_UNWRITABLE: Final[Mapping[tuple[str, ...], frozenset[str]]] = {
    (): frozenset({"id", "name", "type", "systemData", "eTag"}),
    ("identity",): frozenset({"principalId", "tenantId"}),
    ("properties",): frozenset(
        {
            "provisioningState",
            "powerState",
            "maxAgentPools",
            "currentKubernetesVersion",
            "fqdn",
            "privateFQDN",
            "azurePortalFQDN",
            "resourceUID",
            "status",
        }
    ),
}
_UNWRITABLE_OF_POOL: Final = frozenset(
    # The image of the nodes belongs to their version: sent back, it would hold up an upgrade.
    {
        "eTag",
        "provisioningState",
        "powerState",
        "currentOrchestratorVersion",
        "nodeImageVersion",
        "status",
        "virtualMachineNodesStatus",
    }
)
_OWNED: Final[Mapping[tuple[str, ...], Any]] = {
    ("aadProfile", "managed"): True,
    ("aadProfile", "enableAzureRBAC"): True,
    ("disableLocalAccounts",): True,
    ("autoUpgradeProfile", "upgradeChannel"): NO_CHANNEL,
    ("networkProfile", "networkPolicy"): POLICY_ENGINE,
}
"""What a change can mend: people log in with Entra alone, only rollouts change the version, policies are enforced."""


def build_cluster(
    name: str, version: str, settings: Settings, *, pod_cidr: str, service_cidr: str, tags: Mapping[str, str]
) -> dict[str, Any]:
    """Return the body that makes a cluster with all its pools; `version` without a v."""
    network: dict[str, Any] = {
        "networkPlugin": "azure",
        "networkPluginMode": "overlay",
        "networkDataplane": POLICY_ENGINE,
        "networkPolicy": POLICY_ENGINE,
        "loadBalancerSku": "standard",
    }
    if pod_cidr:
        network["podCidr"] = pod_cidr
    if service_cidr:
        network["serviceCidr"] = service_cidr
        network["dnsServiceIP"] = str(IPv4Network(service_cidr)[DNS_ADDRESS])
    access: dict[str, Any] = {"enablePrivateCluster": settings.is_private}
    if settings.is_private:
        # Nothing about a private API server in the public DNS.
        access["enablePrivateClusterPublicFQDN"] = False
    return {
        "location": settings.place.location,
        "tags": dict(tags),
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "kubernetesVersion": version,
            "dnsPrefix": name,
            "enableRBAC": True,
            "disableLocalAccounts": True,
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "autoUpgradeProfile": {"upgradeChannel": NO_CHANNEL},
            "networkProfile": network,
            "apiServerAccessProfile": access,
            "agentPoolProfiles": [
                {"name": pool.name, **build_pool_properties(pool, version)} for pool in settings.pools
            ],
        },
    }


def build_pool_properties(pool: Pool, version: str, tags: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return the properties that make an agent pool."""
    return {
        "count": max(pool.min_size, 1 if pool.mode == "System" else 0),
        "vmSize": pool.vm_size,
        "mode": pool.mode,
        "type": "VirtualMachineScaleSets",
        "osType": "Linux",
        "orchestratorVersion": version,
        "enableAutoScaling": True,
        "minCount": pool.min_size,
        "maxCount": pool.max_size,
        "upgradeSettings": {"maxSurge": MAX_SURGE},
        **({"tags": dict(tags)} if tags else {}),
    }


def change_cluster(seen: SeenCluster, tags: Mapping[str, str], *, version: str = "") -> dict[str, Any]:
    """Return the whole body of a cluster with what Atoll owns, and with another version where one is given."""
    body = _copy_writable(seen.body)
    body["tags"] = dict(tags)
    for path, wanted in _OWNED.items():
        _write_path(body["properties"], path, wanted)
    if version:
        body["properties"]["kubernetesVersion"] = version
    return body


def change_pool(seen: SeenPool, pool: Pool, *, version: str = "", tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the whole properties of an agent pool with what Atoll owns."""
    properties = _copy_pool(seen.body)
    for path, wanted in _list_owned(pool).items():
        _write_path(properties, path, wanted)
    properties["count"] = min(max(int(properties.get("count") or 0), pool.min_size), pool.max_size)
    properties["tags"] = {**(properties.get("tags") or {}), **tags}
    if version:
        properties["orchestratorVersion"] = version
    return properties


def find_cluster_drift(seen: SeenCluster) -> tuple[str, ...]:
    """Say which owned fields of a cluster differ, tags apart, one sentence each."""
    return tuple(
        f"{'.'.join(path)} of the cluster is {_say(there)} and shall be {_say(wanted)}"
        for path, wanted in _OWNED.items()
        if (there := _read_owned(seen.properties, path)) != wanted
    )


def find_pool_drift(seen: SeenPool, pool: Pool) -> tuple[str, ...]:
    """Say which owned fields of an agent pool differ, its version apart, one sentence each."""
    return tuple(
        f"{'.'.join(path)} of agent pool {pool.name} is {_say(there)} and shall be {_say(wanted)}"
        for path, wanted in _list_owned(pool).items()
        if (there := read_path(seen.body, *path)) != wanted
    )


def is_private(seen: SeenCluster) -> bool:
    """Say whether its API server has no public address."""
    return bool(read_path(seen.properties, "apiServerAccessProfile", "enablePrivateCluster"))


def _list_owned(pool: Pool) -> dict[tuple[str, ...], Any]:
    return {
        ("mode",): pool.mode,
        ("enableAutoScaling",): True,
        ("minCount",): pool.min_size,
        ("maxCount",): pool.max_size,
        ("upgradeSettings", "maxSurge"): MAX_SURGE,
    }


def _read_owned(properties: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    there = read_path(properties, *path)
    # Azure says nothing where there is no channel.
    return NO_CHANNEL if path == ("autoUpgradeProfile", "upgradeChannel") and there is None else there


def _copy_writable(body: Mapping[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = copy.deepcopy(dict(body))
    for path, names in _UNWRITABLE.items():
        place = read_path(copied, *path) if path else copied
        for name in names if isinstance(place, dict) else ():
            place.pop(name, None)
    properties = copied.setdefault("properties", {})
    properties["agentPoolProfiles"] = [_copy_pool(profile) for profile in properties.get("agentPoolProfiles") or ()]
    return copied


def _copy_pool(profile: Mapping[str, Any]) -> dict[str, Any]:
    return {name: copy.deepcopy(value) for name, value in profile.items() if name not in _UNWRITABLE_OF_POOL}


def _write_path(body: dict[str, Any], path: tuple[str, ...], wanted: Any) -> None:
    *folders, last = path
    for folder in folders:
        if not isinstance(body.get(folder), dict):
            body[folder] = {}
        body = body[folder]
    body[last] = wanted


def _say(value: Any) -> str:
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
