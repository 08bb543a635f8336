"""One HTTP request and its answer, and the seam where tests can stand between us and the server.

We use aiohttp, which `kubernetes.aio` is made of, and not its client: importing anything below `kubernetes` costs 0.6
to 0.9 s, its REST layer builds one TLS context per client from key files that stay on disk, follows redirects and reads
answers of any size.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from yarl import URL

from atoll.errors import Refused, Unreachable

from .connect import Connection, is_forbidden_address
from .credentials import Login

_ALERT: Final = re.compile(r"\[SSL: (\w+)\]")
CONNECT_SECONDS: Final = 5.0
TOTAL_SECONDS: Final = 10.0
ANSWER_LIMIT_BYTES: Final = 32 * 1024 * 1024
"""A list of 16,000 of our objects; whoever sends more wants to fill our memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is asked of an API server. Credentials are not part of it."""

    method: str
    path: str
    """Already percent-encoded."""
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = field(default=b"", repr=False)
    seconds: float = TOTAL_SECONDS
    """Time-out for all of it, the answer's body included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What an API server answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in lower case."""
    body: bytes = field(default=b"", repr=False)


class Transport(Protocol):
    """Carries requests. A test may wrap the real one to count, delay, refuse, or die at each write."""

    async def send(self, request: Request) -> Response:
        """Return the answer, whatever its status; raises Unreachable for none, Refused for an unusable one."""
        ...


@cache
def user_agent() -> str:
    """Return how we name ourselves in audit logs."""
    return f"atoll/{version('atoll')}"


class HttpTransport:
    """Carries requests over TLS connections of its own. Close it."""

    def __init__(self, connection: Connection, *, answer_limit: int = ANSWER_LIMIT_BYTES) -> None:
        self._connection = connection
        self._answer_limit = answer_limit
        self._base = URL(connection.server)
        self._session: aiohttp.ClientSession | None = None

    async def send(self, request: Request) -> Response:
        """Send one request; a 401 is asked once more with renewed credentials, where those can be renewed."""
        credentials = self._connection.credentials
        response = await self._send(request, await credentials.current())
        if response.status == 401 and credentials.renewable:
            response = await self._send(request, await credentials.current(renew=True))
        return response

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(0)  # Transports that were aborted let go of their sockets in the next turn of the loop.

    async def _send(self, request: Request, login: Login) -> Response:
        server = self._connection.server
        headers = {"Accept": "application/json", **request.headers}
        if login.token:
            headers["Authorization"] = f"Bearer {login.token}"
        path = f"{request.path}?{urlencode(request.query)}" if request.query else request.path
        try:
            async with self._open().request(
                request.method,
                URL(f"{str(self._base).rstrip('/')}{path}", encoded=True),
                data=request.body or None,
                headers=headers,
                ssl=login.tls,
                server_hostname=self._connection.server_name or None,
                proxy=self._connection.proxy or None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=request.seconds, sock_connect=CONNECT_SECONDS),
            ) as answer:
                body = await self._read(answer)
                found = {name.lower(): value for name, value in answer.headers.items()}
                return Response(status=answer.status, headers=MappingProxyType(found), body=body)
        except TimeoutError as error:
            raise Unreachable(f"{server} gave no answer within {request.seconds:g} s") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Unreachable(
                f"{server} showed a certificate that the pinned authority does not vouch for: {error.certificate_error}"
            ) from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise Unreachable(f"{server}: TLS failed: {describe_tls(error)}") from error
        except aiohttp.ClientPayloadError as error:
            raise Unreachable(f"{server} cut off its answer") from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(f"{server} cannot be reached: {error.os_error.strerror or error.os_error}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{server} did not answer: {describe_tls(error)}") from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if 300 <= answer.status < 400 and answer.status != 304:
            raise Refused(
                f"{self._connection.server} answered {answer.status} and wants to send us elsewhere; redirects are not "
                "followed: put the real address of the API server into the kubeconfig"
            )
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused(f"{self._connection.server} sent a compressed answer that nobody asked for")
        parts: list[bytes] = []
        size = 0
        async for part in answer.content.iter_chunked(1 << 16):
            size += len(part)
            if size > self._answer_limit:
                raise Refused(f"{self._connection.server} sent an answer of more than {self._answer_limit} bytes")
            parts.append(part)
        return b"".join(parts)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    limit=0,
                    resolver=GuardedResolver(),
                    ttl_dns_cache=10,
                    # Older Pythons lose TLS connections whose peer says no goodbye; newer ones warn of this setting.
                    enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Compressed answers could be small on the wire and huge in memory, and cost both sides CPU.
                headers={"User-Agent": user_agent(), "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


def describe_tls(error: BaseException) -> str:
    """Return OpenSSL's reason for a failed connection, or else the kind of failure, in one line."""
    seen: BaseException | None = error
    while seen is not None:
        # aiohttp's own subclasses of SSLError come without a reason.
        if isinstance(seen, ssl.SSLError) and (reason := getattr(seen, "reason", None)):
            return str(reason)
        if (alert := _ALERT.search(str(seen))) is not None:  # aiohttp wraps late alerts as mere OSErrors.
            return alert.group(1)
        seen = getattr(seen, "os_error", None) or seen.__cause__ or seen.__context__
    return type(error).__name__


class GuardedResolver(AbstractResolver):
    """Resolves names, and refuses those that lead to addresses where cloud metadata services answer."""

    def __init__(self) -> None:
        self._inner = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the addresses of a host."""
        found = await self._inner.resolve(host, port, family)
        for result in found:
            if is_forbidden_address(ipaddress.ip_address(result["host"].partition("%")[0])):
                raise Refused(f"`{host}` resolves to {result['host']}, an address that no API server may have")
        return found

    async def close(self) -> None:
        """Let go of the resolver inside."""
        await self._inner.close()
