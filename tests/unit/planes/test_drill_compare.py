"""A restored plane is compared with the living one: what is equal is not called different, and nothing is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.planes.drill_compare import (
    DrillResult,
    Kind,
    KindComparison,
    Listing,
    Mark,
    choose_samples,
    compare_kind,
    describe_differences,
    describe_result,
    find_difference,
    judge_sample,
    parse_kinds,
    parse_marks,
)

REVISION = 100
MAPS = Kind(group="", version="v1", resource="configmaps")
LEASES = Kind(group="coordination.k8s.io", version="v1", resource="leases")
NAMES = st.text("abc", min_size=1, max_size=3)
MARKS = st.lists(
    st.builds(Mark, namespace=NAMES, name=NAMES, uid=st.uuids().map(str), revision=st.integers(1, REVISION)),
    unique_by=lambda mark: mark.place,
    max_size=12,
).map(tuple)
SOME_MARKS = MARKS.filter(bool)


def listing(*marks: Mark, exact: bool = True) -> Listing:
    return Listing(marks=marks, exact=exact)


def mark(name: str, revision: int = 7, uid: str = "") -> Mark:
    return Mark(namespace="default", name=name, uid=uid or f"uid-{name}", revision=revision)


def compare(
    living: Sequence[Mark], restored: Sequence[Mark], *, exact: bool = True, kind: Kind = MAPS
) -> KindComparison:
    return compare_kind(kind, listing(*living, exact=exact), listing(*restored), revision=REVISION)


@given(MARKS, st.randoms(use_true_random=False), st.booleans())
def test_what_is_equal_has_no_difference_in_whatever_order_it_comes(
    marks: tuple[Mark, ...], by: Any, exact: bool
) -> None:
    shuffled = list(marks)
    by.shuffle(shuffled)
    assert compare(marks, shuffled, exact=exact) == KindComparison(
        objects=len(marks), equal=tuple(sorted(marks)), differences=()
    )


@given(SOME_MARKS, st.data(), st.booleans())
def test_each_lost_object_is_found(marks: tuple[Mark, ...], data: st.DataObject, exact: bool) -> None:
    lost = data.draw(st.sampled_from(marks))
    found = compare(marks, [each for each in marks if each != lost], exact=exact)
    assert found.differences == (f"configmaps {lost.place} was not restored",)
    assert len(found.equal) == found.objects == len(marks) - 1


@given(SOME_MARKS, st.data())
def test_each_object_is_found_that_the_cluster_did_not_have(marks: tuple[Mark, ...], data: st.DataObject) -> None:
    added = data.draw(st.sampled_from(marks))
    found = compare([each for each in marks if each != added], marks)
    assert found.differences == (f"configmaps {added.place} was restored, and the cluster did not have it",)


@given(SOME_MARKS, st.data(), st.booleans())
def test_each_object_of_an_older_state_or_another_life_is_found(
    marks: tuple[Mark, ...], data: st.DataObject, exact: bool
) -> None:
    right = data.draw(st.sampled_from(marks))
    other = replace(right, revision=right.revision - 1) if data.draw(st.booleans()) else replace(right, uid="other")
    found = compare(marks, [other if each == right else each for each in marks], exact=exact)
    assert len(found.differences) == 1
    assert found.differences[0].startswith(f"configmaps {right.place} was restored ")
    assert right not in found.equal


@given(MARKS, MARKS)
def test_what_was_written_or_deleted_since_is_no_difference_where_the_revision_is_forgotten(
    kept: tuple[Mark, ...], touched: tuple[Mark, ...]
) -> None:
    """Half of what was touched was written again, half was deleted; and there is something new."""
    touched = tuple(replace(each, name=f"touched-{each.name}") for each in touched)
    half = len(touched) // 2
    written = [replace(each, revision=REVISION + 1 + number) for number, each in enumerate(touched[:half])]
    found = compare([*kept, *written, mark("new", REVISION + 50)], [*kept, *touched], exact=False)
    assert found == KindComparison(objects=len(kept) + len(touched), equal=tuple(sorted(kept)), differences=())


def test_restless_kinds_are_compared_as_of_one_revision_and_not_otherwise() -> None:
    here = [mark("node-a", 5)]
    assert compare([], here, kind=LEASES).differences != ()
    assert compare(here, [], kind=LEASES, exact=False).differences == ()


@given(st.dictionaries(st.sampled_from([MAPS, replace(MAPS, resource="secrets")]), MARKS), st.text(max_size=5))
def test_samples_are_all_objects_in_an_order_that_the_seed_decides(
    marks: dict[Kind, tuple[Mark, ...]], seed: str
) -> None:
    chosen = choose_samples(marks, seed)
    assert sorted(chosen) == sorted((kind, each) for kind, all_of_it in marks.items() for each in all_of_it)
    assert chosen == choose_samples({kind: tuple(reversed(each)) for kind, each in marks.items()}, seed)


def test_every_kind_is_sampled_before_any_is_sampled_twice_and_restless_kinds_never_are() -> None:
    many = tuple(mark(f"many-{number}") for number in range(50))
    secrets = replace(MAPS, resource="secrets")
    chosen = choose_samples({MAPS: many, secrets: (mark("one"),), LEASES: many}, "seed")
    assert {kind for kind, _ in chosen[:2]} == {MAPS, secrets}
    assert {kind for kind, _ in chosen} == {MAPS, secrets}
    assert chosen != choose_samples({MAPS: many, secrets: (mark("one"),)}, "another seed")


def body(revision: int = 7, **data: Any) -> dict[str, Any]:
    return {"metadata": {"name": "a", "resourceVersion": str(revision)}, "data": data}


@pytest.mark.parametrize(
    ("living", "restored", "expected"),
    [
        pytest.param(body(a="1"), body(a="1"), "", id="equal"),
        pytest.param(body(8, a="2"), body(a="1"), None, id="written since in the cluster"),
        pytest.param(None, body(a="1"), None, id="deleted since in the cluster"),
        pytest.param(body(a="1"), body(8, a="2"), None, id="written since by the restored API server"),
        pytest.param(body(a="1"), body(a="secret"), "configmaps default/a differs in data.a", id="another value"),
        pytest.param(body(a="1"), body(), "configmaps default/a differs in data.a", id="a value less"),
        pytest.param(
            body(a="1"),
            None,
            "configmaps default/a is listed in the restored plane, and cannot be read there",
            id="listed and not to be read",
        ),
    ],
)
def test_a_sample_differs_only_if_nobody_wrote_it_since(living: Any, restored: Any, expected: str | None) -> None:
    assert judge_sample(MAPS, mark("a"), living, restored) == expected


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3),
)


@given(VALUES, VALUES)
def test_a_field_is_named_exactly_if_the_values_differ(one: Any, other: Any) -> None:
    assert (find_difference(one, other) is None) == (one == other)


def test_the_path_of_a_difference_is_told_and_never_its_value() -> None:
    living = {"spec": {"ports": [{"port": 1}, {"port": 2}]}}
    restored = {"spec": {"ports": [{"port": 1}, {"port": 77}]}}
    assert find_difference(living, restored) == "spec.ports[1].port"


def version(name: str, *resources: tuple[str, list[str]]) -> dict[str, Any]:
    return {"version": name, "resources": [{"resource": resource, "verbs": verbs} for resource, verbs in resources]}


def test_kinds_are_those_that_are_stored_and_listed_once_each_in_the_preferred_version() -> None:
    reads = ["get", "list"]
    core = {"items": [{"versions": [version("v1", ("pods", reads), ("bindings", ["create"]), ("events", reads))]}]}
    groups = {
        "items": [
            {
                "metadata": {"name": "autoscaling"},
                "versions": [version("v2", ("scalers", reads)), version("v1", ("scalers", reads), ("old", reads))],
            },
            {"metadata": {"name": "metrics.k8s.io"}, "versions": [version("v1beta1", ("nodes", reads))]},
            {"metadata": {"name": "events.k8s.io"}, "versions": [version("v1", ("events", reads))]},
        ]
    }
    core["items"][0]["versions"][0]["resources"].append({"resource": "componentstatuses", "verbs": reads})
    assert parse_kinds(core, groups, {"v1beta1.metrics.k8s.io"}) == (
        Kind(group="", version="v1", resource="events"),
        Kind(group="", version="v1", resource="pods"),
        Kind(group="autoscaling", version="v1", resource="old"),
        Kind(group="autoscaling", version="v2", resource="scalers"),
    )


def test_what_has_no_uid_is_computed_and_does_not_count() -> None:
    stored = {"metadata": {"namespace": "default", "name": "a", "uid": "uid-a", "resourceVersion": "7"}}
    assert parse_marks([stored, {"metadata": {"name": "etcd-0"}}]) == (mark("a"),)


def test_a_result_gives_its_figures_in_one_line_and_names_the_first_differences() -> None:
    result = DrillResult(
        time=datetime(2026, 1, 1, tzinfo=UTC), seconds=6.12, objects=312, kinds=61, samples=40, differences=()
    )
    assert describe_result(result) == "restored 312 objects of 61 kinds in 6.1 s; 40 samples equal"
    assert describe_differences(("a", "b")) == "a; b"
    assert describe_differences(tuple("abcdefg")) == "a; b; c; d; e; and 2 more"
