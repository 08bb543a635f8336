"""Every call that Atoll makes, the permission that it needs, and why it is made. Data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

_CLUSTERS: Final = "Microsoft.ContainerService/managedClusters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """What one call needs."""

    action: str
    """Action of Azure RBAC; empty: none."""
    why: str


PERMISSIONS: Final[Mapping[str, Permission]] = MappingProxyType(
    {
        "managed_clusters.get": Permission(
            action=f"{_CLUSTERS}/read", why="see what is there; each look is one call, pools included"
        ),
        "managed_clusters.list_cluster_user_credentials": Permission(
            action=f"{_CLUSTERS}/listClusterUserCredential/action",
            why="address and authority of the API server; no login comes with it, local accounts being disabled",
        ),
        "managed_clusters.list_kubernetes_versions": Permission(
            action="Microsoft.ContainerService/locations/kubernetesVersions/read",
            why="refuse a version that the location does not offer, before anything is made",
        ),
        "managed_clusters.get_upgrade_profile": Permission(
            action=f"{_CLUSTERS}/upgradeProfiles/read",
            why="refuse an upgrade that AKS does not offer for the cluster, before anything moves",
        ),
        "managed_clusters.begin_create_or_update": Permission(
            action=f"{_CLUSTERS}/write", why="create a cluster, change its settings, upgrade its control plane"
        ),
        "managed_clusters.begin_update_tags": Permission(
            action=f"{_CLUSTERS}/write", why="mark that an operation is finished"
        ),
        "managed_clusters.begin_delete": Permission(action=f"{_CLUSTERS}/delete", why="delete a cluster"),
        "agent_pools.begin_create_or_update": Permission(
            action=f"{_CLUSTERS}/agentPools/write", why="add, change, repair and upgrade agent pools"
        ),
        "agent_pools.begin_delete": Permission(
            action=f"{_CLUSTERS}/agentPools/delete", why="remove agent pools that are not declared any more"
        ),
        "credential.get_token": Permission(action="", why="log in to the API server of a cluster, for an hour or so"),
    }
)
"""By call, as the SDK spells it."""
