"""The fleet as nested nodes, from the objects as they stand in the API. Pure.

A fleet holds its sets, a set its clusters, a cluster the environments on it, an environment the tenants that are there.
What is on no cluster stands directly below the fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import find

Body = Mapping[str, Any]

_SHORT: Final = {"ChildCluster": "child"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One object, and what belongs to it."""

    kind: str
    name: str
    ready: bool | None
    """None: unknown, which is never healthy."""
    reason: str = ""
    message: str = ""
    version: str = ""
    detail: str = ""
    """How it is in a few words, such as `verified 6/6`."""
    children: tuple[Node, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Write the node and all below it as scripts read them."""
        return {
            "kind": self.kind,
            "name": self.name,
            "ready": self.ready,
            "reason": self.reason,
            "message": self.message,
            **({"version": self.version} if self.version else {}),
            **({"detail": self.detail} if self.detail else {}),
            "children": [child.to_json() for child in self.children],
        }


def build_fleets(bodies: Iterable[Body]) -> tuple[Node, ...]:
    """Build one node for each namespace that holds objects of ours."""
    by_namespace: dict[str, list[Body]] = {}
    for body in bodies:
        by_namespace.setdefault(body["metadata"]["namespace"], []).append(body)
    return tuple(build_fleet(name, by_namespace[name]) for name in sorted(by_namespace))


def build_fleet(namespace: str, bodies: Sequence[Body]) -> Node:
    """Build the node of one fleet."""
    tenants = _of_kind(bodies, "Tenant")
    places = _places(tenants)
    environments = {body["metadata"]["name"]: body for body in _of_kind(bodies, "Environment")}
    clusters = {
        name: _cluster_node(body, places.get(name, {}), environments)
        for body in _of_kind(bodies, "ChildCluster")
        for name in (body["metadata"]["name"],)
    }
    sets = [_set_node(body, bodies, clusters) for body in _of_kind(bodies, "ClusterSet")]
    claimed = {child.name for item in sets for child in item.children}
    used = {environment for on_cluster in places.values() for environment in on_cluster}
    children = [
        *sets,
        *(node for name, node in clusters.items() if name not in claimed),
        *(_plain_node(body) for name, body in environments.items() if name not in used),
        *(_plain_node(body) for body in tenants if _is_homeless(body)),
        *(_pool_node(body, bodies) for body in _of_kind(bodies, "HostPool")),
        *(_plain_node(body) for body in _of_kind(bodies, "Regime")),
    ]
    bad = sum(child.ready is not True for child in children)
    return Node(
        kind="Fleet",
        name=namespace,
        ready=_ready_together(children),
        reason=reasons.READY if not bad else reasons.PROGRESSING,
        message=f"{bad} of {len(children)} are not ready" if bad else "",
        children=sort_nodes(children),
    )


def sort_nodes(nodes: Iterable[Node]) -> tuple[Node, ...]:
    """Put problems first, then what nobody knows, then the healthy; by name among equals."""
    rank = {False: 0, None: 1, True: 2}
    return tuple(sorted(nodes, key=lambda node: (rank[node.ready], node.kind != "Rollout", node.kind, node.name)))


def read_ready(body: Body) -> tuple[bool | None, str, str]:
    """Return whether an object is Ready, the reason and the message."""
    status = body.get("status") or {}
    condition = find(status, "Ready")
    if not condition:
        return None, reasons.UNKNOWN, "Atoll has not looked at it yet"
    if status.get("observedGeneration", -1) != body["metadata"].get("generation", 1):
        return None, reasons.PROGRESSING, "its latest change has not been looked at yet"
    ready = {"True": True, "False": False}.get(condition.get("status", ""))
    return ready, str(condition.get("reason", "")), str(condition.get("message", ""))


def _of_kind(bodies: Sequence[Body], kind: str) -> list[Body]:
    return sorted((body for body in bodies if body["kind"] == kind), key=lambda body: str(body["metadata"]["name"]))


def _ready_together(nodes: Iterable[Node]) -> bool | None:
    states = {node.ready for node in nodes}
    return False if False in states else None if None in states else True


def _plain_node(body: Body, **more: Any) -> Node:
    ready, reason, message = read_ready(body)
    return Node(kind=body["kind"], name=body["metadata"]["name"], ready=ready, reason=reason, message=message, **more)


def _is_homeless(tenant: Body) -> bool:
    """Say whether a tenant has trouble that no cluster's node shows."""
    status = tenant.get("status") or {}
    placements = status.get("placements", ())
    settled = all(place.get("state") == "Placed" for place in placements)
    return bool(status.get("unplaced")) or not placements or (settled and read_ready(tenant)[0] is not True)


def _places(tenants: Sequence[Body]) -> dict[str, dict[str, list[Node]]]:
    """Gather what is placed: cluster → environment → nodes of tenants."""
    found: dict[str, dict[str, list[Node]]] = {}
    for tenant in tenants:
        grouped: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
        for place in (tenant.get("status") or {}).get("placements", ()):
            grouped.setdefault((place["cluster"], place["environment"]), []).append(place)
        for (cluster, environment), group in grouped.items():
            node = _place_node(tenant["metadata"]["name"], group)
            found.setdefault(cluster, {}).setdefault(environment, []).append(node)
    return found


def _place_node(tenant: str, group: Sequence[Mapping[str, Any]]) -> Node:
    waiting = [place for place in group if place.get("state") != "Placed"]
    names = ", ".join(place["namespace"] for place in group)
    worst = waiting[0] if waiting else group[0]
    return Node(
        kind="Tenant",
        name=tenant,
        ready=not waiting,
        reason=worst.get("state") or "Pending",
        message=str(worst.get("reason", "")) if waiting else "",
        detail=f"namespace {names}" if len(group) == 1 else f"namespaces {names}",
    )


def _cluster_node(body: Body, places: Mapping[str, Sequence[Node]], environments: Mapping[str, Body]) -> Node:
    status = body.get("status") or {}
    children = []
    for name in sorted(places):
        nodes = sort_nodes(places[name])
        ready, reason, message = _ready_together(nodes), "", ""
        if name in environments:
            own, reason, message = read_ready(environments[name])
            ready = ready if own is True or ready is False else own
        children.append(
            Node(kind="Environment", name=name, ready=ready, reason=reason, message=message, children=nodes)
        )
    version = str(status.get("version") or body["spec"].get("version", ""))
    return _plain_node(body, version=version, detail=_cluster_detail(status), children=tuple(children))


def _cluster_detail(status: Mapping[str, Any]) -> str:
    """Say in a few words what goes on in a cluster, or how well it was verified."""
    operation = status.get("operation")
    if operation and not operation.get("failed") and operation.get("state") != "Failed":
        total = operation.get("stepsTotal", 0)
        steps = f" ({operation.get('stepsDone', 0)}/{total})" if total else ""
        return f"{operation.get('step') or operation.get('message') or operation['type']}{steps}"
    checks = [check for check in status.get("verification", ()) if check.get("result") != "Skipped"]
    if not checks:
        return ""
    return f"verified {sum(check.get('result') == 'Passed' for check in checks)}/{len(checks)}"


def _set_node(body: Body, bodies: Sequence[Body], clusters: Mapping[str, Node]) -> Node:
    name, spec, status = body["metadata"]["name"], body.get("spec") or {}, body.get("status") or {}
    owned = {
        child["metadata"]["name"]
        for child in _of_kind(bodies, "ChildCluster")
        if (child.get("spec") or {}).get("setName") == name
    }
    wanted = {f"{name}--{member['name']}" for member in spec.get("clusters", ())}
    children = [clusters[child] for child in owned]
    children += [_missing_node(child) for child in wanted - owned]
    children += [
        _rollout_node(rollout)
        for rollout in _of_kind(bodies, "Rollout")
        if (rollout.get("spec") or {}).get("setName") == name
        and rollout["metadata"]["name"] == status.get("currentRollout")
    ]
    members = status.get("members") or {}
    detail = f"{members['available']}/{members['total']} available" if {"available", "total"} <= members.keys() else ""
    reached, target = status.get("version", ""), spec.get("version", "")
    version = f"{reached} → {target}" if reached and reached != target else target
    return _plain_node(body, version=version, detail=detail, children=sort_nodes(children))


def _pool_node(body: Body, bodies: Sequence[Body]) -> Node:
    """Build the node of a HostPool: its hosts, each with the cluster that has it."""
    name = body["metadata"]["name"]
    owners = {child["spec"]["id"]: child["metadata"]["name"] for child in _of_kind(bodies, "ChildCluster")}
    hosts = []
    for host in _of_kind(bodies, "Host"):
        if host["spec"]["poolName"] != name:
            continue
        claim = host["spec"].get("claim") or {}
        owner = owners.get(claim.get("clusterID"), claim.get("clusterID", ""))
        state = (host.get("status") or {}).get("state", "Probing")
        hosts.append(_plain_node(host, detail=f"{state}: {owner} ({claim['role']})" if claim else state))
    counts = (body.get("status") or {}).get("hosts") or {}
    detail = f"{counts['available']} of {counts['total']} free" if {"available", "total"} <= counts.keys() else ""
    return _plain_node(body, detail=detail, children=sort_nodes(hosts))


def _missing_node(name: str) -> Node:
    return Node(
        kind="ChildCluster", name=name, ready=False, reason=reasons.PROGRESSING, message="there is no cluster yet"
    )


def _rollout_node(body: Body) -> Node:
    counts = (body.get("status") or {}).get("counts") or {}
    detail = f"{counts.get('done', 0)} of {counts['total']} done" if counts.get("total") else ""
    target = str(((body.get("spec") or {}).get("target") or {}).get("version", ""))
    return _plain_node(body, version=target, detail=detail)


def choose_next(fleets: Sequence[Node]) -> list[str]:
    """Choose what to look at next: the first thing that is not well, and the deepest of its kind."""
    nodes = [node for fleet in fleets for node in walk(fleet) if node.kind != "Fleet"]
    bad = [node for node in nodes if node.ready is not True]
    sets = [node for node in nodes if node.kind == "ClusterSet"]
    inside = [node for node in bad if node.kind not in {"ClusterSet", "Environment"}]
    for node in (*inside, *bad, *sets):
        return [f"atoll why {_SHORT.get(node.kind, node.kind.lower())}/{node.name}"]
    return ["atoll plan -f examples/quickstart"]


def walk(node: Node) -> Iterator[Node]:
    """Go through a node and all below it, in the order in which they are shown."""
    yield node
    for child in node.children:
        yield from walk(child)
