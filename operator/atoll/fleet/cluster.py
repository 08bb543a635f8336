"""One real cluster as a provider is asked for it, and as it is seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from atoll.errors import AtollError, BadInput


class OperationType(StrEnum):
    """What a provider can be asked to do with a cluster."""

    CREATE = "Create"
    CHANGE = "Change"
    """One hop to `to_version`, or new settings at the same version."""
    REVERT = "Revert"
    """Back to the state before the last change, its data included."""
    REPAIR = "Repair"
    """Start again what should be running and is not."""
    DELETE = "Delete"
    DRILL = "Drill"
    """Restore a fresh snapshot beside the cluster, compare it with the cluster, and remove it again."""


class OperationState(StrEnum):
    """How far an operation has come."""

    RUNNING = "Running"
    INTERRUPTED = "Interrupted"
    """Begun, not finished, and nobody is working on it: `start` with the same id resumes it."""
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    """Given up; `message` says why. `start` with a new id tries again."""


class Presence(StrEnum):
    """Whether the cluster exists."""

    ABSENT = "Absent"
    PARTIAL = "Partial"
    """A create or delete has not finished."""
    PRESENT = "Present"
    UNKNOWN = "Unknown"
    """We could not ask. Never read as absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterRef:
    """Which cluster: `id` is the ChildCluster's `spec.id`, the only name that leaves the management cluster."""

    fleet: str
    """Namespace of the ChildCluster."""
    name: str
    """Name of the ChildCluster, for people to read."""
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedCluster:
    """What a cluster shall look like, as far as a provider is concerned."""

    ref: ClusterRef
    version: str
    """Kubernetes version with a leading v: `v1.36.4`."""
    pod_cidr: str
    service_cidr: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The member's merged provider block."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Governance labels, for tags of clouds."""
    hosts: tuple[str, ...] = ()
    """Claimed hosts, for providers that use a HostPool."""
    authentication: Mapping[str, Any] | None = field(default_factory=dict)
    """`spec.authentication`; empty: it trusts no issuer. None: it has not been told yet and keeps what it has."""
    drill_before_change: bool = False
    """A CHANGE proves its own snapshot by a drill before anything moves, and fails where the drill does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One piece of long work. `id` is written to the API before `start`, and repeated on the far side."""

    id: str
    type: OperationType
    to_version: str
    from_version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationProgress:
    """What the far side knows of an operation."""

    id: str
    type: OperationType
    state: OperationState
    step: str = ""
    steps_done: int = 0
    steps_total: int = 0
    message: str = ""
    """Failure: what went wrong and what to do. A finished revert: which writes were lost. A finished drill: figures."""

    @property
    def is_open(self) -> bool:
        """Whether it has not come to its end, well or badly."""
        return self.state in {OperationState.RUNNING, OperationState.INTERRUPTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertPoint:
    """What a revert would bring back."""

    version: str
    taken_time: datetime
    message: str
    """Which writes would be lost, in words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ObservedCluster:
    """What a provider saw, at one moment."""

    presence: Presence
    version: str = ""
    """Version that runs now, as far as the provider can tell."""
    endpoint: str = ""
    """URL of the API server."""
    needs_repair: str = ""
    """Not empty: what is down and what a REPAIR would do."""
    operation: OperationProgress | None = None
    """The latest operation that the far side knows of."""
    revert_point: RevertPoint | None = None
    certificates_expire_time: datetime | None = None
    drift: tuple[str, ...] = ()
    """Owned fields that differ on the far side, one sentence each; a CHANGE mends them."""
    authentication: str | None = None
    """Digest of how people log in there now (`fleet.authentication`); "" trusts no issuer, None: nobody can tell."""
    message: str = ""
    """With UNKNOWN: why we could not ask."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderInfo:
    """What a provider can do; asked for instead of optional methods."""

    name: str
    """Name of its block in `ClusterSet.spec.provider`."""
    has_nodes: bool
    can_revert: bool
    upgrades: bool = True
    """False: Atoll only watches the version (existing clusters)."""
    uses_host_pool: bool = False
    sets_authentication: bool = True
    """False: its API servers cannot be told whom to trust (and never where Atoll only watches)."""
    point_of_no_return: str = ""
    """The step of a hop after which nothing brings the old version back, where it cannot revert."""
    usual_seconds: float = 40.0
    """How long a hop takes as a rule, verification included: what is forecast where a set has no history."""
    compares_settings: bool = False
    """True: its drift is a difference to what the ClusterSet says now, so it is mended once a rollout has told that."""
    short_logins: bool = False
    """True: its kubeconfigs hold a token for minutes. They are used, and published without it."""
    can_drill: bool = False
    """True: it knows DRILL, and heeds `drill_before_change`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that stands in the way, found before anything moves."""

    reason: str
    message: str
    """What is wrong, in which field, and the remedy."""
    field: str = ""

    @classmethod
    def of(cls, error: AtollError) -> Finding:
        """Return what an error says, with the field that it names."""
        field = error.field if isinstance(error, BadInput) else ""
        return cls(reason=error.reason, message=str(error), field=field)
