"""Clusters that kubeadm makes on hosts of a pool, over SSH.

Nothing here is remembered that the hosts do not say: after a restart, a new provider sees the same. Only what could not
be written on a host, because it could not be reached or belongs to somebody else, is kept in memory.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from atoll.errors import AtollError, Conflict, Refused, Unreachable
from atoll.fleet.cluster import OperationState
from atoll.fleet.known import KUBEADM
from atoll.hosts.access import HostAccess
from atoll.hosts.jobs import Host, Job
from atoll.machines.demands import check_demands
from atoll.ports import (
    Clock,
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationType,
    Presence,
    ProviderInfo,
    WantedCluster,
)

from . import facts
from .documents import begin_record
from .gather import BRINGING, gather_work
from .identity import rename_kubeconfig
from .observe import observe_hosts, summarise_views
from .preflight import check_bundle, check_config_maps, check_hop, check_hosts, check_machines
from .recording import write_orphaned
from .run import PATIENCE_SECONDS, Run
from .settings import parse_settings
from .surroundings import ClaimedHost, Surroundings
from .upgrading import DRAIN_SECONDS
from .values import CONTROL_PLANE, OperationRecord

NO_DRILL: Final = "kubeadm cannot drill: restore a snapshot by hand, on a host of its own"

CONCURRENT_OPERATIONS: Final = 16
"""Most of an operation is waiting for hosts; copying images is what shares our own wire."""

logger = logging.getLogger(__name__)


class KubeadmProvider:
    """Provider `kubeadm`."""

    def __init__(
        self,
        surroundings: Surroundings,
        connect: Callable[[HostAccess], Host],
        *,
        clock: Clock,
        patience_seconds: float = PATIENCE_SECONDS,
        drain_seconds: int = DRAIN_SECONDS,
    ) -> None:
        """`patience_seconds`: how long an operation waits for a host that cannot be reached.

        `drain_seconds`: how long the pods of a node may take to go.
        """
        self._surroundings = surroundings
        self._connect = connect
        self._clock = clock
        self._patience = patience_seconds
        self._drain_seconds = drain_seconds
        self._slots = asyncio.Semaphore(CONCURRENT_OPERATIONS)
        self._tasks: dict[str, tuple[Operation, asyncio.Task[None]]] = {}
        self._told: dict[str, OperationRecord] = {}
        self._runs: dict[str, Run] = {}
        self._kubeconfigs: dict[str, tuple[str, str]] = {}

    def info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return KUBEADM

    async def versions(self) -> tuple[str, ...]:
        """Return nothing: each block names a source of its own, and preflight looks there."""
        return ()

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`, changing nothing."""
        if operation.type is OperationType.DELETE:
            return ()
        if operation.type is OperationType.REVERT:
            message = "kubeadm cannot go back: restore the snapshot that was taken before the change, by hand"
            return (Finding(reason=Refused.reason, message=message, field="spec.version"),)
        if operation.type is OperationType.DRILL:
            return (Finding(reason=Refused.reason, message=NO_DRILL),)
        settings = parse_settings(wanted.settings)
        target = operation.to_version or wanted.version
        refused = check_demands(wanted.settings)
        if refused:
            return refused
        try:
            claimed = await self._surroundings.hosts(wanted.ref)
            found = (
                *(await check_bundle(settings, target) if operation.type in BRINGING else ()),
                *check_hosts(claimed, settings),
                *await check_config_maps(self._surroundings, wanted.ref.fleet, settings),
            )
            if found:
                return found
            return (
                *(check_hop(operation.from_version, target) if operation.type is OperationType.CHANGE else ()),
                *await check_machines(wanted.ref.id, claimed, self._connect, operation.type, target),
            )
        except AtollError as error:
            return (Finding(reason=error.reason, message=str(error)),)

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there."""
        running = self._running(ref.id)
        try:
            claimed = await self._surroundings.hosts(ref)
        except AtollError as error:
            return ObservedCluster(presence=Presence.UNKNOWN, message=str(error))
        views = await observe_hosts(ref.id, claimed, self._connect)
        # An operation may have ended while we looked: what the hosts said then is no news.
        still = self._running(ref.id)
        if running is not None and still is None:
            views = await observe_hosts(ref.id, claimed, self._connect)
        return summarise_views(views, still, self._progress(ref.id, still), now=self._clock.now())

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation` and return at once; Conflict while another one runs here."""
        cluster_id = wanted.ref.id
        running = self._running(cluster_id)
        if running is not None:
            if running.id == operation.id:
                return
            raise Conflict(
                f"operation {running.id} ({running.type}) of {wanted.ref.name} has not finished: wait for it"
            )
        if operation.type is OperationType.REVERT:
            raise Refused("kubeadm cannot go back to an older version")
        if operation.type is OperationType.DRILL:
            raise Refused(NO_DRILL)
        self._told.pop(cluster_id, None)
        task = asyncio.create_task(self._run(wanted, operation), name=f"{operation.type} {cluster_id}")
        self._tasks[cluster_id] = (operation, task)

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return a kubeconfig for Atoll's own identity. Secret."""
        host = self._first(ref, await self._surroundings.hosts(ref))
        try:
            if await host.ask(facts.OWNER) != ref.id:
                raise Refused(f"{ref.name} has no cluster on host {host.name}")
            digest = await host.ask(facts.KUBECONFIG_DIGEST)
            if not digest:
                raise Refused(f"host {host.name} has no kubeconfig of {ref.name} yet: wait until it is made")
            cached = self._kubeconfigs.get(ref.id)
            if cached is None or cached[0] != digest:
                cached = (digest, rename_kubeconfig((await host.ask(facts.KUBECONFIG)).value, ref.name))
                self._kubeconfigs[ref.id] = cached
        except ValueError as error:
            raise Unreachable(f"host {host.name} could not tell its kubeconfig: {error}") from None
        return cached[1]

    async def forget(self, ref: ClusterRef) -> None:
        """Leave the cluster running; its hosts keep saying whose they are."""
        claimed = await self._surroundings.hosts(ref)
        if not any(host.role == CONTROL_PLANE for host in claimed):
            return
        host = self._first(ref, claimed)
        try:
            if await host.ask(facts.OWNER) != ref.id:
                return
            record = await host.ask(facts.CLUSTER)
        except ValueError as error:
            raise Unreachable(f"host {host.name} could not tell what it is: {error}") from error
        if record is None or record.orphaned:
            return
        job = Job(id=f"{ref.id}.forget", cluster_id=ref.id, actions=(write_orphaned(record),), seconds=60)
        await host.begin(job)
        await host.wait(job.id, job.seconds)

    async def close(self) -> None:
        """Cut operations short; what runs on hosts goes on there."""
        tasks = [task for _, task in self._tasks.values()]
        self._tasks.clear()
        self._runs.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, wanted: WantedCluster, operation: Operation) -> None:
        cluster_id = wanted.ref.id
        self._told[cluster_id] = begin_record(operation, step="look at the hosts", steps_total=1)
        try:
            async with self._slots:
                work = await gather_work(
                    wanted,
                    operation,
                    self._surroundings,
                    self._connect,
                    self._clock,
                    drain_seconds=self._drain_seconds,
                )
                run = Run(work, patience_seconds=self._patience)
                self._told.pop(cluster_id, None)
                self._runs[cluster_id] = run
                await run.carry_out()
        except AtollError as error:
            logger.warning("%s of cluster %s stopped: %s", operation.type, cluster_id, error)
            self._remember(cluster_id, operation, error)
        finally:
            self._runs.pop(cluster_id, None)

    def _remember(self, cluster_id: str, operation: Operation, error: AtollError) -> None:
        """Keep a failure that nobody could write down; one that may pass is resumed instead."""
        run = self._runs.get(cluster_id)
        if run is not None and run.record.state is not OperationState.RUNNING:
            return
        record = run.record if run is not None else self._told[cluster_id]
        state = OperationState.INTERRUPTED if isinstance(error, Unreachable | Conflict) else OperationState.FAILED
        self._told[cluster_id] = replace(record, state=state, message=str(error))

    def _first(self, ref: ClusterRef, claimed: tuple[ClaimedHost, ...]) -> Host:
        for host in claimed:
            if host.role == CONTROL_PLANE:
                return self._connect(host.access)
        raise Refused(f"{ref.name} has claimed no control-plane host")

    def _progress(self, cluster_id: str, running: Operation | None) -> OperationRecord | None:
        run = self._runs.get(cluster_id)
        if running is not None and run is not None:
            return run.record
        if running is not None:
            return self._told.get(cluster_id) or begin_record(running, step="look at the hosts", steps_total=1)
        return self._told.get(cluster_id)

    def _running(self, cluster_id: str) -> Operation | None:
        entry = self._tasks.get(cluster_id)
        if entry is None:
            return None
        operation, task = entry
        if not task.done():
            return operation
        del self._tasks[cluster_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s of cluster %s broke", operation.type, cluster_id, exc_info=error)
        return None
