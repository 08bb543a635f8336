"""Audit logs as ground truth: every write that an API server took, whoever sent it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
OURS = "atoll/"
"""What our user agent begins with."""


@dataclass(frozen=True, slots=True)
class Write:
    """One write."""

    verb: str
    resource: str
    namespace: str
    name: str
    agent: str
    user: str
    code: int
    time: str

    @property
    def path(self) -> str:
        """What was written, in one word."""
        return "/".join(part for part in (self.resource, self.namespace, self.name) if part)


class AuditLog:
    """The audit log of one plane, read on from a mark."""

    def __init__(self, plane: Path) -> None:
        self._path = plane / "log" / "audit.log"
        self._mark = 0
        self.mark()

    def mark(self) -> None:
        """Forget what was written so far."""
        self._mark = self._path.stat().st_size if self._path.exists() else 0

    def writes(self, *, ours: bool = True) -> list[Write]:
        """Return the writes since the mark, Leases and token requests excepted."""
        return [write for write in self._all() if not ours or write.agent.startswith(OURS)]

    def _all(self) -> Iterator[Write]:
        if not self._path.exists():
            return
        with self._path.open() as file:
            file.seek(self._mark)
            for line in file:
                entry = json.loads(line)
                if entry.get("verb") not in WRITES or entry.get("stage") != "ResponseComplete":
                    continue
                target = entry.get("objectRef", {})
                resource = "/".join(part for part in (target.get("resource"), target.get("subresource")) if part)
                if resource in {"leases", "serviceaccounts/token"} or resource.endswith("reviews"):
                    continue
                yield Write(
                    verb=entry["verb"],
                    resource=resource,
                    namespace=target.get("namespace", ""),
                    name=target.get("name", ""),
                    agent=entry.get("userAgent", ""),
                    user=entry.get("user", {}).get("username", ""),
                    code=entry.get("responseStatus", {}).get("code", 0),
                    time=entry.get("requestReceivedTimestamp", ""),
                )
