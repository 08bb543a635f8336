"""A cluster on real hosts through the whole operator: claimed, installed, used, upgraded, and given back clean."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.hosts.fleet_kit import build_configuration, build_key_secret, build_pool, build_set
from tests.e2e.hosts.rig import Rig, RigHost
from tests.support.home import TestHome, condition_of, open_home
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

OLD, NEW = "v1.35.8", "v1.36.4"
CHILD = "racks--dev"
LOCAL = "tops"
"""A set of local clusters beside it, whose rollout has the same course."""


@pytest.fixture(scope="module")
def hosts(rig: Rig) -> Iterator[Sequence[RigHost]]:
    names = ("h1", "h2", "h3", "h4")
    try:
        yield rig.up(*names)
    finally:
        rig.down(*names)


@pytest.fixture(scope="module")
def before(hosts: Sequence[RigHost]) -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """What each host is like before Atoll has ever been there; its message bus starts when first used, by anybody."""
    for host in hosts:
        host.run("systemctl", "start", "dbus.service")
    return {host.name: host.fingerprint_of_state() for host in hosts}


@pytest.fixture(scope="module")
def home(
    rig: Rig, hosts: Sequence[RigHost], before: Mapping[str, object], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestHome]:
    """A management plane with the operator, the pool, and a set with one cluster of 1+1 hosts."""
    assert set(before) == {host.name for host in hosts}
    root: Path = tmp_path_factory.mktemp("home") / "atoll"
    with open_home(root, "--audit") as opened:
        opened.apply(fleet_namespace())
        opened.apply(build_key_secret(rig), build_configuration(), build_pool(hosts))
        opened.wait_ready("hostpool", "rack")
        opened.apply(build_set(rig, OLD), environment("dev"), tenant("shop", "dev", cpu="100m"))
        kept = member("dev", "dev", reservedFor={"tenants": ["others"]})
        opened.apply(cluster_set(LOCAL, kept, version=OLD, network={"addressBlock": "10.144.0.0/12"}))
        yield opened


def build_wave(*gates: Mapping[str, object]) -> dict[str, object]:
    """The one wave of both sets, ended by a person's word, and by more."""
    sign_off = {"name": "sign-off", "approval": {"count": 1, "groups": ["sre"]}}
    return {"name": "all", "clusterSelector": {"matchLabels": {"stage": "dev"}}, "gates": [*gates, sign_off]}


def build_smoke(image: str) -> dict[str, object]:
    """A Job that needs no image of its own: the cluster's DNS server tells its version and ends."""
    container = {"name": "smoke", "image": image, "command": ["/coredns", "-version"]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    job = {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "smoke"}, "spec": {"template": {"spec": pod}}}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "smoke", "namespace": "fleet"},
        "data": {"job.yaml": json.dumps(job)},
    }


def approve(home: TestHome, rollout: str) -> None:
    """Let somebody else than the requester approve."""
    body = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": f"{rollout}-anna", "namespace": "fleet"},
        "spec": {
            "rolloutRef": {"name": rollout, "uid": home.get("rollout", rollout)["metadata"]["uid"]},
            "wave": "all",
            "gate": "sign-off",
            "approver": {"username": "anna", "groups": ["sre"]},
        },
    }
    asked = ("--as", "anna", "--as-group", "sre", "--as-group", "system:masters")
    home.kubectl("create", "-f", "-", *asked, stdin=json.dumps(body))


def read_gates(home: TestHome, rollout: str) -> dict[str, Any]:
    """How the gates of a rollout's first wave stand, by name."""
    return {gate["name"]: gate for gate in home.get("rollout", rollout)["status"]["waves"][0].get("gates", ())}


def read_course(home: TestHome, rollout: str) -> list[tuple[str, str, str]]:
    """What a rollout's record says of its waves and members, in order."""
    records = home.get("configmap", f"{rollout}-audit-1")["data"]["records"].splitlines()
    entries = [json.loads(line) for line in records]
    told = ("Began", "WaveBegan", "WaveDone", "Done", "MemberTold", "MemberDone", "MemberFailed")
    return [(item["event"], item["wave"], item["cluster"]) for item in entries if item["event"] in told]


def states(home: TestHome) -> dict[str, str]:
    """The state of every host, by name."""
    return {item["spec"]["hostName"]: item["status"]["state"] for item in home.get("host")["items"]}


def nodes(home: TestHome, kubeconfig: Path) -> dict[str, str]:
    """The version of every node's kubelet, by name."""
    items = home.get("node", namespace="", kubeconfig=kubeconfig)["items"]
    return {item["metadata"]["name"]: item["status"]["nodeInfo"]["kubeletVersion"] for item in items}


def test_a_cluster_grows_on_hosts_and_serves_a_tenant(home: TestHome) -> None:
    child = home.wait_ready("childcluster", CHILD, seconds=240)
    checks = {entry["check"]: entry["result"] for entry in child["status"]["verification"]}

    assert checks.pop("network-policy-enforced") == "Skipped"
    assert set(checks.values()) == {"Passed"}, child["status"]["verification"]
    assert {"nodes-ready", "sample-application", "node-ports-locked"} <= set(checks)
    assert child["status"]["nodes"] == {"total": 2, "ready": 2}
    assert child["spec"]["hosts"] == ["rack--h1", "rack--h2"]
    assert condition_of(child, "HostsClaimed")["status"] == "True"
    assert condition_of(child, "PolicyEnforced")["reason"] == "NetworkPolicyNotEnforced"
    home.wait(lambda: states(home), lambda seen: seen["h1"] == seen["h2"] == "InUse", "hosts in use")
    assert {states(home)[name] for name in ("h3", "h4")} == {"Available"}
    home.wait_ready("tenant", "shop")
    spaces = json.loads(home.kubectl("get", "namespaces", "-o", "json", kubeconfig=home.child_kubeconfig(CHILD)).stdout)
    assert "shop--dev" in {item["metadata"]["name"] for item in spaces["items"]}


def test_it_is_upgraded_host_by_host_and_stays_the_same_cluster(home: TestHome) -> None:
    kubeconfig = home.child_kubeconfig(CHILD)
    pinned = home.get("childcluster", CHILD)["spec"]["clusterUID"]
    home.kubectl("create", "configmap", "kept", "--from-literal=a=b", kubeconfig=kubeconfig)
    assert set(nodes(home, kubeconfig).values()) == {OLD}

    smoke = {"name": "smoke", "job": {"manifestsRef": {"name": "smoke"}}}
    home.patch("clusterset", "racks", {"spec": {"version": NEW, "upgrade": {"waves": [build_wave(smoke)]}}})
    home.patch("clusterset", LOCAL, {"spec": {"version": NEW, "upgrade": {"waves": [build_wave()]}}})
    home.wait(
        lambda: home.get("childcluster", CHILD),
        lambda body: body["status"].get("version") == NEW and condition_of(body, "Ready").get("status") == "True",
        f"{CHILD} at {NEW}",
        seconds=600,
    )
    home.wait(
        lambda: read_gates(home, "racks-1"),
        lambda seen: "there is no ConfigMap smoke" in seen.get("smoke", {}).get("message", ""),
        "the gate to say what it lacks",
    )
    # Images of the old version are gone by now.
    dns = home.get("deployment", "coredns", namespace="kube-system", kubeconfig=kubeconfig)
    home.apply(build_smoke(dns["spec"]["template"]["spec"]["containers"][0]["image"]))
    gates = home.wait(
        lambda: read_gates(home, "racks-1"),
        lambda seen: seen.get("smoke", {}).get("state") == "Open",
        "the Job to succeed in the changed cluster",
    )
    assert gates["sign-off"]["state"] == "Closed"
    approve(home, "racks-1")
    approve(home, f"{LOCAL}-1")
    for name in ("racks", LOCAL):
        home.wait_ready("clusterset", name, seconds=60)

    assert read_course(home, "racks-1") == read_course(home, f"{LOCAL}-1"), "the same states, the same rows"
    home.wait(
        lambda: home.kubectl("get", "namespaces", "-o", "name", kubeconfig=kubeconfig).stdout,
        lambda seen: "atoll-gate" not in seen,
        "the namespace of the gate's Job to be gone",
    )
    assert set(nodes(home, kubeconfig).values()) == {NEW}
    assert home.get("namespace", "kube-system", namespace="", kubeconfig=kubeconfig)["metadata"]["uid"] == pinned
    assert home.get("configmap", "kept", namespace="default", kubeconfig=kubeconfig)["data"] == {"a": "b"}
    rollout = home.get("rollout", "racks-1")
    assert rollout["status"]["counts"]["done"] == 1


def test_its_hosts_come_back_as_they_were(
    home: TestHome, hosts: Sequence[RigHost], before: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> None:
    home.kubectl("delete", "tenant", "shop", "-n", "fleet", "--timeout=120s", seconds=150)
    home.kubectl("delete", "clusterset", "racks", "-n", "fleet", "--timeout=240s", seconds=270)
    assert home.get("childcluster", CHILD) == {}
    home.wait(lambda: states(home), lambda seen: set(seen.values()) == {"Available"}, "all hosts free", seconds=90)
    # A connection is no leftover: the operator goes first.
    operator = home.operator()
    operator.terminate()
    operator.wait(timeout=30)
    for host in hosts:
        after = host.fingerprint_of_state()
        for part, was in before[host.name].items():
            assert sorted(set(after[part]) ^ set(was)) == [], f"{part} of {host.name}"
