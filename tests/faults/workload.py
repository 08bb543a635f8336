"""What every run does with its fleet: create, upgrade, delete.

The upgrade is held by a frozen environment first, goes through a window that never closes, and ends with somebody's
approval.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet.conditions import find, format_time
from tests.support.manifests import API_VERSION, cluster_set, environment, fleet_namespace, member, tenant

Json = dict[str, Any]

SET: Final = "q"
MEMBER: Final = "a"
CHILD: Final = f"{SET}--{MEMBER}"
ENVIRONMENT: Final = "prod"
TENANT: Final = "team"
OLD: Final = "v1.35.8"
NEW: Final = "v1.36.4"
WAVE: Final = "all"
GATE: Final = "sign-off"
APPROVER: Final = "ben"
FREEZE_SECONDS: Final = 4
UPGRADE: Final[Mapping[str, Any]] = {
    "waves": [
        {
            "name": WAVE,
            "clusterSelector": {"matchLabels": {"stage": ENVIRONMENT}},
            "gates": [{"name": GATE, "approval": {"count": 1}}],
        }
    ],
    "windows": [{"cron": "0 * * * *", "durationMinutes": 60, "timeZone": "Asia/Kolkata"}],
}


def build_namespace(fleet: str) -> Json:
    """Return the namespace of a fleet."""
    return fleet_namespace(fleet)


def build_fleet(fleet: str) -> list[Json]:
    """Return one cluster, one environment on it and one tenant in that."""
    return [
        cluster_set(SET, member(MEMBER, ENVIRONMENT), namespace=fleet, version=OLD, upgrade=dict(UPGRADE)),
        environment(ENVIRONMENT, namespace=fleet),
        tenant(TENANT, ENVIRONMENT, namespace=fleet, deletionPolicy="Delete"),
    ]


def build_freeze(now: datetime) -> Json:
    """Return a patch that lets no rollout touch the environment's cluster for a moment."""
    ends = now.replace(microsecond=0) + timedelta(seconds=FREEZE_SECONDS)
    freeze = {"from": format_time(now - timedelta(hours=1)), "to": format_time(ends), "reason": "the annual sale"}
    return {"spec": {"freezes": [freeze]}}


def build_approval(rollout: Json) -> Json:
    """Return the approver's word for the only gate."""
    metadata = rollout["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Approval",
        "metadata": {"name": f"{metadata['name']}-{GATE}", "namespace": metadata["namespace"]},
        "spec": {
            "rolloutRef": {"name": metadata["name"], "uid": metadata["uid"]},
            "wave": WAVE,
            "gate": GATE,
            "approver": {"username": APPROVER},
        },
    }


def waits_for_approval(rollout: Json) -> bool:
    """Say whether the gate is what a rollout waits for."""
    waves = (rollout.get("status") or {}).get("waves") or ()
    gates = [gate for wave in waves if wave["state"] == "Held" for gate in wave.get("gates") or ()]
    return any(gate["name"] == GATE and gate["state"] == "Closed" for gate in gates)


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
