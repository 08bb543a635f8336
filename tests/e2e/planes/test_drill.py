"""A snapshot proves itself beside a living plane, which notices nothing; a bad one is found, and nothing is left."""

from __future__ import annotations

import asyncio
import hashlib
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from plane_kit import NEW, OLD, CallLoop, Plane, list_leftovers, spec_of

from atoll.errors import Refused, Terminal
from atoll.planes.drill_compare import SAMPLES, Kind
from atoll.planes.drill_read import Reader, observe_listing
from atoll.planes.effects import RUN_TIMEOUT_SECONDS, Effects
from atoll.planes.etcd import Etcd
from atoll.planes.planes import Planes
from atoll.planes.values import Role
from atoll.ports import Operation, OperationState, OperationType
from atoll.providers.local import summarise_plane
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

pytestmark = pytest.mark.e2e

FIGURES = re.compile(rf"restored (\d+) objects of (\d+) kinds in \d+\.\d s; {SAMPLES} samples equal")


class Tampering(Effects):
    """Changes snapshots when they have been written, as a failing disk or a wrong hand would."""

    def __init__(self, tamper: Callable[[bytes], bytes]) -> None:
        self.tamper = tamper

    async def run(self, argv: Sequence[str], *, timeout_seconds: float = RUN_TIMEOUT_SECONDS) -> bytes:
        output = await super().run(argv, timeout_seconds=timeout_seconds)
        if argv[1:3] == ("snapshot", "save"):
            self.change(Path(argv[3]))
        return output

    def change(self, path: Path) -> None:
        path.write_bytes(self.tamper(path.read_bytes()))


def flip_a_bit(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def exchange(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Change content and seal it again, so that no checksum can tell."""

    def tamper(content: bytes) -> bytes:
        pages = content[:-32]
        assert old in pages
        pages = pages.replace(old, new)
        return pages + hashlib.sha256(pages).digest()

    return tamper


LOST = exchange(b"/registry/configmaps/default/kept", b"/registry/configmapz/default/kept")
CHANGED = exchange(b"the-only-quota", b"the-lone-quota")


class Killed(BaseException):
    """The operator is gone."""


class KilledAt(Effects):
    """Dies before one effect."""

    def __init__(self, point: str) -> None:
        self.point = point

    def reach(self, point: str) -> None:
        if point == self.point:
            raise Killed(point)

    def spawn(self, argv: Sequence[str], *, log: Path, folder: Path, environment: Mapping[str, str]) -> int:
        self.reach(f"spawn {Path(argv[0]).name}")
        return super().spawn(argv, log=log, folder=folder, environment=environment)

    def rename(self, source: Path, target: Path) -> None:
        self.reach(f"rename {source.name}")
        super().rename(source, target)

    def write_file(self, path: Path, content: bytes) -> None:
        self.reach(f"write {path.name}")
        super().write_file(path, content)

    def remove_tree(self, path: Path) -> None:
        self.reach(f"remove {path.name}")
        super().remove_tree(path)


@pytest.fixture(scope="module")
def plane(planes: Planes) -> Iterator[Plane]:
    plane = Plane(planes, "drilled")
    asyncio.run(plane.run(OperationType.CREATE, OLD))
    plane.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    plane.kubectl("create", "quota", "one", "--hard=pods=5")
    plane.kubectl("annotate", "quota", "one", "note=the-only-quota")
    yield plane
    asyncio.run(planes.remove(plane.id))


@pytest.fixture
def untouched(plane: Plane) -> Iterator[None]:
    """The living plane is afterwards what it was before, and nothing else is left."""
    before, state, files = plane.planes.processes(plane.id), plane.state, list_files(plane)
    yield
    assert plane.planes.processes(plane.id) == before
    assert (plane.state, list_files(plane)) == (state, files)
    assert len(list_leftovers(plane.planes.home)) == 3
    seen = asyncio.run(plane.planes.observe(plane.id))
    assert (seen.version, seen.ready, seen.missing, seen.drill_left) == (state.spec.version, True, (), False)


def list_files(plane: Plane) -> list[str]:
    root = plane.layout.root
    paths = (path for path in root.rglob("*") if plane.layout.etcd not in path.parents)
    return sorted(str(path.relative_to(root)) for path in paths)


def beside(plane: Plane, effects: Effects) -> Plane:
    """The same plane in the hands of another operator."""
    planes = Planes(plane.planes.home, plane.planes.binaries, clock=SystemClock(), effects=effects)
    return Plane(planes, plane.id, plane.numbers)


async def read_message(plane: Plane, state: OperationState) -> str:
    journal = (await plane.planes.observe(plane.id)).journal
    assert journal is not None
    assert journal.state is state
    return journal.message


@pytest.mark.usefixtures("untouched")
async def test_a_good_snapshot_is_proved_while_others_write_and_read(plane: Plane) -> None:
    """The operator is killed when all is done but the tidying up, which the next one does."""
    with CallLoop(plane) as loop:
        await asyncio.sleep(0.5)
        start = time.monotonic()
        with pytest.raises(Killed):
            await beside(plane, KilledAt("remove drill")).run(OperationType.DRILL, OLD, "the-good-drill")
        assert (await plane.planes.observe(plane.id)).drill_left
        await plane.run(OperationType.DRILL, OLD, "the-good-drill")
        seconds = time.monotonic() - start
        await asyncio.sleep(0.5)

    message = await read_message(plane, OperationState.SUCCEEDED)
    print(f"\ndrill of {seconds:.1f} s: {message}; {len(loop.seconds)} calls, {len(loop.failures)} failed")
    figures = FIGURES.fullmatch(message)
    assert figures is not None
    assert int(figures[1]) > 150
    assert int(figures[2]) > 10
    assert loop.failures == []
    assert len(loop.created) > 10


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        pytest.param(LOST, "configmaps default/kept was not restored", id="a lost object"),
        pytest.param(CHANGED, "resourcequotas default/one differs in metadata.annotations.note", id="another content"),
    ],
)
async def test_a_snapshot_that_brings_back_something_else_is_found(
    plane: Plane, tamper: Callable[[bytes], bytes], expected: str
) -> None:
    with pytest.raises(Terminal, match=expected):
        await beside(plane, Tampering(tamper)).run(OperationType.DRILL, OLD)

    message = await read_message(plane, OperationState.FAILED)
    assert message.startswith("could not prove the restored plane: the snapshot does not bring back ")
    assert "was left as it is" in message
    assert "the-only-quota" not in message


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize("kind", [OperationType.DRILL, OperationType.CHANGE])
@pytest.mark.parametrize(
    ("tamper", "expected"),
    [
        pytest.param(flip_a_bit, "its content does not match the checksum", id="a flipped bit"),
        pytest.param(lambda content: content[:-4096], "does not match the checksum|cut off", id="a lost end"),
        pytest.param(lambda _: b"", "it is empty", id="nothing"),
        pytest.param(exchange(b"\xed\xda\x0c\xed", b"\xed\xda\x0c\xee"), "etcdutl cannot read it", id="no database"),
    ],
)
async def test_a_damaged_snapshot_stops_the_hop_or_drill_before_anything_moves(
    plane: Plane, kind: OperationType, tamper: Callable[[bytes], bytes], expected: str
) -> None:
    with pytest.raises(Terminal, match=expected):
        await beside(plane, Tampering(tamper)).run(kind, NEW if kind is OperationType.CHANGE else OLD)

    message = await read_message(plane, OperationState.FAILED)
    assert message.startswith("could not take a snapshot of etcd: the snapshot ")
    assert "is damaged" in message
    assert "then try again" in message


@pytest.mark.usefixtures("untouched")
async def test_an_old_snapshot_in_place_of_a_new_one_is_found(plane: Plane) -> None:
    """Each is whole; but the second lacks what was written after the first."""
    kept: list[bytes] = []

    def keep(content: bytes) -> bytes:
        kept.append(content)
        return b""

    with pytest.raises(Terminal, match="it is empty"):
        await beside(plane, Tampering(keep)).run(OperationType.DRILL, OLD)
    plane.kubectl("label", "configmap", "kept", "since=then", "--overwrite")
    with pytest.raises(Terminal, match=r"it is of revision \d+, and etcd had \d+ before it was taken"):
        await beside(plane, Tampering(lambda _: kept[0])).run(OperationType.DRILL, OLD)


OPERATOR = """
import asyncio, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from atoll.shell.context import SystemClock
from plane_kit import OLD, Plane
from tests.support.binaries import Assets
from atoll.planes.planes import Planes
from atoll.ports import OperationType
planes = Planes(Path(sys.argv[2]), Assets(), clock=SystemClock())
asyncio.run(Plane(planes, sys.argv[3]).run(OperationType.DRILL, OLD, "the-drill"))
"""


async def wait_for_processes(plane: Plane, count: int) -> None:
    for _ in range(1200):
        if len(list_leftovers(plane.planes.home)) >= count:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"there were never {count} processes")


async def kill_in_the_middle(plane: Plane) -> None:
    """Start a drill with an operator of its own, and kill that when etcd and the API server of the drill run."""
    argv = (sys.executable, "-c", OPERATOR, str(Path(__file__).parent), str(plane.planes.home), plane.id)
    operator = await asyncio.create_subprocess_exec(*argv)
    await wait_for_processes(plane, 3 + 2 + 1)
    operator.kill()
    assert await operator.wait() == -signal.SIGKILL
    assert len(list_leftovers(plane.planes.home)) == 3 + 2


@pytest.mark.usefixtures("untouched")
async def test_what_a_killed_operator_left_is_seen_and_the_drill_begins_again(plane: Plane) -> None:
    await kill_in_the_middle(plane)
    seen = await plane.planes.observe(plane.id)
    assert (seen.version, seen.ready, seen.missing, seen.drill_left) == (OLD, True, (), True)
    operation = summarise_plane(seen, None).operation
    assert operation is not None
    assert (operation.id, operation.state) == ("the-drill", OperationState.INTERRUPTED)

    await plane.run(OperationType.DRILL, OLD, "the-drill")

    assert FIGURES.fullmatch(await read_message(plane, OperationState.SUCCEEDED))


@pytest.mark.usefixtures("untouched")
@pytest.mark.parametrize(
    "point",
    [
        "rename drill-x.part",
        "write plane.json",
        "rename etcd.part",
        "spawn etcd",
        "spawn kube-apiserver",
        "remove drill",
    ],
)
async def test_wherever_an_operator_was_killed_the_next_operation_removes_what_it_left(
    plane: Plane, point: str
) -> None:
    with pytest.raises(Killed):
        await beside(plane, KilledAt(point)).run(OperationType.DRILL, OLD, "drill-x")
    seen = await plane.planes.observe(plane.id)
    assert seen.drill_left

    await plane.run(OperationType.REPAIR, OLD)


@pytest.mark.usefixtures("untouched")
async def test_an_operator_that_ends_takes_the_drill_with_it(plane: Plane) -> None:
    task = asyncio.create_task(plane.run(OperationType.DRILL, OLD, "cut-short"))
    await wait_for_processes(plane, 3 + 2)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_there_is_no_drill_of_a_plane_that_is_not_there(planes: Planes) -> None:
    nobody = Operation(id="one", type=OperationType.DRILL, to_version=OLD)
    with pytest.raises(Refused, match="there is no plane nobody"):
        await planes.run_operation("nobody", spec_of("nobody", OLD), nobody)
    assert not (planes.home / "planes" / "nobody").exists()


FORGETFUL = "--feature-gates=ListFromCacheSnapshot=false"
"""Without this an API server remembers old revisions a while longer than its etcd does."""


async def change(plane: Plane, *, effects: Effects | None = None) -> None:
    """Change the version, with a drill before."""
    number = next(plane.numbers)
    operation = Operation(id=f"hop-{number}", type=OperationType.CHANGE, from_version=OLD, to_version=NEW)
    planes = beside(plane, effects).planes if effects else plane.planes
    spec = spec_of(plane.id, NEW, api_args=(FORGETFUL,))
    await planes.run_operation(plane.id, spec, operation, drills=True)


@pytest.mark.usefixtures("untouched")
async def test_a_hop_whose_snapshot_does_not_prove_itself_changes_nothing(plane: Plane) -> None:
    with CallLoop(plane) as loop, pytest.raises(Terminal, match="configmaps default/kept was not restored"):
        await change(plane, effects=Tampering(LOST))
    assert loop.failures == []
    assert (await plane.planes.observe(plane.id)).revert_point is None


async def test_a_hop_proves_its_snapshot_and_keeps_it(plane: Plane) -> None:
    """From here on the plane serves the new version."""
    with CallLoop(plane) as loop:
        await change(plane)
    assert loop.failures == []
    assert FIGURES.fullmatch(await read_message(plane, OperationState.SUCCEEDED))
    seen = await plane.planes.observe(plane.id)
    assert (seen.version, seen.ready, seen.drill_left) == (NEW, True, False)
    assert seen.revert_point is not None
    assert seen.revert_point.version == OLD
    assert plane.process(Role.API_SERVER).version == NEW
    assert not plane.layout.drill.root.exists()


class Forgetting(Effects):
    """Lets the living plane's etcd forget the snapshot's revision as soon as the snapshot was unpacked."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.revision = 0

    async def run(self, argv: Sequence[str], *, timeout_seconds: float = RUN_TIMEOUT_SECONDS) -> bytes:
        output = await super().run(argv, timeout_seconds=timeout_seconds)
        if argv[1:3] == ("snapshot", "restore"):
            self.plane.kubectl("create", "configmap", "new")
            self.plane.kubectl("delete", "configmap", "old")
            self.plane.kubectl("label", "configmap", "kept", "since=now", "--overwrite")
            etcd = Etcd(self.plane.layout, self.plane.state.ports)
            self.revision = await etcd.read_revision()
            async with etcd.connect() as connection:
                body = {"revision": str(self.revision), "physical": True}
                assert (await connection.ask("/v3/kv/compaction", method="POST", body=body)).ok
        return output


@pytest.mark.usefixtures("untouched")
async def test_what_was_written_since_is_no_difference_where_etcd_has_forgotten_the_revision(plane: Plane) -> None:
    plane.kubectl("create", "configmap", "old")
    forgetting = Forgetting(plane)
    await beside(plane, forgetting).run(OperationType.DRILL, NEW)

    assert FIGURES.fullmatch(await read_message(plane, OperationState.SUCCEEDED))
    maps = Kind(group="", version="v1", resource="configmaps")
    async with Reader(plane.layout, plane.state.ports.api, "the cluster") as reader:
        listing = await observe_listing(reader, maps, forgetting.revision - 2)
    assert listing is not None
    assert not listing.exact, "else this test would have shown nothing"


async def test_there_is_no_way_back_to_a_damaged_snapshot_and_the_plane_serves_on(plane: Plane) -> None:
    state = plane.state
    assert state.snapshot is not None
    path = plane.layout.snapshot(state.snapshot.id)
    path.write_bytes(flip_a_bit(path.read_bytes()))
    with pytest.raises(Refused, match=r"there is no way back: the snapshot .* is damaged"):
        await plane.run(OperationType.REVERT, OLD)
    seen = await plane.planes.observe(plane.id)
    assert (seen.version, seen.ready, seen.missing) == (NEW, True, ())


async def test_a_plane_is_removed_with_the_drill_that_was_left(plane: Plane, assets: Assets) -> None:
    assert plane.planes.binaries is assets
    with pytest.raises(Killed):
        await beside(plane, KilledAt("spawn kube-apiserver")).run(OperationType.DRILL, NEW)
    assert len(list_leftovers(plane.planes.home)) == 3 + 1
    await plane.planes.stop(plane.id)
    assert list_leftovers(plane.planes.home) == []
    assert not plane.layout.drill.root.exists()
