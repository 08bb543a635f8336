"""Regime: a governance regime that compiles into placement rules, gates, labels and policies."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .environment import IsolationLevel
from .meta import (
    LIST_SET,
    NAME_RULE,
    STATUS_DEFAULT,
    Count,
    Country,
    LabelValue,
    Name,
    Part,
    Resource,
    Status,
    Window,
    with_rules,
)
from .rules import build_rule

RegimeLabels = Annotated[
    dict[str, LabelValue],
    Field(
        max_length=16,
        json_schema_extra=with_rules(
            build_rule(
                "self.all(key, key.size() <= 63 && key.matches('^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))",
                "spec.labels must use keys without a prefix and of at most 63 characters, because Atoll puts "
                "governance.atoll.dev/ before them.",
            )
        ),
    ),
]


class RegimeVersions(Part):
    """How old a cluster may be."""

    max_minors_behind: Annotated[int, Field(ge=0, le=10)]
    """How many minors behind the newest that any ClusterSet of the fleet declares."""


class RegimeUpgrade(Part):
    """What rollouts over its clusters must respect."""

    min_soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    """Least soak time of each wave."""
    approvals: Annotated[int, Field(ge=0, le=10)] = 0
    """How many people must approve each wave, through the implicit gate regime-<name>."""
    windows: Annotated[tuple[Window, ...], Field(max_length=16)] = ()
    """When changes may start. Absent: always."""


class RegimeSpec(Part):
    """What the regime demands."""

    title: Annotated[str, StringConstraints(max_length=128)] = ""
    """What people call it."""
    countries: Annotated[tuple[Country, ...], Field(max_length=250, json_schema_extra=LIST_SET)] = ()
    """Countries that data may be in. Absent: all; a cluster without a known country satisfies none."""
    exclusive: bool = False
    """A cluster attested for it serves only tenants that demand it."""
    incompatible_with: Annotated[tuple[Name, ...], Field(max_length=50, json_schema_extra=LIST_SET)] = ()
    """Regimes that never share a cluster with it."""
    isolation: IsolationLevel = "Namespace"
    """The least isolation of its tenants."""
    pod_security: Literal["privileged", "baseline", "restricted"] | None = None
    """The least pod security standard of its namespaces."""
    versions: RegimeVersions | None = None
    """How old a cluster may be. Absent: any age."""
    upgrade: RegimeUpgrade = Field(default_factory=RegimeUpgrade)
    """What rollouts over its clusters must respect."""
    labels: RegimeLabels = Field(default_factory=dict)
    """Labels that it adds, under governance.atoll.dev/."""


class RegimeStatus(Status):
    """Who uses the regime."""

    demanded_by: Count = 0
    """Environments and tenants that demand it."""
    attested_by: Count = 0
    """Clusters that are attested for it."""


class Regime(Resource):
    """A governance regime: what it demands of clusters, and what it puts on them."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            NAME_RULE,
            build_rule(
                "!has(self.spec.incompatibleWith) || !(self.metadata.name in self.spec.incompatibleWith)",
                "spec.incompatibleWith must not name the regime itself. Remove it from the list.",
            ),
        )
    )

    spec: RegimeSpec
    """What the regime demands."""
    status: RegimeStatus = Field(default_factory=RegimeStatus, json_schema_extra=STATUS_DEFAULT)
    """Who uses the regime."""
