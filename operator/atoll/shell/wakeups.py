"""When a fleet is decided about next: soon after an event, or at a moment that the last decision named."""

from __future__ import annotations

import asyncio
from datetime import datetime

from atoll.ports import Clock


class Wakeup:
    """One sleeper that events and deadlines wake; any number of calls is one waking."""

    def __init__(self, clock: Clock, *, debounce: float, limit: float) -> None:
        self._clock = clock
        self._event = asyncio.Event()
        self._debounce = debounce
        self._limit = limit

    def wake(self) -> None:
        """Wake the sleeper soon."""
        self._event.set()

    async def sleep_until(self, deadline: datetime | None, *, work: float = 0.0) -> None:
        """Sleep until somebody wakes us or the deadline has come; then gather what else comes in a short while.

        `work`: seconds of CPU that the last decision took. Gathering lasts as long at least, so that a large fleet in
        which much happens is not decided about all the time, with none left for carrying out what was decided.
        """
        seconds = None
        if deadline is not None:
            seconds = max(0.0, (deadline - self._clock.now()).total_seconds())
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return
        loop = asyncio.get_running_loop()
        debounce, latest = max(self._debounce, work), loop.time() + max(self._limit, 2 * work)
        while loop.time() < latest:
            self._event.clear()
            try:
                async with asyncio.timeout(min(debounce, max(0.0, latest - loop.time()))):
                    await self._event.wait()
            except TimeoutError:
                break
        self._event.clear()
