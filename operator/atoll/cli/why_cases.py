"""Why something is as it is: the root cause, what follows from it, what Atoll does, what you can do. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from atoll.errors import BadInput
from atoll.fleet.conditions import find, is_true

from .tree_model import read_ready
from .why_model import Body, Nearest, Why, build_why, find_body, list_own_lines

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
    return special.get(kind, lambda: build_why(body, list_own_lines(body), now))()


def _explain_tenant(body: Body, bodies: Sequence[Body], now: datetime, nearest: Sequence[Nearest]) -> Why:
    name, spec, status = body["metadata"]["name"], body.get("spec") or {}, body.get("status") or {}
    unplaced = status.get("unplaced", ())
    lines = list_own_lines(body)
    title = ""
    if unplaced:
        stages = list(dict.fromkeys(entry["environment"] for entry in unplaced))
        title = f"Tenant {name} is not Ready: environment {', '.join(stages)} is placed nowhere."
        clusters = sum(body["kind"] == "ChildCluster" for body in bodies)
        if clusters:
            lines = [("because", f"no cluster of {clusters} offers all that it asks for")]
        lines += [("asks for", asks) for stage in stages if (asks := _asks(spec, stage))]
        nearest = nearest or tuple(
            Nearest(
                cluster=str(item.get("cluster", "")),
                rule=str(item.get("rule", "")),
                message=str(item.get("message", "")),
                remedy=str(item.get("remedy", "")),
                environment=str(entry.get("environment", "")),
            )
            for entry in unplaced
            for item in entry.get("nearest", ())
        )
    for condition in ("Compliant", "PlacementDrifted"):
        entry = find(status, condition)
        if entry and entry.get("message"):
            lines.append(("must move" if condition == "Compliant" else "drifted", str(entry["message"])))
    for place in status.get("placements", ()):
        told = f": {place['reason']}" if place.get("reason") else ""
        lines.append((str(place.get("state", "Placed")).lower(), f"{place['namespace']} on {place['cluster']}{told}"))
    clusters_used = dict.fromkeys(place["cluster"] for place in status.get("placements", ()))
    next_ = [f"atoll kubeconfig {cluster} --tenant {name} --role developer" for cluster in list(clusters_used)[:1]]
    return build_why(body, lines, now, title=title, nearest=nearest, next_=next_ or ["atoll tree"])


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
        lines = list_own_lines(body)
    lines += _tell_borders(status.get("borders") or {})
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
    return build_why(body, lines, now, title=title, next_=[f"atoll why clusterset/{set_name}"] if set_name else ())


def _tell_borders(borders: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Tell of each border between tenants that was crossed when it was tried."""
    lines = [
        ("crossed", f"{cell.get('tenant')} → {cell.get('target')}, {cell.get('attempt')}: {cell.get('message', '')}")
        for cell in borders.get("red", ())
    ]
    if lines:
        lines.append(("remedy", "remove the binding that is not Atoll's; the border is tried again at once"))
    return lines


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
    lines = list_own_lines(body)
    next_ = ["atoll tree"]
    if bad:
        worst = bad[0]
        inner = _explain_child(worst, bodies, now)
        lines += [("worst", f"{worst['metadata']['name']} ({inner.reason})")]
        lines += [(label, text) for label, text in inner.lines if label != "since"]
        next_ = [f"atoll why child/{worst['metadata']['name']}"]
    return build_why(body, lines, now, next_=next_)


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
    lines = list_own_lines(body)
    for row in sorted(status.get("rows", ()), key=lambda item: item.get("state") != "Failed"):
        told = f": {row['message']}" if row.get("message") else ""
        lines.append((str(row.get("state", "")).lower(), f"{row['cluster']} (wave {row['wave']}){told}"))
    return build_why(body, lines, now, next_=[f"atoll why clusterset/{spec.get('setName', '')}"])
