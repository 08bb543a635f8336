"""Ranges hold what they promise, are narrow by the third rollout, and nobody's bad day spoils another's forecast."""

import math
import random
from dataclasses import replace
from itertools import product
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.decisions import RolloutRow, WaveStatus
from atoll.fleet.observed import RolloutWave
from atoll.fleet.values import freeze
from atoll.rollout.estimates import UNKNOWN_SECONDS, Estimate, Estimates, forecast_waves

from .builders import cluster_set, settled_child

TEMPLATE = settled_child(cluster_set(), "dev")
DAY = 86400.0


def child(name, *entries):
    return replace(TEMPLATE, meta=replace(TEMPLATE.meta, name=name), member_name=name, history=tuple(entries))


def took(seconds, *, before="v1.35.8", after="v1.36.4", result="Succeeded", kind="Change"):
    entry = {"type": kind, "from": before, "to": after, "seconds": seconds, "result": result}
    return freeze({**entry, "startedTime": "2026-11-21T12:00:00Z"})


class SimulatedFleet:
    """Clusters of which some are slow, and whose changes vary."""

    def __init__(self, size, spread, noise, seed, usual=600.0):
        self.random = random.Random(seed)
        self.noise = noise
        self.factors = {f"c{n}": usual * math.exp(self.random.gauss(0, spread)) for n in range(size)}

    def change(self, name):
        return self.factors[name] * math.exp(self.random.gauss(0, self.noise))

    def remember(self, rollouts):
        return [child(name, *(took(int(self.change(name))) for _ in range(rollouts))) for name in self.factors]


def count_kept(size, spread, noise, seed):
    """How many of a third rollout's changes end in their range, and how many of the ranges are narrow, too."""
    fleet = SimulatedFleet(size, spread, noise, seed)
    children = fleet.remember(2)
    estimates = Estimates.learn(children)
    kept = narrow = 0
    for item in children:
        told = estimates.of(item)
        inside = told.low <= fleet.change(item.name) <= told.high
        kept += inside
        narrow += inside and told.high - told.low <= told.seconds * (1 + 1e-9)
    return kept, narrow


@pytest.mark.parametrize(
    ("spread", "noise"), [(0.0, 0.1), (0.3, 0.05), (0.5, 0.1), (0.5, 0.2), (1.0, 0.25), (0.5, 0.25)]
)
@pytest.mark.parametrize("size", [100, 1000])
def test_by_the_third_rollout_four_of_five_changes_fall_into_ranges_no_wider_than_their_median(size, spread, noise):
    seeds = range(max(2, 2000 // size))
    narrow = sum(count_kept(size, spread, noise, seed)[1] for seed in seeds)
    assert narrow / (size * len(seeds)) >= 0.8


@pytest.mark.parametrize(("spread", "noise"), [(0.0, 0.1), (0.3, 0.05), (0.5, 0.1), (0.5, 0.15), (1.0, 0.2)])
@pytest.mark.parametrize("size", [10, 30])
def test_so_they_do_in_small_fleets(size, spread, noise):
    seeds = range(2000 // size)
    narrow = sum(count_kept(size, spread, noise, seed)[1] for seed in seeds)
    assert narrow / (size * len(seeds)) >= 0.8


def test_where_changes_vary_too_much_for_a_narrow_range_it_is_wide_rather_than_wrong():
    kept = sum(count_kept(300, 0.5, 0.5, seed)[0] for seed in range(10))
    assert kept / 3000 >= 0.76


def test_nothing_known_gives_the_default_and_a_wide_range():
    told = Estimates.learn([child("a")]).of(child("a"))
    assert told.seconds == pytest.approx(UNKNOWN_SECONDS)
    assert told.low < UNKNOWN_SECONDS / 3
    assert told.high > UNKNOWN_SECONDS * 3


def test_one_change_of_one_cluster_tells_something_about_all():
    estimates = Estimates.learn([child("a", took(300)), child("b")])
    own, other = estimates.of(child("a")), estimates.of(child("b"))
    assert own.seconds == pytest.approx(300)
    assert other.seconds == pytest.approx(300)
    assert 150 < own.low < own.high < 600
    assert other.low < own.low
    assert own.high < other.high < 1200


def test_a_cluster_is_believed_the_more_the_oftener_it_was_slow():
    others = [child(f"c{n}", took(100), took(105)) for n in range(20)]
    once, often = child("slow", took(400)), child("slow", *(took(400) for _ in range(5)))
    first, later = Estimates.learn([*others, once]).of(once), Estimates.learn([*others, often]).of(often)
    assert 100 < first.seconds < later.seconds < 401


def test_only_changes_that_succeeded_are_learnt_from():
    entries = [took(9000, result="Failed"), took(9000, kind="Create"), took(9000, kind="Revert"), took("soon")]
    assert Estimates.learn([child("a", *entries, took(60))]).of(None) == Estimates.learn([child("a", took(60))]).of(
        None
    )


def test_settings_and_hops_are_learnt_apart_where_both_were_seen():
    children = [child(f"c{n}", took(600), took(20, before="v1.36.4", after="v1.36.4"), took(610)) for n in range(10)]
    estimates = Estimates.learn(children)
    assert estimates.of(children[0]).seconds == pytest.approx(605, rel=0.02)
    assert estimates.of(children[0], 0).seconds == pytest.approx(20, rel=0.02)
    hops_only = Estimates.learn([child("a", took(600))])
    assert hops_only.of(None, 0) == hops_only.of(None)


def test_two_hops_take_twice_as_long_and_vary_less_than_two_times_one():
    children = [child(f"c{n}", took(100), took(150)) for n in range(10)]
    estimates = Estimates.learn(children)
    one, two = estimates.of(children[0]), estimates.of(children[0], 2)
    assert two.seconds == pytest.approx(2 * one.seconds, rel=0.05)
    assert two.high - two.low < 2 * (one.high - one.low)


@pytest.mark.parametrize("size", [5, 10, 100])
def test_one_absurd_duration_does_not_spoil_the_others(size):
    children = [child(f"c{n}", took(100 + n % 7), took(104 - n % 5)) for n in range(size)]
    ill = [child("c0", took(100), took(30 * DAY)), *children[1:]]
    before, after = Estimates.learn(children), Estimates.learn(ill)
    for item in children[1:]:
        assert after.of(item).seconds == pytest.approx(before.of(item).seconds, rel=0.25)
        assert after.of(item).high < 4 * before.of(item).high


def test_a_thousand_clusters_with_full_histories_are_learnt_and_told_in_a_moment():
    children = [child(f"c{n}", *(took(600 + n % 97 + round_) for round_ in range(10))) for n in range(1000)]
    seconds = []
    for _ in range(3):
        started = process_time()
        estimates = Estimates.learn(children)
        for item in children:
            estimates.of(item)
        seconds.append(process_time() - started)
    # It takes 25 ms on an idle core; a busy one may be slower.
    assert min(seconds) < 0.1


histories = st.lists(st.lists(st.integers(min_value=1, max_value=10**6), max_size=6), min_size=1, max_size=8).map(
    lambda fleet: [child(f"c{n}", *map(took, entries)) for n, entries in enumerate(fleet)]
)


@given(histories, st.integers(min_value=0, max_value=3))
def test_ranges_are_finite_and_hold_their_middle(children, hops):
    estimates = Estimates.learn(children)
    for item in (*children, None):
        told = estimates.of(item, hops)
        assert 0 < told.low <= told.seconds <= told.high < math.inf


@given(histories, st.integers(min_value=2, max_value=1000))
def test_where_everything_takes_longer_so_do_the_forecasts(children, factor):
    if not any(item.history for item in children):
        return
    scaled = [child(item.name, *(took(entry["seconds"] * factor) for entry in item.history)) for item in children]
    plain, longer = Estimates.learn(children), Estimates.learn(scaled)
    for before, after in zip(children, scaled, strict=True):
        a, b = plain.of(before), longer.of(after)
        expected = (a.seconds * factor, a.low * factor, a.high * factor)
        assert (b.seconds, b.low, b.high) == pytest.approx(expected, rel=1e-6)


@given(histories, st.randoms(use_true_random=False))
def test_the_order_of_children_changes_nothing(children, mixer):
    mixed = list(children)
    mixer.shuffle(mixed)
    plain, other = Estimates.learn(children), Estimates.learn(mixed)
    assert [plain.of(item) for item in children] == [other.of(item) for item in children]


# The whole ----------------------------------------------------------------------------------------------------------


def exactly(seconds):
    return Estimate(seconds=seconds, low=seconds, high=seconds)


def plan(*waves, state="Waiting"):
    frozen = [
        RolloutWave(name=name, clusters=names, max_concurrent=limit, soak_seconds=soak)
        for name, names, limit, soak in waves
    ]
    rows = [RolloutRow(cluster=name, wave=wave.name, state="Pending") for wave in frozen for name in wave.clusters]
    return [(wave, WaveStatus(name=wave.name, state=state)) for wave in frozen], rows


def test_waves_follow_each_other_and_soak_and_the_longest_start_first():
    waves, rows = plan(("one", ("a",), 1, 30), ("two", ("b", "c", "d"), 2, 0))
    estimates = {"a": exactly(10.0), "b": exactly(20.0), "c": exactly(20.0), "d": exactly(40.0)}
    assert forecast_waves(waves, rows, estimates, 5).seconds == pytest.approx(10 + 30 + 40)
    assert forecast_waves(waves, rows, estimates, 1).seconds == pytest.approx(10 + 30 + 80)


def test_what_is_over_counts_no_more_and_what_has_begun_counts_less():
    waves, rows = plan(("one", ("a", "b"), 2, 0))
    rows = [replace(rows[0], state="Done"), replace(rows[1], state="Changing")]
    estimates = {"a": exactly(100.0), "b": exactly(50.0)}
    assert forecast_waves(waves, rows, estimates, 5, spent={"b": 20.0}).seconds == pytest.approx(30)


def test_a_closed_window_is_waited_for():
    waves, rows = plan(("one", ("a",), 1, 0), ("two", ("b",), 1, 0))
    estimates = {"a": exactly(10.0), "b": exactly(10.0)}
    assert forecast_waves(waves, rows, estimates, 5, waits={"two": 3600.0}).seconds == pytest.approx(3610)
    assert forecast_waves(waves, rows, estimates, 5, waits={"two": 5.0}).seconds == pytest.approx(20)


def test_more_under_way_than_are_allowed_now_hold_up_the_next():
    waves, rows = plan(("one", ("a", "b", "c"), 1, 0))
    rows = [replace(row, state="Changing") if row.cluster != "c" else row for row in rows]
    estimates = {"a": exactly(10.0), "b": exactly(30.0), "c": exactly(5.0)}
    assert forecast_waves(waves, rows, estimates, 1).seconds == pytest.approx(35)


def test_nothing_left_takes_no_time():
    waves, rows = plan(("one", ("a",), 1, 0))
    assert forecast_waves(waves, [replace(rows[0], state="Done")], {}, 1) == exactly(0.0)
    assert forecast_waves([], [], {}, 1) == exactly(0.0)


def test_who_is_far_beyond_its_forecast_is_still_not_through():
    waves, rows = plan(("one", ("a",), 1, 0))
    rows = [replace(rows[0], state="Changing")]
    told = Estimate(seconds=100.0, low=80.0, high=125.0)
    late = forecast_waves(waves, rows, {"a": told}, 1, spent={"a": 5000.0})
    assert 0 < late.seconds < 5000


@pytest.mark.parametrize(("noise", "limit"), list(product((0.1, 0.3), (3, 20))))
def test_the_whole_ends_within_its_range_about_four_times_in_five(noise, limit):
    fleet = SimulatedFleet(60, 0.4, noise, seed=1)
    reach = math.exp(1.2816 * noise)
    estimates = {
        name: Estimate(seconds=middle, low=middle / reach, high=middle * reach)
        for name, middle in fleet.factors.items()
    }
    waves, rows = plan(("one", tuple(fleet.factors)[:10], limit, 60), ("two", tuple(fleet.factors)[10:], limit, 0))
    told = forecast_waves(waves, rows, estimates, 100)
    inside = 0
    for _ in range(200):
        drawn = {name: exactly(fleet.change(name)) for name in fleet.factors}
        order = {name: exactly(value.seconds) for name, value in drawn.items()}
        inside += told.low <= play_through(waves, order, estimates, limit) <= told.high
    assert 0.65 <= inside / 200 <= 0.97


def play_through(waves, changes, estimates, limit):
    """What happens: the longest expected start first, and take what they take."""
    end = 0.0
    for wave, _ in waves:
        places = [0.0] * limit
        for name in sorted(wave.clusters, key=lambda item: -estimates[item].seconds):
            free = places.index(min(places))
            places[free] += changes[name].seconds
        end += max(places) + wave.soak_seconds
    return end


@given(
    st.lists(st.floats(min_value=0.1, max_value=10**6), min_size=1, max_size=20),
    st.integers(min_value=1, max_value=5),
    st.floats(min_value=0, max_value=2),
)
def test_the_same_question_has_the_same_finite_answer_in_any_order(middles, limit, doubt):
    reach = math.exp(doubt)
    estimates = {f"c{n}": Estimate(seconds=m, low=m / reach, high=m * reach) for n, m in enumerate(middles)}
    waves, rows = plan(("one", tuple(estimates), limit, 0))
    told = forecast_waves(waves, rows, estimates, 3)
    assert 0 < told.low <= told.seconds <= told.high < math.inf
    assert forecast_waves(waves, rows[::-1], dict(reversed(estimates.items())), 3) == told
    assert told.seconds >= max(middles) * math.exp(-3 * doubt) * (1 - 1e-9)
