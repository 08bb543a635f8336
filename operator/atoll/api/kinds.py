"""The table of kinds: names, models, columns of `kubectl get`, fields for `--field-selector`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .childcluster import ChildCluster
from .clusterset import ClusterSet
from .environment import Environment
from .hostpool import Host, HostPool
from .meta import Resource
from .regime import Regime
from .rollout import Approval, Rollout
from .tenant import Tenant


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of `kubectl get`; `wide` ones show with `-o wide` only."""

    name: str
    path: str
    type: str = "string"
    wide: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of the API."""

    kind: str
    plural: str
    model: type[Resource]
    short_names: tuple[str, ...]
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()

    @property
    def singular(self) -> str:
        """Return the name for one object, as `kubectl` takes it."""
        return self.kind.lower()

    @property
    def has_status(self) -> bool:
        """Say whether the kind has a status subresource."""
        return "status" in self.model.model_fields


def _condition(name: str, condition: str, field: str = "status", *, wide: bool = False) -> Column:
    path = f'.status.conditions[?(@.type=="{condition}")].{field}'
    return Column(name=name, path=path, wide=wide, description=f"{field} of the condition {condition}")


_AVAILABLE: Final = _condition("Available", "Available")
_READY: Final = _condition("Ready", "Ready")
_REASON: Final = _condition("Reason", "Ready", "reason", wide=True)
_MESSAGE: Final = _condition("Message", "Ready", "message", wide=True)
_AGE: Final = Column(name="Age", path=".metadata.creationTimestamp", type="date", description="time since creation")


def _count(name: str, path: str, description: str, *, wide: bool = False) -> Column:
    return Column(name=name, path=path, type="integer", wide=wide, description=description)


def _text(name: str, path: str, description: str, *, wide: bool = False) -> Column:
    return Column(name=name, path=path, wide=wide, description=description)


KINDS: Final[tuple[Kind, ...]] = (
    Kind(
        kind="ClusterSet",
        plural="clustersets",
        model=ClusterSet,
        short_names=("cset",),
        columns=(
            _AVAILABLE,
            _READY,
            _text("Version", ".status.version", "version that all members reached"),
            _text("Target", ".spec.version", "version that is wanted"),
            _count("Members", ".status.members.total", "members in the list"),
            _count("Serving", ".status.members.available", "members that can be used now"),
            _count("Up-To-Date", ".status.members.upToDate", "members that have reached the revision"),
            _text("Rollout", ".status.currentRollout", "rollout under way", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
        selectable_fields=(".spec.version",),
    ),
    Kind(
        kind="ChildCluster",
        plural="childclusters",
        model=ChildCluster,
        short_names=("child",),
        columns=(
            _AVAILABLE,
            _READY,
            _text("Version", ".status.version", "version that it serves"),
            _count("Nodes", ".status.nodes.ready", "nodes that are ready"),
            _count("Tenants", ".status.tenantCount", "tenants on it"),
            _text("Operation", ".status.operation.type", "work under way"),
            _text("Step", ".status.operation.step", "step under way", wide=True),
            _text("Provider", ".spec.provider", "kind of provider", wide=True),
            _text("Endpoint", ".status.endpoint", "URL of the API server", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
        selectable_fields=(".spec.setName", ".spec.memberName", ".spec.provider", ".spec.version", ".spec.id"),
    ),
    Kind(
        kind="HostPool",
        plural="hostpools",
        model=HostPool,
        short_names=("hpool",),
        columns=(
            _AVAILABLE,
            _READY,
            _count("Hosts", ".status.hosts.total", "hosts in the list"),
            _count("Free", ".status.hosts.available", "hosts that may be claimed"),
            _count("Claimed", ".status.hosts.claimed", "hosts that a cluster has claimed"),
            _count("Quarantined", ".status.hosts.quarantined", "hosts that a person must look at"),
            _text("Image", ".spec.image.version", "image that the hosts shall have", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
    ),
    Kind(
        kind="Host",
        plural="hosts",
        model=Host,
        short_names=("ahost",),
        columns=(
            _text("State", ".status.state", "where the host is on its way"),
            _READY,
            _text("Cluster", ".spec.claim.clusterID", "spec.id of the cluster that has it"),
            _text("Role", ".spec.claim.role", "what it does there"),
            _text("Image", ".status.imageVersion", "image that it was made from"),
            _text("Kernel", ".status.facts.kernel", "version of its kernel", wide=True),
            _text("Note", ".status.message", "what is wrong with it", wide=True),
            _AGE,
        ),
        selectable_fields=(".spec.poolName", ".spec.claim.clusterID", ".status.state"),
    ),
    Kind(
        kind="Environment",
        plural="environments",
        model=Environment,
        short_names=("aenv",),
        columns=(
            _AVAILABLE,
            _READY,
            _text("Topology", ".spec.topology", "how its clusters are shared"),
            _count("Tenants", ".status.tenantCount", "tenants in it"),
            _text("Isolation", ".spec.isolation", "the least isolation of its tenants", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
        selectable_fields=(".spec.topology",),
    ),
    Kind(
        kind="Tenant",
        plural="tenants",
        model=Tenant,
        short_names=("aten",),
        columns=(
            _AVAILABLE,
            _READY,
            _text("Environments", ".spec.environments[*].name", "the first of its environments", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
    ),
    Kind(
        kind="Regime",
        plural="regimes",
        model=Regime,
        short_names=("areg",),
        columns=(
            _READY,
            _text("Title", ".spec.title", "what people call it"),
            Column(
                name="Exclusive", path=".spec.exclusive", type="boolean", description="whether it wants clusters alone"
            ),
            _count("Demanded", ".status.demandedBy", "environments and tenants that demand it"),
            _count("Attested", ".status.attestedBy", "clusters that are attested for it"),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
    ),
    Kind(
        kind="Rollout",
        plural="rollouts",
        model=Rollout,
        short_names=("aro",),
        columns=(
            _text("Set", ".spec.setName", "ClusterSet that is changed"),
            _text("Target", ".spec.target.version", "version that is wanted"),
            _text("Action", ".spec.action", "whether it runs"),
            _READY,
            _count("Total", ".status.counts.total", "members in all waves"),
            _count("Done", ".status.counts.done", "members that have arrived"),
            _count("Failed", ".status.counts.failed", "members that failed"),
            _text("Requested-By", ".spec.requestedBy", "who changed the target", wide=True),
            _REASON,
            _MESSAGE,
            _AGE,
        ),
        selectable_fields=(".spec.setName", ".spec.action", ".spec.target.revision"),
    ),
    Kind(
        kind="Approval",
        plural="approvals",
        model=Approval,
        short_names=("aappr",),
        columns=(
            _text("Rollout", ".spec.rolloutRef.name", "rollout that is approved"),
            _text("Wave", ".spec.wave", "wave that is approved"),
            _text("Gate", ".spec.gate", "gate that is approved"),
            _text("Approver", ".spec.approver.username", "who approves"),
            _AGE,
        ),
        selectable_fields=(".spec.rolloutRef.name", ".spec.rolloutRef.uid"),
    ),
)


def kind_named(kind: str) -> Kind:
    """Return the kind of that name; raises KeyError."""
    return next((item for item in KINDS if item.kind == kind), None) or _unknown(kind)


def _unknown(kind: str) -> Kind:
    raise KeyError(f"`{kind}` is no kind of atoll.dev; there are {', '.join(item.kind for item in KINDS)}")
