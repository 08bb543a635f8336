"""What every run does with its fleet: create, upgrade, delete."""

from __future__ import annotations

from typing import Any, Final

from atoll.fleet.conditions import find
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

Json = dict[str, Any]

SET: Final = "q"
MEMBER: Final = "a"
CHILD: Final = f"{SET}--{MEMBER}"
ENVIRONMENT: Final = "prod"
TENANT: Final = "team"
OLD: Final = "v1.35.8"
NEW: Final = "v1.36.4"


def build_namespace(fleet: str) -> Json:
    """Return the namespace of a fleet."""
    return fleet_namespace(fleet)


def build_fleet(fleet: str) -> list[Json]:
    """Return one cluster, one environment on it and one tenant in that."""
    return [
        cluster_set(SET, member(MEMBER, ENVIRONMENT), namespace=fleet, version=OLD),
        environment(ENVIRONMENT, namespace=fleet),
        tenant(TENANT, ENVIRONMENT, namespace=fleet, deletionPolicy="Delete"),
    ]


def is_ready(body: Json | None) -> bool:
    """Say whether an object is Ready at its present generation."""
    if body is None:
        return False
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"].get("generation")
    return bool(current and find(status, "Ready").get("status") == "True")


def is_stalled(body: Json | None) -> bool:
    """Say whether an object waits for a person."""
    return body is not None and find(body.get("status") or {}, "Stalled").get("status") == "True"
