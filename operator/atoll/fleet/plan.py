"""Steps: what shall be done now, as data. Each names its target and says why, in a sentence a tired operator can read.

Steps on the management plane come first in a plan and run in order. Steps on a child (through its provider or in its
own API server) are grouped by child, and each child has a worker of its own: a slow one holds up only itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from .audit import AuditEntry
from .borders import BorderPlan
from .cluster import ClusterRef, Operation, WantedCluster
from .gates import JobQuestion, MetricQuestion
from .values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class SetFinalizer:
    """Add or remove our finalizer on an object."""

    kind: str
    name: str
    uid: str
    finalizer: str
    present: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateObject:
    """Create an object that is not there. `needs_id`: the shell draws the random `spec.id`."""

    kind: str
    name: str
    body: Mapping[str, Any]
    reason: str
    needs_id: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyObject:
    """Apply our fields of an object that is there."""

    kind: str
    name: str
    body: Mapping[str, Any]
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteObject:
    """Delete exactly that object: UID and resourceVersion go with the request."""

    kind: str
    name: str
    uid: str
    resource_version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteStatus:
    """Replace our status of an object."""

    kind: str
    name: str
    uid: str
    status: Mapping[str, Any]
    reason: str
    audit: tuple[AuditEntry, ...] = ()
    """What of a Rollout's decision goes into its record first; the record's new head is written with the status."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordEvent:
    """Tell people, once."""

    kind: str
    name: str
    uid: str
    type: str
    """Normal | Warning."""
    event_reason: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StartOperation:
    """Ask the provider to begin or resume an operation whose intent stands in the child's status."""

    child: str
    provider: str
    wanted: WantedCluster
    operation: Operation
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgetCluster:
    """Let go of a cluster and leave it running."""

    child: str
    provider: str
    ref: ClusterRef
    reason: str
    abandoned: bool = False
    """Somebody has said that it need not be told: it cannot be reached, and holds up what else is to go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishKubeconfig:
    """Write the kubeconfig Secret as the provider hands it out now."""

    child: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyMemberObject:
    """Apply an object in the child.

    `must_be_new`: create it, and fail if there is one. What was seen may be seconds old, and a namespace that somebody
    made meanwhile is never adopted.
    """

    child: str
    body: Mapping[str, Any]
    reason: str
    must_be_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteMemberObject:
    """Delete exactly that object in the child."""

    child: str
    kind: str
    namespace: str
    name: str
    uid: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyMember:
    """Run the verification checks in the child."""

    child: str
    revision: str
    version: str
    attempt: int
    reason: str
    sample_application: bool = True
    """Where there are nodes: deploy the sample application, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TryBorders:
    """Try the borders between the tenants of a child, with their own identities; nothing in the child changes."""

    child: str
    borders: BorderPlan
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectMember:
    """Look whether anything is in the way of a change that a rollout wants; nothing in the child changes."""

    child: str
    provider: str
    wanted: WantedCluster
    """With the version of the hop that shall come next."""
    served: Version
    rollout: str
    reason: str
    certificates_expire_time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunGateJob:
    """Run what a job gate asks for in a changed child, or look how it goes."""

    child: str
    question: JobQuestion
    reason: str


HubStep: TypeAlias = SetFinalizer | CreateObject | ApplyObject | DeleteObject | WriteStatus | RecordEvent
"""A step on the management plane."""

ChildStep: TypeAlias = (
    StartOperation
    | ForgetCluster
    | PublishKubeconfig
    | ApplyMemberObject
    | DeleteMemberObject
    | VerifyMember
    | TryBorders
    | InspectMember
    | RunGateJob
)
"""A step on one child."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that shall be done now."""

    hub: tuple[HubStep, ...] = ()
    children: Mapping[str, tuple[ChildStep, ...]] = field(default_factory=dict)
    """By ChildCluster name, in order."""
    questions: tuple[MetricQuestion, ...] = ()
    """What metric gates ask, for as long as it stands here."""
    wake: datetime | None = None
    """When to decide again although nothing has changed."""

    def is_empty(self) -> bool:
        """Say whether there is nothing to do."""
        return not self.hub and not any(self.children.values())
