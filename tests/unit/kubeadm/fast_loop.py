"""An event loop whose clock jumps to the next timer when nothing else is to be done: hours pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    loop: FastLoop

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        ready = super().select(0)
        if not ready:
            self.loop.ahead += timeout
        return ready


class FastLoop(asyncio.SelectorEventLoop):
    """Runs timers without waiting for them."""

    def __init__(self) -> None:
        self.ahead = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return super().time() + self.ahead

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]
        """Do at once what would be done by a thread, for which the clock would not wait."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
            done.set_exception(error)
        return done


def run_fast(story: Coroutine[Any, Any, T]) -> T:
    """Run a story to its end on a loop of its own."""
    with asyncio.Runner(loop_factory=FastLoop) as runner:
        return runner.run(story)
