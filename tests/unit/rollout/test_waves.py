"""Waves take their members in order, once each, and are frozen by name."""

from dataclasses import replace

from atoll.fleet.observed import RolloutWave
from atoll.fleet.spec import Gate, Upgrade, Wave
from atoll.fleet.values import Requirement, Selector, Share, freeze
from atoll.rollout.waves import freeze_waves

from .builders import cluster_set, member, wave

MEMBERS = (
    member("dev", "dev"),
    *(member(f"p{n}", region="eu" if n % 2 else "us", country="DE" if n % 2 else "US") for n in range(1, 9)),
)
NAMES = tuple(item.name for item in MEMBERS)


def freeze_with(*waves, members=NAMES, labels=None):
    owner = cluster_set(members=MEMBERS, upgrade=Upgrade(waves=waves))
    return freeze_waves(replace(owner, labels=freeze(labels or {})), members)


def test_each_member_belongs_to_the_first_wave_that_selects_it_and_the_rest_go_last():
    selected = Wave(name="eu", selector=Selector(match_labels=freeze({"region": "eu"})), max_concurrent=Share(50, True))
    gates = (Gate(name="slo", kind="metric"),)
    frozen = freeze_with(wave("canary", "dev", soak_seconds=600, gates=gates), selected, replace(selected, name="late"))
    assert frozen == (
        RolloutWave(name="canary", clusters=("dev",), max_concurrent=1, soak_seconds=600, gates=("slo",)),
        RolloutWave(name="eu", clusters=("p1", "p3", "p5", "p7"), max_concurrent=2),
        RolloutWave(name="rest", clusters=("p2", "p4", "p6", "p8"), max_concurrent=1),
    )


def test_a_percentage_is_of_the_wave_and_at_least_one():
    small = wave("canary", "dev", max_concurrent=Share(10, True))
    assert freeze_with(small)[0].max_concurrent == 1


def test_waves_without_members_are_dropped_and_without_selector_take_nobody():
    frozen = freeze_with(wave("stage", "stage"), Wave(name="none", selector=Selector()))
    assert [item.name for item in frozen] == ["rest"]


def test_members_can_be_selected_by_name_country_and_labels_of_the_set():
    by_name = Selector(match_expressions=(Requirement(key="atoll.dev/member", operator="In", values=("p2", "p4")),))
    by_country = Selector(match_labels=freeze({"country": "US", "tier": "gold"}))
    frozen = freeze_with(
        Wave(name="named", selector=by_name), Wave(name="us", selector=by_country), labels={"tier": "gold"}
    )
    assert [(item.name, item.clusters) for item in frozen][:2] == [("named", ("p2", "p4")), ("us", ("p6", "p8"))]


def test_the_last_wave_takes_no_name_that_is_declared():
    frozen = freeze_with(wave("rest", "dev"))
    assert [item.name for item in frozen] == ["rest", "rest-2"]


def test_the_order_of_members_changes_nothing():
    assert freeze_with(members=NAMES) == freeze_with(members=tuple(reversed(NAMES)))


def test_nobody_is_frozen_in_who_is_not_a_member():
    assert freeze_with(members=("dev", "gone")) == (RolloutWave(name="rest", clusters=("dev",)),)
