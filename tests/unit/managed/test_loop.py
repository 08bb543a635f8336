"""The loop behind managed clusters: whatever is lost, hidden, refused or cut, it converges and does nothing twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import yaml

from atoll.errors import AtollError, BadInput, Conflict, QuotaExceeded, Throttled, Unreachable
from atoll.kube.kubeconfigs import build_public
from atoll.ports import (
    ClusterRef,
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.managed.marks import build_name
from atoll.providers.managed.provider import ManagedProvider, Pace

from .toy import ToyClock, ToyCloud, ToyCluster, ToySurroundings, ToyWorld

REF = ClusterRef(fleet="fleet", name="web--a", id="c1")
WANTED = WantedCluster(ref=REF, version="v1.35", pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20")
CREATE = Operation(id="create-1", type=OperationType.CREATE, to_version="v1.35")
CHANGE = Operation(id="change-1", type=OperationType.CHANGE, from_version="v1.35", to_version="v1.36")
DELETE = Operation(id="delete-1", type=OperationType.DELETE, to_version="v1.35")
NAME = build_name(REF)
QUICK = Pace(work=0.01, rest=0.05, settle=0.3, patience=5.0)

Provider = ManagedProvider[ToyCluster]
Open = Callable[[], Provider]


@pytest.fixture
def world() -> ToyWorld:
    return ToyWorld()


@pytest.fixture
def clock() -> ToyClock:
    return ToyClock()


@pytest.fixture
def surroundings() -> ToySurroundings:
    return ToySurroundings()


def unexpected(error: Exception, call: str, subject: str) -> AtollError:
    raise error


@pytest.fixture
async def open_provider(world: ToyWorld, clock: ToyClock, surroundings: ToySurroundings) -> AsyncIterator[Open]:
    opened: list[Provider] = []

    def make() -> Provider:
        opened.append(ManagedProvider(ToyCloud(world, clock), surroundings, unexpected, clock=clock, pace=QUICK))
        return opened[-1]

    yield make
    for provider in opened:
        await provider.close()


async def finish(provider: Provider, wanted: WantedCluster, operation: Operation) -> ObservedCluster:
    """Start an operation and wait for its end; its progress never goes back."""
    await provider.start(wanted, operation)
    done = 0
    async with asyncio.timeout(10):
        while True:
            seen = await provider.observe(wanted.ref)
            if seen.operation is None:
                assert operation.type is OperationType.DELETE
                return seen
            assert seen.operation.id == operation.id
            assert done <= seen.operation.steps_done <= seen.operation.steps_total
            done = seen.operation.steps_done
            if seen.operation.state is not OperationState.RUNNING:
                return seen
            await asyncio.sleep(0.005)


async def cut_create(provider: Provider, world: ToyWorld) -> None:
    """End a provider right after the cloud has heard of a new cluster."""
    await provider.start(WANTED, CREATE)
    async with asyncio.timeout(5):
        while NAME not in world.clusters:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.002)
    await provider.close()


async def test_a_life_and_no_call_too_many(open_provider: Open, world: ToyWorld) -> None:
    provider = open_provider()
    made = await finish(provider, WANTED, CREATE)
    assert (made.presence, made.version) == (Presence.PRESENT, "v1.35")
    assert made.operation is not None
    assert (made.operation.state, made.operation.steps_done) == (OperationState.SUCCEEDED, 3)
    changed = await finish(provider, replace(WANTED, version="v1.36"), CHANGE)
    assert changed.version == "v1.36"
    assert await finish(provider, WANTED, DELETE) == ObservedCluster(presence=Presence.ABSENT)
    assert [call for call, _ in world.calls] == ["create", "tag", "update", "tag", "delete"]


async def test_who_comes_after_a_crash_sees_the_same_and_goes_on(open_provider: Open, world: ToyWorld) -> None:
    first = open_provider()
    await cut_create(first, world)

    second = open_provider()
    cut = await second.observe(REF)
    assert cut.presence is Presence.PARTIAL
    assert cut.operation is not None
    assert (cut.operation.id, cut.operation.state) == (CREATE.id, OperationState.INTERRUPTED)
    made = await finish(second, WANTED, CREATE)
    assert [call for call, _ in world.calls] == ["create", "tag"]

    third = open_provider()
    assert await third.observe(REF) == made
    await third.start(WANTED, CREATE)
    await asyncio.sleep(0.05)
    assert [call for call, _ in world.calls] == ["create", "tag"], "what is finished is not begun again"


async def test_a_create_whose_answer_was_lost_is_not_made_twice(open_provider: Open, world: ToyWorld) -> None:
    world.fail("create", Unreachable("cut"), done=True)
    world.hidden = 0.1
    made = await finish(open_provider(), WANTED, CREATE)
    assert made.presence is Presence.PRESENT
    assert list(world.clusters) == [NAME]
    assert [call for call, _ in world.calls][-1] == "tag"


async def test_what_is_not_listed_yet_is_waited_for(open_provider: Open, world: ToyWorld) -> None:
    world.hidden = 0.15
    made = await finish(open_provider(), WANTED, CREATE)
    assert made.presence is Presence.PRESENT
    assert [call for call, _ in world.calls] == ["create", "tag"]


async def test_a_delete_does_not_believe_the_first_answer_that_nothing_is_there(
    open_provider: Open, world: ToyWorld
) -> None:
    world.hidden = 0.15
    first = open_provider()
    await cut_create(first, world)

    gone = await finish(open_provider(), WANTED, DELETE)
    assert gone.presence is Presence.ABSENT
    assert world.clusters == {}, "a cluster that was not listed yet must not be left behind"


async def test_deleting_what_was_never_there_ends(open_provider: Open, world: ToyWorld) -> None:
    began = time.monotonic()
    assert (await finish(open_provider(), WANTED, DELETE)).presence is Presence.ABSENT
    assert time.monotonic() - began >= QUICK.settle
    assert world.calls == []


@pytest.mark.parametrize("call", ["look", "create", "tag"])
@pytest.mark.parametrize(
    "error",
    [Unreachable("503"), Conflict("another operation is in progress"), Throttled("slow down", delay=0.02)],
    ids=["unavailable", "busy", "throttled"],
)
async def test_what_may_pass_is_tried_again(open_provider: Open, world: ToyWorld, call: str, error: AtollError) -> None:
    world.fail(call, error, times=2)
    made = await finish(open_provider(), WANTED, CREATE)
    assert made.operation is not None
    assert made.operation.state is OperationState.SUCCEEDED
    assert [name for name, _ in world.calls] == ["create", "tag"]


async def test_what_cannot_pass_ends_the_operation_and_the_next_one_begins_anew(
    open_provider: Open, world: ToyWorld
) -> None:
    provider = open_provider()
    world.fail("create", QuotaExceeded("the account may have 100 clusters, and has them. Ask for more"))
    failed = await finish(provider, WANTED, CREATE)
    assert failed.presence is Presence.ABSENT
    assert failed.operation is not None
    assert failed.operation.state is OperationState.FAILED
    assert "may have 100 clusters" in failed.operation.message
    made = await finish(provider, WANTED, replace(CREATE, id="create-2"))
    assert made.presence is Presence.PRESENT


async def test_a_plan_that_gives_up_says_why(open_provider: Open) -> None:
    failed = await finish(open_provider(), replace(WANTED, settings={"impossible": True}), CREATE)
    assert failed.operation is not None
    assert failed.operation.state is OperationState.FAILED
    assert failed.operation.message == "the toy has no such thing. Ask for another"


async def test_patience_has_an_end(world: ToyWorld, clock: ToyClock, surroundings: ToySurroundings) -> None:
    pace = replace(QUICK, patience=0.1)
    provider = ManagedProvider(ToyCloud(world, clock), surroundings, unexpected, clock=clock, pace=pace)
    world.fail("create", Unreachable("503"), times=1000)
    failed = await finish(provider, WANTED, CREATE)
    assert failed.operation is not None
    assert (failed.operation.state, failed.operation.message) == (OperationState.FAILED, "503")
    await provider.close()


async def test_a_bug_of_ours_does_not_run_for_ever(open_provider: Open, world: ToyWorld) -> None:
    world.seconds = None  # type: ignore[assignment]
    failed = await finish(open_provider(), WANTED, CREATE)
    assert failed.operation is not None
    assert failed.operation.state is OperationState.FAILED
    assert failed.operation.message.startswith("TypeError in Atoll itself")


async def test_one_operation_at_a_time(open_provider: Open) -> None:
    provider = open_provider()
    await provider.start(WANTED, CREATE)
    await provider.start(WANTED, CREATE)
    with pytest.raises(Conflict, match=CREATE.id):
        await provider.start(WANTED, DELETE)


async def test_a_cluster_of_the_same_name_that_is_not_ours_is_not_touched(open_provider: Open, world: ToyWorld) -> None:
    world.clusters[NAME] = ToyCluster(name=NAME, version="v1.34", tags={"owner": "somebody"})
    provider = open_provider()
    seen = await provider.observe(REF)
    assert seen.presence is Presence.UNKNOWN
    assert "without the tag atoll-id: c1" in seen.message
    for operation in (CREATE, CHANGE, DELETE):
        failed = await finish(provider, WANTED, operation)
        assert failed.operation is not None
        assert failed.operation.state is OperationState.FAILED
    assert world.calls == []


async def test_at_rest_the_cloud_is_asked_seldom(open_provider: Open, world: ToyWorld) -> None:
    provider = open_provider()
    await finish(provider, WANTED, CREATE)
    reads = world.reads
    for _ in range(50):
        await provider.observe(REF)
    assert world.reads == reads
    await asyncio.sleep(QUICK.rest)
    await provider.observe(REF)
    assert world.reads == reads + 1


async def test_drift_is_told_at_rest_and_not_while_it_is_mended(
    open_provider: Open, world: ToyWorld, surroundings: ToySurroundings
) -> None:
    provider = open_provider()
    await finish(provider, WANTED, CREATE)
    surroundings.settings = {"version": "v1.36"}
    assert (await provider.observe(REF)).drift == ("version is v1.35, and shall be v1.36",)
    await provider.start(replace(WANTED, version="v1.36"), CHANGE)
    assert (await provider.observe(REF)).drift == ()
    assert (await finish(provider, replace(WANTED, version="v1.36"), CHANGE)).drift == ()


async def test_who_cannot_ask_says_so(open_provider: Open, surroundings: ToySurroundings) -> None:
    surroundings.error = BadInput("Secret aws is not there. Make it", field="spec.provider.toy.credentialsSecretRef")
    provider = open_provider()
    seen = await provider.observe(REF)
    assert (seen.presence, seen.message) == (Presence.UNKNOWN, "Secret aws is not there. Make it")
    (finding,) = await provider.preflight(WANTED, CREATE)
    assert (finding.reason, finding.field) == ("InvalidSpec", "spec.provider.toy.credentialsSecretRef")


async def test_the_kubeconfig_has_a_token_for_minutes_and_is_published_without_it(
    open_provider: Open, clock: ToyClock
) -> None:
    provider = open_provider()
    with pytest.raises(Unreachable):
        await provider.kubeconfig(REF)
    await finish(provider, WANTED, CREATE)
    first = await provider.kubeconfig(REF)
    assert await provider.kubeconfig(REF) == first
    public = build_public(first)
    assert "token-1" in first
    assert "token-1" not in public
    (user,) = yaml.safe_load(public)["users"]
    assert user["user"] == {
        "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "toy", "args": ["token", NAME]}
    }
    clock.time += timedelta(minutes=12)
    second = await provider.kubeconfig(REF)
    assert "token-2" in second
    assert build_public(second) == public, "what is published does not change with every token"
