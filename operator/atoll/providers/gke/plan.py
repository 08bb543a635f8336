"""What comes next in an operation on a cluster of GKE, from nothing but what is there. Pure.

A cluster takes one operation at a time. So while GKE is at work there is nothing to decide, and each call changes one
thing; the next look decides anew. The last call of an operation writes all labels, its marks among them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from atoll.fleet.values import Version
from atoll.ports import Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import build_marks, is_finished, read_marks
from atoll.providers.managed.moves import Call, Done, Fail, Move, Wait

from .create import build_create
from .mends import mend_cluster, mend_removals, mend_rules, write_labels
from .pools import find_undeclared, mend_pool, tell_blocking_pool, upgrade_pool
from .seen import SeenCluster
from .settings import Place, Settings, parse_place, parse_settings
from .versions import check_hop, spell_version

MADE = 1
"""How many steps are behind a CREATE once there is a cluster."""


def plan_operation(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime) -> Move:
    """Decide what comes next; BadInput where the block or a label cannot be used."""
    kind = operation.type
    if kind in {OperationType.REVERT, OperationType.DRILL}:
        return Fail(message=f"GKE has no {kind}: it does not bring a cluster back")
    if kind is OperationType.DELETE:
        return plan_delete(parse_place(wanted.settings), seen)
    settings = parse_settings(wanted.settings)
    if seen is None:
        if kind is OperationType.CREATE:
            return replace(build_create(wanted, operation, settings, now), total=_count(settings, kind))
        return Fail(message=f"GKE has no cluster for {wanted.ref.name} any more: it was removed outside of Atoll")
    if is_finished(seen.tags, operation):
        return Done(total=_count(settings, kind))
    if seen.status == "ERROR":
        return _plan_unusable(settings, operation, seen)
    if seen.is_busy:
        return _wait(settings, operation, seen)
    return _plan_change(wanted, operation, settings, seen, now)


def plan_delete(place: Place, seen: SeenCluster | None) -> Move:
    """Remove a cluster; GKE removes its pools with it, and tries again by itself where something holds it up."""
    if seen is None:
        return Done(total=1)
    if seen.is_busy:
        step = "GKE removes the cluster" if seen.status == "STOPPING" else "wait for GKE's own work to end"
        return Wait(step=step, total=1, message=_tell_state(seen))
    return _delete(place, seen, "remove the cluster")


def _plan_unusable(settings: Settings, operation: Operation, seen: SeenCluster) -> Move:
    """Make a cluster anew that was never finished; never one that was."""
    marks = read_marks(seen.tags)
    if operation.type is OperationType.CREATE and marks is not None and marks.is_open:
        return _delete(settings.place, seen, "remove what GKE could not make")
    return Fail(
        message=f"GKE cannot use cluster {seen.name} any more ({seen.message or 'it does not say why'}). Ask Google's "
        "support, or take the member out with confirmRemoval and add it again for an empty one"
    )


def _plan_change(
    wanted: WantedCluster, operation: Operation, settings: Settings, seen: SeenCluster, now: datetime
) -> Move:
    kind, version = operation.type, Version.parse(wanted.version)
    if kind is not OperationType.REPAIR and (finding := check_hop(version, seen)):
        return Fail(message=finding.message)
    if kind is not OperationType.REPAIR and (blocked := tell_blocking_pool(settings, seen, version, wanted.ref.id)):
        return Fail(message=blocked)
    begun = MADE if kind is OperationType.CREATE else 0
    total = _count(settings, kind)
    for number, stage in enumerate(_list_stages(wanted, kind, version, settings, seen, now)):
        for call in stage:
            return replace(call, done=begun + number, total=total)
    if kind is OperationType.REPAIR and (wrong := tell_unhealthy(seen)):
        return Fail(message=f"{wrong}. GKE names what to do; Atoll has nothing more to try")
    marks = build_marks(wanted.ref, operation, total=total, finished=True)
    return replace(write_labels(settings, seen, wanted.labels, marks), done=total - 1, total=total)


def _list_stages(
    wanted: WantedCluster,
    kind: OperationType,
    version: Version,
    settings: Settings,
    seen: SeenCluster,
    now: datetime,
) -> tuple[Iterator[Call], ...]:
    """Return what is to be done, stage by stage, each of those calls that it still lacks."""
    owner, path = wanted.ref.id, settings.place.build_path(seen.name)
    pools = tuple(_mend_declared(settings, number, seen, version, owner, path) for number in range(len(settings.pools)))
    if kind is OperationType.REPAIR:
        return pools
    return (
        (mend.call for mend in mend_rules(settings, seen, owner, now)),
        _move_control_plane(settings, seen, version, owner, path),
        *pools,
        (mend.call for mend in mend_cluster(settings, seen)),
        (mend.call for mend in mend_removals(settings, seen, owner)),
    )


def _move_control_plane(
    settings: Settings, seen: SeenCluster, version: Version, owner: str, path: str
) -> Iterator[Call]:
    """Move it first, but never while a pool of ours has not followed its last minor version."""
    if version.is_satisfied_by(seen.served):
        return
    if version.minor != seen.served.minor:
        for number, wanted in enumerate(settings.pools):
            pool = seen.pool(wanted.name)
            if pool is not None and pool.is_minor_behind(seen.served):
                yield from _mend_declared(settings, number, seen, seen.served, owner, path)
        # What is not declared any more goes last, and must not hold up the hop until then.
        followers = (upgrade_pool(pool, seen, None, path) for pool in find_undeclared(settings, seen, owner))
        yield from (mend.call for mend in followers if mend is not None)
    arguments = {"name": path, "masterVersion": spell_version(str(version)), "channel": settings.channel.value}
    yield Call(name="update_master", arguments=arguments, step=f"bring the control plane to {version}")


def _mend_declared(
    settings: Settings, number: int, seen: SeenCluster, version: Version, owner: str, path: str
) -> Iterator[Call]:
    """Bring one declared pool to what is wanted: how it replaces nodes first, then its version, then its machines."""
    wanted = settings.pools[number]
    mends = tuple(mend_pool(wanted, settings, seen, owner, path))
    yield from (mend.call for mend in mends if "machineType" not in mend.call.arguments)
    pool = seen.pool(wanted.name)
    if pool is not None and (mend := upgrade_pool(pool, seen, version, path)):
        yield mend.call
    yield from (mend.call for mend in mends if "machineType" in mend.call.arguments)


def _count(settings: Settings, kind: OperationType) -> int:
    """Count the steps of an operation: its stages, its last call, and for a CREATE the making."""
    if kind is OperationType.DELETE:
        return 1
    if kind is OperationType.REPAIR:
        return len(settings.pools) + 1
    return len(settings.pools) + 5 + (MADE if kind is OperationType.CREATE else 0)


def _wait(settings: Settings, operation: Operation, seen: SeenCluster) -> Wait:
    step = {
        "PROVISIONING": "GKE makes the cluster",
        "STOPPING": "GKE removes a cluster of this name",
    }.get(seen.status, "GKE is at work on the cluster")
    return Wait(step=step, total=_count(settings, operation.type), message=_tell_state(seen))


def _tell_state(seen: SeenCluster) -> str:
    """Say what GKE itself says of its work."""
    told = [seen.message, *(f"node pool {pool.name}: {pool.message}" for pool in seen.pools if pool.message)]
    return "; ".join(text for text in told if text)


def _delete(place: Place, seen: SeenCluster, step: str) -> Call:
    return Call(name="delete_cluster", arguments={"name": place.build_path(seen.name)}, step=step, total=1)


def tell_unhealthy(seen: SeenCluster) -> str:
    """Say in a sentence what is down; empty: nothing."""
    if seen.status in {"ERROR", "DEGRADED"}:
        return f"GKE has the cluster in {seen.status}: {seen.message or 'it does not say why'}"
    for pool in seen.pools:
        if pool.status in {"ERROR", "RUNNING_WITH_ERROR"}:
            return f"GKE has node pool {pool.name} in {pool.status}: {pool.message or 'it does not say why'}"
    return ""
