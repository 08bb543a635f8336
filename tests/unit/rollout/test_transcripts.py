"""Rollouts told from beginning to end, as a reader of the log would see them. Rewritten only by --update-golden."""

import random
from dataclasses import replace
from pathlib import Path

import pytest

from atoll.fleet.spec import Gate, Upgrade, Window
from atoll.fleet.values import Share, freeze

from .builders import CANARY, PROD, cluster_set, member, settled_child, v
from .monitor import Monitor
from .simulator import Nature, Simulator, settled_fleet

GOLDEN = Path(__file__).parent / "golden"


def ask_for(version):
    return lambda world: world.change_set(version=v(version))


def order(name, action):
    return lambda world: world.change_rollout(name, action=action)


def raise_retry(world):
    world.change_upgrade(retry=1)


def mend(world):
    world.natures.clear()


def join(world):
    """A member joins while a rollout runs: at the version that was completed last."""
    owner = world.fleet.cluster_sets[0]
    grown = replace(owner, members=(*owner.members, member("prod-c")))
    joined = settled_child(replace(grown, version=v("v1.35.8")), "prod-c")
    world.fleet = replace(world.fleet, cluster_sets=(grown,), children=(*world.fleet.children, joined))


def both(*events):
    def happen(world):
        for event in events:
            event(world)

    return happen


REVERT = Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2), on_failure="Revert")
SLO = Gate(
    name="slo",
    kind="metric",
    settings=freeze({"url": "http://prometheus", "query": "errors", "max": "0.01", "intervalSeconds": 5}),
)
SIGN_OFF = Gate(name="sign-off", kind="approval", settings=freeze({"count": 2, "groups": ["sre"]}))
GATED = Upgrade(waves=(replace(CANARY, gates=(SLO, SIGN_OFF)), PROD), max_concurrent=Share(2))
MEASURED = replace(CANARY, soak_seconds=60, min_soak_seconds=20, gates=(SLO,))
SOAKING = Upgrade(waves=(MEASURED, PROD), max_concurrent=Share(2))
NIGHTLY = Upgrade(
    waves=(CANARY, PROD), max_concurrent=Share(2), windows=(Window(cron="2 12 * * *", duration_minutes=5),)
)


def measure(value, *, open_):
    word = "is within" if open_ else "is above"
    return lambda world: world.readings.update({("canary", "slo"): (open_, f"{value} {word} 0.01")})


def silence(world):
    world.readings.clear()


def flap(child):
    return lambda world: world.silent.symmetric_difference_update({child})


def approve(username, *groups):
    return lambda world: world.approve("canary", "sign-off", username, *groups)


def block(world):
    world.nature("s--prod-a").blocked.add("v1.36.4")


def unblock(world):
    world.nature("s--prod-a").blocked.clear()


STORIES = {
    "two_waves": (Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2)), {}, {1: ask_for("v1.36.4")}),
    "failure_halts_and_retry_mends": (
        None,
        {"s--dev": Nature(fails_to={"v1.36.4"})},
        {1: ask_for("v1.36.4"), 10: both(mend, raise_retry)},
    ),
    "failed_verification_halts": (None, {"s--prod-a": Nature(unproven={"v1.36.4"})}, {1: ask_for("v1.36.4")}),
    "failure_mended_by_a_new_target": (
        None,
        {"s--dev": Nature(unproven={"v1.36.4"})},
        {1: ask_for("v1.36.4"), 14: ask_for("v1.36.5")},
    ),
    "revert": (REVERT, {"s--prod-b": Nature(unproven={"v1.36.4"})}, {1: ask_for("v1.36.4")}),
    "revert_between_hops": (REVERT, {"s--dev": Nature(fails_to={"v1.37.1"})}, {1: ask_for("v1.37.1")}),
    "abort_in_mid_run": (None, {}, {1: ask_for("v1.36.4"), 3: order("s-1", "Abort"), 20: raise_retry}),
    "target_changed_in_mid_run": (None, {}, {1: ask_for("v1.36.4"), 3: ask_for("v1.36.5")}),
    "target_set_back": (None, {}, {1: ask_for("v1.36.4"), 2: ask_for("v1.35.8")}),
    "two_hops": (None, {"s--prod-a": Nature(seconds=25)}, {1: ask_for("v1.37.1")}),
    "pause": (None, {}, {1: ask_for("v1.36.4"), 3: order("s-1", "Pause"), 20: order("s-1", "Run")}),
    "late_joiner": (None, {}, {1: ask_for("v1.36.4"), 4: join}),
    "gates": (
        GATED,
        {},
        {
            1: ask_for("v1.36.4"),
            8: measure("0.024", open_=False),
            14: approve("anna", "sre"),
            16: measure("0.031", open_=False),
            18: measure("0.004", open_=True),
            22: approve("bert", "dev"),
            24: approve("anna", "sre", "dev"),
            26: approve("cora", "sre"),
            30: approve("dora", "sre"),
        },
    ),
    "soak_shortened_by_evidence": (
        SOAKING,
        {},
        {0: measure("0.004", open_=True), 1: ask_for("v1.36.4")},
    ),
    "soak_begins_again_after_an_alert": (
        SOAKING,
        {},
        {1: ask_for("v1.36.4"), 10: measure("0.024", open_=False), 14: measure("0.004", open_=True), 16: silence},
    ),
    "soak_begins_again_when_a_member_falls_ill": (
        None,
        {},
        {1: ask_for("v1.36.4"), 9: flap("s--dev"), 12: flap("s--dev")},
    ),
    "window": (NIGHTLY, {}, {1: ask_for("v1.36.4")}),
    "something_in_the_way": (None, {}, {0: block, 1: ask_for("v1.36.4"), 25: unblock}),
    "downgrade": (None, {}, {1: ask_for("v1.34.9")}),
}


def tell(story, seed=None):
    upgrade, natures, script = STORIES[story]
    natures = {name: replace(nature) for name, nature in natures.items()}
    world = Simulator(settled_fleet(cluster_set(upgrade=upgrade)), natures=natures, watcher=Monitor())
    if seed is not None:
        world.shuffle = random.Random(seed)
    return "\n".join(world.run(script).transcript) + "\n"


@pytest.mark.parametrize("story", STORIES)
def test_a_rollout_goes_as_it_was_told_before(story, update_golden):
    path = GOLDEN / f"{story}.txt"
    told = tell(story)
    if update_golden:
        path.write_text(told)
    assert told == path.read_text()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("story", STORIES)
def test_the_order_of_objects_changes_nothing(story, seed):
    assert tell(story, seed) == (GOLDEN / f"{story}.txt").read_text()
