"""Placing many at once: few clusters, nobody where it must not be, and the same answer in any order."""

from __future__ import annotations

import random
from collections import defaultdict
from decimal import Decimal
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.fleet.decisions import Candidate
from atoll.fleet.values import Resources, Version
from atoll.placement.batch import Ask, plan_batch
from atoll.placement.ledger import Ledger

WHOLE = 100_000
NAMES = ("cpu", "memory", "storage")


def build_ledger(count: int, resources: int = 2, size: int = WHOLE) -> Ledger:
    amounts = {name: Decimal(size) / 1000 for name in NAMES[:resources]}
    return Ledger(
        [
            Candidate(
                cluster=f"x--m{number:03}",
                set_name="x",
                member_name=f"m{number:03}",
                labels={},
                version=Version.parse("v1.36.4"),
                capacity=Resources(amounts),
            )
            for number in range(count)
        ],
        NAMES[:resources],
    )


def draw_sizes(count: int, resources: int, seed: int = 1) -> list[tuple[int, ...]]:
    """A quarter to a half of a cluster in all, shared out by chance: much of one is little of the others."""
    chance = random.Random(seed)
    found = []
    for _ in range(count):
        weights = [chance.random() + 0.05 for _ in range(resources)]
        whole = chance.uniform(0.25, 0.5) * WHOLE / sum(weights)
        found.append(tuple(int(weight * whole) for weight in weights))
    return found


def build_asks(ledger: Ledger, sizes: list[tuple[int, ...]], **more) -> list[Ask]:
    needs = [dict(zip(ledger.resources, size, strict=True)) for size in sizes]
    return [Ask(need=ledger.slots(need), **{"admitted": ledger.everything, **more}) for need in needs]


def bound(sizes: list[tuple[int, ...]]) -> int:
    totals = [sum(column) for column in zip(*sizes, strict=True)]
    return max(ceil(sum(totals) / len(totals) / WHOLE), *(ceil(total / WHOLE) for total in totals))


def sum_up(sizes: list[tuple[int, ...]], plan: dict[int, int]) -> dict[int, list[int]]:
    used: dict[int, list[int]] = defaultdict(lambda: [0] * len(sizes[0]))
    for position, cluster in plan.items():
        used[cluster] = [old + new for old, new in zip(used[cluster], sizes[position], strict=True)]
    return used


@pytest.mark.parametrize("resources", [2, 3])
@pytest.mark.parametrize("count", [20, 200, 2_000])
def test_hardly_more_clusters_are_used_than_the_volume_needs(count: int, resources: int) -> None:
    sizes = draw_sizes(count, resources)
    ledger = build_ledger(max(8, count // 4), resources)
    plan = plan_batch(ledger, build_asks(ledger, sizes))
    used = sum_up(sizes, plan)
    assert len(plan) == count
    assert max(amount for row in used.values() for amount in row) <= WHOLE
    assert len(used) <= bound(sizes) * 1.01 + 1


def test_those_who_must_be_alone_cost_one_cluster_each_and_no_more() -> None:
    sizes = draw_sizes(200, 2)
    ledger = build_ledger(80)
    asks = build_asks(ledger, sizes)
    alone = range(0, 200, 40)
    for position in alone:
        asks[position] = Ask(
            need=asks[position].need, admitted=ledger.everything, kind=("recluse", position), alone=True
        )
    plan = plan_batch(ledger, asks)
    shared = [size for position, size in enumerate(sizes) if position not in alone]
    assert all(list(plan.values()).count(plan[position]) == 1 for position in alone)
    assert len(plan) == 200
    assert len(set(plan.values())) <= (len(alone) + bound(shared)) * 1.01 + 1


def test_foes_never_meet_and_friends_do() -> None:
    sizes = draw_sizes(90, 2)
    ledger = build_ledger(60)
    kinds = ("red", "green", "blue")
    asks = [
        Ask(need=ask.need, admitted=ask.admitted, kind=kinds[position % 3])
        for position, ask in enumerate(build_asks(ledger, sizes))
    ]
    plan = plan_batch(ledger, asks, [("red", "green")])
    there = defaultdict(set)
    for position, cluster in plan.items():
        there[cluster].add(kinds[position % 3])
    assert len(plan) == 90
    assert not any({"red", "green"} <= found for found in there.values())
    assert any("blue" in found and len(found) == 2 for found in there.values())


def test_who_has_little_choice_is_not_crowded_out_by_who_has_much() -> None:
    ledger = build_ledger(4)
    sizes = [(40_000, 40_000)] * 4 + [(25_000, 25_000)] * 12
    asks = build_asks(ledger, sizes)
    picky = [Ask(need=ask.need, admitted=0b1000 if position < 2 else ask.admitted) for position, ask in enumerate(asks)]
    plan = plan_batch(ledger, picky)
    assert {plan[0], plan[1]} == {3}


def test_clusters_in_use_are_filled_before_another_is_opened() -> None:
    ledger = build_ledger(4)
    ledger.spend(2, {"cpu": 50_000, "memory": 50_000})
    sizes = [(20_000, 20_000)] * 2
    assert plan_batch(ledger, build_asks(ledger, sizes)) == {0: 2, 1: 2}


def test_what_must_stay_free_stays_free_for_those_who_say_so() -> None:
    ledger = build_ledger(2)
    careful = build_asks(ledger, [(30_000, 30_000)] * 2, headroom_percent=50)
    careless = build_asks(ledger, [(30_000, 30_000)] * 4)
    plan = plan_batch(ledger, [*careful, *careless])
    assert len(plan) == 6
    assert {plan[0], plan[1]} == {0, 1}


def test_a_cluster_without_a_resource_takes_nobody_who_wants_it() -> None:
    ledger = build_ledger(2, resources=3)
    poor = build_ledger(1, resources=2)
    mixed = Ledger([*ledger.candidates[1:], *poor.candidates], NAMES)
    asks = build_asks(mixed, [(10_000, 10_000, 10_000), (10_000, 10_000, 10_000)])
    rich = mixed.index["x--m001"]
    assert set(plan_batch(mixed, asks).values()) == {rich}


def test_where_there_is_too_little_room_nobody_is_squeezed_in() -> None:
    sizes = draw_sizes(60, 2)
    ledger = build_ledger(5)
    plan = plan_batch(ledger, build_asks(ledger, sizes))
    used = sum_up(sizes, plan)
    assert max(amount for row in used.values() for amount in row) <= WHOLE
    assert min(sum(row) for row in used.values()) > 1.8 * WHOLE
    assert len(plan) < 60


def test_nothing_is_planned_where_nothing_is_asked_or_nothing_is_there() -> None:
    assert plan_batch(build_ledger(3), []) == {}
    empty = build_ledger(0)
    assert plan_batch(empty, [Ask(need=((0, 5),), admitted=0), Ask(need=((0, 5),), admitted=0)]) == {}


@settings(derandomize=True, max_examples=40, deadline=None)
@given(st.integers(0, 10**9), st.integers(2, 40), st.randoms(use_true_random=False))
def test_law_the_plan_holds_and_depends_on_no_order(seed: int, count: int, shuffler: random.Random) -> None:
    chance = random.Random(seed)
    # Of two that are alike it does not matter who goes where, so none are.
    sizes = list({chance.randint(1, 60_000): chance.randint(1, 60_000) for _ in range(count)}.items())
    count = len(sizes)
    ledger = build_ledger(12)
    ledger.spend(0, {"cpu": 70_000})
    asks = [
        Ask(
            need=ledger.slots({"cpu": cpu, "memory": memory}),
            admitted=chance.getrandbits(12),
            headroom_percent=chance.choice([0, 0, 25]),
            kind=(kind := chance.choice("abc")),
            alone=kind == "c",
        )
        for cpu, memory in sizes
    ]
    foes = [("a", "b")]
    plan = plan_batch(ledger, asks, foes)
    for cluster, row in sum_up(sizes, plan).items():
        there = [asks[position] for position, home in plan.items() if home == cluster]
        most = WHOLE * (100 - min(ask.headroom_percent for ask in there)) // 100
        assert [old + new for old, new in zip(ledger.used[cluster], row, strict=True)] <= [most, most]
        assert all(ask.admitted >> cluster & 1 for ask in there)
        assert len({ask.kind for ask in there}) == 1
    order = list(range(count))
    shuffler.shuffle(order)
    again = plan_batch(ledger, [asks[position] for position in order], foes)
    assert {order[position]: cluster for position, cluster in again.items()} == plan
