"""The persistent shells of one host: lent out one by one, replaced when broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from .session import Shell
from .ssh import Link

SHELLS_PER_HOST: Final = 6
"""Below the ten sessions that sshd allows by default on one connection; a copy in progress needs one too."""
GREET_SECONDS: Final = 15.0
"""A login shell may read long profiles before it becomes ours."""


class Shells:
    """Lends the shells of one host. A waiting one does not keep others from asking."""

    def __init__(self, link: Link, limit: int = SHELLS_PER_HOST) -> None:
        self._link = link
        self._room = asyncio.Semaphore(limit)
        self._idle: list[Shell] = []

    @asynccontextmanager
    async def lend(self) -> AsyncIterator[Shell]:
        """Lend a shell; it comes back when its user left it usable."""
        async with self._room:
            shell = await self._find()
            try:
                yield shell
            finally:
                if shell.usable:
                    self._idle.append(shell)
                else:
                    shell.close()

    def close(self) -> None:
        """End the shells that nobody uses; those in use end with their connection."""
        while self._idle:
            self._idle.pop().close()

    async def _find(self) -> Shell:
        while self._idle:
            shell = self._idle.pop()
            if shell.usable:
                return shell
            shell.close()
        shell = Shell(await self._link.open(f"exec {self._link.shell}"), self._link.name)
        try:
            await shell.greet(GREET_SECONDS)
        except BaseException:
            shell.close()
            raise
        return shell
