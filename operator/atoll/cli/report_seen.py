"""Looking into the children for a report: with the kubeconfigs that Atoll published, reading only."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from atoll.errors import AtollError
from atoll.kube.kinds import SECRET
from atoll.kube.kubeconfigs import read_secret, secret_name
from atoll.kube.member import MemberClient
from atoll.kube.store import Store
from atoll.kube.together import Together

from .report_index import Body, Seen

AT_ONCE: Final = 16
"""Children that are asked side by side."""


async def observe_children(store: Store, namespace: str, bodies: Sequence[Body]) -> dict[str, Seen]:
    """Ask each ChildCluster of a fleet what stands in it; one that gives no answer says why and holds up no other."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def look(body: Body) -> Seen:
        async with slots:
            try:
                return await _observe(store, namespace, body)
            except AtollError as error:
                return Seen(reason=str(error))

    children = {str(body["metadata"]["name"]): body for body in bodies if body["kind"] == "ChildCluster"}
    async with Together() as together:
        tasks = {name: together.start(look(body)) for name, body in children.items()}
    return {name: task.result() for name, task in tasks.items()}


async def _observe(store: Store, namespace: str, body: Body) -> Seen:
    """Observe one child; what another cluster shows is no evidence, so its identity must be the pinned one."""
    name = str(body["metadata"]["name"])
    pinned = str((body.get("spec") or {}).get("clusterUID") or "")
    if not pinned:
        return Seen(reason="its identity is not pinned yet")
    secret = await store.get(SECRET, namespace, secret_name(name))
    if secret is None:
        return Seen(reason="no kubeconfig is published for it yet")
    async with MemberClient(read_secret(secret), people=True) as member:
        view = await member.observe()
    if view.cluster_uid != pinned:
        return Seen(reason=f"what answers there is cluster {view.cluster_uid} and not the pinned {pinned}")
    return Seen(objects=view.objects)
