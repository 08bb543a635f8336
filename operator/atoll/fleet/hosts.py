"""HostPools and Hosts as the core sees them: what was asked for, what was claimed, what was seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .spec import Meta, Paused
from .values import Selector


class HostState(StrEnum):
    """Where a host is on its way from the pool into a cluster and back."""

    PROBING = "Probing"
    AVAILABLE = "Available"
    CLAIMED = "Claimed"
    PREPARING = "Preparing"
    IN_USE = "InUse"
    DRAINING = "Draining"
    CLEANING = "Cleaning"
    QUARANTINED = "Quarantined"


class Role(StrEnum):
    """What a host does in a cluster."""

    CONTROL_PLANE = "ControlPlane"
    WORKER = "Worker"


@dataclass(frozen=True, slots=True, kw_only=True)
class SshJump:
    """A host to go through."""

    address: str
    user: str
    host_key: str
    port: int = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class SshLogin:
    """How to log in to the hosts of a pool."""

    key_secret: str
    """Name of the Secret with the private key."""
    user: str = "root"
    port: int = 22
    sudo: bool = False
    jump: SshJump | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolHost:
    """One machine of a pool."""

    name: str
    address: str
    host_key: str
    """Pinned public key."""
    port: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPool:
    """Machines that clusters are installed on."""

    meta: Meta
    login: SshLogin
    hosts: tuple[PoolHost, ...] = ()
    image_version: str = ""
    """What /etc/atoll-image-version must say; empty: anything."""
    reimage: Mapping[str, Any] = field(default_factory=dict)
    spare: int = 0
    """How many hosts stay unclaimed."""
    deletion_protection: bool = False
    paused: Paused | None = None
    status: Mapping[str, Any] = field(default_factory=dict)

    def host(self, name: str) -> PoolHost | None:
        """Return the machine of that name."""
        return next((host for host in self.hosts if host.name == name), None)

    def host_object(self, name: str) -> str:
        """Return the name of a machine's Host object. Names hold no `--`, so joined ones cannot collide."""
        return f"{self.meta.name}--{name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Which cluster has a host, and for what."""

    cluster_id: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """A Host object."""

    meta: Meta
    pool_name: str
    host_name: str
    claim: Claim | None = None
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.meta.name

    @property
    def state(self) -> HostState | None:
        """The state that was last written down."""
        text = self.status.get("state")
        return HostState(text) if text else None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostFacts:
    """What a probe found on a machine. Sizes in bytes."""

    os: str = ""
    kernel: str = ""
    architecture: str = ""
    """As Kubernetes names it: amd64, arm64."""
    cpus: int = 0
    memory: int = 0
    disk_free: int = 0
    """Where clusters keep their data: the fullest of / and /var/lib."""
    cgroup_version: int = 2
    container_runtime: str = ""
    """Name and version; empty: there is none, or it does not run."""
    machine_id: str = ""
    boot_id: str = ""
    image_version: str = ""
    clock_offset_seconds: float = 0.0
    """Its clock minus ours."""
    ports: tuple[int, ...] = ()
    """TCP ports that somebody listens on."""
    lacking: tuple[str, ...] = ()
    """Programs that are needed and not there."""
    locks: tuple[str, ...] = ()
    """Locks of package managers that somebody holds."""
    leftovers: tuple[str, ...] = ()
    """What a cluster has left, or has there: one short phrase each."""
    owner_id: str = ""
    """Which cluster's journal is on the host; empty: none."""
    owner_name: str = ""
    """Fleet and name of that cluster, for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostView:
    """What was seen of one host, at one moment."""

    time: datetime
    facts: HostFacts | None = None
    """None: it was not reached, or not let in."""
    fingerprint: str = ""
    """Of the key that answered."""
    unreachable: str = ""
    """Why it did not answer; nothing is known then."""
    refused: tuple[str, str] | None = None
    """(reason, message): another key than the pinned one, a login that is not accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostNeeds:
    """The hosts that one cluster asks for."""

    pool: str
    control_plane: int = 1
    workers: int = 0
    selector: Selector | None = None
    """None: any host of the pool."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewClaim:
    """A host that a cluster shall get now."""

    host: str
    """Name of the Host object."""
    claim: Claim
    resource_version: str
    """Of the Host as it was seen unclaimed: a claim that somebody else has made since wins."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildHosts:
    """The hosts of one child."""

    claimed: tuple[str, ...] = ()
    """Names of Host objects, control plane first."""
    complete: bool = False
    """It has all that it asks for."""
    lacking: str = ""
    """What is lacking, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostJudgement:
    """Where one host stands, and why."""

    host: str
    state: HostState
    reason: str
    """CamelCase, from `fleet.reasons`."""
    message: str = ""
    usable: bool = False
    """Ready for what it is there for: to be claimed, or working in its cluster."""
    known: bool = True
    """False: it could not be asked; what stands there is what was last known."""
    release: bool = False
    """Its cluster is gone, and it is proven clean: the claim ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostDecision:
    """What happens to all hosts of a fleet."""

    judgements: Mapping[str, HostJudgement] = field(default_factory=dict)
    """By Host object."""
    claims: tuple[NewClaim, ...] = ()
    children: Mapping[str, ChildHosts] = field(default_factory=dict)
    """By ChildCluster name, for those whose provider uses hosts."""
    closed: Mapping[str, str] = field(default_factory=dict)
    """Why no host of a pool may be claimed now, by HostPool."""
