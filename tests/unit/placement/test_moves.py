"""What stands and breaks a binding rule moves: another place first, the old one after, a few at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Freeze, Isolation
from atoll.placement import build_candidates, place
from atoll.placement.place import MOVES_AT_ONCE

from .fleets import (
    NOW,
    ask,
    build_environment,
    build_fleet,
    build_member,
    build_regime,
    build_set,
    build_tenant,
    decide,
    settle,
    stand,
)

SMALL = {"cpu": 1, "memory": "1Gi"}
GDPR = build_regime("gdpr", countries=("DE", "FR"))


def eu(a="DE", b="FR", **more):
    return build_set("eu", build_member("a", country=a), build_member("b", country=b), regimes=("gdpr",), **more)


def tenant_on(name: str, cluster: str, **more):
    placements = [stand("prod", f"{name}--prod", cluster)]
    return build_tenant(name, ask("prod", **SMALL), status={"placements": placements}, **more)


def rows(decision):
    return [(p.tenant, p.cluster, p.state, p.rule) for p in decision.placements]


def after(fleet: Fleet) -> Fleet:
    """Let the world catch up: what is pending has been made."""
    _, decision = decide(fleet)
    made = replace(
        decision,
        placements=tuple(replace(p, state="Placed") if p.state == "Pending" else p for p in decision.placements),
    )
    return settle(fleet, made)


def test_a_country_that_is_corrected_marks_moves_and_leaves_in_that_order():
    start = build_fleet(eu(a="US"), build_environment(regimes=("gdpr",)), GDPR, tenant_on("pay", "eu--a"))
    _, decision = decide(start)
    assert rows(decision) == [("pay", "eu--a", "Placed", "country"), ("pay", "eu--b", "Pending", "")]
    (move,) = decision.moves
    assert (move.origin, move.target, move.rule) == ("eu--a", "eu--b", "country")
    assert move.reason == "eu--a stands in US, and regime gdpr allows DE, FR"

    made = after(start)
    _, decision = decide(made)
    assert rows(decision) == [("pay", "eu--a", "Leaving", "country"), ("pay", "eu--b", "Placed", "")]
    assert [(move.origin, move.target) for move in decision.moves] == [("eu--a", "eu--b")]
    assert decide(settle(made, decision))[1] == decision


def test_a_move_that_nobody_takes_says_so_and_leaves_everything_as_it_is():
    fleet = build_fleet(eu("US", "US"), build_environment(regimes=("gdpr",)), GDPR, tenant_on("pay", "eu--a"))
    _, decision = decide(fleet)
    assert rows(decision) == [("pay", "eu--a", "Placed", "country")]
    assert [(move.target, move.reason.rpartition("; ")[2]) for move in decision.moves] == [
        ("", "no other cluster takes it")
    ]
    assert [item.cluster for item in decision.unplaced[0].refusals] == ["eu--b"]


def test_a_rule_that_is_mended_in_time_moves_nobody():
    fleet = build_fleet(eu("US", "US"), build_environment(regimes=("gdpr",)), GDPR, tenant_on("pay", "eu--a"))
    mended = replace(settle(fleet, decide(fleet)[1]), cluster_sets=(eu(),))
    assert rows(decide(mended)[1]) == [("pay", "eu--a", "Placed", "")]


def test_the_old_place_is_taken_back_when_the_new_one_is_lost_before_it_stands():
    fleet = build_fleet(eu(a="US"), build_environment(regimes=("gdpr",)), GDPR, tenant_on("pay", "eu--a"))
    leaving = settle(after(fleet), decide(after(fleet))[1])
    lost = replace(leaving, cluster_sets=(build_set("eu", build_member("a", country="US"), regimes=("gdpr",)),))
    assert rows(decide(lost)[1]) == [("pay", "eu--a", "Pending", "country")]


def test_only_a_few_move_at_a_time_and_the_rest_says_what_it_waits_for():
    tenants = [tenant_on(f"t{n}", "eu--a") for n in range(MOVES_AT_ONCE + 2)]
    fleet = build_fleet(eu(a="US"), build_environment(regimes=("gdpr",)), GDPR, *tenants)
    _, decision = decide(fleet)
    assert sum(p.cluster == "eu--b" for p in decision.placements) == MOVES_AT_ONCE
    waiting = [move for move in decision.moves if not move.target]
    assert [move.tenant for move in waiting] == ["t3", "t4"]
    assert all("waits until one of 3 moves" in move.reason for move in waiting)
    assert decision.unplaced == ()
    # Under way they still count.
    assert sum(p.cluster == "eu--b" for p in decide(after(fleet))[1].placements) == MOVES_AT_ONCE


def test_no_move_begins_in_a_freeze():
    freeze = Freeze(start=NOW - timedelta(hours=1), end=NOW + timedelta(hours=1), reason="year end")
    frozen = build_environment(regimes=("gdpr",), freezes=(freeze,))
    fleet = build_fleet(eu(a="US"), frozen, GDPR, tenant_on("pay", "eu--a"))
    candidates, decision = decide(fleet)
    assert rows(decision) == [("pay", "eu--a", "Placed", "country")]
    assert "frozen until 2026-11-21 10:00 UTC (year end)" in decision.moves[0].reason
    assert len(place(fleet, candidates, freeze.end).placements) == 2


def test_nobody_moves_away_from_a_cluster_of_which_nothing_is_known():
    fleet = build_fleet(eu(a="US"), build_environment(regimes=("gdpr",)), GDPR, tenant_on("pay", "eu--a"))
    candidates = tuple(
        replace(item, available=item.cluster != "eu--a", unavailable_message="it does not answer")
        for item in build_candidates(fleet, NOW, assume_available=True)
    )
    decision = place(fleet, candidates, NOW)
    assert rows(decision) == [("pay", "eu--a", "Placed", "country")]
    assert "waits until eu--a is known to be well" in decision.moves[0].reason


def test_of_two_that_must_not_meet_the_one_goes_that_came_last():
    wild = build_regime("wild", incompatible_with=("gdpr",))
    old = tenant_on("old", "eu--a", regimes=("gdpr",))
    new = build_tenant(
        "new",
        ask("prod", **SMALL),
        regimes=("wild",),
        status={"placements": [stand("prod", "new--prod", "eu--a", since="2026-11-20T10:00:00Z")]},
    )
    fleet = build_set(
        "eu", build_member("a", regimes=("gdpr", "wild")), build_member("b", regimes=("wild",)), regimes=()
    )
    calm = build_regime("gdpr")
    apart = build_fleet(fleet, build_environment(), calm, replace(wild, incompatible_with=()), old, new)
    assert [p.rule for p in decide(apart)[1].placements] == ["", ""]
    fleet = build_set("eu", build_member("a", regimes=("gdpr",)), build_member("b"))
    mine = replace(new, regimes=(), environments=(ask("prod", **SMALL, isolation=Isolation.CLUSTER),))
    _, decision = decide(build_fleet(fleet, build_environment(), calm, old, mine))
    assert ("new", "eu--b", "Pending", "") in rows(decision)
    assert ("old", "eu--a", "Placed", "") in rows(decision)


def test_raising_the_isolation_moves_who_asks_for_it_and_lowering_it_gives_the_cluster_back():
    fleet = build_set("eu", build_member("a"), build_member("b"))
    web, pay = tenant_on("web", "eu--a"), tenant_on("pay", "eu--a")
    raised = replace(pay, environments=(ask("prod", **SMALL, isolation=Isolation.CLUSTER),))
    up = build_fleet(fleet, build_environment(), web, raised)
    _, decision = decide(up)
    assert rows(decision) == [
        ("pay", "eu--a", "Placed", "isolation"),
        ("pay", "eu--b", "Pending", ""),
        ("web", "eu--a", "Placed", ""),
    ]
    alone = build_tenant("pay", ask("prod", **SMALL), status={})
    settled = replace(
        alone,
        status={"placements": [{**stand("prod", "pay--prod", "eu--b"), "isolation": "Cluster"}]},
    )
    down = build_fleet(fleet, build_environment(), web, settled)
    _, decision = decide(down)
    assert rows(decision) == [
        ("pay", "eu--a", "Pending", ""),
        ("pay", "eu--b", "Placed", ""),
        ("web", "eu--a", "Placed", ""),
    ]
    _, decision = decide(after(down))
    assert rows(decision)[:2] == [("pay", "eu--a", "Placed", ""), ("pay", "eu--b", "Leaving", "isolation")]


def test_lowering_the_isolation_moves_nobody_where_there_is_nothing_to_share():
    fleet = build_set("eu", build_member("a"), build_member("b"))
    settled = build_tenant(
        "pay",
        ask("prod", **SMALL),
        status={"placements": [{**stand("prod", "pay--prod", "eu--b"), "isolation": "Cluster"}]},
    )
    _, decision = decide(build_fleet(fleet, build_environment(), settled))
    assert [(p.cluster, p.state, p.isolation) for p in decision.placements] == [
        ("eu--b", "Placed", Isolation.NAMESPACE)
    ]


def test_what_binds_only_when_placing_is_told_of_and_moves_nobody():
    fleet = build_fleet(
        build_set("eu", build_member("a"), build_member("b", capabilities=("mesh",))),
        build_environment(),
        tenant_on("pay", "eu--a", capabilities=("mesh",)),
    )
    _, decision = decide(fleet)
    assert rows(decision) == [("pay", "eu--a", "Placed", "")]
    assert decision.drifted == {("pay", "prod", "eu--a"): "lacks mesh"}
    assert decision.moves == ()
