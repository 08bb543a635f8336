"""A fleet grows, serves its tenants, and is changed in waves under load."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.calling import calling
from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

OLD, NEW = "v1.35.8", "v1.36.4"
PAYROLL = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "payroll", "namespace": "default"}}
WAVES = [
    {"name": "canary", "clusterSelector": {"matchLabels": {"stage": "dev"}}, "soakSeconds": 3},
    {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}, "maxConcurrent": 1},
]


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two children, two environments, two tenants, all Ready."""
    home.apply(fleet_namespace())
    home.apply(
        cluster_set(
            "eu", member("dev", "dev"), member("prod", "prod"), labels={"cost": "42"}, upgrade={"waves": WAVES}
        ),
        environment("dev", labels={"tier": "trial"}),
        environment("prod"),
        tenant("shop", "dev", "prod"),
        tenant("pay", "prod"),
    )
    for kind, name in (("clusterset", "eu"), ("tenant", "shop"), ("tenant", "pay"), ("environment", "prod")):
        home.wait_ready(kind, name)
    return home


def pod(namespace: str, cpu: str, name: str = "p") -> dict:
    """A pod that asks for so much."""
    resources = {"requests": {"cpu": cpu, "memory": "64Mi"}, "limits": {"cpu": cpu, "memory": "64Mi"}}
    container = {"name": "main", "image": "registry.example/none:1", "resources": resources}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"containers": [container]},
    }


def test_every_child_is_a_real_cluster_that_was_verified(fleet: TestHome) -> None:
    for name in ("eu--dev", "eu--prod"):
        child = fleet.get("childcluster", name)
        checks = {entry["check"]: entry["result"] for entry in child["status"]["verification"]}
        served = json.loads(fleet.kubectl("get", "--raw", "/version", kubeconfig=fleet.child_kubeconfig(name)).stdout)

        # The borders between tenants are tried when there are some.
        assert checks.pop("tenant-borders", "Passed") == "Passed"
        assert checks == dict.fromkeys(
            (
                "version-served",
                "healthy",
                "identity",
                "anonymous-refused",
                "wrong-certificate-refused",
                "namespace-lifecycle",
            ),
            "Passed",
        )
        assert served["gitVersion"] == OLD
        assert child["status"]["version"] == OLD
        secret = fleet.get("secret", f"{name}-kubeconfig")
        assert secret["type"] == "cluster.x-k8s.io/secret"
        assert secret["metadata"]["labels"]["cluster.x-k8s.io/cluster-name"] == name


def test_children_have_addresses_of_their_own_out_of_the_block(fleet: TestHome) -> None:
    networks = [fleet.get("childcluster", name)["spec"]["network"] for name in ("eu--dev", "eu--prod")]
    blocks = [block for network in networks for block in network.values()]

    assert len(set(blocks)) == 4
    assert all(
        block.startswith(("10.128.", "10.129.", "10.13", "10.14", "10.15", "10.16", "10.17", "10.18", "10.19"))
        for block in blocks
    )


def test_tenants_have_namespaces_with_governance_labels(fleet: TestHome) -> None:
    dev = fleet.child_kubeconfig("eu--dev")

    labels = fleet.get("namespace", "shop--dev", namespace="", kubeconfig=dev)["metadata"]["labels"]

    assert labels["atoll.dev/tenant"] == "shop"
    assert labels["atoll.dev/environment"] == "dev"
    assert labels["cost"] == "42", "of the ClusterSet"
    assert labels["tier"] == "trial", "of the Environment"
    assert labels["pod-security.kubernetes.io/enforce"] == "baseline"
    policies = fleet.get("networkpolicy", namespace="shop--dev", kubeconfig=dev)["items"]
    assert "atoll-default-deny" in {item["metadata"]["name"] for item in policies}


def test_a_pod_over_the_quota_is_refused(fleet: TestHome) -> None:
    dev = fleet.child_kubeconfig("eu--dev")

    big = fleet.kubectl("apply", "-f", "-", stdin=json.dumps(pod("shop--dev", "2")), kubeconfig=dev, ok=False)
    small = fleet.kubectl("apply", "-f", "-", stdin=json.dumps(pod("shop--dev", "500m")), kubeconfig=dev, ok=False)

    assert big.returncode != 0
    assert "exceeded quota: atoll" in big.stderr
    assert small.returncode == 0, small.stderr
    fleet.kubectl("delete", "pod", "p", "-n", "shop--dev", "--now", "--wait=false", kubeconfig=dev)


def test_a_tenants_credentials_do_what_the_role_says_and_nothing_elsewhere(fleet: TestHome) -> None:
    developer = fleet.child_kubeconfig("eu--prod", "--tenant", "shop", "--role", "developer")
    viewer = fleet.child_kubeconfig("eu--prod", "--tenant", "shop", "--role", "viewer")

    def may(who: Path, *arguments: str) -> bool:
        return fleet.kubectl(*arguments, kubeconfig=who, ok=False).returncode == 0

    assert may(developer, "create", "configmap", "mine", "-n", "shop--prod")
    assert may(viewer, "get", "configmap", "mine", "-n", "shop--prod")
    assert not may(viewer, "delete", "configmap", "mine", "-n", "shop--prod")
    assert not may(viewer, "get", "secrets", "-n", "shop--prod")
    for where in ("pay--prod", "default", "kube-system", "atoll-system"):
        assert not may(developer, "get", "configmaps", "-n", where), where
        assert not may(developer, "create", "configmap", "theirs", "-n", where), where
    assert not may(developer, "get", "namespaces")
    assert not may(developer, "label", "namespace", "shop--prod", "atoll.dev/tenant=pay", "--overwrite")
    assert not may(developer, "delete", "resourcequota", "atoll", "-n", "shop--prod")
    assert not may(developer, "create", "rolebinding", "more", "--clusterrole=admin", "--user=me", "-n", "shop--prod")
    assert may(developer, "delete", "configmap", "mine", "-n", "shop--prod")


def test_a_change_goes_through_the_waves_and_nobody_notices(fleet: TestHome) -> None:
    prod, dev = fleet.child_kubeconfig("eu--prod"), fleet.child_kubeconfig("eu--dev")
    fleet.kubectl("create", "configmap", "by-hand", "--from-literal=k=v", kubeconfig=dev)
    fleet.kubectl("create", "secret", "generic", "by-hand", "--from-literal=k=v", kubeconfig=dev)
    uid = fleet.get("namespace", "kube-system", namespace="", kubeconfig=dev)["metadata"]["uid"]

    with calling(dev) as changing, calling(prod) as other:
        fleet.patch("clusterset", "eu", {"spec": {"version": NEW}})
        fleet.wait(
            lambda: fleet.get("rollout", "eu-1"),
            lambda body: body.get("status", {}).get("state") == "Done",
            "rollout eu-1 to be Done",
            seconds=180,
        )
    fleet.wait_ready("clusterset", "eu")

    assert changing.failures == []
    assert other.failures == []
    assert changing.calls > 100
    waves = fleet.get("rollout", "eu-1")["status"]["waves"]
    assert [wave["name"] for wave in waves] == ["canary", "prod"]
    assert waves[0]["soakUntil"] <= waves[1]["startedTime"], "the second wave waits until the first has soaked"
    for name, kubeconfig in (("eu--dev", dev), ("eu--prod", prod)):
        served = json.loads(fleet.kubectl("get", "--raw", "/version", kubeconfig=kubeconfig).stdout)["gitVersion"]
        (server,) = fleet.api_servers(name)
        assert served == NEW
        assert Path(server.exe()).parent.name == NEW, "the running process is the new program"
    assert fleet.get("namespace", "kube-system", namespace="", kubeconfig=dev)["metadata"]["uid"] == uid
    assert fleet.get("configmap", "by-hand", namespace="default", kubeconfig=dev)["data"] == {"k": "v"}
    assert fleet.get("secret", "by-hand", namespace="default", kubeconfig=dev)["data"] == {"k": "dg=="}


def test_a_set_deleted_under_delete_leaves_no_process_and_no_file(fleet: TestHome) -> None:
    ids = [fleet.get("childcluster", name)["spec"]["id"] for name in ("eu--dev", "eu--prod")]
    fleet.kubectl("delete", "tenant", "shop", "pay", "-n", "fleet", "--timeout=60s")

    fleet.kubectl("delete", "clusterset", "eu", "-n", "fleet", "--timeout=60s", seconds=90)

    assert fleet.get("childcluster")["items"] == []
    assert fleet.get("secret")["items"] == []
    for cluster_id in ids:
        assert not (fleet.root / "planes" / cluster_id).exists()
        assert not [p for p in fleet.processes() if cluster_id in " ".join(p.cmdline())]
    fleet.kubectl("delete", "environment", "dev", "prod", "-n", "fleet", "--timeout=30s")
    assert condition_of(fleet.get("environment", "dev"), "Ready") == {}
