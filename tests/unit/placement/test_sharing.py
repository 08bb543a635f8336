"""Who may share a cluster with whom: topologies of environments, isolation of tenants, spread."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atoll.fleet.spec import Isolation, Spread, TenantNamespace, Topology
from atoll.fleet.values import Selector

from .fleets import (
    amounts,
    ask,
    build_environment,
    build_fleet,
    build_member,
    build_regime,
    build_set,
    build_tenant,
    decide,
    places,
    settle,
)

SHARED, OWN, PER_TENANT, CROSS = Topology
SMALL = {"cpu": 1, "memory": "1Gi"}


def members(*names: str, **more):
    return build_set("eu", *(build_member(name, **more) for name in names))


def one_by_one(*parts, tenants):
    """Place tenants one after another, each beside those that stand already."""
    placed = ()
    for tenant in tenants:
        fleet = settle(build_fleet(*parts, *placed, tenant), decide(build_fleet(*parts, *placed, tenant))[1])
        placed = fleet.tenants
    fleet = build_fleet(*parts, *placed)
    return fleet, decide(fleet)[1]


def refusals(decision):
    return {(item.cluster, item.rule) for one in decision.unplaced for item in one.refusals}


def test_an_environment_that_keeps_its_clusters_takes_all_that_it_selects_and_shares_none():
    prod = build_environment("prod", topology=OWN, selector=Selector(match_labels={"stage": "prod"}))
    fleet = build_set(
        "eu",
        build_member("a", labels={"stage": "prod"}),
        build_member("b", labels={"stage": "prod"}),
        build_member("c"),
    )
    pay, web = build_tenant("pay", ask("prod", **SMALL)), build_tenant("web", ask("dev", **SMALL))
    _, first = decide(build_fleet(fleet, prod, build_environment("dev"), pay))
    assert first.kept == {"prod": ("eu--a", "eu--b")}
    kept = replace(prod, status={"clusters": list(first.kept["prod"])})
    stand = settle(build_fleet(fleet, kept, build_environment("dev"), pay, web), first)
    _, decision = decide(stand)
    assert places(decision) == {"pay--prod": ["eu--a"], "web--dev": ["eu--c"]}


def test_without_a_selector_it_keeps_only_where_it_stands():
    fleet = members("a", "b")
    prod, dev = build_environment("prod", topology=OWN), build_environment("dev")
    _, decision = one_by_one(
        fleet, prod, dev, tenants=[build_tenant("pay", ask("prod", **SMALL)), build_tenant("web", ask("dev", **SMALL))]
    )
    assert places(decision) == {"pay--prod": ["eu--a"], "web--dev": ["eu--b"]}


@pytest.mark.parametrize("first", ["prod", "dev"])
def test_the_stricter_topology_wins_both_ways(first):
    prod, dev = build_environment("prod", topology=OWN), build_environment("dev")
    other = {"prod": "dev", "dev": "prod"}[first]
    _, decision = one_by_one(
        members("a"),
        prod,
        dev,
        tenants=[build_tenant("old", ask(first, **SMALL)), build_tenant("new", ask(other, **SMALL))],
    )
    assert places(decision) == {f"old--{first}": ["eu--a"]}
    (refusal,) = decision.unplaced[0].refusals
    assert refusal.rule == "topology"
    assert ("Environment", "prod", "spec.topology", "SharedCluster") in [
        (patch.kind, patch.name, patch.path, patch.value) for patch in refusal.patches
    ]


def test_each_tenant_has_clusters_of_its_own_in_each_environment():
    prod = build_environment("prod", topology=PER_TENANT)
    _, decision = one_by_one(
        members("a", "b"),
        prod,
        build_environment("dev"),
        tenants=[build_tenant(name, ask("prod", **SMALL)) for name in ("pay", "web", "shop")],
    )
    assert places(decision) == {"pay--prod": ["eu--a"], "web--prod": ["eu--b"]}
    assert refusals(decision) == {("eu--a", "topology"), ("eu--b", "topology")}
    assert "belongs to" in decision.unplaced[0].refusals[0].message or "of its own" in (
        decision.unplaced[0].refusals[0].message
    )


def test_an_environment_across_clusters_puts_each_class_where_it_is_served_for_several_environments():
    prod, stage = (build_environment(name, topology=CROSS) for name in ("prod", "stage"))
    namespaces = tuple(
        TenantNamespace(name=name, workload_class=name, resources=amounts(cpu=1, memory="1Gi"))
        for name in ("public", "internal")
    )
    tenants = [
        build_tenant("pay", ask("prod", namespaces=namespaces)),
        build_tenant("web", ask("stage", namespaces=namespaces)),
    ]
    _, decision = one_by_one(members("a", "b"), prod, stage, tenants=tenants)
    found = places(decision)
    assert found["pay--prod--public"] == found["web--stage--public"]
    assert found["pay--prod--internal"] == found["web--stage--internal"]
    assert found["pay--prod--public"] != found["pay--prod--internal"]


def test_a_namespace_without_a_class_has_no_place_in_an_environment_that_is_split_by_them():
    _, decision = decide(
        build_fleet(members("a"), build_environment(topology=CROSS), build_tenant("pay", ask("prod", **SMALL)))
    )
    (refusal,) = decision.unplaced[0].refusals
    assert (refusal.rule, refusal.patches) == ("topology", ())
    assert "declare namespaces with a workloadClass in Tenant pay" in refusal.remedy


@pytest.mark.parametrize("where", ["tenant", "environment", "regime"])
def test_who_needs_a_cluster_to_itself_gets_one_and_keeps_it(where):
    level = Isolation.CLUSTER
    pci = build_regime("pci", isolation=level if where == "regime" else Isolation.NAMESPACE)
    prod = build_environment(isolation=level if where == "environment" else Isolation.NAMESPACE)
    asked = ask("prod", **SMALL, isolation=level if where == "tenant" else Isolation.NAMESPACE)
    fleet = build_set("eu", build_member("a", regimes=("pci",)), build_member("b", regimes=("pci",)))
    alone = build_tenant("pay", asked, regimes=("pci",))
    # The regime is attested for both clusters, so it binds everybody there.
    _, decision = one_by_one(fleet, pci, prod, build_environment("dev"), tenants=[alone, build_tenant("web", "dev")])
    assert [(p.tenant, p.cluster, p.isolation) for p in decision.placements] == [
        ("pay", "eu--a", level),
        ("web", "eu--b", level if where == "regime" else Isolation.NAMESPACE),
    ]


def test_who_is_alone_may_have_all_its_environments_there():
    _, decision = one_by_one(
        members("a"),
        build_environment("prod", isolation=Isolation.CLUSTER),
        build_environment("dev"),
        tenants=[build_tenant("pay", ask("prod", **SMALL), ask("dev", **SMALL))],
    )
    assert places(decision) == {"pay--dev": ["eu--a"], "pay--prod": ["eu--a"]}


def test_a_shared_cluster_refuses_who_has_to_be_alone_and_says_what_would_help():
    _, decision = one_by_one(
        members("a"),
        build_environment(),
        tenants=[
            build_tenant("web", ask("prod", **SMALL)),
            build_tenant("pay", ask("prod", **SMALL, isolation=Isolation.CLUSTER)),
        ],
    )
    (refusal,) = decision.unplaced[0].refusals
    assert (refusal.rule, refusal.message) == (
        "isolation",
        "hosts tenant web, and tenant pay needs a cluster to itself (isolation Cluster)",
    )
    assert refusal.remedy.startswith("add a member of its own to ClusterSet eu spec.clusters, or accept isolation")
    assert [(p.kind, p.path, p.value) for p in refusal.patches] == [
        ("Tenant", "spec.environments[prod].isolation", "Namespace")
    ]


def test_placements_stay_even_over_regions_even_where_one_of_them_is_full():
    prod = build_environment(spread=Spread(topology_key="region"))
    fleet = build_set("eu", build_member("a", region="north"), build_member("b", cpu=1, region="south"))
    tenants = [build_tenant(f"t{n}", ask("prod", **SMALL)) for n in range(4)]
    _, decision = one_by_one(fleet, prod, tenants=tenants)
    assert places(decision) == {"t0--prod": ["eu--a"], "t1--prod": ["eu--b"], "t2--prod": ["eu--a"]}
    assert refusals(decision) == {("eu--a", "spread"), ("eu--b", "capacity")}
    nearest = {item.cluster: item for item in decision.unplaced[0].refusals}["eu--a"]
    assert [(p.path, p.value) for p in nearest.patches] == [("spec.placement.spread.maxSkew", 2)]


def test_a_cluster_of_no_region_takes_nobody_who_is_spread_over_regions():
    prod = build_environment(spread=Spread(topology_key="region"))
    fleet = build_set("eu", build_member("a", region="north"), build_member("b"))
    tenants = [build_tenant(f"t{n}", ask("prod", **SMALL)) for n in range(2)]
    _, decision = one_by_one(fleet, prod, tenants=tenants)
    assert {item.rule for item in decision.unplaced and decision.unplaced[0].refusals} <= {"spread"}
    assert places(decision) == {"t0--prod": ["eu--a"], "t1--prod": ["eu--a"]}


def test_nobody_joins_who_has_to_be_alone():
    _, decision = one_by_one(
        members("a"),
        build_environment(),
        tenants=[
            build_tenant("pay", ask("prod", **SMALL, isolation=Isolation.CLUSTER)),
            build_tenant("web", ask("prod", **SMALL)),
        ],
    )
    assert places(decision) == {"pay--prod": ["eu--a"]}
    (refusal,) = decision.unplaced[0].refusals
    assert (refusal.rule, refusal.message) == ("isolation", "belongs to tenant pay alone (isolation Cluster)")
    assert (refusal.remedy, refusal.patches) == ("add a member of its own to ClusterSet eu spec.clusters", ())
