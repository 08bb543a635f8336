"""What comes next with the agent pools of a cluster: one at a time, those that are too many last. Pure."""

from __future__ import annotations

from atoll.ports import OperationType
from atoll.providers.managed.moves import Fail, Move

from .bodies import build_pool_properties, change_pool, find_pool_drift
from .seen import GIVEN_UP, NONE_SAID, SeenCluster, SeenPool, parse_number
from .settings import Pool
from .work import (
    DELETE_POOL,
    IF_MISSING,
    MOST_ATTEMPTS,
    PUT_POOL,
    Work,
    find_pool,
    is_hopeless,
    match,
    tell_failure,
)


def plan_pools(work: Work, seen: SeenCluster) -> Move | None:
    """Decide what comes next with the pools; None: they are as they shall be."""
    there = {pool.name: pool for pool in seen.pools}
    for done, pool in enumerate(work.settings.pools, start=2):
        found = there.get(pool.name)
        move = _plan_missing(work, seen, pool, done) if found is None else _plan_pool(work, seen, found, pool, done)
        if move is not None:
            return move
    if work.operation.type is OperationType.REPAIR:
        return None
    for found in sorted(seen.pools, key=lambda pool: pool.name):
        if find_pool(work.settings.pools, found.name) is None:
            step = f"remove agent pool {found.name}, which is not declared any more"
            return work.call(DELETE_POOL, step, work.total - 2, agent_pool_name=found.name, **match(found.etag))
    return None


def _plan_missing(work: Work, seen: SeenCluster, pool: Pool, done: int) -> Move:
    properties = build_pool_properties(pool, seen.version, work.pool_marks(1))
    return work.call(
        PUT_POOL,
        f"create agent pool {pool.name}",
        done,
        agent_pool_name=pool.name,
        parameters={"properties": properties},
        match=IF_MISSING,
    )


def _plan_pool(work: Work, seen: SeenCluster, found: SeenPool, pool: Pool, done: int) -> Move | None:
    attempts = work.count_attempts(found.tags)
    if found.state in GIVEN_UP:
        if attempts >= MOST_ATTEMPTS or (attempts and is_hopeless(found.error)):
            return Fail(message=tell_failure(f"Azure could not bring agent pool {pool.name} to that", found.error))
        step = f"send agent pool {pool.name} again: it was left {found.state} ({found.error or NONE_SAID})"
        return _send(work, found, pool, step, done, attempt=attempts + 1)
    if find_pool_drift(found, pool):
        step = f"bring agent pool {pool.name} to what is declared"
        return _send(work, found, pool, step, done, attempt=max(attempts, 1))
    if work.moves_version and _is_behind(found, seen):
        step = f"upgrade agent pool {pool.name} from v{found.version} to v{seen.version}"
        return _send(work, found, pool, step, done, attempt=max(attempts, 1), version=seen.version)
    return None


def _send(work: Work, found: SeenPool, pool: Pool, step: str, done: int, *, attempt: int, version: str = "") -> Move:
    properties = change_pool(found, pool, version=version, tags=work.pool_marks(attempt))
    return work.call(
        PUT_POOL,
        step,
        done,
        agent_pool_name=pool.name,
        parameters={"properties": properties},
        **match(found.etag),
    )


def _is_behind(found: SeenPool, seen: SeenCluster) -> bool:
    """Say whether a pool is older than the control plane; newer it can never be."""
    own, served = parse_number(found.version), parse_number(seen.version)
    return own is not None and served is not None and own < served
