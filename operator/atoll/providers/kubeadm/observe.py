"""What is there: each claimed host is looked at, and what they say is put together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from atoll.errors import AtollError, IdentityMismatch, Refused, Retryable
from atoll.fleet.authentication import NOTHING_DIGEST, digest_file
from atoll.fleet.cluster import ObservedCluster, Operation, OperationProgress, OperationState, OperationType, Presence
from atoll.fleet.values import Version
from atoll.hosts.access import HostAccess
from atoll.hosts.command import Fact, T
from atoll.hosts.jobs import Host

from . import facts, paths
from .documents import build_progress
from .networking import find_lost_routes
from .renewing import Certificates, are_old
from .surroundings import ClaimedHost
from .values import CONTROL_PLANE, ClusterRecord, OperationRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedHostView:
    """What one claimed host said."""

    node_name: str
    role: str
    silent: str = ""
    """Not empty: why it could not be asked."""
    is_ours: bool = False
    """The cluster owns it."""
    is_node: bool = False
    containerd: bool = True
    kubelet: bool = True
    kubelet_version: str = ""
    routes: tuple[str, ...] = ()
    api_version: str = ""
    cluster: ClusterRecord | None = None
    operation: OperationRecord | None = None
    certificates: Certificates | None = None
    authentication: str = ""
    """Digest of the file that says how people log in; empty: there is none."""


async def observe_hosts(
    cluster_id: str, claimed: Sequence[ClaimedHost], connect: Callable[[HostAccess], Host]
) -> tuple[ClaimedHostView, ...]:
    """Look at all hosts that a cluster has claimed, beside each other."""
    return tuple(await asyncio.gather(*(_observe_host(cluster_id, host, connect) for host in claimed)))


async def _observe_host(
    cluster_id: str, claimed: ClaimedHost, connect: Callable[[HostAccess], Host]
) -> ClaimedHostView:
    view = ClaimedHostView(node_name=claimed.node_name, role=claimed.role)
    try:
        host = connect(claimed.access)
        if await _ask(host, facts.OWNER) != cluster_id:
            return view
        view = await _observe_node(host, replace(view, is_ours=True))
        return await _observe_first(host, view) if claimed.role == CONTROL_PLANE else view
    except (Retryable, IdentityMismatch, Refused) as error:
        return replace(view, silent=str(error))
    except AtollError as error:
        return replace(view, silent=f"{claimed.node_name}: {error}")


async def _observe_node(host: Host, view: ClaimedHostView) -> ClaimedHostView:
    if await _ask(host, facts.MARK) is None:
        return view
    containerd, kubelet = (*await _ask(host, facts.SERVICES), False, False)[:2]
    return replace(
        view,
        is_node=True,
        containerd=containerd,
        kubelet=kubelet,
        kubelet_version=await _ask(host, facts.KUBELET_VERSION),
        routes=await _ask(host, facts.ROUTES),
    )


async def _observe_first(host: Host, view: ClaimedHostView) -> ClaimedHostView:
    return replace(
        view,
        cluster=await _ask(host, facts.CLUSTER),
        operation=await _ask(host, facts.OPERATION),
        api_version=await _ask(host, facts.API_VERSION),
        certificates=await _ask(host, facts.CERTIFICATES),
        authentication=await _ask(host, facts.AUTHENTICATION),
    )


async def _ask(host: Host, fact: Fact[T]) -> T:
    try:
        return await host.ask(fact)
    except ValueError as error:
        raise Retryable(f"host {host.name} could not tell ({fact.command.why}): {error}") from error


def summarise_views(
    views: Sequence[ClaimedHostView], running: Operation | None, told: OperationRecord | None, *, now: datetime
) -> ObservedCluster:
    """Put together what the hosts said.

    `running`: the operation that this process works on; `told`: how far it has come, or what an operation came to that
    could not be written down.
    """
    first = next((view for view in views if view.role == CONTROL_PLANE), None)
    if first is not None and first.silent:
        return ObservedCluster(
            presence=Presence.UNKNOWN, message=first.silent, operation=_progress(None, running, told)
        )
    written = first.operation if first is not None else None
    operation = _progress(written, running, told)
    silent = [view for view in views if view.silent]
    words = "; ".join(view.silent for view in silent)
    if not any(view.is_ours for view in views):
        if running is not None:
            return ObservedCluster(presence=Presence.PARTIAL, operation=operation, message=words)
        if silent:
            return ObservedCluster(presence=Presence.UNKNOWN, operation=operation, message=words)
        return ObservedCluster(presence=Presence.ABSENT, operation=operation)
    record = first.cluster if first is not None else None
    deleting = operation is not None and operation.type is OperationType.DELETE
    endpoint = f"https://{record.endpoint}" if record is not None else ""
    if first is None or record is None or not record.created or deleting:
        return ObservedCluster(presence=Presence.PARTIAL, endpoint=endpoint, operation=operation, message=words)
    moving = operation is not None and operation.is_open
    return ObservedCluster(
        presence=Presence.PRESENT,
        version=choose_version(views, record),
        endpoint=endpoint,
        needs_repair="" if moving else describe_missing(views, record),
        operation=operation,
        certificates_expire_time=first.certificates.first_end if first.certificates is not None else None,
        drift=() if moving else describe_drift(views, record, operation, now),
        authentication="" if first.authentication == NOTHING_DIGEST else first.authentication,
        message=words,
    )


def choose_version(views: Sequence[ClaimedHostView], record: ClusterRecord) -> str:
    """Return the oldest version that runs anywhere: a cluster has come to a version when all of it has."""
    found = [text for view in views if view.is_node for text in (view.kubelet_version, view.api_version) if text]
    if any(view.silent for view in views):
        # Who cannot be asked is as old as at the end of the last operation.
        found.append(record.version)
    return str(min((Version.parse(text) for text in found), default=Version.parse(record.version)))


def describe_missing(views: Sequence[ClaimedHostView], record: ClusterRecord) -> str:
    """Say what is down and can be started again; empty when nothing is."""
    missing = []
    for view in views:
        if not view.is_node or view.silent:
            continue
        if not view.containerd:
            missing.append(f"containerd of {view.node_name} is not running")
        if not view.kubelet:
            what = " (nobody looks after kube-apiserver there)" if view.role == CONTROL_PLANE else ""
            missing.append(f"the kubelet of {view.node_name} is not running{what}")
        if record.bridge and (lost := find_lost_routes(view.node_name, record.nodes, view.routes)):
            missing.append(f"{view.node_name} has lost its routes to {', '.join(lost)}")
    return f"{'; '.join(missing)}: a repair starts what is missing" if missing else ""


def describe_drift(
    views: Sequence[ClaimedHostView], record: ClusterRecord, operation: OperationProgress | None, now: datetime
) -> tuple[str, ...]:
    """Say what differs from what the last operation left behind, and a change mends."""
    drift = [
        f"host {view.node_name} is claimed and is no node yet: a change lets it join"
        for view in views
        if not view.is_node and not view.silent
    ]
    drift += [
        f"certificates of {view.node_name} end on {view.certificates.until:%Y-%m-%d}: a change renews them"
        for view in views
        if view.certificates is not None and are_old(view.certificates, now)
    ]
    failed_hop = (
        operation is not None and operation.type is OperationType.CHANGE and operation.state is OperationState.FAILED
    )
    if not failed_hop:
        drift += [
            f"the kubelet of {view.node_name} is {view.kubelet_version} and the cluster {record.version}: "
            "a change puts the right one back"
            for view in views
            if view.is_node and view.kubelet_version and view.kubelet_version != record.version
        ]
        drift += [
            f"{paths.AUTHENTICATION} of {view.node_name} is gone or was changed by hand: a change writes it again"
            for view in views
            if view.cluster is not None
            and record.authentication
            and view.authentication != digest_file(record.authentication)
        ]
    return tuple(drift)


def _progress(
    written: OperationRecord | None, running: Operation | None, told: OperationRecord | None
) -> OperationProgress | None:
    """Say how far the latest operation has come."""
    if running is not None and told is not None:
        return build_progress(told, OperationState.RUNNING)
    if told is not None:
        return build_progress(told, told.state)
    if written is None:
        return None
    state = OperationState.INTERRUPTED if written.state is OperationState.RUNNING else written.state
    return build_progress(written, state)
