"""Clusters that somebody else makes, changes and removes: Atoll watches them, and never upgrades them.

An operation is a question here: it has succeeded as soon as what it asks for holds, and until then it waits for the
cluster's owner. So nothing has to be remembered on any far side. A provider that was restarted knows of no operation,
and the next `start` with the same id asks the same question again: a wait that is begun twice changes nothing anywhere.
The one that does anything is DELETE: it takes Atoll's own machinery out again, destroys nothing else, and may be
repeated from its beginning at any time. From then on, as far as Atoll goes, there is no cluster.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from atoll.errors import AtollError, BadInput, Conflict, Refused, Retryable, Unreachable
from atoll.fleet.known import EXISTING
from atoll.fleet.values import Version
from atoll.kube.credentials import TlsContexts
from atoll.kube.kubeconfigs import digest
from atoll.kube.member import MemberClient
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

from .cleaning import remove_machinery
from .kubeconfig import CheckedKubeconfig, check_kubeconfig
from .surroundings import Surroundings

LOOK_SECONDS: Final = 4.0
"""How long a cluster may take to tell its version before it counts as silent."""
FIELD: Final = "existing.kubeconfigSecretRef"
REFUSALS: Final = {
    OperationType.REVERT: "Atoll cannot take a cluster back that somebody else runs: ask its owner",
    OperationType.DRILL: "Atoll has no backups of a cluster that somebody else runs: ask its owner",
}

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Known:
    """What this process knows of one cluster."""

    digest: str
    checked: CheckedKubeconfig
    client: MemberClient
    """For the kubeconfig with this digest."""


@dataclass(slots=True)
class Release:
    """A DELETE, under way or over."""

    operation: Operation
    task: asyncio.Task[None] | None = None
    state: OperationState = OperationState.RUNNING
    message: str = ""

    @property
    def progress(self) -> OperationProgress:
        """How far it has come."""
        return OperationProgress(
            id=self.operation.id,
            type=self.operation.type,
            state=self.state,
            step="take out Atoll's own objects",
            steps_total=1,
            message=self.message,
        )


class ExistingProvider:
    """Provider `existing`."""

    def __init__(
        self,
        surroundings: Surroundings,
        connect: Callable[[str], MemberClient],
        *,
        contexts: TlsContexts | None = None,
        look_seconds: float = LOOK_SECONDS,
    ) -> None:
        """`connect` opens a cluster from a kubeconfig that was checked (secret)."""
        self._surroundings = surroundings
        self._connect = connect
        self._contexts = contexts or TlsContexts()
        self._look_seconds = look_seconds
        self._known: dict[str, Known] = {}
        self._operations: dict[str, Operation] = {}
        self._releases: dict[str, Release] = {}

    def info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return EXISTING

    async def versions(self) -> tuple[str, ...]:
        """Return nothing: which version a cluster has is its owner's business."""
        return ()

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`, changing nothing."""
        if operation.type in REFUSALS:
            return (Finding(reason=Refused.reason, message=REFUSALS[operation.type]),)
        if operation.type is OperationType.DELETE:
            return ()
        try:
            served = await self._ask(wanted.ref)
        except AtollError as error:
            return (Finding(reason=error.reason, message=str(error), field=FIELD),)
        if operation.type is OperationType.CHANGE and not _is_served(operation, served):
            return (Finding(reason=Refused.reason, message=_describe_wait(operation, served), field="spec.version"),)
        return ()

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there: a cluster that does not answer is unknown, whatever keeps it from answering.

        PARTIAL is one whose kubeconfig is missing or refused before anybody has ever been there (nothing of ours is in
        it, so it may be let go of as it is), and one that is being given back: nobody shall put anything into it now.
        """
        release = self._releases.get(ref.id)
        pinned = self._surroundings.pinned(ref)
        if pinned is None or (release is not None and release.state is OperationState.SUCCEEDED):
            return ObservedCluster(presence=Presence.ABSENT)
        if release is not None:
            return ObservedCluster(presence=Presence.PARTIAL, operation=release.progress, message=release.message)
        try:
            served = await self._ask(ref)
        except BadInput as error:
            presence = Presence.UNKNOWN if pinned else Presence.PARTIAL
            return self._tell(ref, ObservedCluster(presence=presence, message=str(error)), None)
        except AtollError as error:
            return self._tell(ref, ObservedCluster(presence=Presence.UNKNOWN, message=str(error)), None)
        known = self._known[ref.id]
        seen = ObservedCluster(
            presence=Presence.PRESENT,
            version=str(served),
            endpoint=known.checked.server,
            certificates_expire_time=known.checked.certificates_expire_time,
        )
        return self._tell(ref, seen, served)

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation`; Conflict while Atoll's own objects are being taken out.

        A wait for the owner holds up nobody: another operation takes its place.
        """
        ref = wanted.ref
        if operation.type in REFUSALS:
            raise Refused(REFUSALS[operation.type])
        release = self._releases.get(ref.id)
        if release is not None and release.state is OperationState.RUNNING:
            if release.operation.id == operation.id:
                return
            raise Conflict(f"operation {release.operation.id} (Delete) of {ref.name} has not finished: wait for it")
        if release is not None and release.operation.id == operation.id and release.state in _OVER:
            return
        self._operations.pop(ref.id, None)
        self._releases.pop(ref.id, None)
        if operation.type is not OperationType.DELETE:
            self._operations[ref.id] = operation
            return
        release = self._releases[ref.id] = Release(operation=operation)
        release.task = asyncio.create_task(self._release(ref, release), name=f"{operation.type} {ref.id}")

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return the owner's kubeconfig, reduced to what is used of it: what was seen by it is what is published."""
        if self._surroundings.pinned(ref) is None:
            raise Refused(f"there is no ChildCluster {ref.name}, so nothing names a kubeconfig for it")
        known = self._known.get(ref.id) or await self._open(ref)
        return known.checked.text

    async def forget(self, ref: ClusterRef) -> None:
        """Close the connection; the cluster never knew of us but by what is in it."""
        self._operations.pop(ref.id, None)
        release = self._releases.get(ref.id)
        if release is not None and release.state is not OperationState.RUNNING:
            del self._releases[ref.id]
        await self._disconnect(ref.id)

    async def close(self) -> None:
        """Let go of connections and tasks."""
        tasks = [release.task for release in self._releases.values() if release.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for cluster_id in tuple(self._known):
            await self._disconnect(cluster_id)

    async def _ask(self, ref: ClusterRef) -> Version:
        """Ask the cluster for its version; raises what stands in the way."""
        known = await self._open(ref)
        try:
            async with asyncio.timeout(self._look_seconds):
                return await known.client.version()
        except TimeoutError:
            raise Unreachable(f"{known.checked.server} did not answer within {self._look_seconds:g} s") from None

    async def _open(self, ref: ClusterRef) -> Known:
        """Read the kubeconfig anew, and connect by it; a connection by the same one is kept."""
        try:
            source = await self._surroundings.kubeconfig(ref)
            seen = digest(source.text)
            known = self._known.get(ref.id)
            if known is not None and known.digest == seen:
                return known
            checked = self._check(source.text, source.where, ref.name)
        except BadInput:
            await self._disconnect(ref.id)
            raise
        await self._disconnect(ref.id)
        known = self._known[ref.id] = Known(digest=seen, checked=checked, client=self._connect(checked.text))
        return known

    def _check(self, text: str, where: str, name: str) -> CheckedKubeconfig:
        try:
            return check_kubeconfig(text, name, contexts=self._contexts)
        except BadInput as error:
            raise BadInput(f"{where}: {error}", field=error.field) from None

    async def _disconnect(self, cluster_id: str) -> None:
        known = self._known.pop(cluster_id, None)
        if known is not None:
            await known.client.close()

    async def _release(self, ref: ClusterRef, release: Release) -> None:
        """Take our machinery out of the cluster that we pinned; into any other nothing was ever written."""
        try:
            pinned = self._surroundings.pinned(ref)
            if pinned:
                known = await self._open(ref)
                await known.client.require_identity(pinned)
                await remove_machinery(known.client.store, ref.id, pinned)
        except asyncio.CancelledError:
            release.state = OperationState.INTERRUPTED
            raise
        except AtollError as error:
            logger.warning("%s of %s stopped: %s", release.operation.type, ref.name, error)
            release.state = OperationState.INTERRUPTED if isinstance(error, Retryable) else OperationState.FAILED
            release.message = f"{error}; annotation atoll.dev/abandon on the ChildCluster lets go of it as it is"
        else:
            release.state = OperationState.SUCCEEDED
            await self._disconnect(ref.id)

    def _tell(self, ref: ClusterRef, seen: ObservedCluster, served: Version | None) -> ObservedCluster:
        """Add how far the latest operation has come."""
        operation = self._operations.get(ref.id)
        return seen if operation is None else replace(seen, operation=judge_operation(operation, served, seen.message))


_OVER: Final = frozenset({OperationState.SUCCEEDED, OperationState.FAILED})


def judge_operation(operation: Operation, served: Version | None, trouble: str) -> OperationProgress:
    """Say whether what an operation asks for holds. `served` is None while the cluster does not answer."""
    waits = OperationProgress(
        id=operation.id, type=operation.type, state=OperationState.RUNNING, steps_total=1, message=trouble
    )
    if served is None:
        return replace(waits, step="wait for the cluster to answer")
    if operation.type is OperationType.CHANGE and not _is_served(operation, served):
        return replace(waits, step="wait for its owner", message=_describe_wait(operation, served))
    return replace(waits, state=OperationState.SUCCEEDED, steps_done=1, message="")


def _is_served(operation: Operation, served: Version) -> bool:
    return Version.parse(operation.to_version).is_satisfied_by(served)


def _describe_wait(operation: Operation, served: Version) -> str:
    return f"its owner has to bring it from {served} to {operation.to_version}; Atoll does not change it"
