"""One real plane with three tenants on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from atoll.kube.member import MemberClient
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Operation, OperationType
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

from .border_kit import tenants

VERSION = "v1.36.4"
PLANE = "bordered"


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """The plane, removed in the end."""
    planes = Planes(tmp_path_factory.mktemp("home"), Assets(), clock=SystemClock())
    spec = PlaneSpec(
        id=PLANE,
        name=PLANE,
        version=VERSION,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
        audit_log=True,
    )
    create = Operation(id="create", type=OperationType.CREATE, to_version=VERSION)
    try:
        asyncio.run(planes.run_operation(PLANE, spec, create))
        asyncio.run(furnish(planes.kubeconfig(PLANE)))
        yield planes
    finally:
        asyncio.run(planes.remove(PLANE))


async def furnish(kubeconfig: str) -> None:
    """Put the tenants in."""
    async with MemberClient(kubeconfig) as client:
        for body in tenants():
            await client.store.apply(body)


@pytest.fixture
async def member(planes: Planes) -> AsyncIterator[MemberClient]:
    """Atoll's own client of the plane."""
    async with MemberClient(planes.kubeconfig(PLANE)) as client:
        yield client
