"""A home of its own for this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.home import TestHome, open_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A management plane with the operator on it; nothing is left of it afterwards."""
    root: Path = tmp_path_factory.mktemp("home") / "atoll"
    with open_home(root) as opened:
        yield opened
