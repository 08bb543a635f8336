from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from kube_plane import Plane

from atoll.kube.connect import Connection
from atoll.kube.member import MemberClient
from atoll.kube.store import Store


@pytest.fixture(scope="session")
def kube_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A real plane, shared by all tests of this folder."""
    plane = Plane(tmp_path_factory.mktemp("plane"))
    try:
        asyncio.run(plane.start())
        yield plane
    finally:
        plane.stop()


@pytest.fixture
async def store(kube_plane: Plane) -> AsyncIterator[Store]:
    connected = Store(Connection.from_kubeconfig(kube_plane.kubeconfig()))
    yield connected
    await connected.close()


@pytest.fixture
async def member(kube_plane: Plane) -> AsyncIterator[MemberClient]:
    client = MemberClient(kube_plane.kubeconfig())
    yield client
    await client.close()
