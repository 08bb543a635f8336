"""`python -m tests.faults`: the crash lane."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from .fleet_run import PHASE_SECONDS
from .lane import Lane, LearningFailed
from .ledger import build_summary, build_table, write_ledger
from .plants import PLANTS
from .sites import list_plans, parse_plan

DEFAULT_KILLS: Final = 16
DEFAULT_FLEETS: Final = 2
"""A run waits for most of its time."""
PLANTED_SECONDS: Final = 90.0
"""A planted bug shall hang its run; that need not take long."""


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every site, every side, once")
    parser.add_argument("--seed", type=int, default=1, help="order of the plans")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long to go on without --all")
    parser.add_argument("--kills-per-run", type=int, default=DEFAULT_KILLS)
    parser.add_argument("--fleets", type=int, default=DEFAULT_FLEETS, help="runs at a time")
    parser.add_argument("--replay", type=Path, action="append", default=[], help="carry out the plans of a file alone")
    parser.add_argument("--one-by-one", action="store_true", help="with --replay: each plan in a run of its own")
    parser.add_argument("--plants", action="store_true", help="see that planted bugs are found")
    parser.add_argument("--commit", default="", help="run the operator of this commit (default: the files as they are)")
    parser.add_argument("--folder", type=Path, help="where to work (default: a new temporary folder)")
    parser.add_argument("--write-ledger", action="store_true", help="write the result into docs/reliability.md")
    return parser.parse_args()


def say(line: str) -> None:
    """Print a line at once."""
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def read_commit(commit: str) -> str:
    """Return the short name of a commit, or of the one that is checked out and whether there are changes beside it."""
    argv = ["git", "describe", "--always", "--exclude=*", commit or "--dirty"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


async def run(arguments: argparse.Namespace) -> int:
    """Run the lane; return the exit code."""
    started = time.monotonic()
    # Asked now: an hour later something else may be checked out.
    commit = read_commit(arguments.commit)
    root = arguments.folder or Path(tempfile.mkdtemp(prefix="atoll-faults-"))
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    patience = PLANTED_SECONDS if arguments.plants else PHASE_SECONDS
    async with Lane(root, say, phase_seconds=patience, commit=arguments.commit) as lane:
        try:
            sites = await lane.learn(2 if arguments.all else 1)
        except LearningFailed as error:
            print(error)
            return 1
        if arguments.replay:
            for path in arguments.replay:
                found = [parse_plan(data) for data in json.loads(path.read_text(encoding="utf-8"))["plans"]]
                for group in [[plan] for plan in found] if arguments.one_by_one else [found]:
                    result = await lane.kill(group)
                    say(f"{path.name} {group if arguments.one_by_one else ''}: {len(result.fired)} kills")
                    print("\n".join(result.violations) or "same end", flush=True)
        elif arguments.plants:
            unseen = 0
            for name, plant in PLANTS.items():
                plan, violations = await lane.try_plant(name)
                unseen += not violations
                say(f"{plant.about}: {plan.side} {plan.site.signature}")
                print("\n".join(f"    {line:.300}" for line in violations[:4]) or "    NOT SEEN", flush=True)
            return 1 if unseen else 0
        else:
            until = float("inf") if arguments.all else started + arguments.minutes * 60
            plans = list_plans(sites)
            say(f"{len(sites)} sites, {len(plans)} plans, seed {arguments.seed}")
            await lane.kill_everywhere(
                plans,
                seed=arguments.seed,
                kills_per_run=arguments.kills_per_run,
                fleets=arguments.fleets,
                until=until,
            )
    tally = lane.tally
    print("\n".join(["", *build_table(tally), "", build_summary(tally)]))
    for plan in sorted(tally.not_reached):
        print(f"not reached: {plan}")
    for path in tally.found:
        print(f"failed: --replay {path}")
    if arguments.write_ledger:
        what = "all" if arguments.all else f"slice, seed {arguments.seed}"
        write_ledger(tally, commit=commit, day=time.strftime("%Y-%m-%d"), what=what)
    return 1 if tally.failed_runs else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(run(parse_arguments())))
