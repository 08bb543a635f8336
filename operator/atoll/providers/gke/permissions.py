"""Every call that Atoll makes to GKE, the IAM permission that it needs, and why; docs/reference/clouds/gke.md too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one call needs."""

    permission: str
    why: str


_UPDATE: Final = "container.clusters.update"
NEEDS: Final[Mapping[str, Need]] = MappingProxyType(
    {
        "get_cluster": Need(permission="container.clusters.get", why="to see what is there"),
        "get_server_config": Need(permission="container.clusters.list", why="to know which versions there are"),
        "list_operations": Need(permission="container.operations.list", why="to wait for GKE's own work"),
        "create_cluster": Need(permission="container.clusters.create", why="to make a cluster"),
        "delete_cluster": Need(permission="container.clusters.delete", why="to remove a cluster"),
        "update_master": Need(permission=_UPDATE, why="to move the control plane to a version"),
        "update_cluster": Need(permission=_UPDATE, why="to set channel, endpoint and workload identity"),
        "set_maintenance_policy": Need(permission=_UPDATE, why="to keep GKE from upgrading by itself"),
        "set_labels": Need(permission=_UPDATE, why="to write governance labels, and what has been done"),
        "create_node_pool": Need(permission=_UPDATE, why="to make a node pool"),
        "update_node_pool": Need(permission=_UPDATE, why="to move a node pool to a version or other machines"),
        "set_node_pool_autoscaling": Need(permission=_UPDATE, why="to set the size of a node pool"),
        "set_node_pool_management": Need(permission=_UPDATE, why="to set who replaces nodes"),
        "delete_node_pool": Need(permission=_UPDATE, why="to remove a node pool"),
    }
)
BESIDE: Final = MappingProxyType(
    {
        "iam.serviceAccounts.actAs": "on the service account of the nodes: to make nodes that run as it",
        "container.clusters.connect": "to reach the API server by a public endpoint",
    }
)
"""What belongs to no single call."""
