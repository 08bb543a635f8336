"""What every provider promises, whatever it runs on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml

from atoll.errors import AtollError, Conflict
from atoll.fleet.authentication import digest_authentication
from atoll.fleet.values import Version
from atoll.ports import (
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    Provider,
    WantedCluster,
)

from .provider_kit import Kit


@pytest.fixture
async def provider(kit: Kit) -> AsyncIterator[Provider]:
    provider = kit.provider()
    yield provider
    await provider.close()


def operation(kind: OperationType, version: str, *, from_version: str = "", number: int = 1) -> Operation:
    return Operation(id=f"{kind.value.lower()}-{number}", type=kind, to_version=version, from_version=from_version)


async def finish(
    kit: Kit, provider: Provider, want: WantedCluster, todo: Operation, *, begins_again: bool = False
) -> ObservedCluster:
    """Start an operation and watch it to its end: progress never goes back, but where one that was cut begins again."""
    await provider.start(want, todo)
    done = 0
    async with asyncio.timeout(kit.limit_seconds):
        while True:
            observed = await provider.observe(want.ref)
            progress = observed.operation
            if progress is None:
                assert (todo.type, observed.presence) == (OperationType.DELETE, Presence.ABSENT)
                return observed
            assert progress.id == todo.id
            assert progress.steps_done >= done or begins_again
            assert progress.steps_done <= progress.steps_total
            done = progress.steps_done
            if progress.state in {OperationState.SUCCEEDED, OperationState.FAILED}:
                return observed
            assert progress.state is OperationState.RUNNING
            assert progress.step
            await asyncio.sleep(kit.poll_seconds)


async def create(kit: Kit, provider: Provider, version: str, cluster_id: str = "c1") -> ObservedCluster:
    return await finish(kit, provider, kit.wanted(version, cluster_id), operation(OperationType.CREATE, version))


async def revert(kit: Kit, provider: Provider, changed: ObservedCluster) -> str:
    """Go back to what was there before a change, and return the version that runs then."""
    assert changed.revert_point is not None
    assert changed.revert_point.version == kit.old
    assert changed.revert_point.message
    back = operation(OperationType.REVERT, kit.old, from_version=kit.new)
    assert await provider.preflight(kit.wanted(kit.old, "c1"), back) == ()
    reverted = await finish(kit, provider, kit.wanted(kit.old, "c1"), back)
    assert (reverted.presence, reverted.revert_point) == (Presence.PRESENT, None)
    assert serves(reverted, kit.old)
    assert reverted.operation is not None
    assert "lost" in reverted.operation.message
    return kit.old


def serves(observed: ObservedCluster, version: str) -> bool:
    """Say whether a version runs: who asks for a minor gets the patch and the suffix that its cloud chooses."""
    return Version.parse(version).is_satisfied_by(Version.parse(observed.version))


async def observe_hurt(kit: Kit, provider: Provider, want: WantedCluster) -> ObservedCluster:
    """Look until what was broken shows: at rest, a cloud is not asked at every look."""
    async with asyncio.timeout(kit.limit_seconds):
        while True:
            seen = await provider.observe(want.ref)
            assert seen.presence is Presence.PRESENT
            if seen.needs_repair or seen.drift:
                break
            await asyncio.sleep(kit.poll_seconds)
    if seen.needs_repair:
        assert "repair" in seen.needs_repair
    assert kit.hurt_word in " ".join((seen.needs_repair, *seen.drift))
    return seen


async def test_what_was_never_made_is_absent(kit: Kit, provider: Provider) -> None:
    ref = kit.wanted(kit.new, "c1").ref
    assert await provider.observe(ref) == ObservedCluster(presence=Presence.ABSENT)
    with pytest.raises(AtollError):
        await provider.kubeconfig(ref)
    await provider.forget(ref)


async def test_a_life_from_create_over_change_revert_and_repair_to_delete(kit: Kit, provider: Provider) -> None:
    want, todo = kit.wanted(kit.old, "c1"), operation(OperationType.CREATE, kit.old)

    await provider.start(want, todo)
    await provider.start(want, todo)
    early = await provider.observe(want.ref)
    assert early.presence in {Presence.PARTIAL, Presence.ABSENT}
    assert early.operation is not None
    assert (early.operation.id, early.operation.state) == (todo.id, OperationState.RUNNING)
    with pytest.raises(Conflict, match=todo.id):
        await provider.start(want, operation(OperationType.DELETE, kit.old))
    made = await finish(kit, provider, want, todo)
    assert (len(kit.begun("c1")), len(set(kit.begun("c1")))) == (kit.parts, kit.parts), "two starts have begun it once"
    assert made.operation is not None
    assert (made.presence, made.needs_repair, made.drift) == (Presence.PRESENT, "", ())
    assert serves(made, kit.old)
    assert made.operation.state is OperationState.SUCCEEDED
    assert made.operation.steps_done == made.operation.steps_total
    assert made.endpoint.startswith(kit.endpoint)
    assert (made.certificates_expire_time is not None) is kit.shows_certificates
    config = yaml.safe_load(await provider.kubeconfig(want.ref))
    assert config["current-context"] == want.ref.name
    begun = kit.begun("c1")

    await provider.start(want, operation(OperationType.CREATE, kit.old))
    await asyncio.sleep(0.3)
    assert kit.begun("c1") == begun, "a finished operation is not begun again"

    hop = operation(OperationType.CHANGE, kit.new, from_version=kit.old)
    assert await provider.preflight(kit.wanted(kit.new, "c1"), hop) == ()
    changed = await finish(kit, provider, kit.wanted(kit.new, "c1"), hop)
    assert changed.presence is Presence.PRESENT
    assert serves(changed, kit.new)
    assert (changed.revert_point is not None) is kit.info.can_revert
    running = await revert(kit, provider, changed) if kit.info.can_revert else kit.new

    await kit.hurt("c1")
    hurt = await observe_hurt(kit, provider, want)
    kind = OperationType.REPAIR if hurt.needs_repair else OperationType.CHANGE
    mend = operation(kind, running, from_version=running, number=2)
    mended = await finish(kit, provider, kit.wanted(running, "c1"), mend)
    assert (mended.needs_repair, mended.drift) == ("", ())
    assert serves(mended, running)

    delete = operation(OperationType.DELETE, running)
    gone = await finish(kit, provider, want, delete)
    assert gone == ObservedCluster(presence=Presence.ABSENT)
    await provider.start(want, delete)
    await asyncio.sleep(0.1)
    assert await provider.observe(want.ref) == ObservedCluster(presence=Presence.ABSENT)


async def test_an_unknown_version_is_found_before_anything_moves(kit: Kit, provider: Provider) -> None:
    unknown = kit.wanted(kit.unknown, "c1")
    (finding,) = await provider.preflight(unknown, operation(OperationType.CREATE, kit.unknown))
    assert finding.reason == "VersionUnavailable"
    # Clouds write versions without the v.
    assert kit.unknown.removeprefix("v") in finding.message
    assert finding.field == "spec.version"
    assert (await provider.observe(unknown.ref)).presence is Presence.ABSENT
    known = set(await provider.versions())
    assert not known or {kit.old, kit.new} <= known


async def test_two_clusters_are_made_at_once_and_one_of_them_is_told_how_people_log_in(
    kit: Kit, provider: Provider
) -> None:
    """The issuer needs not be there: what a cluster is told holds at once, or as soon as its issuer answers."""
    if not kit.info.sets_authentication:
        pytest.skip("this provider cannot: a ClusterSet that asks for it is refused")
    first = {"oidc": {"issuerURL": "https://127.0.0.1:1", "clientID": "one", "usernameClaim": "sub"}}
    second = {"oidc": {**first["oidc"], "clientID": "two", "groupsClaim": "groups"}}
    assert digest_authentication(first) != digest_authentication(second)
    plain = kit.wanted(kit.new, "c1")
    beside = asyncio.create_task(create(kit, provider, kit.new, "c2"))

    async def carry_out(kind: OperationType, number: int, authentication: Mapping[str, Any] | None) -> ObservedCluster:
        todo = operation(kind, kit.new, from_version=kit.new, number=number)
        return await finish(kit, provider, replace(plain, authentication=authentication), todo)

    for number, (kind, told, expected) in enumerate(
        [
            (OperationType.CREATE, first, first),
            (OperationType.CHANGE, second, second),
            (OperationType.CHANGE, None, second),
            (OperationType.REPAIR, first, second),
            (OperationType.CHANGE, {}, {}),
            (OperationType.CHANGE, first, first),
        ]
    ):
        seen = await carry_out(kind, number, told)
        assert seen.operation is not None
        assert seen.operation.state is OperationState.SUCCEEDED, seen.operation.message
        assert (seen.authentication, seen.drift) == (digest_authentication(expected), ()), (kind, number)
    other = await beside
    assert other.presence is Presence.PRESENT
    assert (await provider.observe(kit.wanted(kit.new, "c2").ref)).authentication == digest_authentication({})
    assert kit.begun("c1") != kit.begun("c2")


async def test_a_new_provider_sees_the_same_and_resumes_what_was_cut_short(kit: Kit) -> None:
    first = kit.provider()
    want, todo = kit.wanted(kit.new, "c1"), operation(OperationType.CREATE, kit.new)
    await kit.cut_short(first, want, todo)

    second = kit.provider()
    cut = await second.observe(want.ref)
    assert cut.presence is Presence.PARTIAL
    assert cut.operation is not None
    assert (cut.operation.id, cut.operation.state) == (todo.id, OperationState.INTERRUPTED)

    made = await finish(kit, second, want, todo)
    await second.close()

    third = kit.provider()
    assert await third.observe(want.ref) == made
    await third.forget(want.ref)
    assert (await third.observe(want.ref)).presence is Presence.PRESENT
    await third.close()


async def test_a_drill_leaves_the_cluster_untouched_and_so_does_one_that_was_cut_short(kit: Kit) -> None:
    if not kit.info.can_drill:
        pytest.skip("this provider cannot: a schedule or hop that asks for it is refused")
    first = kit.provider()
    want = kit.wanted(kit.new, "c1")
    made = await create(kit, first, kit.new)
    standing = kit.standing("c1")

    todo = operation(OperationType.DRILL, kit.new, from_version=kit.new)
    assert await first.preflight(want, todo) == ()
    drilled = await finish(kit, first, want, todo)
    assert drilled.operation is not None
    assert drilled.operation.state is OperationState.SUCCEEDED, drilled.operation.message
    assert drilled.operation.message.startswith("restored ")
    assert replace(drilled, operation=made.operation) == made
    assert kit.standing("c1") == standing
    await first.start(want, todo)
    assert await first.observe(want.ref) == drilled, "a finished operation is not begun again"

    again = replace(todo, id="drill-2")
    await kit.cut_short(first, want, again)
    second = kit.provider()
    cut = await second.observe(want.ref)
    assert cut.operation is not None
    assert (cut.operation.id, cut.operation.state) == (again.id, OperationState.INTERRUPTED)
    assert (cut.presence, cut.version) == (Presence.PRESENT, kit.new)
    finished = await finish(kit, second, want, again, begins_again=True)
    assert finished.operation is not None
    assert finished.operation.state is OperationState.SUCCEEDED, finished.operation.message
    assert kit.standing("c1") == standing
    await second.close()


async def test_a_change_that_drills_first_is_a_change_like_any_other(kit: Kit, provider: Provider) -> None:
    if not kit.info.can_drill:
        pytest.skip("this provider cannot: a schedule or hop that asks for it is refused")
    await create(kit, provider, kit.old)
    want = replace(kit.wanted(kit.new, "c1"), drill_before_change=True)
    changed = await finish(kit, provider, want, operation(OperationType.CHANGE, kit.new, from_version=kit.old))
    assert changed.operation is not None
    assert changed.operation.state is OperationState.SUCCEEDED, changed.operation.message
    assert (changed.presence, changed.version, changed.needs_repair) == (Presence.PRESENT, kit.new, "")
    assert (changed.revert_point is not None) is kit.info.can_revert


async def test_what_a_provider_can_do_is_said_without_looking(kit: Kit, provider: Provider) -> None:
    assert provider.info() == kit.info
