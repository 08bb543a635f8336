"""Clusters that exist in memory only, for tests and for a demonstration of a large fleet on a small machine.

What lives is in a `FakeWorld`, which outlives its providers as real clusters outlive the operator.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from atoll.errors import Conflict, Refused, VersionUnavailable
from atoll.fleet.authentication import digest_authentication
from atoll.ports import (
    Clock,
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    ProviderInfo,
    RevertPoint,
    WantedCluster,
)

STEPS: Final[Mapping[OperationType, tuple[str, ...]]] = MappingProxyType(
    {
        OperationType.CREATE: ("reserve", "start", "wait until healthy"),
        OperationType.CHANGE: ("take a snapshot", "replace", "wait until healthy"),
        OperationType.REVERT: ("stop", "unpack the snapshot", "wait until healthy"),
        OperationType.REPAIR: ("start what is missing",),
        OperationType.DELETE: ("stop", "remove"),
        OperationType.DRILL: ("drill a snapshot",),
    }
)

CLOSED_PORT: Final = 1
"""Nobody listens there; kubeconfigs point to it."""

DRILLED: Final = "restored 12 objects of 5 kinds in 1.0 s; 10 samples equal"
"""What a drill tells of a cluster that does not exist."""

CERTIFICATE_LIFE: Final = timedelta(days=365)
EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)


class EpochClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        """Return the first moment of 2026."""
        return EPOCH


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeCluster:
    """One cluster that does not exist."""

    presence: Presence
    version: str
    created_time: datetime
    operation: OperationProgress | None = None
    broken: str = ""
    """Not empty: what is down."""
    revert_point: RevertPoint | None = None
    forgotten: bool = False
    authentication: str = ""
    """Digest of how people log in."""


@dataclass(slots=True)
class FakeWorld:
    """Everything that is "out there". Change its fields to let things happen."""

    versions: tuple[str, ...] = ("v1.34.9", "v1.35.8", "v1.36.4")
    seconds: float = 0.0
    """How long an operation takes."""
    failures: dict[str, str] = field(default_factory=dict)
    """Name of a cluster → why its operations fail."""
    drill_failures: dict[str, str] = field(default_factory=dict)
    """Name of a cluster → what its drills find."""
    unreachable: dict[str, str] = field(default_factory=dict)
    """Name of a cluster → why it cannot be asked."""
    clusters: dict[str, FakeCluster] = field(default_factory=dict)
    begun: list[tuple[str, str]] = field(default_factory=list)
    """Id of the cluster and name of the step, for each step begun."""


class FakeProvider:
    """A provider without a single effect."""

    def __init__(self, world: FakeWorld, *, name: str = "local", clock: Clock | None = None) -> None:
        self._world = world
        self._name = name
        self._clock = clock or EpochClock()
        self._tasks: dict[str, tuple[str, asyncio.Task[None]]] = {}

    def info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return ProviderInfo(name=self._name, has_nodes=False, can_revert=True, can_drill=True, usual_seconds=15.0)

    async def versions(self) -> tuple[str, ...]:
        """List the versions of the world."""
        return self._world.versions

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`."""
        target = operation.to_version or wanted.version
        if operation.type is OperationType.DELETE or target in self._world.versions:
            return ()
        there = ", ".join(self._world.versions)
        message = f"{target} cannot be had: choose one of {there}"
        return (Finding(reason=VersionUnavailable.reason, message=message, field="spec.version"),)

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there."""
        if why := self._world.unreachable.get(ref.name):
            return ObservedCluster(presence=Presence.UNKNOWN, message=why)
        cluster = self._world.clusters.get(ref.id)
        if cluster is None:
            return ObservedCluster(presence=Presence.ABSENT)
        operation = cluster.operation
        if operation and operation.state is OperationState.RUNNING and not self._is_running(ref.id):
            operation = replace(operation, state=OperationState.INTERRUPTED)
        present = cluster.presence is Presence.PRESENT
        busy = operation is not None and operation.is_open
        return ObservedCluster(
            presence=cluster.presence,
            version=cluster.version if present else "",
            endpoint=f"https://127.0.0.1:{CLOSED_PORT}",
            needs_repair="" if busy else cluster.broken,
            operation=operation,
            revert_point=cluster.revert_point,
            certificates_expire_time=cluster.created_time + CERTIFICATE_LIFE if present else None,
            authentication=cluster.authentication if present else None,
        )

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation` and return at once."""
        plane_id = wanted.ref.id
        if self._is_running(plane_id):
            running, _ = self._tasks[plane_id]
            if running == operation.id:
                return
            raise Conflict(f"operation {running} of {wanted.ref.name} has not finished: wait for it")
        if (progress := self._begin(wanted, operation)) is not None:
            run = self._run(wanted, operation, progress)
            self._tasks[plane_id] = (operation.id, asyncio.create_task(run, name=f"{operation.type} {plane_id}"))

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return a kubeconfig that leads nowhere."""
        if ref.id not in self._world.clusters:
            raise Refused(f"cluster {ref.id} has no kubeconfig yet: create it first")
        return (
            "apiVersion: v1\nkind: Config\n"
            f"clusters:\n- {{name: {ref.name}, cluster: {{server: 'https://127.0.0.1:{CLOSED_PORT}'}}}}\n"
            f"users:\n- {{name: atoll, user: {{}}}}\n"
            f"contexts:\n- {{name: {ref.name}, context: {{cluster: {ref.name}, user: atoll}}}}\n"
            f"current-context: {ref.name}\n"
        )

    async def forget(self, ref: ClusterRef) -> None:
        """Stop looking after the cluster."""
        if cluster := self._world.clusters.get(ref.id):
            self._world.clusters[ref.id] = replace(cluster, forgotten=True)

    async def close(self) -> None:
        """Cut operations short."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _is_running(self, plane_id: str) -> bool:
        return plane_id in self._tasks and not self._tasks[plane_id][1].done()

    def _begin(self, wanted: WantedCluster, operation: Operation) -> OperationProgress | None:
        """Return where to begin or resume; None when there is nothing to do."""
        cluster = self._world.clusters.get(wanted.ref.id)
        if cluster is None:
            if operation.type in {OperationType.DELETE, OperationType.DRILL}:
                return None
            cluster = FakeCluster(
                presence=Presence.PARTIAL, version=operation.to_version, created_time=self._clock.now()
            )
        known = cluster.operation
        if known is not None and known.id == operation.id:
            return known if known.state is OperationState.RUNNING else None
        names = STEPS[operation.type]
        progress = OperationProgress(
            id=operation.id,
            type=operation.type,
            state=OperationState.RUNNING,
            step=names[0],
            steps_total=len(names),
        )
        presence = Presence.PARTIAL if operation.type is OperationType.DELETE else cluster.presence
        self._world.clusters[wanted.ref.id] = replace(cluster, operation=progress, presence=presence)
        return progress

    async def _run(self, wanted: WantedCluster, operation: Operation, progress: OperationProgress) -> None:
        names = STEPS[operation.type]
        for done in range(progress.steps_done, len(names)):
            self._world.begun.append((wanted.ref.id, names[done]))
            await asyncio.sleep(self._world.seconds / len(names))
            if why := self._world.failures.get(wanted.ref.name) or self._find_by_drill(wanted, operation):
                self._advance(wanted, replace(progress, state=OperationState.FAILED, message=why))
                return
            if done + 1 < len(names):
                progress = replace(progress, steps_done=done + 1, step=names[done + 1])
                self._advance(wanted, progress)
        self._finish(wanted, operation, replace(progress, steps_done=len(names), state=OperationState.SUCCEEDED))

    def _find_by_drill(self, wanted: WantedCluster, operation: Operation) -> str:
        drills = operation.type is OperationType.CHANGE and wanted.drill_before_change
        found = self._world.drill_failures.get(wanted.ref.name, "")
        return found if drills or operation.type is OperationType.DRILL else ""

    def _advance(self, wanted: WantedCluster, progress: OperationProgress) -> None:
        clusters = self._world.clusters
        clusters[wanted.ref.id] = replace(clusters[wanted.ref.id], operation=progress)

    def _finish(self, wanted: WantedCluster, operation: Operation, progress: OperationProgress) -> None:
        clusters, now = self._world.clusters, self._clock.now()
        if operation.type is OperationType.DRILL:
            self._advance(wanted, replace(progress, message=DRILLED))
            return
        cluster = replace(clusters[wanted.ref.id], operation=progress, presence=Presence.PRESENT, broken="")
        if wanted.authentication is not None and operation.type in {OperationType.CREATE, OperationType.CHANGE}:
            cluster = replace(cluster, authentication=digest_authentication(wanted.authentication))
        match operation.type:
            case OperationType.DELETE:
                del clusters[wanted.ref.id]
            case OperationType.CREATE | OperationType.REPAIR:
                clusters[wanted.ref.id] = cluster
            case OperationType.CHANGE:
                message = f"everything written to the API since {now:%Y-%m-%dT%H:%M:%SZ} would be lost"
                point = RevertPoint(version=cluster.version, taken_time=now, message=message)
                clusters[wanted.ref.id] = replace(cluster, version=operation.to_version, revert_point=point)
            case OperationType.REVERT:
                done = replace(progress, message="lost: all writes since the snapshot")
                clusters[wanted.ref.id] = replace(
                    cluster, version=operation.to_version, revert_point=None, operation=done
                )
