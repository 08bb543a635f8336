"""A caller that uses an API server on a new connection each time, and remembers every call that failed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from atoll.errors import AtollError
from atoll.kube.connect import Connection
from atoll.kube.credentials import TlsContexts
from atoll.kube.transport import HttpTransport, Request

PAUSE_SECONDS = 0.05


@dataclass
class Calls:
    """What a caller has seen."""

    calls: int = 0
    failures: list[str] = field(default_factory=list)


@contextmanager
def calling(kubeconfig: Path, path: str = "/api/v1/namespaces/default/configmaps") -> Iterator[Calls]:
    """Call `path` in a loop, in a thread of its own, until the block ends."""
    calls = Calls()
    stop = threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_loop(kubeconfig.read_text(), path, calls, stop)))
    thread.start()
    try:
        yield calls
    finally:
        stop.set()
        thread.join(30)


async def _loop(kubeconfig: str, path: str, calls: Calls, stop: threading.Event) -> None:
    connection = Connection.from_kubeconfig(kubeconfig, contexts=TlsContexts())
    while not stop.is_set():
        transport = HttpTransport(connection)
        try:
            response = await transport.send(Request(method="GET", path=path, seconds=10))
            if response.status != 200:
                calls.failures.append(f"HTTP {response.status}: {response.body[:200]!r}")
        except AtollError as error:
            calls.failures.append(str(error))
        finally:
            await transport.close()
        calls.calls += 1
        await asyncio.sleep(PAUSE_SECONDS)
