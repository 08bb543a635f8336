"""`python -m tests.faults.rollouts`: small fleets breadth first, and long random sequences, on the real planner."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Final

from tests.faults.__main__ import read_commit, say

from .explore import Found
from .ledger import Sequences, build_summary, build_table, write_ledger
from .scenes import SCENES
from .search import explore_scene, try_sequences

BATCH: Final = 500
"""Sequences that one process tries at a time."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.rollouts", description=__doc__)
    parser.add_argument("--states", type=int, default=60_000, help="how many states to visit, in all scenes together")
    parser.add_argument("--sequences", type=int, default=1000, help="how many random sequences to try")
    parser.add_argument("--scene", action="append", choices=[scene.name for scene in SCENES], help="only this one")
    parser.add_argument("--seed", type=int, default=1, help="of the sequences")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--write-ledger", action="store_true", help="write the result into docs/reliability.md")
    return parser.parse_args()


def main() -> int:
    """Run what the command line asks for; return the exit code."""
    arguments = parse_arguments()
    # Asked now: half an hour later something else may be checked out.
    commit = read_commit("")
    begin = time.monotonic()
    names = arguments.scene or [scene.name for scene in SCENES]
    found: list[Found] = []
    done, broken = 0, []
    context = multiprocessing.get_context("spawn")
    # A worker that ends breaks this pool; the other kind would wait for it for ever.
    with ProcessPoolExecutor(arguments.processes, mp_context=context) as pool:
        if arguments.states:
            each = -(-arguments.states // len(names))
            for item in pool.map(partial(explore_scene, states=each), names):
                say(f"{item.scene}: {item.states} states, {item.states / max(item.seconds, 0.001):.0f} a second")
                if item.broken:
                    print("\n".join(item.broken), flush=True)
                found.append(item)
        counts = [min(BATCH, arguments.sequences - first) for first in range(0, arguments.sequences, BATCH)]
        numbers = range(arguments.seed * 100_000, arguments.seed * 100_000 + len(counts))
        for tried in pool.map(try_sequences, numbers, counts):
            done += tried.done
            broken += tried.broken
    seconds = time.monotonic() - begin
    sequences = Sequences(asked=arguments.sequences, done=done, broken=tuple(broken))
    print("\n".join(["", *build_table(found), "", *broken, build_summary(found, sequences, seconds)]))
    if arguments.write_ledger:
        what = f"{len(names)} scenes, seed {arguments.seed}"
        write_ledger(found, sequences, commit=commit, day=time.strftime("%Y-%m-%d"), what=what, seconds=seconds)
    return 1 if broken or any(item.broken for item in found) else 0


if __name__ == "__main__":
    sys.exit(main())
