from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.unit.kube.server import FakeServer, running_server


@pytest.fixture
async def server() -> AsyncIterator[FakeServer]:
    async with running_server() as running:
        yield running
