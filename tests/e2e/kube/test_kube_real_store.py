"""The store against a real API server: what an apply makes of our objects, and when it would change nothing."""

from __future__ import annotations

import asyncio
import copy
import datetime
import time
import uuid

import pytest
from kube_plane import Plane, cpu_seconds

from atoll.errors import Conflict, Refused
from atoll.kube.compare import differences
from atoll.kube.connect import Connection
from atoll.kube.events import EventRecorder
from atoll.kube.kinds import CONFIG_MAP, CUSTOM_RESOURCE_DEFINITION, EVENT, NAMESPACE, SECRET, kind_of
from atoll.kube.management import install
from atoll.kube.store import Store

pytestmark = pytest.mark.e2e

RBAC = "rbac.authorization.k8s.io/v1"
ADMISSION = "admissionregistration.k8s.io/v1"
LABELS = {"app.kubernetes.io/managed-by": "atoll"}


@pytest.fixture
async def place(store: Store):
    """A namespace of its own for each test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    created = await store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    yield name
    await store.delete(NAMESPACE, None, name, uid=created["metadata"]["uid"])


def settings(place: str, **data: str):
    metadata = {"name": "it", "namespace": place, "labels": LABELS}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_an_apply_creates_changes_and_takes_away(store, place):
    first = await store.apply(settings(place, a="1", b="2"))
    same = await store.apply(settings(place, a="1", b="2"))
    assert same["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]

    changed = await store.apply(settings(place, a="1", c="3"))
    assert changed["data"] == {"a": "1", "c": "3"}
    assert await store.get(CONFIG_MAP, place, "it") == changed


async def test_what_another_manager_applied_stays(store, place):
    await store.apply(settings(place, a="1"), "atoll-one")
    await store.apply(settings(place, b="2"), "atoll-two")
    merged = await store.apply(settings(place, a="3"), "atoll-one")
    assert merged["data"] == {"a": "3", "b": "2"}
    with pytest.raises(Conflict, match="atoll-two"):
        await store.apply(settings(place, a="3", b="4"), "atoll-one", force=False)


async def test_a_resource_version_in_the_body_is_a_precondition(store, place):
    first = await store.apply(settings(place, a="1"))
    claim = settings(place, a="2")
    claim["metadata"] = {**claim["metadata"], "resourceVersion": first["metadata"]["resourceVersion"]}
    assert (await store.apply(claim))["data"] == {"a": "2"}
    with pytest.raises(Conflict):
        await store.apply({**claim, "data": {"a": "3"}})


async def test_a_delete_spares_another_object_of_that_name(store, place):
    old = await store.create(settings(place, a="1"))
    assert await store.delete(CONFIG_MAP, place, "it", uid=old["metadata"]["uid"])
    new = await store.create(settings(place, a="2"))
    with pytest.raises(Conflict, match="UID"):
        await store.delete(CONFIG_MAP, place, "it", uid=old["metadata"]["uid"])
    await store.apply(settings(place, a="3"))
    version = new["metadata"]["resourceVersion"]
    with pytest.raises(Conflict, match="ResourceVersion"):
        await store.delete(CONFIG_MAP, place, "it", uid=new["metadata"]["uid"], resource_version=version)
    assert await store.delete(CONFIG_MAP, place, "it", uid=new["metadata"]["uid"]) is True
    assert await store.delete(CONFIG_MAP, place, "it", uid=new["metadata"]["uid"]) is False


async def test_a_second_create_and_a_create_in_no_namespace_are_conflicts(store, place):
    await store.create(settings(place, a="1"))
    with pytest.raises(Conflict, match="already exists"):
        await store.create(settings(place, a="1"))
    with pytest.raises(Conflict, match="not found"):
        await store.create(settings("no-such-place", a="1"))


async def test_an_invalid_object_is_refused_in_the_words_of_the_server_and_secrets_are_not_repeated(store, place):
    body = settings(place)
    body["metadata"] = {**body["metadata"], "labels": {"a": "not a label!"}}
    with pytest.raises(Refused, match=r"metadata\.labels"):
        await store.apply(body)
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": place}}
    for broken in ({"data": {"canary key": "eA=="}}, {"data": {"k": "canary!"}}, {"stringData": {"k": ["canary"]}}):
        with pytest.raises(Refused) as caught:
            await store.apply({**secret, **broken})
        assert "canary!" not in str(caught.value)
        assert '["canary"]' not in str(caught.value)


async def test_lists_of_more_than_a_page_come_whole(store, place):
    bodies = [settings(place) for _ in range(520)]
    for number, body in enumerate(bodies):
        body["metadata"] = {**body["metadata"], "name": f"it-{number:04}", "labels": {"many": "yes"}}
    await asyncio.gather(*(store.create(body) for body in bodies))
    found = await store.list(CONFIG_MAP, place, "many=yes")
    assert sorted(body["metadata"]["name"] for body in found) == [body["metadata"]["name"] for body in bodies]
    assert {(body["apiVersion"], body["kind"]) for body in found} == {("v1", "ConfigMap")}
    assert await store.count(CONFIG_MAP, place) >= 520


def wanted_objects(place: str):
    """Objects as our builders write them, in odd but legal spellings."""

    def named(api_version: str, kind: str, *, scoped: bool = True, **rest):
        metadata = {"name": f"it-{place}", "labels": LABELS, "annotations": {"atoll.dev/protected-labels": "a,b"}}
        if scoped:
            metadata["namespace"] = place
        return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **rest}

    amounts = {"cpu": "1000m", "memory": "2048Mi", "requests.storage": "0.5Ti", "pods": 40, "count/jobs.batch": "1e1"}
    policy_rules = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["UPDATE", "DELETE"],
                    "resources": ["namespaces"],
                }
            ]
        },
        "variables": [{"name": "mine", "expression": "object.metadata.name == 'x'"}],
        "matchConditions": [{"name": "not-us", "expression": "request.userInfo.username != 'admin'"}],
        "validations": [{"expression": "!variables.mine", "message": "no", "reason": "Forbidden"}],
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": f"{place}-own",
                "labels": {**LABELS, "pod-security.kubernetes.io/enforce": "restricted"},
            },
        },
        named("v1", "ServiceAccount", automountServiceAccountToken=False),
        named("v1", "ResourceQuota", spec={"hard": amounts}),
        named(
            "v1",
            "LimitRange",
            spec={
                "limits": [
                    {
                        "type": "Container",
                        "default": {"cpu": "0.5", "memory": "1Gi"},
                        "defaultRequest": {"cpu": "100m", "memory": "128Mi"},
                        "max": {"cpu": 2, "memory": "4096Mi"},
                        "maxLimitRequestRatio": {"cpu": "10"},
                    },
                    {"type": "PersistentVolumeClaim", "max": {"storage": "1e3Gi".replace("e3", "000")}},
                ]
            },
        ),
        named(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            spec={"podSelector": {}, "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": []},
        ),
        {
            **named(
                "networking.k8s.io/v1",
                "NetworkPolicy",
                spec={
                    "podSelector": {"matchLabels": {}},
                    "policyTypes": ["Ingress", "Egress"],
                    "ingress": [
                        {"from": [{"namespaceSelector": {"matchLabels": {"a": "b"}}, "podSelector": {}}]},
                        {"from": [], "ports": [{"port": 443}]},
                    ],
                    "egress": [
                        {"to": [{"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
                        {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 8000, "endPort": 8100}]},
                        {"to": [{"namespaceSelector": {}}]},
                    ],
                },
            ),
            "metadata": {"name": "flows", "namespace": place, "labels": LABELS},
        },
        named(
            RBAC,
            "RoleBinding",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
            subjects=[
                {"kind": "Group", "name": "payments-devs"},
                {"kind": "User", "name": "jane", "apiGroup": "rbac.authorization.k8s.io"},
                {"kind": "ServiceAccount", "name": "default", "namespace": place, "apiGroup": ""},
            ],
        ),
        named(RBAC, "Role", rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": []}]),
        named(RBAC, "ClusterRole", scoped=False, rules=[]),
        named(
            RBAC,
            "ClusterRoleBinding",
            scoped=False,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
            subjects=[],
        ),
        named("v1", "ConfigMap", data={"hub": "uid", "empty": ""}),
        named("v1", "Secret", type="Opaque", stringData={"a": "x"}),
        named(ADMISSION, "ValidatingAdmissionPolicy", scoped=False, spec=policy_rules),
        named(
            ADMISSION,
            "ValidatingAdmissionPolicyBinding",
            scoped=False,
            spec={
                "policyName": f"it-{place}",
                "validationActions": ["Deny"],
                "matchResources": {"namespaceSelector": {"matchLabels": {"never": place}}},
            },
        ),
        named(
            "coordination.k8s.io/v1",
            "Lease",
            spec={"holderIdentity": "a", "renewTime": "2026-11-21T09:00:00.000000Z", "leaseDurationSeconds": 15},
        ),
        named(
            "apps/v1",
            "Deployment",
            spec={
                "replicas": 0,
                "selector": {"matchLabels": {"a": "b"}},
                "template": {
                    "metadata": {"labels": {"a": "b"}},
                    "spec": {
                        "containers": [
                            {
                                "name": "c",
                                "image": "x",
                                "env": [{"name": "A", "value": ""}],
                                "ports": [{"containerPort": 80}],
                                "resources": {"limits": {"cpu": "1500m", "memory": "1024Mi"}, "requests": {}},
                            }
                        ]
                    },
                },
            },
        ),
        named("v1", "Service", spec={"selector": {"a": "b"}, "ports": [{"port": 80, "targetPort": 8080}]}),
        named(
            "v1",
            "PersistentVolumeClaim",
            spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1024Mi"}}},
        ),
    ]


def content(body):
    """An object without what controllers write and what each apply of an empty list (`ingress: []`) touches."""
    touched = {"resourceVersion", "managedFields", "generation"}
    metadata = {key: value for key, value in body["metadata"].items() if key not in touched}
    # The controller of Deployments adds a revision of its own, sooner or later.
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key.startswith("atoll.dev/")}
    return {**body, "metadata": metadata, "status": None}


async def test_what_was_applied_is_covered_and_a_second_apply_would_change_nothing(store, place):
    """The whole of "no write when nothing changes" hangs on this."""
    for wanted in wanted_objects(place):
        pristine = copy.deepcopy(wanted)
        await store.apply(wanted, "atoll-tenants")
        assert wanted == pristine
        metadata = wanted["metadata"]
        observed = await store.get(kind_of(wanted), metadata.get("namespace"), metadata["name"])
        assert observed is not None
        assert differences(wanted, observed, manager="atoll-tenants") == (), wanted["kind"]
        assert await store.apply_if_changed(wanted, observed, "atoll-tenants") is None
        again = await store.apply(wanted, "atoll-tenants")
        assert content(again) == content(observed)
        (listed,) = [
            body
            for body in await store.list(kind_of(wanted), metadata.get("namespace"))
            if body["metadata"]["name"] == metadata["name"]
        ]
        assert differences(wanted, listed, manager="atoll-tenants") == ()


async def test_drift_and_withdrawn_wishes_are_seen_on_real_objects(store, place):
    wanted = next(body for body in wanted_objects(place) if body["kind"] == "ResourceQuota")
    observed = await store.apply(wanted, "atoll-tenants")
    name = wanted["metadata"]["name"]

    more = {**wanted, "spec": {"hard": {**wanted["spec"]["hard"], "cpu": "1001m"}}}
    assert differences(more, observed, manager="atoll-tenants") == ("spec.hard.cpu",)
    less = {**wanted, "spec": {"hard": {"cpu": "1"}}}
    assert differences(less, observed) == ()
    assert "spec.hard.pods" in differences(less, observed, manager="atoll-tenants")
    assert (await store.apply(less, "atoll-tenants"))["spec"]["hard"] == {"cpu": "1"}

    drifted = await store.patch_merge(kind_of(wanted), place, name, {"spec": {"hard": {"cpu": "7"}}}, "kubectl-edit")
    assert differences(less, drifted, manager="atoll-tenants") == ("spec.hard.cpu",)
    mended = await store.apply_if_changed(less, drifted, "atoll-tenants")
    assert mended is not None
    assert differences(less, mended, manager="atoll-tenants") == ()


DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "tenants.atoll.dev"},
    "spec": {
        "group": "atoll.dev",
        "scope": "Namespaced",
        "names": {"plural": "tenants", "singular": "tenant", "kind": "Tenant", "listKind": "TenantList"},
        "versions": [
            {
                "name": "v1alpha1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Age", "type": "date", "jsonPath": ".x", "priority": 0}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "count": {"type": "integer", "minimum": 0, "maximum": 1000000, "default": 0},
                                    "list": {"type": "array", "maxItems": 3, "items": {"type": "string"}},
                                    "on": {"type": "boolean", "default": False, "nullable": False},
                                },
                                "required": [],
                            },
                            "status": {
                                "type": "object",
                                "default": {"observedGeneration": -1},
                                "properties": {
                                    "observedGeneration": {"type": "integer"},
                                    "conditions": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["type"],
                                        "items": {
                                            "type": "object",
                                            "required": ["type"],
                                            "properties": {"type": {"type": "string"}, "status": {"type": "string"}},
                                        },
                                    },
                                },
                            },
                        },
                    }
                },
            }
        ],
    },
}


@pytest.fixture
async def tenants(store: Store):
    """The kind Tenant, installed through our own installer, and gone afterwards."""
    assert await install(store, [DEFINITION]) == 1
    yield
    found = await store.get(CUSTOM_RESOURCE_DEFINITION, None, "tenants.atoll.dev")
    assert found is not None
    await store.delete(CUSTOM_RESOURCE_DEFINITION, None, "tenants.atoll.dev", uid=found["metadata"]["uid"])
    for _ in range(100):
        if await store.get(CUSTOM_RESOURCE_DEFINITION, None, "tenants.atoll.dev") is None:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the CRD was not removed within 10 s")


async def test_an_install_is_usable_at_once_and_the_second_one_writes_nothing(store, tenants, place):
    metadata = {"name": "a", "namespace": place}
    tenant = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Tenant",
        "metadata": metadata,
        "spec": {"count": 0, "list": []},
    }
    assert await install(store, [tenant, DEFINITION]) == 1
    assert await install(store, [DEFINITION, tenant]) == 0


async def test_a_status_is_applied_and_compared_apart_from_the_spec(store, tenants, place):
    metadata = {"name": "a", "namespace": place}
    tenant = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Tenant", "metadata": metadata, "spec": {"list": ["x"]}}
    await store.apply(tenant, "user")
    head = {key: tenant[key] for key in ("apiVersion", "kind", "metadata")}
    status = {**head, "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}}
    others = {**head, "status": {"conditions": [{"type": "Other", "status": "True"}]}}

    await store.apply(others, "somebody", subresource="status")
    observed = await store.apply(status, "atoll-status", subresource="status")

    assert [item["type"] for item in observed["status"]["conditions"]] == ["Other", "Ready"]
    assert differences(status, observed, manager="atoll-status", subresource="status") == ()
    quiet = {**status, "status": {"observedGeneration": 1}}
    assert "status.conditions" in " ".join(differences(quiet, observed, manager="atoll-status", subresource="status"))
    assert await store.apply_if_changed(status, observed, "atoll-status", subresource="status") is None


async def test_a_write_to_a_kind_that_is_not_served_is_a_conflict_and_a_list_of_it_is_refused(store, place):
    body = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Regime", "metadata": {"name": "a", "namespace": place}}
    with pytest.raises(Conflict):
        await store.apply(body)
    with pytest.raises(Refused, match="does not know regimes"):
        await store.list(kind_of(body))


async def test_an_identity_without_rights_is_refused_in_words(kube_plane: Plane):
    async with Store(Connection.from_kubeconfig(kube_plane.kubeconfig("nobody"))) as nobody:
        with pytest.raises(Refused, match='User "nobody" cannot list resource "secrets"'):
            await nobody.list(SECRET)


async def test_what_an_apply_costs(kube_plane: Plane, store, place, record_property):
    """No limit is judged here beyond "not absurd"; the numbers go to the report."""
    assert kube_plane.api_server is not None
    for name, count, call in (
        ("no-op apply", 200, lambda _: store.apply(settings(place, a="1"))),
        ("apply with a change", 200, lambda number: store.apply(settings(place, a=str(number)))),
        ("get", 200, lambda _: store.get(CONFIG_MAP, place, "it")),
    ):
        await call(0)
        ours, theirs, wall = time.process_time(), cpu_seconds(kube_plane.api_server), time.monotonic()
        for number in range(count):
            await call(number)
        spent = [time.process_time() - ours, cpu_seconds(kube_plane.api_server) - theirs, time.monotonic() - wall]
        client, server, each = (round(1000 * value / count, 2) for value in spent)
        record_property(name, f"client {client} ms CPU, server {server} ms CPU, {each} ms each")
        print(f"{name}: client {client} ms CPU, server {server} ms CPU, {each} ms each")
        assert client < 10


async def test_events_are_written_once(store, place):
    about = await store.apply(settings(place, a="1"))
    now = datetime.datetime.now(datetime.UTC)
    recorder = EventRecorder(store, instance="here")
    for _ in range(3):
        await recorder.record(about, reason="Placed", note="a stands on b", now=now, type="Warning")
    (event,) = await store.list(EVENT, place)
    assert (event["reason"], event["note"], event["type"]) == ("Placed", "a stands on b", "Warning")
    assert event["regarding"]["uid"] == about["metadata"]["uid"]


async def test_an_apply_that_does_not_fit_the_schema_is_refused_though_the_server_says_500(store, place):
    with pytest.raises(Refused, match="field not declared in schema"):
        await store.apply({**settings(place), "foo": 1})
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "a", "namespace": place}}
    with pytest.raises(Refused, match="quantities must match"):
        await store.apply({**quota, "spec": {"hard": {"cpu": "1x"}}})
