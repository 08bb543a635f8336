"""The JSON files on a host, to values and back. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from atoll.errors import BadInput
from atoll.fleet.cluster import Operation, OperationProgress, OperationState, OperationType

from . import paths
from .values import Before, Cluster, ClusterRecord, NodeRecord, OperationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeMark:
    """node.json: the host is a node of the cluster."""

    name: str
    role: str


def render(value: Any) -> str:
    """Return a value as JSON text that people can read."""
    return json.dumps(asdict(value), indent=2, sort_keys=True) + "\n"


def parse_cluster(text: str) -> ClusterRecord | None:
    """Read cluster.json; None when there is none."""
    body = _load(text, paths.CLUSTER)
    if body is None:
        return None
    try:
        nodes = tuple(NodeRecord(**node) for node in body["nodes"])
        return ClusterRecord(**{**body, "nodes": nodes})
    except (KeyError, TypeError) as error:
        raise _unreadable(paths.CLUSTER, error) from error


def parse_operation(text: str) -> OperationRecord | None:
    """Read operation.json; None when there is none."""
    body = _load(text, paths.OPERATION)
    if body is None:
        return None
    try:
        return OperationRecord(**{**body, "type": OperationType(body["type"]), "state": OperationState(body["state"])})
    except (KeyError, TypeError, ValueError) as error:
        raise _unreadable(paths.OPERATION, error) from error


def parse_before(text: str) -> Before | None:
    """Read before.json; None when there is none."""
    body = _load(text, paths.BEFORE)
    if body is None:
        return None
    try:
        fields: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in body.items()
        }
        return Before(**fields)
    except TypeError as error:
        raise _unreadable(paths.BEFORE, error) from error


def parse_mark(text: str) -> NodeMark | None:
    """Read node.json; None when there is none."""
    body = _load(text, paths.NODE)
    if body is None:
        return None
    try:
        return NodeMark(**body)
    except TypeError as error:
        raise _unreadable(paths.NODE, error) from error


def parse_owner(text: str) -> str:
    """Read owner.json: the id of the cluster that has the host; empty when nobody has it."""
    body = _load(text, paths.OWNER)
    return "" if body is None else str(body.get("clusterID", ""))


def build_record(
    cluster: Cluster, *, created: bool, version: str, shares: dict[str, str], authentication: str = ""
) -> ClusterRecord:
    """Return cluster.json. `shares`: node → its share of the pods' network."""
    return ClusterRecord(
        id=cluster.ref.id,
        fleet=cluster.ref.fleet,
        name=cluster.ref.name,
        version=version,
        endpoint=cluster.endpoint,
        pod_cidr=cluster.pod_cidr,
        service_cidr=cluster.service_cidr,
        bridge=not cluster.settings.manifests,
        created=created,
        authentication=authentication,
        nodes=tuple(
            NodeRecord(name=node.name, address=node.address, role=node.role, pod_cidr=shares.get(node.name, ""))
            for node in cluster.nodes
        ),
    )


def begin_record(operation: Operation, *, step: str, steps_total: int) -> OperationRecord:
    """Return the record of an operation that has not begun."""
    return OperationRecord(
        id=operation.id,
        type=operation.type,
        from_version=operation.from_version,
        to_version=operation.to_version,
        state=OperationState.RUNNING,
        step=step,
        steps_done=0,
        steps_total=steps_total,
    )


def build_progress(record: OperationRecord, state: OperationState) -> OperationProgress:
    """Return a record as progress."""
    return OperationProgress(
        id=record.id,
        type=record.type,
        state=state,
        step=record.step,
        steps_done=record.steps_done,
        steps_total=record.steps_total,
        message=record.message,
    )


def _load(text: str, where: str) -> dict[str, Any] | None:
    if not text.strip():
        return None
    try:
        body = json.loads(text)
    except ValueError as error:
        raise _unreadable(where, error) from error
    if not isinstance(body, dict):
        raise _unreadable(where, TypeError("not an object"))
    return body


def _unreadable(where: str, error: Exception) -> BadInput:
    kind = type(error).__name__
    return BadInput(f"{where} cannot be read ({kind}: {error}): restore it, or clean the host")
