"""What an early failure teaches about those who are still to come, and the hold that a person puts on them."""

from dataclasses import replace

from atoll.fleet.names import HOLD
from atoll.fleet.spec import Upgrade
from atoll.fleet.values import Share, freeze

from .builders import cluster_set, member, v, wave
from .monitor import Monitor
from .simulator import TICK, Nature, Simulator, settled_fleet

ONE_BY_ONE = Upgrade(waves=(wave("all", "prod"),), failure_budget=Share(2))


def build_world(*failing):
    members = (
        member("a", region="eu"),
        member("b", region="us"),
        member("c", region="us"),
        member("d", region="eu"),
        member("e", region="us"),
    )
    natures = {f"s--{name}": Nature(fails_to={"v1.36.4"}) for name in failing}
    world = Simulator(settled_fleet(cluster_set(members=members, upgrade=ONE_BY_ONE)), natures, watcher=Monitor())
    world.change_set(version=v("v1.36.4"))
    return world


def run_until(world, good):
    for _ in range(60):
        decision = world.decide()
        if decision.progress and good(decision.progress[0]):
            return decision.progress[0]
        world.apply(decision)
        world.work()
        world.now += TICK
    raise AssertionError("\n".join(world.transcript))


def rows(progress):
    return {row.cluster: row.state for row in progress.rows}


def hold(world, label):
    rollout = world.fleet.rollouts[0]
    annotations = freeze({**rollout.meta.annotations, HOLD: label})
    world.change_rollout(rollout.meta.name, meta=replace(rollout.meta, annotations=annotations))


def test_a_label_that_only_the_failed_have_is_proposed_as_a_hold():
    progress = run_until(build_world("b", "c"), lambda progress: rows(progress)["b"] == "Failed")
    (proposal,) = progress.proposals
    assert (proposal.label, proposal.failed, proposal.matching) == ("region=us", 1, ("c", "e"))


def test_what_somebody_has_who_arrived_is_no_suspect():
    world = build_world("c")
    progress = run_until(world, lambda progress: rows(progress)["c"] == "Failed")
    assert rows(progress)["b"] == "Done"
    assert progress.proposals == ()


def test_a_hold_keeps_those_who_have_the_label_until_it_is_taken_off():
    world = build_world("b")
    run_until(world, lambda progress: rows(progress)["b"] == "Failed")
    hold(world, "region=us")
    progress = run_until(world, lambda progress: rows(progress)["d"] == "Done")
    assert rows(progress) == {"a": "Done", "b": "Failed", "c": "Held", "d": "Done", "e": "Held"}
    assert progress.proposals == ()
    assert "held for region=us by annotation atoll.dev/hold of Rollout s-1" in progress.message
    hold(world, "")
    world.run()
    assert [str(child.version) for child in world.fleet.children] == ["v1.36.4"] * 5
    assert world.fleet.rollouts[0].status["state"] == "Done"
