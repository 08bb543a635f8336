"""All hosts that this operator talks to: one connection for each, whoever uses it."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final

from .access import HostAccess
from .copying import Copier, Digests
from .execute import SshHost
from .journal import Launcher, Places, systemd_launcher
from .ssh import Keyring, Link, Patience

IDLE_SECONDS: Final = 300.0
CONNECTING_AT_ONCE: Final = 64
"""A handshake costs milliseconds of ours; silent hosts hold a place until they time out, so there are many places."""


class Connections:
    """Hands out hosts; equal ways to a host share one connection. Close it."""

    def __init__(
        self,
        *,
        patience: Patience | None = None,
        places: Places | None = None,
        launcher: Launcher = systemd_launcher,
        idle_seconds: float = IDLE_SECONDS,
        connecting_at_once: int = CONNECTING_AT_ONCE,
    ) -> None:
        self._patience = patience
        self._places = places
        self._launcher = launcher
        self._idle_seconds = idle_seconds
        self._gate = asyncio.Semaphore(connecting_at_once)
        self._keyring = Keyring()
        self._digests = Digests()
        self._hosts: dict[HostAccess, SshHost] = {}
        self._sweeper: asyncio.Task[None] | None = None

    def get(self, access: HostAccess) -> SshHost:
        """Return the host; nothing is sent to it before it is used. Needs a running event loop."""
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().create_task(self._sweep(), name="close idle hosts")
        host = self._hosts.get(access)
        if host is None:
            link = Link(access, self._keyring, self._gate, self._patience)
            host = SshHost(access, link, Copier(self._digests), places=self._places, launcher=self._launcher)
            self._hosts[access] = host
        return host

    async def close(self) -> None:
        """Cut all connections. Jobs on the hosts go on."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._sweeper
            self._sweeper = None
        hosts = list(self._hosts.values())
        self._hosts.clear()
        await asyncio.gather(*(host.close() for host in hosts))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._idle_seconds / 4)
            for access, host in list(self._hosts.items()):
                if host.idle_seconds >= self._idle_seconds:
                    # Taken out first: who asks meanwhile gets a new one, and a key that nobody uses is forgotten.
                    del self._hosts[access]
                    await host.close()
