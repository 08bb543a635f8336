"""Governance labels in the spelling of Google Cloud, and whose labels are whose."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.providers.gke.labels import build_labels, find_label_faults, merge_labels

MARKS = {"atoll-id": "k7f2m9", "atoll-operation": "op-1", "atoll-state": "create-begun"}
LABELS = st.dictionaries(
    st.text("abcxyzABC019-_./", min_size=1, max_size=70), st.text("abcXYZ019-_.", max_size=63), max_size=40
)


def test_what_google_does_not_know_becomes_an_underscore() -> None:
    assert build_labels({"governance.atoll.dev/Compliance": "PCI-4.0", "cost-centre": "42"}) == {
        "governance_atoll_dev_compliance": "pci-4_0",
        "cost-centre": "42",
    }


@pytest.mark.parametrize(
    ("labels", "field", "words"),
    [
        ({"a.b": "1", "a_b": "2"}, "spec.labels[a_b]", "and a.b would both be a_b"),
        ({"7up": "1"}, "spec.labels[7up]", "does not begin with a letter"),
        ({"goog-x": "1"}, "spec.labels[goog-x]", "not yours to set"),
        ({"atoll-id": "1"}, "spec.labels[atoll-id]", "not yours to set"),
        ({"atoll.labels": "1", "atoll-labels-2": "1"}, "spec.labels[atoll-labels-2]", "not yours to set"),
        ({"x" * 64: "1"}, f"spec.labels[{'x' * 64}]", "longer than the 63"),
        ({f"l{number}": "1" for number in range(60)}, "spec.labels", "has room for"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(labels: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)) as refused:
        build_labels(labels)
    assert refused.value.field == field


def test_labels_that_are_not_declared_any_more_go_and_those_of_others_stay() -> None:
    first = merge_labels({"team": "search"}, {"a": "1", "b": "2"}, MARKS)
    second = merge_labels({**first, "theirs": "new"}, {"b": "3"}, MARKS)
    assert {key: value for key, value in second.items() if not key.startswith("atoll-")} == {
        "team": "search",
        "theirs": "new",
        "b": "3",
    }


@given(before=LABELS, after=LABELS, theirs=st.dictionaries(st.from_regex("t[a-z]{1,5}", fullmatch=True), st.just("x")))
def test_merging_writes_what_google_takes_and_twice_is_once(
    before: dict[str, str], after: dict[str, str], theirs: dict[str, str]
) -> None:
    if find_label_faults(before) or find_label_faults(after):
        return
    old, new = build_labels(before), build_labels(after)
    others = {key: value for key, value in theirs.items() if key not in old}
    merged = merge_labels(merge_labels(others, old, MARKS), new, MARKS)
    assert merge_labels(merged, new, MARKS) == merged
    assert {**others, **new, **MARKS}.items() <= merged.items()
    assert {key for key in merged if not key.startswith("atoll-")} == {*others, *new}
    assert all(re.fullmatch("[a-z][a-z0-9_-]{0,62}", key) for key in merged)
    assert all(re.fullmatch("[a-z0-9_-]{0,63}", value) for value in merged.values())
