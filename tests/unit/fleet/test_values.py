"""Versions, amounts, selectors and shares: the small values that all decisions rest on."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.values import (
    Requirement,
    Resources,
    Selector,
    Share,
    Version,
    format_quantity,
    freeze,
    parse_quantity,
    thaw,
)


@pytest.mark.parametrize(
    ("wanted", "served", "satisfied"),
    [
        ("v1.36.4", "v1.36.4", True),
        ("v1.36.4", "v1.36.4-eks-1-36-5", True),
        ("v1.36", "v1.36.9-gke.12", True),
        ("v1.36.4", "v1.36.5", False),
        ("v1.3", "v1.36.4", False),
        ("v1.36.4", "v1.36.40", False),
    ],
)
def test_a_version_is_satisfied_at_the_border_of_a_component(wanted, served, satisfied):
    assert Version.parse(wanted).is_satisfied_by(Version.parse(served)) is satisfied


def test_a_vendors_suffix_makes_a_version_neither_older_nor_newer():
    plain, vendor = Version.parse("v1.36.2"), Version.parse("v1.36.2-eks-1-36-5")

    assert not plain < vendor
    assert not vendor < plain
    assert str(vendor) == "v1.36.2-eks-1-36-5"


@pytest.mark.parametrize("text", ["", "v", "one", "v1.x", "1.2.3.4"])
def test_what_is_no_version_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"v1\.36\.4"):
        Version.parse(text)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("500m", "0.5"), ("4", "4"), ("1k", "1000"), ("1Ki", "1024"), ("2Ei", str(2 * 1024**6)), ("1e3", "1000")],
)
def test_quantities_are_read_as_kubernetes_reads_them(text, amount):
    assert parse_quantity(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["", "K", "1K", "1.5.2", "4 cpu", "0x10"])
def test_what_is_no_quantity_is_refused(text):
    with pytest.raises(ValueError, match="quantity"):
        parse_quantity(text)


@given(st.integers(min_value=0, max_value=10**15))
def test_law_a_written_amount_is_read_as_the_same_amount(thousandths):
    amount = Decimal(thousandths) / 1000

    assert parse_quantity(format_quantity(amount)) == amount


def test_what_is_lacking_names_each_amount_that_does_not_fit():
    asked = Resources.parse({"cpu": "4", "memory": "8Gi", "pods": 10})
    free = Resources.parse({"cpu": "3200m", "memory": "16Gi"})

    assert asked.lacking(free).to_manifest() == {"cpu": "800m", "pods": "10"}


def test_an_empty_selector_selects_nothing():
    assert not Selector().matches({"stage": "prod"})
    assert not Selector().matches({})


def test_a_selector_wants_every_one_of_its_parts():
    selector = Selector(
        match_labels={"stage": "prod"},
        match_expressions=(Requirement(key="zone", operator="NotIn", values=("b",)),),
    )

    assert selector.matches({"stage": "prod"})
    assert selector.matches({"stage": "prod", "zone": "a"})
    assert not selector.matches({"stage": "prod", "zone": "b"})
    assert not selector.matches({"stage": "dev"})


@pytest.mark.parametrize(
    ("text", "total", "least", "count"), [("3", 10, 0, 3), ("25%", 10, 0, 2), ("10%", 5, 1, 1), ("0%", 5, 0, 0)]
)
def test_a_share_is_a_number_or_a_part_rounded_down(text, total, least, count):
    assert Share.parse(text).of(total, least=least) == count


def test_frozen_data_thaws_to_what_it_was():
    data = {"a": [1, {"b": "c"}], "d": None}

    assert thaw(freeze(data)) == data
