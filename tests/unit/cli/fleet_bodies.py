"""Objects of a small fleet as an API server returns them, for tests of what is shown."""

from __future__ import annotations

from typing import Any

SINCE = "2026-11-21T12:00:00Z"


def condition(kind: str, status: str, reason: str = "Ready", message: str = "") -> dict[str, Any]:
    """Build one condition."""
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": 1,
        "lastTransitionTime": SINCE,
    }


def build(kind: str, name: str, *conditions: dict[str, Any], spec: Any = None, **status: Any) -> dict[str, Any]:
    """Build one object that was looked at; Ready when no conditions are given."""
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "fleet", "generation": 1},
        "spec": spec or {},
        "status": {
            "observedGeneration": 1,
            "conditions": list(conditions) or [condition("Ready", "True"), condition("Available", "True")],
            **status,
        },
    }


def cluster(name: str, *conditions: dict[str, Any], **status: Any) -> dict[str, Any]:
    """Build a verified cluster of the set `apps`."""
    status = {
        "version": "v1.36.4",
        "verification": [{"check": f"c{index}", "result": "Passed"} for index in range(6)],
        **status,
    }
    spec = {"id": f"id-{name}", "setName": "apps", "memberName": name, "version": "v1.36.4", "clusterUID": "u"}
    return build("ChildCluster", f"apps--{name}", *conditions, spec=spec, **status)


def cluster_set(*members: str, available: int, conditions: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Build the set `apps`."""
    return build(
        "ClusterSet",
        "apps",
        *conditions,
        spec={"version": "v1.36.4", "clusters": [{"name": name} for name in members]},
        version="v1.36.4",
        members={"total": len(members), "available": available, "upToDate": available, "detached": 0},
    )


def tenant(name: str, *places: tuple[str, str, str], **more: Any) -> dict[str, Any]:
    """Build a tenant that is placed: (environment, member, state)."""
    placements = [
        {
            "environment": stage,
            "namespace": f"{name}--{stage}",
            "cluster": f"apps--{member}",
            "state": state,
            "reason": "the emptiest of 2",
        }
        for stage, member, state in places
    ]
    waiting = [place for place in placements if place["state"] != "Placed"]
    ready = condition("Ready", "False" if waiting else "True", "Progressing" if waiting else "Placed")
    return build("Tenant", name, ready, placements=placements, **more)
