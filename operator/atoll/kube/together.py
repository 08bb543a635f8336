"""Work that is done side by side and fails as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

T = TypeVar("T")


class Together(asyncio.TaskGroup):
    """A task group whose first failure is raised as itself, so that callers catch our errors and no groups."""

    def start(self, work: Awaitable[T]) -> asyncio.Task[T]:
        """Begin one piece of work."""
        return self.create_task(_run(work))

    async def __aexit__(self, *details: Any) -> None:
        """Wait for all; on a failure stop the others first."""
        try:
            await super().__aexit__(*details)
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None


async def _run(work: Awaitable[T]) -> T:
    return await work
