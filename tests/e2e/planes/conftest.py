"""Real planes for the tests of this folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from plane_kit import list_leftovers

from atoll.planes.planes import Planes
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets


@pytest.fixture(scope="module")
def assets() -> Assets:
    return Assets()


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory, assets: Assets) -> Iterator[Planes]:
    """All planes of a module; whatever is left in the end is removed."""
    planes = Planes(tmp_path_factory.mktemp("home"), assets, clock=SystemClock())
    yield planes
    for path in (planes.home / "planes").glob("[a-z]*"):
        asyncio.run(planes.remove(path.name))
    assert list_leftovers(planes.home) == []
