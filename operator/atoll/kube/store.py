"""The one module that writes to API servers.

Wire format is plain JSON: typed models drop fields that they do not know, and importing them takes 1.5 s. Writes are
server-side applies with one field manager per concern; callers compare first (`compare.py`), because even an apply that
changes nothing costs the API server 4 to 7 ms.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, NoReturn, Self

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt
from tenacity.wait import wait_random_exponential

from atoll.errors import Refused, Retryable, Throttled, Unreachable
from atoll.ports import Body

from .answers import build_error, parse_body
from .compare import differences
from .connect import Connection
from .kinds import SERVICE_ACCOUNT, Kind, kind_of, url_path
from .transport import TOTAL_SECONDS, HttpTransport, Request, Response, Transport

Propagation = Literal["Background", "Foreground", "Orphan"]

PAGE_SIZE: Final = 500
PAGES_LIMIT: Final = 100
"""A server that always has one more page would fill our memory."""
READ_TRIES: Final = 3
WRITE_TRIES: Final = 3
RETRY_DELAY_LIMIT: Final = 2.0
"""Longer delays that a server asks for are the caller's to plan."""
MANAGER: Final = "atoll"
"""Field manager of writes that name no other."""
_JSON: Final = MappingProxyType({"Content-Type": "application/json"})
_APPLY: Final = MappingProxyType({"Content-Type": "application/apply-patch+yaml"})
_MERGE: Final = MappingProxyType({"Content-Type": "application/merge-patch+json"})


class Store:
    """One API server, read and written as plain dicts. Close it."""

    def __init__(
        self,
        connection: Connection,
        *,
        transport: Transport | None = None,
        concurrency: int = 10,
        seconds: float = TOTAL_SECONDS,
        backoff_seconds: float = 0.2,
    ) -> None:
        """`seconds` is the time-out of each request; a `transport` that is handed in is closed by whoever made it."""
        self.connection = connection
        self._to_close: HttpTransport | None = None
        if transport is None:
            transport = self._to_close = HttpTransport(connection)
        self._transport: Transport = transport
        self._slots = asyncio.Semaphore(concurrency)
        self._seconds = seconds
        self._backoff = wait_random_exponential(multiplier=backoff_seconds, max=2.0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections that this store has opened."""
        if self._to_close is not None:
            await self._to_close.close()

    async def get(self, kind: Kind, namespace: str | None, name: str) -> Body | None:
        """Return one object; None when it is not there."""
        request = self._request("GET", url_path(kind, namespace, name))
        response = await self._read(request)
        return None if response.status == 404 else _object(parse_body(request, response))

    async def list(
        self, kind: Kind, namespace: str | None = None, labels: str = "", *, missing_ok: bool = False
    ) -> tuple[Body, ...]:
        """Return all objects that a label selector selects, from one consistent moment.

        A server that does not know the kind raises Refused: an unknown kind must not read as "there are none", unless
        `missing_ok` says that it may.
        """
        for _ in range(2):
            found = await self._list_pages(kind, namespace, labels, missing_ok=missing_ok)
            if found is not None:
                return found
        raise Unreachable(f"the list of {kind.plural} changed faster than it could be read")

    async def count(self, kind: Kind, namespace: str | None = None) -> int:
        """Return how many objects there are without fetching them; raises Refused for an unknown kind."""
        request = self._request("GET", url_path(kind, namespace), query=(("limit", "1"),))
        response = await self._read(request)
        body = parse_body(request, response) if response.status != 404 else _raise_unknown(kind)
        remaining = (body.get("metadata") or {}).get("remainingItemCount") or 0
        return len(body.get("items") or ()) + int(remaining)

    async def create(self, body: Mapping[str, Any], *, manager: str = MANAGER) -> Body:
        """Create an object, at most once; raises Conflict when there is one of that name.

        After Unreachable nobody knows whether it was created: look before trying again.
        """
        kind, namespace, _ = _place(body)
        request = self._request(
            "POST", url_path(kind, namespace), query=(("fieldManager", manager),), headers=_JSON, body=body
        )
        return await self._write(request, tries=1)

    async def apply(
        self,
        body: Mapping[str, Any],
        manager: str = MANAGER,
        *,
        subresource: str = "",
        force: bool = True,
        dry_run: bool = False,
    ) -> Body:
        """Server-side apply: make the object hold exactly the fields of `body`, as far as `manager` is concerned.

        `metadata.resourceVersion` and `metadata.uid` in the body are preconditions (Conflict).
        """
        kind, namespace, name = _place(body)
        request = self._request(
            "PATCH",
            url_path(kind, namespace, name, subresource),
            query=(
                ("fieldManager", manager),
                ("force", "true" if force else "false"),
                *((("dryRun", "All"),) if dry_run else ()),
            ),
            headers=_APPLY,
            body=body,
        )
        return await self._write(request, tries=WRITE_TRIES)

    async def apply_if_changed(
        self,
        body: Mapping[str, Any],
        observed: Mapping[str, Any] | None,
        manager: str = MANAGER,
        *,
        subresource: str = "",
    ) -> Body | None:
        """Apply unless `observed` already holds it; return the new object, None when nothing was written."""
        if observed is not None and not differences(body, observed, manager=manager, subresource=subresource):
            return None
        return await self.apply(body, manager, subresource=subresource)

    async def patch_merge(
        self, kind: Kind, namespace: str | None, name: str, patch: Mapping[str, Any], manager: str = MANAGER
    ) -> Body:
        """Merge-patch: only for fields that somebody else owns (an annotation that a person set). Tried once."""
        request = self._request(
            "PATCH",
            url_path(kind, namespace, name),
            query=(("fieldManager", manager),),
            headers=_MERGE,
            body=patch,
        )
        return await self._write(request, tries=1)

    async def delete(
        self,
        kind: Kind,
        namespace: str | None,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> bool:
        """Delete exactly the object with this UID; False when it is not there, Conflict when another has its name."""
        if not uid:
            raise Refused(f"{kind.kind} `{name}` is not deleted without its UID: read it first")
        preconditions = {"uid": uid} | ({"resourceVersion": resource_version} if resource_version else {})
        request = self._request(
            "DELETE",
            url_path(kind, namespace, name),
            headers=_JSON,
            body={
                "apiVersion": "v1",
                "kind": "DeleteOptions",
                "preconditions": preconditions,
                "propagationPolicy": propagation,
            },
        )
        response = await self._send(request, tries=WRITE_TRIES)
        if response.status == 404:
            return False
        parse_body(request, response)
        return True

    async def create_token(
        self, namespace: str, service_account: str, *, seconds: int, audiences: Sequence[str] = ()
    ) -> tuple[str, str]:
        """Ask for a token of a ServiceAccount; return it (secret) and its expiration time."""
        spec: dict[str, Any] = {"expirationSeconds": seconds}
        if audiences:
            spec["audiences"] = tuple(audiences)
        request = self._request(
            "POST",
            url_path(SERVICE_ACCOUNT, namespace, service_account, "token"),
            headers=_JSON,
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec},
        )
        status = (await self._write(request, tries=1)).get("status") or {}
        if not status.get("token"):
            raise Unreachable(f"the token request for {namespace}/{service_account} was answered without a token")
        return str(status["token"]), str(status.get("expirationTimestamp", ""))

    async def who_am_i(self) -> tuple[str, tuple[str, ...]]:
        """Return the user name and the groups that the server takes us for."""
        request = self._request(
            "POST",
            "/apis/authentication.k8s.io/v1/selfsubjectreviews",
            headers=_JSON,
            body={"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"},
        )
        status = (await self._write(request, tries=WRITE_TRIES)).get("status")
        user = status.get("userInfo") if isinstance(status, dict) else None
        if not isinstance(user, dict) or not isinstance(user.get("groups", []), list):
            return "", ()
        return str(user.get("username") or ""), tuple(str(group) for group in user.get("groups", []))

    async def raw_get(self, path: str) -> tuple[int, str]:
        """Ask for `/version`, `/readyz` and the like; return status and text, whatever they are."""
        response = await self._send(self._request("GET", path), tries=READ_TRIES, check=False)
        return response.status, response.body.decode("utf-8", "replace")

    async def _list_pages(
        self, kind: Kind, namespace: str | None, labels: str, *, missing_ok: bool
    ) -> tuple[Body, ...] | None:
        """Return all pages, None when the server forgot the snapshot between two of them."""
        items: list[Body] = []
        start = ""
        for _ in range(PAGES_LIMIT):
            query = [("limit", str(PAGE_SIZE))]
            query += [("labelSelector", labels)] if labels else []
            query += [("continue", start)] if start else []
            request = self._request("GET", url_path(kind, namespace), query=tuple(query))
            response = await self._read(request)
            if response.status == 404:
                return () if missing_ok else _raise_unknown(kind)
            if response.status == 410:
                return None
            body = parse_body(request, response)
            items += _items(kind, body)
            start = (body.get("metadata") or {}).get("continue") or ""
            if not start:
                return tuple(items)
        raise Refused(f"there are more than {PAGES_LIMIT * PAGE_SIZE} {kind.plural}; Atoll reads no longer lists")

    def _request(
        self,
        method: str,
        path: str,
        *,
        query: tuple[tuple[str, str], ...] = (),
        headers: Mapping[str, str] = MappingProxyType({}),
        body: Mapping[str, Any] | None = None,
    ) -> Request:
        content = b"" if body is None else json.dumps(body, separators=(",", ":"), default=_plain).encode()
        return Request(method=method, path=path, query=query, headers=headers, body=content, seconds=self._seconds)

    async def _read(self, request: Request) -> Response:
        return await self._send(request, tries=READ_TRIES)

    async def _write(self, request: Request, *, tries: int) -> Body:
        return _object(parse_body(request, await self._send(request, tries=tries)))

    async def _send(self, request: Request, *, tries: int, check: bool = True) -> Response:
        """Send, again after no answer; an answered request of a read also after "later" with a short delay."""
        reading = request.method == "GET"
        retrying = AsyncRetrying(
            stop=stop_after_attempt(tries),
            wait=self._wait,
            retry=retry_if_exception(lambda error: _may_retry(error, reading=reading)),
            reraise=True,
        )
        async for attempt in retrying:
            with attempt:
                async with self._slots:
                    response = await self._transport.send(request)
                if check and (response.status == 429 or response.status >= 500):
                    raise build_error(request, response)
                return response
        raise AssertionError("tenacity neither returned nor raised")

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.delay if isinstance(error, Throttled) else 0.0
        return asked + self._backoff(state)


def _may_retry(error: BaseException, *, reading: bool) -> bool:
    if isinstance(error, Throttled):
        return reading and error.delay <= RETRY_DELAY_LIMIT
    return isinstance(error, Unreachable) or (reading and isinstance(error, Retryable))


def _place(body: Mapping[str, Any]) -> tuple[Kind, str | None, str]:
    kind = kind_of(body)
    metadata = body.get("metadata") or {}
    return kind, metadata.get("namespace"), str(metadata.get("name") or "")


def _items(kind: Kind, body: Body) -> Iterator[Body]:
    """Yield the objects of a list, with the two fields that lists of built-in kinds leave out of their items."""
    for item in body.get("items") or ():
        if not isinstance(item, dict):
            raise Unreachable(f"the list of {kind.plural} holds something that is no object; is that an API server?")
        yield _object({**item, "apiVersion": kind.api_version, "kind": kind.kind})


def _object(body: Body) -> Body:
    """Return a body whose `metadata` may be relied upon: a child's server may say anything."""
    if not isinstance(body.get("metadata"), dict):
        raise Unreachable("the answer holds something that is no object; is that an API server?")
    return body


def _raise_unknown(kind: Kind) -> NoReturn:
    raise Refused(
        f"this server does not know {kind.plural} of {kind.api_version}; is the CRD or the API version there?"
    )


def _plain(value: object) -> object:
    """Let frozen twins of JSON data (mapping proxies) be written as what they stand for."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
