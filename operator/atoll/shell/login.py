"""How kopf's own watches log in: with the same credentials as the store, through a session of ours."""

from __future__ import annotations

from typing import Final

import aiohttp
import kopf

from atoll.kube.connect import Connection
from atoll.kube.transport import user_agent

WATCH_CONNECTIONS: Final = 50
"""kopf itself sets no limit; a cold start would open one connection per object."""


class Login:
    """Makes sessions for kopf; a second call means that the first one was refused, and asks for fresh credentials."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._asked = False

    async def __call__(self) -> kopf.AiohttpSession:
        """Return a new session."""
        login = await self._connection.credentials.current(renew=self._asked)
        self._asked = True
        headers = {"User-Agent": user_agent()}
        if login.token:
            headers["Authorization"] = f"Bearer {login.token}"
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=WATCH_CONNECTIONS, ssl=login.tls), headers=headers
        )
        return kopf.AiohttpSession(server=self._connection.server, aiohttp_session=session)
