"""A drill: a snapshot is restored into a throw-away plane, which is compared with the living one and removed again.

The throw-away plane is a folder `drill` within the plane's own, with keys, ports and processes of its own, so nothing
that belongs to the living one is ever in reach. It runs without a controller manager, which would write. Being one
folder it can always be found again: whatever a killed operator has left there is removed by whichever operation comes
next, and by whoever stops or removes the plane.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from atoll.errors import AtollError, Refused, Terminal
from atoll.ports import OperationType

from . import steps
from .addresses import choose_ports, is_port_free
from .binaries import ETCDUTL
from .change import take_own_snapshot
from .drill_compare import (
    SAMPLES,
    DrillResult,
    Kind,
    Listing,
    Mark,
    choose_samples,
    compare_kind,
    describe_differences,
    describe_result,
    judge_sample,
)
from .drill_read import Reader, observe_kinds, observe_listing, observe_object
from .etcd import Etcd, read_snapshot, read_time, restore_snapshot
from .locks import hold_lock
from .steps import read_taken_ports
from .store import write_plane
from .values import PlaneState, Role, Snapshot
from .work import Work

SAMPLE_TRIES: Final = 3 * SAMPLES
SPAWN_SECONDS: Final = 0.05

Run = Callable[[Work], Awaitable[str | None]]


def removing_on_failure(run: Run) -> Run:
    """Let a step that fails, or is cut short, leave nothing of the drill behind."""

    @functools.wraps(run)
    async def guarded(work: Work) -> str | None:
        try:
            return await run(work)
        except (Exception, asyncio.CancelledError) as error:
            # Why it failed counts more than what could not be removed; that is found again by `drill_left`.
            with contextlib.suppress(AtollError, OSError):
                # A process that has just been started shows no command line for an instant.
                await asyncio.sleep(SPAWN_SECONDS)
                await remove_drill(work)
            if work.operation.type is OperationType.CHANGE and not isinstance(error, asyncio.CancelledError):
                forget_change_snapshot(work)
            raise

    return guarded


async def take_to_change(work: Work) -> None:
    """Take the snapshot of a change, which shall prove itself before it is the one that a revert brings back."""
    await take_own_snapshot(work)


@removing_on_failure
async def take_to_drill(work: Work) -> None:
    """Take a snapshot for the drill alone; what an earlier attempt has left is removed."""
    await remove_drill(work)
    require_living(work)
    work.effects.make_folder(work.layout.drill.root)
    await take_own_snapshot(work, work.layout.drill.snapshot(work.operation.id))


@removing_on_failure
async def verify(work: Work) -> None:
    """Verify the snapshot and write down what the throw-away plane shall be."""
    drill, state, effects = work.layout.drill, work.state(), work.effects
    require_living(work)
    await stop_drill(work)
    effects.make_folder(drill.root)
    for path in sorted(drill.root.iterdir()):
        if path != drill.snapshots:
            effects.remove_tree(path)
    source = drill.snapshot(work.operation.id)
    if work.operation.type is OperationType.CHANGE:
        source = work.layout.snapshot(work.operation.id)
    utl = work.find_program(state.spec.version, ETCDUTL)
    snapshot = await read_snapshot(effects, utl, source, snapshot_id=work.operation.id, version=state.spec.version)
    # Nobody logs in there, and the audit log of the living plane is not its own.
    spec = replace(state.spec, authentication="", audit_log=False)
    async with hold_lock(work.home / "planes" / ".ports.lock", "the ports of the planes", patience_seconds=10.0):
        ports = choose_ports(f"{spec.id} drill", read_taken_ports(work.home, ""), is_port_free)
        write_plane(drill, PlaneState(spec=spec, ports=ports, snapshot=snapshot), effects)


@removing_on_failure
async def restore(work: Work) -> None:
    """Unpack the snapshot into the throw-away plane."""
    state, snapshot = read_drill(work)
    drill = work.layout.drill
    source = drill.snapshot(snapshot.id)
    if work.operation.type is OperationType.CHANGE:
        source = work.layout.snapshot(snapshot.id)
    utl = work.find_program(snapshot.version, ETCDUTL)
    await restore_snapshot(drill, state.ports, work.effects, utl=utl, source=source, target=drill.etcd, ahead=False)


@removing_on_failure
async def start(work: Work) -> None:
    """Start etcd and the API server of the throw-away plane, and wait until both serve."""
    throwaway = build_throwaway(work)
    await steps.issue_certificates(throwaway)
    await steps.start_etcd(throwaway)
    await steps.start_api_server(throwaway)


@removing_on_failure
async def prove(work: Work) -> str:
    """Compare the throw-away plane with the living one; Terminal names what differs."""
    result = await observe_result(work)
    if result.differences:
        raise Terminal(
            f"the snapshot does not bring back what the cluster had: {describe_differences(result.differences)}; "
            "the cluster was left as it is: look at its disk and at etcd's log, then try again"
        )
    return describe_result(result)


async def remove(work: Work) -> None:
    """Remove the throw-away plane."""
    await remove_drill(work)


async def remove_drill(work: Work) -> None:
    """End the processes of a drill, whoever has left them, and remove everything that it had."""
    if work.layout.drill.root.exists():
        await stop_drill(work)
        work.effects.remove_tree(work.layout.drill.root)


async def stop_drill(work: Work) -> None:
    """End the processes of a drill at once: nothing that they hold is worth keeping."""
    processes = work.processes.beside(work.layout.drill)
    await processes.stop(processes.all(), limit_seconds=0.0)


async def observe_result(work: Work) -> DrillResult:
    """Compare all objects of both planes as of the snapshot's revision, and some of them field by field."""
    ports, (state, snapshot) = work.state().ports, read_drill(work)
    begun = read_time(work.layout.drill.plane)
    current = await Etcd(work.layout, ports).read_revision()
    differences: list[str] = []
    if current < snapshot.revision:
        differences.append(f"the snapshot is of revision {snapshot.revision}, and the cluster is at {current} only")
    async with (
        Reader(work.layout, ports.api, "the cluster") as living,
        Reader(work.layout.drill, state.ports.api, "the restored plane") as restored,
    ):
        equal: dict[Kind, tuple[Mark, ...]] = {}
        objects = kinds = 0
        there = set(await observe_kinds(restored))
        for kind in await observe_kinds(living) if not differences else ():
            listing = await observe_listing(living, kind, snapshot.revision)
            if listing is None:
                continue
            again = await observe_listing(restored, kind, snapshot.revision) if kind in there else None
            found = compare_kind(kind, listing, again or Listing(), revision=snapshot.revision)
            equal[kind] = found.equal
            objects, kinds = objects + found.objects, kinds + (found.objects > 0)
            differences += found.differences
        samples = 0
        for kind, mark in choose_samples(equal, work.operation.id)[:SAMPLE_TRIES]:
            bodies = [await observe_object(reader, kind, mark) for reader in (living, restored)]
            difference = judge_sample(kind, mark, *bodies)
            if difference:
                differences.append(difference)
            samples += difference == ""
            if samples == SAMPLES:
                break
    if not samples and not differences:
        differences.append("there was no object to compare")
    now = work.clock.now()
    return DrillResult(
        time=now,
        seconds=(now - begun).total_seconds(),
        objects=objects,
        kinds=kinds,
        samples=samples,
        differences=tuple(differences),
    )


def build_throwaway(work: Work) -> Work:
    """Return the same work, to be done on the throw-away plane."""
    drill = work.layout.drill
    return replace(work, layout=drill, processes=work.processes.beside(drill))


def read_drill(work: Work) -> tuple[PlaneState, Snapshot]:
    """Read what the throw-away plane is, and which snapshot it comes from."""
    state = build_throwaway(work).state()
    if state.snapshot is None:
        raise Terminal(f"{work.layout.drill.plane} names no snapshot: try again")
    return state, state.snapshot


def require_living(work: Work) -> None:
    """Refuse to drill beside a plane that cannot be compared with."""
    alive = {process.role for process in work.processes.all()}
    if dead := [role.value for role in (Role.ETCD, Role.API_SERVER) if role not in alive]:
        raise Refused(
            f"{' and '.join(dead)} of the plane must run to be compared with: repair the plane, then try again"
        )


def forget_change_snapshot(work: Work) -> None:
    """Remove the snapshot of a change that will not come, and its folder when nothing else is in there."""
    with contextlib.suppress(OSError):
        work.effects.remove_tree(work.layout.snapshot(work.operation.id))
        if not any(work.layout.snapshots.iterdir()):
            work.effects.remove_tree(work.layout.snapshots)
