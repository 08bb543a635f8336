"""Three stand-in clouds with real control planes behind them, each with its example, and what it has by now."""

from __future__ import annotations

import json
import secrets
from abc import ABC, abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Final, cast

import yaml

from atoll.planes.values import PlaneSpec
from tests.cloudsim.aks import AksStandIn
from tests.cloudsim.backing import Person
from tests.cloudsim.core import Answer, Ask
from tests.cloudsim.eks import ACCOUNT, EksStandIn
from tests.cloudsim.gke import Gke
from tests.cloudsim.planes import PlaneBacking
from tests.cloudsim.sts import Identity
from tests.support.home import Json

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
SET: Final = "shops"
"""The ClusterSet of every example."""


class AuditedPlanes(PlaneBacking):
    """Real control planes that write audit logs."""

    def _spec(self, key: str, version: str) -> PlaneSpec:
        return replace(super()._spec(key, version), audit_log=True)


class EksWatched(EksStandIn):
    """EKS, remembering each token that is shown to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(AuditedPlanes(folder))
        self.tokens_shown: set[str] = set()

    def authenticate(self, key: str, token: str) -> Person | None:
        self.tokens_shown.add(token)
        return super().authenticate(key, token)


class GkeWatched(Gke):
    """GKE, remembering each token that it hands out or that is shown to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(AuditedPlanes(folder))
        self.tokens_shown: set[str] = set()

    def authenticate(self, key: str, token: str) -> Person | None:
        self.tokens_shown.add(token)
        return super().authenticate(key, token)

    def perform(self, ask: Ask) -> Answer:
        answer = super().perform(ask)
        self.tokens_shown |= find_tokens(ask, answer)
        return answer


class AksWatched(AksStandIn):
    """Azure, remembering each token that it hands out or that is shown to it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(AuditedPlanes(folder))
        self.tokens_shown: set[str] = set()

    def authenticate(self, key: str, token: str) -> Person | None:
        self.tokens_shown.add(token)
        return super().authenticate(key, token)

    def perform(self, ask: Ask) -> Answer:
        answer = super().perform(ask)
        self.tokens_shown |= find_tokens(ask, answer)
        return answer


def find_tokens(ask: Ask, answer: Answer) -> set[str]:
    """Return the token that a call showed, and the one that it got."""
    scheme, _, shown = ask.headers.get("Authorization", "").partition(" ")
    issued = answer.body.get("access_token", "") if isinstance(answer.body, dict) else ""
    return {token for token in (shown if scheme.lower() == "bearer" else "", issued) if token}


class CloudCase(ABC):
    """One cloud with its example: what the example's fleet holds, and what the cloud has."""

    name: str
    """Of the example's folder, of its namespace, and of the provider's block."""
    member: str
    cloud: EksWatched | GkeWatched | AksWatched
    secret_name: str
    template: str
    pools_field: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def child(self) -> str:
        return f"{SET}--{self.member}"

    @abstractmethod
    def login(self) -> dict[str, str]:
        """Return what the example's Secret is to be filled with. Secret."""

    @property
    @abstractmethod
    def user(self) -> str:
        """Who Atoll is inside of the clusters."""

    @abstractmethod
    def canaries(self) -> tuple[str, ...]:
        """Return parts of the login that must stand nowhere but in its Secret."""

    @abstractmethod
    def names(self) -> list[str]:
        """Name all clusters that the cloud has."""

    @abstractmethod
    def key(self, cluster: str) -> str:
        """Name the plane behind a cluster."""

    @abstractmethod
    def tags(self, cluster: str) -> dict[str, str]:
        """Return a cluster's tags."""

    @abstractmethod
    def sizes(self, cluster: str) -> dict[str, int]:
        """Return the greatest size of each of a cluster's pools."""

    @abstractmethod
    def tamper(self, cluster: str) -> None:
        """Change a tag and the size of the first pool, as somebody does who knows nothing of Atoll."""

    def secret(self) -> Json:
        """Fill in the example's template of a Secret, and the way to the stand-in."""
        body: Json = yaml.safe_load((EXAMPLES / self.name / self.template).read_text())
        assert set(body["stringData"]) == set(self.login()), "the template asks for what the provider reads"
        body["stringData"] = {**self.login(), "endpoint": self.cloud.url}
        if self.cloud.ca_pem:
            body["stringData"]["endpoint_ca"] = self.cloud.ca_pem
        return body

    def resize(self, largest: int) -> Json:
        """Return a patch of the set that lets its first pool grow."""
        body = yaml.safe_load((EXAMPLES / self.name / "2-clusterset.yaml").read_text())
        pools = body["spec"]["provider"][self.name][self.pools_field]
        pools[0]["maxSize"] = largest
        return {"spec": {"provider": {self.name: {self.pools_field: pools}}}}

    def first_size(self, cluster: str) -> int:
        """Return the greatest size of a cluster's first pool."""
        return next(iter(self.sizes(cluster).values()))

    def count_looks(self, cluster: str) -> int:
        """Count how often the cloud was asked how a cluster is."""
        looks = {"DescribeCluster", "GetCluster", "ManagedClusters_Get"}
        return sum(call.name in looks and cluster in call.subject for call in list(self.cloud.calls))

    def list_writes(self, cluster: str, since: int) -> list[str]:
        """Name the calls about a cluster that were no questions, from the call of that number on."""
        reads = ("Describe", "List", "Get", "ManagedClusters_Get", "ManagedClusters_List", "AgentPools_List")
        calls = [call for call in list(self.cloud.calls)[since:] if cluster in call.subject]
        return [call.name for call in calls if not call.name.startswith(reads)]

    def read_audit(self, cluster: str) -> list[Json]:
        """Return what a cluster's API server has answered."""
        path = self.folder / "planes" / self.key(cluster) / "log" / "audit.log"
        whole = path.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    def planes(self) -> PlaneBacking:
        return cast("PlaneBacking", self.cloud.backing)


class EksCase(CloudCase):
    name, member, secret_name, template, pools_field = "eks", "dublin", "aws", "credentials/secret.yml", "nodeGroups"
    cloud: EksWatched

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = EksWatched(folder)
        self.identity = Identity(
            access_key=f"AKIA{secrets.token_hex(8).upper()}",
            secret_key=f"canary/{secrets.token_hex(16)}+",
            arn=f"arn:aws:iam::{ACCOUNT}:user/canary",
            user_id="AIDA0STAND0IN0CANARY",
        )
        self.cloud.identities.append(self.identity)

    def login(self) -> dict[str, str]:
        return {"aws_access_key_id": self.identity.access_key, "aws_secret_access_key": self.identity.secret_key}

    @property
    def user(self) -> str:
        return self.identity.arn

    def canaries(self) -> tuple[str, ...]:
        return (self.identity.access_key, self.identity.secret_key)

    def names(self) -> list[str]:
        with self.cloud.lock:
            return sorted(name for name in list(self.cloud.account.clusters) if self.cloud.account.look(name))

    def key(self, cluster: str) -> str:
        return self.cloud.account.clusters[cluster].key

    def tags(self, cluster: str) -> dict[str, str]:
        with self.cloud.lock:
            return dict(self.cloud.account.clusters[cluster].body["tags"])

    def sizes(self, cluster: str) -> dict[str, int]:
        with self.cloud.lock:
            found = self.cloud.account.look(cluster)
            assert found is not None
            return {name: int(part.body["scalingConfig"]["maxSize"]) for name, part in found.nodegroups.items()}

    def tamper(self, cluster: str) -> None:
        with self.cloud.lock:
            found = self.cloud.account.clusters[cluster]
            found.body["tags"]["cost-centre"] = "0"
            found.nodegroups["small"].body["scalingConfig"]["maxSize"] = 9


class GkeCase(CloudCase):
    name, member, secret_name, pools_field = "gke", "frankfurt", "gke-credentials", "nodePools"
    template = "google/credentials.yml"
    cloud: GkeWatched

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = GkeWatched(folder)

    def login(self) -> dict[str, str]:
        return {"service_account.json": self.cloud.key_file()}

    @property
    def user(self) -> str:
        return self.cloud.account().email

    def canaries(self) -> tuple[str, ...]:
        lines = json.loads(self.cloud.key_file())["private_key"].splitlines()
        return (lines[3], lines[10])

    def names(self) -> list[str]:
        return list(self.cloud.clusters())

    def key(self, cluster: str) -> str:
        return self.cloud.cluster(cluster).key

    def tags(self, cluster: str) -> dict[str, str]:
        with self.cloud.lock:
            return dict(self.cloud.cluster(cluster).message.resource_labels)

    def sizes(self, cluster: str) -> dict[str, int]:
        with self.cloud.lock:
            pools = self.cloud.cluster(cluster).message.node_pools
            return {pool.name: int(pool.autoscaling.total_max_node_count) for pool in pools}

    def tamper(self, cluster: str) -> None:
        with self.cloud.lock:
            message = self.cloud.cluster(cluster).message
            message.resource_labels["cost-centre"] = "0"
            message.node_pools[0].autoscaling.total_max_node_count = 9


class AksCase(CloudCase):
    name, member, secret_name, pools_field = "aks", "amsterdam", "azure", "agentPools"
    template = "azure/credentials.yml"
    cloud: AksWatched

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cloud = AksWatched(folder)
        self.application = self.cloud.add_application(
            "77777777-aaaa-bbbb-cccc-222222222222", f"canary~{secrets.token_hex(16)}"
        )

    def login(self) -> dict[str, str]:
        return {
            "tenant_id": self.cloud.tenant,
            "client_id": self.application.client_id,
            "client_secret": self.application.secret,
        }

    @property
    def user(self) -> str:
        return self.application.object_id

    def canaries(self) -> tuple[str, ...]:
        return (self.application.secret,)

    def names(self) -> list[str]:
        return self.cloud.names()

    def key(self, cluster: str) -> str:
        return self.cloud.cluster(cluster).uid

    def tags(self, cluster: str) -> dict[str, str]:
        with self.cloud.lock:
            return dict(self.cloud.cluster(cluster).body["tags"])

    def sizes(self, cluster: str) -> dict[str, int]:
        with self.cloud.lock:
            pools = self.cloud.cluster(cluster).pools.values()
            return {pool.name: int(pool.properties["maxCount"]) for pool in pools}

    def tamper(self, cluster: str) -> None:
        with self.cloud.lock:
            found = self.cloud.cluster(cluster)
            found.body["tags"]["cost-centre"] = "0"
            found.pools["system"].properties["maxCount"] = 9
