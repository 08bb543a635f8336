"""Callers that use a child the way its tenants do, each call on a new connection, and count what fails."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Final

from atoll.errors import AtollError
from atoll.kube.connect import Connection
from atoll.kube.credentials import TlsContexts
from atoll.kube.kinds import CONFIG_MAP, url_path
from atoll.kube.transport import HttpTransport, Request

PAUSE_SECONDS: Final = 0.1
CALL_SECONDS: Final = 10.0


@dataclass(slots=True)
class Count:
    """What one caller has seen."""

    calls: int = 0
    failed: int = 0
    first_failure: str = ""


class Caller:
    """Lists a tenant's ConfigMaps in a loop until it is stopped."""

    def __init__(self, kubeconfig: str, namespace: str, contexts: TlsContexts) -> None:
        self.count = Count()
        self._connection = Connection.from_kubeconfig(kubeconfig, contexts=contexts)
        self._path = url_path(CONFIG_MAP, namespace)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Caller:
        self._task = asyncio.create_task(self._loop())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _loop(self) -> None:
        while True:
            await self._call()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _call(self) -> None:
        """Call once, on a connection of its own: a kept one would not notice that a port was gone for a moment."""
        transport = HttpTransport(self._connection)
        request = Request(method="GET", path=self._path, seconds=CALL_SECONDS)
        trouble = ""
        try:
            response = await transport.send(request)
            if response.status != 200:
                trouble = f"HTTP {response.status}"
        except AtollError as error:
            trouble = str(error)
        finally:
            await transport.close()
        self.count.calls += 1
        if trouble:
            self.count.failed += 1
            self.count.first_failure = self.count.first_failure or trouble
