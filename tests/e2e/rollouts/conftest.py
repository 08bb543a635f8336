"""One home per module that asks for it: management plane, operator, audit logs, and programs that can be broken."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.binaries import link_assets
from tests.support.home import TestHome, open_home

from .rollout_kit import NEW, OLD


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the real programs, so that a test can put another one in the place of one."""
    return link_assets(tmp_path_factory.mktemp("assets"), OLD, NEW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Iterator[TestHome]:
    """A management plane with the operator on it, both with programs from `assets`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATOLL_ASSETS", str(assets))
        with open_home(tmp_path_factory.mktemp("home") / "atoll", "--audit") as opened:
            yield opened
