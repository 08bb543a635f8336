"""One fixture, one parameter per provider."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from .cloud_kit import CLOUD_KITS, CloudKit
from .existing_kit import CANNOT, ExistingKit
from .provider_kit import FakeKit, Kit, LocalKit


@pytest.fixture(params=["fake", pytest.param("local", marks=pytest.mark.e2e), "existing", *CLOUD_KITS])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    if request.param == "fake":
        yield FakeKit()
        return
    made: Kit
    if request.param in CLOUD_KITS:
        made = CLOUD_KITS[request.param]()
        yield made
        await made.clean()
        return
    if request.param == "existing":
        reason = CANNOT.get(request.node.originalname)
        if reason:
            pytest.skip(reason)
        made = ExistingKit(tmp_path)
    else:
        made = LocalKit(tmp_path)
    yield made
    await made.clean()


@pytest.fixture(params=list(CLOUD_KITS))
async def cloud(request: pytest.FixtureRequest) -> AsyncIterator[CloudKit]:
    """One cloud in which everything is quick."""
    kit = CLOUD_KITS[request.param]()
    kit.cloud.faults.seconds = 0.1
    yield kit
    await kit.clean()
