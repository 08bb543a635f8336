"""What the stand-in for Azure remembers."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from .aks_tokens import PublicKey

CLUSTER_ADMIN: Final = "Azure Kubernetes Service RBAC Cluster Admin"
CONTRIBUTOR: Final = "Azure Kubernetes Service Contributor Role"

State = Literal["Creating", "Updating", "Upgrading", "Deleting", "Canceling", "Succeeded", "Failed", "Canceled"]


@dataclass(kw_only=True)
class Application:
    """A service principal of the tenant."""

    client_id: str
    secret: str = field(repr=False)
    object_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    roles: set[str] = field(default_factory=lambda: {CONTRIBUTOR, CLUSTER_ADMIN})
    groups: tuple[str, ...] = ()
    denied: set[str] = field(default_factory=set)
    """Actions that it may not do whatever its roles are: `Microsoft.ContainerService/managedClusters/write`."""
    federated: dict[tuple[str, str], PublicKey] = field(default_factory=dict)
    """Who may speak for it without its secret (workload identity): issuer and subject → their key."""


@dataclass(kw_only=True)
class Operation:
    """One long operation, as its URL tells of it."""

    kind: State
    started: float
    due: float
    """When the last of it is done, by the cloud's clock."""
    control_plane_due: float = 0
    """When the control plane is done, where pools come after it."""
    location: str
    subscription: str
    pool: str = ""
    """Empty: the operation is the cluster's."""
    version: str = ""
    """The version to bring the control plane to."""
    pool_versions: dict[str, str] = field(default_factory=dict)
    broken: bool = False
    blocked: bool = False
    """A deletion that what was left behind holds up."""
    waits_for_backing: bool = False
    status: Literal["InProgress", "Succeeded", "Failed", "Canceled"] = "InProgress"
    ended: float = 0
    error: Mapping[str, Any] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass(kw_only=True)
class Pool:
    """One agent pool."""

    name: str
    properties: dict[str, Any]
    """As wanted, with defaults."""
    version: str
    """The full version that its nodes run."""
    born: float
    etag: str = field(default_factory=lambda: str(uuid.uuid4()))
    rest: State = "Succeeded"
    """Its state when nothing is under way."""
    operation: Operation | None = None
    error: Mapping[str, Any] | None = None


@dataclass(kw_only=True)
class Cluster:
    """One managed cluster."""

    subscription: str
    group: str
    name: str
    location: str
    creator: str
    born: float
    body: dict[str, Any] = field(default_factory=dict)
    """What stands beside the properties: tags, sku, identity, kind."""
    properties: dict[str, Any] = field(default_factory=dict)
    """As wanted, with defaults; without the pools."""
    version: str = ""
    """The full version that the control plane runs; empty until it does."""
    pools: dict[str, Pool] = field(default_factory=dict)
    maintenance: dict[str, dict[str, Any]] = field(default_factory=dict)
    left_behind: dict[str, str] = field(default_factory=dict)
    """Resources of others in the node resource group: id → why they cannot be deleted."""
    uid: str = field(default_factory=lambda: uuid.uuid4().hex[:24])
    etag: str = field(default_factory=lambda: str(uuid.uuid4()))
    principal: str = field(default_factory=lambda: str(uuid.uuid4()))
    local_token: str = field(default_factory=lambda: uuid.uuid4().hex + uuid.uuid4().hex, repr=False)
    rest: State = "Succeeded"
    operation: Operation | None = None
    error: Mapping[str, Any] | None = None

    @property
    def id(self) -> str:
        """Its resource id, with the provider's lower case in the middle."""
        return (
            f"/subscriptions/{self.subscription}/resourcegroups/{self.group}/providers/"
            f"Microsoft.ContainerService/managedClusters/{self.name}"
        )

    @property
    def node_group(self) -> str:
        """The resource group of its nodes."""
        return str(self.properties["nodeResourceGroup"])


def state_of(thing: Cluster | Pool) -> State:
    """Return the provisioning state that the cloud tells of."""
    running = thing.operation
    return running.kind if running is not None and running.status == "InProgress" else thing.rest
