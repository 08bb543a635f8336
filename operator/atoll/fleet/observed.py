"""What was seen, at one moment: children as they stand in the API, and as they really are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from .borders import BorderRun
from .cluster import Finding, ObservedCluster, OperationType
from .gates import GateKey, GateReading
from .preflight import PreflightRun
from .spec import DeletionPolicy, Meta
from .values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStatus:
    """`ChildCluster.status.operation`: the intent, written before the work begins."""

    id: str
    type: OperationType
    started_time: datetime
    from_version: str = ""
    to_version: str = ""
    step: str = ""
    steps_done: int = 0
    steps_total: int = 0
    message: str = ""
    failed: bool = False
    rollout: str = ""
    """The rollout that asked for it; a failed change is tried again only by another one."""
    expected_seconds: int = 0
    """How long it will probably take; 0: nobody has said."""
    low_seconds: int = 0
    high_seconds: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildCluster:
    """A ChildCluster object: `spec` is what the core has decided, `status` what it last wrote down."""

    meta: Meta
    id: str
    set_name: str
    member_name: str
    provider: str
    version: Version
    """The version that this child shall have now: one hop of a rollout at a time."""
    revision: str
    pod_cidr: str = ""
    service_cidr: str = ""
    cloud: Mapping[str, Any] = field(default_factory=dict)
    """Where it was made, when a cloud manages it: those settings by API names that never change."""
    cluster_uid: str = ""
    """UID of kube-system, pinned at the first visit; empty before."""
    hosts: tuple[str, ...] = ()
    rollout: str = ""
    """The rollout that moved it last (annotation `atoll.dev/rollout`)."""
    deletion_policy: DeletionPolicy = DeletionPolicy.ORPHAN
    operation: OperationStatus | None = None
    done_revision: str = ""
    """`status.revision`: the last revision that was fully reached and verified."""
    history: tuple[Mapping[str, Any], ...] = ()
    body: Mapping[str, Any] = field(default_factory=dict)
    """The object as it stands in the API, frozen JSON: what to compare with before a write."""
    status: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the object."""
        return self.meta.name


NETWORK_POLICY_CHECK: Final = "network-policy-enforced"
"""The check whose result decides whether tenants that need a border may come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One verification check."""

    check: str
    result: str
    """Passed | Failed | Unknown | Skipped."""
    message: str
    time: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome of one run of the verification checks."""

    revision: str
    """Which revision was verified."""
    version: str
    attempt: int
    checks: tuple[CheckResult, ...]
    time: datetime

    @property
    def passed(self) -> bool:
        """Whether every check passed that had anything to prove."""
        results = {check.result for check in self.checks}
        return "Passed" in results and results <= {"Passed", "Skipped"}


ObjectKey = tuple[str, str, str]
"""Kind, namespace ("" when cluster-scoped), name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MemberView:
    """What the child's own API server said."""

    version: Version
    cluster_uid: str
    ready: bool
    objects: Mapping[ObjectKey, Mapping[str, Any]] = field(default_factory=dict)
    """Every object there that carries our label, as the server returned it."""
    namespaces: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """All namespaces there with their labels, ours or not."""
    allocatable: Mapping[str, str] | None = None
    """Sum over the nodes that take tenants' pods; None: there are none."""
    nodes_for_tenants: int = 0
    """How many nodes that sum counts: all but control-plane nodes that are kept free."""
    nodes_total: int = 0
    nodes_ready: int = 0
    occupancy: Mapping[str, str] = field(default_factory=dict)
    """What still stands in namespaces that are being left, in words; empty: nothing; not named: nobody asked."""
    username: str = ""
    """Who we are there, as its API server says; empty: it does not tell."""
    groups: tuple[str, ...] = ()
    """The groups that we are in there."""
    rights: str = ""
    """Digest of what grants and bounds rights there, ours or not: it changes when borders may have."""
    bound_elsewhere: tuple[str, ...] = ()
    """Our accounts (names in `atoll-system`) that bindings name which are not ours."""
    bound_people: tuple[tuple[str, str], ...] = ()
    """Users and groups (kind, name) that such bindings name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildView:
    """Everything that was seen of one child from outside the management cluster."""

    time: datetime
    """When this was seen."""
    cluster: ObservedCluster
    """What its provider says."""
    member: MemberView | None = None
    """What its API server says; None: it did not answer (see `unreachable_since`), or there is none yet."""
    unreachable_since: datetime | None = None
    """When it began not to answer; None: it answers, or was never asked."""
    unreachable_message: str = ""
    refused: tuple[str, str] | None = None
    """(reason, message) when its identity is wrong; nothing is written to it then."""
    kubeconfig_digest: str = ""
    """SHA-256 of the kubeconfig that the provider hands out."""
    published_digest: str = ""
    """SHA-256 of what the kubeconfig Secret holds now; empty: there is none."""
    findings: tuple[Finding, ...] = ()
    """What its provider found in the way of the operation that was to begin; nothing was moved."""
    released: bool = False
    """It was let go of: owner references are off, and its provider looks after it no more."""
    verification: Verification | None = None
    """The latest run in the life of this process."""
    preflight: PreflightRun | None = None
    """The latest look at what would be in the way of a change, in the life of this process."""
    jobs: Mapping[GateKey, GateReading] = field(default_factory=dict)
    """How the Jobs of gates went that were run in it."""
    borders: BorderRun | None = None
    """The latest try of the borders between tenants in the life of this process, since the child last fell silent."""


def find_missing_wall(child: ChildCluster, view: ChildView | None) -> str:
    """Return why NetworkPolicies hold nobody back in a cluster, as its latest verification says; empty: they do."""
    run = view.verification if view is not None else None
    if run is not None:
        told = [(check.check, check.result, check.message) for check in run.checks]
    else:
        stored = child.status.get("verification", ())
        told = [(entry["check"], entry["result"], entry.get("message", "")) for entry in stored]
    return next((message for name, result, message in told if name == NETWORK_POLICY_CHECK and result != "Passed"), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutWave:
    """A frozen wave: its members by name."""

    name: str
    clusters: tuple[str, ...]
    """Member names."""
    max_concurrent: int = 1
    soak_seconds: int = 0
    min_soak_seconds: int | None = None
    gates: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollout:
    """A Rollout object."""

    meta: Meta
    set_name: str
    target_version: Version
    target_revision: str
    retry: int = 0
    requested_by: str = ""
    action: str = "Run"
    """Run | Pause | Abort."""
    waves: tuple[RolloutWave, ...] = ()
    status: Mapping[str, Any] = field(default_factory=dict)
