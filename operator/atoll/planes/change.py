"""The steps of a change of version, and of the way back.

Forward without a gap, where the system lets us steer connections (steering.py): the new API server starts beside the
old one on the same port, connections go to the old one until the new one has proved itself, then to the new one alone,
and only then the old one ends. In between the recorded version changes: before that moment a failure leaves the old one
serving, after it everything strives for the new one.
"""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path

from atoll.errors import AtollError, BadInput, Refused, Terminal

from .binaries import ETCDCTL, ETCDUTL
from .commands import find_tag
from .etcd import Etcd, describe_loss, restore_snapshot, take_snapshot, verify_snapshot
from .steering import MARKED
from .steps import STOP_LIMIT_SECONDS, start_api_server, stop_role, wait_api_server_ready, write_authentication
from .values import Role, RunningProcess, Snapshot, Wanted
from .work import Work


async def take_own_snapshot(work: Work, target: Path | None = None) -> Snapshot:
    """Take a verified snapshot under the operation's id, and leave the one that a revert would bring back as it is.

    `target`: where it goes; None: to the snapshots of changes.
    """
    state = work.state()
    return await take_snapshot(
        work.layout,
        state.ports,
        work.effects,
        ctl=work.find_program(state.spec.version, ETCDCTL),
        utl=work.find_program(state.spec.version, ETCDUTL),
        operation_id=work.operation.id,
        version=state.spec.version,
        target=target,
    )


async def save_snapshot(work: Work) -> None:
    """Take a verified snapshot and make it the one that a revert brings back; older ones go."""
    snapshot = await take_own_snapshot(work)
    state = work.state()
    snapshot = replace(snapshot, authentication=state.spec.authentication)
    work.save(replace(state, snapshot=snapshot))
    for path in sorted(work.layout.snapshots.iterdir()):
        if path != work.layout.snapshot(snapshot.id):
            work.effects.remove_tree(path)


def find_api_servers(work: Work) -> tuple[tuple[RunningProcess, ...], tuple[RunningProcess, ...]]:
    """Return the API servers of the target, and all others."""
    tag = find_tag(work.command(Role.API_SERVER, work.target()))
    running = work.processes.of_role(Role.API_SERVER)
    return (
        tuple(process for process in running if process.tag == tag),
        tuple(process for process in running if process.tag != tag),
    )


async def start_new_api_server(work: Work) -> None:
    """Start the new API server beside the old one, which keeps all clients, and wait until the new one is ready."""
    target = work.target()
    new, others = find_api_servers(work)
    old = tuple(process for process in others if process.version == work.state().spec.version)
    await work.processes.stop(
        [process for process in others if process not in old[:1]], limit_seconds=STOP_LIMIT_SECONDS
    )
    gap = bool(old) and not work.effects.steer(old[0], target.ports.api, clients=0, probes=1)
    if gap:
        # Without steering the two would take calls from each other, and the new one might never become ready.
        await work.processes.stop(old[:1], limit_seconds=STOP_LIMIT_SECONDS)
    command = work.command(Role.API_SERVER, target)
    write_authentication(work, target)
    try:
        process = new[0] if new else await work.processes.start(Role.API_SERVER, command, MARKED)
        work.processes.record(process)
        await wait_api_server_ready(work, target, process)
    except Exception:
        # It shares the port, and nothing will come of it.
        if old:
            started, _ = find_api_servers(work)
            await work.processes.stop(started, limit_seconds=STOP_LIMIT_SECONDS)
        if gap:
            # The change has failed, but the plane shall serve what it served before. Why it failed counts more.
            with contextlib.suppress(AtollError):
                await start_api_server(work)
        raise


async def hand_over(work: Work) -> None:
    """Lead new connections to the new API server and record the new version: from here there is only forward."""
    target = work.target()
    new, _ = find_api_servers(work)
    if not new:
        raise work.processes.failure(Role.API_SERVER, (Role.API_SERVER.value,), None)
    work.effects.steer(new[0], target.ports.api, clients=1, probes=1)
    work.save(replace(target, wanted=Wanted.RUNNING))


async def stop_old_api_server(work: Work) -> None:
    """End the old API server, which has no new connections any more."""
    new, others = find_api_servers(work)
    await work.processes.stop(others, limit_seconds=STOP_LIMIT_SECONDS)
    if new:
        work.effects.steer(new[0], work.state().ports.api, clients=0, probes=0)
    text = work.state().spec.authentication
    for path in sorted(work.layout.pki.glob("authentication-*.json")):
        if not text or path != work.layout.authentication(text):
            work.effects.remove_tree(path)


async def check_revert(work: Work) -> None:
    """Refuse a revert to anything but the snapshot."""
    snapshot = work.state().snapshot
    if snapshot is None or not work.layout.snapshot(snapshot.id).exists():
        raise Refused("there is no snapshot to revert to: only a change of version takes one")
    if work.spec.version != snapshot.version:
        message = f"the snapshot is of {snapshot.version}, not of {work.spec.version}: revert to {snapshot.version}"
        raise BadInput(message, field="spec.version")
    # Once the plane has stopped it would be too late to find out.
    utl = work.find_program(snapshot.version, ETCDUTL)
    try:
        await verify_snapshot(work.effects, utl, work.layout.snapshot(snapshot.id))
    except Terminal as error:
        raise Refused(f"there is no way back: {error}") from error


async def measure_loss(work: Work) -> str:
    """Say which writes the revert will lose."""
    state = work.state()
    assert state.snapshot is not None, "check_revert came first"
    etcd = Etcd(work.layout, state.ports)
    revision = await etcd.read_revision()
    return describe_loss(state.snapshot, revision, await etcd.read_changed_keys(state.snapshot.revision))


async def stop_everything(work: Work) -> None:
    """End all processes, etcd last."""
    for role in (Role.API_SERVER, Role.CONTROLLER_MANAGER, Role.ETCD):
        await stop_role(work, role)


async def unpack_snapshot(work: Work) -> None:
    """Unpack the snapshot beside the data."""
    state, target = work.state(), work.layout.root / f"etcd.restored-{work.operation.id}"
    assert state.snapshot is not None, "check_revert came first"
    if not target.exists():
        utl = work.find_program(state.snapshot.version, ETCDUTL)
        await restore_snapshot(
            work.layout,
            state.ports,
            work.effects,
            utl=utl,
            source=work.layout.snapshot(state.snapshot.id),
            target=target,
        )


async def swap_data(work: Work) -> None:
    """Put the unpacked data in place of the other, and record the old version."""
    layout, operation_id = work.layout, work.operation.id
    restored = layout.root / f"etcd.restored-{operation_id}"
    if restored.exists():
        if layout.etcd.exists():
            work.effects.rename(layout.etcd, layout.root / f"etcd.replaced-{operation_id}")
        work.effects.rename(restored, layout.etcd)
    state = work.state()
    before = state.snapshot.authentication if state.snapshot is not None else state.spec.authentication
    spec = replace(state.spec, version=work.spec.version, authentication=before)
    work.save(replace(state, spec=spec, wanted=Wanted.RUNNING))


async def forget_snapshot(work: Work) -> None:
    """Remove what the revert has used up."""
    work.save(replace(work.state(), snapshot=None))
    for path in sorted(work.layout.root.glob("etcd.re*")):
        work.effects.remove_tree(path)
    work.effects.remove_tree(work.layout.snapshots)
