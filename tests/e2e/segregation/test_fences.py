"""What a child's API server refuses by itself in tenants' namespaces, and beside it the ordinary thing."""

from __future__ import annotations

import asyncio
import copy
from typing import Any

import pytest

from .child_kit import LASTING_TOKEN, Child, named

pytestmark = pytest.mark.e2e

CONTAINER = {"name": "c", "image": "registry.example.com/app:1", "ports": [{"containerPort": 80}]}
PLAIN = {"containers": [CONTAINER], "volumes": [{"name": "v", "emptyDir": {}}]}
APP = {"matchLabels": {"app": "it"}}


def wrap(kind: str, pod: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Build an object of a kind around a pod spec, and the path to create it below a namespace's."""
    template = {"metadata": {"labels": {"app": "it"}}, "spec": pod}
    forever = {**template, "spec": {"restartPolicy": "Never", **pod}}
    match kind:
        case "Pod":
            return "/api/v1/{}/pods", named("Pod", spec=pod)
        case "Deployment" | "ReplicaSet" | "DaemonSet":
            spec = {"selector": APP, "template": template}
            return f"/apis/apps/v1/{{}}/{kind.lower()}s", named(kind, "apps/v1", spec=spec)
        case "StatefulSet":
            spec = {"selector": APP, "template": template, "serviceName": "it"}
            return "/apis/apps/v1/{}/statefulsets", named(kind, "apps/v1", spec=spec)
        case "ReplicationController":
            spec = {"selector": {"app": "it"}, "template": template}
            return "/api/v1/{}/replicationcontrollers", named(kind, spec=spec)
        case "Job":
            return "/apis/batch/v1/{}/jobs", named(kind, "batch/v1", spec={"template": forever})
        case _:
            spec = {"schedule": "0 0 * * *", "jobTemplate": {"spec": {"template": forever}}}
            return "/apis/batch/v1/{}/cronjobs", named("CronJob", "batch/v1", spec=spec)


KINDS = (
    "Pod",
    "Deployment",
    "ReplicaSet",
    "DaemonSet",
    "StatefulSet",
    "ReplicationController",
    "Job",
    "CronJob",
)
BREAKS: dict[str, tuple[dict[str, Any], str]] = {
    "hostPath": ({"volumes": [{"name": "v", "hostPath": {"path": "/"}}]}, "must have no hostPath"),
    "hostNetwork": ({"hostNetwork": True}, "hostNetwork, hostPID or hostIPC"),
    "hostPID": ({"hostPID": True}, "hostNetwork, hostPID or hostIPC"),
    "hostIPC": ({"hostIPC": True}, "hostNetwork, hostPID or hostIPC"),
    "hostPort": (
        {"containers": [{**CONTAINER, "ports": [{"containerPort": 80, "hostPort": 80}]}]},
        "must have no hostPort",
    ),
    "privileged": (
        {"containers": [{**CONTAINER, "securityContext": {"privileged": True}}]},
        "must have no privileged container",
    ),
    "privileged init": (
        {"initContainers": [{**CONTAINER, "name": "i", "securityContext": {"privileged": True}}]},
        "must have no privileged container",
    ),
    "priority": ({"priorityClassName": "system-cluster-critical"}, "priorityClassName must be empty"),
}


@pytest.fixture(scope="module")
def admin(child: Child) -> str:
    """A token of tenant pay's admin."""
    return asyncio.run(child.token("pay", "admin"))


@pytest.fixture(scope="module", autouse=True)
def other_places(child: Child) -> None:
    """A namespace that is no tenant's, and one of a tenant whose pod security lets everything through."""
    for name, labels in (
        ("free", {"pod-security.kubernetes.io/enforce": "privileged"}),
        ("lax--prod", {"pod-security.kubernetes.io/enforce": "privileged", "atoll.dev/tenant": "lax"}),
    ):
        found = child.call("POST", "/api/v1/namespaces", named("Namespace", name=name, labels=labels), dry_run=False)
        assert found.status in {201, 409}, found.message


@pytest.mark.parametrize("broken", BREAKS)
@pytest.mark.parametrize("kind", KINDS)
def test_what_breaks_out_of_a_pod_is_refused_in_pods_and_in_what_makes_them(
    child: Child, admin: str, kind: str, broken: str
) -> None:
    change, words = BREAKS[broken]
    path, ordinary = wrap(kind, PLAIN)
    _, breaking = wrap(kind, {**PLAIN, **change})
    here = path.format("namespaces/pay--prod")

    assert child.call("POST", here, ordinary, token=admin).ok
    refused = child.call("POST", here, breaking, token=admin)
    assert not refused.ok
    # Pod security comes first for pods; what it says is its own.
    if kind != "Pod" or broken == "priority":
        assert words in refused.message
        assert "atoll-tenant-" in refused.message

    # Not pod security refuses it but the fence: it holds where that lets everything through, and for everybody.
    as_owner = child.create_as_owner(path.format("namespaces/lax--prod"), breaking)
    assert words in as_owner.message
    assert child.create_as_owner(path.format("namespaces/free"), breaking).ok


def test_an_existing_workload_cannot_be_changed_into_a_breaking_one_and_can_be_scaled(child: Child, admin: str) -> None:
    path, body = wrap("Deployment", PLAIN)
    here = path.format("namespaces/pay--prod")
    assert child.call("POST", here, {**body, "spec": {**body["spec"], "replicas": 0}}, token=admin, dry_run=False).ok
    try:
        change = {"spec": {"template": {"spec": {"hostNetwork": True}}}}
        assert "hostNetwork" in child.call("PATCH", f"{here}/it", change, token=admin).message
        assert child.call("PATCH", f"{here}/it", {"spec": {"replicas": 1}}, token=admin).ok
    finally:
        assert child.call("DELETE", f"{here}/it", token=admin, dry_run=False).ok


def test_an_ephemeral_container_is_no_way_round(child: Child) -> None:
    path, body = wrap("Pod", PLAIN)
    place = path.format("namespaces/lax--prod")
    # Where nothing runs, a pod that no controller touches is as good as any.
    account = named("ServiceAccount", name="default")
    child.call("POST", "/api/v1/namespaces/lax--prod/serviceaccounts", account, dry_run=False)
    assert child.call("POST", place, body, dry_run=False).ok
    try:
        debugger = {"name": "d", "image": "registry.example.com/debug:1"}
        for found, context in ((True, {}), (False, {"privileged": True})):
            change = {"spec": {"ephemeralContainers": [{**debugger, "securityContext": context}]}}
            answer = child.call(
                "PATCH", f"{place}/it/ephemeralcontainers", change, user="owner", group="system:masters"
            )
            assert answer.ok is found, answer.message
        assert "must have no privileged container" in answer.message
    finally:
        child.call("DELETE", f"{place}/it", dry_run=False)


def test_a_priority_class_that_the_cluster_gives_to_all_is_no_foreign_one(child: Child, admin: str) -> None:
    classes = "/apis/scheduling.k8s.io/v1/priorityclasses"
    default = named("PriorityClass", "scheduling.k8s.io/v1", name="ordinary", value=10, globalDefault=True)
    high = named("PriorityClass", "scheduling.k8s.io/v1", name="high", value=1000)
    for body in (default, high):
        assert child.call("POST", classes, body, dry_run=False).ok
    try:
        path, body = wrap("Pod", PLAIN)
        here = path.format("namespaces/pay--prod")
        _, urgent = wrap("Pod", {**PLAIN, "priorityClassName": "high"})
        for _ in range(100):
            answer = child.call("POST", here, body, token=admin)
            if answer.ok and answer.body["spec"].get("priorityClassName") == "ordinary":
                break
        assert answer.body["spec"]["priorityClassName"] == "ordinary"
        assert "must be empty" in child.call("POST", here, urgent, token=admin).message
    finally:
        for name in ("ordinary", "high"):
            child.call("DELETE", f"{classes}/{name}", dry_run=False)


SERVICE = named("Service", spec={"selector": {"app": "it"}, "ports": [{"port": 80}]})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"type": "NodePort"}, "must use no ports of the nodes"),
        ({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30080}]}, "must use no ports of the nodes"),
        ({"type": "LoadBalancer"}, "must use no ports of the nodes"),
        ({"externalIPs": ["203.0.113.7"]}, "externalIPs must be empty"),
        ({"type": "ExternalName", "externalName": "db.shop--prod.svc"}, "must not be ExternalName"),
    ],
    ids=["type", "nodePort", "LoadBalancer", "externalIPs", "ExternalName"],
)
def test_services_that_reach_past_the_border_are_refused(
    child: Child, admin: str, change: dict[str, Any], words: str
) -> None:
    breaking = copy.deepcopy(SERVICE)
    breaking["spec"].update(change)
    here = "/api/v1/namespaces/pay--prod/services"
    assert child.call("POST", here, SERVICE, token=admin).ok
    assert not child.call("POST", here, breaking, token=admin).ok
    # The quota refuses some of it first; the fence holds without one, and for the cluster's owner, too.
    assert words in child.create_as_owner("/api/v1/namespaces/lax--prod/services", breaking).message
    assert child.create_as_owner("/api/v1/namespaces/free/services", breaking).ok


def test_a_service_cannot_be_changed_into_one_that_is_refused(child: Child, admin: str) -> None:
    here = "/api/v1/namespaces/pay--prod/services"
    assert child.call("POST", here, SERVICE, token=admin, dry_run=False).ok
    try:
        change = {"spec": {"externalIPs": ["203.0.113.7"]}}
        assert "externalIPs" in child.call("PATCH", f"{here}/it", change, token=admin).message
        assert child.call("PATCH", f"{here}/it", {"metadata": {"labels": {"a": "b"}}}, token=admin).ok
    finally:
        child.call("DELETE", f"{here}/it", token=admin, dry_run=False)


def test_a_load_balancer_without_node_ports_passes_the_fence_and_meets_the_quota(child: Child, admin: str) -> None:
    modest = named(
        "Service",
        spec={"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False, "ports": [{"port": 80}]},
    )
    assert child.create_as_owner("/api/v1/namespaces/lax--prod/services", modest).ok
    refused = child.call("POST", "/api/v1/namespaces/pay--prod/services", modest, token=admin)
    assert "exceeded quota: atoll" in refused.message


def test_a_claim_takes_no_volume_that_exists(child: Child, admin: str) -> None:
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    here = "/api/v1/namespaces/pay--prod/persistentvolumeclaims"
    assert child.call("POST", here, named("PersistentVolumeClaim", spec=spec), token=admin).ok
    chosen = named("PersistentVolumeClaim", spec={**spec, "volumeName": "left-by-another"})
    assert "volumeName must be empty" in child.call("POST", here, chosen, token=admin).message
    assert child.create_as_owner("/api/v1/namespaces/free/persistentvolumeclaims", chosen).ok


def test_the_controller_binds_claims_to_volumes(child: Child, admin: str) -> None:
    here = "/api/v1/namespaces/pay--prod/persistentvolumeclaims"
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}
    assert child.call("POST", here, named("PersistentVolumeClaim", spec=spec), token=admin, dry_run=False).ok
    try:
        choice = {"spec": {"volumeName": "left-by-another"}}
        assert "volumeName must be empty" in child.call("PATCH", f"{here}/it", choice, token=admin).message
        bound = child.call("GET", f"{here}/it", token=admin).body
        bound["spec"]["volumeName"] = "left-by-another"
        assert "volumeName must be empty" in child.call("PUT", f"{here}/it", bound, token=admin).message
        binder = "system:serviceaccount:kube-system:persistent-volume-binder"
        answer = child.call("PUT", f"{here}/it", bound, user=binder, group="system:serviceaccounts:kube-system")
        assert answer.ok, answer.message
    finally:
        child.call("DELETE", f"{here}/it", token=admin, dry_run=False)


def test_no_secret_is_a_lasting_token(child: Child, admin: str) -> None:
    here = "/api/v1/namespaces/pay--prod/secrets"
    assert child.call("POST", here, named("Secret", type="Opaque"), token=admin).ok
    assert "such a token never ends" in child.call("POST", here, LASTING_TOKEN, token=admin).message
    assert child.create_as_owner("/api/v1/namespaces/free/secrets", LASTING_TOKEN).ok


def test_a_pod_of_the_largest_ordinary_size_stays_within_the_cost_of_expressions(child: Child, admin: str) -> None:
    """Past its budget a policy fails, and failing closed would then refuse what is ordinary."""
    path, _ = wrap("Deployment", PLAIN)
    containers = [
        {**CONTAINER, "name": f"c{number}", "ports": [{"containerPort": 1000 + port} for port in range(50)]}
        for number in range(100)
    ]
    volumes = [{"name": f"v{number}", "emptyDir": {}} for number in range(200)]
    _, body = wrap("Deployment", {"containers": containers, "volumes": volumes})
    answer = child.call("POST", path.format("namespaces/pay--prod"), body, token=admin)
    assert answer.ok, answer.message
