"""The API servers' audit logs against what the operator says that it wrote."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from .sites import Visit, Where

METHODS: Final[Mapping[str, str]] = {
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}
Event = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditCount:
    """How the two tellings compare."""

    sites: int
    """Writes that the operator began."""
    logged: int
    """Writes that the audit logs hold."""
    unanswered: int
    """Writes whose answer nobody has seen: these may be in the log or not."""
    differences: tuple[str, ...]


def read_audit(paths: Iterable[Path], is_ours: Callable[[Event], bool], where: Where) -> Counter[str]:
    """Count the answered writes of one user in audit logs, by `hub PATCH /apis/…`."""
    found: Counter[str] = Counter()
    for path in paths:
        with path.open(encoding="utf-8") as file:
            for line in file:
                if '"ResponseComplete"' not in line:
                    continue
                event = json.loads(line)
                method, asked = METHODS.get(event["verb"]), urlsplit(event["requestURI"]).path
                if method is not None and not is_review(asked) and is_ours(event):
                    found[f"{where} {method} {asked}"] += 1
    return found


def is_review(path: str) -> bool:
    """Say whether a POST only asks, as a SelfSubjectReview does: nothing is stored."""
    return path.endswith("reviews")


def compare(visits: Iterable[Visit], logged: Counter[str]) -> AuditCount:
    """Compare: what was answered must be in the log, what is in the log must have been begun."""
    writes = [visit for visit in visits if visit.site.where is not Where.EFFECT]
    answered = Counter(visit.key for visit in writes if visit.outcome == "done")
    unanswered = Counter(visit.key for visit in writes if visit.outcome != "done")
    differences = []
    for key in sorted({*answered, *unanswered, *logged}):
        least, most = answered[key], answered[key] + unanswered[key]
        if not least <= logged[key] <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            differences.append(f"{key}: {wanted} by the operator, {logged[key]} in the audit log")
    return AuditCount(
        sites=len(writes), logged=logged.total(), unanswered=unanswered.total(), differences=tuple(differences)
    )
