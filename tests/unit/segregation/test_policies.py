"""The admission policies of a child as they are built; what they refuse is tried on real API servers (e2e)."""

from __future__ import annotations

import pytest

from atoll.fleet.values import Version
from atoll.segregation.operators import Operators, find_operators
from atoll.segregation.policies import build_policies

NEW = Version.parse("v1.36.4")


def test_all_policies_stand_in_the_golden_file(compare_golden) -> None:
    compare_golden("policies", build_policies(NEW, Operators(usernames=("someone",)), ["batch"]))


def test_each_policy_fails_closed_denies_and_has_a_binding_of_its_name() -> None:
    bodies = build_policies(NEW, Operators())
    policies, bindings = bodies[::2], bodies[1::2]
    assert all(body["spec"]["failurePolicy"] == "Fail" for body in policies)
    assert [body["metadata"]["name"] for body in policies] == [body["spec"]["policyName"] for body in bindings]
    assert all(body["spec"]["validationActions"] == ["Deny"] for body in bindings)
    assert all(body["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "atoll"} for body in bodies)
    assert all(body["metadata"]["name"].startswith("atoll-") for body in bodies)


def test_every_refusal_says_what_to_do() -> None:
    for body in build_policies(NEW, Operators())[::2]:
        for validation in body["spec"]["validations"]:
            assert validation["reason"] == "Forbidden"
            assert len(validation["message"]) > 40
            assert "\n" not in validation["message"]


@pytest.mark.parametrize("version", ["v1.29.9", "v1.27.0"])
def test_an_api_server_that_does_not_serve_the_kind_gets_none(version: str) -> None:
    assert build_policies(Version.parse(version), Operators()) == []
    assert build_policies(Version.parse("v1.30.0"), Operators()) != []


def test_as_long_as_nobody_knows_who_we_are_nothing_is_guarded_that_would_keep_us_out() -> None:
    names = {body["metadata"]["name"] for body in build_policies(NEW, None)}
    all_names = {body["metadata"]["name"] for body in build_policies(NEW, Operators())}
    assert all_names - names == {"atoll-own-objects", "atoll-own-namespaces"}


@pytest.mark.parametrize(
    ("username", "groups", "expected"),
    [
        ("atoll", ("atoll.dev:operators", "system:authenticated"), Operators()),
        # Other administrators are in these groups, too.
        ("kubernetes-admin", ("system:masters",), Operators(usernames=("kubernetes-admin",))),
        ("atoll", ("kubeadm:cluster-admins",), Operators(usernames=("atoll",))),
        ("arn:aws:iam::1:role/atoll", (), Operators(usernames=("arn:aws:iam::1:role/atoll",))),
        ("", ("system:masters",), None),
        ("", (), None),
    ],
)
def test_who_we_are_there_is_a_group_of_our_own_or_else_a_name(username, groups, expected) -> None:
    assert find_operators(username, groups) == expected


@pytest.mark.parametrize("name", ['o"dd', "back\\slash", "Zoë", "😀"])
def test_a_name_cannot_end_the_text_that_it_stands_in(name: str) -> None:
    (guard, *_) = build_policies(NEW, Operators(usernames=(name,)))
    (condition,) = guard["spec"]["matchConditions"]
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    assert f'"{escaped}"' in condition["expression"]
