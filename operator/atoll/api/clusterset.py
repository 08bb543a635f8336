"""ClusterSet: a set of clusters of one kind of provider, and how changes go through it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import (
    LIST_SET,
    NAME_RULE,
    STATUS_DEFAULT,
    Cidr,
    Count,
    Country,
    GovernanceLabels,
    JoinedName,
    KubernetesVersion,
    Name,
    Part,
    Paused,
    Resource,
    Resources,
    Revision,
    Seconds,
    ServedVersion,
    Status,
    Text63,
    Time,
    Word,
    list_map,
    with_rules,
)
from .providers import PROVIDERS, Provider, ProviderBlocks
from .rules import Rule, build_rule, build_same_choice
from .upgrade import Upgrade

MAX_MEMBERS: Final = 200
"""Comparing members with their old selves fits the budget of CEL at 500 and not at 1,000."""


def build_no_endpoint(owner: str) -> str:
    """Return a CEL expression: `owner` (a member or `….provider`) has no kubeadm.controlPlaneEndpoint."""
    field = f"{owner}.kubeadm.controlPlaneEndpoint"
    return f"(!has({owner}.kubeadm) || !has({field}) || {field} == '')"


def build_same_nodes(owner: str, path: str, *, no_network: str) -> Rule:
    """Build the rule that what nodes are made with stays as it is; `owner`: a member or `….provider`.

    `no_network`: what no podNetwork at all stands for: `-` for the bridge, another word for what the set says.
    """
    old = owner.replace("self", "oldSelf")
    config = "(has({0}.kubeadm) && has({0}.kubeadm.configRef) ? {0}.kubeadm.configRef.name : '')"
    network = (
        "(has({0}.kubeadm) && has({0}.kubeadm.podNetwork) ? (has({0}.kubeadm.podNetwork.manifestsRef) ? "
        "{0}.kubeadm.podNetwork.manifestsRef.name : '-') : '{1}')"
    )
    return build_rule(
        f"{config.format(owner)} == {config.format(old)} && "
        f"{network.format(owner, no_network)} == {network.format(old, no_network)}",
        f"{path}.configRef and podNetwork cannot be changed, because nodes that are there would keep the old ones. Set "
        "the old value again, and make a new ClusterSet with the new one.",
    )


class ReservedFor(Part):
    """Who owns a cluster."""

    tenants: Annotated[tuple[Name, ...], Field(min_length=1, max_length=100, json_schema_extra=LIST_SET)]
    """Tenants that may be placed here; nobody else is."""


class Member(ProviderBlocks):
    """One cluster of the set; its ChildCluster is named <set>--<name>."""

    model_config = ConfigDict(
        json_schema_extra={
            # A member says only what differs: a default here would override the set's own value.
            "x-atoll-without-defaults": list(PROVIDERS),
            **with_rules(
                build_rule(
                    f"{build_no_endpoint('oldSelf')} || (has(self.kubeadm) && has(self.kubeadm.controlPlaneEndpoint) "
                    "&& self.kubeadm.controlPlaneEndpoint == oldSelf.kubeadm.controlPlaneEndpoint)",
                    "kubeadm.controlPlaneEndpoint of a member cannot be changed once it is set, because certificates "
                    "hold it. Add a member with the new endpoint and remove this one.",
                ),
                build_same_nodes("self", "spec.clusters[].kubeadm", no_network=""),
            ),
        }
    )

    name: Name
    """Name of the member, unique in the set; never reused for another cluster."""
    labels: GovernanceLabels = Field(default_factory=dict)
    """Labels of the cluster, added to the set's; selectors read them."""
    country: Country | None = None
    """ISO 3166 country code of two capital letters; quote "NO"."""
    region: Word | None = None
    """Region, for spreading and for limits per region."""
    regimes: Annotated[tuple[Name, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Regimes that this cluster is attested for, beside the set's."""
    capabilities: Annotated[tuple[Word, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What this cluster offers, beside the set's."""
    workload_classes: Annotated[tuple[Word, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Classes of namespaces that this cluster accepts, and then no others. Absent: all."""
    reserved_for: ReservedFor | None = None
    """Who owns this cluster. Absent: it is not reserved."""
    capacity: Resources | None = None
    """What the cluster holds, where nodes cannot be counted."""


class Network(Part):
    """The block that the addresses of all members come from; disjoint over the fleet."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "cidr(self.addressBlock) == cidr(self.addressBlock).masked()",
                "spec.network.addressBlock must be a network address, such as 10.128.0.0/10.",
                say=(
                    "'spec.network.addressBlock ' + self.addressBlock + ' must be a network address: its bits after "
                    "the prefix must be 0, as in 10.128.0.0/10.'"
                ),
            ),
            build_rule(
                "cidr(self.addressBlock).prefixLength() < self.podPrefixLength",
                "spec.network.podPrefixLength must be above the prefix length of addressBlock. Raise it, or choose a "
                "larger block.",
            ),
            build_rule(
                "cidr(self.addressBlock).prefixLength() < self.servicePrefixLength",
                "spec.network.servicePrefixLength must be above the prefix length of addressBlock. Raise it, or choose "
                "a larger block.",
            ),
        )
    )

    address_block: Cidr = "10.128.0.0/10"
    """IPv4 block, clear of host addresses and of other sets of the fleet; it may only grow."""
    pod_prefix_length: Annotated[int, Field(ge=9, le=28)] = 16
    """Size of each member's pod block, as a prefix length."""
    service_prefix_length: Annotated[int, Field(ge=12, le=28)] = 20
    """Size of each member's service block, as a prefix length."""


NETWORK_DEFAULT: Final = Network().model_dump(mode="json", by_alias=True)
"""Written out, because the API server judges a default by the rules before it fills in the defaults inside."""


ISSUER: Final = (
    r"^https://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/([A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?$"
)
"""What API servers take: no user, no query, no fragment."""
Claim = Annotated[str, StringConstraints(min_length=1, max_length=63)]


class Oidc(Part):
    """An OpenID Connect issuer."""

    issuer_url: Annotated[str, StringConstraints(max_length=512, pattern=ISSUER)]
    """URL of the issuer, as its tokens say it; clusters fetch its keys below it."""
    client_id: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Audience of the tokens."""
    username_claim: Claim = "sub"
    """Claim that holds the user name. Names of Kubernetes and of Atoll, such as system:admin, are refused."""
    groups_claim: Claim = "groups"
    """Claim that holds the groups. Names of Kubernetes and of Atoll, such as system:masters, are refused."""
    certificate_authority: (
        Annotated[str, StringConstraints(max_length=16_384, pattern="-----BEGIN CERTIFICATE-----")] | None
    ) = None
    """Certificates of the issuer's authority, as PEM. Absent: what the API servers' machines trust."""


class Authentication(Part):
    """What user and group names in tenants mean, where the provider can."""

    oidc: Oidc | None = None
    """An OpenID Connect issuer that all members trust."""


class Verification(Part):
    """How members are verified after each change."""

    sample_application: bool = True
    """Deploy a small application and reach it, where the cluster has nodes."""


class Backup(Part):
    """Drills that prove that backups can be restored."""

    drill_before_hop: bool = False
    """Restore a copy before each hop of versions."""
    drill_cron: Annotated[str, StringConstraints(max_length=64, pattern=r"^(\S+( \S+){4})?$")] = ""
    """When to drill beside that, as a cron time. Absent: never."""


def _own_or_set(block: str, field: str) -> Rule:
    """Build the rule that a field without which a block cannot work stands at the set or at each member."""
    return build_rule(
        f"!has(self.provider.{block}) || has(self.provider.{block}.{field}) || "
        f"self.clusters.all(member, has(member.{block}) && has(member.{block}.{field}))",
        f"spec.provider.{block}.{field} must be set, or each entry of spec.clusters must set {block}.{field}.",
    )


_NO_SET_ENDPOINT: Final = build_no_endpoint("self.provider")
_NO_OWN_ENDPOINT: Final = build_no_endpoint("member")
_HOSTS: Final = (
    "(has(member.kubeadm) && has(member.kubeadm.controlPlaneHosts) ? member.kubeadm.controlPlaneHosts : "
    "(has(self.provider.kubeadm) ? self.provider.kubeadm.controlPlaneHosts : 1))"
)


class ClusterSetSpec(Part):
    """What the set shall be."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_same_choice("spec.provider", *PROVIDERS, required_parent="self.provider"),
            build_rule(
                "self.clusters.all(member, "
                + " && ".join(f"(!has(member.{kind}) || has(self.provider.{kind}))" for kind in PROVIDERS)
                + ")",
                "spec.clusters must use the block of spec.provider only. Remove blocks of other kinds from members.",
            ),
            _own_or_set("kubeadm", "hostPoolRef"),
            _own_or_set("eks", "region"),
            _own_or_set("eks", "roleARN"),
            _own_or_set("eks", "subnetIDs"),
            _own_or_set("gke", "project"),
            _own_or_set("gke", "location"),
            _own_or_set("aks", "subscriptionID"),
            _own_or_set("aks", "resourceGroup"),
            _own_or_set("aks", "location"),
            build_rule(
                "!has(self.provider.existing) || !has(self.provider.existing.kubeconfigSecretRef)",
                "spec.provider.existing.kubeconfigSecretRef must stand at each entry of spec.clusters, because each "
                "cluster has its own. Move it there.",
            ),
            build_rule(
                "!has(self.provider.existing) || "
                "self.clusters.all(member, has(member.existing) && has(member.existing.kubeconfigSecretRef))",
                "spec.clusters must name existing.kubeconfigSecretRef for each member of a set of existing clusters.",
            ),
            build_rule(
                f"!{_NO_SET_ENDPOINT} || self.clusters.all(member, {_HOSTS} <= 1 || !{_NO_OWN_ENDPOINT})",
                "kubeadm.controlPlaneEndpoint must be set as host:port when kubeadm.controlPlaneHosts is above 1. "
                "Set it at the member, or set controlPlaneHosts to 1.",
            ),
            build_rule(
                f"{_NO_SET_ENDPOINT} || self.clusters.filter(member, {_NO_OWN_ENDPOINT}).size() <= 1",
                "spec.provider.kubeadm.controlPlaneEndpoint must not serve several members. Set "
                "kubeadm.controlPlaneEndpoint at each member.",
            ),
            build_rule(
                f"{build_no_endpoint('oldSelf.provider')} || (has(self.provider.kubeadm) && "
                "has(self.provider.kubeadm.controlPlaneEndpoint) && "
                "self.provider.kubeadm.controlPlaneEndpoint == oldSelf.provider.kubeadm.controlPlaneEndpoint)",
                "spec.provider.kubeadm.controlPlaneEndpoint cannot be changed once it is set, because certificates "
                "hold it. Set the old value again.",
            ),
            build_same_nodes("self.provider", "spec.provider.kubeadm", no_network="-"),
            build_rule(
                "cidr(self.network.addressBlock).containsCIDR(oldSelf.network.addressBlock)",
                "spec.network.addressBlock may only grow, because clusters live in it.",
                say=(
                    "'spec.network.addressBlock may only grow, because clusters live in it. Choose a block that "
                    "contains ' + oldSelf.network.addressBlock + '.'"
                ),
            ),
        )
    )

    version: KubernetesVersion
    """Kubernetes version of all members, such as v1.36.4, or v1.36 for any patch of it."""
    provider: Provider
    """Where the clusters come from: exactly one block, the defaults of all members; its kind never changes."""
    clusters: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS, json_schema_extra=list_map("name"))]
    """Members; each becomes a ChildCluster named <set>--<name>."""
    regimes: Annotated[tuple[Name, ...], Field(max_length=16, json_schema_extra=LIST_SET)] = ()
    """Regimes that all members are attested for."""
    capabilities: Annotated[tuple[Word, ...], Field(max_length=32, json_schema_extra=LIST_SET)] = ()
    """What all members offer."""
    labels: GovernanceLabels = Field(default_factory=dict)
    """Governance labels of all members, copied as they are."""
    network: Network = Field(default_factory=Network, json_schema_extra={"default": NETWORK_DEFAULT})
    """The block that the addresses of all members come from."""
    authentication: Authentication | None = None
    """What user and group names in tenants mean, where the provider can."""
    upgrade: Upgrade = Field(default_factory=Upgrade)
    """How changes go through the set."""
    verification: Verification = Field(default_factory=Verification)
    """How members are verified after each change."""
    backup: Backup = Field(default_factory=Backup)
    """Drills that prove that backups can be restored."""
    confirm_removal: Annotated[tuple[Name, ...], Field(max_length=MAX_MEMBERS, json_schema_extra=LIST_SET)] = ()
    """Members that may be destroyed when they leave the list; all others are only detached."""
    deletion_policy: Literal["Orphan", "Delete"] = "Orphan"
    """What becomes of the real clusters when the set is deleted."""
    deletion_protection: bool = False
    """Refuse deletion until the annotation atoll.dev/confirm-deletion names the object."""
    paused: Paused | None = None
    """Change nothing while this holds."""


class MemberCounts(Part):
    """How the members stand."""

    total: Count = 0
    """Members in the list."""
    available: Count = 0
    """Members that can be used now."""
    up_to_date: Count = 0
    """Members that have reached the set's revision."""
    detached: Count = 0
    """ChildClusters of members that have left the list."""


class SetChange(Part):
    """One finished change of the set."""

    version: ServedVersion = ""
    """Version that was reached, or was not."""
    revision: Revision = ""
    """Revision that was reached, or was not."""
    rollout: JoinedName = ""
    """Rollout that did it."""
    started_time: Time | None = None
    """When it began."""
    seconds: Seconds | None = None
    """How long it took."""
    result: Text63 = ""
    """How it ended."""


class ClusterSetStatus(Status):
    """What the set is."""

    version: ServedVersion = ""
    """Last version that all members reached."""
    revision: Revision = ""
    """Last revision that all members reached."""
    members: MemberCounts | None = None
    """How the members stand."""
    current_rollout: JoinedName = ""
    """Rollout that is under way."""
    history: Annotated[tuple[SetChange, ...], Field(max_length=10)] = ()
    """Last changes, the newest last."""


class ClusterSet(Resource):
    """A set of Kubernetes clusters of one kind of provider, changed in waves."""

    model_config = ConfigDict(json_schema_extra=with_rules(NAME_RULE))

    spec: ClusterSetSpec
    """What the set shall be."""
    status: ClusterSetStatus = Field(default_factory=ClusterSetStatus, json_schema_extra=STATUS_DEFAULT)
    """What the set is."""
