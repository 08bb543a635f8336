"""Who reaches whom: the policies that we build, judged by an evaluator that shares no code with them.

The evaluator reads NetworkPolicy as the API defines it: a pod that no policy selects in a direction is open in it; one
that some policy selects lets through what any rule of those policies allows. A connection needs egress and ingress.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.decisions import Placement
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Meta, Tenant, TenantEnvironment
from atoll.fleet.values import Version, freeze
from atoll.segregation import wanted_objects

Pod = tuple[str, str]
"""Namespace and address."""

CHILD = ChildCluster(
    meta=Meta(name="eu--a", namespace="fleet"),
    id="c-1",
    set_name="eu",
    member_name="a",
    provider="local",
    version=Version.parse("v1.36.4"),
    revision="r1",
    pod_cidr="10.128.0.0/16",
    service_cidr="10.129.0.0/20",
    status={"endpoint": "https://10.0.0.5:6443"},
)
OTHERS = {
    "kube-system": {"kubernetes.io/metadata.name": "kube-system"},
    "monitoring": {"kubernetes.io/metadata.name": "monitoring"},
}
TENANTS = ("pay", "web", "ops")
STAGES = ("dev", "prod")
PORTS = ((80, "TCP"), (443, "TCP"), (53, "UDP"))


def selects(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Evaluate a LabelSelector."""
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for term in selector.get("matchExpressions", []):
        has = labels.get(term["key"]) in term["values"] if "values" in term else term["key"] in labels
        if term["operator"] in {"In", "Exists"} and not has:
            return False
        if term["operator"] in {"NotIn", "DoesNotExist"} and has:
            return False
    return True


class World:
    """Namespaces with their labels, and the policies in them; one pod in each, without labels."""

    def __init__(self, bodies: tuple[Mapping[str, Any], ...]) -> None:
        self.spaces = dict(OTHERS)
        self.policies: dict[str, list[Mapping[str, Any]]] = {}
        for body in bodies:
            metadata = body["metadata"]
            if body["kind"] == "Namespace":
                self.spaces[metadata["name"]] = metadata["labels"]
            elif body["kind"] == "NetworkPolicy":
                self.policies.setdefault(metadata["namespace"], []).append(body["spec"])

    def reaches(self, caller: str, called: str, port: int, protocol: str) -> bool:
        """Say whether a pod of one namespace reaches one of another (or an address outside)."""
        if not self._lets(caller, "Egress", "egress", "to", called, port, protocol):
            return False
        return called not in self.spaces or self._lets(called, "Ingress", "ingress", "from", caller, port, protocol)

    def _lets(self, here: str, direction: str, field: str, side: str, there: str, port: int, protocol: str) -> bool:
        judging = [
            spec
            for spec in self.policies.get(here, [])
            if selects(spec["podSelector"], {}) and direction in spec["policyTypes"]
        ]
        if not judging:
            return True
        return any(
            self._matches_peer(rule.get(side, []), here, there) and matches_port(rule.get("ports", []), port, protocol)
            for spec in judging
            for rule in spec.get(field, [])
        )

    def _matches_peer(self, peers: list[Mapping[str, Any]], here: str, there: str) -> bool:
        return not peers or any(self._is_peer(peer, here, there) for peer in peers)

    def _is_peer(self, peer: Mapping[str, Any], here: str, there: str) -> bool:
        if "ipBlock" in peer:
            # A pod's own address counts for some network plugins: the worst case is judged.
            address = ip_address("10.128.0.9" if there in self.spaces else there)
            inside = address in ip_network(peer["ipBlock"]["cidr"])
            return inside and not any(address in ip_network(block) for block in peer["ipBlock"].get("except", []))
        if there not in self.spaces or not selects(peer.get("podSelector", {}), {}):
            return False
        if "namespaceSelector" in peer:
            return selects(peer["namespaceSelector"], self.spaces[there])
        return here == there


def matches_port(ports: list[Mapping[str, Any]], port: int, protocol: str) -> bool:
    return not ports or any(item["port"] == port and item.get("protocol", "TCP") == protocol for item in ports)


def build_world(tenants: tuple[Tenant, ...], placements: tuple[Placement, ...], child: ChildCluster = CHILD) -> World:
    fleet = Fleet(name="fleet", tenants=tenants)
    return World(wanted_objects(fleet, child, placements, "hub-1", labels_for={}))


def make_tenant(name: str, network: Mapping[str, Any]) -> Tenant:
    return Tenant(
        meta=Meta(name=name, namespace="fleet", uid=f"uid-{name}"),
        environments=tuple(TenantEnvironment(name=stage) for stage in STAGES),
        network=freeze(network),
    )


def place(tenant: str, stage: str, **more: Any) -> Placement:
    return Placement(
        tenant=tenant, environment=stage, namespace=f"{tenant}--{stage}", cluster="eu--a", state="Placed", **more
    )


sides = st.fixed_dictionaries({"tenant": st.sampled_from((*TENANTS, "gone")), "environment": st.sampled_from(STAGES)})
some_ports = st.lists(
    st.sampled_from([{"port": number, "protocol": protocol} for number, protocol in PORTS]), max_size=2
)
networks = st.fixed_dictionaries(
    {
        "allowFrom": st.lists(sides, max_size=4),
        "allowTo": st.lists(st.builds(lambda side, ports: {**side, "ports": ports}, sides, some_ports), max_size=4),
    }
)
marks = st.sampled_from([("placed", True), ("leaving", True), ("emptied", False), ("released", False)])


def agreed(tenants: Mapping[str, Tenant], caller: str, called: str, port: int, protocol: str) -> bool:
    """Say from the tenants' specs alone whether both sides allow a call between `<tenant>--<stage>` namespaces."""
    (caller_tenant, caller_stage), (called_tenant, called_stage) = caller.split("--"), called.split("--")
    invited = {"tenant": caller_tenant, "environment": caller_stage}
    if not any(dict(entry) == invited for entry in tenants[called_tenant].network["allowFrom"]):
        return False
    return any(
        (entry["tenant"], entry["environment"]) == (called_tenant, called_stage)
        and (not entry["ports"] or any((item["port"], item["protocol"]) == (port, protocol) for item in entry["ports"]))
        for entry in tenants[caller_tenant].network["allowTo"]
    )


@given(st.tuples(*[networks] * len(TENANTS)), st.tuples(*[marks] * (len(TENANTS) * len(STAGES))))
def test_law_only_what_both_sides_agreed_on_is_reachable(found, marked) -> None:
    tenants = {name: make_tenant(name, network) for name, network in zip(TENANTS, found, strict=True)}
    placements = tuple(
        place(tenant, stage, mark=mark, access=access)
        for (tenant, stage), (mark, access) in zip(product(TENANTS, STAGES), marked, strict=True)
    )
    access = {item.namespace: item.access for item in placements}
    world = build_world(tuple(tenants.values()), placements)
    for caller, called, (port, protocol) in product(access, access, PORTS):
        open_both = access[caller] and access[called] and agreed(tenants, caller, called, port, protocol)
        expected = caller == called or open_both
        assert world.reaches(caller, called, port, protocol) is expected, (caller, called, port, protocol)
    for space, other, (port, protocol) in product(access, OTHERS, PORTS):
        assert not world.reaches(other, space, port, protocol)
        assert not world.reaches(space, other, port, protocol)


BLOCKS = (
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.128.0.0/9",
    "10.129.0.0/20",
    "10.129.0.1/32",
    "10.0.0.4/30",
    "168.0.0.0/5",
    "169.254.0.0/16",
    "169.254.169.254/32",
    "192.0.2.0/24",
)
NEVER = ("169.254.169.254", "168.63.129.16", "100.100.100.200", "10.128.3.4", "10.129.0.1", "10.0.0.5")


@given(
    st.lists(
        st.sampled_from(BLOCKS),
        min_size=1,
        max_size=3,
    ),
    some_ports,
)
def test_law_a_block_of_addresses_reaches_what_it_names_and_nothing_that_is_inside(blocks, ports) -> None:
    pay = make_tenant("pay", {"allowTo": [{"cidr": block, "ports": ports} for block in blocks]})
    world = build_world((pay,), (place("pay", "prod"),))
    named = [ip_network(block) for block in blocks]
    for outside in ("192.0.2.7", "10.0.0.6", "10.1.2.3", "8.8.8.8", "170.1.1.1"):
        for port, protocol in PORTS:
            asked = not ports or {"port": port, "protocol": protocol} in ports
            expected = asked and any(ip_address(outside) in block for block in named)
            assert world.reaches("pay--prod", outside, port, protocol) is expected
    for address in (*NEVER, "kube-system", "monitoring"):
        for port, protocol in PORTS:
            assert not world.reaches("pay--prod", address, port, protocol), address


def test_two_tenants_on_different_clusters_have_no_flow() -> None:
    pay = make_tenant("pay", {"allowFrom": [{"tenant": "web", "environment": "prod"}]})
    web = make_tenant("web", {"allowTo": [{"tenant": "pay", "environment": "prod"}]})
    elsewhere = replace(place("pay", "prod"), cluster="eu--b")
    names = [name for name, _ in policies((pay, web), (place("web", "prod"), elsewhere))]
    assert "atoll-allow-flows" not in names


def test_what_an_earlier_tenant_left_is_not_reached_by_the_name_it_bears() -> None:
    pay = make_tenant("pay", {"allowFrom": [{"tenant": "web", "environment": "prod"}]})
    web = make_tenant("web", {"allowTo": [{"tenant": "pay", "environment": "prod"}]})
    world = build_world((pay, web), (place("pay", "prod"), place("web", "prod")))
    assert world.reaches("web--prod", "pay--prod", 80, "TCP")
    world.spaces["old"] = {**world.spaces["pay--prod"], "atoll.dev/placement": "released"}
    assert not world.reaches("web--prod", "old", 80, "TCP")


@pytest.mark.parametrize("endpoint", ["https://api.example.com:6443", "", "https://[::1", "https://[fd00::1]:6443"])
def test_an_endpoint_that_is_no_address_is_no_exception(endpoint: str) -> None:
    pay = make_tenant("pay", {"allowTo": [{"cidr": "10.0.0.0/24"}]})
    child = replace(CHILD, status={"endpoint": endpoint})
    assert build_world((pay,), (place("pay", "prod"),), child).reaches("pay--prod", "10.0.0.5", 443, "TCP")


def policies(tenants: tuple[Tenant, ...], placements: tuple[Placement, ...]) -> Iterator[tuple[str, Any]]:
    bodies = wanted_objects(Fleet(name="fleet", tenants=tenants), CHILD, placements, "hub-1", labels_for={})
    return ((body["metadata"]["name"], body["spec"]) for body in bodies if body["kind"] == "NetworkPolicy")


def test_a_flow_reads_as_it_was_written() -> None:
    pay = make_tenant(
        "pay",
        {
            "allowFrom": [{"tenant": "web", "environment": "prod"}],
            "allowTo": [{"cidr": "10.0.0.0/8", "ports": [{"port": 5432, "protocol": "TCP"}]}],
        },
    )
    web = make_tenant("web", {"allowTo": [{"tenant": "pay", "environment": "prod", "ports": [{"port": 8443}]}]})
    found = [
        spec
        for name, spec in policies((pay, web), (place("pay", "prod"), place("web", "prod")))
        if name == "atoll-allow-flows"
    ]
    kept = [{"key": "atoll.dev/placement", "operator": "NotIn", "values": ["emptied", "released"]}]
    web_side = {"matchLabels": {"atoll.dev/tenant": "web", "atoll.dev/environment": "prod"}, "matchExpressions": kept}
    pay_side = {"matchLabels": {"atoll.dev/tenant": "pay", "atoll.dev/environment": "prod"}, "matchExpressions": kept}
    port = [{"port": 8443, "protocol": "TCP"}]
    block = {"cidr": "10.0.0.0/8", "except": ["10.0.0.5/32", "10.128.0.0/16", "10.129.0.0/20"]}
    assert found == [
        {
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"namespaceSelector": web_side}], "ports": port}],
            "egress": [{"to": [{"ipBlock": block}], "ports": [{"port": 5432, "protocol": "TCP"}]}],
        },
        {
            "podSelector": {},
            "policyTypes": ["Egress"],
            "egress": [{"to": [{"namespaceSelector": pay_side}], "ports": port}],
        },
    ]
