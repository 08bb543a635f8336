"""One real child per version, with three tenants in it and no operator beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from atoll.planes.planes import Planes
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

from .child_kit import Child


@pytest.fixture(scope="module", params=["v1.36.4", "v1.35.8"])
def child(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Child]:
    """A child that holds all that it shall hold."""
    planes = Planes(tmp_path_factory.mktemp("home"), Assets(), clock=SystemClock())
    child = Child(planes, request.param)
    try:
        asyncio.run(child.create())
        asyncio.run(child.settle())
        # A namespace that must be new is created, and only its first apply makes the fields ours.
        asyncio.run(child.settle())
        child.wait_until_policies_hold()
        yield child
    finally:
        asyncio.run(planes.remove(child.id))
