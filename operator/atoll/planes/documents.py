"""plane.json, operation.json and process files: values to JSON text and back. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from atoll.errors import BadInput
from atoll.ports import OperationState, OperationType

from .values import Journal, PlaneSpec, PlaneState, Ports, Snapshot, Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """What a process file says: enough to tell the process from a stranger that got its number."""

    pid: int
    create_time: float
    executable: str


def render(value: dict[str, Any]) -> bytes:
    """Return JSON text that people can read."""
    return (json.dumps(value, indent=2, sort_keys=True) + "\n").encode()


def render_plane(state: PlaneState) -> bytes:
    """Return the text of plane.json."""
    snapshot = state.snapshot
    return render(
        {
            **asdict(state.spec),
            "ports": asdict(state.ports),
            "wanted": state.wanted.value,
            "created": state.created,
            "orphaned": state.orphaned,
            "snapshot": {**asdict(snapshot), "taken_time": snapshot.taken_time.isoformat()} if snapshot else None,
        }
    )


def parse_plane(text: bytes, where: str) -> PlaneState:
    """Read plane.json; BadInput names the file when it is not one of ours."""
    try:
        body = json.loads(text)
        snapshot = body["snapshot"]
        return PlaneState(
            spec=PlaneSpec(
                id=body["id"],
                name=body["name"],
                version=body["version"],
                pod_cidr=body["pod_cidr"],
                service_cidr=body["service_cidr"],
                audit_log=body["audit_log"],
                api_args=tuple(body["api_args"]),
                # Planes of an earlier Atoll have none.
                authentication=body.get("authentication", ""),
            ),
            ports=Ports(**body["ports"]),
            wanted=Wanted(body["wanted"]),
            created=body["created"],
            orphaned=body["orphaned"],
            snapshot=Snapshot(**{**snapshot, "taken_time": datetime.fromisoformat(snapshot["taken_time"])})
            if snapshot
            else None,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(where, error) from error


def render_journal(journal: Journal) -> bytes:
    """Return the text of operation.json."""
    return render(asdict(journal))


def parse_journal(text: bytes, where: str) -> Journal:
    """Read operation.json; BadInput names the file when it is not one of ours."""
    try:
        body = json.loads(text)
        return Journal(**{**body, "type": OperationType(body["type"]), "state": OperationState(body["state"])})
    except (ValueError, KeyError, TypeError) as error:
        raise unreadable(where, error) from error


def render_process(record: ProcessRecord) -> bytes:
    """Return the text of a process file."""
    return render(asdict(record))


def parse_process(text: bytes) -> ProcessRecord | None:
    """Read a process file; None when it is damaged, because the process can be found without it."""
    try:
        return ProcessRecord(**json.loads(text))
    except (ValueError, TypeError):
        return None


def unreadable(where: str, error: Exception) -> BadInput:
    """Say which file cannot be read, and what to do."""
    kind = type(error).__name__
    return BadInput(f"{where} cannot be read ({kind}: {error}): restore it, or delete the plane and create it again")
