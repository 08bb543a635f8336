"""One TLS connection to a server on loopback, and questions on it.

A client library would not tell which connection a request took; here it matters, because two API servers may share a
port.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from atoll.errors import Unreachable

TIMEOUT_SECONDS: Final = 3.0
LIMIT_BYTES: Final = 4_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a server said."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """True for 2xx."""
        return 200 <= self.status < 300

    def json(self) -> dict[str, Any]:
        """Return the body as an object; empty when it is none."""
        try:
            value = json.loads(self.body)
        except ValueError:
            return {}
        return value if isinstance(value, dict) else {}


def build_tls_context(authority: Path, identity: Path) -> ssl.SSLContext:
    """Return a context that trusts one authority alone and shows one identity."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cafile=authority)
    context.load_cert_chain(identity)
    return context


class Connection:
    """A single connection: `async with Connection(...) as connection`."""

    def __init__(
        self,
        port: int,
        context: ssl.SSLContext,
        *,
        source: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._port = port
        self._context = context
        self._source = source
        self._timeout_seconds = timeout_seconds
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._reader, self._writer = await asyncio.open_connection(
                    "127.0.0.1",
                    self._port,
                    ssl=self._context,
                    limit=LIMIT_BYTES,
                    local_addr=(self._source, 0) if self._source else None,
                )
        except (TimeoutError, OSError) as error:
            raise unreachable(self._port, error) from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer:
            self._writer.transport.abort()
            # The loop closes the socket on its next turn.
            await asyncio.sleep(0)

    @property
    def local_address(self) -> tuple[str, int]:
        """Our end of the connection."""
        assert self._writer is not None, "used inside `async with` only"
        host, port = self._writer.get_extra_info("sockname")[:2]
        return str(host), int(port)

    async def ask(
        self, path: str, *, method: str = "GET", body: dict[str, Any] | None = None, accept: str = "application/json"
    ) -> Answer:
        """Send one request and read the answer; Unreachable when none comes in time."""
        assert self._reader is not None, "used inside `async with` only"
        assert self._writer is not None, "used inside `async with` only"
        content = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAccept: {accept}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(self._timeout_seconds):
                self._writer.write(head.encode() + content)
                await self._writer.drain()
                return await read_answer(self._reader)
        except (TimeoutError, OSError, EOFError, ValueError) as error:
            raise unreachable(self._port, error) from error


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """Read one HTTP/1.1 answer; ValueError or EOFError when it is none."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ", 2)[1])
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if headers.get("transfer-encoding", "").lower() == "chunked":
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readuntil(b"\r\n")
        return Answer(status=status, body=b"".join(parts))
    length = int(headers.get("content-length", "0"))
    return Answer(status=status, body=await reader.readexactly(length) if length else b"")


def unreachable(port: int, error: Exception) -> Unreachable:
    """Say that nobody answered, and why."""
    why = "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
    return Unreachable(f"127.0.0.1:{port} does not answer: {why}", delay=1.0)
