"""Golden files are rewritten only when somebody asks for it: `pytest tests/unit/segregation --update-golden`."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def compare_golden(update_golden: bool):
    """Compare objects with a golden file, or rewrite it."""

    def compare(name: str, bodies) -> None:
        path = GOLDEN / f"{name}.yaml"
        if update_golden:
            path.write_text(yaml.safe_dump_all(bodies, sort_keys=True), encoding="utf-8")
        assert list(yaml.safe_load_all(path.read_text(encoding="utf-8"))) == list(bodies)

    return compare
