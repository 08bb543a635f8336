"""Writes on the management plane: kind by kind in the order of the plan, side by side within."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.errors import AtollError, Conflict, Refused, Unreachable
from atoll.fleet.plan import ApplyObject
from atoll.kube.kinds import Kind
from atoll.shell.cache import Cache
from atoll.shell.context import Context, Settings
from atoll.shell.hub_act import ABREAST, HubHands


class Writes:
    """A management plane on which each write takes a moment, and some fail."""

    def __init__(self, **failures: AtollError) -> None:
        self.failures = failures
        self.begun: list[str] = []
        self.ended: list[str] = []
        self.read: list[str] = []
        self.most = 0

    async def apply(self, body: dict[str, Any], manager: str, **_: Any) -> dict[str, Any]:
        name = body["metadata"]["name"]
        self.begun.append(name)
        self.most = max(self.most, len(self.begun) - len(self.ended))
        await asyncio.sleep(0.001)
        self.ended.append(name)
        if name in self.failures:
            raise self.failures[name]
        return {**body, "metadata": {**body["metadata"], "resourceVersion": str(len(self.ended))}}

    async def get(self, kind: Kind, namespace: str, name: str) -> None:
        self.read.append(name)
        if "get" in self.failures:
            raise self.failures["get"]


def step(kind: str, name: str) -> ApplyObject:
    body = {"apiVersion": "atoll.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": "fleet"}}
    return ApplyObject(kind=kind, name=name, body=body, reason="it is wanted")


def build_hands(writes: Writes, cache: Cache | None = None) -> HubHands:
    anything: Any = writes
    context = Context(
        settings=Settings(), store=anything, providers={}, connect=anything, recorder=anything, hub_uid="hub"
    )
    return HubHands(context, cache or Cache(), "fleet")


async def test_kinds_keep_the_order_of_the_plan_and_objects_of_one_kind_go_side_by_side() -> None:
    writes = Writes()
    plan = [step("ChildCluster", "a"), step("ChildCluster", "b"), step("Rollout", "r"), step("ChildCluster", "c")]
    assert await build_hands(writes).carry_out(plan) == (True, False)
    assert writes.most == 2
    assert sorted(writes.ended[:2]) == ["a", "b"]
    assert writes.begun[2:] == writes.ended[2:] == ["r", "c"]


async def test_what_is_written_twice_is_written_one_after_the_other() -> None:
    writes = Writes()
    await build_hands(writes).carry_out([step("ChildCluster", "a"), step("ChildCluster", "a")])
    assert (writes.begun, writes.most) == (["a", "a"], 1)


async def test_a_large_plan_does_not_flood_the_api_server() -> None:
    writes = Writes()
    await build_hands(writes).carry_out([step("ChildCluster", f"c{number}") for number in range(3 * ABREAST)])
    assert (len(writes.ended), writes.most) == (3 * ABREAST, ABREAST)


@pytest.mark.parametrize("error", [Refused("no"), Unreachable("away")])
async def test_one_failure_holds_nobody_up_and_is_told(error: AtollError) -> None:
    writes = Writes(a=error)
    assert await build_hands(writes).carry_out([step("ChildCluster", "a"), step("Rollout", "r")]) == (True, True)
    assert (writes.ended, writes.read) == (["a", "r"], [])


@pytest.mark.parametrize("failures", [{}, {"get": Unreachable("away")}])
async def test_who_was_overtaken_reads_what_the_others_wrote(failures: dict[str, AtollError]) -> None:
    cache = Cache()
    cache.put(
        {"kind": "ChildCluster", "metadata": {"name": "a", "namespace": "fleet", "uid": "1", "resourceVersion": "1"}},
        datetime.now(UTC),
    )
    writes = Writes(a=Conflict("somebody wrote first"), **failures)
    assert await build_hands(writes, cache).carry_out([step("ChildCluster", "a")]) == (False, True)
    assert writes.read == ["a"]
    assert (cache.get("fleet", "ChildCluster", "a") is None) is not bool(failures), "it is gone, as far as was read"
