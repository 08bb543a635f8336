"""What goes wrong in a stand-in cloud, on command."""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

How = Literal[
    "throttled",  # told to come back later, with Retry-After
    "unavailable",  # 503
    "error",  # 500
    "cut",  # the work is done, and the connection closed without an answer
    "lost",  # the connection is closed before anything is done
    "hang",  # no answer for long, and nothing is done
    "denied",  # a permission is missing: names action and resource as the cloud does
    "quota",
    "conflict",  # another operation is under way
    "invalid",
    "broken",  # accepted, and ends in the cloud's state of failure
]
HOWS: Final[tuple[How, ...]] = get_args(How)


@dataclass
class Faults:
    """How a cloud behaves. May be changed at any time from any thread."""

    latency_seconds: float = 0
    """How long each call takes."""
    throttle_every: int = 0
    """2: every second call is throttled, whatever it is; 0: none."""
    retry_after_seconds: float = 0.2
    hidden_seconds: float = 0
    """After a create, reads answer "not found" for so long."""
    seconds: float = 0.3
    """How long creating, updating and deleting take."""
    page_size: int = 2
    """The most that one page of a list holds."""
    hang_seconds: float = 600
    _planned: dict[str, deque[How]] = field(default_factory=lambda: defaultdict(deque), repr=False)
    _count: int = field(default=0, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def fail(self, call: str, how: How, times: int = 1) -> None:
        """Let the next `times` calls of that name end in `how`; `*` is any call."""
        if how not in HOWS:
            raise ValueError(f"{how!r} is none of {', '.join(HOWS)}")
        with self._lock:
            self._planned[call].extend([how] * times)

    def take(self, call: str) -> How | None:
        """Count one call and return how it shall fail; what was planned comes before steady throttling."""
        with self._lock:
            for name in (call, "*"):
                if self._planned[name]:
                    return self._planned[name].popleft()
            self._count += 1
            return "throttled" if self.throttle_every and self._count % self.throttle_every == 0 else None

    def clear(self) -> None:
        """Forget what was planned and did not happen."""
        with self._lock:
            self._planned.clear()

    @property
    def pending(self) -> dict[str, tuple[How, ...]]:
        """What was planned and has not happened yet."""
        with self._lock:
            return {name: tuple(hows) for name, hows in self._planned.items() if hows}
