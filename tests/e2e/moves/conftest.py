"""One home per module, with audit logs, and ways to look into a child."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.home import TestHome, open_home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A management plane with the operator on it; nothing is left of it afterwards."""
    with open_home(tmp_path_factory.mktemp("home") / "atoll", "--audit") as opened:
        yield opened
