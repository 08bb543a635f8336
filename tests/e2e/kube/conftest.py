from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from kube_plane import ETCD, KUBERNETES, Plane

from atoll.kube.connect import Connection
from atoll.kube.member import MemberClient
from atoll.kube.store import Store


@pytest.fixture(scope="session")
def kube_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A real plane, shared by all tests of this folder; needs ATOLL_ASSETS."""
    assets = Path(os.environ.get("ATOLL_ASSETS", "/nonexistent"))
    missing = [name for name in (f"{KUBERNETES}/kube-apiserver", f"{ETCD}/etcd") if not (assets / name).is_file()]
    if missing:
        pytest.fail(f"set ATOLL_ASSETS to a folder that holds {', '.join(missing)}")
    plane = Plane(tmp_path_factory.mktemp("plane"), assets)
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
