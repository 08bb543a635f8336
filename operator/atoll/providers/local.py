"""Clusters as processes beside the operator, for trying out and for tests.

Nothing here is remembered that the plane's folder does not say: after a restart, a new provider sees the same.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from atoll.errors import AtollError, Conflict, VersionUnavailable
from atoll.fleet.authentication import render_authentication
from atoll.fleet.known import LOCAL
from atoll.fleet.values import Version
from atoll.kube.deprecated import DeprecatedApi, build_gone, is_taken_away, parse_labels
from atoll.planes.audit_use import Use, read_uses
from atoll.planes.binaries import find_all_programs
from atoll.planes.layout import build_layout
from atoll.planes.operations import begin_journal
from atoll.planes.planes import Planes
from atoll.planes.values import Journal, ObservedPlane, PlaneSpec, Role, Wanted
from atoll.ports import (
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    ProviderInfo,
    WantedCluster,
)

CONCURRENT_OPERATIONS: Final = 2
"""Starting a plane keeps a core busy; more at a time would only make each slower."""

NEEDED_DISK_BYTES: Final = 1_000_000_000
"""Data, its snapshot, the unpacked snapshot, logs; of a cluster that has no data yet."""
SPARE_DISK_BYTES: Final = 200 * 1024 * 1024
"""For logs, and for what is written while a change runs."""

logger = logging.getLogger(__name__)


class LocalProvider:
    """Provider `local`: one plane per cluster, named by `ref.id`."""

    def __init__(self, planes: Planes, *, in_pod: bool = False, audit_log: bool = False) -> None:
        """`in_pod`: the operator itself runs in a pod, whose end would be the end of the clusters; refused.

        `audit_log`: new clusters write one.
        """
        self._planes = planes
        self._in_pod = in_pod
        self._audit_log = audit_log
        self._slots = asyncio.Semaphore(CONCURRENT_OPERATIONS)
        self._tasks: dict[str, tuple[Operation, asyncio.Task[None]]] = {}

    def info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return LOCAL

    async def versions(self) -> tuple[str, ...]:
        """List the versions whose binaries can be had now."""
        return self._planes.binaries.versions()

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`, changing nothing."""
        if operation.type is OperationType.DELETE:
            return ()
        try:
            observed = await self._planes.observe(wanted.ref.id)
        except AtollError as error:
            return (Finding(reason=error.reason, message=str(error)),)
        target = operation.to_version or wanted.version
        served = operation.from_version or observed.version
        return (
            *self._check_pod(),
            *await self._check_binaries(target),
            *(check_hop(served, target) if operation.type is OperationType.CHANGE else ()),
            *(check_revert(observed, target) if operation.type is OperationType.REVERT else ()),
            *(await self._check_use(observed, served, target) if operation.type is OperationType.CHANGE else ()),
            *await self._check_disk(wanted.ref.id, operation.type),
        )

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there."""
        try:
            plane = await self._planes.observe(ref.id)
        except (AtollError, OSError) as error:
            return ObservedCluster(presence=Presence.UNKNOWN, message=str(error))
        return summarise_plane(plane, self._running(ref.id))

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation` and return at once; Conflict while another one runs here."""
        plane_id = wanted.ref.id
        running = self._running(plane_id)
        if running is not None:
            if running.id == operation.id:
                return
            raise Conflict(
                f"operation {running.id} ({running.type}) of {wanted.ref.name} has not finished: wait for it"
            )
        spec = build_plane_spec(wanted, audit_log=self._audit_log)
        keeps, drills = wanted.authentication is None, wanted.drill_before_change
        run = self._run(plane_id, spec, operation, keeps=keeps, drills=drills)
        task = asyncio.create_task(run, name=f"{operation.type} {plane_id}")
        self._tasks[plane_id] = (operation, task)

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return a kubeconfig for Atoll's own identity. Secret."""
        return self._planes.kubeconfig(ref.id)

    async def forget(self, ref: ClusterRef) -> None:
        """Leave the plane running; `atoll down` still stops it."""
        await self._planes.orphan(ref.id)

    async def close(self) -> None:
        """Cut operations short; processes keep running."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, plane_id: str, spec: PlaneSpec, operation: Operation, *, keeps: bool, drills: bool) -> None:
        try:
            async with self._slots:
                await self._planes.run_operation(plane_id, spec, operation, keeps_authentication=keeps, drills=drills)
        except (AtollError, OSError) as error:
            # The journal has it; whoever observes will see it.
            logger.warning("%s of plane %s stopped: %s", operation.type, plane_id, error)

    def _running(self, plane_id: str) -> Operation | None:
        entry = self._tasks.get(plane_id)
        if entry is None:
            return None
        operation, task = entry
        if not task.done():
            return operation
        del self._tasks[plane_id]
        return None

    def _check_pod(self) -> tuple[Finding, ...]:
        if not self._in_pod:
            return ()
        message = "provider local starts clusters as processes beside the operator, which runs in a pod here: "
        return (Finding(reason="Refused", message=message + "use another provider", field="spec.provider.local"),)

    async def _check_binaries(self, version: str) -> tuple[Finding, ...]:
        try:
            await asyncio.to_thread(find_all_programs, self._planes.binaries, version)
        except VersionUnavailable as error:
            return (Finding(reason=VersionUnavailable.reason, message=str(error), field="spec.version"),)
        return ()

    async def _check_use(self, observed: ObservedPlane, served: str, target: str) -> tuple[Finding, ...]:
        """Tell who uses APIs that the target has no more, where an audit log is kept."""
        if observed.state is None or not observed.state.spec.audit_log or parse_minor(served) == parse_minor(target):
            return ()
        log = build_layout(self._planes.home, observed.id).audit_log
        return judge_uses(await asyncio.to_thread(read_uses, log), served, target)

    async def _check_disk(self, plane_id: str, kind: OperationType) -> tuple[Finding, ...]:
        existing = next(path for path in (self._planes.home, *self._planes.home.parents) if path.exists())
        needed, why = NEEDED_DISK_BYTES, ""
        if kind in {OperationType.CHANGE, OperationType.DRILL}:
            data = await asyncio.to_thread(measure_folder, build_layout(self._planes.home, plane_id).etcd)
            needed = 2 * data + SPARE_DISK_BYTES
            why = (
                f" (etcd's data of {_megabytes(data)} MB once more as a snapshot and once as a copy, and some to spare)"
            )
        free = shutil.disk_usage(existing).free
        if free >= needed:
            return ()
        message = (
            f"{_megabytes(free)} MB are free below {self._planes.home}: {_megabytes(needed)} are needed{why}; "
            "free some, or stop Atoll and move its folder to a larger disk"
        )
        return (Finding(reason="DiskFull", message=message),)


def judge_uses(uses: Sequence[Use], served: str, target: str) -> tuple[Finding, ...]:
    """Say which APIs that the target has no more are in use, and by whom.

    What Kubernetes' own controllers use is left out, and what the served version has not had any more: the log is older
    than the version.
    """
    try:
        old, new = Version.parse(served), Version.parse(target)
    except ValueError:
        return ()
    callers: dict[DeprecatedApi, list[str]] = {}
    for use in uses:
        api = parse_labels(
            {"group": use.group, "version": use.version, "resource": use.resource, "removed_release": use.removed}
        )
        if api is None or use.is_own or api.removed <= Version(old.major, old.minor):
            continue
        if is_taken_away(api.removed, served=old, target=new):
            callers.setdefault(api, []).append(use.describe())
    ordered = sorted(callers.items(), key=lambda item: (item[0].removed, item[0].field))
    return tuple(build_gone(api, who, target=new) for api, who in ordered)


def measure_folder(folder: Path) -> int:
    """Return how many bytes the files of a folder have; what goes away meanwhile counts nothing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:
            continue
    return total


def _megabytes(amount: int) -> int:
    return amount // 1_000_000


def build_plane_spec(wanted: WantedCluster, *, audit_log: bool) -> PlaneSpec:
    """Return the plane that a cluster asks for."""
    told = wanted.authentication or {}
    return PlaneSpec(
        id=wanted.ref.id,
        name=wanted.ref.name,
        version=wanted.version,
        pod_cidr=wanted.pod_cidr,
        service_cidr=wanted.service_cidr,
        audit_log=audit_log,
        authentication=render_authentication(told) if told.get("oidc") else "",
    )


def check_hop(served: str, target: str) -> tuple[Finding, ...]:
    """Refuse to go back, or more than one minor forward."""
    old, new = parse_minor(served), parse_minor(target)
    if old is None or new is None or new - old in {0, 1}:
        return ()
    if new < old:
        message = f"{target} is older than {served}, which runs: only a revert goes back"
    else:
        message = f"{target} is {new - old} minors ahead of {served}: go through v1.{old + 1} first"
    return (Finding(reason="HopRefused", message=message, field="spec.version"),)


def check_revert(observed: ObservedPlane, target: str) -> tuple[Finding, ...]:
    """Refuse a revert to anything but the snapshot."""
    point = observed.revert_point
    if point is not None and point.version == target:
        return ()
    there = f"the snapshot is of {point.version}" if point else "there is no snapshot"
    return (Finding(reason="RevertRefused", message=f"{there}: a revert to {target} is not possible"),)


def parse_minor(version: str) -> int | None:
    """Return the minor of `v1.36.4`; None when it is no version."""
    parts = version.split(".")
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


def summarise_plane(plane: ObservedPlane, running: Operation | None) -> ObservedCluster:
    """Turn what was seen of a plane into what the shell asks for."""
    operation = summarise_operation(plane, running)
    deleting = operation is not None and operation.type is OperationType.DELETE
    if not plane.exists and running is None:
        return ObservedCluster(presence=Presence.ABSENT)
    if plane.state is None or not plane.state.created or deleting:
        return ObservedCluster(presence=Presence.PARTIAL, endpoint=plane.endpoint, operation=operation)
    return ObservedCluster(
        presence=Presence.PRESENT,
        version=plane.version,
        endpoint=plane.endpoint,
        needs_repair=describe_missing(plane, operation),
        operation=operation,
        revert_point=plane.revert_point,
        certificates_expire_time=plane.certificates_expire_time,
        drift=() if operation is not None and operation.is_open else plane.drift,
        authentication=plane.authentication,
        message=plane.message,
    )


def describe_missing(plane: ObservedPlane, operation: OperationProgress | None) -> str:
    """Say which processes are dead; slow ones are not, and during an operation some are down on purpose."""
    if operation is not None and operation.is_open:
        return ""
    if not plane.missing:
        return "a drill has left its throw-away plane behind: a repair removes it" if plane.drill_left else ""
    names = ", ".join(role.value for role in Role if role in plane.missing)
    verb = "is" if len(plane.missing) == 1 else "are"
    stopped = plane.state is not None and plane.state.wanted is Wanted.STOPPED
    why = "stopped by request" if stopped else "not running"
    return f"{names} {verb} {why}: a repair starts what is missing"


def summarise_operation(plane: ObservedPlane, running: Operation | None) -> OperationProgress | None:
    """Say how far the latest operation has come."""
    journal = plane.journal
    if running is not None and (journal is None or journal.id != running.id):
        begun = begin_journal(running)
        # Whether a change drills, and so how many steps it has, stands in the journal that it is about to write.
        unknown = running.type is OperationType.CHANGE
        return build_progress(replace(begun, steps_total=0) if unknown else begun, OperationState.RUNNING)
    if journal is None:
        return None
    state = journal.state
    if state is OperationState.RUNNING and running is None and not plane.locked:
        state = OperationState.INTERRUPTED
    return build_progress(journal, state)


def build_progress(journal: Journal, state: OperationState) -> OperationProgress:
    """Return a journal as progress."""
    return OperationProgress(
        id=journal.id,
        type=journal.type,
        state=state,
        step=journal.step,
        steps_done=journal.steps_done,
        steps_total=journal.steps_total,
        message=journal.message,
    )
