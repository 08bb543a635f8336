"""What comes next with a cluster of Azure: from what is there now, and nothing else. Pure.

Azure does one thing at a time to a cluster, so nothing is sent while it is at work. What it has failed at is sent once
more, unless its words say that this is no use; tags count how often. A cluster that never came to be is removed and
made anew by the next operation.
"""

from __future__ import annotations

from datetime import datetime

from atoll.ports import Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import OPERATION, is_finished, is_unfinished
from atoll.providers.managed.moves import Done, Fail, Move

from .bodies import build_cluster, change_cluster, find_cluster_drift
from .check import find_hop_problem
from .plan_pools import plan_pools
from .seen import CREATING, DELETING, GIVEN_UP, NONE_SAID, SeenCluster, parse_number
from .tags import find_tag_drift
from .work import (
    DELETE_CLUSTER,
    IF_MISSING,
    MOST_ATTEMPTS,
    PUT_CLUSTER,
    PUT_TAGS,
    Work,
    build_work,
    is_hopeless,
    match,
    tell_failure,
)


def plan(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, _now: datetime) -> Move:
    """Decide what comes next."""
    if operation.type in {OperationType.REVERT, OperationType.DRILL}:
        return Fail(message=f"AKS has no {operation.type}: no version of a cluster comes back there")
    work = build_work(wanted, operation)
    if operation.type is OperationType.DELETE:
        return _plan_delete(work, seen)
    if seen is None:
        return _plan_missing(work)
    if is_finished(seen.tags, operation):
        return Done(total=work.total)
    if operation.type is OperationType.CREATE and _is_stillborn(work, seen):
        return _plan_removal(work, seen)
    return _plan_what_is_there(work, seen)


def _plan_missing(work: Work) -> Move:
    if work.operation.type is not OperationType.CREATE:
        group = work.settings.place.group
        message = f"Azure has no cluster {work.name} in resource group {group}: somebody has removed it. "
        return Fail(message=f"{message}Delete the ChildCluster, or restore the cluster")
    wanted = work.wanted
    body = build_cluster(
        work.name,
        str(work.version).removeprefix("v"),
        work.settings,
        pod_cidr=wanted.pod_cidr,
        service_cidr=wanted.service_cidr,
        tags={**work.tags, **work.marks()},
    )
    return work.call(PUT_CLUSTER, "create the cluster", 0, parameters=body, match=IF_MISSING)


def _plan_delete(work: Work, seen: SeenCluster | None) -> Move:
    if seen is None:
        return Done(total=1)
    # Mostly something in the node resource group that others have put there, or that they hold on to.
    group = seen.properties.get("nodeResourceGroup") or "its node resource group"
    holds = (
        f"{seen.error}. Remove what that names, mostly in {group}; the deletion is tried again" if seen.error else ""
    )
    if seen.state == DELETING:
        return work.wait("delete the cluster", 0, f"Azure could not before: {holds}" if holds else "")
    if seen.is_busy:
        return work.wait("delete the cluster", 0, f"Azure is still at work: {seen.busy_with}")
    step = f"delete the cluster, which Azure has left {seen.state}: {holds}" if holds else "delete the cluster"
    return work.call(DELETE_CLUSTER, step, 0)


def _is_stillborn(work: Work, seen: SeenCluster) -> bool:
    """Say whether an earlier operation tried to make it, and it never came to be."""
    failed = seen.state in GIVEN_UP or seen.state == DELETING
    return failed and is_unfinished(seen.tags, OperationType.CREATE) and seen.tags.get(OPERATION) != work.operation.id


def _plan_removal(work: Work, seen: SeenCluster) -> Move:
    step = "remove what an earlier attempt has left"
    return work.wait(step, 0) if seen.is_busy else work.call(DELETE_CLUSTER, step, 0)


def _plan_what_is_there(work: Work, seen: SeenCluster) -> Move:
    if seen.state == DELETING:
        return Fail(message=f"Azure is deleting the cluster {work.name}: somebody else told it to")
    if seen.is_busy:
        creating = work.operation.type is OperationType.CREATE and seen.state == CREATING
        step = "create the cluster" if creating else "wait for Azure"
        return work.wait(step, 0, "" if creating else seen.busy_with)
    if seen.is_stopped:
        group = work.settings.place.group
        return Fail(message=f"the cluster is stopped: start it (az aks start -g {group} -n {work.name})")
    return _plan_settings(work, seen) or _plan_version(work, seen) or plan_pools(work, seen) or _plan_marks(work, seen)


def _plan_settings(work: Work, seen: SeenCluster) -> Move | None:
    attempts = work.count_attempts(seen.tags)
    if seen.state in GIVEN_UP:
        if attempts >= MOST_ATTEMPTS or (attempts and is_hopeless(seen.error)):
            return Fail(message=tell_failure(f"Azure could not {_name_task(work)}", seen.error))
        step = f"send the cluster's settings again: it was left {seen.state} ({seen.error or NONE_SAID})"
    elif find_cluster_drift(seen) or find_tag_drift(seen.tags, work.tags):
        step = "bring the cluster's settings to what is declared"
    else:
        return None
    attempt = attempts + 1 if seen.state in GIVEN_UP else max(attempts, 1)
    body = change_cluster(seen, work.merged(seen, attempt=attempt))
    return work.call(PUT_CLUSTER, step, 0, parameters=body, **match(seen.etag))


def _plan_version(work: Work, seen: SeenCluster) -> Move | None:
    served = parse_number(seen.version)
    if not work.moves_version or (served is not None and work.version.is_satisfied_by(served)):
        return None
    problem = find_hop_problem(work.version, served)
    if problem:
        return Fail(message=problem)
    body = change_cluster(
        seen,
        work.merged(seen, attempt=max(work.count_attempts(seen.tags), 1)),
        version=str(work.version).removeprefix("v"),
    )
    step = f"upgrade the control plane from {served} to {work.version}"
    return work.call(PUT_CLUSTER, step, 1, parameters=body, **match(seen.etag))


def _plan_marks(work: Work, seen: SeenCluster) -> Move:
    """Write down that all holds: the last call of every operation."""
    return work.call(
        PUT_TAGS,
        "mark the cluster as finished",
        work.total - 1,
        parameters={"tags": work.merged(seen, finished=True)},
        **match(seen.etag),
    )


def _name_task(work: Work) -> str:
    return {
        OperationType.CREATE: "create the cluster",
        OperationType.CHANGE: "change the cluster",
    }.get(work.operation.type, "repair the cluster")
