"""What all tests share: the flag that rewrites golden files, and how Hypothesis chooses its examples.

The same commit gives the same verdict: examples are chosen by the tests' own text, not by chance. To search for new
ones, run with HYPOTHESIS_PROFILE=random; what it finds becomes a test of its own.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

from tests.support.areas import Areas

settings.register_profile("same", derandomize=True)
settings.register_profile("random")
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", default=False, help="rewrite golden files")


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Areas(), "areas")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether golden files shall be rewritten instead of compared."""
    return bool(request.config.getoption("--update-golden"))
