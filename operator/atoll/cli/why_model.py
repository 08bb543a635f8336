"""Why something is as it is: the root cause, what follows from it, what Atoll does, what you can do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import BadInput
from atoll.fleet.conditions import find, is_true

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
CAUSES: Final = (
    "NetworkPlanned",
    "HostsClaimed",
    "Reachable",
    "CredentialsValid",
    "ControlPlaneAvailable",
    "NodesAvailable",
    "PolicyEnforced",
    "Verified",
    "InventoryPublished",
)
"""Conditions of a cluster; each can only hold when those before it do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """A cluster that refused a tenant, and what would help."""

    cluster: str
    rule: str
    message: str
    remedy: str


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
            "nearest": [
                {"cluster": item.cluster, "rule": item.rule, "message": item.message, "remedy": item.remedy}
                for item in self.nearest
            ],
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


def explain(kind: str, name: str, bodies: Sequence[Body], now: datetime, nearest: Sequence[Nearest] = ()) -> Why:
    """Explain one object of a fleet; `nearest`: refused clusters as they are now, where they could be computed.

    Raises BadInput when there is no such object.
    """
    body = find_body(bodies, kind, name)
    if body is None:
        there = ", ".join(sorted(item["metadata"]["name"] for item in bodies if item["kind"] == kind)) or "none"
        raise BadInput(f"there is no {kind} {name} in this fleet; there is: {there}")
    special: dict[str, Callable[[], Why]] = {
        "Tenant": lambda: _explain_tenant(body, bodies, now, nearest),
        "ChildCluster": lambda: _explain_child(body, bodies, now),
        "ClusterSet": lambda: _explain_set(body, bodies, now),
        "Rollout": lambda: _explain_rollout(body, now),
    }
    return special.get(kind, lambda: _build(body, _own_lines(body), now))()


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


def _build(
    body: Body,
    lines: Sequence[tuple[str, str]],
    now: datetime,
    *,
    title: str = "",
    nearest: Sequence[Nearest] = (),
    next_: Sequence[str] = (),
) -> Why:
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


def _own_lines(body: Body) -> list[tuple[str, str]]:
    """Return what an object says itself: why it is not Ready, and whether a person must act."""
    ready, _, message = read_ready(body)
    status = body.get("status") or {}
    lines = [("because", message)] if message and not ready else []
    if paused := find(status, "Paused"):
        lines += [("paused", str(paused.get("message", "")))] if paused.get("status") == "True" else []
    return lines


def _explain_tenant(body: Body, bodies: Sequence[Body], now: datetime, nearest: Sequence[Nearest]) -> Why:
    name, spec, status = body["metadata"]["name"], body.get("spec") or {}, body.get("status") or {}
    unplaced = status.get("unplaced", ())
    lines = _own_lines(body)
    title = ""
    if unplaced:
        stages = list(dict.fromkeys(entry["environment"] for entry in unplaced))
        title = f"Tenant {name} is not Ready: environment {', '.join(stages)} is placed nowhere."
        clusters = sum(body["kind"] == "ChildCluster" for body in bodies)
        if clusters:
            lines = [("because", f"no cluster of {clusters} offers all that it asks for")]
        lines += [("asks for", asks) for stage in stages if (asks := _asks(spec, stage))]
        nearest = tuple(nearest) or tuple(
            Nearest(**{key: str(item.get(key, "")) for key in ("cluster", "rule", "message", "remedy")})
            for entry in unplaced
            for item in entry.get("nearest", ())
        )
    for place in status.get("placements", ()):
        told = f": {place['reason']}" if place.get("reason") else ""
        lines.append((str(place.get("state", "Placed")).lower(), f"{place['namespace']} on {place['cluster']}{told}"))
    clusters_used = dict.fromkeys(place["cluster"] for place in status.get("placements", ()))
    next_ = [f"atoll kubeconfig {cluster} --tenant {name} --role developer" for cluster in list(clusters_used)[:1]]
    return _build(body, lines, now, title=title, nearest=nearest if unplaced else (), next_=next_ or ["atoll tree"])


def _asks(spec: Mapping[str, Any], stage: str) -> str:
    """Say what a tenant asks for in one environment."""
    parts = [f"capability {name}" for name in spec.get("capabilities", ())]
    parts += [f"regime {name}" for name in spec.get("regimes", ())]
    for environment in spec.get("environments", ()):
        if environment.get("name") != stage:
            continue
        for wanted in environment.get("namespaces") or [environment]:
            label = f"{wanted['name']}: " if environment.get("namespaces") else ""
            amounts = wanted.get("resources") or {}
            if amounts:
                parts.append(label + ", ".join(f"{amount} {resource}" for resource, amount in amounts.items()))
    return " · ".join(parts)


def _explain_child(body: Body, bodies: Sequence[Body], now: datetime) -> Why:
    status, name = body.get("status") or {}, body["metadata"]["name"]
    lines = []
    for index, (condition, message) in enumerate(failing_causes(status)):
        lines.append(("root" if index == 0 else "so", f"{condition}: {message}"))
    if not lines:
        lines = _own_lines(body)
    if lines and (served := _tenants_on(name, bodies)):
        lines.append(("on it", ", ".join(served)))
    if operation := status.get("operation"):
        lines.append(("Atoll", _tell_operation(operation)))
    stalled = find(status, "Stalled")
    if stalled.get("status") == "True":
        lines.append(("you", str(stalled.get("message") or "must act: Atoll cannot go on by itself")))
    elif lines:
        lines.append(("you", "nothing to do: Atoll goes on by itself"))
    title = "" if is_true(status, "Available") or not lines else f"ChildCluster {name} is not Available."
    set_name = (body.get("spec") or {}).get("setName", "")
    return _build(body, lines, now, title=title, next_=[f"atoll why clusterset/{set_name}"] if set_name else ())


def failing_causes(status: Mapping[str, Any]) -> list[tuple[str, str]]:
    """List the conditions that do not hold, causes first; what is unknown comes after what is known."""
    found = [(name, entry) for name in CAUSES if (entry := find(status, name)) and entry.get("status") != "True"]
    found.sort(key=lambda pair: pair[1].get("status") == "Unknown")  # stable: the order of CAUSES stays
    told: dict[str, str] = {}
    for name, entry in found:
        message = str(entry.get("message") or entry.get("reason", ""))
        told.setdefault(message, name)  # the same sentence under the next condition says nothing new
    return [(name, message) for message, name in told.items()]


def _tell_operation(operation: Mapping[str, Any]) -> str:
    total = operation.get("stepsTotal", 0)
    steps = f" ({operation.get('stepsDone', 0)}/{total})" if total else ""
    what = " ".join(part for part in (str(operation.get("step", "")), str(operation.get("message", ""))) if part)
    state = "has given up" if operation.get("failed") or operation.get("state") == "Failed" else "works"
    return f"{state} on {str(operation.get('type', '')).lower()}{steps}: {what or 'begun'}"


def _tenants_on(cluster: str, bodies: Sequence[Body]) -> list[str]:
    return sorted(
        {
            f"{body['metadata']['name']}/{place['environment']}"
            for body in bodies
            if body["kind"] == "Tenant"
            for place in (body.get("status") or {}).get("placements", ())
            if place["cluster"] == cluster
        }
    )


def _explain_set(body: Body, bodies: Sequence[Body], now: datetime) -> Why:
    """Explain a set by its own words and by the member that is worst off."""
    name = body["metadata"]["name"]
    members = [item for item in bodies if item["kind"] == "ChildCluster" and item["spec"].get("setName") == name]
    bad = sorted((item for item in members if read_ready(item)[0] is not True), key=_badness)
    lines = _own_lines(body)
    next_ = ["atoll tree"]
    if bad:
        worst = bad[0]
        inner = _explain_child(worst, bodies, now)
        lines += [("worst", f"{worst['metadata']['name']} ({inner.reason})")]
        lines += [(label, text) for label, text in inner.lines if label != "since"]
        next_ = [f"atoll why child/{worst['metadata']['name']}"]
    return _build(body, lines, now, next_=next_)


def _badness(body: Body) -> tuple[bool, bool, bool, str]:
    """Sort key: who needs a person first, then who is down, then who is only not Ready."""
    status = body.get("status") or {}
    return (
        not is_true(status, "Stalled"),
        is_true(status, "Available"),
        read_ready(body)[0] is not False,
        body["metadata"]["name"],
    )


def _explain_rollout(body: Body, now: datetime) -> Why:
    status, spec = body.get("status") or {}, body.get("spec") or {}
    lines = _own_lines(body)
    for row in sorted(status.get("rows", ()), key=lambda item: item.get("state") != "Failed"):
        told = f": {row['message']}" if row.get("message") else ""
        lines.append((str(row.get("state", "")).lower(), f"{row['cluster']} (wave {row['wave']}){told}"))
    return _build(body, lines, now, next_=[f"atoll why clusterset/{spec.get('setName', '')}"])
