"""An explanation: what it is made of, and how any object is explained. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import BadInput
from atoll.fleet.conditions import find

from .tree_model import read_ready

Body = Mapping[str, Any]

ALIASES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "cset": "ClusterSet",
        "child": "ChildCluster",
        "cluster": "ChildCluster",
        "hpool": "HostPool",
        "env": "Environment",
        "aenv": "Environment",
        "aten": "Tenant",
        "areg": "Regime",
        "aro": "Rollout",
        **{
            kind.lower(): kind
            for kind in ("ClusterSet", "ChildCluster", "HostPool", "Host", "Environment", "Tenant", "Regime", "Rollout")
        },
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """A cluster that refused a tenant, and what would help."""

    cluster: str
    rule: str
    message: str
    remedy: str
    environment: str = ""
    patches: tuple[Mapping[str, Any], ...] = ()
    """The edits of the remedy: kind, name, path, value. Empty where no edit would help."""

    def to_json(self) -> dict[str, Any]:
        """Write it as scripts read it."""
        return {
            "environment": self.environment,
            "cluster": self.cluster,
            "rule": self.rule,
            "message": self.message,
            "remedy": self.remedy,
            "patches": [dict(patch) for patch in self.patches],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """An explanation: a title, labelled sentences with the root cause first, and refused clusters."""

    kind: str
    name: str
    ready: bool | None
    reason: str
    title: str
    lines: tuple[tuple[str, str], ...] = ()
    nearest: tuple[Nearest, ...] = ()
    next: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Write it as scripts read it."""
        return {
            "kind": self.kind,
            "name": self.name,
            "ready": self.ready,
            "reason": self.reason,
            "title": self.title,
            "lines": [{"label": label, "text": text} for label, text in self.lines],
            "nearest": [item.to_json() for item in self.nearest],
        }


def parse_target(text: str) -> tuple[str, str]:
    """Read `KIND/NAME`; raises BadInput."""
    kind, slash, name = text.partition("/")
    bare = kind.lower().removesuffix(".atoll.dev")
    known = ALIASES.get(bare) or ALIASES.get(bare.removesuffix("s"))
    if not slash or not name or known is None:
        raise BadInput(
            f"`{text}` names nothing to explain; write it like tenant/shop, child/quickstart--dev or cset/quickstart"
        )
    return known, name


def find_body(bodies: Sequence[Body], kind: str, name: str) -> Body | None:
    """Return the object of that kind and name."""
    return next((body for body in bodies if body["kind"] == kind and body["metadata"]["name"] == name), None)


def describe_age(text: str, now: datetime) -> str:
    """Say how long ago a time was: `2 min ago`."""
    seconds = max(0, int((now - datetime.fromisoformat(text)).total_seconds()))
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (size == 60 and seconds >= 60):
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def build_why(
    body: Body,
    lines: Sequence[tuple[str, str]],
    now: datetime,
    *,
    title: str = "",
    nearest: Sequence[Nearest] = (),
    next_: Sequence[str] = (),
) -> Why:
    """Build an explanation around an object's own Ready condition."""
    ready, reason, message = read_ready(body)
    kind, name, status = body["kind"], body["metadata"]["name"], body.get("status") or {}
    word = {True: "is Ready", False: "is not Ready", None: "may be Ready or not"}[ready]
    condition = find(status, "Ready")
    since = condition.get("lastTransitionTime")
    end = (
        [("since", describe_age(since, now) + f", generation {condition.get('observedGeneration', '?')}")]
        if since
        else []
    )
    return Why(
        kind=kind,
        name=name,
        ready=ready,
        reason=reason,
        title=title or f"{kind} {name} {word}.",
        lines=(*lines, *([] if lines or not message else [("because", message)]), *end),
        nearest=tuple(nearest),
        next=tuple(next_),
    )


def list_own_lines(body: Body) -> list[tuple[str, str]]:
    """Return what an object says itself: why it is not Ready, and whether a person must act."""
    ready, _, message = read_ready(body)
    status = body.get("status") or {}
    lines = [("because", message)] if message and not ready else []
    if paused := find(status, "Paused"):
        lines += [("paused", str(paused.get("message", "")))] if paused.get("status") == "True" else []
    return lines
