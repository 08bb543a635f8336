"""What is applied to a real API server is what it then holds, and drift of each kind is mended by one write."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from atoll.fleet.plan import ApplyMemberObject, DeleteMemberObject
from atoll.kube.kinds import KINDS, VALIDATING_POLICY, VALIDATING_POLICY_BINDING, kind_of

from .child_kit import Child

pytestmark = pytest.mark.e2e


async def test_the_second_pass_plans_nothing(child: Child) -> None:
    assert await child.plan() == ()


async def test_the_api_server_finds_no_fault_with_any_expression(child: Child) -> None:
    """Types are checked by a controller, against the schema of what each policy matches."""
    async with child.member() as member:
        policies = await member.store.list(VALIDATING_POLICY, labels="app.kubernetes.io/managed-by=atoll")
        bindings = await member.store.list(VALIDATING_POLICY_BINDING, labels="app.kubernetes.io/managed-by=atoll")
    assert len(policies) == len(bindings) >= 9
    warnings = {
        body["metadata"]["name"]: body["status"]["typeChecking"]["expressionWarnings"]
        for body in policies
        if body.get("status", {}).get("typeChecking", {}).get("expressionWarnings")
    }
    assert warnings == {}
    assert all(body["spec"]["failurePolicy"] == "Fail" for body in policies)


def drift(body: dict[str, Any]) -> dict[str, Any]:
    """Change one field that we own, and add one that we do not."""
    changed: dict[str, Any] = {"metadata": {"annotations": {"example.com/mine": "stays"}}}
    match body["kind"]:
        case "Namespace":
            changed["metadata"]["labels"] = {"pod-security.kubernetes.io/enforce": "privileged"}
        case "ClusterRole":
            changed["rules"] = []
        case "RoleBinding":
            changed["subjects"] = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "mallory"}]
        case "ServiceAccount":
            changed["automountServiceAccountToken"] = True
        case "ResourceQuota":
            changed["spec"] = {"hard": {"pods": "4000"}}
        case "LimitRange":
            changed["spec"] = {"limits": [{"type": "Container", "max": {"cpu": "64"}}]}
        case "NetworkPolicy":
            changed["spec"] = {"ingress": [{}], "policyTypes": ["Ingress", "Egress"]}
        case "ConfigMap":
            changed["data"] = {"fleet": "another"}
        case "ValidatingAdmissionPolicy":
            changed["spec"] = {"failurePolicy": "Ignore"}
        case "ValidatingAdmissionPolicyBinding":
            changed["spec"] = {"matchResources": {"namespaceSelector": {"matchLabels": {"never": "true"}}}}
        case kind:
            raise AssertionError(f"no drift is known for {kind}")
    return changed


async def test_drift_of_each_kind_is_mended_by_one_write_that_leaves_other_peoples_fields_alone(child: Child) -> None:
    async with child.member() as member:
        view = await member.observe()
        one: dict[str, Any] = {}
        for body in child.want(view):
            if "default" in body["metadata"]["name"] or body["kind"] != "NetworkPolicy":
                one[body["kind"]] = body
        for kind, wanted in one.items():
            metadata = wanted["metadata"]
            place = metadata.get("namespace")
            change = drift(copy.deepcopy(dict(wanted)))
            # Only Atoll gets past its own policies: what is tried here is the drift, not who may cause it.
            await member.store.patch_merge(kind_of(wanted), place, metadata["name"], change, "somebody")

            (step,) = await child.plan()
            assert isinstance(step, ApplyMemberObject)
            assert (step.body["kind"], step.body["metadata"]["name"]) == (kind, metadata["name"])
            assert len(await child.settle()) == 1

            found = await member.store.get(kind_of(wanted), place, metadata["name"])
            assert found is not None
            assert found["metadata"]["annotations"]["example.com/mine"] == "stays"
            assert await child.plan() == ()
    assert {"Namespace", "ClusterRole", "RoleBinding", "ServiceAccount", "ResourceQuota", "LimitRange"} <= set(one)
    assert {"NetworkPolicy", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"} <= set(one)


async def test_a_policy_that_was_made_to_look_away_is_made_anew(child: Child) -> None:
    """What others put into these lists, an apply leaves in them."""
    changes = (
        (VALIDATING_POLICY_BINDING, {"validationActions": ["Audit"]}),
        (VALIDATING_POLICY, {"matchConditions": [{"name": "never", "expression": "false"}]}),
    )
    for kind, spec in changes:
        async with child.member() as member:
            await member.store.patch_merge(kind, None, "atoll-tenant-secrets", {"spec": spec}, "somebody")
        steps = await child.settle()
        assert [type(step) for step in steps] == [DeleteMemberObject, ApplyMemberObject]
        assert await child.plan() == ()


@pytest.mark.parametrize("kind", ["ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "NetworkPolicy"])
async def test_what_was_deleted_by_hand_comes_back_with_one_write(child: Child, kind: str) -> None:
    async with child.member() as member:
        view = await member.observe()
        key = next(key for key in sorted(view.objects) if key[0] == kind)
        uid = view.objects[key]["metadata"]["uid"]
        found = next(item for item in KINDS.values() if item.kind == kind)
        await member.store.delete(found, key[1] or None, key[2], uid=uid)
    steps = await child.settle()
    assert [type(step) for step in steps] == [ApplyMemberObject]
    assert await child.plan() == ()


async def test_changing_one_governance_label_writes_exactly_what_carries_it(
    child: Child, monkeypatch: pytest.MonkeyPatch
) -> None:
    from . import child_kit

    labels = {**child_kit.LABELS, ("web", "prod"): {"stage": "prod", "cost": "42"}}
    monkeypatch.setattr(child_kit, "LABELS", labels)
    steps = await child.plan()
    touched = {
        (step.body["kind"], step.body["metadata"].get("namespace", step.body["metadata"]["name"]))
        for step in steps
        if isinstance(step, ApplyMemberObject)
    }
    assert all(isinstance(step, ApplyMemberObject) for step in steps)
    assert touched == {
        ("Namespace", "web--prod"),
        ("LimitRange", "web--prod"),
        ("NetworkPolicy", "web--prod"),
        ("ResourceQuota", "web--prod"),
        ("RoleBinding", "web--prod"),
        ("ServiceAccount", "atoll-system"),
    }
