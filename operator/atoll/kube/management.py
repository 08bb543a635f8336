"""Installing our kinds and policies into a management plane."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, Final

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_fixed

from atoll.errors import Conflict, Throttled, Unreachable
from atoll.ports import Body

from .kinds import CUSTOM_RESOURCE_DEFINITION, NAMESPACE, kind_of
from .store import Store
from .together import Together

INSTALL_MANAGER: Final = "atoll-install"
ESTABLISH_SECONDS: Final = 30.0
FRESH_KIND_SECONDS: Final = 10.0
_FIRST: Final = (CUSTOM_RESOURCE_DEFINITION, NAMESPACE)


async def install(store: Store, bodies: Iterable[Mapping[str, Any]], *, manager: str = INSTALL_MANAGER) -> int:
    """Bring CRDs, then namespaces, then all else to what `bodies` say; return how many objects were written.

    CRDs are waited for, so that objects of their kinds may follow at once. Doing it again writes nothing.
    """
    waves: dict[int, list[Mapping[str, Any]]] = {}
    for body in bodies:
        kind = kind_of(body)
        waves.setdefault(_FIRST.index(kind) if kind in _FIRST else len(_FIRST), []).append(body)
    written = 0
    for _, wave in sorted(waves.items()):
        async with Together() as together:
            settled = [together.start(_settle_patiently(store, body, manager)) for body in wave]
        written += sum(task.result() for task in settled)
        async with Together() as together:
            for body in wave:
                if kind_of(body) == CUSTOM_RESOURCE_DEFINITION:
                    _ = together.start(wait_established(store, body["metadata"]["name"]))
    return written


async def wait_established(store: Store, name: str, *, fresh: bool = False, seconds: float = ESTABLISH_SECONDS) -> None:
    """Wait until a CRD is served; raises Conflict when its names clash, Unreachable when it takes too long.

    `fresh`: it was written just now, so applies of its kind may still be turned away.
    """
    waited = 0.0
    while True:
        found = await store.get(CUSTOM_RESOURCE_DEFINITION, None, name)
        conditions = {item.get("type"): item for item in ((found or {}).get("status") or {}).get("conditions") or ()}
        if conditions.get("NamesAccepted", {}).get("status") == "False":
            raise Conflict(f"CRD {name}: {conditions['NamesAccepted'].get('message', 'its names are taken')}")
        if conditions.get("Established", {}).get("status") == "True" and await _is_served(store, found or {}):
            return
        if waited >= seconds:
            raise Unreachable(f"CRD {name} was not established within {seconds:g} s")
        await asyncio.sleep(0.1)
        waited += 0.1


async def _is_served(store: Store, definition: Body) -> bool:
    """Say whether the collection answers: the API server does so some 100 ms after the condition is set."""
    spec = definition["spec"]
    served = [version["name"] for version in spec["versions"] if version.get("served")]
    results = [
        await store.raw_get(f"/apis/{spec['group']}/{version}/{spec['names']['plural']}?limit=1") for version in served
    ]
    return all(status != 404 for status, _ in results)


async def _settle_patiently(store: Store, body: Mapping[str, Any], manager: str) -> int:
    """Settle one object; an API server answers 503 for some moments after a kind is served, to applies alone."""
    retrying = AsyncRetrying(
        stop=stop_after_delay(FRESH_KIND_SECONDS),
        wait=wait_fixed(0.3),
        retry=retry_if_exception_type((Unreachable, Throttled)),
        reraise=True,
    )
    async for attempt in retrying:
        with attempt:
            return await _settle(store, body, manager)
    raise AssertionError("tenacity neither returned nor raised")


async def _settle(store: Store, body: Mapping[str, Any], manager: str) -> int:
    metadata = body["metadata"]
    observed = await store.get(kind_of(body), metadata.get("namespace"), metadata["name"])
    return 0 if await store.apply_if_changed(body, observed, manager) is None else 1
