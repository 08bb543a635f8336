"""Reading fleets from a management cluster."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from atoll.errors import BadInput
from atoll.kube.connect import Connection
from atoll.kube.kinds import ATOLL_KINDS, Kind
from atoll.kube.store import Store
from atoll.kube.together import Together
from atoll.ports import Body

from .options import Target

FLEET_KINDS: Final = ATOLL_KINDS
"""What a fleet is made of."""


def read_connection(target: Target) -> Connection:
    """Read the kubeconfig that is meant; raises BadInput when there is none."""
    path = target.kubeconfig
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise BadInput(
            f"no kubeconfig can be read at {path} ({error.strerror}). Start a management plane with `atoll up`, or "
            "name another file with --kubeconfig"
        ) from error
    # The file is the user's own, as it is for kubectl: plug-ins and paths in it may be used.
    return Connection.from_kubeconfig(text, trusted=True, folder=Path(path).parent, context=target.context)


@asynccontextmanager
async def open_store(target: Target) -> AsyncIterator[Store]:
    """Open the management cluster, and close it afterwards."""
    store = Store(read_connection(target))
    try:
        yield store
    finally:
        await store.close()


async def read_bodies(store: Store, namespace: str, kinds: Sequence[Kind] = FLEET_KINDS) -> list[Body]:
    """Read the objects of one fleet, or of all when `namespace` is empty."""
    async with Together() as together:
        tasks = [together.start(store.list(kind, namespace or None)) for kind in kinds]
    return [body for task in tasks for body in task.result()]
