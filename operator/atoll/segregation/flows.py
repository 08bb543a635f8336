"""The network border of a namespace: nothing in or out, but DNS, the namespace itself, and what was agreed on.

A flow between tenants needs both sides: `allowTo` of the one that calls and `allowFrom` of the one that is called, and
both on this cluster. It selects namespaces by tenant and environment, labels that the child's own policies keep from
everybody else, and never one that was released: it may hold what an earlier tenant of that name has left. A block of
addresses needs the caller's word alone, so it never contains what is inside: pods, Services (the API server is one),
the API server's own address, link-local addresses and the clouds' metadata services. Where an API server stands at a
name, or at several addresses, nothing but its credentials keeps a tenant from it: addresses behind a name change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, ip_network
from typing import Any, Final
from urllib.parse import urlsplit

from atoll.fleet.decisions import Placement
from atoll.fleet.names import ENVIRONMENT_LABEL, PLACEMENT_LABEL, TENANT_LABEL
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import Tenant

from .metadata import Labels, build_metadata
from .taken import LET_GO

FLOWS: Final = "atoll-allow-flows"
"""The one policy that lets somebody in or out on somebody's word."""
NEVER: Final = ("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32")
"""Link-local addresses and metadata services: whoever reaches them can have the node's own credentials."""

Side = tuple[str, str]
"""Tenant and environment."""
Rules = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Who has agreed to what on one cluster."""

    calls: Mapping[tuple[Side, Side], tuple[tuple[Mapping[str, Any], ...], ...]]
    """By caller and called: the ports of each entry that allows it; none means all."""
    inside: tuple[IPv4Network, ...]
    """What no block of addresses may contain."""
    tenants: Mapping[str, Tenant]


def find_flows(placements: Iterable[Placement], tenants: Mapping[str, Tenant], child: ChildCluster) -> Flows:
    """Find the calls that both sides allow between those who are let in on this cluster."""
    here = sorted({(item.tenant, item.environment) for item in placements if item.access and item.tenant in tenants})
    calls = {}
    asking = [side for side in here if _entries(tenants[side[0]], "allowTo")]
    inviting = [side for side in here if _entries(tenants[side[0]], "allowFrom")]
    for caller in asking:
        for called in inviting:
            invited = any(_side(entry) == caller for entry in _entries(tenants[called[0]], "allowFrom"))
            wishes = [entry for entry in _entries(tenants[caller[0]], "allowTo") if _side(entry) == called]
            if invited and wishes:
                calls[caller, called] = tuple(tuple(entry.get("ports", ())) for entry in wishes)
    blocks = (*NEVER, child.pod_cidr, child.service_cidr, _find_server(child))
    return Flows(calls=calls, inside=tuple(block for block in map(_read_block, blocks) if block), tenants=tenants)


def build_network_policies(
    placement: Placement, labels: Labels | None = None, flows: Flows | None = None
) -> list[dict[str, Any]]:
    """Build the policies: always the border, and with `flows` what was agreed on, where there is any."""
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    everyone_here: list[dict[str, Any]] = [{"podSelector": {}}]
    specs: list[tuple[str, dict[str, Any]]] = [
        # Empty lists are said, so that a rule which somebody adds is seen and taken back.
        ("atoll-default-deny", {"policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []}),
        ("atoll-allow-dns", {"policyTypes": ["Egress"], "egress": [dns]}),
        (
            "atoll-allow-same-namespace",
            {
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": everyone_here}],
                "egress": [{"to": everyone_here}],
            },
        ),
    ]
    if flows is not None and placement.access:
        ingress, egress = _build_ingress(placement, flows), _build_egress(placement, flows)
        if ingress or egress:
            rules = {"ingress": ingress, "egress": egress}
            used = {key: value for key, value in rules.items() if value}
            specs.append((FLOWS, {"policyTypes": [key.capitalize() for key in used], **used}))
    return [_build(placement, name, spec, labels) for name, spec in specs]


def _build_ingress(placement: Placement, flows: Flows) -> Rules:
    me = (placement.tenant, placement.environment)
    return [
        _rule("from", _select(caller), ports)
        for (caller, called), entries in flows.calls.items()
        if called == me
        for ports in entries
    ]


def _build_egress(placement: Placement, flows: Flows) -> Rules:
    me = (placement.tenant, placement.environment)
    rules = [
        _rule("to", _select(called), ports)
        for (caller, called), entries in flows.calls.items()
        if caller == me
        for ports in entries
    ]
    tenant = flows.tenants.get(placement.tenant)
    for entry in _entries(tenant, "allowTo") if tenant is not None else ():
        block = _read_block(str(entry.get("cidr") or ""))
        # A block that lies inside as a whole lets nobody reach anything: it gets no rule.
        if block is not None and not any(block.subnet_of(kept) for kept in flows.inside):
            rules.append(_rule("to", _describe(block, flows.inside), tuple(entry.get("ports", ()))))
    return rules


def _describe(block: IPv4Network, inside: tuple[IPv4Network, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {"cidr": str(block)}
    kept = sorted({item for item in inside if item.subnet_of(block)})
    if kept:
        found["except"] = [str(item) for item in kept]
    return {"ipBlock": found}


def _select(side: Side) -> dict[str, Any]:
    tenant, environment = side
    return {
        "namespaceSelector": {
            "matchLabels": {TENANT_LABEL: tenant, ENVIRONMENT_LABEL: environment},
            "matchExpressions": [{"key": PLACEMENT_LABEL, "operator": "NotIn", "values": list(LET_GO)}],
        }
    }


def _rule(direction: str, peer: dict[str, Any], ports: tuple[Mapping[str, Any], ...]) -> dict[str, Any]:
    rule: dict[str, Any] = {direction: [peer]}
    if ports:
        rule["ports"] = [{"port": port["port"], "protocol": port.get("protocol", "TCP")} for port in ports]
    return rule


def _entries(tenant: Tenant, direction: str) -> tuple[Mapping[str, Any], ...]:
    return tuple(tenant.network.get(direction) or ())


def _side(entry: Mapping[str, Any]) -> Side | None:
    tenant, environment = entry.get("tenant"), entry.get("environment")
    return (str(tenant), str(environment)) if tenant and environment else None


def _find_server(child: ChildCluster) -> str:
    """Return the address of the child's API server, where it stands at one."""
    try:
        return urlsplit(str(child.status.get("endpoint") or "")).hostname or ""
    except ValueError:
        return ""


def _read_block(text: str) -> IPv4Network | None:
    """Read an IPv4 block or address; None for anything else."""
    try:
        block = ip_network(text, strict=False)
    except ValueError:
        return None
    return block if isinstance(block, IPv4Network) else None


def _build(placement: Placement, name: str, spec: dict[str, Any], labels: Labels | None) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(
            name, placement.namespace, tenant=placement.tenant, environment=placement.environment, labels=labels
        ),
        "spec": {"podSelector": {}, **spec},
    }
