"""Other ways of packing: first fit, most free first, and CP-SAT in a process and an environment of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Final

from tests.e2e.hosts.rig.places import find_cache

from .packing_fleets import WHOLE, Instance

ORTOOLS: Final = "9.15.6755"
SOLVER: Final = Path(__file__).with_name("peer_cpsat.py")


def pack_first_fit(instance: Instance) -> dict[int, int]:
    """Take tenants as they come, and the first cluster that has room."""
    return _pack(instance, spread=False)


def pack_most_free(instance: Instance) -> dict[int, int]:
    """Take tenants as they come, and the cluster that has most room, as spreading schedulers do."""
    return _pack(instance, spread=True)


def _pack(instance: Instance, *, spread: bool) -> dict[int, int]:
    free = [[WHOLE] * len(instance.places) for _ in range(instance.clusters)]
    closed: set[int] = set()
    homes: dict[int, int] = {}
    for index, size in enumerate(instance.sizes):
        order = sorted(range(len(free)), key=lambda one: -sum(free[one])) if spread else range(len(free))
        for home in order:
            row = free[home]
            taken = row[0] < WHOLE
            if home in closed or (taken and index in instance.alone):
                continue
            if all(room >= amount for room, amount in zip(row, size, strict=True)):
                free[home] = [room - amount for room, amount in zip(row, size, strict=True)]
                homes[index] = home
                if index in instance.alone:
                    closed.add(home)
                break
    return homes


def solve_exactly(instance: Instance, start: dict[int, int], seconds: float) -> tuple[int, int, bool, float]:
    """Let CP-SAT pack those who share, from a solution to begin with; returns used, bound, whether proved, seconds."""
    shared = [index for index in range(len(instance.sizes)) if index not in instance.alone]
    numbers = {home: number for number, home in enumerate(sorted({start[index] for index in shared}))}
    problem = {
        "sizes": [instance.sizes[index] for index in shared],
        "start": [numbers[start[index]] for index in shared],
        "whole": WHOLE,
        "bins": len(numbers),
        "least": instance.bound() - len(instance.alone),
        "seconds": seconds,
    }
    done = subprocess.run(
        [str(install_solver() / "bin/python"), str(SOLVER)],
        input=json.dumps(problem),
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 120,
    )
    found = json.loads(done.stdout)
    lonely = len(instance.alone)
    return found["used"] + lonely, found["bound"] + lonely, found["proved"], found["seconds"]


def install_solver() -> Path:
    """Make the environment of the solver, unless it is there; returns its folder."""
    folder = find_cache(os.environ).parent / "bench" / f"ortools-{ORTOOLS}"
    stamp = folder / ".complete"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        subprocess.run([str(folder / "bin/pip"), "install", "--quiet", f"ortools=={ORTOOLS}"], check=True, timeout=900)
        stamp.touch()
    return folder
