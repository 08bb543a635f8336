"""The provider of EKS against the stand-in, through boto3 as it is: a life, drift, and everything that goes wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
import yaml

from atoll.ports import OperationState, OperationType, Presence

from .core import run_cloud
from .eks import EksStandIn
from .eks_provider_kit import (
    CREDENTIALS,
    GROUP,
    NAME,
    REF,
    SETTINGS,
    World,
    finish,
    open_provider,
    succeed,
    todo,
)
from .faults import Faults, How

CREATE, CHANGE, DELETE = OperationType.CREATE, OperationType.CHANGE, OperationType.DELETE
REPAIR, REVERT = OperationType.REPAIR, OperationType.REVERT


@pytest.fixture
def cloud() -> Iterator[EksStandIn]:
    standin = EksStandIn(faults=Faults(seconds=0.1, retry_after_seconds=0.05))
    with run_cloud(standin):
        yield standin
    assert standin.protests == []


@pytest.fixture
def world(cloud: EksStandIn) -> World:
    return World(cloud)


def find_nothing_twice(cloud: EksStandIn) -> None:
    assert set(cloud.account.clusters) <= {NAME}
    for cluster in cloud.account.clusters.values():
        assert set(cluster.nodegroups) == {"small"}
        assert set(cluster.addons) == {"vpc-cni", "coredns"}


async def test_a_life_from_create_over_upgrade_return_and_drift_to_delete(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        assert await provider.preflight(world.want(), todo(CREATE)) == ()
        made = await succeed(provider, world.want(), todo(CREATE))
        assert (made.presence, made.version, made.drift, made.needs_repair) == (Presence.PRESENT, "v1.35", (), "")
        assert made.endpoint.startswith("https://127.0.0.1:")
        assert made.revert_point is None
        hop = todo(CHANGE, "v1.36")
        assert await provider.preflight(world.want("v1.36"), hop) == ()
        changed = await succeed(provider, world.want("v1.36"), hop)
        assert (changed.version, changed.drift) == ("v1.36", ())
        assert changed.revert_point is not None
        assert (changed.revert_point.version, "lost" in changed.revert_point.message) == ("v1.35", True)
        world.settings = {**SETTINGS, "endpointAccess": {"public": True}, "nodeGroups": ({**GROUP, "maxSize": 5},)}
        world.labels = {"stage": "test", "owner": "shop"}
        await asyncio.sleep(0.1)
        drifted = await provider.observe(REF)
        assert len(drifted.drift) == 6, drifted.drift
        mended = await succeed(provider, world.want("v1.36"), todo(CHANGE, "v1.36", 2))
        assert mended.drift == ()
        body = cloud.account.clusters[NAME].body
        assert body["tags"].items() >= {"stage": "test", "owner": "shop"}.items()
        assert body["resourcesVpcConfig"]["endpointPublicAccess"] is True
        gone = await succeed(provider, world.want("v1.36"), todo(DELETE, "v1.36"))
        assert gone.presence is Presence.ABSENT
        assert cloud.account.clusters == {}


async def test_an_upgrade_is_taken_back_and_nothing_is_lost(cloud: EksStandIn, world: World) -> None:
    world.settings = {**SETTINGS, "addons": ({"name": "vpc-cni"},)}
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        await succeed(provider, world.want("v1.36"), todo(CHANGE, "v1.36"))
        back = todo(REVERT)
        assert await provider.preflight(world.want(), back) == (), "nodes that are too new go back first"
        cloud.add_insight(NAME, name="API usage", version="1.35", category="ROLLBACK_READINESS", reason="only in 1.36")
        assert [one.reason for one in await provider.preflight(world.want(), back)] == ["NotReadyToRevert"]
        with cloud.lock:
            cloud.account.clusters[NAME].insights.clear()
        reverted = await succeed(provider, world.want(), back)
        assert (reverted.version, reverted.revert_point, reverted.drift) == ("v1.35", None, ())
        assert reverted.operation is not None
        assert "no writes were lost" in reverted.operation.message
        again = await finish(provider, world.want("v1.34"), todo(REVERT, "v1.34", 2))
        assert again.operation is not None
        assert again.operation.state is OperationState.FAILED
        assert "after an upgrade in place" in again.operation.message


async def test_the_kubeconfig_has_a_token_for_minutes_and_a_way_for_people(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        text = await provider.kubeconfig(REF)
        assert CREDENTIALS["aws_secret_access_key"] not in text
        users = {user["name"]: user["user"] for user in yaml.safe_load(text)["users"]}
        token = users[REF.name]["token"]
        assert token.startswith("k8s-aws-v1.")
        key = cloud.account.clusters[NAME].key
        person = cloud.authenticate(key, token)
        assert person is not None
        assert person.groups == ("system:masters",)
        assert cloud.authenticate(key, token[:-4] + "AAAA") is None
        assert await provider.kubeconfig(REF) == text, "the same token as long as it is good"
        people = users[REF.name]["extensions"][0]["extension"]
        assert people["args"][2:4] == ["eks", "get-token"]


async def test_what_people_did_by_hand_is_drift_or_damage_and_mended(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        with cloud.lock:
            del cloud.account.clusters[NAME].nodegroups["small"]
        await asyncio.sleep(0.1)
        seen = await provider.observe(REF)
        assert seen.drift == ("node group small is declared, and not there",)
        repaired = await succeed(provider, world.want(), todo(REPAIR))
        assert (repaired.drift, repaired.needs_repair) == ((), "")
        find_nothing_twice(cloud)


async def test_insights_and_what_eks_does_not_offer_are_found_before_anything_moves(
    cloud: EksStandIn, world: World
) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        hop = todo(CHANGE, "v1.36")
        cloud.add_insight(NAME, name="Deprecated APIs removed in 1.36", version="1.36", reason="flowschemas in v1beta3")
        found = await provider.preflight(world.want("v1.36"), hop)
        assert [finding.reason for finding in found] == ["NotReadyToUpgrade"]
        assert "Deprecated APIs removed in 1.36" in found[0].message
        assert "flowschemas in v1beta3" in found[0].message
        assert cloud.count("StartInsightsRefresh") == 0
        with cloud.lock:
            cloud.account.clusters[NAME].body["createdAt"] -= timedelta(days=2).total_seconds()
        world.settings = {**SETTINGS, "addons": ({"name": "coredns", "version": "v1.0.0"}, {"name": "tea"})}
        found = await provider.preflight(world.want("v1.36"), hop)
        assert [finding.field for finding in found] == [
            "spec.provider.eks.addons[coredns].version",
            "spec.provider.eks.addons[tea]",
            "spec.version",
        ]
        assert cloud.count("StartInsightsRefresh", good=True) == 1, "what EKS knew was two days old"
        found = await provider.preflight(world.want("v1.37"), todo(CHANGE, "v1.37"))
        assert [finding.reason for finding in found] == ["VersionSkipped"]
        found = await provider.preflight(world.want("v1.36.4"), todo(CHANGE, "v1.36.4"))
        assert "EKS picks the patch" in found[0].message


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ("denied", "eks:{call} on arn:aws:eks:eu-west-1:111122223333:"),
        ("quota", "has no room left"),
        ("invalid", "The specified parameter is invalid"),
    ],
)
@pytest.mark.parametrize("call", ["CreateCluster", "CreateNodegroup", "CreateAddon"])
async def test_what_a_person_must_mend_ends_it_with_the_clouds_words_and_the_next_try_goes_on(
    cloud: EksStandIn, world: World, call: str, how: How, words: str
) -> None:
    cloud.faults.seconds = 0.02
    cloud.faults.fail(call, how)
    async with open_provider(world) as provider:
        failed = await finish(provider, world.want(), todo(CREATE))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert words.format(call=call) in failed.operation.message
        assert CREDENTIALS["aws_secret_access_key"] not in failed.operation.message
        await succeed(provider, world.want(), todo(CREATE, number=2))
    find_nothing_twice(cloud)


@pytest.mark.parametrize("call", ["CreateCluster", "CreateNodegroup", "CreateAddon"])
async def test_what_is_accepted_and_fails_is_told_and_made_anew(cloud: EksStandIn, world: World, call: str) -> None:
    cloud.faults.seconds = 0.02
    cloud.faults.fail(call, "broken")
    async with open_provider(world) as provider:
        failed = await finish(provider, world.want(), todo(CREATE))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        assert "told to let this fail" in failed.operation.message
        await succeed(provider, world.want(), todo(CREATE, number=2))
    find_nothing_twice(cloud)


@pytest.mark.parametrize("call", ["UpdateClusterVersion", "UpdateNodegroupVersion", "UpdateAddon"])
async def test_an_update_that_fails_is_told_and_the_next_change_goes_on(
    cloud: EksStandIn, world: World, call: str
) -> None:
    cloud.faults.seconds = 0.02
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        cloud.faults.fail(call, "broken")
        failed = await finish(provider, world.want("v1.36"), todo(CHANGE, "v1.36"))
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
        changed = await succeed(provider, world.want("v1.36"), todo(CHANGE, "v1.36", 2))
    assert (changed.version, changed.drift) == ("v1.36", ())


async def test_strangers_are_not_let_in_and_half_a_login_is_told(cloud: EksStandIn, world: World) -> None:
    world.credentials = {**CREDENTIALS, "aws_secret_access_key": "somebody-elses-secret-key"}
    async with open_provider(world) as provider:
        seen = await provider.observe(REF)
        assert seen.presence is Presence.UNKNOWN
        assert "AWS does not believe who we are" in seen.message
        world.credentials = {"aws_access_key_id": CREDENTIALS["aws_access_key_id"]}
        seen = await provider.observe(REF)
        assert "lacks aws_secret_access_key" in seen.message
    assert "somebody-elses-secret-key" not in seen.message


async def test_another_cluster_of_that_name_is_not_touched(cloud: EksStandIn, world: World) -> None:
    async with open_provider(world) as provider:
        await succeed(provider, world.want(), todo(CREATE))
        with cloud.lock:
            cloud.account.clusters[NAME].body["tags"].pop("atoll-id")
        failed = await finish(provider, world.want(), todo(DELETE))
        assert failed.operation is not None
        assert "without the tag" in failed.operation.message
    assert cloud.count("DeleteNodegroup") == cloud.count("DeleteCluster") == 0
