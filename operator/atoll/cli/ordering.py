"""Writing what people tell a rollout: the one field, unless somebody wrote the object meanwhile; then look again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

from atoll.errors import Conflict
from atoll.kube.kinds import CLUSTER_SET, ROLLOUT, kind_of
from atoll.kube.store import Store
from atoll.ports import Body

from .approving import MANAGER
from .live import open_store, read_bodies
from .options import Target
from .rollout_choice import choose_rollout, read_set_name
from .rollout_orders import Order, plan_abort, plan_pause, plan_resume, plan_retry
from .why_model import find_body

TRIES: Final = 8
"""The operator writes the status of a running rollout up to once a second, and each write moves its version."""


async def ask_order(target: Target, verb: str, name: str) -> Order:
    """Look what a verb would come to, and write nothing."""
    async with open_store(target) as store:
        return await _look(store, target, verb, name)


async def give_order(target: Target, verb: str, name: str) -> tuple[Body, str]:
    """Write what a verb comes to; return the object as it stands afterwards, and what to tell people."""
    async with open_store(target) as store:
        for tries_left in reversed(range(TRIES)):
            order = await _look(store, target, verb, name)
            metadata = order.body["metadata"]
            if order.patch is None:
                return dict(order.body), order.told
            patch = {**order.patch, "metadata": {"resourceVersion": metadata["resourceVersion"]}}
            try:
                written = await store.patch_merge(
                    kind_of(order.body), metadata["namespace"], metadata["name"], patch, MANAGER
                )
            except Conflict:
                if not tries_left:
                    raise
                await asyncio.sleep(0.1)
            else:
                return written, order.told
    raise AssertionError("the last try neither returned nor raised")


async def _look(store: Store, target: Target, verb: str, name: str) -> Order:
    bodies = await read_bodies(store, target.namespace, (ROLLOUT, CLUSTER_SET))
    if verb == "retry":
        return plan_retry(name, bodies, target.namespace)
    rollout = choose_rollout(name, bodies, target.namespace)
    planners: Mapping[str, Callable[[], Order]] = {
        "pause": lambda: plan_pause(rollout),
        "resume": lambda: plan_resume(rollout, find_body(bodies, "ClusterSet", read_set_name(rollout))),
        "abort": lambda: plan_abort(rollout),
    }
    return planners[verb]()
