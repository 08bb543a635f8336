"""What the rooms decide and hand to each other: plain results, with no steps in them yet.

Each room is a function from the snapshot (and what was decided before it) to one of these. They live here so that rooms
stay independent of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from .gates import JobQuestion, MetricQuestion
from .observed import RolloutWave
from .spec import Isolation
from .values import Resources, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something a person must mend, found while deciding: it ends in `Stalled=True` on that object."""

    kind: str
    name: str
    path: str
    """The field that is to blame, such as `spec.network.addressBlock`; may be empty."""
    reason: str
    """CamelCase, from the closed list in `fleet.reasons`."""
    message: str
    """What is wrong, and the remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where one child's pods and Services live."""

    pod_cidr: str
    service_cidr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPlan:
    """Addresses of every member, by ChildCluster name; a member that got none has a problem."""

    addresses: Mapping[str, Addresses]
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A cluster as placement sees it: declared by a set, and perhaps already there."""

    cluster: str
    """ChildCluster name."""
    set_name: str
    member_name: str
    labels: Mapping[str, str]
    """What selectors read: the set's and the member's labels, merged."""
    version: Version
    country: str = ""
    region: str = ""
    regimes: tuple[str, ...] = ()
    """Attested: set and member together."""
    capabilities: tuple[str, ...] = ()
    workload_classes: tuple[str, ...] = ()
    reserved_for: tuple[str, ...] | None = None
    capacity: Resources | None = None
    """What tenants may have there in all, one node already kept in reserve; None: unknown."""
    available: bool = True
    unavailable_message: str = ""
    unwalled: str = ""
    """Why NetworkPolicies hold nobody back there; empty: they do, or there are no nodes to try it on."""
    leaving: bool = False
    """Detached, or being deleted: accepts nothing new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One namespace of a tenant on one cluster."""

    tenant: str
    environment: str
    namespace: str
    """Full name of the namespace in the child."""
    cluster: str
    isolation: Isolation = Isolation.NAMESPACE
    state: str = "Pending"
    """Pending (decided) | Placed (seen in the child) | Leaving | Refused (taken by somebody else)."""
    since: datetime | None = None
    reason: str = ""
    rule: str = ""
    """Code of the binding rule that it breaks now (`country`, `isolation`, …): it has to move; empty: none."""
    mark: str = "placed"
    """What its namespace says of itself (label PLACEMENT_LABEL): placed | leaving | emptied | released."""
    access: bool = True
    """Whether the tenant's people and accounts are let in; who moves keeps it until the old place is empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """A tenant's namespaces that go from one cluster to another: made there first, then taken away here."""

    tenant: str
    environment: str
    namespaces: tuple[str, ...]
    """Full names."""
    origin: str
    """ChildCluster that is left."""
    target: str
    """ChildCluster that is gone to."""
    rule: str
    """Code of the binding rule that is broken at the origin."""
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One edit that would help, for machines."""

    kind: str
    name: str
    path: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why one cluster does not take some namespaces of a tenant, and the smallest change that would admit them."""

    tenant: str
    environment: str
    namespaces: tuple[str, ...]
    cluster: str
    rule: str
    """Code of the first rule that refused: selector, capability, capacity, …"""
    message: str
    remedy: str
    patches: tuple[Patch, ...] = ()
    broken: int = 1
    """How many rules refused in all: fewer is nearer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """Namespaces of a tenant that no cluster takes, with every refused cluster, nearest first."""

    tenant: str
    environment: str
    namespaces: tuple[str, ...]
    counts: Mapping[str, int]
    refusals: tuple[Refusal, ...]
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementDecision:
    """Where everything goes."""

    placements: tuple[Placement, ...] = ()
    unplaced: tuple[Unplaced, ...] = ()
    moves: tuple[Move, ...] = ()
    """Begun or under way, where both places stand in `placements`; without a target it waits, and `reason` says why."""
    drifted: Mapping[tuple[str, str, str], str] = field(default_factory=dict)
    """What has changed, of rules that bind only when placing, by (tenant, environment, ChildCluster)."""
    kept: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Clusters that an environment of topology ClusterPerEnvironment keeps for itself, by environment."""
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRow:
    """One member in a rollout."""

    cluster: str
    """Member name."""
    wave: str
    state: str
    """Pending | Held | Preflight | Changing | Verifying | Done | Failed | Reverted | Skipped."""
    message: str = ""
    hops: int = 0
    """Stops on its way, where it has not begun."""
    forecast: Forecast | None = None
    """How long they will probably take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WaveStatus:
    """One wave of a running rollout."""

    name: str
    state: str
    """Waiting | Running | Soaking | Held | Done."""
    started_time: datetime | None = None
    soak_until: datetime | None = None
    gates: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """How long something will probably take, in whole seconds."""

    seconds: int
    low: int
    high: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The first forecast of a rollout, and how its clusters kept theirs."""

    first: Forecast
    changes: int = 0
    """Changes that ended well and had been forecast."""
    within: int = 0
    """How many of them took no less and no longer than was said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A hold that a failure suggests; a person takes it up, or not."""

    label: str
    """`key=value` that all failed members have, and none that arrived."""
    failed: int
    arrived: int
    matching: tuple[str, ...]
    """Members still to come that have it, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutProgress:
    """What a rollout's status shall say."""

    name: str
    set_name: str
    state: str
    """Running | Paused | Halted | Aborted | Done | Reverted | Superseded."""
    waves: tuple[WaveStatus, ...] = ()
    rows: tuple[RolloutRow, ...] = ()
    """All rows; status keeps the unfinished ones, 20 at most."""
    message: str = ""
    """What it does or waits for, in one sentence; who can open it."""
    forecast: Forecast | None = None
    """What is left; None: it is over."""
    grade: Grade | None = None
    proposals: tuple[Proposal, ...] = ()
    approvers: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)
    """Whose word counts for a gate, by (wave, gate)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRollout:
    """A rollout to begin."""

    name: str
    set_name: str
    target_version: Version
    target_revision: str
    retry: int
    waves: tuple[RolloutWave, ...]
    reason: str
    requested_by: str = ""
    """Who asked for it; empty: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InspectChild:
    """A child that shall be looked at before it is told to move."""

    child: str
    version: Version
    """The hop that shall come next."""
    rollout: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """A child that shall move now, one hop."""

    child: str
    """ChildCluster name."""
    version: Version
    revision: str
    rollout: str
    reason: str


RETURN_MARK: Final = "~~"
"""In the revision of a child that went back: between what it went back to, and the rollout that sent it there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RevertChild:
    """A child that shall go back to what it was before the rollout touched it; its revision bears RETURN_MARK."""

    child: str
    version: Version
    revision: str
    rollout: str
    reason: str
    """Says which writes will be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutDecision:
    """What happens to sets that change."""

    new: tuple[NewRollout, ...] = ()
    progress: tuple[RolloutProgress, ...] = ()
    advances: tuple[Advance, ...] = ()
    reverts: tuple[RevertChild, ...] = ()
    inspections: tuple[InspectChild, ...] = ()
    questions: tuple[MetricQuestion | JobQuestion, ...] = ()
    """What gates have to ask outside."""
    unseen: tuple[str, ...] = ()
    """ClusterSets with a rollout of which nothing can be said before all its clusters were looked at once."""
    problems: tuple[Problem, ...] = ()
    wake: datetime | None = None
    """When time alone will change the decision (end of a soak, a window)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChild:
    """A member that has no ChildCluster yet."""

    name: str
    set_name: str
    member_name: str
    version: Version
    revision: str
    addresses: Addresses
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """A child that shall go: let go of, or destroyed."""

    child: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MembershipDecision:
    """Who joins, who leaves, who only lost its entry."""

    new: tuple[NewChild, ...] = ()
    departures: tuple[Departure, ...] = ()
    detached: tuple[str, ...] = field(default=())
    """Children whose member left the list and that may not be destroyed."""
    problems: tuple[Problem, ...] = ()
