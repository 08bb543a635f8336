"""Shared field types, each with its bounds.

Everything is bounded because the API server estimates the cost of CEL rules from the bounds, and because a status
without bounds grows until etcd refuses it. A field's description is the docstring below it; the generator refuses a
field without.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, WithJsonSchema

from .rules import Rule, build_rule

GROUP: Final = "atoll.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"

DNS_LABEL: Final = "^[a-z0-9]+(-[a-z0-9]+)*$"
"""A DNS label without `--`, so that names joined by `--` cannot collide."""
LABEL_VALUE: Final = "^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
LABEL_KEY: Final = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$"
QUANTITY: Final = "^[0-9]+([.][0-9]+)?(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?$"
SHARE: Final = "^([0-9]|[1-9][0-9]{1,2}|([0-9]|[1-9][0-9]|100)%)$"
SOME_SHARE: Final = "^([1-9][0-9]{0,2}|([1-9][0-9]?|100)%)$"
"""As SHARE, but never nothing: a limit of 0 would stop all work without saying so."""
_OCTET: Final = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
IPV4_BLOCK: Final = f"^({_OCTET}[.]){{3}}{_OCTET}/([0-9]|[12][0-9]|3[0-2])$"

_ACRONYMS: Final = {"arn": "ARN", "cidr": "CIDR", "id": "ID", "ids": "IDs", "uid": "UID", "url": "URL"}


def to_api_name(name: str) -> str:
    """Write an attribute's name as the API does: `role_arn` → `roleARN`, `from_` → `from`."""
    first, *rest = name.rstrip("_").split("_")
    return first + "".join(_ACRONYMS.get(word, word.capitalize()) for word in rest)


class Part(BaseModel):
    """What all models have in common: API names as aliases, frozen, tolerant of fields of a newer CRD."""

    model_config = ConfigDict(
        alias_generator=to_api_name,
        populate_by_name=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )


def with_rules(*rules: Rule) -> dict[str, Any]:
    """Return what `json_schema_extra` needs to carry CEL rules."""
    return {"x-kubernetes-validations": list(rules)}


def list_map(*keys: str) -> dict[str, Any]:
    """Return what `json_schema_extra` needs for a list whose items are told apart by `keys`."""
    return {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(keys)}


LIST_SET: Final[dict[str, Any]] = {"x-kubernetes-list-type": "set"}
"""What `json_schema_extra` needs for a list of scalars without duplicates."""


STATUS_DEFAULT: Final[dict[str, Any]] = {"default": {"observedGeneration": -1}}
"""What `json_schema_extra` needs on `status`, so that tools do not take an untouched object for settled."""

# ── text ──

Name = Annotated[str, StringConstraints(min_length=1, max_length=24, pattern=DNS_LABEL)]
"""Name of a ClusterSet, member, HostPool, host, Tenant, Environment or Regime."""
ShortName = Annotated[str, StringConstraints(min_length=1, max_length=11, pattern=DNS_LABEL)]
"""Name of a tenant's namespace: `<tenant>--<environment>--<name>` still fits 63 characters."""
JoinedName = Annotated[str, StringConstraints(max_length=63)]
"""Name of an object that Atoll made: `<set>--<member>`, `<set>-<n>`."""
ObjectName = Annotated[str, StringConstraints(min_length=1, max_length=253, pattern="^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""Name of any Kubernetes object."""
StepName = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=DNS_LABEL)]
"""Name of a wave or a gate."""
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=63, pattern="^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
]
"""A capability, workload class, region or the like: what fits a label value."""
Country = Annotated[str, StringConstraints(max_length=2, pattern="^[A-Z]{2}$")]
KubernetesVersion = Annotated[str, StringConstraints(max_length=16, pattern=r"^v1\.\d+(\.\d+)?$")]
ServedVersion = Annotated[str, StringConstraints(max_length=64)]
"""A version as a server reports it, with a vendor's suffix."""
Revision = Annotated[str, StringConstraints(max_length=64)]
Uid = Annotated[str, StringConstraints(max_length=36)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=36, pattern="^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
Cidr = Annotated[str, StringConstraints(max_length=18, pattern=IPV4_BLOCK)]
"""An IPv4 block such as 10.128.0.0/10."""
OptionalCidr = Annotated[str, StringConstraints(max_length=18, pattern=f"^({IPV4_BLOCK[1:-1]})?$")]
"""As Cidr, or empty where a provider keeps the addresses to itself."""
Text63 = Annotated[str, StringConstraints(max_length=63)]
Text253 = Annotated[str, StringConstraints(max_length=253)]
Message = Annotated[str, StringConstraints(max_length=1024)]
LongMessage = Annotated[str, StringConstraints(max_length=4096)]
Url = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern="^https?://")]
UserName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Reason = Annotated[str, StringConstraints(max_length=64)]
Time = AwareDatetime

# ── numbers ──

Count = Annotated[int, Field(ge=0, le=1_000_000)]
Seconds = Annotated[int, Field(ge=0, le=31_536_000)]
Port = Annotated[int, Field(ge=1, le=65535)]
Quantity = Annotated[
    Annotated[int, Field(ge=0, le=2**62)] | Annotated[str, StringConstraints(max_length=20, pattern=QUANTITY)],
    WithJsonSchema({"x-kubernetes-int-or-string": True, "pattern": QUANTITY, "maxLength": 20}),
]
"""An amount such as 4, "500m" or "64Gi"."""
Share = Annotated[
    Annotated[int, Field(ge=0, le=999)] | Annotated[str, StringConstraints(max_length=4, pattern=SHARE)],
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "pattern": SHARE, "maxLength": 4, "minimum": 0, "maximum": 999}
    ),
]
"""A number or a percentage: 3 or "25%"."""
SomeShare = Annotated[
    Annotated[int, Field(ge=1, le=999)] | Annotated[str, StringConstraints(max_length=4, pattern=SOME_SHARE)],
    WithJsonSchema(
        {"x-kubernetes-int-or-string": True, "pattern": SOME_SHARE, "maxLength": 4, "minimum": 1, "maximum": 999}
    ),
]
"""A number or a percentage above 0."""

# ── maps ──

LabelValue = Annotated[str, StringConstraints(max_length=63, pattern=LABEL_VALUE)]
_KEY_RULE: Final = build_rule(
    f"self.all(key, key.size() <= 317 && key.matches('{LABEL_KEY}'))",
    "label keys must be written as name or prefix/name, with at most 63 characters in the name.",
)
_RESERVED_RULE: Final = build_rule(
    "self.all(key, !key.matches('^([^/]*[.])?(kubernetes[.]io|k8s[.]io|atoll[.]dev)/'))",
    "labels must not use keys under kubernetes.io, k8s.io or atoll.dev. Use a prefix of your own, or none.",
)
LabelMap = Annotated[dict[str, LabelValue], Field(max_length=64, json_schema_extra=with_rules(_KEY_RULE))]
"""Labels for selectors."""
GovernanceLabels = Annotated[
    dict[str, LabelValue], Field(max_length=64, json_schema_extra=with_rules(_KEY_RULE, _RESERVED_RULE))
]
"""Labels that are copied as they are onto clusters, namespaces and clouds."""
Counts = Annotated[dict[str, Count], Field(max_length=32)]


class Resources(Part):
    """Amounts of what clusters offer and tenants ask for."""

    cpu: Quantity | None = None
    """Processors, such as 4 or "500m"."""
    memory: Quantity | None = None
    """Bytes of memory, such as 8Gi."""
    pods: Quantity | None = None
    """Number of pods."""
    storage: Quantity | None = None
    """Bytes of storage claimed by volumes, such as 500Gi."""


class NameReference(Part):
    """A reference to an object of the same namespace."""

    name: ObjectName
    """Name of the object, in the same namespace."""


class Requirement(Part):
    """One expression of a label selector."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "(self.operator == 'In' || self.operator == 'NotIn') == (has(self.values) && self.values.size() > 0)",
                "matchExpressions must have values with In and NotIn, and none with Exists and DoesNotExist.",
            )
        )
    )

    key: Annotated[str, StringConstraints(min_length=1, max_length=317, pattern=LABEL_KEY)]
    """The label's key."""
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    """How the label relates to the values."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=16)] | None = None
    """Values for In and NotIn."""


class Selector(Part):
    """A label selector. An empty one is refused: nobody selects a fleet by forgetting a line."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "(has(self.matchLabels) && self.matchLabels.size() > 0) || "
                "(has(self.matchExpressions) && self.matchExpressions.size() > 0)",
                "an empty selector is refused. Name at least one label in matchLabels or matchExpressions, "
                "or leave an optional selector out to select all.",
            )
        )
    )

    match_labels: Annotated[dict[str, LabelValue], Field(max_length=16)] | None = None
    """Labels that must all be there with these values."""
    match_expressions: Annotated[tuple[Requirement, ...], Field(max_length=16)] | None = None
    """Expressions that must all hold."""


class Paused(Part):
    """A pause: nothing is changed while it holds."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why, in words for the next person who looks."""
    until: Time | None = None
    """When the pause ends by itself. Absent: when it is removed."""


class Window(Part):
    """When changes may start."""

    cron: Annotated[str, StringConstraints(min_length=9, max_length=64, pattern=r"^\S+( \S+){4}$")]
    """Start of the window: minute, hour, day of month, month, day of week, such as "0 22 * * 1-4"."""
    duration_minutes: Annotated[int, Field(ge=1, le=10080)]
    """How long the window stays open, in minutes."""
    time_zone: Annotated[str, StringConstraints(min_length=1, max_length=64)] = "UTC"
    """IANA name of the time zone, such as Europe/Berlin."""


class Condition(Part):
    """One thing that is true, false or unknown about an object."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=63, pattern="^[A-Z][A-Za-z0-9]*$")]
    """What the condition is about."""
    status: Literal["True", "False", "Unknown"]
    """Whether it holds."""
    observed_generation: Annotated[int, Field(ge=-1, le=2**53)] | None = None
    """Generation of the object that this was found for."""
    last_transition_time: Time
    """When the status changed last."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=64, pattern="^[A-Z][A-Za-z0-9]*$")]
    """One word for programs, from a closed list."""
    message: LongMessage = ""
    """What is wrong, which object and field, and what to do."""


Conditions = Annotated[tuple[Condition, ...], Field(max_length=16, json_schema_extra=list_map("type"))]


class Status(Part):
    """What every status has."""

    observed_generation: Annotated[int, Field(ge=-1, le=2**53)] = -1
    """Generation of the spec that this status is about; -1 before the first visit."""
    conditions: Conditions = ()
    """Ready, Available, Reconciling, Stalled, Paused and the kind's own."""


class ObjectMeta(Part):
    """The part of an object's metadata that Atoll reads."""

    name: str = ""
    """Name of the object."""
    namespace: str = ""
    """The fleet."""
    uid: str = ""
    """Empty offline."""
    resource_version: str = ""
    """Empty offline."""
    generation: int = 1
    """Rises with each change of the spec."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Labels of the object."""
    annotations: dict[str, str] = Field(default_factory=dict)
    """Annotations of the object."""
    finalizers: tuple[str, ...] = ()
    """What must be done before the object goes."""
    creation_timestamp: Time | None = None
    """When the object was made."""
    deletion_timestamp: Time | None = None
    """When somebody asked for the deletion."""


class Resource(Part):
    """One object of ours. `metadata` has no schema of its own in a CRD."""

    metadata: ObjectMeta
    """Standard object metadata."""


NAME_RULE: Final = build_rule(
    f"self.metadata.name.size() <= 24 && self.metadata.name.matches('{DNS_LABEL}')",
    "metadata.name must be a DNS label of at most 24 characters without `--`, because names are joined with `--`.",
    say=(
        "'metadata.name `' + self.metadata.name + '` must be a DNS label of at most 24 characters without `--`, '"
        " + 'because names are joined with `--`. Choose a shorter or simpler name.'"
    ),
)
