"""Placement, rule by rule and story by story."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from atoll.fleet.cluster import ObservedCluster, Presence
from atoll.fleet.decisions import Patch, Placement, Refusal
from atoll.fleet.observed import ChildCluster, ChildView, MemberView
from atoll.fleet.snapshot import Fleet, Invalid
from atoll.fleet.spec import Isolation, Paused, Spread, TenantNamespace
from atoll.fleet.values import Requirement, Selector, Version
from atoll.placement import build_candidates, explain, parse_placements, place

from .fleets import (
    EARLIER,
    NOW,
    amounts,
    ask,
    build_environment,
    build_fleet,
    build_member,
    build_meta,
    build_regime,
    build_set,
    build_tenant,
    places,
    settle,
    stand,
)

PROD = Selector(match_labels={"stage": "prod"})
FIELD = "ClusterSet eu spec.clusters[a]"


def decide(fleet: Fleet):
    return place(fleet, build_candidates(fleet, NOW, assume_available=True), NOW)


def refuse(*, member=None, environment=None, tenant=None, regimes=(), **of_set) -> Refusal:
    """Place one tenant on one cluster, and return why it was refused."""
    fleet = build_fleet(
        build_set("eu", member or build_member("a"), **of_set),
        environment or build_environment(),
        tenant or build_tenant("pay", "prod"),
        *regimes,
    )
    decision = decide(fleet)
    assert decision.placements == ()
    (unplaced,) = decision.unplaced
    (refusal,) = unplaced.refusals
    return refusal


def test_a_tenant_is_placed_with_a_reason() -> None:
    fleet = build_fleet(
        build_set("eu", build_member("a", labels={"stage": "prod"}), build_member("b")),
        build_environment(selector=PROD),
        build_tenant("pay", "prod"),
    )
    decision = decide(fleet)
    assert decision.placements == (
        Placement(
            tenant="pay",
            environment="prod",
            namespace="pay--prod",
            cluster="eu--a",
            isolation=Isolation.NAMESPACE,
            state="Pending",
            since=NOW,
            reason="stage=prod, 16 of 16 cpu free",
        ),
    )
    assert (decision.unplaced, decision.problems) == ((), ())


CASES = [
    (
        {"environment": build_environment(selector=PROD), "member": build_member("a", labels={"stage": "dev"})},
        ("selector", "has stage=dev, and environment prod selects stage=prod"),
        (f"set stage=prod in {FIELD}.labels", [("ClusterSet", "eu", "spec.clusters[a].labels", {"stage": "prod"})]),
    ),
    (
        {
            "environment": build_environment(
                selector=Selector(match_expressions=(Requirement(key="region", operator="In", values=("us",)),))
            ),
            "member": build_member("a", region="eu"),
        },
        ("selector", "has region=eu, and environment prod selects region in (us)"),
        (
            "let go of region in Environment prod spec.placement.clusterSelector",
            [("Environment", "prod", "spec.placement.clusterSelector", None)],
        ),
    ),
    (
        {"tenant": build_tenant("pay", "prod", capabilities=("mesh", "faas")), "capabilities": ("mesh",)},
        ("capability", "lacks faas"),
        (
            f'add "faas" to {FIELD}.capabilities',
            [("ClusterSet", "eu", "spec.clusters[a].capabilities", ["faas"])],
        ),
    ),
    (
        {"member": build_member("a", workload_classes=("public",))},
        ("workload-class", "accepts only workload class public, and these namespaces have none"),
        (
            f"remove {FIELD}.workloadClasses, or declare namespaces with a workloadClass",
            [("ClusterSet", "eu", "spec.clusters[a].workloadClasses", None)],
        ),
    ),
    (
        {"member": build_member("a", reserved_for=("web",))},
        ("reserved", "is reserved for web"),
        (
            f'add "pay" to {FIELD}.reservedFor.tenants',
            [("ClusterSet", "eu", "spec.clusters[a].reservedFor", {"tenants": ["web", "pay"]})],
        ),
    ),
    (
        {
            "tenant": build_tenant("pay", "prod", regimes=("gdpr",)),
            "regimes": (build_regime("gdpr", countries=("FR", "DE")),),
            "member": build_member("a", regimes=("gdpr",)),
        },
        ("country", "has no known country, and regime gdpr allows FR, DE"),
        (
            f"set {FIELD}.country to where it stands, such as DE",
            [("ClusterSet", "eu", "spec.clusters[a].country", "DE")],
        ),
    ),
    (
        {"tenant": build_tenant("pay", "prod", regimes=("pci",)), "regimes": (build_regime("pci"),)},
        ("not-attested", "is not attested for pci"),
        (f'attest it: add "pci" to {FIELD}.regimes', [("ClusterSet", "eu", "spec.clusters[a].regimes", ["pci"])]),
    ),
    (
        {"tenant": build_tenant("pay", "prod", regimes=("pci",)), "member": build_member("a", regimes=("pci",))},
        ("not-attested", "regime pci is demanded and does not exist; is attested for regime pci, which does not exist"),
        ("create Regime pci", [("Regime", "pci", "spec", {"title": "pci"})]),
    ),
    (
        {"regimes": (build_regime("pci", exclusive=True),), "member": build_member("a", regimes=("pci",))},
        ("regime-exclusive", "serves only tenants that demand regime pci"),
        ('add "pci" to Tenant pay spec.regimes', [("Tenant", "pay", "spec.regimes", ["pci"])]),
    ),
    (
        {
            "regimes": (build_regime("pci", incompatible_with=("lab",)), build_regime("lab")),
            "member": build_member("a", regimes=("pci", "lab")),
        },
        ("regime-incompatible", "would bring regimes lab and pci together, which are incompatible"),
        (
            'remove "lab" from Regime pci spec.incompatibleWith',
            [("Regime", "pci", "spec.incompatibleWith", [])],
        ),
    ),
    (
        {"tenant": build_tenant("pay", ask("prod", isolation=Isolation.HOSTS))},
        (
            "not-supported",
            "isolation Hosts is not supported by this version, which keeps tenants apart by namespace or by cluster",
        ),
        (
            "accept isolation Cluster in Tenant pay spec.environments[prod], or wait for a version that supports more",
            [("Tenant", "pay", "spec.environments[prod].isolation", "Cluster")],
        ),
    ),
    (
        {"member": build_member("a", cpu=3)},
        ("capacity", "3 of 4 cpu free"),
        (
            f"set {FIELD}.capacity.cpu to 4, if it really holds that",
            [("ClusterSet", "eu", "spec.clusters[a].capacity", {"cpu": "4", "memory": "64Gi", "pods": "110"})],
        ),
    ),
    (
        {"environment": build_environment(headroom_percent=50), "member": build_member("a", cpu=6)},
        ("capacity", "3 of 4 cpu free"),
        (
            f"set {FIELD}.capacity.cpu to 8, if it really holds that",
            [("ClusterSet", "eu", "spec.clusters[a].capacity", {"cpu": "8", "memory": "64Gi", "pods": "110"})],
        ),
    ),
    (
        {"member": build_member("a", capacity=None)},
        ("capacity", "its capacity is unknown: it has neither nodes nor `capacity`"),
        (
            f"set {FIELD}.capacity.cpu to 4, memory to 8Gi, if it really holds that",
            [("ClusterSet", "eu", "spec.clusters[a].capacity", {"cpu": "4", "memory": "8Gi"})],
        ),
    ),
    (
        {"member": build_member("a", capacity=amounts(cpu=8))},
        ("capacity", "its capacity does not name memory"),
        (
            f"set {FIELD}.capacity.memory to 8Gi, if it really holds that",
            [("ClusterSet", "eu", "spec.clusters[a].capacity", {"cpu": "8", "memory": "8Gi"})],
        ),
    ),
    (
        {"environment": build_environment(allowed_tenants=("web",))},
        ("allowed-tenants", "environment prod does not allow tenant pay"),
        (
            'add "pay" to Environment prod spec.allowedTenants',
            [("Environment", "prod", "spec.allowedTenants", ["web", "pay"])],
        ),
    ),
    (
        {"environment": build_environment(max_per_tenant=amounts(cpu=3, memory="64Gi"))},
        ("ceiling", "asks for 4 cpu, and environment prod allows 3 cpu per tenant"),
        (
            "raise Environment prod spec.maxPerTenant.cpu to 4, or ask for less",
            [("Environment", "prod", "spec.maxPerTenant", {"cpu": "4", "memory": "64Gi"})],
        ),
    ),
]


@pytest.mark.parametrize(("parts", "said", "helps"), CASES, ids=[f"{n}-{case[1][0]}" for n, case in enumerate(CASES)])
def test_each_rule_refuses_with_a_message_a_remedy_and_the_edits(parts, said, helps) -> None:
    refusal = refuse(**parts)
    assert (refusal.rule, refusal.message) == said
    remedy, patches = helps
    assert refusal.remedy == remedy
    assert refusal.patches == tuple(Patch(kind=k, name=n, path=p, value=v) for k, n, p, v in patches)


def test_a_cluster_older_than_a_regime_allows_is_refused() -> None:
    fleet = build_fleet(
        build_set("old", build_member("a", regimes=("pci",)), version="v1.33.2"),
        build_set("new", version="v1.36.4"),
        build_environment(),
        build_tenant("pay", "prod", regimes=("pci",)),
        build_regime("pci", max_minors_behind=2),
    )
    (refusal,) = decide(fleet).unplaced[0].refusals
    assert refusal.message == "serves v1.33.2, and regime pci allows 2 minors behind v1.36"
    assert refusal.patches == (Patch(kind="Regime", name="pci", path="spec.versions.maxMinorsBehind", value=3),)


def test_all_broken_rules_are_told_and_the_nearest_comes_first() -> None:
    fleet = build_fleet(
        build_set("eu", build_member("far", cpu=1, reserved_for=("web",)), build_member("near"), build_member("zz")),
        build_environment(),
        build_tenant("pay", "prod", capabilities=("mesh",)),
    )
    (unplaced,) = decide(fleet).unplaced
    assert [(item.cluster, item.rule, item.broken) for item in unplaced.refusals] == [
        ("eu--near", "capability", 1),
        ("eu--zz", "capability", 1),
        ("eu--far", "capability", 3),
    ]
    assert unplaced.refusals[2].message == "lacks mesh; is reserved for web; 1 of 4 cpu free"
    assert unplaced.message == "fits nowhere (3 clusters refused: 3 capability)"
    assert unplaced.counts == {"capability": 3}


def test_only_the_nearest_five_are_told_of_unasked_and_explain_tells_of_all() -> None:
    fleet = build_fleet(
        build_set("eu", *(build_member(f"m{number}", cpu=1) for number in range(8))),
        build_environment(),
        build_tenant("pay", "prod"),
    )
    candidates = build_candidates(fleet, NOW, assume_available=True)
    decision = place(fleet, candidates, NOW)
    assert len(decision.unplaced[0].refusals) == 5
    assert len(explain(fleet, candidates, decision, "pay", "prod")) == 8


def test_what_stands_stays_although_its_cluster_is_no_longer_selected_nor_available() -> None:
    kept = {"placements": (stand("prod", "pay--prod", "eu--a"),)}
    fleet = build_fleet(
        build_set("eu", build_member("a", labels={"stage": "dev"}), build_member("b", labels={"stage": "prod"})),
        build_environment(selector=PROD),
        build_tenant("pay", "prod", status=kept),
    )
    decision = place(fleet, build_candidates(fleet, NOW), NOW)
    assert [(p.cluster, p.state, p.since) for p in decision.placements] == [("eu--a", "Placed", EARLIER)]
    assert decision.unplaced == ()


def test_a_placement_whose_cluster_is_gone_is_placed_anew() -> None:
    fleet = build_fleet(
        build_set("eu", build_member("b")),
        build_environment(),
        build_tenant("pay", "prod", status={"placements": (stand("prod", "pay--prod", "eu--gone"),)}),
    )
    assert [(p.cluster, p.state) for p in decide(fleet).placements] == [("eu--b", "Pending")]


def test_what_is_no_longer_asked_for_leaves_and_comes_back_to_the_same_place() -> None:
    kept = {"placements": (stand("prod", "pay--prod", "eu--b"),)}
    parts = (build_set("eu", build_member("a"), build_member("b")), build_environment())
    left = decide(build_fleet(*parts, build_tenant("pay", status=kept)))
    assert [(p.cluster, p.state, p.since) for p in left.placements] == [("eu--b", "Leaving", EARLIER)]
    gone = build_fleet(*parts, build_tenant("pay", "prod"))
    back = replace(gone, tenants=(replace(gone.tenants[0], status=settle(gone, left).tenants[0].status),))
    assert [(p.cluster, p.state, p.since) for p in decide(back).placements] == [("eu--b", "Pending", EARLIER)]


def test_a_tenant_that_is_being_deleted_leaves_everywhere_and_gets_nothing() -> None:
    tenant = build_tenant("pay", "prod", "dev", status={"placements": (stand("prod", "pay--prod", "eu--a"),)})
    tenant = replace(tenant, meta=build_meta("pay", deletion_time=NOW))
    decision = decide(build_fleet(build_set("eu", build_member("a")), build_environment(), tenant))
    assert [(p.namespace, p.state) for p in decision.placements] == [("pay--prod", "Leaving")]
    assert decision.unplaced == ()


def test_nothing_new_goes_into_an_environment_that_is_deleted_or_paused() -> None:
    parts = (build_set("eu", build_member("a")), build_tenant("pay", "prod"))
    deleting = replace(build_environment(), meta=build_meta("prod", deletion_time=NOW))
    (unplaced,) = decide(build_fleet(*parts, deleting)).unplaced
    assert unplaced.message == (
        "environment prod is being deleted, so nothing new is placed in it. Choose another environment."
    )
    paused = build_environment(paused=Paused(reason="audit"))
    (unplaced,) = decide(build_fleet(*parts, paused)).unplaced
    assert "paused (audit)" in unplaced.message
    over = build_environment(paused=Paused(reason="audit", until=NOW - timedelta(seconds=1)))
    assert decide(build_fleet(*parts, over)).unplaced == ()


def test_a_paused_tenant_keeps_what_it_has_and_gets_nothing() -> None:
    kept = {"placements": (stand("old", "pay--old", "eu--a"),)}
    tenant = build_tenant("pay", "prod", status=kept, paused=Paused(reason="move"))
    decision = decide(build_fleet(build_set("eu", build_member("a")), build_environment(), tenant))
    assert [(p.namespace, p.state) for p in decision.placements] == [("pay--old", "Placed")]


def test_a_tenant_that_cannot_be_read_keeps_what_it_has() -> None:
    status = {"placements": (stand("prod", "pay--prod", "eu--a"),)}
    invalid = Invalid(kind="Tenant", name="pay", path="spec", message="bad", status=status)
    decision = decide(build_fleet(build_set("eu", build_member("a")), build_environment(), invalid=(invalid,)))
    assert decision.placements == parse_placements("pay", status)


def test_a_missing_environment_is_a_problem_of_the_tenant() -> None:
    (problem,) = decide(build_fleet(build_set("eu", build_member("a")), build_tenant("pay", "prod"))).problems
    assert (problem.kind, problem.name, problem.reason) == ("Tenant", "pay", "EnvironmentMissing")
    assert problem.path == "spec.environments[prod]"


def test_namespaces_of_one_environment_go_together_and_a_later_one_follows() -> None:
    spaces = tuple(TenantNamespace(name=name, resources=amounts(cpu=2, memory="1Gi")) for name in ("api", "db"))
    parts = (build_set("eu", build_member("a", cpu=5), build_member("b", cpu=3)), build_environment())
    first = build_fleet(*parts, build_tenant("pay", ask("prod", namespaces=spaces)))
    decision = decide(first)
    assert places(decision) == {"pay--prod--api": ["eu--a"], "pay--prod--db": ["eu--a"]}
    more = TenantNamespace(name="web", resources=amounts(cpu=2, memory="1Gi"))
    status = settle(first, decision).tenants[0].status
    (unplaced,) = decide(
        build_fleet(*parts, build_tenant("pay", ask("prod", namespaces=(*spaces, more)), status=status))
    ).unplaced
    assert unplaced.namespaces == ("pay--prod--web",)
    assert unplaced.message == (
        "does not fit on eu--a, where the other namespaces of the environment stand (1 cluster refused: 1 capacity)"
    )


def test_several_clusters_are_different_ones_in_different_regions() -> None:
    members = [build_member(name, region=region) for name, region in (("a", "x"), ("b", "x"), ("c", "y"))]
    fleet = build_fleet(build_set("eu", *members), build_environment(), build_tenant("pay", ask("prod", clusters=2)))
    assert places(decide(fleet)) == {"pay--prod": ["eu--a", "eu--c"]}


def test_fewer_clusters_than_asked_for_are_used_and_the_rest_is_told() -> None:
    fleet = build_fleet(
        build_set("eu", build_member("a"), build_member("b", cpu=1)),
        build_environment(),
        build_tenant("pay", ask("prod", clusters=2)),
    )
    decision = decide(fleet)
    assert places(decision) == {"pay--prod": ["eu--a"]}
    assert (
        decision.unplaced[0].message == "is on 1 of 2 clusters, and no other takes it (1 cluster refused: 1 capacity)"
    )


def test_asking_for_fewer_clusters_lets_the_youngest_leave() -> None:
    standing = (
        stand("prod", "pay--prod", "eu--a", since="2026-11-20T10:00:00Z"),
        stand("prod", "pay--prod", "eu--b", since="2026-11-20T09:00:00Z"),
    )
    fleet = build_fleet(
        build_set("eu", build_member("a"), build_member("b")),
        build_environment(),
        build_tenant("pay", "prod", status={"placements": standing}),
    )
    assert [(p.cluster, p.state) for p in decide(fleet).placements] == [("eu--a", "Leaving"), ("eu--b", "Placed")]


def test_an_environment_is_spread_evenly_over_its_regions() -> None:
    members = [build_member(f"m{n}", region="xy"[n % 2]) for n in range(4)]
    tenants = [build_tenant(f"t{n}", ask("prod", cpu=1)) for n in range(4)]
    environment = build_environment(spread=Spread(topology_key="region", max_skew=1))
    used = [p.cluster for p in decide(build_fleet(build_set("eu", *members), environment, *tenants)).placements]
    regions = ["xy"[int(cluster[-1]) % 2] for cluster in used]
    assert sorted(regions) == ["x", "x", "y", "y"]


def test_the_tightest_cluster_that_fits_is_chosen_so_that_big_holes_stay() -> None:
    fleet = build_fleet(
        build_set("eu", build_member("a", cpu=16), build_member("b", cpu=5, memory="10Gi")),
        build_environment(),
        build_tenant("pay", "prod"),
        build_tenant("web", ask("prod", cpu=16)),
    )
    assert places(decide(fleet)) == {"pay--prod": ["eu--b"], "web--prod": ["eu--a"]}


# --- live candidates ---------------------------------------------------------------------------------------------

CHILD = ChildCluster(
    meta=build_meta("eu--a"),
    id="c-1",
    set_name="eu",
    member_name="a",
    provider="local",
    version=Version.parse("v1.35.8"),
    revision="r1",
    cluster_uid="uid",
    done_revision="r1",
)
MEMBER = MemberView(version=Version.parse("v1.35.8"), cluster_uid="uid", ready=True)
VIEW = ChildView(time=NOW, cluster=ObservedCluster(presence=Presence.PRESENT), member=MEMBER)


def build_live(child=CHILD, view=VIEW, member=None, **more) -> Fleet:
    return build_fleet(
        build_set("eu", *((member or build_member("a"),) if more.pop("declared", True) else ())),
        build_environment(),
        build_tenant("pay", "prod"),
        children=(child,) if child else (),
        views={"eu--a": view} if view else {},
    )


@pytest.mark.parametrize(
    ("child", "view", "message"),
    [
        (None, None, "it has not been made yet"),
        (CHILD, None, "it has not been looked at yet"),
        (replace(CHILD, done_revision=""), VIEW, "it has not been verified yet"),
        (replace(CHILD, cluster_uid=""), VIEW, "its identity has not been pinned yet"),
        (replace(CHILD, meta=build_meta("eu--a", deletion_time=NOW)), VIEW, "it is being deleted"),
        (CHILD, replace(VIEW, member=None), "its API server has not answered yet"),
        (CHILD, replace(VIEW, refused=("X", "wrong key")), "its identity was refused: wrong key"),
        (
            CHILD,
            replace(VIEW, unreachable_since=NOW, unreachable_message="timed out"),
            "it does not answer since 2026-11-21 09:00:00: timed out",
        ),
        (CHILD, replace(VIEW, member=replace(MEMBER, ready=False)), "its API server is not ready"),
        (CHILD, VIEW, ""),
    ],
)
def test_a_cluster_accepts_something_new_only_when_everything_about_it_is_known(child, view, message) -> None:
    fleet = build_live(child, view)
    (candidate,) = build_candidates(fleet, NOW)
    assert (candidate.available, candidate.unavailable_message) == (not message, message)
    decision = place(fleet, (candidate,), NOW)
    assert bool(decision.placements) == (not message)
    if message:
        assert message in decision.unplaced[0].refusals[0].message
        assert decision.unplaced[0].refusals[0].patches == ()


def test_a_child_that_nobody_declares_any_more_is_leaving() -> None:
    fleet = build_live(declared=False)
    (candidate,) = build_candidates(fleet, NOW)
    assert (candidate.cluster, candidate.leaving, candidate.available) == ("eu--a", True, True)
    assert place(fleet, (candidate,), NOW).unplaced[0].counts == {"capacity": 1}


def test_selectors_read_the_merged_labels_and_what_people_set_wins() -> None:
    member = build_member("a", labels={"region": "mine", "tier": "1"}, region="eu", country="DE")
    fleet = build_fleet(build_set("eu", member, labels={"tier": "0", "owner": "x"}))
    (candidate,) = build_candidates(fleet, NOW)
    assert candidate.labels == {
        "atoll.dev/cluster-set": "eu",
        "atoll.dev/member": "a",
        "country": "DE",
        "owner": "x",
        "region": "mine",
        "tier": "1",
    }


def test_nodes_count_more_than_what_is_declared_and_one_of_several_is_kept_in_reserve() -> None:
    view = replace(
        VIEW,
        member=replace(
            MEMBER,
            allocatable={"cpu": "12", "memory": "30Gi", "pods": "330", "hugepages-2Mi": "0"},
            nodes_for_tenants=3,
        ),
    )
    member = build_member("a", capacity=amounts(cpu=100, storage="1Ti"))
    (candidate,) = build_candidates(build_live(view=view, member=member), NOW)
    assert candidate.capacity == amounts(cpu=8, memory="20Gi", pods=220, storage="1Ti")


def test_where_nodes_are_counted_the_remedy_is_to_ask_for_what_is_left() -> None:
    view = replace(VIEW, member=replace(MEMBER, allocatable={"cpu": "3200m", "memory": "30Gi"}, nodes_for_tenants=1))
    fleet = build_live(view=view)
    (unplaced,) = place(fleet, build_candidates(fleet, NOW), NOW).unplaced
    (refusal,) = unplaced.refusals
    assert refusal.message == "3200m of 4 cpu free"
    assert refusal.remedy == "ask for 3200m cpu in Tenant pay spec.environments[prod], or free 800m cpu on eu--a"
    assert refusal.patches == (
        Patch(
            kind="Tenant", name="pay", path="spec.environments[prod].resources", value={"cpu": "3200m", "memory": "8Gi"}
        ),
    )


def test_quotas_of_orphaned_namespaces_still_count() -> None:
    quota = {"spec": {"hard": {"requests.cpu": "13", "limits.cpu": "13"}}}
    objects = {("ResourceQuota", "gone--prod", "atoll"): quota, ("ResourceQuota", "gone--prod", "own"): quota}
    fleet = build_live(view=replace(VIEW, member=replace(MEMBER, objects=objects)))
    (unplaced,) = place(fleet, build_candidates(fleet, NOW), NOW).unplaced
    assert unplaced.refusals[0].message == "3 of 4 cpu free"
