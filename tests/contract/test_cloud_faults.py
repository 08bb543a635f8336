"""Whatever a cloud does to a call, a cluster is made, changed and removed: once, and nothing is left over.

Each life here is one create, one hop, one change of settings and one delete.
`tests/cloudsim/test_<cloud>_provider.py` has what is special.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from atoll.ports import Operation, OperationState, OperationType
from tests.cloudsim.faults import How

from .cloud_kit import CloudKit, carry_out

MAY_PASS: tuple[How, ...] = ("throttled", "unavailable", "error", "cut", "lost", "conflict")
STAYS: tuple[How, ...] = ("denied", "quota", "invalid")
STEPS = ("create", "hop", "settings", "delete")
TYPES = {
    "create": OperationType.CREATE,
    "hop": OperationType.CHANGE,
    "settings": OperationType.CHANGE,
    "delete": OperationType.DELETE,
}
PATIENCE = 60


def begin_step(kit: CloudKit, step: str, attempt: int = 1) -> Operation:
    """Declare what a step wants, and return its operation."""
    kit.redeclare(changed=step in {"settings", "delete"})
    version = kit.old if step == "create" else kit.new
    served = kit.old if step == "hop" else version
    return Operation(id=f"{step}-{attempt}", type=TYPES[step], to_version=version, from_version=served)


async def live(kit: CloudKit, *, attempt: int = 1) -> None:
    """Make, change and remove one cluster. No two lives of one cloud have operations of the same ids."""
    provider = kit.provider()
    for step in STEPS:
        seen = await carry_out(kit, provider, begin_step(kit, step, attempt))
        if step != "delete":
            assert seen.operation is not None
            assert seen.operation.state is OperationState.SUCCEEDED, (step, seen.operation.message)
            assert kit.names() == ["atoll-c1"]
            assert seen.drift == ()
    assert kit.names() == []
    await provider.close()


async def list_calls(kit: CloudKit) -> Counter[str]:
    """Live once without a fault, and count the calls by name."""
    await live(kit, attempt=99)
    counted = Counter(call.name for call in kit.cloud.calls)
    kit.cloud.calls.clear()
    return counted


def count_writes(kit: CloudKit) -> Counter[str]:
    """Count what was asked for and granted."""
    return Counter(call.name for call in kit.cloud.calls if call.name in kit.writes and 0 < call.status < 400)


@pytest.mark.parametrize("how", MAY_PASS)
async def test_every_call_fails_once_and_the_life_goes_on(cloud: CloudKit, how: How) -> None:
    plain = await list_calls(cloud)
    for name in plain:
        # Nobody is too busy to be looked at.
        if how != "conflict" or name in cloud.writes:
            cloud.cloud.faults.fail(name, how)
    await live(cloud)
    assert cloud.cloud.faults.pending == {}, "every call has had its failure"
    writes = count_writes(cloud)
    assert set(writes) <= set(plain)
    for name, times in writes.items():
        # One that was cut was done: then it is not there to be granted again.
        assert times <= plain[name], f"{name} was granted {times} times; without faults {plain[name]}"


async def test_half_of_all_calls_are_throttled_and_nothing_happens_twice(cloud: CloudKit) -> None:
    plain = await list_calls(cloud)
    cloud.cloud.faults.throttle_every = 2
    await live(cloud)
    assert count_writes(cloud) == Counter({name: times for name, times in plain.items() if name in cloud.writes})


async def test_what_is_not_listed_for_a_while_is_made_once(cloud: CloudKit) -> None:
    plain = await list_calls(cloud)
    cloud.cloud.faults.hidden_seconds = 0.4
    await live(cloud)
    assert count_writes(cloud) == Counter({name: times for name, times in plain.items() if name in cloud.writes})


async def test_a_provider_that_dies_after_each_call_is_followed_by_one_that_goes_on(cloud: CloudKit) -> None:
    plain = await list_calls(cloud)
    deaths = 0
    for step in STEPS:
        operation = begin_step(cloud, step)
        wanted = cloud.wanted(operation.to_version, "c1")
        while True:
            provider = cloud.provider()
            before = count_writes(cloud).total()
            await provider.start(wanted, operation)
            async with asyncio.timeout(PATIENCE):
                while True:
                    seen = await provider.observe(wanted.ref)
                    over = seen.operation is None or not seen.operation.is_open
                    if over or count_writes(cloud).total() > before:
                        break
                    await asyncio.sleep(0.005)
            await provider.close()
            if over:
                assert seen.operation is None or seen.operation.state is OperationState.SUCCEEDED
                break
            deaths += 1
    assert cloud.names() == []
    assert deaths >= 5
    assert count_writes(cloud) == Counter({name: times for name, times in plain.items() if name in cloud.writes})


@pytest.mark.parametrize("how", STAYS)
async def test_what_a_person_must_mend_ends_the_operation_with_the_reason_and_the_next_goes_on(
    cloud: CloudKit, how: How
) -> None:
    plain = await list_calls(cloud)
    writes = [name for name in plain if name in cloud.writes]
    for name in writes:
        cloud.cloud.faults.fail(name, how)
    provider = cloud.provider()
    messages = []
    for step in STEPS:
        for attempt in range(1, 20):
            seen = await carry_out(cloud, provider, begin_step(cloud, step, attempt))
            if seen.operation is None or seen.operation.state is OperationState.SUCCEEDED:
                break
            messages.append(seen.operation.message)
    await provider.close()
    assert cloud.names() == []
    assert len(messages) == len(writes), messages
    assert all(len(message) > 30 for message in messages), "they say what is wrong, and with what"
    assert not any(secret in message for message in messages for secret in cloud.secrets)
