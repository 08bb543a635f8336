"""The operator is killed before and after every single effect: same end state, nothing done twice."""

from __future__ import annotations

import asyncio
import hashlib
import signal
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from plane_kit import NEW, OLD, CallLoop, Plane, list_leftovers

from atoll.planes.effects import RUN_TIMEOUT_SECONDS, Effects
from atoll.planes.planes import Planes
from atoll.planes.values import Role, RunningProcess
from atoll.ports import OperationState, OperationType
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


class Killed(BaseException):
    """The operator is gone."""


class CrashingEffects(Effects):
    """Dies before and after each different effect, once each; counts what is really done."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.done: Counter[str] = Counter()

    def crash_once(self, point: str) -> None:
        if point not in self.seen:
            self.seen.add(point)
            raise Killed(point)

    def before(self, what: str) -> None:
        self.crash_once(f"before {what}")

    def after(self, what: str) -> None:
        self.done[what] += 1
        self.crash_once(f"after {what}")

    def make_folder(self, path: Path) -> None:
        self.before(f"make {path.name}")
        super().make_folder(path)
        self.after(f"make {path.name}")

    def write_file(self, path: Path, content: bytes) -> None:
        # Keys differ at each try, so only documents are told apart by what they say.
        text = hashlib.sha256(content).hexdigest()[:6] if path.name in {"operation.json", "plane.json"} else ""
        self.before(f"write {path.name} {text}")
        super().write_file(path, content)
        self.after(f"write {path.name} {text}")

    def rename(self, source: Path, target: Path) -> None:
        self.before(f"rename {source.name}")
        super().rename(source, target)
        self.after(f"rename {source.name}")

    def remove_tree(self, path: Path) -> None:
        self.before(f"remove {path.name}")
        super().remove_tree(path)
        self.after(f"remove {path.name}")

    def spawn(self, argv: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]) -> int:
        what = f"spawn {Path(argv[0]).parent.name}/{Path(argv[0]).name}"
        self.before(what)
        pid = super().spawn(argv, log=log, folder=folder, environment=environment)
        self.after(what)
        return pid

    def signal(self, process: RunningProcess, number: int) -> None:
        self.before(f"signal {process.role} {process.version} {number}")
        super().signal(process, number)
        self.after(f"signal {process.role} {process.version} {number}")

    def steer(self, process: RunningProcess, port: int, *, clients: int, probes: int) -> bool:
        self.before(f"steer {process.version} {clients}{probes}")
        done = super().steer(process, port, clients=clients, probes=probes)
        self.after(f"steer {process.version} {clients}{probes}")
        return done

    async def run(self, argv: Sequence[str], *, timeout_seconds: float = RUN_TIMEOUT_SECONDS) -> bytes:
        what = f"run {Path(argv[0]).name} {argv[1]} {argv[2]}"
        self.before(what)
        output = await super().run(argv, timeout_seconds=timeout_seconds)
        self.after(what)
        return output


async def run_through_crashes(home: Path, assets: Assets, kind: OperationType, version: str) -> CrashingEffects:
    """Start the same operation again and again, each time with a new operator, until one survives."""
    effects = CrashingEffects()
    progress = 0
    for _ in range(300):
        planes = Planes(home, assets, clock=SystemClock(), effects=effects)
        try:
            await Plane(planes, "crash").run(kind, version, f"the-{kind.value.lower()}")
        except Killed:
            journal = (await planes.observe("crash")).journal
            if journal is not None and journal.id == f"the-{kind.value.lower()}":
                assert journal.steps_done >= progress, "progress only grows"
                progress = journal.steps_done
            continue
        return effects
    raise AssertionError("never came to an end")


async def test_killed_at_every_effect_each_operation_ends_as_if_it_had_not_been(tmp_path: Path, assets: Assets) -> None:
    planes = Planes(tmp_path, assets, clock=SystemClock())
    plane = Plane(planes, "crash")
    try:
        effects = await run_through_crashes(tmp_path, assets, OperationType.CREATE, OLD)
        print(f"\nCREATE survived {len(effects.seen)} crashes")
        spawned = {what: times for what, times in effects.done.items() if what.startswith("spawn")}
        assert set(spawned.values()) == {1}
        assert len(spawned) == 3
        observed = await planes.observe("crash")
        assert (observed.version, observed.ready, len(observed.processes)) == (OLD, True, 3)
        plane.kubectl("create", "configmap", "kept")

        effects = await run_through_crashes(tmp_path, assets, OperationType.CHANGE, NEW)
        print(f"CHANGE survived {len(effects.seen)} crashes")
        assert {what: times for what, times in effects.done.items() if what.startswith("spawn")} == {
            f"spawn {NEW}/kube-apiserver": 1,
            f"spawn {NEW}/kube-controller-manager": 1,
        }
        assert effects.done["rename the-change.part"] == 1
        observed = await planes.observe("crash")
        assert (observed.version, observed.ready, len(observed.processes)) == (NEW, True, 3)
        assert observed.journal is not None
        assert observed.journal.state is OperationState.SUCCEEDED
        plane.kubectl("get", "configmap", "kept")
        plane.kubectl("create", "configmap", "late")

        effects = await run_through_crashes(tmp_path, assets, OperationType.REVERT, OLD)
        print(f"REVERT survived {len(effects.seen)} crashes")
        assert effects.done["rename etcd"] == 1
        assert effects.done["rename etcd.restored-the-revert"] == 1
        observed = await planes.observe("crash")
        assert (observed.version, observed.ready, len(observed.processes)) == (OLD, True, 3)
        assert observed.journal is not None
        assert "configmaps/default/late" in observed.journal.message
        assert plane.process(Role.API_SERVER).version == OLD
        plane.kubectl("get", "configmap", "kept")
        assert "NotFound" in plane.kubectl("get", "configmap", "late", check=False)

        effects = await run_through_crashes(tmp_path, assets, OperationType.DELETE, OLD)
        print(f"DELETE survived {len(effects.seen)} crashes")
        assert not plane.layout.root.exists()
        assert list_leftovers(tmp_path) == []
    finally:
        await planes.remove("crash")


OPERATOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from atoll.shell.context import SystemClock
from plane_kit import Plane
from tests.support.binaries import Assets
from atoll.planes.planes import Planes
from atoll.ports import OperationType
planes = Planes(Path(sys.argv[2]), Assets(), clock=SystemClock())
asyncio.run(Plane(planes, "killed").run(OperationType.CHANGE, sys.argv[3], "the-change"))
"""


async def test_an_operator_killed_in_the_middle_of_a_change_costs_no_call(tmp_path: Path, assets: Assets) -> None:
    planes = Planes(tmp_path, assets, clock=SystemClock())
    plane = Plane(planes, "killed")
    try:
        await plane.run(OperationType.CREATE, OLD)
        plane.kubectl("create", "configmap", "kept")
        with CallLoop(plane) as loop:
            argv = (sys.executable, "-c", OPERATOR, str(Path(__file__).parent), str(planes.home), NEW)
            operator = await asyncio.create_subprocess_exec(*argv)
            for _ in range(600):
                if len(planes.processes("killed")) == 4:
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            operator.kill()
            assert await operator.wait() == -signal.SIGKILL
            observed = await planes.observe("killed")
            assert observed.journal is not None
            assert (observed.journal.step, observed.locked) == ("start the new kube-apiserver", False)
            begun = {process.pid for process in planes.processes("killed")}
            await asyncio.sleep(1)

            await plane.run(OperationType.CHANGE, NEW, "the-change")

            await asyncio.sleep(0.5)
        assert loop.failures == []
        assert plane.process(Role.API_SERVER).pid in begun
        assert (await planes.observe("killed")).version == NEW
    finally:
        await planes.remove("killed")
