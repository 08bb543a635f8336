"""A change of version, and the way back, seen from the plane's users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from plane_kit import NEW, OLD, CallLoop, Plane

from atoll.errors import ProcessFailed, Refused
from atoll.planes.effects import Effects
from atoll.planes.planes import Planes
from atoll.planes.values import Role, RunningProcess
from atoll.ports import OperationState, OperationType
from atoll.shell.context import SystemClock

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def plane(planes: Planes) -> Iterator[Plane]:
    plane = Plane(planes, "change")
    asyncio.run(plane.run(OperationType.CREATE, OLD))
    plane.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    plane.kubectl("create", "secret", "generic", "kept", "--from-literal=b=2")
    yield plane
    asyncio.run(planes.remove(plane.id))


def uid_of(plane: Plane, *what: str) -> str:
    return str(json.loads(plane.kubectl("get", *what, "-o", "json"))["metadata"]["uid"])


async def test_a_change_of_version_answers_every_call_and_keeps_everything(plane: Plane) -> None:
    before = [
        uid_of(plane, "namespace", "kube-system"),
        uid_of(plane, "configmap", "kept"),
        uid_of(plane, "secret", "kept"),
    ]
    old = plane.process(Role.API_SERVER)

    with CallLoop(plane) as loop:
        await asyncio.sleep(2)
        seconds = await plane.run(OperationType.CHANGE, NEW)
        await asyncio.sleep(2)

    print(
        f"\nchange {OLD} → {NEW}: {seconds:.1f} s; {len(loop.seconds)} calls on new connections, "
        f"{len(loop.failures)} failed; slowest {max(loop.seconds):.2f} s"
    )
    assert loop.failures == []
    assert len(loop.seconds) > 100
    new = plane.process(Role.API_SERVER)
    assert new.pid != old.pid
    assert new.executable == str(plane.planes.binaries.path(NEW, "kube-apiserver").resolve())
    assert json.loads(plane.kubectl("version", "-o", "json"))["serverVersion"]["gitVersion"] == NEW
    assert before == [
        uid_of(plane, "namespace", "kube-system"),
        uid_of(plane, "configmap", "kept"),
        uid_of(plane, "secret", "kept"),
    ]
    names = {item["metadata"]["name"] for item in json.loads(plane.kubectl("get", "configmap", "-o", "json"))["items"]}
    assert set(loop.created) <= names


async def test_a_revert_brings_the_old_version_back_and_says_what_is_lost(plane: Plane) -> None:
    plane.kubectl("create", "configmap", "late")
    plane.kubectl("delete", "secret", "kept")
    observed = await plane.planes.observe(plane.id)
    assert observed.revert_point is not None
    assert observed.revert_point.version == OLD

    seconds = await plane.run(OperationType.REVERT, OLD)

    print(f"\nrevert {NEW} → {OLD}: {seconds:.1f} s")
    observed = await plane.planes.observe(plane.id)
    assert (observed.version, observed.ready, observed.revert_point) == (OLD, True, None)
    assert observed.journal is not None
    assert observed.journal.state is OperationState.SUCCEEDED
    assert observed.journal.message.startswith("lost: ")
    print(observed.journal.message)
    assert "configmaps/default/late" in observed.journal.message
    assert "NotFound" in plane.kubectl("get", "configmap", "late", check=False)
    plane.kubectl("get", "secret", "kept")
    plane.kubectl("get", "configmap", "kept")
    plane.kubectl("create", "namespace", "after")
    plane.kubectl("delete", "namespace", "after", "--timeout=30s")
    assert [path.name for path in plane.layout.root.glob("etcd*")] == ["etcd"]


async def test_a_second_revert_is_refused(plane: Plane) -> None:
    with pytest.raises(Refused, match="no snapshot"):
        await plane.run(OperationType.REVERT, OLD)


async def test_new_settings_at_the_same_version_take_hold_without_a_failed_call(plane: Plane) -> None:
    old = plane.process(Role.API_SERVER)
    with CallLoop(plane) as loop:
        await plane.run(OperationType.CHANGE, OLD, audit_log=True)
        await asyncio.sleep(1)
    assert loop.failures == []
    new = plane.process(Role.API_SERVER)
    assert (new.pid != old.pid, new.version) == (True, OLD)
    assert b'"verb":"create"' in plane.layout.audit_log.read_bytes()


async def test_a_new_api_server_that_dies_costs_no_call(plane: Plane) -> None:
    old = plane.process(Role.API_SERVER)
    with CallLoop(plane) as loop:
        await asyncio.sleep(0.5)
        with pytest.raises(ProcessFailed, match="unknown flag: --no-such-flag"):
            await plane.run(OperationType.CHANGE, NEW, api_args=("--no-such-flag=1",))
        await asyncio.sleep(0.5)
    assert loop.failures == []
    assert plane.process(Role.API_SERVER) == old
    assert (await plane.planes.observe(plane.id)).version == OLD


class Unsteered(Effects):
    """A machine that lets nobody steer connections."""

    def steer(self, process: RunningProcess, port: int, *, clients: int, probes: int) -> bool:
        return False


async def test_where_connections_cannot_be_steered_the_old_one_comes_back_when_the_new_one_dies(plane: Plane) -> None:
    old = plane.process(Role.API_SERVER)
    planes = Planes(plane.planes.home, plane.planes.binaries, clock=SystemClock(), effects=Unsteered())
    with pytest.raises(ProcessFailed, match="unknown flag: --no-such-flag"):
        await Plane(planes, plane.id).run(OperationType.CHANGE, NEW, "unsteered-bad", api_args=("--no-such-flag=1",))
    observed = await planes.observe(plane.id)
    assert (observed.version, observed.ready, observed.missing) == (OLD, True, ())
    assert plane.process(Role.API_SERVER).argv == old.argv
    plane.kubectl("get", "configmap", "kept")


async def test_where_connections_cannot_be_steered_a_change_has_a_gap_and_succeeds(plane: Plane) -> None:
    planes = Planes(plane.planes.home, plane.planes.binaries, clock=SystemClock(), effects=Unsteered())
    with CallLoop(plane) as loop:
        await Plane(planes, plane.id).run(OperationType.CHANGE, NEW, "unsteered")
    refused = [failure for failure in loop.failures if "Refused" in failure or "reset" in failure.lower()]
    print(f"\nwithout steering: {len(loop.seconds)} calls, {len(loop.failures)} failed, {len(refused)} of them refused")
    print(loop.failures[:3], loop.failures[-3:])
    assert (await planes.observe(plane.id)).version == NEW
