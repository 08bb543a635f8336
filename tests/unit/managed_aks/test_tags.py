"""Governance labels as tags."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.providers.aks.tags import build_tag_name, build_tags, find_tag_drift, merge_tags


def test_what_azure_forbids_in_names_becomes_an_underscore() -> None:
    labels = {"regime.atoll.dev/gdpr": "true", "cost-centre": "42"}
    assert build_tags(labels) == {"regime.atoll.dev_gdpr": "true", "cost-centre": "42"}


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ({"a/b": "1", "a_b": "2"}, "label a_b would become the tag a_b of Azure, which is taken by label a/b"),
        ({"Team": "1", "team": "2"}, "label team would become the tag team of Azure, which is taken by label Team"),
        ({"atoll-id": "1"}, "a mark of Atoll"),
        ({"Atoll-Attempt": "1"}, "a mark of Atoll"),
        ({"microsoft.com/x": "1"}, "keeps names that begin with"),
        ({"note": "x" * 257}, "too long"),
        ({f"l{number}": "" for number in range(47)}, "47 labels are more than the 46 tags"),
    ],
)
def test_labels_that_azure_would_not_take_or_that_would_meet_are_refused(labels: dict[str, str], words: str) -> None:
    with pytest.raises(BadInput, match=re.escape(words)) as caught:
        build_tags(labels)
    assert caught.value.field == "spec.labels"


def test_tags_of_others_stay_and_those_of_regimes_that_bind_no_more_go() -> None:
    there = {"theirs": "1", "Team": "red", "regime.atoll.dev_pci": "true", "atoll-attempt": "2", "atoll-state": "x"}
    assert merge_tags(there, {"team": "blue"}, {"atoll-state": "y"}) == {
        "theirs": "1",
        "team": "blue",
        "atoll-state": "y",
    }


def test_drift_of_tags_is_said_one_by_one() -> None:
    there = {"team": "red", "governance.atoll.dev_zone": "eu", "theirs": "1"}
    assert find_tag_drift(there, {"team": "blue", "cost": "1"}) == (
        "tag cost is missing",
        "tag team is 'red' and shall be 'blue'",
        "tag governance.atoll.dev_zone is there, and its regime binds no more",
    )


@given(st.dictionaries(st.from_regex(r"[a-z0-9A-Z]([-a-zA-Z0-9_./]{0,20}[a-zA-Z0-9])?", fullmatch=True), st.just("v")))
def test_every_label_gets_a_tag_of_its_own_or_all_are_refused(labels: dict[str, str]) -> None:
    try:
        tags = build_tags(labels)
    except BadInput:
        return
    assert len({name.casefold() for name in tags}) == len(labels)
    assert tags == build_tags(dict(reversed(labels.items())))
    assert find_tag_drift(merge_tags({}, tags, {}), tags) == ()
    assert all(build_tag_name(key) in tags for key in labels)
