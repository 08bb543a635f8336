"""Job gates: what a ConfigMap of the fleet says is run in a namespace of its own in the changed child.

Every call looks what is there and does the next thing, so a crash anywhere costs nothing. What succeeded is removed;
what failed stays for people to read its logs, and runs again once they have deleted the namespace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import yaml

from atoll.errors import BadInput, Conflict, Refused
from atoll.fleet.gates import GateKey, GateReading
from atoll.ports import Body

from .kinds import JOB, NAMESPACE, POD
from .member import MemberClient

GATE_LABEL: Final = "atoll.dev/gate"
ALLOWED: Final = frozenset({"Job", "ConfigMap", "ServiceAccount", "Role", "RoleBinding", "Service"})


def name_gate_namespace(key: GateKey) -> str:
    """Return the namespace that a gate has in every child of its wave."""
    digest = hashlib.sha256(f"{key.rollout_uid}/{key.wave}/{key.gate}".encode()).hexdigest()
    return f"atoll-gate-{digest[:10]}"


def read_manifests(name: str, config_map: Mapping[str, Any] | None, namespace: str) -> tuple[Body, ...]:
    """Read the documents of a ConfigMap, put into the gate's namespace; raises BadInput naming what is wrong."""
    if config_map is None:
        raise BadInput(f"there is no ConfigMap {name} in the fleet. Create it with the Job's manifests")
    bodies: list[Body] = []
    for key, text in sorted((config_map.get("data") or {}).items()):
        try:
            documents = [item for item in yaml.safe_load_all(text) if item is not None]
        except yaml.YAMLError as error:
            raise BadInput(f"ConfigMap {name}, key {key} is no YAML: {error}") from None
        bodies += [_take(document, f"ConfigMap {name}, key {key}", namespace) for document in documents]
    if not any(body["kind"] == "Job" for body in bodies):
        raise BadInput(f"ConfigMap {name} has no Job, so nothing could open the gate. Add one")
    # What a Job refers to comes before it.
    return tuple(sorted(bodies, key=lambda body: body["kind"] == "Job"))


def _take(document: Any, where: str, namespace: str) -> Body:
    if not isinstance(document, dict) or document.get("kind") not in ALLOWED:
        kind = document.get("kind") if isinstance(document, dict) else type(document).__name__
        raise BadInput(f"{where} has a {kind}; a gate may have {', '.join(sorted(ALLOWED))}")
    metadata = dict(document.get("metadata") or {})
    if metadata.get("namespace", namespace) != namespace:
        raise BadInput(f"{where}: metadata.namespace is chosen by Atoll. Remove {metadata['namespace']}")
    if not metadata.get("name"):
        raise BadInput(f"{where}: a {document['kind']} has no metadata.name")
    return {**document, "metadata": {**metadata, "namespace": namespace}}


async def run_gate_job(
    client: MemberClient, key: GateKey, name: str, config_map: Mapping[str, Any] | None, now: datetime
) -> GateReading:
    """Do the next thing for a job gate in one child, and say how it stands."""
    namespace = name_gate_namespace(key)
    try:
        bodies = read_manifests(name, config_map, namespace)
    except BadInput as error:
        return GateReading(time=now, open=False, cause="Failed", message=str(error))
    there = await client.store.get(NAMESPACE, None, namespace)
    if there is not None and there["metadata"].get("deletionTimestamp"):
        return GateReading(time=now, open=False, cause="Running", message=f"namespace {namespace} is going away")
    if there is None:
        await client.store.create(_build_namespace(namespace, key))
    jobs = {job["metadata"]["name"]: job for job in await client.store.list(JOB, namespace)}
    missing = [body for body in bodies if body["kind"] != "Job" or body["metadata"]["name"] not in jobs]
    if there is None or len(jobs) < sum(body["kind"] == "Job" for body in bodies):
        for body in missing:
            try:
                await client.store.create(body)
            except Conflict:
                continue  # made before we were ended
            except Refused as error:
                return _fail(now, namespace, f"{body['kind']} {body['metadata']['name']} was refused: {error}")
        return GateReading(time=now, open=False, cause="Running", message=f"begun in namespace {namespace}")
    reading = judge_jobs(list(jobs.values()), namespace, now)
    if reading.cause == "Running":
        reading = replace(reading, message=reading.message + _tell_waiting(await client.store.list(POD, namespace)))
    if reading.open and there is not None:
        await client.store.delete(NAMESPACE, None, namespace, uid=str(there["metadata"]["uid"]))
    return reading


def judge_jobs(jobs: Sequence[Body], namespace: str, now: datetime) -> GateReading:
    """Say how the Jobs of a gate stand: all have to be complete."""
    states = {job["metadata"]["name"]: _find_end(job) for job in jobs}
    failed = {name: told for name, (end, told) in states.items() if end == "Failed"}
    if failed:
        name, told = next(iter(sorted(failed.items())))
        return _fail(now, namespace, f"Job {name} failed ({told})")
    running = sorted(name for name, (end, _) in states.items() if end != "Complete")
    if running:
        return GateReading(time=now, open=False, cause="Running", message=f"Job {', '.join(running)} runs")
    return GateReading(time=now, open=True, cause="Succeeded", message=f"Job {', '.join(sorted(states))} succeeded")


def _tell_waiting(pods: Sequence[Body]) -> str:
    """Name what a pod waits for, such as an image that cannot be pulled."""
    for pod in pods:
        for status in pod.get("status", {}).get("containerStatuses") or ():
            waiting = status.get("state", {}).get("waiting") or {}
            if waiting.get("reason", "ContainerCreating") != "ContainerCreating":
                return f"; pod {pod['metadata']['name']} waits: {waiting['reason']}"
    return ""


def _find_end(job: Body) -> tuple[str, str]:
    for condition in job.get("status", {}).get("conditions") or ():
        if condition.get("type") in {"Complete", "Failed"} and condition.get("status") == "True":
            return condition["type"], condition.get("message") or condition.get("reason", "")
    return "", ""


def _fail(now: datetime, namespace: str, what: str) -> GateReading:
    remedy = f"read its logs in namespace {namespace} there, mend it, and delete the namespace to run it again"
    return GateReading(time=now, open=False, cause="Failed", message=f"{what}; {remedy}")


def _build_namespace(namespace: str, key: GateKey) -> Body:
    metadata = {"name": namespace, "labels": {GATE_LABEL: key.gate}}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}
