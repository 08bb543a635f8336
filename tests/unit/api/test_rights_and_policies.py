"""Rights hold no wildcard; policies hang together."""

from __future__ import annotations

from typing import Any

import pytest

from atoll.api.identity import Identity, build_service_account_username
from atoll.api.kinds import KINDS
from atoll.api.policies import build_owned, build_validating_policies
from atoll.api.policies_people import build_mutating_policies
from atoll.api.rights import build_cluster_rules, build_fleet_rules, build_operator_rights, build_people_roles

ATOLL = Identity(usernames=(build_service_account_username("atoll-system", "atoll"),))
SUBJECT = {"kind": "ServiceAccount", "name": "atoll", "namespace": "atoll-system"}
POLICIES = (*build_validating_policies(ATOLL), *build_mutating_policies())


def rules() -> list[dict[str, Any]]:
    """Return every rule that we give to anybody."""
    return [
        *build_fleet_rules(),
        *build_cluster_rules(),
        *(rule for role in build_people_roles() for rule in role["rules"]),
    ]


def test_no_rule_holds_a_wildcard() -> None:
    assert [rule for rule in rules() if "*" in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}] == []


def test_the_operator_makes_only_what_is_its_own() -> None:
    created = {
        resource
        for rule in build_fleet_rules()
        if "create" in rule["verbs"] and rule["apiGroups"] == ["atoll.dev"]
        for resource in rule["resources"]
    }
    assert created == {"childclusters", "hosts", "rollouts"}


def test_the_operator_never_approves() -> None:
    verbs = {verb for rule in build_fleet_rules() if "approvals" in rule["resources"] for verb in rule["verbs"]}
    assert verbs == {"get", "list", "watch"}


def test_everybody_who_may_view_sees_all_kinds() -> None:
    view = next(role for role in build_people_roles() if role["metadata"]["name"] == "atoll-view")
    assert view["rules"][0]["resources"] == [kind.plural for kind in KINDS]
    assert view["metadata"]["labels"]["rbac.authorization.k8s.io/aggregate-to-view"] == "true"


def test_people_never_write_status() -> None:
    writable = {resource for role in build_people_roles() for rule in role["rules"] for resource in rule["resources"]}
    assert not {resource for resource in writable if "/" in resource}


def test_a_role_is_bound_to_its_subject() -> None:
    role, binding = build_operator_rights(SUBJECT)
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [SUBJECT]


def test_every_policy_is_in_force() -> None:
    policies = {body["metadata"]["name"] for body in POLICIES if body["kind"].endswith("Policy")}
    bound = {body["spec"]["policyName"] for body in POLICIES if body["kind"].endswith("Binding")}
    assert policies == bound
    assert sorted(policies) == [
        "atoll-adoption",
        "atoll-approvers",
        "atoll-deletion-protection",
        "atoll-fleet-namespaces",
        "atoll-in-use",
        "atoll-owned",
        "atoll-requested-by",
        "atoll-requesters",
    ]


@pytest.mark.parametrize(
    "body", [body for body in POLICIES if body["kind"].endswith("Policy")], ids=lambda b: b["metadata"]["name"]
)
def test_only_our_own_objects_are_refused_when_a_policy_breaks(body: dict[str, Any]) -> None:
    groups = {group for rule in body["spec"]["matchConstraints"]["resourceRules"] for group in rule["apiGroups"]}
    assert body["spec"]["failurePolicy"] == ("Fail" if groups == {"atoll.dev"} else "Ignore")
    resources = {res for rule in body["spec"]["matchConstraints"]["resourceRules"] for res in rule["resources"]}
    assert "*" not in groups | resources


def test_no_user_name_can_break_out_of_a_policy() -> None:
    policy, _ = build_owned(Identity(usernames=('a"] || true || "x',)))
    trusted = policy["spec"]["variables"][0]["expression"]
    assert 'request.userInfo.username in ["a\\"] || true || \\"x"]' in trusted
