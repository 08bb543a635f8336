"""How often EKS is asked: about what it is at work on, and about all else only when that has changed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from atoll.ports import OperationType

from .core import run_cloud
from .eks import EksStandIn
from .eks_provider_kit import NAME, SETTINGS, World, open_provider, succeed, todo
from .faults import Faults

SECONDS = 1.0


@pytest.fixture
def cloud() -> Iterator[EksStandIn]:
    standin = EksStandIn(faults=Faults(seconds=SECONDS))
    with run_cloud(standin):
        yield standin
    assert standin.protests == []


@pytest.fixture
def world(cloud: EksStandIn) -> World:
    made = World(cloud)
    made.settings = {**SETTINGS, "addons": ()}
    return made


def count(cloud: EksStandIn, after: str) -> Counter[str]:
    """Count the calls since the last one of a name."""
    names = [call.name for call in cloud.calls]
    return Counter(names[len(names) - names[::-1].index(after) :])


async def test_while_nodes_are_made_and_changed_nothing_else_is_asked_for(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(OperationType.CREATE))
        made = count(cloud, "CreateNodegroup")
        await succeed(provider, world.want("v1.36"), todo(OperationType.CHANGE, "v1.36"))
        changed = count(cloud, "UpdateNodegroupVersion")
    for calls in (made, changed):
        assert calls["DescribeNodegroup"] > 8, "asked all the time"
        assert calls["DescribeCluster"] <= 5
        assert calls["ListNodegroups"] <= 5


async def test_while_the_control_plane_is_changed_its_nodes_are_let_be(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(OperationType.CREATE))
        before = len(cloud.calls)
        await succeed(provider, world.want("v1.36"), todo(OperationType.CHANGE, "v1.36"))
        names = [call.name for call in cloud.calls[before:]]
    during = Counter(names[names.index("UpdateClusterVersion") : names.index("UpdateNodegroupVersion")])
    assert during["DescribeCluster"] > 8
    assert during["ListNodegroups"] <= 3


async def test_a_node_group_that_somebody_deletes_while_it_is_made_is_made_anew(
    cloud: EksStandIn, world: World
) -> None:
    async with open_provider(world) as provider:
        creating = asyncio.create_task(succeed(provider, world.want(), todo(OperationType.CREATE)))
        async with asyncio.timeout(10):
            while cloud.count("DescribeNodegroup") < 5:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        with cloud.lock:
            del cloud.account.clusters[NAME].nodegroups["small"]
        made = await creating
    assert made.drift == ()
    assert "small" in cloud.account.clusters[NAME].nodegroups
