"""What people asked for, as the core sees it: converted, defaulted, immutable.

`atoll.api.convert` makes these from manifests. A field that is absent in the manifest and has no default is None
or empty here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from .values import Resources, Selector, Share, Version


class DeletionPolicy(StrEnum):
    """What becomes of the real thing when its object is deleted."""

    ORPHAN = "Orphan"
    DELETE = "Delete"


class Topology(StrEnum):
    """How an environment shares clusters with others."""

    SHARED_CLUSTER = "SharedCluster"
    CLUSTER_PER_ENVIRONMENT = "ClusterPerEnvironment"
    CLUSTER_PER_TENANT = "ClusterPerTenant"
    CROSS_ENVIRONMENT = "CrossEnvironment"


class Isolation(StrEnum):
    """How strongly a tenant is kept apart; later members are stricter."""

    NAMESPACE = "Namespace"
    CLUSTER = "Cluster"
    HOSTS = "Hosts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """Identity and bookkeeping of an object. Offline (`atoll plan -f`) uid and resource_version are empty."""

    name: str
    namespace: str
    uid: str = ""
    resource_version: str = ""
    generation: int = 1
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    finalizers: tuple[str, ...] = ()
    creation_time: datetime | None = None
    deletion_time: datetime | None = None

    @property
    def deleting(self) -> bool:
        """Whether somebody has asked for the deletion."""
        return self.deletion_time is not None

    def list_named(self, annotation: str) -> frozenset[str]:
        """Return what an annotation names, separated by commas."""
        return frozenset(name.strip() for name in self.annotations.get(annotation, "").split(",")) - {""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Paused:
    """Why, and until when (None: until it is removed), nothing is to be done about an object."""

    reason: str
    until: datetime | None = None

    def holds(self, now: datetime) -> bool:
        """Say whether the pause is in force."""
        return self.until is None or now < self.until


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderBlock:
    """The one provider block: its kind (`local`, `kubeadm`, `eks`, …) and what it says, frozen JSON."""

    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One entry of `ClusterSet.spec.clusters`."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    country: str = ""
    region: str = ""
    regimes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    workload_classes: tuple[str, ...] = ()
    reserved_for: tuple[str, ...] | None = None
    """Tenants; None: not reserved."""
    capacity: Resources | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The member's own values for the set's provider block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The block that the addresses of all members come from."""

    address_block: str = "10.128.0.0/10"
    pod_prefix_length: int = 16
    service_prefix_length: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Something that must be open before a wave may end. `kind`: approval | metric | job."""

    name: str
    kind: str
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Which members change together. A wave without a selector takes none."""

    name: str
    selector: Selector
    max_concurrent: Share = Share(1)
    soak_seconds: int = 0
    min_soak_seconds: int | None = None
    """Enough where metric gates have been open all the time; None: soak_seconds are never shortened."""
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When changes may start: a cron time, a duration and an IANA zone."""

    cron: str
    duration_minutes: int
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegimeUpgrade:
    """What rollouts over clusters that are attested for a regime must respect, whatever their set says."""

    min_soak_seconds: int = 0
    approvals: int = 0
    """People who must approve each wave, through the implicit gate `regime-<name>`."""
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """How changes go through the set."""

    waves: tuple[Wave, ...] = ()
    max_concurrent: Share = Share(1)
    max_concurrent_per_region: int | None = None
    failure_budget: Share = Share(0)
    on_failure: str = "Halt"
    """Halt | Revert."""
    windows: tuple[Window, ...] = ()
    retry: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSet:
    """A set of clusters of one kind of provider."""

    meta: Meta
    version: Version
    provider: ProviderBlock
    members: tuple[Member, ...] = ()
    regimes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    network: Network = Network()
    authentication: Mapping[str, Any] = field(default_factory=dict)
    upgrade: Upgrade = Upgrade()
    sample_application: bool = True
    backup: Mapping[str, Any] = field(default_factory=dict)
    confirm_removal: tuple[str, ...] = ()
    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    deletion_protection: bool = False
    paused: Paused | None = None
    status: Mapping[str, Any] = field(default_factory=dict)
    """As it stands in the API, frozen JSON: what to compare with, and what the past left for us."""
    _named: Mapping[str, Member] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Sort members by name; of two of one name the first counts."""
        object.__setattr__(self, "_named", {member.name: member for member in reversed(self.members)})

    def member(self, name: str) -> Member | None:
        """Return the member of that name."""
        return self._named.get(name)

    def child_name(self, member: str) -> str:
        """Return the name of a member's ChildCluster. Names hold no `--`, so joined ones cannot collide."""
        return f"{self.meta.name}--{member}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Keep placements even over `region` or `country`."""

    topology_key: str
    max_skew: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Freeze:
    """No rollout touches clusters of the environment in this time."""

    start: datetime
    end: datetime
    reason: str = ""

    def holds(self, now: datetime) -> bool:
        """Say whether it is frozen now."""
        return self.start <= now < self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """A delivery stage or the like: where its tenants may be placed, and under which rules."""

    meta: Meta
    topology: Topology = Topology.SHARED_CLUSTER
    selector: Selector | None = None
    """None: all clusters of the fleet."""
    required_capabilities: tuple[str, ...] = ()
    spread: Spread | None = None
    headroom_percent: int = 0
    allowed_tenants: tuple[str, ...] | None = None
    """None: all of the fleet; empty: nobody."""
    max_per_tenant: Resources = Resources()
    max_unavailable_clusters: int | None = None
    regimes: tuple[str, ...] = ()
    isolation: Isolation = Isolation.NAMESPACE
    labels: Mapping[str, str] = field(default_factory=dict)
    freezes: tuple[Freeze, ...] = ()
    deletion_protection: bool = False
    paused: Paused | None = None
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantMember:
    """A user or group and the role that it plays in a tenant's namespaces."""

    kind: str
    """User | Group | ServiceAccount."""
    name: str
    role: str
    """admin | developer | viewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantNamespace:
    """One namespace of a tenant in an environment; `name` is empty for the single one."""

    name: str = ""
    workload_class: str = ""
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantEnvironment:
    """What a tenant wants in one environment."""

    name: str
    namespaces: tuple[TenantNamespace, ...] = (TenantNamespace(),)
    clusters: int = 1
    isolation: Isolation = Isolation.NAMESPACE


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A team or product."""

    meta: Meta
    members: tuple[TenantMember, ...] = ()
    environments: tuple[TenantEnvironment, ...] = ()
    regimes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    network: Mapping[str, Any] = field(default_factory=dict)
    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    deletion_protection: bool = False
    paused: Paused | None = None
    status: Mapping[str, Any] = field(default_factory=dict)

    def namespace_name(self, environment: str, namespace: str = "") -> str:
        """Return the name of a namespace in the child: `<tenant>--<env>` or `<tenant>--<env>--<name>`."""
        return "--".join(part for part in (self.meta.name, environment, namespace) if part)

    def list_namespaces(self) -> Iterator[tuple[TenantEnvironment, TenantNamespace, str]]:
        """Yield every namespace that is asked for: its environment, what is said of it, its full name in the child."""
        for environment in self.environments:
            for namespace in environment.namespaces:
                yield environment, namespace, self.namespace_name(environment.name, namespace.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Regime:
    """A governance regime."""

    meta: Meta
    title: str = ""
    countries: tuple[str, ...] = ()
    exclusive: bool = False
    incompatible_with: tuple[str, ...] = ()
    isolation: Isolation = Isolation.NAMESPACE
    pod_security: str = ""
    max_minors_behind: int | None = None
    upgrade: RegimeUpgrade = RegimeUpgrade()
    labels: Mapping[str, str] = field(default_factory=dict)
    status: Mapping[str, Any] = field(default_factory=dict)
