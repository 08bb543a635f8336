"""All planes of one home folder: the public face of this room."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

from atoll.errors import Refused, Unreachable
from atoll.fleet.authentication import digest_file
from atoll.ports import Clock, Operation, OperationType, RevertPoint

from . import pki
from .binaries import Binaries
from .change import stop_everything
from .commands import find_authentication
from .drill import remove_drill
from .effects import Effects
from .health import Health, observe_health
from .kubeconfig import build_kubeconfig
from .layout import Layout, build_layout
from .locks import hold_lock, is_locked
from .operations import run_steps
from .processes import Processes, find_processes
from .steering import UNMARKED
from .steps import remove_folder
from .store import list_plane_ids, read_journal, read_plane, read_text, write_plane
from .values import ObservedPlane, PlaneSpec, PlaneState, Role, RunningProcess, Snapshot, Wanted
from .work import Work

DEFAULT_ENVIRONMENT: Final[Mapping[Role, Mapping[str, str]]] = MappingProxyType(
    {
        Role.ETCD: {"GOMAXPROCS": "2", "GOMEMLIMIT": "512MiB"},
        Role.API_SERVER: {"GOMAXPROCS": "2", "GOMEMLIMIT": "1GiB"},
        Role.CONTROLLER_MANAGER: {"GOMAXPROCS": "1", "GOMEMLIMIT": "256MiB"},
    }
)
"""Many planes share a machine. The limits make the collector work harder; they end no process."""


class Planes:
    """Runs planes below `home`; several of these may work on one home at a time."""

    def __init__(
        self,
        home: Path,
        binaries: Binaries,
        *,
        clock: Clock,
        effects: Effects | None = None,
        environment: Mapping[Role, Mapping[str, str]] | None = None,
    ) -> None:
        """`environment` adds to or overrides DEFAULT_ENVIRONMENT, per process."""
        self.home = home.expanduser().resolve()
        self.binaries = binaries
        self._clock = clock
        self._effects = effects or Effects()
        self._environment = {
            role: {"PATH": os.defpath, **UNMARKED, **DEFAULT_ENVIRONMENT[role], **(environment or {}).get(role, {})}
            for role in Role
        }

    def list(self) -> tuple[PlaneState, ...]:
        """Read all planes that have been described, orphaned ones too."""
        states = (self.read(plane_id) for plane_id in list_plane_ids(self.home))
        return tuple(state for state in states if state)

    def read(self, plane_id: str) -> PlaneState | None:
        """Read what a plane is; None when there is none. BadInput when its file is damaged."""
        return read_plane(self._layout(plane_id))

    def processes(self, plane_id: str) -> tuple[RunningProcess, ...]:
        """Find the live processes of a plane, oldest first."""
        return find_processes(self._layout(plane_id), thorough=True)

    async def observe(self, plane_id: str) -> ObservedPlane:
        """See what is there. BadInput when a file of the plane is damaged."""
        layout = self._layout(plane_id)
        # The lock is looked at first: an operation that ends meanwhile reads as finished, never as interrupted.
        locked = is_locked(layout.lock)
        state = read_plane(layout)
        journal = read_journal(layout)
        drill_left = not locked and layout.drill.root.exists() and not is_locked(layout.lock)
        if state is None:
            return ObservedPlane(id=plane_id, exists=layout.root.is_dir(), journal=journal, locked=locked)
        processes = find_processes(layout, thorough=False)
        for process in processes:
            self._effects.reap(process.pid)
        roles = {process.role for process in processes}
        health = await observe_served(layout, state, roles)
        authentication, drift = observe_authentication(layout, state, processes)
        return ObservedPlane(
            id=plane_id,
            exists=True,
            state=state,
            processes=processes,
            missing=tuple(role for role in Role if role not in roles),
            served_version=health.version,
            ready=health.ready,
            message=health.message,
            journal=journal,
            locked=locked,
            revert_point=describe_revert_point(layout, state.snapshot),
            certificates_expire_time=pki.read_expire_time(layout, state.spec),
            authentication=authentication,
            drift=drift,
            drill_left=drill_left,
        )

    async def run_operation(
        self,
        plane_id: str,
        spec: PlaneSpec,
        operation: Operation,
        *,
        keeps_authentication: bool = False,
        drills: bool = False,
    ) -> None:
        """Run or resume an operation to its end; a finished one of the same id is left alone.

        `keeps_authentication`: a change leaves how people log in as it is, whatever `spec` says.
        `drills`: a change drills its snapshot first; one that has begun goes on as it began.
        Raises Conflict while somebody else works on the plane, and whatever stopped the operation (the journal has it
        too).
        """
        layout = self._layout(plane_id)
        if operation.type is OperationType.DELETE and not layout.root.exists():
            return
        if operation.type is OperationType.DRILL:
            self._state(layout)
        async with hold_lock(layout.lock, f"plane {plane_id}"):
            work = self._work(layout, spec, operation)
            await run_steps(replace(work, keeps_authentication=keeps_authentication, drills=drills))

    def kubeconfig(self, plane_id: str) -> str:
        """Return a kubeconfig of Atoll's own identity that needs no other file. Secret."""
        layout = self._layout(plane_id)
        state = read_plane(layout)
        if state is None or not layout.identity(pki.ATOLL).exists():
            raise Refused(f"plane {plane_id} has no kubeconfig yet: create it first")
        pair = pki.read_pair(layout, pki.ATOLL)
        return build_kubeconfig(
            name=state.spec.name,
            endpoint=state.endpoint,
            authority=layout.authority(pki.CLUSTER_AUTHORITY).read_bytes(),
            certificate=pki.certificate_pem(pair.certificate),
            key=pki.key_pem(pair.key),
        )

    async def stop(self, plane_id: str) -> None:
        """End the processes of a plane and keep its data; a REPAIR starts them again."""
        layout = self._layout(plane_id)
        if not layout.root.exists():
            return
        async with hold_lock(layout.lock, f"plane {plane_id}"):
            state = read_plane(layout)
            if state is not None:
                write_plane(layout, replace(state, wanted=Wanted.STOPPED), self._effects)
            work = self._bare_work(layout)
            await remove_drill(work)
            await stop_everything(work)

    async def remove(self, plane_id: str) -> None:
        """End the processes of a plane and remove everything that it has."""
        layout = self._layout(plane_id)
        if not layout.root.exists():
            return
        async with hold_lock(layout.lock, f"plane {plane_id}"):
            work = self._bare_work(layout)
            await remove_drill(work)
            await stop_everything(work)
            await remove_folder(work)

    async def orphan(self, plane_id: str) -> None:
        """Write down that nobody looks after a plane any more; it keeps running."""
        layout = self._layout(plane_id)
        state = read_plane(layout)
        if state is None:
            return
        async with hold_lock(layout.lock, f"plane {plane_id}"):
            write_plane(layout, replace(self._state(layout), orphaned=True), self._effects)

    async def renew_certificates(self, plane_id: str) -> tuple[str, ...]:
        """Issue certificates again that are near their end; the processes read them by themselves."""
        layout = self._layout(plane_id)
        async with hold_lock(layout.lock, f"plane {plane_id}"):
            return pki.renew_certificates(layout, self._state(layout).spec, self._effects, self._clock.now())

    def _layout(self, plane_id: str) -> Layout:
        return build_layout(self.home, plane_id)

    def _state(self, layout: Layout) -> PlaneState:
        state = read_plane(layout)
        if state is None:
            raise Refused(f"there is no plane {layout.root.name}: create it first")
        return state

    def _work(self, layout: Layout, spec: PlaneSpec, operation: Operation) -> Work:
        version = operation.to_version or spec.version
        return Work(
            home=self.home,
            layout=layout,
            spec=replace(spec, version=version),
            operation=operation,
            binaries=self.binaries,
            effects=self._effects,
            clock=self._clock,
            processes=Processes(layout, self._effects, self._environment),
        )

    def _bare_work(self, layout: Layout) -> Work:
        """Work that knows no more than the folder, for what must succeed on a half-made plane too."""
        spec = PlaneSpec(id=layout.root.name, name=layout.root.name, version="", pod_cidr="", service_cidr="")
        return self._work(layout, spec, Operation(id="", type=OperationType.DELETE, to_version=""))


async def observe_served(layout: Layout, state: PlaneState, roles: set[Role]) -> Health:
    """Ask the API server; no answer is an answer too."""
    if Role.API_SERVER not in roles:
        return Health(version="", ready=False, message="kube-apiserver is not running")
    try:
        return await observe_health(layout, state.ports.api)
    except Unreachable as error:
        return Health(version="", ready=False, message=str(error))
    except OSError as error:
        return Health(version="", ready=False, message=f"certificates cannot be read: {error}")


def observe_authentication(
    layout: Layout, state: PlaneState, processes: tuple[RunningProcess, ...]
) -> tuple[str, tuple[str, ...]]:
    """See by which file the API server knows people: its digest, and whether it is still what we have written."""
    servers = [process for process in processes if process.role is Role.API_SERVER]
    wanted = state.spec.authentication
    path = find_authentication(servers[-1].argv) if servers else layout.authentication(wanted) if wanted else None
    if path is None:
        return "", ()
    found = read_text(path)
    digest = digest_file(found.decode(errors="replace")) if found is not None else ""
    if wanted and path == layout.authentication(wanted) and digest != digest_file(wanted):
        done = "is gone" if found is None else "was changed by hand"
        return digest, (f"{path} {done}: a change writes it again",)
    return digest, ()


def describe_revert_point(layout: Layout, snapshot: Snapshot | None) -> RevertPoint | None:
    """Say what a revert would bring back, if its snapshot is there."""
    if snapshot is None or not layout.snapshot(snapshot.id).exists():
        return None
    taken = snapshot.taken_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    message = f"everything written to the API since {taken} (etcd revision {snapshot.revision}) would be lost"
    return RevertPoint(version=snapshot.version, taken_time=snapshot.taken_time, message=message)
