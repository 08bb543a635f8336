"""Generated fleets: bodies as an API server or a manifest would hold them, all from a few numbers and no chance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.support.manifests import Json, cluster_set, environment, tenant

SET_SIZE: Final = 200
"""Members of one ClusterSet, the most that the API admits."""
STAGES: Final = ("dev", "prod")
REGIONS: Final = ("eu-central", "eu-west", "eu-north", "eu-south")
VERSION: Final = "v1.36.4"


def build_fleet(clusters: int, tenants: int, *, namespace: str = "fleet", version: str = VERSION) -> Iterator[Json]:
    """Build ClusterSets, two Environments, and Tenants that each live in both of them."""
    members = [_build_member(index) for index in range(clusters)]
    for start in range(0, clusters, SET_SIZE):
        part = members[start : start + SET_SIZE]
        waves = [{"name": stage, "clusterSelector": {"matchLabels": {"stage": stage}}} for stage in STAGES]
        upgrade = {"waves": waves, "maxConcurrent": "25%"}
        # The default prefixes leave room for some sixty clusters; these for five hundred in one block.
        network = {"addressBlock": "10.128.0.0/10", "podPrefixLength": 20, "servicePrefixLength": 22}
        yield cluster_set(
            f"set{start // SET_SIZE}", *part, namespace=namespace, version=version, upgrade=upgrade, network=network
        )
    for stage in STAGES:
        yield environment(stage, namespace=namespace)
    for index in range(tenants):
        yield tenant(f"t{index:04}", *STAGES, namespace=namespace, cpu="500m")


def _build_member(index: int) -> dict[str, Any]:
    # Neighbours differ in stage, and every region has clusters of both.
    stage, region = STAGES[index % len(STAGES)], REGIONS[index // len(STAGES) % len(REGIONS)]
    capacity = {"cpu": "32", "memory": "64Gi", "pods": "500", "storage": "1Ti"}
    return {
        "name": f"c{index:03}",
        "labels": {"stage": stage},
        "country": "DE",
        "region": region,
        "capacity": capacity,
    }
