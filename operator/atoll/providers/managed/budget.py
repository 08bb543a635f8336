"""How often an account's API may be asked: as often as it lets us, and less as soon as it says that it was too much.

Clouds count the calls of an account, whoever makes them. So the clusters of an account share one budget: it halves when
the cloud throttles, and grows slowly while it does not (as TCP does: additive increase, multiplicative decrease).
"""

from __future__ import annotations

import threading
import time
from typing import Final

from atoll.errors import Unreachable

FIRST_RATE: Final = 20.0
"""Calls per second."""
BURST: Final = 20
"""Calls that may be made at once after a rest."""
MOST_RATE: Final = 200.0
GROWTH: Final = 0.5
"""Calls per second that each answer adds."""


class Budget:
    """The calls of one account. Used from threads."""

    def __init__(self, rate: float = FIRST_RATE, *, least: float) -> None:
        """`rate`, `least`: calls per second at first, and when the cloud throttles all the time."""
        self._rate = rate
        self._least = least
        self._due = 0.0
        self._slowed = 0.0
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def rate(self) -> float:
        """Calls per second that are allowed now."""
        return self._rate

    def take(self) -> None:
        """Wait until the next call may be made; Unreachable once the budget is closed."""
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now - BURST / self._rate) + 1 / self._rate
            wait = self._due - now
        if self._closed.wait(wait) if wait > 0 else self._closed.is_set():
            raise Unreachable("the operator is ending")

    def praise(self) -> None:
        """Take notice of an answer."""
        with self._lock:
            self._rate = min(MOST_RATE, self._rate + GROWTH)

    def slow_down(self, seconds: float) -> None:
        """Take notice of a refusal: nobody calls for `seconds`, and then all call half as often."""
        with self._lock:
            now = time.monotonic()
            self._due = max(self._due, now + seconds)
            if now >= self._slowed:
                # The answers to calls that were under way together are one refusal.
                self._rate = max(self._least, self._rate / 2)
                self._slowed = now + max(seconds, 1 / self._rate)

    def pause(self, seconds: float) -> None:
        """Sleep, unless the budget is closed meanwhile, which raises Unreachable."""
        if self._closed.wait(seconds):
            raise Unreachable("the operator is ending")

    def close(self) -> None:
        """Let nobody call any more, and nobody wait."""
        self._closed.set()
