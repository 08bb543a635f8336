"""Clusters that the tests of the kubeadm provider speak of."""

from __future__ import annotations

from atoll.fleet.cluster import ClusterRef, Operation, OperationType
from atoll.providers.kubeadm.values import CONTROL_PLANE, WORKER, Cluster, Node, Settings

REF = ClusterRef(fleet="fleet", name="web--prod", id="c0ffee00")
H1 = Node(name="h1", address="10.88.0.11", role=CONTROL_PLANE)
H2 = Node(name="h2", address="10.88.0.12", role=WORKER)
H3 = Node(name="h3", address="10.88.0.13", role=WORKER)
SETTINGS = Settings(worker_hosts=1, bundle_path="/bundle", ignored=("SystemVerification",))


def cluster(*nodes: Node, version: str = "v1.36.4", **fields) -> Cluster:
    return Cluster(
        ref=REF,
        version=version,
        pod_cidr=fields.pop("pod_cidr", "10.128.0.0/16"),
        service_cidr=fields.pop("service_cidr", "10.192.0.0/20"),
        settings=fields.pop("settings", SETTINGS),
        nodes=nodes or (H1, H2),
        **fields,
    )


def operation(kind: OperationType, to_version: str = "v1.36.4", from_version: str = "") -> Operation:
    return Operation(id=f"{kind.value.lower()}-1", type=kind, to_version=to_version, from_version=from_version)
