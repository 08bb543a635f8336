"""What one API server has: its kinds, their objects' metadata, single objects."""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from atoll.errors import Unreachable

from . import pki
from .drill_compare import Kind, Listing, Mark, parse_kinds, parse_marks
from .layout import Layout
from .probe import Answer, Connection, build_tls_context

TIMEOUT_SECONDS: Final = 30.0
ATTEMPTS: Final = 3
PAUSE_SECONDS: Final = 0.5
PAGE: Final = 500
BUSY: Final = frozenset({429, 500, 502, 503, 504})

JSON: Final = "application/json"
METADATA: Final = f"{JSON};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
DISCOVERY: Final = f"{JSON};g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
API_SERVICES: Final = "/apis/apiregistration.k8s.io/v1/apiservices"


class Reader:
    """Reads from one API server as Atoll, on one connection at a time: `async with Reader(...) as reader`."""

    def __init__(self, layout: Layout, port: int, name: str) -> None:
        """`name`: what messages call it."""
        self._context = build_tls_context(layout.authority(pki.CLUSTER_AUTHORITY), layout.identity(pki.ATOLL))
        self._port = port
        self._name = name
        self._open = contextlib.AsyncExitStack()
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def get(self, path: str, *, accept: str = JSON, allowed: frozenset[int] = frozenset()) -> Answer:
        """Get one thing; Unreachable when there is no answer but errors, other than the `allowed` ones."""
        answer = await self._ask(path, accept)
        if answer.ok or answer.status in allowed:
            return answer
        why = answer.json().get("message", "")
        raise Unreachable(f"{self._name} answered {answer.status} to {path.partition('?')[0]}: {why}")

    async def _ask(self, path: str, accept: str) -> Answer:
        for _ in range(ATTEMPTS - 1):
            with contextlib.suppress(Unreachable):
                answer = await self._ask_once(path, accept)
                if answer.status not in BUSY:
                    return answer
            await asyncio.sleep(PAUSE_SECONDS)
        return await self._ask_once(path, accept)

    async def _ask_once(self, path: str, accept: str) -> Answer:
        if self._connection is None:
            connection = Connection(self._port, self._context, timeout_seconds=TIMEOUT_SECONDS)
            self._connection = await self._open.enter_async_context(connection)
        try:
            return await self._connection.ask(path, accept=accept)
        except Unreachable:
            # Half an answer may still come in; the next question shall not read it.
            self._connection = None
            await self._open.aclose()
            raise


async def observe_kinds(reader: Reader) -> tuple[Kind, ...]:
    """See whose objects this API server stores and lists."""
    core = await reader.get("/api", accept=DISCOVERY)
    groups = await reader.get("/apis", accept=DISCOVERY)
    services = (await reader.get(API_SERVICES)).json().get("items") or ()
    elsewhere = {item["metadata"]["name"] for item in services if item["spec"].get("service")}
    return parse_kinds(core.json(), groups.json(), elsewhere)


async def observe_listing(reader: Reader, kind: Kind, revision: int) -> Listing | None:
    """List the metadata of all objects of a kind as of a revision, or of now where that is forgotten; None: no kind."""
    path = f"{kind.root}/{kind.resource}?limit={PAGE}"
    for exact, begin in ((True, f"&resourceVersion={revision}&resourceVersionMatch=Exact"), (False, "")):
        marks: list[Mark] = []
        more = begin
        while True:
            answer = await reader.get(path + more, accept=METADATA, allowed=frozenset({404, 405, 410}))
            if answer.status in {404, 405}:
                return None
            if answer.status == 410:
                break
            body = answer.json()
            marks += parse_marks(body.get("items") or ())
            if not (token := body.get("metadata", {}).get("continue")):
                return Listing(marks=tuple(marks), exact=exact)
            more = f"&continue={quote(token, safe='')}"
    raise Unreachable(f"{kind} changes faster than it can be listed: try again later")


async def observe_object(reader: Reader, kind: Kind, mark: Mark) -> dict[str, Any] | None:
    """Read one object as it is now; None: there is none of this name."""
    where = f"/namespaces/{mark.namespace}" if mark.namespace else ""
    path = f"{kind.root}{where}/{kind.resource}/{quote(mark.name, safe='')}"
    answer = await reader.get(path, allowed=frozenset({404}))
    return answer.json() if answer.ok else None
