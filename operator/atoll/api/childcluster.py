"""ChildCluster: one real cluster, made and written by Atoll alone.

`spec` holds identity, addresses and hosts, because backups keep `spec`. Provider settings are not copied
here: the operator reads them from the ClusterSet.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    LIST_SET,
    STATUS_DEFAULT,
    Count,
    Id,
    JoinedName,
    KubernetesVersion,
    LongMessage,
    Message,
    Name,
    NameReference,
    OptionalCidr,
    Part,
    Resource,
    Resources,
    Revision,
    Seconds,
    ServedVersion,
    Status,
    Text63,
    Text253,
    Time,
    Uid,
    Word,
    with_rules,
)
from .providers import ProviderKind
from .rules import build_immutable, build_rule, build_set_once


class ChildNetwork(Part):
    """Addresses of the cluster."""

    pod_cidr: OptionalCidr = ""
    """Block of the pods."""
    service_cidr: OptionalCidr = ""
    """Block of the services."""


class CloudPlace(Part):
    """Where a managed cluster is: it is found there for as long as it lives, whatever its ClusterSet says by then."""

    region: Word | None = None
    """AWS region."""
    project: Word | None = None
    """Google project."""
    location: Word | None = None
    """Region or zone of Google, or region of Azure."""
    subscription_id: Annotated[str, StringConstraints(max_length=36)] | None = None
    """Azure subscription."""
    resource_group: Annotated[str, StringConstraints(max_length=90)] | None = None
    """Azure resource group."""
    credentials_secret_ref: NameReference | None = None
    """Secret to log in with once the ClusterSet does not list the member any more."""


class ChildClusterSpec(Part):
    """What Atoll has decided for the cluster."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_immutable(
                "spec.id", "id", "It is the only name of the cluster outside; nothing may break that link."
            ),
            build_immutable("spec.setName", "setName", "Add a member to the other ClusterSet instead."),
            build_immutable("spec.memberName", "memberName", "A renamed member is a removal plus an addition."),
            build_immutable("spec.provider", "provider", "Make a new ClusterSet for another kind of provider."),
            build_rule(
                "!has(oldSelf.cloud) || (has(self.cloud) && self.cloud == oldSelf.cloud)",
                "spec.cloud cannot be changed once it is set. A cluster stays where it was made; add a new member.",
            ),
            build_set_once("spec.clusterUID", "clusterUID", "It pins the cluster that Atoll talks to."),
            build_rule(
                "!has(oldSelf.clusterUID) || oldSelf.clusterUID == '' || (has(self.network) == has(oldSelf.network) "
                "&& (!has(self.network) || self.network == oldSelf.network))",
                "spec.network cannot be changed once the cluster lives. Add a new member with other addresses.",
            ),
        )
    )

    id: Id
    """Random name of the cluster in clouds, host journals and plane folders; never changes."""
    set_name: Name
    """ClusterSet that the cluster belongs to."""
    member_name: Name
    """Member of the set."""
    provider: ProviderKind
    """Kind of provider: the name of the set's provider block."""
    version: KubernetesVersion
    """Version that the cluster shall have now: one hop at a time."""
    revision: Revision = ""
    """Revision that the cluster shall have now."""
    network: ChildNetwork | None = None
    """Addresses of the cluster."""
    cloud: CloudPlace | None = None
    """Where the cluster is, when a cloud manages it."""
    cluster_uid: Uid = ""
    """UID of the namespace kube-system in the cluster, pinned at the first visit."""
    hosts: Annotated[tuple[JoinedName, ...], Field(max_length=200, json_schema_extra=LIST_SET)] = ()
    """Host objects that are claimed for the cluster."""
    deletion_policy: Literal["Orphan", "Delete"] = "Orphan"
    """What becomes of the real cluster when this object is deleted."""


class NodeCounts(Part):
    """Nodes of the cluster."""

    total: Count = 0
    """All nodes."""
    ready: Count = 0
    """Nodes that are ready."""


class OperationStatus(Part):
    """Work under way; written before it begins."""

    id: Id
    """Name of the operation, repeated on the far side."""
    type: Literal["Create", "Change", "Revert", "Repair", "Delete", "Drill"]
    """What is being done."""
    state: Literal["Running", "Failed"] | None = None
    """Whether it is worked on, or was given up."""
    from_version: ServedVersion = ""
    """Version before."""
    to_version: ServedVersion = ""
    """Version after."""
    rollout: JoinedName = ""
    """Rollout that wants it."""
    step: Text253 = ""
    """Step that is under way."""
    steps_done: Annotated[int, Field(ge=0, le=1000)] = 0
    """Steps done."""
    steps_total: Annotated[int, Field(ge=0, le=1000)] = 0
    """Steps in all; 0 while unknown."""
    started_time: Time
    """When it began."""
    expected_seconds: Seconds = 0
    """How long it will probably take, from the history of the set; 0: nobody has said."""
    low_seconds: Seconds = 0
    """The least that it will probably take."""
    high_seconds: Seconds = 0
    """The most that it will probably take."""
    message: LongMessage = ""
    """How it goes, or why it failed and what to do."""


class CheckStatus(Part):
    """One verification check."""

    check: Text63
    """Name of the check."""
    result: Literal["Passed", "Failed", "Skipped", "Unknown"]
    """How it ended."""
    message: Message = ""
    """What was found."""
    time: Time
    """When it ran."""


class RedBorder(Part):
    """A border that let a tenant through."""

    tenant: Name
    """Whose identity tried."""
    target: Name
    """Whose border was tried; the tenant itself for its own bounds."""
    attempt: Literal["reads", "writes", "labels", "quota", "escalation", "network"]
    """What was tried."""
    message: Annotated[str, StringConstraints(max_length=512)] = ""
    """Which request the API server let through."""


class BordersStatus(Part):
    """The borders between the tenants on the cluster, as they were tried with the tenants' own identities."""

    time: Time
    """When these results were first seen."""
    tried: Count = 0
    """Borders that were told: refused, or let through."""
    unknown: Count = 0
    """Borders of which nobody can tell: those of the network where there are no nodes, or where no answer came."""
    waiting: Count = 0
    """Borders that are left to later runs, because there are too many pairs of tenants."""
    red_count: Count = 0
    """Borders that let somebody through."""
    red: Annotated[tuple[RedBorder, ...], Field(max_length=50)] = ()
    """The first of them."""


class ChildChange(Part):
    """One finished change of the cluster."""

    type: Text63 = ""
    """What was done."""
    from_: ServedVersion = ""
    """Version before."""
    to: ServedVersion = ""
    """Version after."""
    started_time: Time
    """When it began."""
    seconds: Seconds = 0
    """How long it took."""
    low_seconds: Seconds = 0
    """The least that was forecast."""
    high_seconds: Seconds = 0
    """The most that was forecast; 0: nothing was."""
    rollout: JoinedName = ""
    """Rollout that wanted it."""
    result: Text63 = ""
    """How it ended."""


class DrillStatus(Part):
    """The latest restore drill: a snapshot brought up in a throw-away control plane and compared."""

    time: Time
    """When it ended."""
    result: Literal["Passed", "Failed"]
    """Whether everything was there again."""
    seconds: Seconds = 0
    """How long it took."""
    message: Message = ""
    """What was compared, or what was missing and what to do."""


class ChildClusterStatus(Status):
    """What the cluster is."""

    version: ServedVersion = ""
    """Version that its API server reports."""
    revision: Revision = ""
    """Last revision that was fully reached and verified."""
    endpoint: Annotated[str, StringConstraints(max_length=512)] = ""
    """URL of the API server."""
    kubeconfig_secret_ref: NameReference | None = None
    """Secret with the kubeconfig under the key `value`."""
    nodes: NodeCounts | None = None
    """Nodes of the cluster."""
    capacity: Resources | None = None
    """What the cluster holds for tenants."""
    allocated: Resources | None = None
    """What tenants have been promised."""
    environments: Annotated[tuple[Name, ...], Field(max_length=50, json_schema_extra=LIST_SET)] = ()
    """Environments that the cluster hosts."""
    tenant_count: Count = 0
    """Tenants on the cluster."""
    operation: OperationStatus | None = None
    """Work under way."""
    verification: Annotated[tuple[CheckStatus, ...], Field(max_length=32)] = ()
    """Last run of the verification checks."""
    borders: BordersStatus | None = None
    """Whether the tenants on the cluster are kept apart."""
    drill: DrillStatus | None = None
    """Whether the latest backup can be restored."""
    history: Annotated[tuple[ChildChange, ...], Field(max_length=10)] = ()
    """Last changes, the newest last; forecasts come from them."""
    certificates_expire_time: Time | None = None
    """When the first certificate expires."""


class ChildCluster(Resource):
    """One real cluster. Atoll makes and writes it; everybody may read it."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "self.metadata.name == self.spec.setName + '--' + self.spec.memberName",
                "metadata.name must be <spec.setName>--<spec.memberName>.",
            )
        )
    )

    spec: ChildClusterSpec
    """What Atoll has decided for the cluster."""
    status: ChildClusterStatus = Field(default_factory=ChildClusterStatus, json_schema_extra=STATUS_DEFAULT)
    """What the cluster is."""
