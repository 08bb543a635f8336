"""Conditions: how they are written, and when their transition time moves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from . import reasons

MESSAGE_LIMIT: Final = 1024
"""Characters of a message that the CRDs admit."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, before it is compared with what stands in the API."""

    type: str
    status: str
    """True | False | Unknown."""
    reason: str
    message: str = ""


def yes(kind: str, reason: str, message: str = "") -> Condition:
    """Build a condition that holds."""
    return Condition(kind, "True", reason, message)


def no(kind: str, reason: str, message: str = "") -> Condition:
    """Build a condition that does not hold."""
    return Condition(kind, "False", reason, message)


def unknown(kind: str, reason: str, message: str = "") -> Condition:
    """Build a condition that nobody can tell now."""
    return Condition(kind, "Unknown", reason, message)


def settle(
    conditions: Iterable[Condition], previous: Iterable[Mapping[str, Any]], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """Turn conditions into JSON: the transition time moves only when the status flips."""
    before = {entry.get("type"): entry for entry in previous}
    settled = []
    for condition in conditions:
        old = before.get(condition.type, {})
        same = old.get("status") == condition.status and old.get("lastTransitionTime")
        settled.append(
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message[:MESSAGE_LIMIT],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if same else format_time(now),
            }
        )
    return settled


def find(status: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    """Return the condition of that type from a status, or an empty mapping."""
    return next((entry for entry in status.get("conditions", ()) if entry.get("type") == kind), {})


def is_true(status: Mapping[str, Any], kind: str) -> bool:
    """Say whether a status holds that condition as True."""
    return bool(find(status, kind).get("status") == "True")


def common(*, ready: Condition, available: Condition, paused: str = "", working: str = "") -> list[Condition]:
    """Build the five conditions that every kind has.

    `working`: what is going on, if anything; a `ready` whose reason needs a person is stalled instead.
    """
    stalled = ready.status != "True" and ready.reason in reasons.NEEDS_A_PERSON
    busy = not stalled and not paused and bool(working)
    return [
        ready,
        available,
        yes("Reconciling", reasons.PROGRESSING, working) if busy else no("Reconciling", ready.reason),
        yes("Stalled", ready.reason, ready.message) if stalled else no("Stalled", ready.reason),
        yes("Paused", reasons.PAUSED, paused) if paused else no("Paused", ready.reason),
    ]


def join_first(sentences: Sequence[str], limit: int) -> str:
    """Join the first few of many sentences, and say how many more there are."""
    more = f"; and {len(sentences) - limit} more" if len(sentences) > limit else ""
    return "; ".join(sentences[:limit]) + more


def format_time(moment: datetime) -> str:
    """Write a time the way Kubernetes does: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: str) -> datetime:
    """Read a time as Kubernetes writes it."""
    return datetime.fromisoformat(text)


def read_time(value: Any) -> datetime | None:
    """Read a time of a status; None where there is none, or nobody can read it."""
    if isinstance(value, datetime):
        return value
    try:
        return parse_time(value) if isinstance(value, str) else None
    except ValueError:
        return None
