"""The providers of managed clusters, on stand-ins for their clouds behind which nothing runs (LightBacking).

Their SDKs are the real ones, and speak the clouds' own protocols. `tests/cloudsim` has the stand-ins and their limits.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, ClassVar

from atoll.fleet.cluster import ClusterRef, ProviderInfo
from atoll.fleet.known import AKS, EKS, GKE
from atoll.ports import ObservedCluster, Operation, Presence, Provider, WantedCluster
from atoll.providers.aks.cloud import AksCloud
from atoll.providers.aks.errors import translate as translate_aks
from atoll.providers.eks.cloud import EksCloud
from atoll.providers.eks.errors import translate as translate_eks
from atoll.providers.gke.cloud import GkeCloud
from atoll.providers.gke.errors import translate as translate_gke
from atoll.providers.managed.calling import Translate
from atoll.providers.managed.cloud import Cloud
from atoll.providers.managed.marks import build_name
from atoll.providers.managed.provider import ManagedProvider, Pace
from atoll.providers.managed.surroundings import Declared
from atoll.shell.context import SystemClock
from tests.cloudsim.aks import AksStandIn
from tests.cloudsim.core import StandIn, run_cloud
from tests.cloudsim.eks import ATOLL, EksStandIn
from tests.cloudsim.eks_kit import NODE_ROLE, ROLE
from tests.cloudsim.gke import PROJECT, Gke

from .provider_kit import build_wanted

PACE = Pace(work=0.1, rest=0.05, settle=1.0, slowest=20.0, patience=20.0)
LABELS: Mapping[str, str] = {"cost-centre": "42", "governance.atoll.dev/compliance": "pci"}


class CloudKit:
    """One cloud, and what a management plane would know of clusters in it."""

    limit_seconds = 60.0
    poll_seconds = 0.02
    old, new = "v1.35", "v1.36"
    endpoint = "https://127.0.0.1:"
    shows_certificates = False
    unknown = "v1.99"

    info: ClassVar[ProviderInfo]
    parts: ClassVar[int]
    hurt_word: ClassVar[str]
    writes: ClassVar[frozenset[str]]
    """Calls that change something, as the stand-in names them."""
    cloud: StandIn
    settings: dict[str, Any]
    credentials: dict[str, str]
    changes: dict[str, Any]
    """Settings that `redeclare` lays over the first ones: other sizes, one part less, one more."""
    secrets: tuple[str, ...]
    """What must stand in no message."""
    place: ClassVar[tuple[str, ...]]
    """Settings that say where a cluster is."""

    def __init__(self, cloud: StandIn) -> None:
        self._stack = ExitStack()
        self.cloud = self._stack.enter_context(run_cloud(cloud))
        self.cloud.faults.seconds = 1.5
        self.cloud.faults.retry_after_seconds = 0.02
        self.labels = dict(LABELS)

    def build(self) -> tuple[Cloud[Any], Translate]:
        raise NotImplementedError

    def provider(self) -> Provider:
        cloud, translate = self.build()
        return ManagedProvider(cloud, self, translate, clock=SystemClock(), pace=PACE)

    async def declared(self, ref: ClusterRef) -> Declared:
        return Declared(
            settings=self.settings, labels=self.labels, credentials=self.credentials, endpoint=self.cloud.url
        )

    def redeclare(self, *, changed: bool) -> None:
        """Declare something else of all that may change, or what was declared first."""
        first = self.__dict__.setdefault("_first", self.settings)
        self.settings = {**first, **self.changes} if changed else first
        self.labels = {**LABELS, "cost-centre": "43"} if changed else dict(LABELS)

    def wanted(self, version: str, cluster_id: str) -> WantedCluster:
        return replace(build_wanted(version, cluster_id), settings=self.settings, labels=self.labels)

    def name(self, cluster_id: str) -> str:
        """Return what the cloud calls a cluster."""
        return build_name(build_wanted(self.old, cluster_id).ref)

    def begun(self, cluster_id: str) -> tuple[object, ...]:
        """All that has been asked for and granted, in order."""
        name = self.name(cluster_id)
        return tuple(
            (number, call.name)
            for number, call in enumerate(list(self.cloud.calls))
            if call.name in self.writes and 0 < call.status < 400 and name in call.subject
        )

    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        """Cut it after the first call that the cloud granted, while that takes its time."""
        usual, self.cloud.faults.seconds = self.cloud.faults.seconds, 6.0
        await provider.start(wanted, operation)
        async with asyncio.timeout(self.limit_seconds):
            while True:
                if self.begun(wanted.ref.id):
                    break
                await asyncio.sleep(self.poll_seconds)
        await provider.close()
        self.cloud.faults.seconds = usual

    async def hurt(self, cluster_id: str) -> None:
        raise NotImplementedError

    def names(self) -> list[str]:
        """All clusters that the cloud has."""
        raise NotImplementedError

    def standing(self, cluster_id: str) -> tuple[object, ...]:
        return ()

    async def clean(self) -> None:
        await asyncio.to_thread(self._stack.close)
        assert self.cloud.protests == []


async def carry_out(kit: CloudKit, provider: Provider, operation: Operation) -> ObservedCluster:
    """Run one operation to its end, good or bad."""
    wanted = kit.wanted(operation.to_version, "c1")
    await provider.start(wanted, operation)
    async with asyncio.timeout(kit.limit_seconds):
        while True:
            seen = await provider.observe(wanted.ref)
            if seen.operation is None and seen.presence is Presence.ABSENT:
                return seen
            if seen.operation is not None and not seen.operation.is_open:
                return seen
            await asyncio.sleep(kit.poll_seconds)


class EksKit(CloudKit):
    """Amazon."""

    info = EKS
    place = ("region",)
    parts = 4
    hurt_word = "node group"
    writes = frozenset(
        {
            "CreateCluster",
            "DeleteCluster",
            "UpdateClusterVersion",
            "UpdateClusterConfig",
            "CreateNodegroup",
            "DeleteNodegroup",
            "UpdateNodegroupVersion",
            "UpdateNodegroupConfig",
            "CreateAddon",
            "UpdateAddon",
            "DeleteAddon",
            "TagResource",
            "UntagResource",
        }
    )
    cloud: EksStandIn

    def __init__(self) -> None:
        super().__init__(EksStandIn())
        self.settings = {
            "region": self.cloud.region,
            "roleARN": ROLE,
            "subnetIDs": ["subnet-0a", "subnet-0b"],
            "nodeGroups": [
                {"name": "work", "instanceTypes": ["m7i.large"], "minSize": 1, "maxSize": 3, "nodeRoleARN": NODE_ROLE}
            ],
            "addons": [{"name": "vpc-cni"}],
        }
        more = {"name": "more", "instanceTypes": ["m7i.large"], "minSize": 0, "maxSize": 2, "nodeRoleARN": NODE_ROLE}
        self.changes = {
            "nodeGroups": [{**self.settings["nodeGroups"][0], "maxSize": 5}, more],
            "addons": [{"name": "vpc-cni"}, {"name": "coredns"}],
            "endpointAccess": {"public": True, "private": True},
        }
        self.credentials = {"aws_access_key_id": ATOLL.access_key, "aws_secret_access_key": ATOLL.secret_key}
        self.secrets = (ATOLL.secret_key,)

    def build(self) -> tuple[Cloud[Any], Translate]:
        return EksCloud(), translate_eks

    async def hurt(self, cluster_id: str) -> None:
        with self.cloud.lock:
            self.cloud.account.clusters[self.name(cluster_id)].nodegroups.pop("work")

    def names(self) -> list[str]:
        with self.cloud.lock:
            return sorted(self.cloud.account.clusters)


class GkeKit(CloudKit):
    """Google."""

    info = GKE
    place = ("project", "location")
    parts = 2
    hurt_word = "node pool"
    writes = frozenset(
        {
            "CreateCluster",
            "DeleteCluster",
            "UpdateCluster",
            "UpdateMaster",
            "SetLabels",
            "SetMaintenancePolicy",
            "CreateNodePool",
            "DeleteNodePool",
            "UpdateNodePool",
            "SetNodePoolSize",
            "SetNodePoolAutoscaling",
            "SetNodePoolManagement",
        }
    )
    cloud: Gke

    def __init__(self) -> None:
        super().__init__(Gke())
        self.settings = {
            "project": PROJECT,
            "location": "europe-west1",
            "nodePools": [
                {"name": "front", "machineType": "e2-standard-4", "minSize": 1, "maxSize": 3},
                {"name": "batch", "machineType": "c3-standard-8", "minSize": 0, "maxSize": 10},
            ],
        }
        self.changes = {
            "nodePools": [
                {"name": "front", "machineType": "e2-standard-4", "minSize": 2, "maxSize": 4},
                {"name": "gpu", "machineType": "g2-standard-8", "minSize": 0, "maxSize": 2},
            ]
        }
        self.credentials = {"service_account.json": self.cloud.key_file()}
        self.secrets = (json.loads(self.credentials["service_account.json"])["private_key"],)

    def build(self) -> tuple[Cloud[Any], Translate]:
        return GkeCloud(), translate_gke

    async def hurt(self, cluster_id: str) -> None:
        with self.cloud.lock:
            self.cloud.cluster(self.name(cluster_id)).message.node_pools.pop()

    def names(self) -> list[str]:
        with self.cloud.lock:
            return sorted(self.cloud.clusters())


class AksKit(CloudKit):
    """Azure."""

    info = AKS
    place = ("subscriptionID", "resourceGroup", "location")
    parts = 2
    hurt_word = "agent pool"
    writes = frozenset(
        {
            "ManagedClusters_CreateOrUpdate",
            "ManagedClusters_UpdateTags",
            "ManagedClusters_Delete",
            "AgentPools_CreateOrUpdate",
            "AgentPools_Delete",
        }
    )
    cloud: AksStandIn

    def __init__(self) -> None:
        super().__init__(AksStandIn())
        self.settings = {
            "subscriptionID": self.cloud.subscription,
            "resourceGroup": self.cloud.group,
            "location": self.cloud.location,
            "agentPools": [
                {"name": "system", "vmSize": "Standard_D4s_v5", "minSize": 1, "maxSize": 3},
                {"name": "work", "vmSize": "Standard_D8s_v5", "mode": "User", "minSize": 0, "maxSize": 5},
            ],
        }
        self.changes = {
            "agentPools": [
                {"name": "system", "vmSize": "Standard_D4s_v5", "minSize": 2, "maxSize": 4},
                {"name": "gpu", "vmSize": "Standard_NC4as_T4_v3", "mode": "User", "minSize": 0, "maxSize": 2},
            ]
        }
        self.credentials = {
            "tenant_id": self.cloud.tenant,
            "client_id": self.cloud.application.client_id,
            "client_secret": self.cloud.application.secret,
            "endpoint_ca": self.cloud.ca_pem,
        }
        self.secrets = (self.cloud.application.secret,)

    def build(self) -> tuple[Cloud[Any], Translate]:
        return AksCloud(), translate_aks

    async def hurt(self, cluster_id: str) -> None:
        with self.cloud.lock:
            self.cloud.cluster(self.name(cluster_id)).pools.pop("work")

    def names(self) -> list[str]:
        with self.cloud.lock:
            return list(self.cloud.names())


CLOUD_KITS: Mapping[str, Callable[[], CloudKit]] = {"eks": EksKit, "gke": GkeKit, "aks": AksKit}
