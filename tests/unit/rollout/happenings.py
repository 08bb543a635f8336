"""Worlds in which everything may happen, and sequences of what happens, for Hypothesis."""

import random
from dataclasses import replace
from datetime import timedelta

from hypothesis import strategies as st

from atoll.fleet.names import REQUESTED_BY
from atoll.fleet.spec import Environment, Freeze, Gate, Paused, Regime, RegimeUpgrade, Tenant, Upgrade, Window
from atoll.fleet.values import Share, freeze

from .builders import cluster_set, member, meta, settled_child, v, wave
from .monitor import UNENDED, Monitor, demand
from .reading import find_hosted
from .simulator import Nature, Simulator, settled_fleet

NAMES = ("dev", "a", "b", "c", "d")
OTHERS = ("x", "y")
"""Members of the other set, where there is one."""
TARGETS = ("v1.35.8", "v1.36.4", "v1.36.5", "v1.37.1", "v1.34.9", "v1.38.0")
PEOPLE = ("anna", "bert", "cora", "dora", "emil")
ASKER = "anna"
"""Who asks for changes, where anybody knows."""
ROUNDS = 5
"""How often people look in the end what waits for their word: a rollout that was under way may have a successor."""

SLO = Gate(
    name="slo",
    kind="metric",
    settings=freeze({"url": "http://prometheus", "query": "errors", "max": "0.01", "intervalSeconds": 5}),
)
SIGN_OFF = Gate(name="sign-off", kind="approval", settings=freeze({"count": 2, "groups": ["sre"]}))
SMOKE = Gate(name="smoke", kind="job", settings=freeze({"manifestsRef": {"name": "smoke"}}))
GATES = {"slo": SLO, "sign-off": SIGN_OFF, "smoke": SMOKE}
OFTEN = Window(cron="*/3 * * * *", duration_minutes=2)
SELDOM = Window(cron="*/5 * * * *", duration_minutes=3, time_zone="Asia/Tokyo")


def ask_for(version, name="s"):
    return lambda world: world.change_set(name, version=v(version)) if world.fleet.cluster_set(name) else None


def act(action):
    def happen(world):
        if world.fleet.rollouts and world.fleet.rollouts[-1].action != "Abort":
            world.change_rollout(world.fleet.rollouts[-1].meta.name, action=action)

    return happen


def retry(world):
    for owner in world.fleet.cluster_sets:
        world.change_upgrade(owner.meta.name, retry=owner.upgrade.retry + 1)


def pause(world):
    world.change_set(paused=Paused(reason="maintenance"))


def pause_a_while(world):
    world.change_set(paused=Paused(reason="lunch", until=world.now + timedelta(seconds=45)))


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


def block(name):
    def happen(world):
        world.nature(f"s--{name}").blocked ^= {"v1.36.4", "v1.37.1"}

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
        joined = settled_child(replace(grown, version=v("v1.35.8")), "late", world.fleet.regimes)
        sets = tuple(grown if item.meta.name == "s" else item for item in world.fleet.cluster_sets)
        world.fleet = replace(world.fleet, cluster_sets=sets, children=(*world.fleet.children, joined))


def freeze_prod(world):
    frozen = Freeze(start=world.now, end=world.now + timedelta(seconds=40), reason="sale")
    world.fleet = replace(
        world.fleet, environments=tuple(replace(item, freezes=(frozen,)) for item in world.fleet.environments)
    )


def crash(world):
    world.crash()


def cut(count):
    """End the operator after so many writes of its next decision."""
    return lambda world: setattr(world, "writes", count)


def measure(open_):
    """Let all metrics be within their limits, above them, or say nothing any more."""

    def happen(world):
        world.readings = {}
        if open_ is not None:
            for owner in world.fleet.cluster_sets:
                for item in owner.upgrade.waves:
                    world.readings[(item.name, "slo")] = (open_, "0.004 is within" if open_ else "0.4 is above")

    return happen


def run_jobs(well):
    def happen(world):
        waves = {item.name for owner in world.fleet.cluster_sets for item in owner.upgrade.waves}
        world.jobs = {} if well is None else {(name, "smoke"): well for name in waves}

    return happen


def approve(username, groups):
    """Let somebody approve everything that the latest rollout asks for."""

    def happen(world):
        for rollout in world.fleet.rollouts[-1:]:
            for item in rollout.waves:
                for gate in item.gates:
                    world.approve(item.name, gate, username, *groups)

    return happen


def withdraw(username):
    def happen(world):
        left = tuple(item for item in world.fleet.approvals if item.username != username)
        world.fleet = replace(world.fleet, approvals=left)

    return happen


def change_gates(names):
    """Edit the gates of all waves of the first set."""

    def happen(world):
        upgrade = world.fleet.cluster_sets[0].upgrade
        gates = tuple(GATES[name] for name in names)
        world.change_upgrade(waves=tuple(replace(item, gates=gates) for item in upgrade.waves))

    return happen


def change_windows(*windows):
    return lambda world: world.change_upgrade(windows=windows)


def mend_everything(world):
    """Do what people would do at last, so that nothing is in the way any more."""
    mend(world)
    take_back(world)
    world.silent.clear()
    world.writes = None
    for nature in world.natures.values():
        nature.blocked.clear()
    measure(True)(world)
    run_jobs(True)(world)
    for owner in world.fleet.cluster_sets:
        served = [world.served.get(c.name, c.version) for c in world.fleet.children_of(owner.meta.name)]
        target = v("v1.37.1") if v("v1.36.5") < max(served) else v("v1.36.5")
        world.change_set(owner.meta.name, paused=None, version=target)
    # Gates that were taken out stay closed for the rollout that had them; a new one goes without.
    retry(world)
    for rollout in world.fleet.rollouts:
        failed = {row["state"] for row in rollout.status.get("rows", ())} & {"Failed", "Reverted"}
        stuck = failed or _has_lost_a_gate(world, rollout) or _has_lost_its_places(world, rollout)
        if rollout.action == "Pause" or (stuck and rollout.status.get("state") in {"Running", "Paused"}):
            # One that still runs is not tried again before it is aborted.
            world.change_rollout(rollout.meta.name, action="Abort" if stuck else "Run")


def _has_lost_a_gate(world, rollout):
    owner = world.fleet.cluster_set(rollout.set_name)
    declared = {(item.name, gate.name) for item in owner.upgrade.waves for gate in item.gates}
    frozen = {(item.name, gate) for item in rollout.waves for gate in item.gates if not gate.startswith("regime-")}
    return bool(frozen - declared)


def take_back(world):
    """Add the members again that left when their change had failed: nobody else finishes it, and they stay down."""
    owner = world.fleet.cluster_set("s")
    left = [child for child in world.fleet.children_of("s") if owner.member(child.member_name) is None]
    names = [child.member_name for child in left if child.operation is not None and child.operation.failed]
    back = tuple(build_member(name, world.fleet.regimes) for name in names)
    world.change_set("s", members=(*owner.members, *back))


def _has_lost_its_places(world, rollout):
    """Say whether failed clusters that only another rollout can move have all places of an environment."""
    frozen = {name for item in rollout.waves for name in item.clusters}
    lost = {
        child.name
        for child in world.fleet.children_of(rollout.set_name)
        if child.operation is not None and child.operation.failed and child.member_name not in frozen
    }
    return any(
        item.max_unavailable_clusters is not None
        and len({name for name in lost if item.meta.name in find_hosted(world.fleet, name)})
        >= item.max_unavailable_clusters
        for item in world.fleet.environments
    )


def approve_all(world):
    for rollout in world.fleet.rollouts:
        for item in rollout.waves:
            for gate in item.gates:
                for person in PEOPLE:
                    world.approve(item.name, gate, person, "sre", rollout=rollout.meta.name)


def waits_for_approval(world):
    """Say whether there is a rollout under way about whose gates not everybody was asked."""
    said = {(item.rollout, item.wave, item.gate, item.username) for item in world.fleet.approvals}
    return any(
        (rollout.meta.name, item.name, gate, person) not in said
        for rollout in world.fleet.rollouts
        if rollout.status.get("state", "") in UNENDED
        for item in rollout.waves
        for gate in item.gates
        for person in PEOPLE
    )


EVENTS = st.one_of(
    st.sampled_from(TARGETS).map(ask_for),
    st.sampled_from(["v1.35.8", "v1.36.4", "v1.37.1"]).map(lambda version: ask_for(version, "t")),
    st.sampled_from(["Run", "Pause", "Abort"]).map(act),
    # Mapped one by one, so that what is found is printed with the names that replay it.
    st.sampled_from([flap, spoil, block, set_own, leave]).flatmap(lambda kind: st.sampled_from(NAMES).map(kind)),
    st.sampled_from([retry, pause, pause_a_while, unpause, mend, join, freeze_prod]),
    st.one_of(st.just(crash), st.integers(0, 3).map(cut)),
    st.sampled_from([True, True, False, None]).map(measure),
    st.sampled_from([True, True, False, None]).map(run_jobs),
    st.tuples(st.sampled_from(PEOPLE), st.sampled_from([("sre",), ("sre", "dev"), ("dev",)])).map(
        lambda said: approve(*said)
    ),
    st.sampled_from(PEOPLE).map(withdraw),
    st.sampled_from([(), ("slo",), ("slo", "sign-off")]).map(change_gates),
    st.sampled_from([change_windows(), change_windows(OFTEN), change_windows(OFTEN, SELDOM)]),
)
NATURES = st.builds(
    Nature,
    seconds=st.sampled_from([5, 10, 30]),
    fails_to=st.sets(st.sampled_from(["v1.36.4", "v1.37.1"]), max_size=1),
    unproven=st.sets(st.sampled_from(["v1.36.5", "v1.37.1"]), max_size=1),
)
GATED = st.sampled_from([(), (), (SLO,), (SIGN_OFF,), (SLO, SIGN_OFF), (SMOKE,)])
UPGRADES = st.builds(
    Upgrade,
    waves=st.one_of(
        st.just(()),
        st.builds(
            lambda first, second, least: (
                wave("canary", "dev", soak_seconds=20, min_soak_seconds=least, gates=first),
                wave("prod", "prod", max_concurrent=Share(50, True), gates=second),
            ),
            GATED,
            GATED,
            st.sampled_from([None, 10]),
        ),
        st.builds(lambda gates: (wave("prod", "prod", max_concurrent=Share(3), soak_seconds=10, gates=gates),), GATED),
    ),
    max_concurrent=st.sampled_from([Share(1), Share(2), Share(100, True)]),
    max_concurrent_per_region=st.sampled_from([None, 1, 2]),
    failure_budget=st.sampled_from([Share(0), Share(1), Share(50, True)]),
    on_failure=st.sampled_from(["Halt", "Revert"]),
    windows=st.sampled_from([(), (), (), (OFTEN,), (OFTEN, SELDOM)]),
)
REGIMES = st.sampled_from(
    [
        (),
        (),
        (Regime(meta=meta("pci"), upgrade=RegimeUpgrade(min_soak_seconds=40)),),
        (Regime(meta=meta("pci"), upgrade=RegimeUpgrade(approvals=1, windows=(OFTEN,))),),
    ]
)
WORLDS = st.fixed_dictionaries(
    {
        "upgrade": UPGRADES,
        "natures": st.tuples(*[NATURES] * 5),
        "seed": st.integers(0, 99),
        "limit": st.sampled_from([None, 1, 2]),
        "regimes": REGIMES,
        "asker": st.sampled_from(["", ASKER]),
        "two": st.booleans(),
        "can_revert": st.sampled_from([True, True, False]),
    }
)
SCRIPTS = st.lists(st.tuples(st.integers(0, 6), EVENTS), max_size=14)


def build_member(name, regimes):
    """Return one member of the first set as it is in the beginning."""
    if name == "dev":
        return member(name, "dev", region="eu", regimes=tuple(item.meta.name for item in regimes))
    return member(name, region="eu" if name < "c" else "us")


def build_world(upgrade, natures, seed, limit, *, regimes=(), asker="", two=False, can_revert=True):
    members = tuple(build_member(name, regimes) for name in NAMES)
    placed = [f"s--{name}" for name in "abd"] + [f"t--{name}" for name in OTHERS[:1]]
    tenant = Tenant(
        meta=meta("shop"),
        status=freeze({"placements": [{"environment": "prod", "cluster": name, "state": "Placed"} for name in placed]}),
    )
    owner = cluster_set(members=members, upgrade=upgrade)
    owner = replace(owner, meta=replace(owner.meta, annotations=freeze({REQUESTED_BY: asker} if asker else {})))
    fleet = settled_fleet(
        owner,
        regimes=regimes,
        tenants=(tenant,),
        environments=(Environment(meta=meta("prod"), max_unavailable_clusters=limit),),
    )
    info = replace(fleet.providers["local"], can_revert=can_revert, has_nodes=True)
    fleet = replace(
        fleet,
        providers={"local": info},
        children=tuple(settled_child(owner, item.name, regimes) for item in owner.members),
    )
    if two:
        other = cluster_set("t", members=tuple(member(name) for name in OTHERS), upgrade=Upgrade())
        joined = tuple(settled_child(other, name, regimes) for name in OTHERS)
        fleet = replace(fleet, cluster_sets=(owner, other), children=(*fleet.children, *joined))
    return Simulator(
        fleet,
        natures={
            f"s--{name}": replace(nature, fails_to=set(nature.fails_to), unproven=set(nature.unproven), blocked=set())
            for name, nature in zip(NAMES, natures, strict=True)
        },
        shuffle=random.Random(seed),
        watcher=Monitor(),
        second=check_second,
    )


def check_second(second, first):
    """A second operator, just started, gives things the same names, and orders that can be carried out twice.

    It may know less, and so choose other members to begin with; that both do so is what the Lease is for.
    """
    by_name = {new.name: new for new in first.new}
    demand("told-twice", all(by_name.get(new.name) == new for new in second.new), str(second.new))
    told = {order.child: order for order in (*first.advances, *first.reverts)}
    for order in (*second.advances, *second.reverts):
        one = told.get(order.child)
        same = one is None or (one.version, one.revision, one.rollout) == (order.version, order.revision, order.rollout)
        demand("told-twice", same, f"{order} and {one}")


def run_story(world, script):
    """Let it all happen, then mend everything, and see that everybody arrives."""
    tick, moments = 0, {}
    for before, happening in [(1, ask_for("v1.36.4")), *script]:
        tick += before
        moments.setdefault(tick, []).append(happening)
    for at, todo in moments.items():
        moments[at] = lambda world, todo=todo: [happening(world) for happening in todo]
    # Who waits for a window waits for the next one if something else is in the way then, and so on for ever.
    world.run(moments, ticks=tick + 120, rest=False)
    mend_everything(world)
    # It takes a decision to begin the rollouts, and people to approve what they ask for.
    for _ in range(ROUNDS):
        world.run({3: approve_all}, ticks=900)
        if not waits_for_approval(world):
            break
    world.watcher.check_end(world.seen())
