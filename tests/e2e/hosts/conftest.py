"""Throw-away hosts for the tests of this folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from .rig import Rig
from .rig.bundles import make_bundles
from .rig.machine import find_reason_to_skip
from .rig.places import find_cache, find_home
from .rig.rootfs import find_layers
from .rig.sessions import lend_rig

PREPARING_SECONDS: Final = 2700
"""The first test of a run may have to wait for a root file system and half a dozen Go builds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every test of this folder the time that the first one may need."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(PREPARING_SECONDS))


@pytest.fixture(scope="session")
def rig() -> Iterator[Rig]:
    """Hosts and bundles of both minors. Where hosts are possible at all, failing to prepare them is a failure."""
    cache = find_cache(os.environ)
    if reason := find_reason_to_skip(rootfs_is_there=find_layers(cache).debian.is_dir()):
        pytest.skip(reason)
    with lend_rig(find_home(os.environ)) as lent:
        make_bundles(cache)
        yield lent
