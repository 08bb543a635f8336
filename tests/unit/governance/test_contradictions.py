"""Regimes that can never hold together are told where they are written, with both sources."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.decisions import Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Environment, Member, Meta, ProviderBlock, Regime, Tenant, TenantEnvironment
from atoll.fleet.values import Version
from atoll.governance import find_contradictions


def meta(name: str) -> Meta:
    return Meta(name=name, namespace="fleet")


def regime(name: str, *countries: str, **more) -> Regime:
    return Regime(meta=meta(name), countries=countries, **more)


def build_fleet(*regimes: Regime, tenant=(), environment=(), cluster_set=(), member=()) -> Fleet:
    return Fleet(
        name="fleet",
        regimes=regimes,
        environments=(Environment(meta=meta("prod"), regimes=environment),),
        tenants=(Tenant(meta=meta("pay"), regimes=tenant, environments=(TenantEnvironment(name="prod"),)),),
        cluster_sets=(
            ClusterSet(
                meta=meta("eu"),
                version=Version.parse("v1.36.4"),
                provider=ProviderBlock(kind="local"),
                regimes=cluster_set,
                members=(Member(name="a", regimes=member), Member(name="b")),
            ),
        ),
    )


def test_countries_that_exclude_each_other_are_told_with_both_sources() -> None:
    fleet = build_fleet(regime("gdpr", "FR", "DE"), regime("us", "US"), tenant=("us",), environment=("gdpr",))
    assert find_contradictions(fleet) == (
        Problem(
            kind="Tenant",
            name="pay",
            path="spec.regimes",
            reason="RegimesContradict",
            message="Regime gdpr (from Environment prod spec.regimes) allows DE, FR, Regime us (from Tenant pay "
            "spec.regimes) allows US, and no country is allowed by both: no cluster can keep them together. Remove one "
            "of them from spec.regimes.",
        ),
    )


def test_regimes_that_refuse_each_other_are_told_whichever_of_them_says_so() -> None:
    for pair in (
        (regime("internal", incompatible_with=("pci",)), regime("pci")),
        (regime("internal"), regime("pci", incompatible_with=("internal",))),
    ):
        (problem,) = find_contradictions(build_fleet(*pair, member=("pci",), cluster_set=("internal",)))
        assert (problem.kind, problem.name, problem.path) == ("ClusterSet", "eu", "spec.clusters[a].regimes")
        assert "internal (from ClusterSet eu spec.regimes)" in problem.message
        assert "pci (from ClusterSet eu spec.clusters[a].regimes)" in problem.message


def test_three_regimes_may_exclude_each_other_only_together() -> None:
    three = (regime("a", "DE", "FR"), regime("b", "FR", "NL"), regime("c", "NL", "DE"))
    (problem,) = find_contradictions(build_fleet(*three, tenant=("a", "b", "c")))
    assert "no country is allowed by all of them" in problem.message


def test_what_only_demanded_and_attested_contradict_is_left_to_placement() -> None:
    pair = (regime("gdpr", "DE"), regime("us", "US", incompatible_with=("gdpr",)))
    assert find_contradictions(build_fleet(*pair, tenant=("us",), cluster_set=("gdpr",))) == ()


def test_labels_and_missing_regimes_are_told_before_anybody_is_placed() -> None:
    pair = (regime("gdpr", labels={"class": "personal"}), regime("pci", labels={"class": "card"}))
    fleet = build_fleet(*pair, tenant=("pci", "sox"), environment=("gdpr",))
    assert [(item.kind, item.reason) for item in find_contradictions(fleet)] == [
        ("Tenant", "LabelConflict"),
        ("Tenant", "RegimeMissing"),
    ]


def test_a_fault_that_many_share_is_told_once() -> None:
    fleet = build_fleet(regime("gdpr", "DE"), regime("us", "US"), environment=("gdpr", "us"))
    more = tuple(replace(fleet.tenants[0], meta=meta(name)) for name in ("web", "ops"))
    (problem,) = find_contradictions(replace(fleet, tenants=(*fleet.tenants, *more)))
    assert (problem.kind, problem.name) == ("Environment", "prod")


countries = st.sets(st.sampled_from(["DE", "FR", "US"]), max_size=2)


@given(countries, countries, countries)
def test_law_countries_contradict_exactly_when_no_country_is_left(one, two, three) -> None:
    names = ("a", "b", "c")
    regimes = tuple(regime(name, *found) for name, found in zip(names, (one, two, three), strict=True))
    strict = [found for found in (one, two, three) if found]
    possible = not strict or bool(set.intersection(*strict))
    assert (find_contradictions(build_fleet(*regimes, tenant=names)) == ()) is possible
