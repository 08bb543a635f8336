"""Whatever people, clusters and clocks do, a rollout keeps its promises; the monitor says which."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from atoll.fleet.spec import Environment, Freeze, Paused, Tenant, Upgrade
from atoll.fleet.values import Share, freeze

from .builders import START, cluster_set, member, meta, settled_child, v, wave
from .monitor import Monitor
from .simulator import TICK, Nature, Simulator, settled_fleet, write_status

NAMES = ("dev", "a", "b", "c", "d")
TARGETS = ("v1.35.8", "v1.36.4", "v1.36.5", "v1.37.1", "v1.34.9", "v1.38.0")


def ask_for(version):
    return lambda world: world.change_set(version=v(version))


def act(action):
    def happen(world):
        if world.fleet.rollouts and world.fleet.rollouts[-1].action != "Abort":
            world.change_rollout(world.fleet.rollouts[-1].meta.name, action=action)

    return happen


def retry(world):
    world.change_upgrade(retry=world.fleet.cluster_sets[0].upgrade.retry + 1)


def pause(world):
    world.change_set(paused=Paused(reason="maintenance"))


def unpause(world):
    world.change_set(paused=None)


def flap(name):
    def happen(world):
        world.silent ^= {f"s--{name}"}

    return happen


def mend(world):
    for nature in world.natures.values():
        nature.fails_to.clear()
        nature.unproven.clear()


def spoil(name):
    def happen(world):
        world.nature(f"s--{name}").unproven.update({"v1.36.4", "v1.37.1"})

    return happen


def set_own(name):
    def happen(world):
        members = world.fleet.cluster_sets[0].members
        number = sum(len(item.settings) for item in members)
        world.change_set(
            members=tuple(
                replace(item, settings=freeze({**item.settings, f"x{number}": 1})) if item.name == name else item
                for item in members
            )
        )

    return happen


def leave(name):
    def happen(world):
        members = world.fleet.cluster_sets[0].members
        world.change_set(members=tuple(item for item in members if item.name != name))

    return happen


def join(world):
    owner = world.fleet.cluster_sets[0]
    if owner.member("late") is None and world.fleet.child("s--late") is None:
        grown = replace(owner, members=(*owner.members, member("late", region="eu")))
        world.fleet = replace(
            world.fleet,
            cluster_sets=(grown,),
            children=(*world.fleet.children, settled_child(replace(grown, version=v("v1.35.8")), "late")),
        )


def freeze_prod(world):
    frozen = Freeze(start=world.now, end=world.now + timedelta(seconds=40), reason="sale")
    world.fleet = replace(
        world.fleet, environments=tuple(replace(item, freezes=(frozen,)) for item in world.fleet.environments)
    )


EVENTS = st.one_of(
    st.sampled_from(TARGETS).map(ask_for),
    st.sampled_from(["Run", "Pause", "Abort"]).map(act),
    st.sampled_from(NAMES).flatmap(lambda name: st.sampled_from([flap(name), spoil(name), set_own(name), leave(name)])),
    st.sampled_from([retry, pause, unpause, mend, join, freeze_prod]),
)
NATURES = st.builds(
    Nature,
    seconds=st.sampled_from([5, 10, 30]),
    fails_to=st.sets(st.sampled_from(["v1.36.4", "v1.37.1"]), max_size=1),
    unproven=st.sets(st.sampled_from(["v1.36.5", "v1.37.1"]), max_size=1),
)
UPGRADES = st.builds(
    Upgrade,
    waves=st.sampled_from(
        [
            (),
            (wave("canary", "dev", soak_seconds=20), wave("prod", "prod", max_concurrent=Share(50, True))),
            (wave("prod", "prod", max_concurrent=Share(3), soak_seconds=10),),
        ]
    ),
    max_concurrent=st.sampled_from([Share(1), Share(2), Share(100, True)]),
    max_concurrent_per_region=st.sampled_from([None, 1, 2]),
    failure_budget=st.sampled_from([Share(0), Share(1), Share(50, True)]),
    on_failure=st.sampled_from(["Halt", "Revert"]),
)


def build_world(upgrade, natures, seed, limit):
    members = (
        member("dev", "dev", region="eu"),
        *(member(name, region="eu" if name < "c" else "us") for name in "abcd"),
    )
    tenant = Tenant(
        meta=meta("shop"),
        status=freeze(
            {"placements": [{"environment": "prod", "cluster": f"s--{name}", "state": "Placed"} for name in "abd"]}
        ),
    )
    fleet = settled_fleet(
        cluster_set(members=members, upgrade=upgrade),
        tenants=(tenant,),
        environments=(Environment(meta=meta("prod"), max_unavailable_clusters=limit),),
    )
    return Simulator(
        fleet,
        natures={f"s--{name}": nature for name, nature in zip(NAMES, natures, strict=True)},
        shuffle=random.Random(seed),
        watcher=Monitor(),
    )


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    upgrade=UPGRADES,
    natures=st.tuples(*[NATURES] * 5),
    script=st.lists(st.tuples(st.integers(0, 6), EVENTS), max_size=12),
    seed=st.integers(0, 99),
    limit=st.sampled_from([None, 1, 2]),
)
def test_no_rollout_ever_breaks_a_promise(upgrade, natures, script, seed, limit):
    world = build_world(
        upgrade, [replace(n, fails_to=set(n.fails_to), unproven=set(n.unproven)) for n in natures], seed, limit
    )
    tick = 0
    moments = {}
    for pause_before, happening in [(1, ask_for("v1.36.4")), *script]:
        tick += pause_before
        moments.setdefault(tick, []).append(happening)
    timetable = {at: lambda world, todo=todo: [happening(world) for happening in todo] for at, todo in moments.items()}
    world.run(timetable, ticks=600)
    event("moved" if world.watcher.advances else "nobody moved")


@settings(max_examples=30, deadline=None)
@given(upgrade=UPGRADES, seconds=st.tuples(*[st.sampled_from([5, 15, 25])] * 5), limit=st.sampled_from([None, 1, 2]))
def test_a_rollout_of_healthy_clusters_always_arrives(upgrade, seconds, limit):
    world = build_world(upgrade, [Nature(seconds=item) for item in seconds], 1, limit)
    world.run({1: ask_for("v1.37.1")}, ticks=600)
    assert {str(child.version) for child in world.fleet.children} == {"v1.37.1"}
    assert all(child.revision == child.done_revision for child in world.fleet.children)
    assert [rollout.status["state"] for rollout in world.fleet.rollouts] == ["Done"]


@settings(max_examples=30, deadline=None)
@given(upgrade=UPGRADES, bad=st.sampled_from(NAMES), version=st.sampled_from(["v1.36.5", "v1.37.1"]))
def test_a_halted_rollout_arrives_after_mending_and_a_retry(upgrade, bad, version):
    natures = [Nature(fails_to={version} if name == bad else set()) for name in NAMES]
    world = build_world(upgrade, natures, 2, None)
    world.run({1: ask_for("v1.37.1")}, ticks=600)
    mend(world)
    retry(world)
    world.run(ticks=600)
    assert all(str(child.version) == "v1.37.1" == str(world.served[child.name]) for child in world.fleet.children)
    assert world.fleet.rollouts[-1].status["state"] == "Done"


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
