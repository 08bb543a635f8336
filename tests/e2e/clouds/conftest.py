"""One home per test module, and clusters beside it that are somebody else's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.home import TestHome, open_home

from .managed_kit import World, open_world
from .owner_kit import Owner


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A management plane with the operator on it; nothing is left of it afterwards."""
    root: Path = tmp_path_factory.mktemp("home") / "atoll"
    with open_home(root) as opened:
        yield opened


@pytest.fixture(scope="module")
def owner(home: TestHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Owner]:
    """Somebody who runs clusters of their own."""
    made = Owner(home, tmp_path_factory.mktemp("theirs"))
    try:
        yield made
    finally:
        made.clean()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Three clouds that answer as the real ones, and a home whose operator asks them."""
    with open_world(tmp_path_factory.mktemp("world")) as opened:
        yield opened
        assert {name: case.cloud.protests for name, case in opened.cases.items()} == {"eks": [], "gke": [], "aks": []}
