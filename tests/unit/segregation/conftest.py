"""Golden files are rewritten only when somebody asks for it: `pytest tests/unit/segregation --update-golden`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", default=False, help="rewrite the golden files")


@pytest.fixture
def compare_golden(request: pytest.FixtureRequest):
    """Compare objects with a golden file, or rewrite it."""

    def compare(name: str, bodies) -> None:
        path = GOLDEN / f"{name}.yaml"
        if request.config.getoption("--update-golden", default=False):
            path.write_text(yaml.safe_dump_all(bodies, sort_keys=True), encoding="utf-8")
        assert list(yaml.safe_load_all(path.read_text(encoding="utf-8"))) == list(bodies)

    return compare
