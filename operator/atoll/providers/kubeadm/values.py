"""What a kubeadm cluster is and what is being done to it, as values."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from atoll.fleet.authentication import OLDEST_MINOR
from atoll.fleet.cluster import ClusterRef, OperationState, OperationType
from atoll.fleet.hosts import Role
from atoll.fleet.values import Version

CONTROL_PLANE: Final = Role.CONTROL_PLANE.value
WORKER: Final = Role.WORKER.value
API_PORT: Final = 6443
SMALLEST_NODE_PREFIX: Final = 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The member's merged block `provider.kubeadm`, as far as it concerns the hosts."""

    worker_hosts: int = 0
    control_plane_endpoint: str = ""
    bundle_path: str = ""
    """Folder beside the operator that has the bundle; empty: another source, refused until there is one."""
    manifests: str = ""
    """Name of the ConfigMap with the pod network's manifests; empty: the bridge."""
    config: str = ""
    """Name of the ConfigMap of `configRef`."""
    ignored: tuple[str, ...] = ()
    """Names of kubeadm's checks that may fail."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A host as a node of a cluster."""

    name: str
    address: str
    role: str
    """ControlPlane | Worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster as it shall be."""

    ref: ClusterRef
    version: str
    pod_cidr: str
    service_cidr: str
    settings: Settings
    nodes: tuple[Node, ...]
    """Control plane first, then by name."""
    overrides: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Kind → partial configuration that people have given in `configRef`."""
    authentication: Mapping[str, Any] | None = field(default_factory=dict)
    """How people log in; None: they keep on doing as they do."""

    @property
    def reads_authentication(self) -> bool:
        """Whether API servers of this version read the file in which that stands."""
        return Version.parse(self.version).minor >= OLDEST_MINOR

    @property
    def control_plane(self) -> Node:
        """The one control-plane node."""
        return next(node for node in self.nodes if node.role == CONTROL_PLANE)

    @property
    def workers(self) -> tuple[Node, ...]:
        """All other nodes."""
        return tuple(node for node in self.nodes if node.role != CONTROL_PLANE)

    @property
    def endpoint(self) -> str:
        """`host:port` of the API server."""
        return self.settings.control_plane_endpoint or join_endpoint(self.control_plane.address, API_PORT)


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeRecord:
    """A node as cluster.json knows it."""

    name: str
    address: str
    role: str
    pod_cidr: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRecord:
    """cluster.json: what the cluster is, after its last finished operation."""

    id: str
    fleet: str
    name: str
    version: str
    endpoint: str
    """`host:port`."""
    pod_cidr: str
    service_cidr: str
    bridge: bool
    """The pod network is ours: a bridge and routes."""
    created: bool = False
    """A CREATE has finished once."""
    orphaned: bool = False
    """Atoll has let go of it."""
    authentication: str = ""
    """Text of the file that says how people log in; empty: its API server was made without such a file."""
    nodes: tuple[NodeRecord, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRecord:
    """operation.json: the latest operation, and how far it has come."""

    id: str
    type: OperationType
    from_version: str
    to_version: str
    state: OperationState
    step: str
    steps_done: int
    steps_total: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """before.json: what a host had before it got into the cluster."""

    images: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()
    """nftables: `<family> <name>`."""
    folders: tuple[str, ...] = ()
    """Those of paths.COMPONENT_FOLDERS that were there."""
    networks: tuple[str, ...] = ()
    """Files in /etc/cni/net.d."""
    forwarding: str = "0"
    """net.ipv4.ip_forward."""


def join_endpoint(address: str, port: int) -> str:
    """Return `host:port`, with brackets around IPv6."""
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def choose_node_prefix(pod_cidr: str) -> int:
    """Return the prefix length of each node's share of the pods' network: a /24 where that leaves room for nodes."""
    network = ipaddress.ip_network(pod_cidr)
    return 24 if network.prefixlen <= 20 else min(SMALLEST_NODE_PREFIX, network.prefixlen + 4)
