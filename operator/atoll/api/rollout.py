"""Rollout: one change of a set's target, in frozen waves. Approval: one person's word for one gate."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    LIST_SET,
    STATUS_DEFAULT,
    Count,
    JoinedName,
    KubernetesVersion,
    Message,
    Name,
    ObjectName,
    Part,
    Resource,
    Revision,
    Seconds,
    Status,
    StepName,
    Text63,
    Text253,
    Time,
    Uid,
    UserName,
    list_map,
    with_rules,
)
from .rules import build_immutable, build_rule

RowState = Literal["Pending", "Held", "Preflight", "Changing", "Verifying", "Done", "Failed", "Reverted", "Skipped"]


class Target(Part):
    """Where the set shall go."""

    version: KubernetesVersion
    """Version that all members shall have."""
    revision: Revision
    """Revision that all members shall have."""
    retry: Annotated[int, Field(ge=0, le=1000)] = 0
    """Value of spec.upgrade.retry when the rollout began."""


class FrozenWave(Part):
    """One wave, as it was when the rollout began."""

    name: StepName
    """Name of the wave."""
    clusters: Annotated[tuple[Name, ...], Field(max_length=200, json_schema_extra=LIST_SET)]
    """Members of the wave."""
    max_concurrent: Annotated[int, Field(ge=1, le=999)] = 1
    """How many of them may change at once."""
    soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    """How long the wave must stay healthy before the next begins."""
    min_soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] | None = None
    """How long is enough while all metric gates of the wave are open. Absent: no less than soakSeconds."""
    gates: Annotated[tuple[StepName, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What must be open before the next wave begins, regimes' gates included."""


class RolloutSpec(Part):
    """What shall be changed. Only `action` is for people to write."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_immutable("spec.setName", "setName", "Only spec.action may be changed."),
            build_immutable(
                "spec.target",
                "target",
                "Only spec.action may be changed; a new target of the ClusterSet makes a Rollout.",
            ),
            build_immutable("spec.requestedBy", "requestedBy", "Only spec.action may be changed.", optional=True),
            build_immutable(
                "spec.waves", "waves", "Waves are frozen when the rollout begins; only spec.action may be changed."
            ),
            build_rule(
                "oldSelf.action != 'Abort' || self.action == 'Abort'",
                "spec.action cannot leave Abort. Change the target of the ClusterSet, or raise its spec.upgrade.retry.",
            ),
        )
    )

    set_name: Name
    """ClusterSet that is changed."""
    target: Target
    """Where the set shall go."""
    requested_by: Annotated[str, StringConstraints(max_length=256)] = ""
    """Who changed the target. Empty: unknown; approval gates need one more then."""
    action: Literal["Run", "Pause", "Abort"] = "Run"
    """Run goes on, Pause begins nothing new, Abort begins nothing more for ever and reverts nothing."""
    waves: Annotated[tuple[FrozenWave, ...], Field(max_length=32, json_schema_extra=list_map("name"))]
    """Waves, frozen when the rollout began."""


class Forecast(Part):
    """When the rollout will probably be done, from the history of the clusters."""

    seconds: Seconds = 0
    """Work that is left, in seconds, waiting included where it is known."""
    low_seconds: Seconds = 0
    """The least that it will probably take."""
    high_seconds: Seconds = 0
    """The most that it will probably take."""
    end_time: Time | None = None
    """When it will probably be done."""


class RowForecast(Part):
    """How long a member will probably be changed, from its history."""

    hops: Annotated[int, Field(ge=0, le=100)] = 0
    """Versions on its way to the target."""
    seconds: Seconds = 0
    """All of them together, expected."""
    low_seconds: Seconds = 0
    """The least that they will probably take."""
    high_seconds: Seconds = 0
    """The most that they will probably take."""


class Grade(Part):
    """The first forecast of the rollout, and what came of it."""

    seconds: Seconds = 0
    """What it was expected to take when it began."""
    low_seconds: Seconds = 0
    """The least that was expected."""
    high_seconds: Seconds = 0
    """The most that was expected."""
    took_seconds: Seconds | None = None
    """What it took; absent while it runs."""
    changes: Count = 0
    """Changes of clusters that ended well and had been forecast."""
    within: Count = 0
    """How many of them took no less and no longer than their range."""


class GateStatus(Part):
    """How one gate stands."""

    name: StepName
    """Name of the gate."""
    state: Literal["Open", "Closed", "Unknown"]
    """Whether it is open."""
    message: Message = ""
    """What it waits for."""


class WaveStatus(Part):
    """How one wave stands."""

    name: StepName
    """Name of the wave."""
    state: Text63
    """How far the wave is."""
    started_time: Time | None = None
    """When it began."""
    soak_until: Time | None = None
    """When it has soaked."""
    gates: Annotated[tuple[GateStatus, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """How its gates stand."""


class RolloutCounts(Part):
    """How many members are in which state."""

    total: Count = 0
    """Members in all waves."""
    pending: Count = 0
    """Members whose turn has not come."""
    held: Count = 0
    """Members that wait for a window, a freeze or a limit."""
    changing: Count = 0
    """Members that are being changed or verified."""
    done: Count = 0
    """Members that have arrived."""
    failed: Count = 0
    """Members that failed."""
    reverted: Count = 0
    """Members that went back."""
    skipped: Count = 0
    """Members that are left out."""


class Row(Part):
    """One unfinished member."""

    cluster: JoinedName
    """ChildCluster of the member."""
    wave: StepName
    """Wave of the member."""
    state: RowState
    """How far it is."""
    message: Message = ""
    """What it waits for, or what went wrong and what to do."""
    forecast: RowForecast | None = None
    """How long its change will probably take; absent once it is under way."""


class HoldProposal(Part):
    """A hold that failures suggest; the annotation atoll.dev/hold takes it up."""

    label: Annotated[str, StringConstraints(min_length=3, max_length=400)]
    """Label that all failed members have, and none that arrived, as key=value."""
    matching: Count = 0
    """Members still to come that have it, too."""
    message: Message = ""
    """What was seen, and how to take it up."""


class RolloutStatus(Status):
    """How the rollout stands."""

    state: Text63 = ""
    """How far the rollout is, in one word."""
    message: Message = ""
    """What it does or waits for, and who can open it."""
    forecast: Forecast | None = None
    """When it will probably be done."""
    grade: Grade | None = None
    """The first forecast, and what came of it."""
    started_time: Time | None = None
    """When it began."""
    completed_time: Time | None = None
    """When it ended."""
    waves: Annotated[tuple[WaveStatus, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """How each wave stands."""
    counts: RolloutCounts | None = None
    """How many members are in which state."""
    rows: Annotated[tuple[Row, ...], Field(max_length=20, json_schema_extra=list_map("cluster"))] = ()
    """Unfinished members, the first 20; the truth about one is its ChildCluster."""
    proposals: Annotated[tuple[HoldProposal, ...], Field(max_length=5, json_schema_extra=list_map("label"))] = ()
    """Holds that failures suggest."""
    audit_head: Annotated[str, StringConstraints(max_length=128)] = ""
    """Digest of the last entry of the audit chain."""


class Rollout(Resource):
    """One change of a ClusterSet's version or settings, through waves and gates."""

    spec: RolloutSpec
    """What shall be changed."""
    status: RolloutStatus = Field(default_factory=RolloutStatus, json_schema_extra=STATUS_DEFAULT)
    """How the rollout stands."""


class RolloutReference(Part):
    """Which Rollout is meant; a later one of the same name is another."""

    name: ObjectName
    """Name of the Rollout."""
    uid: Annotated[Uid, StringConstraints(min_length=1)]
    """UID of the Rollout."""


class Approver(Part):
    """Who approves; policy proves that it is the one who creates the object."""

    username: UserName
    """Name of the user, as the API server knows it."""
    groups: Annotated[tuple[Text253, ...], Field(max_length=64, json_schema_extra=LIST_SET)] = ()
    """Groups of the user that count for the gate."""


class ApprovalSpec(Part):
    """What is approved, and by whom."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule("self == oldSelf", "an Approval cannot be changed. Delete it and make a new one.")
        )
    )

    rollout_ref: RolloutReference
    """Rollout that is approved."""
    wave: StepName
    """Wave that is approved."""
    gate: StepName
    """Gate of the wave."""
    approver: Approver
    """Who approves."""


class Approval(Resource):
    """One person's word that a gate of a Rollout may open. It never changes."""

    spec: ApprovalSpec
    """What is approved, and by whom."""
