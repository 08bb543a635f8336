"""What belongs into a child, and the steps that lead there."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.decisions import Placement
from atoll.fleet.observed import ChildCluster, MemberView
from atoll.fleet.plan import ApplyMemberObject, DeleteMemberObject
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Meta, Tenant, TenantEnvironment, TenantMember, TenantNamespace
from atoll.fleet.values import Resources, Version, parse_quantity
from atoll.segregation import Operators, plan_member_objects, taken_namespaces, taken_owner, wanted_objects
from atoll.segregation.limits import OBJECT_COUNTS, build_limit_range, build_quota
from atoll.segregation.metadata import find_key

NOW = datetime(2026, 11, 21, tzinfo=UTC)
VERSION = Version.parse("v1.36.4")
CHILD = ChildCluster(
    meta=Meta(name="eu--a", namespace="fleet"),
    id="c-1234",
    set_name="eu",
    member_name="a",
    provider="local",
    version=VERSION,
    revision="r1",
)
PAY = Tenant(
    meta=Meta(name="pay", namespace="fleet", uid="uid-pay"),
    members=(
        TenantMember(kind="Group", name="payments-devs", role="developer"),
        TenantMember(kind="User", name="ada@example.com", role="admin"),
        TenantMember(kind="Group", name="system:masters", role="admin"),
    ),
    environments=(
        TenantEnvironment(
            name="prod",
            namespaces=(TenantNamespace(resources=Resources.parse({"cpu": "4", "memory": "8Gi", "pods": "40"})),),
        ),
    ),
)
PLACEMENT = Placement(
    tenant="pay", environment="prod", namespace="pay--prod", cluster="eu--a", state="Placed", since=NOW
)
RELEASED = replace(PLACEMENT, state="Leaving", mark="released", access=False)
LABELS = {("pay", "prod"): {"stage": "prod", "governance.atoll.dev/compliance": "pci", "regime.atoll.dev/pci": "true"}}
FLEET = Fleet(name="fleet", tenants=(PAY,))
OPERATORS = Operators()


def build(placements=(PLACEMENT,), fleet=FLEET, labels=LABELS, operators=OPERATORS, **more):
    return wanted_objects(
        fleet, CHILD, placements, "hub-1", labels_for=labels, pod_security_for={}, operators=operators, **more
    )


def covers(wanted, observed) -> bool:
    if isinstance(wanted, dict):
        return isinstance(observed, dict) and all(
            key in observed and covers(value, observed[key]) for key, value in wanted.items()
        )
    return observed == wanted


def observe(bodies) -> MemberView:
    """See what an API server would return: everything, with a UID."""
    objects = {}
    for number, body in enumerate(bodies):
        copy = deepcopy(body)
        copy["metadata"]["uid"] = f"uid-{number}"
        objects[find_key(body)] = copy
    namespaces = {key[2]: body["metadata"]["labels"] for key, body in objects.items() if key[0] == "Namespace"}
    return MemberView(version=VERSION, cluster_uid="u", ready=True, objects=objects, namespaces=namespaces)


def steps(wanted, view, **more):
    return plan_member_objects("eu--a", wanted, view, covers=covers, **more)


def told(plan) -> list[str]:
    return [
        f"delete {step.kind} {step.namespace}/{step.name} {step.uid}"
        if isinstance(step, DeleteMemberObject)
        else "apply {} {}/{}".format(*find_key(step.body))
        for step in plan
    ]


def test_all_objects_of_one_tenant_stand_in_the_golden_file(compare_golden) -> None:
    compare_golden("one-tenant", build())


def test_no_object_has_an_owner_reference_and_all_have_our_label() -> None:
    for body in build():
        assert "ownerReferences" not in body["metadata"]
        assert body["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "atoll"


def test_roles_grant_nothing_that_could_be_handed_on() -> None:
    rules = [rule for body in build() if body["kind"] == "ClusterRole" for rule in body["rules"]]
    assert rules
    for rule in rules:
        assert not {"*", "escalate", "bind", "impersonate"} & {*rule["verbs"], *rule["resources"], *rule["apiGroups"]}
        forbidden = {"roles", "rolebindings", "nodes", "nodes/proxy", "serviceaccounts/token", "namespaces"}
        assert not forbidden & {*rule["resources"]}
        if {"resourcequotas", "limitranges", "networkpolicies", "endpoints", "endpointslices"} & {*rule["resources"]}:
            assert set(rule["verbs"]) <= {"get", "list", "watch"}


def test_a_viewer_reads_no_secret_and_writes_nothing() -> None:
    (viewer,) = [body for body in build() if find_key(body) == ("ClusterRole", "", "atoll:viewer")]
    for rule in viewer["rules"]:
        assert set(rule["verbs"]) <= {"get", "list", "watch"}
        assert "secrets" not in rule["resources"]


def test_a_system_name_that_slipped_past_admission_is_bound_to_nothing() -> None:
    (admins,) = [body for body in build() if find_key(body) == ("RoleBinding", "pay--prod", "atoll:admin")]
    assert [subject["name"] for subject in admins["subjects"]] == ["pay--admin", "ada@example.com"]


def test_several_namespaces_each_get_a_border_of_their_own() -> None:
    spaces = tuple(TenantNamespace(name=name, resources=Resources.parse({"cpu": 1})) for name in ("api", "db"))
    tenant = replace(PAY, environments=(TenantEnvironment(name="prod", namespaces=spaces),))
    placements = tuple(replace(PLACEMENT, namespace=f"pay--prod--{name}") for name in ("db", "api"))
    keys = [find_key(body) for body in build(placements, Fleet(name="fleet", tenants=(tenant,)))]
    assert [key for key in keys if key[0] in {"Namespace", "ResourceQuota"}] == [
        ("Namespace", "", "atoll-system"),
        ("Namespace", "", "pay--prod--api"),
        ("Namespace", "", "pay--prod--db"),
        ("ResourceQuota", "pay--prod--api", "atoll"),
        ("ResourceQuota", "pay--prod--db", "atoll"),
    ]


def test_placements_on_other_clusters_are_none_of_this_childs_business() -> None:
    assert build((replace(PLACEMENT, cluster="eu--b"),)) == build(())


def test_without_access_stays_what_bounds_the_data_and_the_mark_says_so() -> None:
    full = {find_key(body): body for body in build()}
    left = {find_key(body): body for body in build((RELEASED,))}
    assert {key[0] for key in full if key not in left} == {"RoleBinding", "ServiceAccount"}
    differing = {key for key in left if left[key] != full[key]}
    assert differing == {("Namespace", "", "pay--prod")}
    assert left["Namespace", "", "pay--prod"]["metadata"]["labels"]["atoll.dev/placement"] == "released"


def test_who_moves_keeps_access_until_the_old_place_is_released() -> None:
    leaving = build((replace(PLACEMENT, state="Leaving", mark="leaving"),))
    assert [find_key(body) for body in leaving] == [find_key(body) for body in build()]


def test_accounts_stay_while_one_placement_on_the_cluster_has_access() -> None:
    tenant = replace(PAY, environments=tuple(TenantEnvironment(name=name) for name in ("dev", "prod")))
    fleet = Fleet(name="fleet", tenants=(tenant,))
    dev = replace(PLACEMENT, environment="dev", namespace="pay--dev")
    keys = [find_key(body) for body in build((RELEASED, dev), fleet)]
    assert len([key for key in keys if key[0] == "ServiceAccount"]) == 3
    assert {key[1] for key in keys if key[0] == "RoleBinding"} == {"pay--dev"}


def test_governance_labels_and_marks_stand_on_everything_that_is_made_for_a_tenant() -> None:
    mine = [body for body in build() if body["metadata"]["labels"].get("atoll.dev/tenant") == "pay"]
    assert {body["kind"] for body in mine} == {
        "Namespace",
        "LimitRange",
        "NetworkPolicy",
        "ResourceQuota",
        "RoleBinding",
        "ServiceAccount",
    }
    for body in mine:
        assert LABELS["pay", "prod"].items() <= body["metadata"]["labels"].items(), find_key(body)


def test_an_account_serves_all_environments_and_bears_what_they_do_not_contradict() -> None:
    tenant = replace(PAY, environments=tuple(TenantEnvironment(name=name) for name in ("dev", "prod")))
    labels = {("pay", "prod"): {"stage": "prod", "cost": "1", "regime.atoll.dev/pci": "true"}}
    labels["pay", "dev"] = {"stage": "dev", "cost": "1"}
    placements = (PLACEMENT, replace(PLACEMENT, environment="dev", namespace="pay--dev"))
    bodies = build(placements, Fleet(name="fleet", tenants=(tenant,)), labels)
    (account,) = [body for body in bodies if find_key(body) == ("ServiceAccount", "atoll-system", "pay--admin")]
    assert account["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "atoll",
        "atoll.dev/tenant": "pay",
        "cost": "1",
        "regime.atoll.dev/pci": "true",
    }


def test_no_governance_label_stands_in_for_one_of_ours() -> None:
    forged = {"atoll.dev/tenant": "web", "app.kubernetes.io/managed-by": "helm", "atoll.dev/placement": "released"}
    for body in build(labels={("pay", "prod"): forged}):
        labels = body["metadata"]["labels"]
        assert labels["app.kubernetes.io/managed-by"] == "atoll"
        assert labels.get("atoll.dev/tenant", "pay") == "pay"
        if body["kind"] == "Namespace":
            assert labels.get("atoll.dev/placement", "placed") == "placed"


def test_the_namespace_tells_which_tenant_object_it_is_for() -> None:
    (space,) = [body for body in build() if find_key(body) == ("Namespace", "", "pay--prod")]
    assert space["metadata"]["annotations"] == {
        "atoll.dev/protected-labels": "stage",
        "atoll.dev/tenant-uid": "uid-pay",
    }


def test_leaving_an_environment_that_is_no_longer_asked_for_revokes_and_keeps_the_quota_as_it_was() -> None:
    view = observe(build())
    fleet = Fleet(name="fleet", tenants=(replace(PAY, environments=()),))
    wanted = build((RELEASED,), fleet)
    plan = steps(wanted, view)
    assert [type(step) for step in plan] == [DeleteMemberObject] * 6 + [ApplyMemberObject]
    assert told(plan[6:]) == ["apply Namespace /pay--prod"]
    assert [(step.kind, step.namespace, step.name) for step in plan[:6]] == [
        ("RoleBinding", "pay--prod", "atoll:admin"),
        ("RoleBinding", "pay--prod", "atoll:developer"),
        ("RoleBinding", "pay--prod", "atoll:viewer"),
        ("ServiceAccount", "atoll-system", "pay--admin"),
        ("ServiceAccount", "atoll-system", "pay--developer"),
        ("ServiceAccount", "atoll-system", "pay--viewer"),
    ]


def test_an_orphaned_tenant_loses_access_and_keeps_namespace_quota_and_border() -> None:
    plan = steps(build((), Fleet(name="fleet")), observe(build()))
    assert {(step.kind, type(step)) for step in plan} == {
        ("RoleBinding", DeleteMemberObject),
        ("ServiceAccount", DeleteMemberObject),
    }


def test_an_empty_child_gets_namespaces_first_then_roles_then_the_rest() -> None:
    plan = steps(build(), observe(()))
    assert all(isinstance(step, ApplyMemberObject) for step in plan)
    kinds = [step.body["kind"] for step in plan]
    assert kinds[:5] == ["Namespace", "Namespace", "ClusterRole", "ClusterRole", "ClusterRole"]
    policies = [number for number, kind in enumerate(kinds) if kind.startswith("ValidatingAdmissionPolicy")]
    assert policies == list(range(5, 5 + len(policies)))
    assert plan[1].reason == "Namespace pay--prod is missing (tenant pay, environment prod)"


def test_nothing_is_done_where_everything_is_there() -> None:
    assert steps(build(), observe(build())) == ()


def test_drift_is_mended_by_one_apply() -> None:
    view = observe(build())
    view.objects["ResourceQuota", "pay--prod", "atoll"]["spec"]["hard"]["pods"] = "4000"
    (step,) = steps(build(), view)
    assert told((step,)) == ["apply ResourceQuota pay--prod/atoll"]
    assert step.reason == "ResourceQuota pay--prod/atoll differs from what is wanted (tenant pay, environment prod)"


def test_a_binding_to_another_role_is_made_anew_because_it_cannot_be_changed() -> None:
    view = observe(build())
    key = ("RoleBinding", "pay--prod", "atoll:viewer")
    view.objects[key]["roleRef"]["name"] = "cluster-admin"
    uid = view.objects[key]["metadata"]["uid"]
    assert told(steps(build(), view)) == [
        f"delete RoleBinding pay--prod/atoll:viewer {uid}",
        "apply RoleBinding pay--prod/atoll:viewer",
    ]


def test_what_is_no_longer_wanted_in_a_wanted_namespace_goes_and_foreign_things_stay() -> None:
    extra = {
        ("NetworkPolicy", "pay--prod", "old"): {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/tenant": "pay"},
        ("NetworkPolicy", "pay--prod", "theirs"): {"app.kubernetes.io/managed-by": "helm"},
        ("ConfigMap", "pay--prod", "copied-label"): {"app.kubernetes.io/managed-by": "atoll"},
        ("Namespace", "", "pay--old"): {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/tenant": "pay"},
    }
    bodies = [
        {"kind": kind, "metadata": {"name": name, "labels": labels, **({"namespace": ns} if ns else {})}}
        for (kind, ns, name), labels in extra.items()
    ]
    view = observe([*bodies, *build()])
    assert told(steps(build(), view)) == ["delete NetworkPolicy pay--prod/old uid-0"]
    assert told(steps(build(), view, release_namespaces=frozenset({"pay--old", "pay--prod", "atoll-system"}))) == [
        "delete Namespace /pay--old uid-3",
        "delete NetworkPolicy pay--prod/old uid-0",
    ]


def test_a_leaving_namespace_goes_when_it_is_released_and_nothing_is_applied_to_it() -> None:
    view = observe(build())
    leaving = build((RELEASED,))
    plan = steps(leaving, view, release_namespaces=frozenset({"pay--prod"}))
    assert {type(step) for step in plan} == {DeleteMemberObject}
    uid = view.objects["Namespace", "", "pay--prod"]["metadata"]["uid"]
    assert f"delete Namespace /pay--prod {uid}" in told(plan)
    view = observe([body for body in build() if find_key(body)[2] == "atoll-system"])
    assert not [
        step for step in steps(leaving, view, release_namespaces=frozenset({"pay--prod"})) if "pay" in str(step)
    ]


def test_nothing_is_deleted_without_its_uid() -> None:
    view = observe(build())
    for body in view.objects.values():
        del body["metadata"]["uid"]
    assert steps(build(()), view) == ()


def test_a_namespace_of_somebody_else_is_told_of_and_never_touched() -> None:
    view = replace(observe(()), namespaces={"pay--prod": {"team": "other"}})
    taken = taken_namespaces((PLACEMENT,), view, {"pay": PAY})
    assert taken == ("pay--prod",)
    for step in steps(build(), view, taken=frozenset(taken)):
        assert "pay--prod" not in find_key(step.body)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({"atoll.dev/tenant": "pay", "atoll.dev/environment": "prod"}, ()),
        ({"atoll.dev/tenant": "pay", "atoll.dev/environment": "dev"}, ("pay--prod",)),
        ({"atoll.dev/tenant": "shop", "atoll.dev/environment": "prod"}, ("pay--prod",)),
    ],
)
def test_a_namespace_is_ours_only_with_exactly_this_tenant_and_environment(labels, expected) -> None:
    view = replace(observe(()), namespaces={"pay--prod": labels})
    assert taken_namespaces((PLACEMENT,), view, {"pay": PAY}) == expected


def test_objects_of_a_tenant_that_cannot_be_read_are_left_exactly_as_they_are() -> None:
    view = observe(build())
    wanted = build((PLACEMENT,), Fleet(name="fleet"))
    assert steps(wanted, view, frozen_tenants=frozenset({"pay"})) == ()


def test_the_record_of_another_owner_is_told_with_what_differs() -> None:
    view = observe(build())
    assert taken_owner(view, "hub-1", "fleet", "c-1234") == ""
    assert taken_owner(observe(()), "hub-1", "fleet", "c-1234") == ""
    message = taken_owner(view, "hub-2", "fleet", "c-9")
    assert "hubUID hub-1 instead of hub-2, clusterID c-1234 instead of c-9" in message
    assert "atoll.dev/take-over" in message


amounts = st.dictionaries(
    st.sampled_from(["cpu", "memory", "pods", "storage"]), st.integers(1, 10**10), max_size=4
).map(lambda found: Resources.parse({name: f"{n}m" if name == "cpu" else n for name, n in found.items()}))


@given(amounts)
def test_law_a_container_without_amounts_is_admitted_under_the_quota(resources: Resources) -> None:
    hard = build_quota(PLACEMENT, resources)["spec"]["hard"]
    (item,) = build_limit_range(PLACEMENT, resources)["spec"]["limits"]
    assert item["default"] == item["defaultRequest"]
    for name, text in item["default"].items():
        if f"requests.{name}" in hard:
            assert 0 < parse_quantity(text) <= parse_quantity(hard[f"requests.{name}"])


POLICY = ("ValidatingAdmissionPolicy", "", "atoll-tenant-secrets")
BINDING = ("ValidatingAdmissionPolicyBinding", "", "atoll-tenant-secrets")


def test_a_policy_that_was_deleted_by_hand_is_applied_again() -> None:
    view = observe([body for body in build() if find_key(body) != POLICY])
    assert told(steps(build(), view)) == ["apply ValidatingAdmissionPolicy /atoll-tenant-secrets"]


def test_a_policy_of_ours_that_is_no_longer_wanted_goes_and_foreign_ones_stay() -> None:
    labels = {"app.kubernetes.io/managed-by": "atoll"}
    extra = [
        {"kind": POLICY[0], "metadata": {"name": "atoll-tenant-old", "labels": labels}},
        {"kind": BINDING[0], "metadata": {"name": "atoll-tenant-old", "labels": labels}},
        {"kind": POLICY[0], "metadata": {"name": "theirs", "labels": labels}},
        {"kind": POLICY[0], "metadata": {"name": "atoll-x", "labels": {}}},
    ]
    view = observe([*extra, *build()])
    assert told(steps(build(), view)) == [
        "delete ValidatingAdmissionPolicy /atoll-tenant-old uid-0",
        "delete ValidatingAdmissionPolicyBinding /atoll-tenant-old uid-1",
    ]


def test_policies_that_stand_stay_while_nobody_knows_who_we_are_there() -> None:
    assert steps(build(operators=None), observe(build())) == ()


@pytest.mark.parametrize(
    ("key", "field", "value"),
    [
        (BINDING, "validationActions", ["Deny", "Audit"]),
        (POLICY, "matchConditions", [{"name": "never", "expression": "false"}]),
    ],
)
def test_a_policy_that_was_made_to_look_away_by_entries_of_others_is_made_anew(key, field, value) -> None:
    view = observe(build())
    view.objects[key]["spec"][field] = value
    uid = view.objects[key]["metadata"]["uid"]
    assert told(steps(build(), view)) == [f"delete {key[0]} /{key[2]} {uid}", f"apply {key[0]} /{key[2]}"]


def test_flows_of_a_namespace_that_nobody_asks_for_any_more_go_and_its_border_stays() -> None:
    flows = {
        "kind": "NetworkPolicy",
        "metadata": {
            "name": "atoll-allow-flows",
            "namespace": "pay--prod",
            "labels": {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/tenant": "pay"},
        },
    }
    kept = [body for body in build() if body["kind"] not in {"RoleBinding", "ServiceAccount"}]
    view = observe([flows, *kept])
    assert told(steps(build((), Fleet(name="fleet")), view)) == [
        "delete NetworkPolicy pay--prod/atoll-allow-flows uid-0"
    ]


def marked(mark: str = "released", uid: str | None = "uid-old") -> MemberView:
    """See namespace pay--prod as somebody left it."""
    labels = {"atoll.dev/tenant": "pay", "atoll.dev/environment": "prod", "atoll.dev/placement": mark}
    annotations = {} if uid is None else {"atoll.dev/tenant-uid": uid}
    body = {"kind": "Namespace", "metadata": {"name": "pay--prod", "labels": labels, "annotations": annotations}}
    return observe([body])


@pytest.mark.parametrize(
    ("view", "adopt", "expected"),
    [
        (marked(), "", ("pay--prod",)),
        (marked(uid=None), "", ("pay--prod",)),
        (marked("emptied"), "", ("pay--prod",)),
        (marked(uid="uid-pay"), "", ()),
        (marked("placed"), "", ()),
        (marked("leaving"), "", ()),
        (marked(), "eu--a/pay--prod", ()),
        (marked(), "eu--b/pay--prod, eu--a/pay--prod", ()),
        (marked(), "eu--b/pay--prod", ("pay--prod",)),
        (marked(), "pay--prod", ("pay--prod",)),
    ],
)
@pytest.mark.parametrize("state", ["Pending", "Placed"])
def test_what_an_earlier_tenant_of_the_same_name_left_is_adopted_only_by_name(view, adopt, expected, state) -> None:
    tenant = replace(PAY, meta=replace(PAY.meta, annotations={"atoll.dev/adopt": adopt}))
    assert taken_namespaces((replace(PLACEMENT, state=state),), view, {"pay": tenant}) == expected


def test_a_foreign_namespace_is_not_adopted_by_name_either() -> None:
    tenant = replace(PAY, meta=replace(PAY.meta, annotations={"atoll.dev/adopt": "eu--a/pay--prod"}))
    view = replace(observe(()), namespaces={"pay--prod": {"team": "other"}})
    assert taken_namespaces((PLACEMENT,), view, {"pay": tenant}) == ("pay--prod",)


def test_every_kind_that_a_role_may_create_is_counted() -> None:
    groups = {
        (group, resource)
        for body in build()
        if body["kind"] == "ClusterRole"
        for rule in body["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        if "create" in rule["verbs"] and "/" not in resource
    }
    counted = {name for name, _ in OBJECT_COUNTS} | {"pods"}
    for group, resource in groups:
        names = {resource, f"count/{resource}.{group}" if group else f"count/{resource}"}
        assert names & counted, (group, resource)


@given(st.permutations([replace(PLACEMENT, namespace=f"pay--{name}", environment=name) for name in "abc"]))
def test_law_the_order_of_placements_changes_nothing(placements) -> None:
    labels = {("pay", name): {} for name in "abc"}
    tenant = replace(PAY, environments=tuple(TenantEnvironment(name=name) for name in "abc"))
    fleet = Fleet(name="fleet", tenants=(tenant,))
    assert build(placements, fleet, labels) == build(sorted(placements, key=lambda p: p.namespace), fleet, labels)
