"""The accounts of a cloud that are open: each login with a budget of its own, and the threads in which SDKs block."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, Generic, TypeVar

from atoll.errors import Unreachable

from .budget import Budget
from .calling import THREADS, Caller, Translate
from .cloud import Cloud, Connection, SeenT
from .surroundings import Declared

CALL_LIMIT_SECONDS: Final = 600.0
"""How long one look or call may take with all its attempts."""

T = TypeVar("T")


@dataclass(slots=True)
class Account(Generic[SeenT]):
    """One account that is open, with one login."""

    budget: Budget
    connection: Connection[SeenT]


class Accounts(Generic[SeenT]):
    """The accounts of one cloud, opened when they are first asked for."""

    def __init__(
        self, cloud: Cloud[SeenT], translate: Translate, *, slowest: float, count: Callable[[str, str], None]
    ) -> None:
        """`slowest`: calls per second that an account is asked at least; `count` is told of each call."""
        self._cloud = cloud
        self._translate = translate
        self._slowest = slowest
        self._count = count
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=cloud.info.name)
        self._open: dict[tuple[str, bytes], Account[SeenT]] = {}

    def connect(self, declared: Declared) -> Connection[SeenT]:
        """Return the open connection of the account; another login may be another account."""
        key = (self._cloud.identify(declared), _digest(declared))
        if key not in self._open:
            budget = Budget(least=self._slowest)
            caller = Caller(budget, self._translate, count=self._count)
            self._open[key] = Account(budget=budget, connection=self._cloud.connect(declared, caller))
        return self._open[key].connection

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run what blocks in a thread; Unreachable when it takes too long."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CALL_LIMIT_SECONDS):
                return await loop.run_in_executor(self._threads, lambda: function(*arguments))
        except TimeoutError:
            name = self._cloud.info.name
            raise Unreachable(f"{name} did not answer within {CALL_LIMIT_SECONDS:g} s") from None

    def stop(self) -> None:
        """Let nobody call any more, and nobody wait for a turn."""
        for account in self._open.values():
            account.budget.close()

    def close(self) -> None:
        """Let go of threads and connections; a call under way may fail."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for account in self._open.values():
            account.connection.close()
        self._open.clear()


def _digest(declared: Declared) -> bytes:
    """Tell logins apart without keeping them."""
    parts = [declared.endpoint, *(f"{key}\0{value}" for key, value in sorted(declared.credentials.items()))]
    return sha256("\0\0".join(parts).encode()).digest()
