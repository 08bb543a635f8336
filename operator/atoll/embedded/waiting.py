"""Whether what was applied has been reached, as kstatus reads it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from atoll.fleet.conditions import find


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """How one object stands."""

    kind: str
    name: str
    namespace: str
    ready: bool
    stalled: bool
    reason: str
    message: str


def judge(body: Mapping[str, Any]) -> Awaited:
    """Judge one object by its conditions; one that nobody has looked at yet is not ready."""
    metadata, status = body["metadata"], body.get("status", {})
    ready, stalled = find(status, "Ready"), find(status, "Stalled")
    current = status.get("observedGeneration") == metadata.get("generation")
    return Awaited(
        kind=body["kind"],
        name=metadata["name"],
        namespace=metadata.get("namespace", ""),
        ready=current and ready.get("status") == "True",
        stalled=current and stalled.get("status") == "True",
        reason=str(ready.get("reason", "Waiting")),
        message=str(ready.get("message", "") or "the operator has not looked at it yet"),
    )
