"""Gates one by one: what opens them, and what does not."""

from dataclasses import replace
from datetime import timedelta

import pytest

from atoll.fleet.gates import GateKey, GateReading
from atoll.fleet.spec import Gate, Regime, RegimeUpgrade, Upgrade
from atoll.fleet.values import freeze
from atoll.rollout.planner import plan_rollouts

from .builders import LOCAL, START, cluster_set, member, meta, v, wave
from .simulator import Simulator, settled_child, settled_fleet

SMOKE = Gate(name="smoke", kind="job", settings=freeze({"manifestsRef": {"name": "smoke"}}))


def build_world(gate=None, regimes=(), has_nodes=True, requester="bert", **wave_more):
    waves = (wave("all", "prod", gates=() if gate is None else (gate,), **wave_more),)
    owner = cluster_set(
        members=(member("a", regimes=tuple(item.meta.name for item in regimes)),), upgrade=Upgrade(waves=waves)
    )
    fleet = settled_fleet(owner, regimes=regimes)
    fleet = replace(
        fleet,
        children=(settled_child(owner, "a", regimes),),
        providers={"local": replace(LOCAL, has_nodes=has_nodes)},
    )
    world = Simulator(fleet)
    world.change_set(
        version=v("v1.36.4"), meta=replace(owner.meta, generation=2, annotations={"atoll.dev/requested-by": requester})
    )
    return world


def run(world, ticks=12):
    for _ in range(ticks):
        world.apply(world.decide())
        world.work()
        world.now += timedelta(seconds=5)
    return world


def gates(world):
    return {
        gate["name"]: (gate["state"], gate["message"]) for gate in world.fleet.rollouts[0].status["waves"][0]["gates"]
    }


def approval_gate(**settings):
    return Gate(name="sign-off", kind="approval", settings=freeze(settings))


def test_the_requester_is_who_changed_the_set_and_opens_nothing():
    world = run(build_world(approval_gate(count=1)))
    assert world.fleet.rollouts[0].requested_by == "bert"
    world.approve("all", "sign-off", "bert")
    run(world, 2)
    state, message = gates(world)["sign-off"]
    assert state == "Closed"
    assert message.startswith(
        "gate sign-off: 0 of 1 approvals; not counted: bert. Somebody who may create Approvals other"
    )
    world.approve("all", "sign-off", "anna")
    assert run(world, 2).fleet.rollouts[0].status["state"] == "Done"
    assert gates(world)["sign-off"] == ("Open", "1 of 1 approvals (anna)")


def test_where_the_set_was_seen_before_nobody_knows_who_asks():
    world = build_world(approval_gate(count=1))
    owner = world.fleet.cluster_sets[0]
    world.change_set(status=freeze({**owner.status, "observedGeneration": 2}))
    run(world)
    assert world.fleet.rollouts[0].requested_by == ""
    world.approve("all", "sign-off", "anna")
    assert run(world, 2).fleet.rollouts[0].status["state"] == "Running"
    world.approve("all", "sign-off", "cora")
    assert run(world, 2).fleet.rollouts[0].status["state"] == "Done"


def test_an_approval_for_an_earlier_rollout_of_the_same_name_counts_for_nothing():
    world = run(build_world(approval_gate(count=1)))
    world.approve("all", "sign-off", "anna")
    world.fleet = replace(
        world.fleet, approvals=tuple(replace(item, rollout_uid="other") for item in world.fleet.approvals)
    )
    assert gates(run(world, 2))["sign-off"][0] == "Closed"


def test_a_regime_adds_a_gate_and_a_soak():
    pci = Regime(meta=meta("pci"), upgrade=RegimeUpgrade(approvals=2, min_soak_seconds=40))
    world = build_world(regimes=(pci,), soak_seconds=10, min_soak_seconds=5)
    world.apply(world.decide())
    (frozen,) = world.fleet.rollouts[0].waves
    assert (frozen.soak_seconds, frozen.min_soak_seconds, frozen.gates) == (40, 40, ("regime-pci",))
    run(world, 20)
    assert gates(world)["regime-pci"][0] == "Closed"
    for name in ("anna", "cora"):
        world.approve("all", "regime-pci", name)
    assert run(world, 2).fleet.rollouts[0].status["state"] == "Done"


def test_a_gate_that_is_taken_out_while_the_rollout_runs_stays_closed():
    world = run(build_world(approval_gate(count=1)))
    world.change_upgrade(waves=(wave("all", "prod"),))
    state, message = gates(run(world, 2))["sign-off"]
    assert state == "Closed"
    assert "`atoll abort s-1` and `atoll retry s` for a rollout without it" in message


def test_jobs_are_refused_where_there_are_no_nodes():
    world = build_world(SMOKE, has_nodes=False)
    world.apply(world.decide())
    decision = world.decide()
    (problem,) = decision.problems
    assert (problem.path, problem.reason) == ("spec.upgrade.waves[all].gates[smoke].job", "InvalidSpec")
    assert decision.advances == decision.inspections == ()


def test_a_job_runs_in_each_changed_cluster_is_looked_at_from_time_to_time_and_is_not_run_again():
    world = run(build_world(SMOKE))
    key = GateKey(world.fleet.rollouts[0].meta.uid, "all", "smoke")

    def ask(reading):
        seen = world.seen()
        views = {name: replace(view, jobs={key: reading} if reading else {}) for name, view in seen.views.items()}
        return plan_rollouts(replace(seen, views=views), world.now)

    first = ask(None)
    assert [(item.child, item.manifests) for item in first.questions] == [("s--a", "smoke")]
    running = GateReading(time=world.now, open=False, cause="Running", message="Job smoke runs")
    assert (ask(running).questions, ask(running).wake) == ((), world.now + timedelta(seconds=5))
    late = ask(replace(running, time=world.now - timedelta(seconds=5)))
    assert [item.child for item in late.questions] == ["s--a"]
    done = ask(GateReading(time=world.now, open=True, cause="Succeeded", message="Job smoke succeeded"))
    assert done.progress[0].state == "Done"
    world.apply(done)
    assert ask(None).questions == ()


@pytest.mark.parametrize("age", [0, 30, 39])
def test_a_measurement_counts_while_it_is_fresh(age):
    gate = Gate(
        name="slo", kind="metric", settings=freeze({"url": "http://p", "query": "x", "max": "1", "intervalSeconds": 5})
    )
    world = run(build_world(gate))
    (question,) = world.decide().questions
    reading = GateReading(time=world.now - timedelta(seconds=age), open=True, cause="Below", message="0.5 is within 1")
    world.answers = {question.key: reading}
    assert world.decide().progress[0].state == "Done"
    world.answers = {question.key: replace(reading, time=world.now - timedelta(seconds=41))}
    decision = world.decide()
    assert (decision.progress[0].state, decision.progress[0].waves[0].gates[0]["state"]) == ("Running", "Unknown")
    assert world.now > START


def test_after_a_restart_nothing_is_said_before_everybody_was_looked_at():
    world = run(build_world(approval_gate(count=1)), 3)
    seen = replace(world.seen(), views={})
    decision = plan_rollouts(seen, world.now)
    assert (decision.progress, decision.advances, decision.unseen) == ((), (), ("s",))
    assert plan_rollouts(world.seen(), world.now).progress != ()


def test_what_was_seen_long_ago_starts_nothing():
    world = run(build_world(), 2)
    old = world.now - timedelta(minutes=31)
    seen = world.seen()
    views = {name: replace(view, time=old) for name, view in seen.views.items()}
    decision = plan_rollouts(replace(seen, views=views), world.now)
    assert (decision.advances, decision.progress[0].rows[0].state) == ((), "Held")
    assert decision.progress[0].rows[0].message.startswith("it was looked at last at ")
    assert [item.child for item in plan_rollouts(seen, world.now).advances] == ["s--a"]
