"""Provider `kubeadm` on throw-away hosts, without a management plane: claims and ConfigMaps are in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import yaml

from atoll.hosts.access import HostAccess
from atoll.hosts.connected import Connections
from atoll.ports import ClusterRef, Operation, Provider, ProviderInfo, WantedCluster
from atoll.providers.kubeadm.provider import KubeadmProvider
from atoll.providers.kubeadm.surroundings import ClaimedHost
from atoll.shell.context import SystemClock
from tests.contract.provider_kit import cut_short

from .fleet_kit import RIG_CONFIGURATION
from .rig import Rig, RigHost

ROLES = ("ControlPlane", "Worker", "Worker")


class Claims:
    """What a management plane would know: who has claimed which host, and one ConfigMap."""

    def __init__(self, rig: Rig, clusters: Mapping[str, tuple[RigHost, ...]]) -> None:
        self.rig = rig
        self.clusters = dict(clusters)
        self.data = {name: yaml.safe_dump(document) for name, document in RIG_CONFIGURATION.items()}

    async def hosts(self, ref: ClusterRef) -> tuple[ClaimedHost, ...]:
        claimed = self.clusters.get(ref.id, ())
        return tuple(
            ClaimedHost(node_name=host.name, role=role, access=build_access(self.rig, host))
            for host, role in zip(claimed, ROLES, strict=False)
        )

    async def config_map(self, fleet: str, name: str) -> Mapping[str, str]:
        assert (fleet, name) == ("fleet", "rig")
        return self.data


def build_access(rig: Rig, host: RigHost) -> HostAccess:
    """Return how to reach a host of the rig."""
    return HostAccess(
        name=f"rack--{host.name}", address=host.address, host_key=host.host_key, private_key=rig.private_key
    )


class KubeadmKit:
    """Real clusters on hosts: what the contract asks of a world with its providers."""

    limit_seconds = 600.0
    poll_seconds = 0.3
    old, new = "v1.35.8", "v1.36.4"
    info = ProviderInfo(
        name="kubeadm",
        has_nodes=True,
        can_revert=False,
        uses_host_pool=True,
        point_of_no_return="upgrade the control plane",
        usual_seconds=180.0,
    )
    endpoint = "https://10.88."
    parts = 3
    shows_certificates = True
    hurt_word = "kubelet"
    unknown = "v1.99.0"

    def __init__(self, rig: Rig, clusters: Mapping[str, tuple[RigHost, ...]], **patience: Any) -> None:
        self.claims = Claims(rig, clusters)
        self.connections = Connections()
        self.patience = {"patience_seconds": 120.0, **patience}

    def provider(self) -> Provider:
        return KubeadmProvider(self.claims, self.connections.get, clock=SystemClock(), **self.patience)

    def wanted(self, version: str, cluster_id: str, **settings: Any) -> WantedCluster:
        number = 160 + sorted(self.claims.clusters).index(cluster_id)
        return WantedCluster(
            ref=ClusterRef(fleet="fleet", name=f"web--{cluster_id}", id=cluster_id),
            version=version,
            pod_cidr=f"10.{number}.0.0/16",
            service_cidr=f"10.{number + 16}.0.0/20",
            settings={
                "controlPlaneHosts": 1,
                "workerHosts": len(self.claims.clusters[cluster_id]) - 1,
                "source": {"bundlePath": str(self.claims.rig.bundle_path)},
                "configRef": {"name": "rig"},
                "ignorePreflightErrors": [{"name": "SystemVerification", "reason": "control groups v1"}],
                **settings,
            },
        )

    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        await cut_short(provider, wanted, operation, seconds=15.0)

    async def hurt(self, cluster_id: str) -> None:
        """Stop what looks after the API server."""
        first = self.claims.clusters[cluster_id][0]
        await asyncio.to_thread(first.run, "systemctl", "stop", "kubelet")

    def begun(self, cluster_id: str) -> tuple[object, ...]:
        """Return the processes of the control plane."""
        first = self.claims.clusters[cluster_id][0]
        wanted = ("kube-apiserver", "kube-controller-manager", "etcd")
        found = (first.run("ps", "-C", name[:15], "-o", "pid=", check=False).stdout.split() for name in wanted)
        return tuple(pid for pids in found for pid in pids)

    def standing(self, cluster_id: str) -> tuple[object, ...]:
        return self.begun(cluster_id)

    async def clean(self) -> None:
        await self.connections.close()
