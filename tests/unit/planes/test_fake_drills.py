"""Clusters that do not exist can be drilled too, well or badly."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from atoll.ports import (
    ClusterRef,
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.fake import DRILLED, FakeProvider, FakeWorld

OLD, NEW = "v1.35.8", "v1.36.4"
WANTED = WantedCluster(
    ref=ClusterRef(fleet="fleet", name="web", id="c1"), version=OLD, pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20"
)
FOUND = "configmaps default/kept was not restored"


async def run(world: FakeWorld, kind: OperationType, version: str, *, drills: bool = False) -> ObservedCluster:
    provider = FakeProvider(world)
    wanted = replace(WANTED, version=version, drill_before_change=drills)
    await provider.start(wanted, Operation(id=f"{kind}-{len(world.begun)}", type=kind, to_version=version))
    for _ in range(20):
        await asyncio.sleep(0)
    return await provider.observe(WANTED.ref)


@pytest.fixture
async def world() -> FakeWorld:
    world = FakeWorld()
    await run(world, OperationType.CREATE, OLD)
    return world


def outcome(cluster: ObservedCluster) -> tuple[str, OperationState, str]:
    assert cluster.operation is not None
    return cluster.version, cluster.operation.state, cluster.operation.message


async def test_a_drill_changes_nothing_and_tells_figures(world: FakeWorld) -> None:
    before = replace(world.clusters["c1"], operation=None, broken="kube-apiserver")
    world.clusters["c1"] = before
    assert outcome(await run(world, OperationType.DRILL, OLD)) == (OLD, OperationState.SUCCEEDED, DRILLED)
    assert replace(world.clusters["c1"], operation=None) == before


async def test_what_drills_find_fails_them_and_the_hop_that_asks_for_one(world: FakeWorld) -> None:
    world.drill_failures["web"] = FOUND
    assert outcome(await run(world, OperationType.DRILL, OLD)) == (OLD, OperationState.FAILED, FOUND)
    stopped = await run(world, OperationType.CHANGE, NEW, drills=True)
    assert outcome(stopped) == (OLD, OperationState.FAILED, FOUND)
    assert stopped.revert_point is None
    assert outcome(await run(world, OperationType.CHANGE, NEW))[:2] == (NEW, OperationState.SUCCEEDED)


async def test_nothing_is_made_by_a_drill_of_what_is_not_there() -> None:
    world = FakeWorld()
    assert (await run(world, OperationType.DRILL, OLD)).presence is Presence.ABSENT
    assert world.clusters == {}
