"""Each planted bug turns the test red that its promise rests on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .plants import PLANTS, Plant

ROOT = Path(__file__).parents[2]
FAILED = 1
"""pytest's exit code for tests that ran and failed; anything else shows nothing."""


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.about.replace(" ", "-"))
def test_the_bug_is_seen(plant: Plant, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "operator", tmp_path / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "operator/atoll" / plant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(plant.old) == 1, f"{plant.file} has changed: renew this plant"
    file.write_text(text.replace(plant.old, plant.new), encoding="utf-8")
    # The path goes before that of the installed package, so the copy with the bug is what is tested.
    environment = {
        **os.environ,
        "PYTHONPATH": str(tmp_path / "operator"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(tmp_path),
    }

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(ROOT / plant.tests)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )

    assert done.returncode == FAILED, f"promise {plant.promise}: {plant.about}: not seen\n{done.stdout[-2000:]}"
    assert "ImportError" not in done.stdout
