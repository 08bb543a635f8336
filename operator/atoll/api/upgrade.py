"""How changes go through a ClusterSet: waves, and the gates at their ends."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    LIST_SET,
    NameReference,
    Part,
    Selector,
    Share,
    SomeShare,
    StepName,
    Text253,
    Url,
    Window,
    list_map,
    with_rules,
)
from .rules import build_exactly_one, build_rule


class ApprovalGate(Part):
    """A gate that people open with Approvals."""

    count: Annotated[int, Field(ge=1, le=10)] = 1
    """How many different people must approve; the requester is never one of them."""
    groups: Annotated[tuple[Text253, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Groups that may approve. Absent: everybody who may create Approvals."""


class MetricGate(Part):
    """A gate that a measurement opens. Empty, NaN, several series, stale, error: closed."""

    url: Url
    """Address of a Prometheus-compatible server."""
    query: Annotated[str, StringConstraints(min_length=1, max_length=2048)]
    """Query that yields one number."""
    max: Annotated[str, StringConstraints(max_length=20, pattern=r"^-?[0-9]+([.][0-9]+)?$")]
    """Greatest value with which the gate is open, such as "0.01"."""
    interval_seconds: Annotated[int, Field(ge=5, le=3600)] = 30
    """How often to ask."""
    secret_ref: NameReference | None = None
    """Secret with a bearer token under the key `token`."""


class JobGate(Part):
    """A gate that a Job opens by succeeding."""

    manifests_ref: NameReference
    """ConfigMap with the manifests, applied in each cluster of the wave."""


class Gate(Part):
    """Something that must be open before a wave ends."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_exactly_one("a gate", "approval", "metric", "job"),
            build_rule(
                "!self.name.startsWith('regime-')",
                "gate names must not begin with regime-, which is for the gates that regimes add. Rename the gate.",
            ),
        )
    )

    name: StepName
    """Name of the gate, unique in its wave."""
    approval: ApprovalGate | None = None
    """People open it."""
    metric: MetricGate | None = None
    """A measurement opens it."""
    job: JobGate | None = None
    """A Job opens it."""


class Wave(Part):
    """Members that change together. A member belongs to the first wave that selects it."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "!has(self.minSoakSeconds) || self.minSoakSeconds <= self.soakSeconds",
                "minSoakSeconds must not be above soakSeconds. Lower it, or raise soakSeconds.",
            )
        )
    )

    name: StepName
    """Name of the wave, unique in the set."""
    cluster_selector: Selector
    """Which members belong to the wave, by the labels of their ChildClusters."""
    max_concurrent: SomeShare = 1
    """How many of the wave may change at once: a number or a percentage."""
    soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] = 0
    """How long the wave must stay healthy before the next begins; an alert starts it again."""
    min_soak_seconds: Annotated[int, Field(ge=0, le=2_592_000)] | None = None
    """With evidence, all metric gates of the wave open since it began to soak, this long is enough. Absent: never."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=10, json_schema_extra=list_map("name"))] = ()
    """What must be open before the next wave begins."""


class Upgrade(Part):
    """How changes go through the set. Members that no wave selects go last, one by one."""

    waves: Annotated[tuple[Wave, ...], Field(max_length=20, json_schema_extra=list_map("name"))] = ()
    """Waves, in order; frozen into the Rollout when it begins."""
    max_concurrent: SomeShare = 1
    """How many members of the whole set may change at once: a number or a percentage."""
    max_concurrent_per_region: Annotated[int, Field(ge=1, le=200)] | None = None
    """How many members of one region may change at once. Absent: no limit."""
    failure_budget: Share = 0
    """How many members may fail, a number or a percentage; one more halts the rollout."""
    on_failure: Literal["Halt", "Revert"] = "Halt"
    """What to do when the budget is used up."""
    windows: Annotated[tuple[Window, ...], Field(max_length=16)] = ()
    """When changes may start. Absent: always."""
    retry: Annotated[int, Field(ge=0, le=1000)] = 0
    """Raise it to try a halted target again."""
