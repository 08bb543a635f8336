"""What looks after one object for as long as it is there: a task that is poked, stopped, and must not die."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from atoll.ports import Body

from .context import Context

View = TypeVar("View")


class Worker(ABC, Generic[View]):
    """Looks at one object again and again until it is stopped."""

    what: ClassVar[str]
    """What its task is called."""

    def __init__(
        self,
        context: Context,
        fleet: str,
        name: str,
        *,
        body: Callable[[], Body | None],
        publish: Callable[[str, View], None],
    ) -> None:
        """`body` returns the object as it stands now; `publish` takes what was seen."""
        self._context = context
        self._fleet = fleet
        self._name = name
        self._body = body
        self._publish = publish
        self._poke = asyncio.Event()
        # It begins at the loop's next turn: by then the subclass has set up what is its own.
        self._task = asyncio.create_task(self._run(), name=f"{self.what} {fleet}/{name}")

    def poke(self) -> None:
        """Look soon."""
        self._poke.set()

    async def stop(self) -> None:
        """Stop looking."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def failed(self) -> bool:
        """Whether the worker has died, which is a bug."""
        return self._task.done() and not self._task.cancelled()

    async def _poked_within(self, seconds: float) -> bool:
        """Wait until somebody pokes, at most so long; say whether somebody did."""
        try:
            async with asyncio.timeout(seconds):
                await self._poke.wait()
        except TimeoutError:
            return False
        return True

    @abstractmethod
    async def _run(self) -> None: ...
