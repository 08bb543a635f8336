"""Rollouts of the set `eu` as an API server returns them, for tests of the verbs that people use on them."""

from __future__ import annotations

from typing import Any

from .fleet_bodies import build

Json = dict[str, Any]
BEGUN = "2026-11-23T21:40:00Z"
WAVES: tuple[Json, ...] = (
    {
        "name": "canary",
        "clusters": ["dev-1", "dev-2"],
        "maxConcurrent": 1,
        "soakSeconds": 600,
        "gates": ["sign-off", "slo"],
    },
    {"name": "first", "clusters": ["prod-de-1", "prod-fr-1"], "maxConcurrent": 2, "soakSeconds": 0, "gates": []},
)
GATES: Json = {
    "canary": [
        {"name": "sign-off", "approval": {"count": 1, "groups": ["sre", "leads"]}},
        {"name": "slo", "metric": {"url": "http://metrics:9090", "query": "errors", "max": "0.010"}},
    ]
}


def rollout(
    name: str = "eu-7", state: str = "Running", *, action: str = "Run", waves: Any = WAVES, **status: Any
) -> Json:
    """Build a rollout of the set `eu` to v1.36.4 that anna asked for."""
    spec = {
        "setName": "eu",
        "target": {"version": "v1.36.4", "revision": "r2", "retry": 0},
        "requestedBy": "anna",
        "action": action,
        "waves": list(waves),
    }
    body = build("Rollout", name, spec=spec, state=state, startedTime=BEGUN, **status)
    body["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "11", "creationTimestamp": BEGUN}
    return body


def cluster_set(*, retry: int = 0, gates: Json | None = None, budget: Any = 1, **status: Any) -> Json:
    """Build the set `eu`."""
    waves = [
        {
            "name": wave["name"],
            "clusterSelector": {},
            "gates": (GATES if gates is None else gates).get(wave["name"], []),
        }
        for wave in WAVES
    ]
    members = [{"name": name} for wave in WAVES for name in wave["clusters"]]
    upgrade = {"waves": waves, "failureBudget": budget, "retry": retry}
    body = build("ClusterSet", "eu", spec={"version": "v1.36.4", "clusters": members, "upgrade": upgrade}, **status)
    body["metadata"] |= {"uid": "uid-eu", "resourceVersion": "5"}
    return body


def child(member: str, *, operation: Json | None = None, history: Any = ()) -> Json:
    """Build a ChildCluster of the set `eu`."""
    status: Json = {"history": list(history)}
    if operation is not None:
        status["operation"] = {"id": "o1", "type": "Change", "rollout": "eu-7", "state": "Running", **operation}
    return build("ChildCluster", f"eu--{member}", spec={"setName": "eu", "memberName": member}, **status)


def changed(member: str, seconds: int) -> Json:
    """Build a ChildCluster that this rollout has changed."""
    entry = {
        "type": "Change",
        "from": "v1.35.8",
        "to": "v1.36.4",
        "rollout": "eu-7",
        "startedTime": BEGUN,
        "seconds": seconds,
        "result": "Succeeded",
    }
    return child(member, history=[entry])


def wave(name: str, state: str, **more: Any) -> Json:
    """Build the status of a wave."""
    return {"name": name, "state": state, **more}


def row(cluster: str, in_wave: str, state: str, message: str = "", **more: Any) -> Json:
    """Build a row of a rollout's status."""
    return {"cluster": cluster, "wave": in_wave, "state": state, "message": message, **more}


def counts(done: int = 0, **more: int) -> Json:
    """Build the counts of a rollout over four members."""
    return {"total": 4, "done": done, "changing": 0, "failed": 0, "held": 0, "skipped": 0, "reverted": 0, **more}
