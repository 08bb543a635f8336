"""Environment: a delivery stage or the like; where its tenants may be placed, and under which rules."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    LIST_SET,
    NAME_RULE,
    STATUS_DEFAULT,
    Count,
    Counts,
    GovernanceLabels,
    JoinedName,
    Name,
    Part,
    Paused,
    Resource,
    Resources,
    Selector,
    Status,
    Time,
    Word,
    with_rules,
)
from .rules import build_rule

IsolationLevel = Literal["Namespace", "Cluster", "Hosts"]
"""How strongly a tenant is kept apart; later ones are stricter."""


class Spread(Part):
    """Keep placements even."""

    topology_key: Literal["region", "country"]
    """What to spread over."""
    max_skew: Annotated[int, Field(ge=1, le=50)] = 1
    """Greatest difference between the fullest and the emptiest."""


class Placement(Part):
    """Which clusters the environment may use."""

    cluster_selector: Selector | None = None
    """Which clusters, by the labels of the ChildClusters. Absent: all of the fleet."""
    required_capabilities: Annotated[tuple[Word, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What a cluster must offer."""
    spread: Spread | None = None
    """Keep placements even over regions or countries."""
    headroom_percent: Annotated[int, Field(ge=0, le=90)] = 0
    """Share of each cluster that stays free, in percent."""


class Freeze(Part):
    """A time in which no rollout touches a cluster that hosts the environment."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule("self.from < self.to", "spec.freezes must end after they begin. Swap from and to.")
        )
    )

    from_: Time
    """When the freeze begins."""
    to: Time
    """When the freeze ends."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why, in words for the next person who looks."""


class EnvironmentSpec(Part):
    """What the environment shall be."""

    topology: Literal["SharedCluster", "ClusterPerEnvironment", "ClusterPerTenant", "CrossEnvironment"] = (
        "SharedCluster"
    )
    """How its clusters are shared with other environments and between tenants."""
    placement: Placement = Field(default_factory=Placement)
    """Which clusters the environment may use."""
    allowed_tenants: Annotated[tuple[Name, ...], Field(max_length=1000, json_schema_extra=LIST_SET)] | None = None
    """Tenants that may use it. Absent: all of the fleet; empty: nobody."""
    max_per_tenant: Resources | None = None
    """Greatest amounts that one tenant may ask for. Absent: no limit."""
    max_unavailable_clusters: Annotated[int, Field(ge=1, le=200)] | None = None
    """How many of its clusters may be changing or down at once, over all rollouts. Absent: no limit."""
    regimes: Annotated[tuple[Name, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Regimes that it demands of its clusters."""
    isolation: IsolationLevel = "Namespace"
    """The least isolation that tenants get here."""
    labels: GovernanceLabels = Field(default_factory=dict)
    """Governance labels of its namespaces, copied as they are."""
    freezes: Annotated[tuple[Freeze, ...], Field(max_length=50)] = ()
    """Times in which no rollout touches a cluster that hosts it."""
    deletion_protection: bool = False
    """Refuse deletion until the annotation atoll.dev/confirm-deletion names the object."""
    paused: Paused | None = None
    """Change nothing while this holds."""


class EnvironmentStatus(Status):
    """What the environment is."""

    clusters: Annotated[tuple[JoinedName, ...], Field(max_length=50, json_schema_extra=LIST_SET)] = ()
    """ChildClusters that host it."""
    tenant_count: Count = 0
    """Tenants in it; while there are any, it cannot be deleted."""
    refused_counts: Counts = Field(default_factory=dict)
    """How many clusters each rule refuses."""


class Environment(Resource):
    """A delivery stage or the like: where tenants are placed, and under which rules."""

    model_config = ConfigDict(json_schema_extra=with_rules(NAME_RULE))

    spec: EnvironmentSpec
    """What the environment shall be."""
    status: EnvironmentStatus = Field(default_factory=EnvironmentStatus, json_schema_extra=STATUS_DEFAULT)
    """What the environment is."""
