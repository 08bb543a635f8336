"""A change of version, and the way back, seen from the plane's users."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest
from conftest import NEW, OLD, CallLoop, Plane

from atoll.planes.planes import Planes
from atoll.planes.values import Role
from atoll.ports import OperationState, OperationType

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
    before = [uid_of(plane, "namespace", "kube-system"), uid_of(plane, "configmap", "kept"), uid_of(plane, "secret", "kept")]
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
