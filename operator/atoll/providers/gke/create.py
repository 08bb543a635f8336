"""The call that makes a cluster. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from atoll.ports import Operation, WantedCluster
from atoll.providers.managed.marks import build_marks, build_name
from atoll.providers.managed.moves import Call

from .labels import build_labels, merge_labels
from .maintenance import build_policy
from .pools import build_pool
from .settings import Settings
from .versions import spell_version


def build_create(wanted: WantedCluster, operation: Operation, settings: Settings, now: datetime) -> Call:
    """Return the call that makes a cluster with its pools. Its name keeps GKE from making it twice."""
    arguments = {"parent": settings.place.parent, "cluster": build_cluster(wanted, operation, settings, now)}
    return Call(name="create_cluster", arguments=arguments, step="make the cluster and its node pools")


def build_cluster(wanted: WantedCluster, operation: Operation, settings: Settings, now: datetime) -> dict[str, Any]:
    """Return a new cluster as the API takes it. Its version is an alias: the newest build is chosen when it is made."""
    allocation: dict[str, Any] = {"useIpAliases": True}
    if wanted.pod_cidr:
        allocation["clusterIpv4CidrBlock"] = wanted.pod_cidr
    if wanted.service_cidr:
        allocation["servicesIpv4CidrBlock"] = wanted.service_cidr
    marks = build_marks(wanted.ref, operation)
    return {
        "name": build_name(wanted.ref),
        "initialClusterVersion": spell_version(wanted.version),
        # Said even where it is none: GKE would choose a channel where nothing is said.
        "releaseChannel": {"channel": settings.channel.value},
        "network": settings.network,
        "subnetwork": settings.subnetwork,
        "ipAllocationPolicy": allocation,
        "controlPlaneEndpointsConfig": {
            "ipEndpointsConfig": {"enabled": True, "enablePublicEndpoint": settings.public}
        },
        "workloadIdentityConfig": {"workloadPool": settings.place.workload_pool},
        "maintenancePolicy": build_policy({}, settings.channel, now),
        "resourceLabels": merge_labels({}, build_labels(wanted.labels), marks),
        "nodePools": [build_pool(pool, settings, wanted.ref.id) for pool in settings.pools],
    }
