"""One fixture, one parameter per provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .provider_kit import FakeKit, Kit, LocalKit


@pytest.fixture(params=["fake", pytest.param("local", marks=pytest.mark.e2e)])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    if request.param == "fake":
        yield FakeKit()
        return
    made = LocalKit(tmp_path)
    yield made
    await made.clean()
