"""The only input of a decision: what was asked for, what was seen, what the past left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from . import reasons
from .cluster import ProviderInfo
from .gates import Approval, GateKey, GateReading
from .hosts import Host, HostPool, HostView
from .observed import ChildCluster, ChildView, Rollout
from .spec import ClusterSet, Environment, Regime, Tenant
from .values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Invalid:
    """An object that could not be read, or that nobody here serves: it is marked, and harms only itself."""

    kind: str
    name: str
    path: str
    """The field that is to blame, such as `spec.version`."""
    message: str
    reason: str = reasons.INVALID_SPEC
    uid: str = ""
    generation: int = 1
    status: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """One namespace's worth of objects, and what was seen of its children, at one moment."""

    name: str
    """The namespace."""
    hub_uid: str = ""
    """UID of kube-system of the management cluster."""
    cluster_sets: tuple[ClusterSet, ...] = ()
    children: tuple[ChildCluster, ...] = ()
    environments: tuple[Environment, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    regimes: tuple[Regime, ...] = ()
    rollouts: tuple[Rollout, ...] = ()
    approvals: tuple[Approval, ...] = ()
    host_pools: tuple[HostPool, ...] = ()
    hosts: tuple[Host, ...] = ()
    invalid: tuple[Invalid, ...] = ()
    views: Mapping[str, ChildView] = field(default_factory=dict)
    """By ChildCluster name; a child that is not in here has not been looked at yet."""
    host_views: Mapping[str, HostView] = field(default_factory=dict)
    """By Host name; a host that is not in here has not been looked at yet."""
    readings: Mapping[GateKey, GateReading] = field(default_factory=dict)
    """What metric gates said last, in the life of this process."""
    providers: Mapping[str, ProviderInfo] = field(default_factory=dict)
    """By kind of block; a kind that is missing is not in this build."""
    versions: Mapping[str, tuple[Version, ...]] = field(default_factory=dict)
    """What each provider can install, oldest first; empty: anything may be asked for."""
    seen: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """By (kind, name): when this process first saw the object's present generation."""
    written: Mapping[tuple[str, str], datetime] = field(default_factory=dict)
    """By (kind, name): when this process last wrote the object's status."""
    busy_since: Mapping[str, datetime] = field(default_factory=dict)
    """By ChildCluster name: since when objects in that child have been waiting to be applied."""
    terminating_kinds: tuple[str, ...] = ()
    """Kinds whose CRD is being deleted: what goes away with it is orphaned, never destroyed."""
    foreign_blocks: tuple[str, ...] = ()
    """Address blocks that are taken: of this machine, and of other fleets."""
    _named: Mapping[str, Mapping[str, Any]] = field(init=False, repr=False, compare=False)
    """Objects by kind and name: a decision asks for them a thousand times."""

    def __post_init__(self) -> None:
        """Sort by name what is asked for by name; of two of one name the first counts."""
        kinds: Mapping[str, Sequence[Any]] = {
            "ClusterSet": self.cluster_sets,
            "ChildCluster": self.children,
            "Environment": self.environments,
            "Tenant": self.tenants,
            "Regime": self.regimes,
        }
        named = {kind: {item.meta.name: item for item in reversed(items)} for kind, items in kinds.items()}
        object.__setattr__(self, "_named", named)

    def cluster_set(self, name: str) -> ClusterSet | None:
        """Return the ClusterSet of that name."""
        return self._named["ClusterSet"].get(name)

    def child(self, name: str) -> ChildCluster | None:
        """Return the ChildCluster of that name."""
        return self._named["ChildCluster"].get(name)

    def children_of(self, set_name: str) -> tuple[ChildCluster, ...]:
        """Return a set's children, by name."""
        return tuple(sorted((c for c in self.children if c.set_name == set_name), key=lambda c: c.name))

    def environment(self, name: str) -> Environment | None:
        """Return the Environment of that name."""
        return self._named["Environment"].get(name)

    def tenant(self, name: str) -> Tenant | None:
        """Return the Tenant of that name."""
        return self._named["Tenant"].get(name)

    def regime(self, name: str) -> Regime | None:
        """Return the Regime of that name."""
        return self._named["Regime"].get(name)
