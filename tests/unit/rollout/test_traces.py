"""What a watch saw of a rollout is judged as the rollout itself is, and a record that was changed is found out."""

from dataclasses import replace

import pytest

from atoll.fleet.spec import Gate, Paused, Upgrade
from atoll.fleet.values import Share, freeze, thaw
from tests.support.trace_monitor import KINDS, Event, check_events

from .builders import cluster_set, v, wave
from .monitor import Broken
from .simulator import TICK, Nature, Simulator, settled_fleet

SIGN_OFF = Gate(name="sign-off", kind="approval", settings=freeze({"count": 2}))
WAVES = (
    wave("canary", "dev", soak_seconds=30, gates=(SIGN_OFF,)),
    wave("prod", "prod", max_concurrent=Share(1)),
)
UPGRADE = Upgrade(waves=WAVES, max_concurrent=Share(1), on_failure="Revert")


def record(natures=None, approvals=("anna", "bert", "cora"), upgrade=UPGRADE):
    """Let a rollout run, and note every write in the order in which it is done."""
    world = Simulator(settled_fleet(cluster_set(upgrade=upgrade)), natures=natures or {})
    events, known = [], {}

    def note():
        for kind, field in KINDS.items():
            for item in getattr(world.fleet, field):
                key = (kind, item.meta.name)
                if known.get(key) != item:
                    known[key] = item
                    order = len(events) + 1
                    events.append(Event(time=world.now, order=order, kind=kind, name=item.meta.name, value=item))

    note()
    owner = world.fleet.cluster_sets[0]
    world.change_set(version=v("v1.36.4"), meta=replace(owner.meta, generation=2))
    for tick in range(60):
        note()
        decision = world.decide()
        # Rollouts are written before clusters are told.
        world.write(replace(decision, advances=(), reverts=()))
        note()
        world.write(replace(decision, new=(), progress=()))
        note()
        world.work()
        world.now += TICK
        if tick == 5:
            for name in approvals:
                world.approve("canary", "sign-off", name)
    return events


def test_a_rollout_as_it_should_be_passes():
    assert check_events(record()) == 3


def test_a_rollout_that_is_reverted_passes():
    assert check_events(record({"s--dev": Nature(fails_to={"v1.36.4"})})) == 1


def edit(events, kind, change):
    return [replace(event, value=change(event.value)) if event.kind == kind else event for event in events]


def without_approvals(events):
    return [event for event in events if event.kind != "Approval" or "bert" not in event.name]


def with_a_longer_soak(events):
    def lengthen(rollout):
        return replace(rollout, waves=tuple(replace(item, soak_seconds=300) for item in rollout.waves))

    return edit(events, "Rollout", lengthen)


def with_a_paused_set(events):
    return edit(events, "ClusterSet", lambda owner: replace(owner, paused=Paused(reason="maintenance")))


def with_everybody_at_once(events):
    """All are told in the moment in which the first one is."""
    first = next(i for i, e in enumerate(events) if e.kind == "ChildCluster" and e.value.operation is not None)
    told = [e for e in events if e.kind == "ChildCluster" and e.value.operation is not None and e.name != "s--dev"][:2]
    moved = [replace(event, time=events[first].time) for event in told]
    kept = [*events[: first + 1], *moved, *(event for event in events[first + 1 :] if event not in told)]
    return [replace(event, order=number) for number, event in enumerate(kept)]


def with_a_wave_that_is_never_over(events):
    def hold(rollout):
        status = thaw(rollout.status)
        for item in status.get("waves", ()):
            item["state"] = "Soaking" if item["state"] == "Done" else item["state"]
        return replace(rollout, status=freeze(status))

    return edit(events, "Rollout", hold)


@pytest.mark.parametrize(
    ("tamper", "invariants"),
    [
        (without_approvals, {"gate"}),
        (with_a_longer_soak, {"soak"}),
        (with_a_paused_set, {"pause"}),
        (with_everybody_at_once, {"wave-order", "set-limit"}),
        (with_a_wave_that_is_never_over, {"wave-order"}),
    ],
)
def test_what_should_not_be_is_found(tamper, invariants):
    with pytest.raises(Broken) as broken:
        check_events(tamper(record()))
    assert broken.value.invariant in invariants
