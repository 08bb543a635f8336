"""A lane: one management plane, a fault-free run to learn from, and then run after run with kills."""

from __future__ import annotations

import asyncio
import io
import json
import os
import random
import shutil
import subprocess
import tarfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from atoll.embedded.binaries import FoundBinaries
from atoll.embedded.home import MANAGEMENT_ID, Home
from atoll.embedded.lifecycle import get_binaries
from atoll.embedded.management import connect, ensure_plane, furnish, write_kubeconfigs
from atoll.embedded.operator_process import home_of
from atoll.fleet.names import OPERATORS_GROUP, REQUESTED_BY
from atoll.kube.kinds import CLUSTER_SET
from atoll.kube.store import Store
from atoll.planes.planes import Planes
from atoll.shell.context import SystemClock
from atoll.toolchain import Sources, Toolchain
from tests.support.people import build_kubeconfig

from . import workload
from .digest import Json
from .fleet_run import PHASE_SECONDS, REPOSITORY, FleetRun, RunResult, check_storms
from .plants import PLANTS, choose_kill
from .sites import Plan, Site

FOUND: Final = Path(__file__).parent / "found"
TRIES: Final = 4
"""How many runs a plan gets to come to its site; how often a status is written depends on the time that things take."""


class Silent:
    """Tells nobody."""

    def begin(self, name: str, text: str) -> None:
        """A step begins."""

    def done(self, name: str, text: str) -> None:
        """A step is done."""


class LearningFailed(Exception):
    """Not even the fault-free run went well."""


@dataclass(slots=True)
class Tally:
    """What a lane has shown so far."""

    sites: tuple[Site, ...] = ()
    fired: Counter[Plan] = field(default_factory=Counter)
    failed: set[Plan] = field(default_factory=set)
    not_reached: set[Plan] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    left: int = 0
    """Plans that nobody has tried, or that wait for another try."""
    runs: int = 0
    failed_runs: int = 0
    write_sites: int = 0
    audited: int = 0
    unanswered: int = 0
    samples: int = 0
    seconds: float = 0.0
    found: list[Path] = field(default_factory=list)

    def add(self, result: RunResult) -> None:
        """Count a run."""
        self.runs += 1
        self.samples += result.samples
        self.fired.update(result.fired)
        if result.audit is not None:
            self.write_sites += result.audit.sites
            self.audited += result.audit.logged
            self.unanswered += result.audit.unanswered


class Lane:
    """Runs fleets one after another on one management plane."""

    def __init__(
        self, root: Path, say: Callable[[str], None], *, phase_seconds: float = PHASE_SECONDS, commit: str = ""
    ) -> None:
        """`root` is made and removed by the lane; `phase_seconds`: how long a phase of a run may take.

        `commit`: whose operator to run; empty: the files as they are now.
        """
        self._commit = commit
        self._phase_seconds = phase_seconds
        self._started = time.monotonic()
        self.tally = Tally()
        self._root = root
        self._say = say
        self._source = root / "source"
        self._home: Home = home_of(root / "hub")
        self._clock = SystemClock()
        self._toolchain = Toolchain(Sources.from_environ(os.environ))
        self._planes = Planes(self._home.root, FoundBinaries(self._toolchain), clock=self._clock)
        self._store: Store | None = None
        self._approver: Store | None = None
        self._wanted: dict[str, Json] | None = None
        self._number = 0
        self._keep = False

    async def __aenter__(self) -> Self:
        copy_source(self._source, self._commit)
        get_binaries(self._toolchain, [workload.OLD, workload.NEW], Silent())
        try:
            await ensure_plane(self._planes, self._clock, audit=True)
            self._store = connect(self._planes.kubeconfig(MANAGEMENT_ID))
            await furnish(self._store)
            await write_kubeconfigs(self._planes, self._store, self._home)
            own = self._planes.kubeconfig(MANAGEMENT_ID)
            person = build_kubeconfig(self._home.root, MANAGEMENT_ID, own, workload.APPROVER, OPERATORS_GROUP)
            self._approver = connect(person)
            await self._wait_for_policies(self._store)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.tally.seconds = time.monotonic() - self._started
        for store in (self._store, self._approver):
            if store is not None:
                await store.close()
        for folder in self._root.glob("run-*"):
            await self._tidy(folder)
        await self._planes.remove(MANAGEMENT_ID)
        if not self._keep:
            shutil.rmtree(self._root)

    async def _wait_for_policies(self, store: Store) -> None:
        """Wait until an admission policy is at work, which takes the API server some seconds."""
        fleet = "crash-0000"
        cluster_set, *_ = workload.build_fleet(fleet)
        await store.create(workload.build_namespace(fleet))
        async with asyncio.timeout(60):
            while True:
                found = await store.create(cluster_set)
                await store.delete(CLUSTER_SET, fleet, workload.SET, uid=found["metadata"]["uid"])
                if REQUESTED_BY in found["metadata"].get("annotations", {}):
                    return
                await asyncio.sleep(0.5)

    async def learn(self, runs: int) -> tuple[Site, ...]:
        """Run without faults; return all sites. A second run proves that the end state is the same each time."""
        sites: dict[Site, None] = {}
        for _ in range(runs):
            result, folder = await self._run((), self._wanted)
            violations = [*result.violations, *check_storms(result.log)]
            if violations:
                self._keep = True
                raise LearningFailed(f"the fault-free run in {folder} failed:\n" + "\n".join(violations))
            self._wanted = self._wanted or result.digests
            sites.update(dict.fromkeys(result.log.sites))
            self._say(f"fault-free run: {len(result.log.sites)} sites in {result.seconds:.0f} s")
            await self._tidy(folder)
        self.tally.sites = tuple(sites)
        return self.tally.sites

    async def kill_everywhere(
        self, plans: Iterable[Plan], *, seed: int, kills_per_run: int, fleets: int = 1, until: float = float("inf")
    ) -> None:
        """Carry out plans, several in each run, until all are done or the (monotonic) time is up."""
        waiting = list(plans)
        random.Random(seed).shuffle(waiting)
        tries: Counter[Plan] = Counter()
        longest = 60.0 + 3 * kills_per_run

        async def work() -> None:
            nonlocal longest
            while waiting and time.monotonic() + longest < until:
                chosen = choose_plans(waiting, kills_per_run)
                for plan in chosen:
                    waiting.remove(plan)
                result = await self.kill(chosen)
                longest = max(longest, result.seconds)
                tries.update(chosen)
                missed = [plan for plan in chosen if plan not in set(result.fired)]
                # What was not reached waits at the end: later runs may come by there.
                waiting.extend(plan for plan in missed if tries[plan] < TRIES)
                self.tally.not_reached |= {plan for plan in missed if tries[plan] >= TRIES}
                self._say(self._describe(result, len(chosen), len(waiting)))

        async with asyncio.TaskGroup() as group:
            for _ in range(fleets):
                group.create_task(work())
        self.tally.left = len(waiting)

    async def kill(self, plans: Sequence[Plan]) -> RunResult:
        """Carry out plans in one run, and keep what fails."""
        assert self._wanted is not None, "learn first"
        result, folder = await self._run(plans, self._wanted)
        tally = self.tally
        if result.violations:
            tally.failed_runs += 1
            tally.failed |= set(result.fired)
            tally.violations += result.violations
            tally.found.append(self._write_found(plans, result, folder))
        await self._tidy(folder)
        return result

    async def try_plant(self, name: str) -> tuple[Plan, list[str]]:
        """Put a bug into the operator, kill it where that must show, and return what was seen."""
        plan = choose_kill(PLANTS[name], self.tally.sites)
        result, folder = await self._run([plan], self._wanted, plant=name)
        await self._tidy(folder)
        return plan, result.violations if result.fired == (plan,) else []

    async def _run(
        self, plans: Sequence[Plan], wanted: dict[str, Json] | None, *, plant: str = ""
    ) -> tuple[RunResult, Path]:
        assert self._store is not None, "use as a context manager"
        assert self._approver is not None, "use as a context manager"
        self._number += 1
        folder = self._root / f"run-{self._number:04}"
        fleet = f"crash-{self._number:04}"
        run = FleetRun(
            self._store,
            self._approver,
            self._home.root,
            self._source,
            folder,
            fleet,
            plans,
            plant,
            self._phase_seconds,
        )
        result = await run.run(wanted)
        if not plant:
            self.tally.add(result)
        return result, folder

    async def _tidy(self, folder: Path) -> None:
        """Remove what a run has left: nothing after a good one, but a failed one may have left its plane running."""
        planes = Planes(folder / "home", FoundBinaries(self._toolchain), clock=self._clock)
        left = [path.name for path in (folder / "home" / "planes").glob("[0-9a-z]*")]
        for plane in left:
            await planes.remove(plane)
        if not self._keep:
            shutil.rmtree(folder)

    def _write_found(self, plans: Sequence[Plan], result: RunResult, folder: Path) -> Path:
        FOUND.mkdir(exist_ok=True)
        name = f"{time.strftime('%Y%m%dt%H%M%S')}-{folder.name}"
        path = FOUND / f"{name}.json"
        content = {
            "plans": [plan.to_json() for plan in plans],
            "fired": [plan.to_json() for plan in result.fired],
            "violations": result.violations,
        }
        path.write_text(json.dumps(content, indent=1), encoding="utf-8")
        for log in ("operator.log", "sites.log"):
            if (folder / log).exists():
                shutil.copy(folder / log, FOUND / f"{name}.{log}")
        return path

    def _describe(self, result: RunResult, chosen: int, waiting: int) -> str:
        verdict = f"FAILED: {result.violations[0]:.200}" if result.violations else "same end"
        return (
            f"run {self.tally.runs}: {len(result.fired)} of {chosen} kills in {result.seconds:.0f} s, {verdict}; "
            f"{waiting} plans to go"
        )


def copy_source(target: Path, commit: str) -> None:
    """Copy the code under test: whoever edits a file during the hour must not change it between two restarts."""
    shutil.copytree(REPOSITORY / "tests", target / "tests", ignore=shutil.ignore_patterns("__pycache__", "found"))
    if not commit:
        shutil.copytree(REPOSITORY / "operator", target / "operator", ignore=shutil.ignore_patterns("__pycache__"))
        return
    archive = subprocess.run(["git", "archive", commit, "operator"], cwd=REPOSITORY, capture_output=True, check=True)
    with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
        files.extractall(target, filter="data")


def choose_plans(waiting: Sequence[Plan], number: int) -> list[Plan]:
    """Choose the plans of a run: the first in line, and one side of each site at most."""
    chosen: dict[Site, Plan] = {}
    for plan in waiting:
        if len(chosen) == number:
            break
        chosen.setdefault(plan.site, plan)
    return list(chosen.values())
