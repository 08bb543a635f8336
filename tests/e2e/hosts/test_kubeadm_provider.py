"""Clusters on real hosts in bad times: reboots, blocked drains, an operator that dies in the middle."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from atoll.ports import (
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    Provider,
    WantedCluster,
)

from .kubeadm_kit import KubeadmKit
from .rig import Rig, RigHost

pytestmark = pytest.mark.e2e

NAMES = ("p1", "p2")
KUBECTL = ("kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf", "--cache-dir", "/tmp/kubectl")
BUDGET: Mapping[str, Any] = {
    "apiVersion": "v1",
    "kind": "List",
    "items": [
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "precious", "namespace": "default"},
            "spec": {
                "selector": {"matchLabels": {"app": "precious"}},
                "template": {
                    "metadata": {"labels": {"app": "precious"}},
                    "spec": {
                        "terminationGracePeriodSeconds": 1,
                        "containers": [{"name": "pause", "image": "registry.k8s.io/pause:3.6"}],
                    },
                },
            },
        },
        {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "precious", "namespace": "default"},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": "precious"}}},
        },
    ],
}


@pytest.fixture
async def kit(rig: Rig) -> AsyncIterator[KubeadmKit]:
    first, worker = rig.up(*NAMES)
    made = KubeadmKit(rig, {"c1": (first, worker)}, patience_seconds=300, drain_seconds=20)
    try:
        yield made
        await made.clean()
    finally:
        rig.down(*NAMES)


def todo(kind: OperationType, to: str, since: str = "", number: int = 1) -> Operation:
    return Operation(id=f"{kind.value.lower()}-{number}", type=kind, to_version=to, from_version=since)


async def finish(provider: Provider, want: WantedCluster, operation: Operation) -> ObservedCluster:
    """Start an operation and watch it to its end."""
    await provider.start(want, operation)
    while True:
        seen = await provider.observe(want.ref)
        if seen.operation is None or seen.operation.state is not OperationState.RUNNING:
            return seen
        await asyncio.sleep(0.3)


async def wait_step(provider: Provider, want: WantedCluster, step: str) -> None:
    """Wait until an operation is at a step."""
    while True:
        seen = await provider.observe(want.ref)
        assert seen.operation is not None
        assert seen.operation.state is OperationState.RUNNING, seen
        if seen.operation.step.startswith(step):
            return
        await asyncio.sleep(0.1)


def ask(host: RigHost, *arguments: str) -> str:
    return host.run(*KUBECTL, *arguments).stdout


def get_nodes(host: RigHost) -> dict[str, tuple[str, bool]]:
    """Version and "unschedulable" of each node."""
    items = json.loads(ask(host, "get", "nodes", "--output=json"))["items"]
    return {
        item["metadata"]["name"]: (
            item["status"]["nodeInfo"]["kubeletVersion"],
            bool(item["spec"].get("unschedulable", False)),
        )
        for item in items
    }


def identity(host: RigHost) -> str:
    return ask(host, "get", "namespace", "kube-system", "--output=jsonpath={.metadata.uid}")


async def wait_answers(host: RigHost, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while host.run(*KUBECTL, "get", "nodes", "--request-timeout=2s", check=False).returncode != 0:
        assert time.monotonic() < end, f"the API server of {host.name} did not come back"
        await asyncio.sleep(1)


async def wait_healed(provider: Provider, want: WantedCluster, seconds: float = 60) -> ObservedCluster:
    """Look until nothing is down any more, or the time is over: kubelets start after the API answers."""
    end = time.monotonic() + seconds
    while True:
        seen = await provider.observe(want.ref)
        if not seen.needs_repair or time.monotonic() > end:
            return seen
        await asyncio.sleep(1)


async def test_a_cluster_in_bad_times(kit: KubeadmKit) -> None:
    first, worker = kit.claims.clusters["c1"]
    before = {host.name: host.fingerprint_of_state() for host in (first, worker)}
    want = kit.wanted(kit.old, "c1")

    # The worker loses power while it joins.
    provider = kit.provider()
    await provider.start(want, todo(OperationType.CREATE, kit.old))
    await wait_step(provider, want, "let workers join")
    await asyncio.sleep(1)
    await asyncio.to_thread(worker.reboot)
    made = await finish(provider, want, todo(OperationType.CREATE, kit.old))
    assert (made.presence, made.needs_repair, made.drift) == (Presence.PRESENT, "", ())
    assert sorted(get_nodes(first)) == ["p1", "p2"]
    assert "bootstrap-token" not in ask(first, "get", "secrets", "--namespace=kube-system")
    pinned = identity(first)

    # Both lose power: routes and all else come back by themselves.
    await asyncio.gather(asyncio.to_thread(first.reboot), asyncio.to_thread(worker.reboot))
    await wait_answers(first)
    back = await wait_healed(provider, want)
    assert (back.presence, back.needs_repair) == (Presence.PRESENT, "")

    # A budget without slack: the drain is given up, the pod named, the node opened again.
    first.run(*KUBECTL, "apply", "--filename=-", stdin=json.dumps(BUDGET))
    first.run(*KUBECTL, "rollout", "status", "deployment/precious", "--timeout=60s", timeout=90)
    newer = kit.wanted(kit.new, "c1")
    hop = todo(OperationType.CHANGE, kit.new, kit.old)
    assert await provider.preflight(newer, hop) == ()
    await provider.start(newer, hop)
    await wait_step(provider, newer, "upgrade the control plane")
    await provider.close()

    # The operator died during the upgrade of the control plane; the next one finds the work going on.
    provider = kit.provider()
    failed = await finish(provider, newer, hop)
    assert failed.operation is not None
    assert failed.operation.state is OperationState.FAILED
    assert "p2 could not be drained" in failed.operation.message
    assert "pod default/precious" in failed.operation.message
    assert "disruption budget" in failed.operation.message
    assert failed.version == kit.old, "the oldest part counts"
    assert get_nodes(first) == {"p1": (kit.new, False), "p2": (kit.old, False)}

    first.run(*KUBECTL, "delete", "poddisruptionbudget", "precious")
    changed = await finish(provider, newer, todo(OperationType.CHANGE, kit.new, kit.old, number=2))
    assert changed.operation is not None
    assert changed.operation.state is OperationState.SUCCEEDED, changed.operation.message
    assert (changed.version, changed.needs_repair, changed.drift) == (kit.new, "", ())
    assert get_nodes(first) == {"p1": (kit.new, False), "p2": (kit.new, False)}
    assert identity(first) == pinned
    assert first.run("ls", "/var/lib/atoll/snapshots").stdout.split() == [f"change-1-{kit.old}.db"]

    # Given back as they were.
    gone = await finish(provider, newer, todo(OperationType.DELETE, kit.new))
    assert gone == ObservedCluster(presence=Presence.ABSENT)
    await provider.close()
    await kit.clean()
    await asyncio.sleep(2)  # our own sessions end
    for host in (first, worker):
        host.run("rm", "-rf", "/tmp/kubectl")
        after = host.fingerprint_of_state()
        assert {key: after[key] for key in after if after[key] != before[host.name][key]} == {}
