"""Who waits for the last place of an environment, which a failed cluster has, says what to do; and that helps."""

from dataclasses import replace

import pytest

from atoll.fleet.spec import Environment, Tenant, Upgrade
from atoll.fleet.values import Share, freeze

from .builders import cluster_set, member, meta, settled_child, v, wave
from .happenings import mend, retry
from .monitor import Monitor
from .simulator import Nature, Simulator, settled_fleet

ONE_BY_ONE = Upgrade(max_concurrent=Share(1), failure_budget=Share(1))
HALTING = replace(ONE_BY_ONE, failure_budget=Share(0))
FULL = "environment prod allows 1 unavailable clusters, and has 1: s--b"


def crowded(owner, *others, **natures):
    """A world in which one cluster of the environment may be down, and all of them are of it."""
    fleet = settled_fleet(owner)
    joined = tuple(settled_child(other, item.name) for other in others for item in other.members)
    fleet = replace(fleet, cluster_sets=(owner, *others), children=(*fleet.children, *joined))
    placements = [{"environment": "prod", "cluster": item.name, "state": "Placed"} for item in fleet.children]
    fleet = replace(
        fleet,
        environments=(Environment(meta=meta("prod"), max_unavailable_clusters=1),),
        tenants=(Tenant(meta=meta("shop"), status=freeze({"placements": placements})),),
    )
    return Simulator(fleet, natures={f"s--{name}": item for name, item in natures.items()}, watcher=Monitor())


def three(upgrade=ONE_BY_ONE):
    return cluster_set(members=(member("a"), member("b"), member("c")), upgrade=upgrade)


def ask(world, version, name="s"):
    world.change_set(name, version=v(version))
    return world.run()


def told(world, rollout, cluster):
    rows = {row["cluster"]: row["message"] for row in world.find_rollout(rollout).status["rows"]}
    return rows[cluster]


def versions(world):
    assert all(child.revision == child.done_revision for child in world.fleet.children)
    assert {rollout.status["state"] for rollout in world.fleet.rollouts} <= {"Done", "Halted", "Aborted", "Superseded"}
    return {str(child.version) for child in world.fleet.children}


def abort(world):
    world.change_rollout(world.fleet.rollouts[-1].meta.name, action="Abort")


def test_who_failed_within_the_budget_is_tried_again_by_another_rollout():
    world = ask(crowded(three(), b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    assert told(world, "s-1", "c") == f"{FULL}. Mend s--b, then `atoll abort s` and `atoll retry s`"
    mend(world)
    abort(world)
    retry(world)
    world.run()
    assert versions(world) == {"v1.36.4"}


def test_who_serves_the_new_version_gives_back_its_place_when_it_is_verified():
    world = ask(crowded(three(), b=Nature(unproven={"v1.36.4"})), "v1.36.4")
    assert told(world, "s-1", "c") == f"{FULL}. Mend s--b; it is tried again by itself"
    mend(world)
    world.run()
    assert versions(world) == {"v1.36.4"}


def test_who_left_the_set_when_its_change_had_failed_has_to_be_added_again():
    world = ask(crowded(three(HALTING), b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    whole = world.fleet.cluster_sets[0].members
    world.change_set(members=tuple(item for item in whole if item.name != "b"))
    retry(world)
    world.run()
    assert told(world, "s-2", "c") == (
        f"{FULL}. Mend s--b, add member b to ClusterSet s again, then `atoll abort s` and `atoll retry s`"
    )
    mend(world)
    world.change_set(members=whole)
    abort(world)
    retry(world)
    world.run()
    assert versions(world) == {"v1.36.4"}


@pytest.mark.parametrize("other", ["r", "t"], ids=["decided about before", "decided about after"])
def test_who_waits_for_a_cluster_of_another_set_is_told_which_set_that_is(other):
    neighbour = cluster_set(other, members=(member("x"),), upgrade=ONE_BY_ONE)
    world = ask(crowded(three(HALTING), neighbour, b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    ask(world, "v1.36.4", other)
    assert told(world, f"{other}-1", "x") == f"{FULL}. Mend s--b, then `atoll retry s`"
    mend(world)
    world.change_upgrade("s", retry=1)
    world.run()
    assert versions(world) == {"v1.36.4"}


def test_who_failed_in_a_rollout_that_is_done_is_tried_again_when_the_set_says_so():
    """`atoll retry` refuses what was not stopped."""
    pair = cluster_set(members=(member("a"), member("b")), upgrade=ONE_BY_ONE)
    neighbour = cluster_set("t", members=(member("x"),), upgrade=ONE_BY_ONE)
    world = ask(crowded(pair, neighbour, b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    ask(world, "v1.36.4", "t")
    assert told(world, "t-1", "x") == f"{FULL}. Mend s--b, then raise spec.upgrade.retry of ClusterSet s to 1"
    mend(world)
    world.change_upgrade("s", retry=1)
    world.run()
    assert versions(world) == {"v1.36.4"}


def test_who_failed_in_a_later_wave_needs_a_place_more_when_the_set_gets_another_target():
    """It waits for its wave, and the first wave for its place: another rollout would change nothing."""
    waves = (wave("canary", "dev"), wave("rest", "prod"))
    owner = cluster_set(members=(member("a", "dev"), member("b"), member("c")), upgrade=replace(HALTING, waves=waves))
    world = ask(crowded(owner, b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    ask(world, "v1.36.5")
    assert told(world, "s-2", "a") == (
        f"{FULL}. s--b failed before and is tried again in wave rest, which comes later: let the environment have one "
        "more (spec.maxUnavailableClusters) until then"
    )
    mend(world)
    world.fleet = replace(world.fleet, environments=(Environment(meta=meta("prod"), max_unavailable_clusters=2),))
    world.run()
    assert versions(world) == {"v1.36.5"}


def test_who_failed_in_the_wave_that_goes_on_needs_nothing_and_is_tried_first():
    world = ask(crowded(three(HALTING), b=Nature(fails_to={"v1.36.4"})), "v1.36.4")
    assert versions(ask(world, "v1.36.5")) == {"v1.36.5"}
    assert not [line for line in world.transcript if "Mend s--b, then" in line]
