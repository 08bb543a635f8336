"""The life of a cluster that somebody else runs, as its provider sees it; what the common suite cannot ask of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from atoll.errors import AtollError, Refused
from atoll.kube.member import MemberClient
from atoll.ports import ObservedCluster, OperationState, OperationType, Presence, Provider

from . import test_provider_contract as suite
from .existing_kit import CANNOT, ExistingKit
from .test_provider_contract import create, finish, operation


def test_what_the_kit_cannot_be_asked_is_named_test_by_test() -> None:
    tests = {name for name in vars(suite) if name.startswith("test_")}
    assert set(CANNOT) < tests
    assert tests - set(CANNOT) == {
        "test_what_was_never_made_is_absent",
        "test_what_a_provider_can_do_is_said_without_looking",
    }


@pytest.fixture
async def owned(tmp_path: Path) -> AsyncIterator[ExistingKit]:
    """Somebody's cluster at the old version."""
    made = ExistingKit(tmp_path)
    try:
        await made.own("c1", made.old)
        yield made
    finally:
        await made.clean()


async def put_in(kit: ExistingKit) -> str:
    """Write what Atoll writes into a cluster, and return its identity."""
    async with MemberClient(kit.members.texts["c1"]) as client:
        labels = {"app.kubernetes.io/managed-by": "atoll"}
        for name in ("atoll-system", "shop--dev"):
            await client.store.apply(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}
            )
        owner = {"name": "atoll-owner", "namespace": "atoll-system", "labels": labels}
        data = {"hubUID": "hub", "fleet": "fleet", "clusterID": "c1"}
        await client.store.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": owner, "data": data})
        role = {"name": "atoll:viewer", "labels": labels}
        rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]
        await client.store.apply(
            {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": role, "rules": rules}
        )
        return await client.identity()


async def list_names(kit: ExistingKit, path: str) -> set[str]:
    async with MemberClient(kit.members.texts["c1"]) as client:
        status, text = await client.store.raw_get(path)
        assert status == 200
        return {name for name in ("atoll-system", "shop--dev", "atoll:viewer") if f'"name":"{name}"' in text}


@pytest.mark.e2e
async def test_a_life_from_being_found_over_its_owners_change_and_repair_to_being_given_back(
    owned: ExistingKit,
) -> None:
    provider = owned.provider()
    want = owned.wanted(owned.old, "c1")
    begun = owned.begun("c1")

    found = await create(owned, provider, owned.old)
    assert (found.presence, found.version, found.needs_repair) == (Presence.PRESENT, owned.old, "")
    assert found.endpoint.startswith(owned.endpoint)
    assert found.certificates_expire_time is not None
    owned.members.uids["c1"] = await put_in(owned)

    hop = operation(OperationType.CHANGE, owned.new, from_version=owned.old)
    await provider.start(owned.wanted(owned.new, "c1"), hop)
    waiting = await provider.observe(want.ref)
    assert waiting.operation is not None
    assert (waiting.version, waiting.operation.state) == (owned.old, OperationState.RUNNING)
    assert "its owner has to bring it" in waiting.operation.message
    assert owned.begun("c1") == begun, "nothing was done to it"
    await owned.own("c1", owned.new, OperationType.CHANGE)
    changed = await finish(owned, provider, owned.wanted(owned.new, "c1"), hop)
    assert changed.operation is not None
    assert (changed.version, changed.operation.state) == (owned.new, OperationState.SUCCEEDED)

    await owned.hurt("c1")
    hurt = await provider.observe(want.ref)
    assert (hurt.presence, hurt.needs_repair) == (Presence.UNKNOWN, "")
    assert owned.endpoint in hurt.message
    await provider.close()
    second = owned.provider()
    assert (await second.observe(want.ref)).presence is Presence.UNKNOWN
    await owned.own("c1", owned.new, OperationType.REPAIR)
    repaired = await second.observe(want.ref)
    assert (repaired.presence, repaired.version) == (Presence.PRESENT, owned.new)
    await second.forget(want.ref)
    assert (await second.observe(want.ref)) == repaired

    for kind in (OperationType.REVERT, OperationType.DRILL):
        with pytest.raises(Refused):
            await second.start(want, operation(kind, owned.old))
    begun = owned.begun("c1")
    gone = await finish(owned, second, want, operation(OperationType.DELETE, owned.new))
    assert gone == ObservedCluster(presence=Presence.ABSENT)
    assert owned.begun("c1") == begun, "it goes on running"
    for _ in range(300):
        left = await list_names(owned, "/api/v1/namespaces")
        if left == {"shop--dev"}:
            break
        await asyncio.sleep(0.2)
    assert left == {"shop--dev"}
    assert await list_names(owned, "/apis/rbac.authorization.k8s.io/v1/clusterroles") == set()
    await second.close()


async def test_what_was_never_reached_can_be_given_back(tmp_path: Path) -> None:
    kit = ExistingKit(tmp_path)
    kit.members.texts["c1"] = "no kubeconfig"
    provider: Provider = kit.provider()
    want = kit.wanted(kit.old, "c1")
    (finding,) = await provider.preflight(want, operation(OperationType.CREATE, kit.old))
    assert finding.field
    seen = await provider.observe(want.ref)
    assert (seen.presence, seen.message) == (Presence.PARTIAL, finding.message)
    with pytest.raises(AtollError):
        await provider.kubeconfig(want.ref)
    gone = await finish(kit, provider, want, operation(OperationType.DELETE, kit.old))
    assert gone == ObservedCluster(presence=Presence.ABSENT)
    await provider.close()
