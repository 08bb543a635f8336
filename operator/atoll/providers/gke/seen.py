"""What one look at a cluster of GKE finds: the answer of GetCluster in our words. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from atoll.fleet.values import Version
from atoll.providers.managed.kubeconfig import decode_authority

BUSY: Final = frozenset({"PROVISIONING", "RECONCILING", "STOPPING"})
"""States in which GKE is at work on a cluster or pool, and lets nobody else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPool:
    """A node pool."""

    name: str
    version: str
    """Without a leading v: `1.36.4-gke.100`."""
    status: str
    message: str = ""
    """What GKE says of its state."""
    machine_type: str = ""
    image_type: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of its machines in the cloud."""
    autoscaling: Mapping[str, Any] = field(default_factory=dict)
    auto_upgrade: bool = False
    auto_repair: bool = False
    max_surge: int = 0
    max_unavailable: int = 0
    strategy: str = "SURGE"

    @property
    def is_busy(self) -> bool:
        """Whether GKE is at work on it."""
        return self.status in BUSY

    @property
    def served(self) -> Version:
        """The version of its nodes."""
        return Version.parse(self.version)

    def is_minor_behind(self, master: Version) -> bool:
        """Say whether its minor version is older than the control plane's."""
        return (self.served.major, self.served.minor) < (master.major, master.minor)


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenCluster:
    """A cluster."""

    name: str
    version: str
    """Of the control plane, without a leading v."""
    status: str
    message: str = ""
    """What GKE says of its state."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Its resource labels."""
    fingerprint: str = ""
    """Which labels these are; whoever changes them must know it."""
    server: str = ""
    authority: str = ""
    network: str = ""
    subnetwork: str = ""
    pod_cidr: str = ""
    service_cidr: str = ""
    channel: str = "UNSPECIFIED"
    public: bool = False
    workload_pool: str = ""
    maintenance: Mapping[str, Any] = field(default_factory=dict)
    """Its maintenance policy as the API says it."""
    pools: tuple[SeenPool, ...] = ()

    @property
    def is_busy(self) -> bool:
        """Whether GKE is at work on it or on a pool of it."""
        # What is in ERROR is worked on no more, whatever its pools still say.
        return self.status in BUSY or (self.status != "ERROR" and any(pool.is_busy for pool in self.pools))

    @property
    def served(self) -> Version:
        """The version of the control plane."""
        return Version.parse(self.version)

    def pool(self, name: str) -> SeenPool | None:
        """Return a pool by name; None: there is none."""
        return next((pool for pool in self.pools if pool.name == name), None)


def parse_cluster(said: Mapping[str, Any]) -> SeenCluster:
    """Read a cluster as the REST API shows it: camelCase, enums by name."""
    allocation = said.get("ipAllocationPolicy") or {}
    endpoint = said.get("endpoint") or ""
    return SeenCluster(
        name=said.get("name") or "",
        version=said.get("currentMasterVersion") or said.get("initialClusterVersion") or "",
        status=said.get("status") or "STATUS_UNSPECIFIED",
        message=_read_message(said),
        tags=dict(said.get("resourceLabels") or {}),
        fingerprint=said.get("labelFingerprint") or "",
        server=f"https://{endpoint}" if endpoint else "",
        authority=decode_authority((said.get("masterAuth") or {}).get("clusterCaCertificate") or ""),
        network=said.get("network") or "",
        subnetwork=said.get("subnetwork") or "",
        pod_cidr=allocation.get("clusterIpv4CidrBlock") or said.get("clusterIpv4Cidr") or "",
        service_cidr=allocation.get("servicesIpv4CidrBlock") or said.get("servicesIpv4Cidr") or "",
        channel=(said.get("releaseChannel") or {}).get("channel") or "UNSPECIFIED",
        public=_read_public(said),
        workload_pool=(said.get("workloadIdentityConfig") or {}).get("workloadPool") or "",
        maintenance=said.get("maintenancePolicy") or {},
        pools=tuple(_parse_pool(pool) for pool in said.get("nodePools") or ()),
    )


def _parse_pool(said: Mapping[str, Any]) -> SeenPool:
    config, management = said.get("config") or {}, said.get("management") or {}
    upgrade = said.get("upgradeSettings") or {}
    return SeenPool(
        name=said.get("name") or "",
        version=said.get("version") or "",
        status=said.get("status") or "STATUS_UNSPECIFIED",
        message=_read_message(said),
        machine_type=config.get("machineType") or "",
        image_type=config.get("imageType") or "",
        labels=dict(config.get("resourceLabels") or {}),
        autoscaling=said.get("autoscaling") or {},
        auto_upgrade=bool(management.get("autoUpgrade")),
        auto_repair=bool(management.get("autoRepair")),
        max_surge=int(upgrade.get("maxSurge") or 0),
        max_unavailable=int(upgrade.get("maxUnavailable") or 0),
        strategy=upgrade.get("strategy") or "SURGE",
    )


def _read_public(said: Mapping[str, Any]) -> bool:
    """Say whether the API server has a public address; clusters of old say it the other way round."""
    ends = (said.get("controlPlaneEndpointsConfig") or {}).get("ipEndpointsConfig") or {}
    if "enablePublicEndpoint" in ends:
        return bool(ends["enablePublicEndpoint"])
    return not (said.get("privateClusterConfig") or {}).get("enablePrivateEndpoint", False)


def _read_message(said: Mapping[str, Any]) -> str:
    conditions: Sequence[Mapping[str, Any]] = said.get("conditions") or ()
    told = [condition["message"] for condition in conditions if condition.get("message")]
    return "; ".join(told) or said.get("statusMessage") or ""
