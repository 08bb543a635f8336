"""Which long work a child needs next, and how far the one under way has come.

The intent is written to `ChildCluster.status.operation` first; only an intent that stands in the API is started, and it
is started again under the same id as often as it takes. So a crash anywhere repeats nothing: the far side knows the id.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet.authentication import is_to_change
from atoll.fleet.cluster import Operation, OperationState, OperationType, Presence, ProviderInfo
from atoll.fleet.decisions import RETURN_MARK, Forecast
from atoll.fleet.observed import ChildCluster, ChildView, OperationStatus
from atoll.fleet.spec import DeletionPolicy
from atoll.fleet.values import Version

from .drills import next_drill

RETRY_SECONDS: Final = 30
"""First pause before a failed create, repair or delete is tried again; doubles up to RETRY_LIMIT_SECONDS."""

RETRY_LIMIT_SECONDS: Final = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What the long work on a child looks like now."""

    operation: OperationStatus | None = None
    """What `status.operation` shall say; None: nothing is under way."""
    start: bool = False
    """The intent stands in the API and nobody is working on it: start or resume it."""
    finished: OperationStatus | None = None
    """An operation that has just ended well: it goes to the history."""
    gone: bool = False
    """The cluster does not exist (any more)."""
    lost: str = ""
    """The cluster was there, is gone, and we did not remove it: what to do."""
    wake: datetime | None = None
    held: bool = False
    """It needs an operation that may not begin yet: what it is until then is not to be verified."""
    blocked: bool = False
    """Its provider says what is in the way, in `reason`: a person has to mend that first."""
    reason: str = ""


def plan_work(
    child: ChildCluster,
    view: ChildView | None,
    info: ProviderInfo,
    now: datetime,
    *,
    may_begin: bool,
    orphan: bool,
    told: bool = True,
    authentication: Mapping[str, Any] | None = None,
    drill_cron: str = "",
    forecast: Callable[[], Forecast] | None = None,
) -> Work:
    """Decide the next long work of one child.

    `may_begin`: False while the set is paused or something before this step (revoking tenants' access) is unfinished.
    `orphan`: the child is being deleted and its cluster is to be left running.
    `told`: a rollout has told the child all that its set asks for now.
    `authentication`: how people shall log in; None: the child has not been told yet.
    `drill_cron`: when to prove that its backup can be restored; empty: never.
    `forecast`: says how long a change of it will take; it is written down with the intent.
    """
    if view is None or view.cluster.presence is Presence.UNKNOWN:
        # Not looked at yet, or cannot be asked: keep what stands there, begin nothing.
        return Work(operation=child.operation, reason="the provider could not be asked")
    current = child.operation
    if current is not None and not current.failed:
        return _follow(child, current, view, orphan=orphan)
    need = _need(child, view, info, authentication, orphan=orphan, told=told) or _unfinished(child, view, info, current)
    wake = None
    if need is None and info.can_drill and _is_at_rest(child, view, current):
        wake = next_drill(child, drill_cron)
        if wake is not None and wake <= now:
            need = (OperationType.DRILL, str(child.version), "a restore drill is due (spec.backup.drillCron)")
    if need is None:
        kept = current if current is not None and _still_matters(current, child, view) else None
        return Work(operation=kept, gone=view.cluster.presence is Presence.ABSENT, lost=_lost(child, view), wake=wake)
    kind, to_version, reason = need
    if current is not None and _is_same_try(current, child, kind, to_version):
        retry = _retry_time(child, current)
        if retry is None or now < retry:
            return Work(operation=current, wake=retry, reason=current.message)
    if not may_begin:
        return Work(operation=current, held=True, reason=reason)
    intent = OperationStatus(
        id=f"{kind.lower()}-{now:%Y%m%dt%H%M%S}-{child.id[:8]}",
        type=kind,
        started_time=now.replace(microsecond=0),
        from_version=_from_version(view, current, to_version),
        to_version=to_version,
        message=reason,
        rollout=child.rollout,
    )
    if kind is OperationType.CHANGE and forecast is not None:
        span = forecast()
        intent = replace(intent, expected_seconds=span.seconds, low_seconds=span.low, high_seconds=span.high)
    return Work(operation=intent, reason=reason)


def _is_at_rest(child: ChildCluster, view: ChildView, current: OperationStatus | None) -> bool:
    failed = current is not None and current.type is not OperationType.DRILL
    there = view.cluster.presence is Presence.PRESENT and not child.meta.deleting
    return there and not failed and child.revision == child.done_revision


def _unfinished(
    child: ChildCluster, view: ChildView, info: ProviderInfo, current: OperationStatus | None
) -> tuple[OperationType, str, str] | None:
    """Keep a change that failed when every part served the new version already: what comes after it is still to do."""
    if current is None or current.type is not OperationType.CHANGE or not info.has_nodes or child.meta.deleting:
        return None
    if child.done_revision == child.revision or view.cluster.presence is not Presence.PRESENT:
        return None
    return OperationType.CHANGE, str(child.version), f"finishing the change to {child.version}: {current.message}"


def _from_version(view: ChildView, current: OperationStatus | None, to_version: str) -> str:
    """Say what a change comes from: one that goes on from another comes from where that one came."""
    served = view.cluster.version
    if current is not None and current.type is OperationType.CHANGE and served == to_version:
        return current.from_version or served
    return served


def _follow(child: ChildCluster, current: OperationStatus, view: ChildView, *, orphan: bool) -> Work:
    """Look how far the operation has come whose intent stands in the API."""
    progress = view.cluster.operation
    if progress is None or progress.id != current.id:
        if current.type is OperationType.DELETE and view.cluster.presence is Presence.ABSENT:
            return Work(finished=current, gone=True)
        if orphan:
            return Work(reason="its cluster is let go: nothing more is begun on it")
        if view.findings:
            # Nothing has moved yet. It is tried again after every look, and begins when nothing is in the way any more.
            return Work(operation=current, start=True, blocked=True, reason=view.findings[0].message)
        return Work(operation=current, start=True, reason=current.message)
    told = replace(
        current,
        step=progress.step,
        steps_done=max(progress.steps_done, current.steps_done),
        steps_total=progress.steps_total,
        message=progress.message or current.message,
    )
    if progress.state is OperationState.RUNNING:
        return Work(operation=told, reason=told.message)
    if progress.state is OperationState.INTERRUPTED:
        return Work(operation=told, start=True, reason=f"{current.type} was interrupted at {progress.step}: resuming")
    if progress.state is OperationState.FAILED:
        return Work(operation=replace(told, failed=True), reason=progress.message)
    return Work(finished=told, gone=current.type is OperationType.DELETE)


def _need(
    child: ChildCluster,
    view: ChildView,
    info: ProviderInfo,
    authentication: Mapping[str, Any] | None,
    *,
    orphan: bool,
    told: bool,
) -> tuple[OperationType, str, str] | None:
    """Say which operation would bring the cluster to what the child's spec says: (type, to version, reason)."""
    cluster = view.cluster
    version = str(child.version)
    if child.meta.deleting:
        if orphan or child.deletion_policy is not DeletionPolicy.DELETE or cluster.presence is Presence.ABSENT:
            return None
        return OperationType.DELETE, version, "it is being deleted under deletionPolicy Delete"
    if cluster.presence is Presence.ABSENT:
        if child.cluster_uid:
            return None
        return OperationType.CREATE, version, f"there is no cluster yet; creating one at {version}"
    if cluster.presence is Presence.PARTIAL:
        found = "a half-made cluster was found; finishing it" if info.upgrades else "its cluster is not taken in yet"
        return OperationType.CREATE, version, found
    served = Version.parse(cluster.version) if cluster.version else None
    if served is not None and info.upgrades and not child.version.is_satisfied_by(served):
        if child.version < served:
            return _need_to_go_back(child, view, served)
        return OperationType.CHANGE, version, f"changing from {served} to {version}"
    if cluster.needs_repair:
        return OperationType.REPAIR, version, cluster.needs_repair
    if cluster.drift and (told or not info.compares_settings):
        return OperationType.CHANGE, version, cluster.drift[0]
    # Compared only while a rollout moves the child: a later Atoll may write the same wish in other words.
    moving = child.revision != child.done_revision and info.upgrades
    if moving and authentication is not None and is_to_change(authentication, cluster.authentication):
        return OperationType.CHANGE, version, "changing how people log in (spec.authentication)"
    return None


def _need_to_go_back(child: ChildCluster, view: ChildView, served: Version) -> tuple[OperationType, str, str] | None:
    """Revert only whom a rollout has sent back: a spec out of a backup may be older than its cluster, too."""
    if RETURN_MARK not in child.revision:
        return None
    point = view.cluster.revert_point
    cost = f": {point.message}" if point is not None else ""
    return OperationType.REVERT, str(child.version), f"going back from {served} to {child.version}{cost}"


def _lost(child: ChildCluster, view: ChildView) -> str:
    if view.cluster.presence is not Presence.ABSENT or child.meta.deleting or not child.cluster_uid:
        return ""
    return (
        f"its cluster (UID {child.cluster_uid}) is gone and Atoll did not remove it. Bring it back, or take member "
        f"{child.member_name} out of ClusterSet {child.set_name} with confirmRemoval and add it again for an empty one."
    )


def _still_matters(current: OperationStatus, child: ChildCluster, view: ChildView) -> bool:
    """Say whether a failed operation still tells the truth although nothing needs doing."""
    return current.type is OperationType.CHANGE and not child.version.is_satisfied_by(
        Version.parse(view.cluster.version or str(child.version))
    )


def _is_same_try(current: OperationStatus, child: ChildCluster, kind: OperationType, to_version: str) -> bool:
    return current.type is kind and current.to_version == to_version and current.rollout == child.rollout


def _retry_time(child: ChildCluster, current: OperationStatus) -> datetime | None:
    """Say when a failed operation is tried again; a failed change waits for a person or the rollout."""
    if current.type in {OperationType.CHANGE, OperationType.REVERT}:
        return None
    failures = sum(1 for entry in child.history if entry.get("result") == "Failed")
    pause = min(RETRY_SECONDS * 2 ** min(failures, 10), RETRY_LIMIT_SECONDS)
    return current.started_time + timedelta(seconds=pause)


def to_operation(status: OperationStatus) -> Operation:
    """Return what a provider needs to know of an intent."""
    return Operation(id=status.id, type=status.type, to_version=status.to_version, from_version=status.from_version)
