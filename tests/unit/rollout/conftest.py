"""The flag that rewrites golden transcripts; without it they are only compared."""

import contextlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    # Another folder may have asked for the same flag already.
    with contextlib.suppress(ValueError):
        parser.addoption("--update-golden", action="store_true", default=False, help="rewrite golden files")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden", default=False))
