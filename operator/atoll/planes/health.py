"""Is the API server well, and which one is it?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import psutil

from atoll.errors import Unreachable

from . import pki
from .layout import Layout
from .probe import TIMEOUT_SECONDS, Connection, build_tls_context
from .steering import PROBE_ADDRESS
from .values import RunningProcess

POLL_SECONDS: Final = 0.05
GOOD_ANSWERS: Final = 3
"""So many in a row, each on a connection of its own, before we believe it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What the API server said of itself."""

    version: str
    ready: bool
    message: str = ""


def connect_as_atoll(
    layout: Layout, port: int, *, timeout_seconds: float = TIMEOUT_SECONDS, source: str | None = None
) -> Connection:
    """Open a connection to the API server with Atoll's own identity."""
    context = build_tls_context(layout.authority(pki.CLUSTER_AUTHORITY), layout.identity(pki.ATOLL))
    return Connection(port, context, timeout_seconds=timeout_seconds, source=source)


async def observe_health(layout: Layout, port: int) -> Health:
    """Ask for version and readiness on one connection; Unreachable when nobody answers."""
    async with connect_as_atoll(layout, port) as connection:
        return await ask_health(connection)


async def ask_health(connection: Connection) -> Health:
    """Ask for version and readiness on this connection."""
    version = await connection.ask("/version")
    if not version.ok:
        return Health(version="", ready=False, message=f"/version answered {version.status}")
    ready = await connection.ask("/readyz")
    failed = [line for line in ready.body.decode(errors="replace").splitlines() if line.startswith("[-]")]
    message = "" if ready.ok else f"/readyz answered {ready.status}: {'; '.join(failed)[:300]}"
    return Health(version=str(version.json().get("gitVersion", "")), ready=ready.ok, message=message)


async def is_process_ready(layout: Layout, port: int, process: RunningProcess) -> bool:
    """Tell whether this very API server is ready, though another may listen on the same port.

    False also when the connection went to the other one.
    """
    async with connect_as_atoll(layout, port, source=probe_source()) as connection:
        if not is_held_by(process, connection.local_address):
            return False
        health = await ask_health(connection)
    return health.ready and health.version == process.version


def is_held_by(process: RunningProcess, address: tuple[str, int]) -> bool:
    """Tell whether the other end of a connection of ours is in this process."""
    try:
        connections = psutil.Process(process.pid).net_connections("tcp4")
    except psutil.Error:
        return False
    return any(tuple(entry.raddr) == address for entry in connections)


def probe_source() -> str | None:
    """Return where probes come from: only Linux lets us use all of 127.0.0.0/8 unasked."""
    return PROBE_ADDRESS if psutil.LINUX else None


async def wait_for(
    question: Callable[[], Awaitable[bool]], what: str, *, limit_seconds: float, good_answers: int = 1, why: str = ""
) -> None:
    """Ask until the answer was yes `good_answers` times in a row; Unreachable after the limit."""
    loop = asyncio.get_running_loop()
    end = loop.time() + limit_seconds
    good, last = 0, why
    while True:
        try:
            good = good + 1 if await question() else 0
        except Unreachable as error:
            good, last = 0, str(error)
        if good >= good_answers:
            return
        if loop.time() >= end:
            raise Unreachable(f"{what} within {limit_seconds:.0f} s{': ' + last if last else ''}")
        await asyncio.sleep(POLL_SECONDS)
