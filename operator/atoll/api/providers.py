"""The six provider blocks: what `ClusterSet.spec.provider` and each member may say.

No field of a block is required by its type, because a block at the set holds defaults and a member's block holds only
what differs: a field of the member replaces the set's field as a whole. Rules on the ClusterSet judge both together.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field, StringConstraints

from .meta import LIST_SET, NameReference, Part, Selector, Text63, Text253, Word, list_map, with_rules
from .rules import build_exactly_one, build_immutable, build_rule

PROVIDERS: Final = ("local", "kubeadm", "eks", "gke", "aks", "existing")
"""Names of the blocks, which are also the kinds of provider."""

ProviderKind = Literal["local", "kubeadm", "eks", "gke", "aks", "existing"]


class LocalSettings(Part):
    """Control planes as processes beside the operator, for trying out and for tests; refused when it runs in a pod."""


class PackagesSource(Part):
    """Packages of the host's distribution."""


class ImageSource(Part):
    """What the host's image already holds."""


class KubeadmSource(Part):
    """Where kubeadm, kubelet and images come from."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(build_exactly_one("kubeadm.source", "bundlePath", "packages", "image"))
    )

    bundle_path: Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern="^/")] | None = None
    """Folder beside the operator with one sub-folder per version, copied to the hosts."""
    packages: PackagesSource | None = None
    """Install packages of the host's distribution."""
    image: ImageSource | None = None
    """Use what the host's image already holds."""


class BridgeNetwork(Part):
    """The bridge plug-in with routes between hosts of one network."""


class PodNetwork(Part):
    """How pods reach each other."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(build_exactly_one("kubeadm.podNetwork", "bridge", "manifestsRef"))
    )

    bridge: BridgeNetwork | None = None
    """The bridge plug-in with routes between the hosts."""
    manifests_ref: NameReference | None = None
    """ConfigMap with manifests of a network add-on."""


class IgnoredPreflightError(Part):
    """A check of kubeadm that may fail, and why."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """Name of the check, as kubeadm prints it."""
    reason: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why it may fail here."""


class KubeadmSettings(Part):
    """Clusters that Atoll installs with kubeadm, over SSH, on hosts of a HostPool."""

    host_pool_ref: NameReference | None = None
    """HostPool that the hosts come from."""
    control_plane_hosts: Literal[1, 3] = 1
    """Number of control-plane hosts."""
    worker_hosts: Annotated[int, Field(ge=0, le=100)] = 0
    """Number of worker hosts."""
    host_selector: Selector | None = None
    """Which hosts of the pool may be claimed. Absent: all."""
    control_plane_endpoint: Annotated[str, StringConstraints(max_length=259, pattern="^([^\\s:/]+:[0-9]{1,5})?$")] = ""
    """host:port in front of the control planes; required when controlPlaneHosts is above 1; never changes."""
    source: KubeadmSource | None = None
    """Where kubeadm, kubelet and images come from. Absent: the host's image."""
    pod_network: PodNetwork | None = None
    """How pods reach each other. Absent: bridge."""
    config_ref: NameReference | None = None
    """ConfigMap with partial Cluster-, Kubelet- and KubeProxyConfiguration; Atoll's own fields are refused."""
    ignore_preflight_errors: Annotated[
        tuple[IgnoredPreflightError, ...], Field(max_length=32, json_schema_extra=list_map("name"))
    ] = ()
    """Checks of kubeadm that may fail."""


class EndpointAccess(Part):
    """Where the API server of a managed cluster answers."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_rule(
                "self.public || self.private",
                "endpointAccess must leave public or private true, or nobody reaches the API server.",
            )
        )
    )

    public: bool = False
    """Reachable from the internet."""
    private: bool = True
    """Reachable from inside the cloud network."""


_POOL_RULE: Final = build_rule(
    "self.minSize <= self.maxSize", "minSize must not be above maxSize. Lower minSize or raise maxSize."
)


_STAYS: Final = "A cluster stays where it was made. Add a new member for another place."


class NodeGroup(Part):
    """A group of equal nodes of EKS."""

    model_config = ConfigDict(json_schema_extra=with_rules(_POOL_RULE))

    name: Word
    """Name of the group."""
    instance_types: Annotated[tuple[Text63, ...], Field(min_length=1, max_length=16)]
    """EC2 instance types, the preferred first."""
    min_size: Annotated[int, Field(ge=0, le=1000)]
    """Least number of nodes."""
    max_size: Annotated[int, Field(ge=1, le=1000)]
    """Greatest number of nodes."""
    node_role_arn: Annotated[str, StringConstraints(max_length=256, pattern="^arn:")] | None = Field(default=None)
    """IAM role of the nodes. Absent: the cluster's role."""


class Addon(Part):
    """An add-on of EKS."""

    name: Word
    """Name of the add-on, such as vpc-cni."""
    version: Text63 = ""
    """Version of the add-on. Absent: the default for the cluster's version."""


class EksSettings(Part):
    """Clusters managed by Amazon EKS."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(build_immutable("eks.region", "region", _STAYS, optional=True))
    )

    region: Word | None = None
    """AWS region."""
    role_arn: Annotated[str, StringConstraints(max_length=256, pattern="^arn:")] | None = None
    """IAM role of the control plane."""
    subnet_ids: Annotated[tuple[Text63, ...], Field(min_length=1, max_length=16, json_schema_extra=LIST_SET)] | None = (
        None
    )
    """Subnets of the cluster."""
    endpoint_access: EndpointAccess | None = None
    """Where the API server answers. Absent: inside the cloud network only."""
    node_groups: Annotated[tuple[NodeGroup, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Node groups."""
    addons: Annotated[tuple[Addon, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Add-ons, moved in the right order with the version."""
    credentials_secret_ref: NameReference | None = None
    """Secret with credentials. Absent: workload identity."""


class GkePool(Part):
    """A pool of equal nodes of GKE."""

    model_config = ConfigDict(json_schema_extra=with_rules(_POOL_RULE))

    name: Word
    """Name of the pool."""
    machine_type: Text63
    """Compute Engine machine type."""
    min_size: Annotated[int, Field(ge=0, le=1000)]
    """Least number of nodes."""
    max_size: Annotated[int, Field(ge=1, le=1000)]
    """Greatest number of nodes."""


class GkeSettings(Part):
    """Clusters managed by Google GKE."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_immutable("gke.project", "project", _STAYS, optional=True),
            build_immutable("gke.location", "location", _STAYS, optional=True),
        )
    )

    project: Word | None = None
    """Project of the cluster."""
    location: Word | None = None
    """Region or zone."""
    network: Text253 = ""
    """VPC network. Absent: default."""
    subnetwork: Text253 = ""
    """Subnetwork of the nodes. Absent: default."""
    endpoint_access: EndpointAccess | None = None
    """Where the API server answers. Absent: inside the cloud network only."""
    release_channel: Literal["None", "Rapid", "Regular", "Stable", "Extended"] | None = None
    """None: no channel, where Google still allows that. In one, exclusions hold its upgrades off until support ends."""
    node_pools: Annotated[tuple[GkePool, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Node pools."""
    credentials_secret_ref: NameReference | None = None
    """Secret with credentials. Absent: workload identity."""


class AgentPool(Part):
    """A pool of equal nodes of AKS."""

    model_config = ConfigDict(json_schema_extra=with_rules(_POOL_RULE))

    name: Annotated[str, StringConstraints(min_length=1, max_length=12, pattern="^[a-z][a-z0-9]*$")]
    """Name of the pool."""
    vm_size: Text63
    """Size of the virtual machines, such as Standard_D4s_v5."""
    mode: Literal["System", "User"] = "System"
    """Whether the pool runs the cluster's own pods; one pool must be System."""
    min_size: Annotated[int, Field(ge=0, le=1000)]
    """Least number of nodes."""
    max_size: Annotated[int, Field(ge=1, le=1000)]
    """Greatest number of nodes."""


class AksSettings(Part):
    """Clusters managed by Azure AKS."""

    model_config = ConfigDict(
        json_schema_extra=with_rules(
            build_immutable("aks.subscriptionID", "subscriptionID", _STAYS, optional=True),
            build_immutable("aks.resourceGroup", "resourceGroup", _STAYS, optional=True),
            build_immutable("aks.location", "location", _STAYS, optional=True),
        )
    )

    subscription_id: Annotated[str, StringConstraints(max_length=36, pattern="^[0-9a-fA-F-]{36}$")] | None = None
    """Azure subscription."""
    resource_group: Annotated[str, StringConstraints(min_length=1, max_length=90)] | None = None
    """Resource group of the cluster."""
    location: Word | None = None
    """Azure region."""
    endpoint_access: EndpointAccess | None = None
    """Where the API server answers. Absent: inside the cloud network only."""
    agent_pools: Annotated[tuple[AgentPool, ...], Field(max_length=32, json_schema_extra=list_map("name"))] = ()
    """Agent pools."""
    credentials_secret_ref: NameReference | None = None
    """Secret with credentials. Absent: workload identity."""


class ExistingSettings(Part):
    """Clusters that others run; Atoll places tenants on them and never upgrades them."""

    upgrade: Literal["Never", "Allowed"] = "Never"
    """Never: rollouts skip the cluster. Allowed: they wait until its owner has brought it to the version."""
    kubeconfig_secret_ref: NameReference | None = None
    """Secret with a self-contained kubeconfig under the key `value`."""


class ProviderBlocks(Part):
    """The six blocks, at the set or at a member."""

    local: LocalSettings | None = None
    """Control planes as processes beside the operator, for trying out and for tests; refused when it runs in a pod."""
    kubeadm: KubeadmSettings | None = None
    """Clusters that Atoll installs with kubeadm, over SSH, on hosts of a HostPool."""
    eks: EksSettings | None = None
    """Clusters managed by Amazon EKS."""
    gke: GkeSettings | None = None
    """Clusters managed by Google GKE."""
    aks: AksSettings | None = None
    """Clusters managed by Azure AKS."""
    existing: ExistingSettings | None = None
    """Clusters that others run; Atoll places tenants on them and never upgrades them."""


class Provider(ProviderBlocks):
    """Where the clusters come from: exactly one block, the defaults of all members."""

    model_config = ConfigDict(json_schema_extra=with_rules(build_exactly_one("spec.provider", *PROVIDERS)))
