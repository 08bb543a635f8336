"""`python -m tests.faults.hosts`: the fault lane for hosts."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from tests.e2e.hosts.rig import Rig
from tests.e2e.hosts.rig.bundles import make_bundles
from tests.e2e.hosts.rig.machine import find_reason_to_skip
from tests.e2e.hosts.rig.places import find_cache, find_home
from tests.e2e.hosts.rig.rootfs import find_layers
from tests.e2e.hosts.rig.sessions import lend_rig
from tests.faults.__main__ import read_commit, say

from .clusters import STORIES
from .ledger import build_summary, build_table, write_ledger
from .probes import PROBE_FAULTS
from .scenario import ProbeFault, Story
from .scene import Scene, open_scene
from .stories import run_kills, run_probes, run_story
from .telling import Telling

KILLS: Final = "operator-killed"


def list_names() -> tuple[str, ...]:
    """List the names of all scenarios."""
    return (
        *(fault.name for fault in PROBE_FAULTS),
        *(fault.name for story in STORIES for fault in story.faults),
        KILLS,
    )


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.hosts", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"scenarios: {', '.join(list_names())}")
    parser.add_argument("--all", action="store_true", help="every scenario")
    parser.add_argument("--write-ledger", action="store_true", help="write the result into docs/reliability.md")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(list_names()))
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}")
    if not (arguments.all or arguments.names):
        parser.error("name scenarios, or give --all")
    return arguments


def choose_probes(names: set[str]) -> tuple[ProbeFault, ...]:
    """Choose faults of probes by name."""
    return tuple(fault for fault in PROBE_FAULTS if fault.name in names)


def choose_stories(names: set[str]) -> tuple[Story, ...]:
    """Choose stories, each with those of its faults that are named."""
    chosen = (replace(story, faults=tuple(fault for fault in story.faults if fault.name in names)) for story in STORIES)
    return tuple(story for story in chosen if story.faults)


def run(names: set[str], rig: Rig, folder: Path, telling: Telling) -> None:
    """Run scenarios, each group with a home of its own."""

    def within(name: str, act: Callable[[Scene], None]) -> None:
        say(name)
        with telling.scenario(f"{name}: home"), open_scene(rig, folder / name / "home", say) as scene:
            try:
                act(scene)
            except BaseException:
                say(scene.home.log_tail(60))
                raise
            for outcome in telling.failed:
                say(f"{outcome.name} failed; the operator's last words:\n{scene.home.log_tail(40)}")

    probes = choose_probes(names)
    if probes:
        within("probes", lambda scene: run_probes(scene, probes, telling))
    for story in choose_stories(names):
        within(story.name, lambda scene, story=story: run_story(scene, story, telling))  # type: ignore[misc]
    if KILLS in names:
        within(KILLS, lambda scene: run_kills(scene, telling))


def main() -> int:
    """Run what the command line names; return the exit code."""
    arguments = parse_arguments()
    names = set(list_names()) if arguments.all else set(arguments.names)
    # Asked now: half an hour later something else may be checked out.
    commit = read_commit("")
    cache = find_cache(os.environ)
    if reason := find_reason_to_skip(rootfs_is_there=find_layers(cache).debian.is_dir()):
        print(f"error: {reason}", file=sys.stderr)
        return 2
    # Told to end, it still takes down what it has brought up.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    telling = Telling(say)
    make_bundles(cache, tell=say)
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="atoll-host-faults-") as folder, lend_rig(find_home(os.environ)) as rig:
        run(names, rig, Path(folder), telling)
    seconds = time.monotonic() - begin
    outcomes = [outcome for outcome in telling.outcomes if outcome.wrong or not outcome.name.endswith(": home")]
    print("\n".join(["", *build_table(outcomes), "", build_summary(outcomes, seconds)]))
    if arguments.write_ledger:
        what = "all" if arguments.all else ", ".join(arguments.names)
        write_ledger(outcomes, commit=commit, day=time.strftime("%Y-%m-%d"), what=what, seconds=seconds)
    return 1 if telling.failed else 0


if __name__ == "__main__":
    sys.exit(main())
