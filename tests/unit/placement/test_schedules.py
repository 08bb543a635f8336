"""Placement against a checker that knows nothing of it: random fleets, and fleets that change."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.fleet.decisions import PlacementDecision
from atoll.placement.rules import RULES

from .checker import Seen, Stand
from .random_fleets import Json, Kind, Scene, build_body, change, decide, draw_scene, read_stands

FLEETS = 1_000
ENOUGH = 20
SCHEDULES = {"strict": (random.Random, 30), "kind": (Kind, 40)}
STEPS = 12


def test_a_thousand_random_fleets_are_placed_and_refused_as_the_design_says() -> None:
    refused: Counter[str] = Counter()
    placed = 0
    for seed in range(FLEETS):
        scene = draw_scene(random.Random(seed))
        decision = decide(scene)
        stands = read_stands(decision.placements)
        placed += len(stands)
        assert scene.world().find_wrong_placements([], stands) == [], seed
        scene.write(decision)
        world = scene.world()
        for refusal in [refusal for unplaced in decision.unplaced for refusal in unplaced.refusals]:
            refused[refusal.rule] += 1
            who = (refusal.tenant, refusal.environment, refusal.namespaces, refusal.cluster)
            obstacles = world.find_obstacles(*who, stands)
            assert refusal.rule in obstacles, (seed, refusal)
            assert refusal.broken == len(obstacles), (seed, refusal, obstacles)
    table = {rule.code: refused[rule.code] for rule in RULES}
    assert min(table.values()) >= ENOUGH, "\n".join(f"{code:<20} {count:>6}" for code, count in table.items())
    assert placed > FLEETS / 2


@pytest.mark.parametrize("luck", SCHEDULES)
def test_no_schedule_of_changes_breaks_a_rule_or_leaves_a_broken_one_unmarked(luck: str) -> None:
    source, count = SCHEDULES[luck]
    new, marked = 0, 0
    for seed in range(count):
        scene, chance = draw_scene(source(seed)), source(10_000 + seed)
        told: list[str] = []
        for step in range(STEPS):
            if step:
                told.append(change(scene, chance))
            before = scene.stands()
            decision = decide(scene)
            after = read_stands(decision.placements)
            world, where = scene.world(), (seed, step, told)
            assert world.find_wrong_placements(before, after) == [], where
            assert world.find_unmarked(after) == [], where
            assert world.find_needless_marks(after) == [], where
            assert {item.key for item in before} <= {item.key for item in after}, where
            new += len(after) - len(before)
            marked += sum(bool(item.rule) for item in after)
            scene.write(decision)
            scene.advance(chance)
    assert new > count
    assert marked > count / 4


@pytest.mark.parametrize("seed", range(40))
def test_replanning_an_unchanged_fleet_is_empty_in_whatever_order_it_is_read(seed: int) -> None:
    scene, chance = draw_scene(Kind(seed)), Kind(seed)
    for _ in range(4):
        first = decide(scene)
        scene.write(first)
        assert tell(decide(scene)) == tell(first)
        assert tell(decide(scene, random.Random(seed))) == tell(first)
        scene.advance(chance)
        change(scene, chance)


@settings(derandomize=True, max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 10**9), st.integers(1, 6))
def test_law_what_may_stay_stays_where_it_is(seed: int, changes: int) -> None:
    scene, chance = draw_scene(Kind(seed)), Kind(seed + 1)
    for _ in range(3):
        settle(scene, chance)
    before = {item.key: item for item in scene.stands() if item.state == "Placed"}
    for _ in range(changes):
        change(scene, chance)
    after = read_stands(decide(scene).placements)
    world = scene.world()
    for item in after:
        if item.state == "Leaving" and item.key in before:
            assert must_leave(scene, item, after), (item, world.asked(item.tenant, item.environment))


def test_after_churn_of_a_tenth_nothing_moves_that_no_rule_demands() -> None:
    chance = Kind(7)
    scene = build_plain_scene(chance, tenants=60)
    settle(scene, chance)
    settle(scene, chance)
    before = {item.key for item in scene.stands()}
    for name in sorted(key[1] for key in scene.bodies if key[0] == "Tenant")[::10]:
        del scene.bodies["Tenant", name]
        # Somebody comes for each who goes.
        scene.bodies["Tenant", f"n{name}"] = plain_tenant(chance, f"n{name}")
    decision = decide(scene)
    gone = {key for key in before if ("Tenant", key[0]) not in scene.bodies}
    assert len(gone) == 6
    assert decision.moves == ()
    assert before - gone <= {item.key for item in read_stands(decision.placements)}
    assert {item.state for item in decision.placements} <= {"Placed", "Pending"}


def tell(decision: PlacementDecision) -> tuple[object, ...]:
    return decision.placements, decision.unplaced, decision.moves, decision.problems


def settle(scene: Scene, chance: random.Random) -> None:
    scene.write(decide(scene))
    scene.advance(chance)


def must_leave(scene: Scene, item: Stand, after: list[Stand]) -> bool:
    """Say whether somebody asked for it, or a rule does."""
    world = scene.world()
    asked = world.asked(item.tenant, item.environment)
    deleted = "deletionTimestamp" in scene.bodies.get(("Tenant", item.tenant), {"metadata": {}})["metadata"]
    if deleted or asked is None or item.namespace not in world.namespaces(item.tenant, item.environment):
        return True
    if item.rule:
        return True
    others = [
        s for s in after if (s.tenant, s.environment, s.namespace) == (item.tenant, item.environment, item.namespace)
    ]
    return len([s for s in others if s.state != "Leaving"]) >= asked.get("clusters", 1)


def build_plain_scene(chance: random.Random, tenants: int) -> Scene:
    members = [
        {"name": f"m{index:02}", "capacity": {"cpu": "16", "memory": "64Gi"}, "country": "DE"} for index in range(30)
    ]
    spec = {"version": "v1.36.4", "provider": {"local": {}}, "clusters": members}
    bodies = [build_body("ClusterSet", "x", spec), build_body("Environment", "prod", {"topology": "SharedCluster"})]
    scene = Scene.of([*bodies, *(plain_tenant(chance, f"t{index:02}") for index in range(tenants))])
    scene.seen = {name: Seen() for name in scene.clusters()}
    return scene


def plain_tenant(chance: random.Random, name: str) -> Json:
    cpu = chance.randint(1, 7)
    return build_body(
        "Tenant",
        name,
        {"environments": [{"name": "prod", "resources": {"cpu": str(cpu), "memory": f"{30 - 4 * cpu}Gi"}}]},
    )
