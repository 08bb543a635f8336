"""Governance labels: who wins, what is refused, and what a missing or contradicting regime does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.decisions import Problem
from atoll.fleet.labels import is_reserved, protected_keys
from atoll.fleet.spec import ClusterSet, Environment, Member, Meta, ProviderBlock, Regime, Tenant
from atoll.fleet.values import Version
from atoll.governance import (
    attested_regimes,
    choose_pod_security,
    compile_labels,
    effective_regimes,
)


def build_set(labels=None, regimes=()) -> ClusterSet:
    return ClusterSet(
        meta=Meta(name="eu", namespace="fleet"),
        version=Version.parse("v1.36.4"),
        provider=ProviderBlock(kind="local"),
        labels=labels or {},
        regimes=regimes,
    )


def build_environment(labels=None, regimes=()) -> Environment:
    return Environment(meta=Meta(name="prod", namespace="fleet"), labels=labels or {}, regimes=regimes)


def build_tenant(regimes=()) -> Tenant:
    return Tenant(meta=Meta(name="pay", namespace="fleet"), regimes=regimes)


def build_regimes(**labels) -> dict[str, Regime]:
    return {name: Regime(meta=Meta(name=name, namespace="fleet"), labels=found) for name, found in labels.items()}


def test_environment_wins_over_member_and_member_over_set() -> None:
    labels, problems = compile_labels(
        build_set({"owner": "set", "stage": "set", "cost": "set"}),
        Member(name="a", labels={"stage": "member", "cost": "member"}),
        build_environment({"cost": "environment"}),
    )
    assert (labels, problems) == ({"cost": "environment", "owner": "set", "stage": "member"}, ())


def test_regimes_of_all_four_sources_leave_a_mark_and_their_labels_get_the_prefix() -> None:
    labels, problems = compile_labels(
        build_set(regimes=("gdpr",)),
        Member(name="a", regimes=("iso",)),
        build_environment(regimes=("sox",)),
        build_tenant(regimes=("pci",)),
        build_regimes(gdpr={"privacy": "eu"}, iso={}, sox={}, pci={"compliance": "pci"}),
    )
    assert problems == ()
    assert labels == {
        "governance.atoll.dev/compliance": "pci",
        "governance.atoll.dev/privacy": "eu",
        "regime.atoll.dev/gdpr": "true",
        "regime.atoll.dev/iso": "true",
        "regime.atoll.dev/pci": "true",
        "regime.atoll.dev/sox": "true",
    }


@pytest.mark.parametrize(
    "key",
    ["kubernetes.io/x", "app.kubernetes.io/name", "k8s.io/x", "a.k8s.io/y", "atoll.dev/tenant", "regime.atoll.dev/x"],
)
def test_keys_that_belong_to_kubernetes_or_atoll_are_refused_with_their_field(key: str) -> None:
    labels, problems = compile_labels(build_set(), Member(name="a", labels={key: "1", "mine": "2"}))
    assert labels == {"mine": "2"}
    assert problems == (
        Problem(
            kind="ClusterSet",
            name="eu",
            path="spec.clusters[a].labels",
            reason="InvalidSpec",
            message=f"ClusterSet eu spec.clusters[a].labels has the key `{key}`, and keys under kubernetes.io, k8s.io, "
            "atoll.dev are not for governance labels. Choose a key of your own.",
        ),
    )


@pytest.mark.parametrize("key", ["stage", "mykubernetes.io/x", "example.com/atoll.dev", "kubernetes.io"])
def test_keys_that_only_look_alike_are_allowed(key: str) -> None:
    assert not is_reserved(key)


def test_two_regimes_that_set_one_key_differently_are_refused_with_both_named() -> None:
    labels, problems = compile_labels(
        build_set(regimes=("gdpr",)),
        None,
        build_environment(),
        build_tenant(regimes=("pci",)),
        build_regimes(gdpr={"class": "personal", "zone": "eu"}, pci={"class": "card"}),
    )
    assert labels == {
        "governance.atoll.dev/zone": "eu",
        "regime.atoll.dev/gdpr": "true",
        "regime.atoll.dev/pci": "true",
    }
    assert problems == (
        Problem(
            kind="Tenant",
            name="pay",
            path="spec.regimes",
            reason="LabelConflict",
            message="Regime gdpr (from ClusterSet eu spec.regimes) sets the label class to `personal`, and Regime pci "
            "(from Tenant pay spec.regimes) to `card`. Give both the same value, or remove one of them from "
            "spec.regimes.",
        ),
    )


def test_a_conflict_is_told_at_the_narrower_source_whichever_regime_comes_first() -> None:
    _, (problem,) = compile_labels(
        build_set(),
        Member(name="a", regimes=("pci",)),
        build_environment(regimes=("gdpr",)),
        None,
        build_regimes(gdpr={"class": "personal"}, pci={"class": "card"}),
    )
    assert (problem.kind, problem.name) == ("Environment", "prod")
    assert "gdpr (from Environment prod spec.regimes)" in problem.message
    assert "pci (from ClusterSet eu spec.clusters[a].regimes)" in problem.message


def test_two_regimes_that_agree_are_no_conflict() -> None:
    _, problems = compile_labels(
        build_set(regimes=("a", "b")), None, regimes=build_regimes(a={"class": "x"}, b={"class": "x"})
    )
    assert problems == ()


@pytest.mark.parametrize(
    ("sources", "blamed"),
    [
        ({"tenant": build_tenant(("pci",)), "environment": build_environment(regimes=("pci",))}, ("Tenant", "pay")),
        ({"environment": build_environment(regimes=("pci",))}, ("Environment", "prod")),
        ({"member": Member(name="a", regimes=("pci",))}, ("ClusterSet", "eu")),
        ({"cluster_set": build_set(regimes=("pci",))}, ("ClusterSet", "eu")),
    ],
)
def test_a_missing_regime_is_a_problem_of_the_narrowest_source_and_keeps_its_mark(sources, blamed) -> None:
    labels, (problem,) = compile_labels(**{"cluster_set": build_set(), "member": None, "regimes": {}, **sources})
    assert labels == {"regime.atoll.dev/pci": "true"}
    assert (problem.kind, problem.name, problem.reason) == (*blamed, "RegimeMissing")
    assert "does not exist. Create it, or remove the name." in problem.message


def test_a_regime_key_with_a_prefix_of_its_own_is_refused() -> None:
    labels, (problem,) = compile_labels(build_set(regimes=("a",)), None, regimes=build_regimes(a={"x.io/y": "1"}))
    assert labels == {"regime.atoll.dev/a": "true"}
    assert (problem.kind, problem.name, problem.path) == ("Regime", "a", "spec.labels")


def test_protected_keys_are_the_copied_ones_in_order() -> None:
    assert protected_keys({"z": "1", "a": "2", "governance.atoll.dev/x": "3", "regime.atoll.dev/pci": "true"}) == (
        "a",
        "z",
    )


def test_demanded_is_environment_and_tenant_attested_is_set_and_member() -> None:
    assert effective_regimes(build_environment(regimes=("b", "a")), build_tenant(("c", "a"))) == ("a", "b", "c")
    assert effective_regimes(None, None) == ()
    assert attested_regimes(build_set(regimes=("b",)), Member(name="m", regimes=("a",))) == ("a", "b")


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        ((), "baseline"),
        (("", "privileged"), "baseline"),
        (("restricted", "baseline"), "restricted"),
    ],
)
def test_the_strictest_pod_security_wins(levels, expected: str) -> None:
    regimes = {
        f"r{index}": Regime(meta=Meta(name=f"r{index}", namespace="fleet"), pod_security=level)
        for index, level in enumerate(levels)
    }
    assert choose_pod_security(regimes, regimes) == expected


def test_a_missing_regime_means_the_strictest_pod_security() -> None:
    assert choose_pod_security(("gone",), {}) == "restricted"


names = st.sampled_from(["a", "b", "c"])


@given(
    st.sets(names),
    st.sets(names),
    st.dictionaries(names, st.dictionaries(st.sampled_from(["k", "l"]), names), max_size=3),
)
def test_law_a_label_of_a_regime_is_set_exactly_when_nobody_contradicts(attested, demanded, known) -> None:
    labels, problems = compile_labels(
        build_set(regimes=tuple(attested)), None, None, build_tenant(tuple(demanded)), build_regimes(**known)
    )
    for name in attested | demanded:
        assert labels[f"regime.atoll.dev/{name}"] == "true"
    for key in ("k", "l"):
        values = {known[name][key] for name in attested | demanded if name in known and key in known[name]}
        assert labels.get(f"governance.atoll.dev/{key}") == (values.pop() if len(values) == 1 else None)
    missing = {name for name in attested | demanded if name not in known}
    assert len([item for item in problems if item.reason == "RegimeMissing"]) == len(missing)
