"""The life of a host: from the pool into a cluster, and back when it is proven clean.

The claim (`Host.spec.claim`) says whose the host is meant to be; the journal on the host says whose it is. A host goes
back only when its cluster is gone *and* a look that was taken afterwards finds nothing of it. The state is derived anew
each time, so a crash forgets nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from atoll.fleet import reasons
from atoll.fleet.cluster import OperationType, Presence
from atoll.fleet.hosts import Host, HostJudgement, HostPool, HostState, HostView
from atoll.fleet.observed import ChildCluster, ChildView
from atoll.fleet.spec import DeletionPolicy

from .probe import judge_probe


def judge_host(
    host: Host,
    pool: HostPool | None,
    view: HostView | None,
    *,
    child: ChildCluster | None,
    child_view: ChildView | None,
    twins: Sequence[str] = (),
    written: datetime | None = None,
) -> HostJudgement:
    """Say where a host stands.

    `child`: the ChildCluster that its claim names, if it exists. `twins`: other hosts with the same machine-id.
    `written`: when this process last wrote the host's status.
    """
    if pool is None or pool.host(host.host_name) is None:
        where = f"HostPool {host.pool_name}" if pool is not None else f"HostPool {host.pool_name}, which is gone,"
        message = f"{where} no longer lists it; it goes when its cluster lets go of it"
        state = HostState.IN_USE if host.claim is not None else HostState.QUARANTINED
        return _judge(host, state, reasons.DETACHED, message)
    if view is None:
        return _judge(host, host.state or HostState.PROBING, reasons.PROGRESSING, "it is being probed", known=False)
    if view.refused is not None:
        reason, message = view.refused
        return _judge(host, HostState.QUARANTINED, reason, message)
    if view.facts is None:
        state = HostState.PROBING if host.claim is None else host.state or HostState.CLAIMED
        return _judge(host, state, reasons.UNREACHABLE, view.unreachable, known=False)
    if host.claim is None:
        return _judge_free(host, pool, view, twins)
    if child is not None:
        return _judge_claimed(host, view, child, child_view)
    return _judge_left(host, view, written)


def _judge_free(host: Host, pool: HostPool, view: HostView, twins: Sequence[str]) -> HostJudgement:
    assert view.facts is not None
    if twins:
        message = (
            f"its machine-id is that of {', '.join(twins)}: they are clones. Remove /etc/machine-id on each of them, "
            "run systemd-machine-id-setup and restart them."
        )
        return _judge(host, HostState.QUARANTINED, reasons.CLONED, message)
    findings = judge_probe(view.facts, pool)
    if findings:
        message = "; ".join(finding.message.rstrip(".") for finding in findings)
        return _judge(host, HostState.QUARANTINED, findings[0].reason, message)
    return _judge(host, HostState.AVAILABLE, reasons.AVAILABLE, "", usable=True)


def _judge_claimed(host: Host, view: HostView, child: ChildCluster, child_view: ChildView | None) -> HostJudgement:
    """Follow the long work of the cluster that has claimed the host."""
    assert view.facts is not None
    assert host.claim is not None
    stranger = view.facts.owner_id
    if stranger and stranger != host.claim.cluster_id:
        message = (
            f"cluster {view.facts.owner_name or stranger} (id {stranger}) has it, says the journal on the host, and "
            f"{child.name} has claimed it. Nothing is done there. Free it, or take it out of the pool."
        )
        return _judge(host, HostState.QUARANTINED, reasons.TAKEN, message)
    operation = child.operation
    if child.meta.deleting and child.deletion_policy is not DeletionPolicy.DELETE:
        return _judge(host, HostState.IN_USE, reasons.DELETING, f"{child.name} is let go of and goes on running")
    if child.meta.deleting or (operation is not None and operation.type is OperationType.DELETE):
        draining = operation is None or not stranger or operation.step.lower().startswith("drain")
        state = HostState.DRAINING if draining and stranger else HostState.CLEANING
        return _judge(host, state, reasons.DELETING, f"{child.name} is being deleted")
    if operation is not None and operation.type is OperationType.CREATE:
        return _judge(host, HostState.PREPARING, reasons.CREATING, f"{child.name}: {operation.step}".rstrip(": "))
    there = child_view is not None and child_view.cluster.presence is Presence.PRESENT
    if stranger and (there or host.state is HostState.IN_USE):
        return _judge(host, HostState.IN_USE, reasons.IN_USE, child.name, usable=True)
    return _judge(host, HostState.CLAIMED, reasons.HOSTS_CLAIMED, f"{child.name} has claimed it")


def _judge_left(host: Host, view: HostView, written: datetime | None) -> HostJudgement:
    """Its cluster's object is gone: prove it clean, or say who still is on it."""
    assert view.facts is not None
    assert host.claim is not None
    if view.facts.owner_id:
        message = (
            f"cluster {view.facts.owner_name or view.facts.owner_id} goes on running here, although its object is gone "
            "(deletionPolicy Orphan). To get the host back, run `kubeadm reset` there and remove /var/lib/atoll."
        )
        return _judge(host, HostState.IN_USE, reasons.ORPHANED, message)
    if view.facts.leftovers:
        named = ", ".join(view.facts.leftovers[:5])
        message = f"its cluster is gone and has left {named}. Run `kubeadm reset` there and remove what remains."
        return _judge(host, HostState.CLEANING, reasons.LEFTOVERS, message)
    # What was seen before the cluster went proves nothing: the state is written first, and then looked at once more.
    proven = host.state is HostState.CLEANING and (written is None or view.time > written)
    return _judge(host, HostState.CLEANING, reasons.CLEANING, "its cluster is gone", release=proven)


def _judge(
    host: Host,
    state: HostState,
    reason: str,
    message: str,
    *,
    usable: bool = False,
    known: bool = True,
    release: bool = False,
) -> HostJudgement:
    return HostJudgement(
        host=host.name, state=state, reason=reason, message=message, usable=usable, known=known, release=release
    )
