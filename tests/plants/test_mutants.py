"""Each bug that is planted in the planner breaks the invariant that it should, and the monitor says which."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.rollout.monitor import INVARIANTS

from .mutants import MUTANTS, RUNS, Mutant

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_monitor_names_what_a_mutant_breaks(mutant: Mutant, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "operator", tmp_path / "operator", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / "operator/atoll/rollout" / mutant.file
    text = file.read_text(encoding="utf-8")
    assert text.count(mutant.old) == 1, f"{mutant.file} has changed: renew mutant {mutant.name}"
    file.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
    # The path goes before that of the installed package, so the copy with the bug is what runs.
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path / 'operator'}{os.pathsep}{ROOT}"}
    argv = [sys.executable, "-m", "tests.plants.mutants", mutant.name]

    done = subprocess.run(argv, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False)

    told = done.stdout.partition("\n")[0]
    assert (done.returncode, told) == (1, f"broken: {mutant.invariant}"), f"{done.stdout[-2000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("name", RUNS)
def test_without_a_bug_nothing_is_broken(name: str) -> None:
    RUNS[name]()


def test_every_mutant_has_its_run_and_its_invariant() -> None:
    assert [mutant.name for mutant in MUTANTS] == list(RUNS)
    assert {mutant.invariant for mutant in MUTANTS} <= INVARIANTS.keys()
