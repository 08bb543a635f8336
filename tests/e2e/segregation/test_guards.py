"""Atoll's objects and labels in a child, and everybody who tries to change them while no operator runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from .child_kit import CLAIMS_TO_BE_OURS, Child, named

pytestmark = pytest.mark.e2e

OWNER = {"user": "owner", "group": "system:masters"}
SPACE = "/api/v1/namespaces/pay--prod"
OURS = {
    "Namespace": SPACE,
    "ResourceQuota": f"{SPACE}/resourcequotas/atoll",
    "LimitRange": f"{SPACE}/limitranges/atoll",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/namespaces/pay--prod/networkpolicies/atoll-default-deny",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/pay--prod/rolebindings/atoll:viewer",
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles/atoll:viewer",
    "ServiceAccount": "/api/v1/namespaces/atoll-system/serviceaccounts/pay--admin",
    "ConfigMap": "/api/v1/namespaces/atoll-system/configmaps/atoll-owner",
}


@pytest.mark.parametrize("kind", OURS)
def test_the_clusters_own_administrator_deletes_none_of_our_objects_and_atoll_does(child: Child, kind: str) -> None:
    refused = child.call("DELETE", OURS[kind], **OWNER)
    assert not refused.ok
    assert "on the management cluster" in refused.message
    assert child.call("DELETE", OURS[kind]).ok


@pytest.mark.parametrize("kind", [kind for kind in OURS if kind != "Namespace"])
@pytest.mark.parametrize(
    "change",
    [
        {"metadata": {"labels": {"example.com/mine": "x"}}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": None}}},
        {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}},
    ],
    ids=["any field", "label taken", "label changed"],
)
def test_nobody_but_atoll_changes_our_objects(child: Child, kind: str, change: dict[str, Any]) -> None:
    refused = child.call("PATCH", OURS[kind], change, **OWNER)
    assert "marks Atoll's own objects" in refused.message
    assert child.call("PATCH", OURS[kind], change).ok


def test_nobody_gives_our_label_to_an_object_anywhere(child: Child) -> None:
    tenant = asyncio.run(child.token("pay", "admin"))
    plain = named("ConfigMap")
    for place in ("pay--prod", "default"):
        path = f"/api/v1/namespaces/{place}/configmaps"
        assert "marks Atoll's own objects" in child.create_as_owner(path, CLAIMS_TO_BE_OURS).message
        assert child.create_as_owner(path, plain).ok
    path = f"{SPACE}/configmaps"
    assert "marks Atoll's own objects" in child.call("POST", path, CLAIMS_TO_BE_OURS, token=tenant).message
    assert child.call("POST", path, plain, token=tenant, dry_run=False).ok
    try:
        give = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "atoll"}}}
        assert "marks Atoll's own objects" in child.call("PATCH", f"{path}/it", give, token=tenant).message
        other = {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}}
        assert child.call("PATCH", f"{path}/it", other, token=tenant).ok
    finally:
        child.call("DELETE", f"{path}/it", dry_run=False)


@pytest.mark.parametrize(
    ("key", "other"),
    [
        ("app.kubernetes.io/managed-by", "helm"),
        ("atoll.dev/tenant", "web"),
        ("atoll.dev/environment", "dev"),
        ("atoll.dev/placement", "released"),
        ("governance.atoll.dev/compliance", "none"),
        ("regime.atoll.dev/pci", "false"),
        ("pod-security.kubernetes.io/enforce", "privileged"),
        ("pod-security.kubernetes.io/enforce-version", "v1.20"),
        ("stage", "dev"),
    ],
)
def test_protected_labels_of_a_tenants_namespace_stay(child: Child, key: str, other: str) -> None:
    for value in (None, other):
        refused = child.call("PATCH", SPACE, {"metadata": {"labels": {key: value}}}, **OWNER)
        assert "namespace pay--prod: labels of Atoll, of governance and of pod security" in refused.message


@pytest.mark.parametrize(
    "key", ["governance.atoll.dev/new", "regime.atoll.dev/gdpr", "atoll.dev/x", "pod-security.kubernetes.io/audit"]
)
def test_protected_labels_are_not_added_either(child: Child, key: str) -> None:
    change = {"metadata": {"labels": {key: "baseline"}}}
    assert "not for others" in child.call("PATCH", SPACE, change, **OWNER).message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("atoll.dev/protected-labels", None),
        ("atoll.dev/protected-labels", ""),
        ("atoll.dev/tenant-uid", None),
        ("atoll.dev/tenant-uid", "uid-web"),
        ("atoll.dev/other", "x"),
    ],
)
def test_our_annotations_of_a_tenants_namespace_stay(child: Child, key: str, value: str | None) -> None:
    change = {"metadata": {"annotations": {key: value}}}
    assert "annotations under atoll.dev" in child.call("PATCH", SPACE, change, **OWNER).message


def test_a_tenants_namespace_gets_no_owner_that_could_take_it_along(child: Child) -> None:
    owner = {"apiVersion": "v1", "kind": "Namespace", "name": "default", "uid": "1"}
    change = {"metadata": {"ownerReferences": [owner]}}
    assert "garbage collector" in child.call("PATCH", SPACE, change, **OWNER).message


@pytest.mark.parametrize("subresource", ["status", "finalize"])
def test_a_subresource_is_no_way_round(child: Child, subresource: str) -> None:
    body = child.call("GET", SPACE).body
    body["metadata"]["labels"]["atoll.dev/tenant"] = "web"
    refused = child.call("PUT", f"{SPACE}/{subresource}", body, **OWNER)
    assert "not for others" in refused.message


def test_what_is_nobodys_business_here_passes(child: Child) -> None:
    for change in (
        {"metadata": {"labels": {"istio-injection": "enabled"}}},
        {"metadata": {"annotations": {"example.com/contact": "x"}}},
    ):
        assert child.call("PATCH", SPACE, change, **OWNER).ok
    ordinary = named("Namespace", name="theirs", labels={"pod-security.kubernetes.io/enforce": "baseline"})
    assert child.create_as_owner("/api/v1/namespaces", ordinary).ok


@pytest.mark.parametrize(
    "labels",
    [
        {"atoll.dev/tenant": "pay"},
        {"atoll.dev/tenant": "pay", "atoll.dev/environment": "prod"},
        {"atoll.dev/placement": "placed"},
        {"governance.atoll.dev/compliance": "pci"},
        {"regime.atoll.dev/pci": "true"},
        {"app.kubernetes.io/managed-by": "atoll"},
    ],
    ids=lambda labels: next(iter(labels)),
)
def test_nobody_makes_a_namespace_of_his_own_look_like_a_tenants(child: Child, labels: dict[str, str]) -> None:
    refused = child.create_as_owner("/api/v1/namespaces", named("Namespace", name="theirs", labels=labels))
    assert "only Atoll makes a namespace a tenant's" in refused.message
    relabelled = child.call("PATCH", "/api/v1/namespaces/default", {"metadata": {"labels": labels}}, **OWNER)
    assert "only Atoll makes a namespace a tenant's" in relabelled.message


def test_tenants_reach_none_of_it(child: Child) -> None:
    """Rights refuse them before any policy is asked."""
    admin = asyncio.run(child.token("pay", "admin"))
    for path in OURS.values():
        for method, body in (("PATCH", {"metadata": {"labels": {"a": "b"}}}), ("DELETE", None)):
            assert child.call(method, path, body, token=admin).status == 403


async def test_kubernetes_own_controllers_go_on_working(child: Child) -> None:
    """A tenant's namespace gets its default account, its quota is counted, and it goes when Atoll deletes it."""
    space = named(
        "Namespace",
        name="gone--prod",
        labels={"app.kubernetes.io/managed-by": "atoll", "atoll.dev/tenant": "gone", "atoll.dev/environment": "prod"},
    )
    assert child.call("POST", "/api/v1/namespaces", space, dry_run=False).ok
    quota = named("ResourceQuota", labels={"app.kubernetes.io/managed-by": "atoll"}, spec={"hard": {"configmaps": "9"}})
    path = "/api/v1/namespaces/gone--prod"
    # A quota is counted when it is made; what comes later may be counted minutes later.
    await wait_for(lambda: child.call("GET", f"{path}/configmaps/kube-root-ca.crt").ok)
    assert child.call("POST", f"{path}/resourcequotas", quota, dry_run=False).ok
    await wait_for(lambda: child.call("GET", f"{path}/serviceaccounts/default").ok)
    await wait_for(
        lambda: child.call("GET", f"{path}/resourcequotas/it").body.get("status", {}).get("used") == {"configmaps": "1"}
    )
    assert child.call("DELETE", path, dry_run=False).ok
    await wait_for(lambda: child.call("GET", path).status == 404)


@pytest.mark.parametrize("kind", ["validatingadmissionpolicies", "validatingadmissionpolicybindings"])
def test_the_clusters_owner_can_lift_a_policy_and_tenants_cannot(child: Child, kind: str) -> None:
    """Kubernetes exempts policies from policies: nobody is locked out for good, and Atoll puts them back."""
    path = f"/apis/admissionregistration.k8s.io/v1/{kind}/atoll-own-objects"
    assert child.call("DELETE", path, **OWNER).ok
    assert child.call("DELETE", path, token=asyncio.run(child.token("pay", "admin"))).status == 403


async def wait_for(is_so: Any) -> None:
    # The quota controller counts when it has synced with all kinds, which takes it a while on a busy machine.
    for _ in range(450):
        if is_so():
            return
        await asyncio.sleep(0.2)
    raise AssertionError("not within 90 s")
