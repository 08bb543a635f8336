"""Hops go through every minor, and a way that cannot be had is refused with its remedy."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.values import Version
from atoll.rollout.hops import HopRefusal, plan_hops

from .builders import AVAILABLE, v


@pytest.mark.parametrize(
    ("served", "target", "hops"),
    [
        ("v1.36.4", "v1.36.4", ()),
        ("v1.36.4", "v1.36", ()),
        ("v1.36.4-eks-1", "v1.36.4", ()),
        ("v1.35.7", "v1.35.8", ("v1.35.8",)),
        ("v1.35.7", "v1.36", ("v1.36.5",)),
        ("v1.35.8", "v1.36.4", ("v1.36.4",)),
        ("v1.35.8", "v1.37.1", ("v1.36.5", "v1.37.1")),
        ("v1.34.9", "v1.37", ("v1.35.8", "v1.36.5", "v1.37.1")),
    ],
)
def test_no_minor_is_skipped(served, target, hops):
    assert plan_hops(v(served), v(target), AVAILABLE) == tuple(v(text) for text in hops)


def test_stops_are_minors_alone_where_anything_may_be_asked_for():
    assert plan_hops(v("v1.34.1"), v("v1.37.2"), ()) == (v("v1.35"), v("v1.36"), v("v1.37.2"))


@pytest.mark.parametrize(
    ("served", "target", "available", "reason", "part"),
    [
        ("v1.36.4", "v1.35.8", AVAILABLE, "DowngradeRefused", "Ask for v1.36.4 or newer"),
        ("v1.36.4", "v1.35", AVAILABLE, "DowngradeRefused", "older than the v1.36.4"),
        ("v1.36.4", "v1.36.3", AVAILABLE, "DowngradeRefused", "older than the v1.36.4"),
        ("v1.35.8", "v1.36.9", AVAILABLE, "VersionUnavailable", "no binaries for v1.36.9 itself"),
        ("v1.35.8", "v1.38", AVAILABLE, "VersionUnavailable", "no binaries for v1.38 itself"),
        ("v1.35.8", "v1.37.1", (v("v1.37.1"),), "VersionUnavailable", "no binaries for any v1.36. Provide"),
        ("v1.35.8", "v2.0.0", AVAILABLE, "VersionUnavailable", "another major"),
    ],
)
def test_a_way_that_cannot_be_had_is_refused(served, target, available, reason, part):
    refusal = plan_hops(v(served), v(target), available)
    assert isinstance(refusal, HopRefusal)
    assert refusal.reason == reason
    assert part in refusal.message


VERSIONS = st.builds(Version, st.just(1), st.integers(30, 36), st.integers(0, 9))


@given(VERSIONS, VERSIONS, st.lists(VERSIONS, max_size=20))
def test_every_way_rises_by_at_most_one_minor_and_ends_at_the_target(served, target, available):
    hops = plan_hops(served, target, tuple(available))
    assert hops == plan_hops(served, target, tuple(reversed(available)))
    if isinstance(hops, HopRefusal):
        return
    way = (served, *hops)
    for former, latter in pairwise(way):
        assert former < latter
        assert latter.minor - former.minor <= 1
        assert not available or latter in available
    assert target.is_satisfied_by(way[-1])
