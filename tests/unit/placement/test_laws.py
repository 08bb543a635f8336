"""Laws of placement, on generated fleets."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from dataclasses import replace
from decimal import Decimal

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Environment, Isolation, Spread, TenantNamespace
from atoll.fleet.values import Requirement, Resources, Selector
from atoll.placement import build_candidates, explain, place

from .fleets import (
    NOW,
    amounts,
    apply_patches,
    ask,
    build_environment,
    build_fleet,
    build_member,
    build_regime,
    build_set,
    build_tenant,
    decide,
    settle,
)

words = st.sampled_from(["a", "b", "c"])
some = st.lists(words, max_size=2, unique=True).map(tuple)
regime_names = st.lists(st.sampled_from(["gdpr", "pci", "gone"]), max_size=1).map(tuple)
countries = st.sampled_from(["", "DE", "FR", "US"])
regions = st.sampled_from(["", "eu", "us"])
labels = st.dictionaries(st.sampled_from(["stage", "tier", "region"]), words, max_size=2)
requirements = st.builds(
    lambda key, operator, values: Requirement(
        key=key, operator=operator, values=values if operator in {"In", "NotIn"} else ()
    ),
    key=st.sampled_from(["stage", "tier", "region", "country", "atoll.dev/member"]),
    operator=st.sampled_from(["In", "NotIn", "Exists", "DoesNotExist"]),
    values=st.lists(st.sampled_from(["a", "b", "eu", "DE"]), min_size=1, max_size=2, unique=True).map(tuple),
)
selectors = st.none() | st.builds(
    Selector, match_labels=labels, match_expressions=st.lists(requirements, max_size=2).map(tuple)
)
asked_amounts = st.builds(
    lambda cpu, memory, more: amounts(cpu=f"{cpu}00m", memory=f"{memory}Gi", **more),
    st.integers(0, 90),
    st.integers(0, 40),
    st.sampled_from([{}, {}, {"storage": "10Gi"}, {"pods": 30}]),
)
capacities = st.none() | st.builds(
    lambda cpu, memory, more: amounts(cpu=cpu, memory=f"{memory}Gi", **more),
    st.integers(1, 16),
    st.integers(1, 64),
    st.sampled_from([{}, {"storage": "100Gi"}, {"pods": 40}]),
)


@st.composite
def members(draw, name: str):
    return build_member(
        name,
        labels=draw(labels),
        country=draw(countries),
        region=draw(regions),
        regimes=draw(regime_names),
        capabilities=draw(some),
        workload_classes=draw(st.sampled_from([(), (), ("public",)])),
        reserved_for=draw(st.sampled_from([None, None, ("t0",), ()])),
        capacity=draw(capacities),
    )


@st.composite
def environments(draw, name: str) -> Environment:
    return build_environment(
        name,
        selector=draw(selectors),
        required_capabilities=draw(st.sampled_from([(), (), ("a",)])),
        spread=draw(st.none() | st.builds(Spread, topology_key=st.sampled_from(["region", "country"]))),
        headroom_percent=draw(st.sampled_from([0, 0, 25])),
        allowed_tenants=draw(st.sampled_from([None, None, ("t0", "t1")])),
        max_per_tenant=draw(st.sampled_from([Resources(), amounts(cpu=8), amounts(memory="20Gi")])),
        regimes=draw(st.sampled_from([(), (), ("gdpr",)])),
        isolation=draw(st.sampled_from([Isolation.NAMESPACE] * 9 + [Isolation.CLUSTER])),
    )


@st.composite
def tenants(draw, name: str):
    asks = []
    for environment in draw(st.lists(st.sampled_from(["dev", "prod"]), min_size=1, max_size=2, unique=True)):
        namespaces = draw(
            st.builds(lambda r: (TenantNamespace(resources=r),), asked_amounts)
            | st.lists(
                st.builds(
                    TenantNamespace,
                    name=st.sampled_from(["api", "db"]),
                    workload_class=st.sampled_from(["", "public", "internal"]),
                    resources=asked_amounts,
                ),
                min_size=1,
                max_size=2,
                unique_by=lambda item: item.name,
            ).map(tuple)
        )
        asks.append(ask(environment, namespaces=namespaces, clusters=draw(st.sampled_from([1, 1, 2]))))
    return build_tenant(name, *asks, regimes=draw(regime_names), capabilities=draw(some))


@st.composite
def fleets(draw) -> Fleet:
    sets = [
        build_set(
            name,
            *[draw(members(f"m{index}")) for index in range(draw(st.integers(0, 3)))],
            version=draw(st.sampled_from(["v1.36.4", "v1.34.1"])),
            labels=draw(labels),
            regimes=draw(st.sampled_from([(), (), ("gdpr",)])),
        )
        for name in ("x", "y")
    ]
    regimes = [
        build_regime(
            name,
            countries=draw(st.sampled_from([(), (), ("DE", "FR"), ("US",)])),
            exclusive=draw(st.booleans()),
            incompatible_with=draw(st.sampled_from([(), (), (), ("pci",), ("gdpr",)])),
            max_minors_behind=draw(st.sampled_from([None, None, 1])),
        )
        for name in ("gdpr", "pci")
    ]
    return build_fleet(
        *sets,
        *regimes,
        draw(environments("dev")),
        draw(environments("prod")),
        *[draw(tenants(f"t{index}")) for index in range(draw(st.integers(1, 4)))],
    )


@st.composite
def crowded(draw) -> Fleet:
    """Few rules, little room: tenants compete, so that capacity, order and choice matter."""
    cluster_set = build_set(
        "x",
        *[
            build_member(f"m{index}", cpu=draw(st.integers(2, 9)), region=draw(regions))
            for index in range(draw(st.integers(1, 4)))
        ],
    )
    spread = st.none() | st.just(Spread(topology_key="region"))
    headroom = st.sampled_from([0, 0, 25, 50])
    names = ("dev", "prod")
    stages = [build_environment(name, spread=draw(spread), headroom_percent=draw(headroom)) for name in names]
    tenants = [
        build_tenant(
            f"t{index}",
            ask(draw(st.sampled_from(names)), cpu=draw(st.integers(1, 4)), clusters=draw(st.sampled_from([1, 1, 2]))),
        )
        for index in range(draw(st.integers(2, 8)))
    ]
    return build_fleet(cluster_set, *stages, *tenants)


relaxed = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])


@relaxed
@given(crowded() | fleets())
def test_law_placements_never_exceed_what_a_cluster_holds_less_the_headroom(fleet: Fleet) -> None:
    candidates, decision = decide(fleet)
    asked = {
        (tenant.meta.name, tenant.namespace_name(environment.name, namespace.name)): namespace.resources
        for tenant in fleet.tenants
        for environment in tenant.environments
        for namespace in environment.namespaces
    }
    sums: dict[str, Resources] = defaultdict(Resources)
    for item in decision.placements:
        sums[item.cluster] += asked[item.tenant, item.namespace]
    for candidate in candidates:
        if candidate.cluster in sums:
            assert candidate.capacity is not None
            environments_there = {p.environment for p in decision.placements if p.cluster == candidate.cluster}
            loosest = max(100 - fleet.environment(name).headroom_percent for name in environments_there)
            share = candidate.capacity.scaled(Decimal(loosest) / 100)
            assert not sums[candidate.cluster].lacking(share)


@relaxed
@given(crowded() | fleets(), st.randoms(use_true_random=False))
def test_law_the_order_of_the_input_changes_nothing(fleet: Fleet, rng: random.Random) -> None:
    _, decision = decide(fleet)
    mixed = replace(
        fleet,
        cluster_sets=tuple(
            replace(item, members=tuple(rng.sample(item.members, len(item.members))))
            for item in rng.sample(fleet.cluster_sets, len(fleet.cluster_sets))
        ),
        environments=tuple(rng.sample(fleet.environments, len(fleet.environments))),
        tenants=tuple(rng.sample(fleet.tenants, len(fleet.tenants))),
        regimes=tuple(rng.sample(fleet.regimes, len(fleet.regimes))),
    )
    candidates = list(build_candidates(mixed, NOW, assume_available=True))
    rng.shuffle(candidates)
    assert place(mixed, tuple(candidates), NOW) == decision


@relaxed
@given(crowded() | fleets())
def test_law_the_second_run_changes_nothing(fleet: Fleet) -> None:
    _, first = decide(fleet)
    _, second = decide(settle(fleet, first))
    assert second == first


@relaxed
@given(crowded() | fleets(), members("new"))
def test_law_one_more_cluster_moves_nothing(fleet: Fleet, member) -> None:
    _, before = decide(fleet)
    grown = replace(
        settle(fleet, before),
        cluster_sets=tuple(replace(item, members=(*item.members, member)) for item in fleet.cluster_sets),
    )
    _, after = decide(grown)
    assert set(before.placements) <= set(after.placements)


@relaxed
@given(crowded() | fleets())
def test_law_every_group_stays_together_on_as_many_different_clusters_as_were_asked_for(fleet: Fleet) -> None:
    _, decision = decide(fleet)
    open_still = {(item.tenant, item.environment) for item in decision.unplaced}
    for tenant in fleet.tenants:
        for environment in tenant.environments:
            homes = {
                frozenset(
                    p.cluster
                    for p in decision.placements
                    if p.namespace == tenant.namespace_name(environment.name, namespace.name)
                )
                for namespace in environment.namespaces
            }
            assert len(homes) == 1
            found = len(homes.pop())
            assert found == environment.clusters or (tenant.meta.name, environment.name) in open_still
            assert found <= environment.clusters


@relaxed
@given(fleets())
def test_law_counts_cover_every_cluster_and_agree_with_explain(fleet: Fleet) -> None:
    candidates, decision = decide(fleet)
    for item in decision.unplaced:
        refusals = explain(fleet, candidates, decision, item.tenant, item.environment)
        assert item.refusals == refusals[:5]
        counts: dict[str, int] = defaultdict(int)
        for refusal in refusals:
            counts[refusal.rule] += 1
        assert counts == item.counts
        assert list(refusals) == sorted(refusals, key=lambda found: (found.broken, found.cluster))


@settings(relaxed, max_examples=150)
@given(fleets())
def test_law_the_patches_of_a_refusal_together_admit(fleet: Fleet) -> None:
    candidates, decision = decide(fleet)
    settled = settle(fleet, decision)
    for item in decision.unplaced:
        # Whoever else is not placed would compete for what a patch opens; the remedy is judged as things stand.
        alone = replace(
            settled,
            tenants=tuple(
                only_standing(tenant, decision, item.environment if tenant.meta.name == item.tenant else "")
                for tenant in settled.tenants
            ),
        )
        for refusal in explain(alone, candidates, decision, item.tenant, item.environment):
            if not refusal.patches:
                # What somebody else needs, and what nodes offer, is not to be edited away.
                beyond = {"not-supported", "capacity", "version"}
                assert refusal.rule in beyond or re.search("not supported|isolation", refusal.message), refusal
                event("no patch")
                continue
            event(refusal.rule)
            patched = apply_patches(alone, refusal.patches)
            after_candidates, after = decide(patched)
            tenant = patched.tenant(item.tenant)
            placed = {
                p.cluster for p in after.placements if p.tenant == item.tenant and p.environment == item.environment
            }
            still = {
                found.cluster
                for found in explain(patched, after_candidates, after, item.tenant, item.environment)
                if found.namespaces == refusal.namespaces
            }
            assert refusal.cluster in placed or refusal.cluster not in still, (refusal, tenant)
            assert refusal.remedy


def only_standing(tenant, decision, but: str):
    """Ask only for what is placed already, and for the environment `but`."""
    hosting: dict[str, set[str]] = defaultdict(set)
    for item in decision.placements:
        if item.tenant == tenant.meta.name:
            hosting[item.environment].add(item.cluster)
    return replace(
        tenant,
        environments=tuple(
            item if item.name == but else replace(item, clusters=len(hosting[item.name]))
            for item in tenant.environments
            if item.name == but or item.name in hosting
        ),
    )
