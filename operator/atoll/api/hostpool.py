"""HostPool: machines that clusters are installed on. Host: one of them, and who has claimed it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    NAME_RULE,
    STATUS_DEFAULT,
    Count,
    Id,
    LabelMap,
    LongMessage,
    Name,
    NameReference,
    Part,
    Paused,
    Port,
    Quantity,
    Resource,
    SomeShare,
    Status,
    Text63,
    Text253,
    Url,
    list_map,
    with_rules,
)
from .rules import build_exactly_one, build_immutable, build_rule

HostKey = Annotated[
    str,
    StringConstraints(
        max_length=1024, pattern=r"^(ssh-ed25519|ssh-rsa|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*$"
    ),
]
LoginName = Annotated[str, StringConstraints(min_length=1, max_length=32, pattern="^[a-z_][-a-z0-9_.]*$")]
HostAddress = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern="^[A-Za-z0-9:]([-A-Za-z0-9.:]*)$")]


class Jump(Part):
    """A host to go through."""

    address: HostAddress
    """Name or address of the jump host."""
    port: Port = 22
    """Port of its SSH server."""
    user: LoginName
    """Login name there."""
    host_key: HostKey
    """Its pinned public key, as in known_hosts without the name."""


class Ssh(Part):
    """How to log in to the hosts."""

    user: LoginName = "root"
    """Login name."""
    port: Port = 22
    """Port of the SSH servers."""
    key_secret_ref: NameReference
    """Secret with the private key under the key `ssh-privatekey`."""
    sudo: bool = False
    """Use sudo for what needs root."""
    jump: Jump | None = None
    """A host to go through. Absent: straight to the hosts."""


class PoolHost(Part):
    """One machine; its Host object is named <pool>--<name>."""

    name: Name
    """Name of the host, unique in the pool."""
    address: HostAddress
    """Name or address that SSH connects to."""
    port: Port | None = None
    """Port of its SSH server, where it differs from the pool's."""
    host_key: HostKey
    """Its pinned public key, as in known_hosts without the name; never learned silently."""
    labels: LabelMap = Field(default_factory=dict)
    """Labels for hostSelector."""


class Image(Part):
    """What the hosts shall have been made from."""

    version: Annotated[str, StringConstraints(min_length=1, max_length=63)]
    """What /etc/atoll-image-version must say; a change rolls the pool."""


class Webhook(Part):
    """An address that reimages a host when it is called."""

    url: Url
    """Where to post the host's name and address and the wanted image."""
    secret_ref: NameReference | None = None
    """Secret with a bearer token under the key `token`."""


class Reimage(Part):
    """How a host gets a new image. Without it a host of the wrong image is only refused."""

    model_config = ConfigDict(json_schema_extra=with_rules(build_exactly_one("spec.reimage", "command", "webhook")))

    command: (
        Annotated[
            tuple[Annotated[str, StringConstraints(min_length=1, max_length=1024)], ...],
            Field(min_length=1, max_length=32),
        ]
        | None
    ) = None
    """Command beside the operator, argument by argument."""
    webhook: Webhook | None = None
    """An address to call."""


class Replacement(Part):
    """How fast hosts are replaced."""

    max_unavailable: SomeShare = 1
    """How many hosts may be out of use at once: a number or a percentage."""
    spare: Annotated[int, Field(ge=0, le=200)] = 0
    """How many hosts stay unclaimed for replacement."""


class HostPoolSpec(Part):
    """What the pool shall be."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "self.hosts.all(host, self.hosts.exists_one(other, "
                "other.address == host.address && "
                "(has(other.port) ? other.port : 0) == (has(host.port) ? host.port : 0)))",
                "spec.hosts must not name one address twice. Remove the host that is listed again.",
            )
        )
    )

    ssh: Ssh
    """How to log in to the hosts."""
    hosts: Annotated[tuple[PoolHost, ...], Field(max_length=200, json_schema_extra=list_map("name"))]
    """Machines of the pool."""
    image: Image | None = None
    """What the hosts shall have been made from. Absent: anything."""
    reimage: Reimage | None = None
    """How a host gets a new image."""
    replacement: Replacement = Field(default_factory=Replacement)
    """How fast hosts are replaced."""
    deletion_protection: bool = False
    """Refuse deletion until the annotation atoll.dev/confirm-deletion names the object."""
    paused: Paused | None = None
    """Change nothing while this holds."""


class HostCounts(Part):
    """How the hosts stand."""

    total: Count = 0
    """Hosts in the list."""
    available: Count = 0
    """Hosts that may be claimed."""
    claimed: Count = 0
    """Hosts that a cluster has claimed."""
    quarantined: Count = 0
    """Hosts that a person must look at."""


class HostPoolStatus(Status):
    """What the pool is."""

    hosts: HostCounts | None = None
    """How the hosts stand."""


class HostPool(Resource):
    """Machines that kubeadm clusters are installed on, over SSH."""

    model_config = ConfigDict(json_schema_extra=with_rules(NAME_RULE))

    spec: HostPoolSpec
    """What the pool shall be."""
    status: HostPoolStatus = Field(default_factory=HostPoolStatus, json_schema_extra=STATUS_DEFAULT)
    """What the pool is."""


class Claim(Part):
    """Which cluster has the host."""

    cluster_id: Id
    """spec.id of the ChildCluster."""
    role: Literal["ControlPlane", "Worker"]
    """What the host does there."""


class HostSpec(Part):
    """Whose host it is."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_immutable("spec.poolName", "poolName", "List the machine in the other HostPool."),
            build_immutable("spec.hostName", "hostName", "List the machine under the other name."),
        )
    )

    pool_name: Name
    """HostPool that lists the machine."""
    host_name: Name
    """Its name in that list."""
    claim: Claim | None = None
    """Which cluster has it; written with a precondition, so that two clusters never share one host."""


class HostFacts(Part):
    """What was found on the machine."""

    os: Text253 = ""
    """Distribution and its version."""
    kernel: Text63 = ""
    """Version of the kernel."""
    architecture: Text63 = ""
    """Architecture, as Kubernetes names it."""
    cpus: Annotated[int, Field(ge=0, le=4096)] = 0
    """Number of processors."""
    memory: Quantity | None = None
    """Bytes of memory."""
    disk_free: Quantity | None = None
    """Bytes that are free on the root file system."""
    cgroup_version: Annotated[int, Field(ge=1, le=2)] | None = None
    """Version of control groups."""
    container_runtime: Text63 = ""
    """Container runtime and its version."""
    machine_id: Text63 = Field(default="")
    """Content of /etc/machine-id."""


class HostStatus(Status):
    """What the machine is."""

    state: (
        Literal["Probing", "Available", "Claimed", "Preparing", "InUse", "Draining", "Cleaning", "Quarantined"] | None
    ) = None
    """Where the host is on its way from the pool into a cluster and back."""
    facts: HostFacts | None = None
    """What was found on the machine."""
    host_key_fingerprint: Text63 = ""
    """SHA-256 fingerprint of the key that answered."""
    image_version: Text63 = ""
    """What /etc/atoll-image-version says."""
    message: LongMessage = ""
    """What is wrong with the host, and what to do."""


class Host(Resource):
    """One machine of a HostPool. Atoll makes and writes it; everybody may read it."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "self.metadata.name == self.spec.poolName + '--' + self.spec.hostName",
                "metadata.name must be <spec.poolName>--<spec.hostName>.",
            )
        )
    )

    spec: HostSpec
    """Whose host it is."""
    status: HostStatus = Field(default_factory=HostStatus, json_schema_extra=STATUS_DEFAULT)
    """What the machine is."""
