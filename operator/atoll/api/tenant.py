"""Tenant: a team or product, what it wants in which environment, and where it runs."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .environment import IsolationLevel
from .meta import (
    LIST_SET,
    NAME_RULE,
    STATUS_DEFAULT,
    Cidr,
    Counts,
    JoinedName,
    Message,
    Name,
    Part,
    Paused,
    Port,
    Reason,
    Resource,
    Resources,
    ShortName,
    Status,
    Text63,
    Text253,
    Time,
    Word,
    list_map,
    with_rules,
)
from .rules import build_exactly_one, build_rule

MAX_PLACEMENTS: Final = 256
"""Placements of one tenant: what its status can hold."""


class TenantMember(Part):
    """A user or group and the role that it plays in the tenant's namespaces."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "!self.name.startsWith('system:') && !self.name.startsWith('atoll.dev:')",
                "spec.members must not name system: or atoll.dev: users or groups, because those belong to Kubernetes "
                "and to Atoll. Name people or groups of your own.",
            )
        )
    )

    kind: Literal["User", "Group"]
    """What the name means."""
    name: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Name of the user or group, as the clusters' authentication reports it."""
    role: Literal["admin", "developer", "viewer"]
    """What it may do in the tenant's namespaces."""


class TenantNamespace(Part):
    """One of several namespaces in an environment, named <tenant>--<environment>--<name>."""

    name: ShortName
    """Last part of the namespace's name."""
    workload_class: Word | None = None
    """Class of its workloads; clusters with classes accept only theirs."""
    resources: Resources = Field(default_factory=Resources)
    """Amounts that the namespace may use, per cluster."""


class TenantEnvironment(Part):
    """What the tenant wants in one environment."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "has(self.resources) != has(self.namespaces)",
                "spec.environments must have either resources (for one namespace) or namespaces (each with resources "
                "of its own). Keep one of the two.",
            )
        )
    )

    name: Name
    """Environment of the same fleet."""
    resources: Resources | None = None
    """Amounts for the one namespace <tenant>--<environment>, per cluster."""
    namespaces: (
        Annotated[tuple[TenantNamespace, ...], Field(min_length=1, max_length=16, json_schema_extra=list_map("name"))]
        | None
    ) = None
    """Several namespaces instead of one."""
    clusters: Annotated[int, Field(ge=1, le=8)] = 1
    """How many clusters each namespace runs on, spread; amounts are per cluster."""
    isolation: IsolationLevel | None = None
    """How strongly it is kept apart; only ever stricter than what it inherits."""


class FlowSource(Part):
    """Where calls come from."""

    tenant: Name
    """Tenant of the same fleet."""
    environment: Name
    """Its environment."""


class FlowPort(Part):
    """A port that may be called."""

    port: Port
    """Number of the port."""
    protocol: Literal["TCP", "UDP", "SCTP"] = "TCP"
    """Protocol of the port."""


class FlowTarget(Part):
    """Where calls may go: a tenant's environment, or a block of addresses."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_exactly_one("an entry of spec.network.allowTo", "tenant", "cidr"),
            build_rule(
                "has(self.tenant) == has(self.environment)",
                "spec.network.allowTo must name tenant and environment together. Add the one that is missing.",
            ),
        )
    )

    tenant: Name | None = None
    """Tenant of the same fleet; it must allow the calls in its allowFrom."""
    environment: Name | None = None
    """Its environment."""
    cidr: Cidr | None = None
    """IPv4 block outside the clusters, such as 10.20.0.0/16."""
    ports: Annotated[tuple[FlowPort, ...], Field(max_length=16)] = ()
    """Ports that may be called. Absent: all."""


class TenantNetwork(Part):
    """Calls across the tenant's border; all others are refused."""

    allow_from: Annotated[tuple[FlowSource, ...], Field(max_length=32)] = ()
    """Who may call in; the other tenant must name this one in its allowTo."""
    allow_to: Annotated[tuple[FlowTarget, ...], Field(max_length=32)] = ()
    """Where calls may go out."""


class TenantSpec(Part):
    """What the tenant wants."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "self.environments.map(environment, (has(environment.namespaces) ? environment.namespaces.size() : 1)"
                f" * environment.clusters).sum() <= {MAX_PLACEMENTS}",
                f"spec.environments must not ask for more than {MAX_PLACEMENTS} placements: namespaces times clusters. "
                "Split the tenant, or lower clusters.",
            )
        )
    )

    members: Annotated[tuple[TenantMember, ...], Field(max_length=100, json_schema_extra=list_map("kind", "name"))] = ()
    """Who works here, and in which role."""
    environments: Annotated[tuple[TenantEnvironment, ...], Field(max_length=20, json_schema_extra=list_map("name"))]
    """What the tenant wants in which environment."""
    regimes: Annotated[tuple[Name, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Regimes that it demands of its clusters."""
    capabilities: Annotated[tuple[Word, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What it needs of its clusters."""
    network: TenantNetwork = Field(default_factory=TenantNetwork)
    """Calls across the tenant's border; all others are refused."""
    deletion_policy: Literal["Orphan", "Delete"] = "Orphan"
    """What becomes of its namespaces when the tenant is deleted; access is always removed."""
    deletion_protection: bool = False
    """Refuse deletion until the annotation atoll.dev/confirm-deletion names the object."""
    paused: Paused | None = None
    """Change nothing while this holds."""


class PlacementStatus(Part):
    """Where one namespace runs."""

    environment: Name
    """Environment of the namespace."""
    namespace: Text63
    """Name of the namespace in the cluster."""
    cluster: JoinedName
    """ChildCluster that it is on."""
    isolation: IsolationLevel | None = None
    """How strongly it is kept apart there."""
    state: Text63 = ""
    """Where it is on its way."""
    since: Time | None = None
    """Since when."""
    reason: Message = ""
    """Why here."""
    rule: Text63 = ""
    """Binding rule that this place breaks now, such as country; it has to move."""


class Nearest(Part):
    """A cluster that refused, and the smallest change that would admit."""

    cluster: JoinedName
    """ChildCluster that refused."""
    rule: Reason
    """Rule that refused first."""
    message: Annotated[str, StringConstraints(max_length=512)] = ""
    """What does not fit."""
    remedy: Annotated[str, StringConstraints(max_length=512)] = ""
    """The smallest change that would admit."""


class UnplacedStatus(Part):
    """A namespace that fits nowhere."""

    environment: Name
    """Environment of the namespace."""
    namespace: Text253
    """Name that the namespace would have; several that go together, with commas."""
    counts: Counts = Field(default_factory=dict)
    """How many clusters each rule refused."""
    nearest: Annotated[tuple[Nearest, ...], Field(max_length=5)] = ()
    """The clusters that come nearest."""


class TenantStatus(Status):
    """Where the tenant runs. This is the truth about placements."""

    placements: Annotated[
        tuple[PlacementStatus, ...],
        Field(max_length=2 * MAX_PLACEMENTS, json_schema_extra=list_map("environment", "namespace", "cluster")),
    ] = ()
    """Where each namespace runs; a move stands here twice until the old place is released."""
    unplaced: Annotated[
        tuple[UnplacedStatus, ...], Field(max_length=64, json_schema_extra=list_map("environment", "namespace"))
    ] = ()
    """Namespaces that fit nowhere."""


class Tenant(Resource):
    """A team or product: what it wants in which environment. Atoll finds the clusters and keeps it apart."""

    model_config = ConfigDict(json_schema_extra=with_rules(NAME_RULE))

    spec: TenantSpec
    """What the tenant wants."""
    status: TenantStatus = Field(default_factory=TenantStatus, json_schema_extra=STATUS_DEFAULT)
    """Where the tenant runs."""
