"""Whatever people, clusters and clocks do, a rollout keeps its promises; the monitor says which.

The slice that runs here is a small part of what `python -m tests.faults.rollouts` does.
"""

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from atoll.fleet.spec import Regime, RegimeUpgrade, Upgrade
from atoll.fleet.values import Share

from .builders import START, meta, v, wave
from .happenings import (
    NAMES,
    OFTEN,
    SCRIPTS,
    UPGRADES,
    WORLDS,
    approve_all,
    ask_for,
    build_world,
    change_gates,
    join,
    leave,
    measure,
    mend,
    retry,
    run_jobs,
    run_story,
)
from .simulator import TICK, Nature, write_status

SECONDS = st.tuples(*[st.sampled_from([5, 15, 25])] * 5)


def open_gates(world):
    measure(True)(world)
    run_jobs(True)(world)
    return world


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(world=WORLDS, script=SCRIPTS)
def test_no_rollout_ever_breaks_a_promise(world, script):
    world = build_world(**world)
    run_story(world, script)
    event("moved" if world.watcher.advances else "nobody moved")


@settings(max_examples=20, deadline=None)
@given(upgrade=UPGRADES, seconds=SECONDS, limit=st.sampled_from([None, 1, 2]))
def test_a_rollout_of_healthy_clusters_always_arrives(upgrade, seconds, limit):
    world = open_gates(build_world(upgrade, [Nature(seconds=item) for item in seconds], 1, limit))
    world.run({1: ask_for("v1.37.1"), 4: approve_all}, ticks=900)
    assert {str(child.version) for child in world.fleet.children} == {"v1.37.1"}
    assert all(child.revision == child.done_revision for child in world.fleet.children)
    assert [rollout.status["state"] for rollout in world.fleet.rollouts] == ["Done"]


@settings(max_examples=20, deadline=None)
@given(upgrade=UPGRADES, bad=st.sampled_from(NAMES), version=st.sampled_from(["v1.36.5", "v1.37.1"]))
def test_a_halted_rollout_arrives_after_mending_and_a_retry(upgrade, bad, version):
    natures = [Nature(fails_to={version} if name == bad else set()) for name in NAMES]
    world = open_gates(build_world(upgrade, natures, 2, None))
    world.run({1: ask_for("v1.37.1"), 4: approve_all}, ticks=900)
    mend(world)
    retry(world)
    world.run({3: approve_all}, ticks=900)
    assert all(str(child.version) == "v1.37.1" == str(world.served[child.name]) for child in world.fleet.children)
    assert world.fleet.rollouts[-1].status["state"] == "Done"


def test_people_approve_the_rollout_that_takes_a_late_joiner_along_as_they_did_the_one_before():
    """It begins when that one is done, so nobody could have approved both together."""
    pci = Regime(meta=meta("pci"), upgrade=RegimeUpgrade(approvals=1, windows=(OFTEN,)))
    world = build_world(Upgrade(max_concurrent=Share(1)), [Nature(seconds=5)] * 5, 0, None, regimes=(pci,))
    run_story(world, [(0, ask_for("v1.36.5")), (1, join)])
    assert [(item.meta.name, item.status["state"]) for item in world.fleet.rollouts] == [
        ("s-1", "Done"),
        ("s-2", "Done"),
    ]


def test_people_approve_every_wave_of_the_rollout_that_takes_a_late_joiner_along():
    waves = (wave("canary", "dev", soak_seconds=20), wave("prod", "prod", max_concurrent=Share(50, True)))
    upgrade = Upgrade(waves=waves, max_concurrent=Share(1))
    world = build_world(upgrade, [Nature(seconds=5)] * 5, 0, None)
    run_story(world, [(0, ask_for("v1.36.5")), (0, change_gates(("slo", "sign-off"))), (1, join)])
    assert {str(child.version) for child in world.fleet.children} == {"v1.36.5"}


@pytest.mark.parametrize(("bad", "ticks"), [("a", 3), ("b", 5), ("d", 9)])
def test_people_add_a_member_again_that_left_broken_and_has_the_last_place_of_an_environment(bad, ticks):
    natures = [Nature(seconds=5, fails_to={"v1.36.4"} if name == bad else set()) for name in NAMES]
    world = build_world(Upgrade(max_concurrent=Share(1)), natures, 0, 1)
    run_story(world, [(ticks, leave(bad))])
    assert {item.name for item in world.fleet.cluster_sets[0].members} == set(NAMES)
    assert {str(child.version) for child in world.fleet.children} == {"v1.36.5"}


def test_a_settled_fleet_decides_nothing():
    world = build_world(Upgrade(), [Nature()] * 5, 3, 1)
    decision = world.decide()
    assert (decision.new, decision.progress, decision.advances, decision.reverts) == ((), (), (), ())
    assert (decision.problems, decision.wake) == ((), None)


def test_time_alone_changes_nothing_that_is_written():
    """A decision five minutes later says the same words, unless a soak or a freeze has ended."""
    world = build_world(Upgrade(), [Nature(seconds=1000)] * 5, 4, None)
    world.change_set(version=v("v1.36.4"))
    for _ in range(3):
        world.apply(world.decide())
        world.now += TICK
    before = world.decide()
    rollout = world.fleet.rollouts[0]
    written = write_status(rollout, before.progress[0], world.now)
    world.change_rollout(rollout.meta.name, status=written)
    world.now = START + timedelta(minutes=5)
    after = world.decide()
    assert write_status(world.fleet.rollouts[0], after.progress[0], world.now) == written
    assert (after.advances, after.problems, after.wake) == (before.advances, before.problems, before.wake)
