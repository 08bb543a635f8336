from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from atoll.kube.connect import Connection
from atoll.kube.store import Store

from .server import FakeServer, running_server


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with running_server() as running:
        yield running


@pytest.fixture
async def store(server: FakeServer) -> AsyncIterator[Store]:
    connected = Store(Connection.from_kubeconfig(server.kubeconfig()), seconds=2.0, backoff_seconds=0.001)
    yield connected
    await connected.close()
