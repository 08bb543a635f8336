"""Steps as people see them: a line each, with how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console


class Steps:
    """Prints a line when a step is done; on a terminal, a spinner until then."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._status = console.status("") if console.is_terminal else None

    def begin(self, name: str, text: str) -> None:
        """Show that a step is under way."""
        self._began = self._clock()
        if self._status is not None:
            self._status.update(f" {name:<12} {text}")
            self._status.start()

    def done(self, name: str, text: str) -> None:
        """Print the step with its seconds."""
        if self._status is not None:
            self._status.stop()
        took = f"{self._clock() - self._began:.1f} s"
        line = f" ✓ {name:<12} {text}"
        gap = " " * max(1, (self._console.width or 100) - len(line) - len(took) - 1)
        self._console.print(f"{line}{gap}{took}", highlight=False, markup=False, soft_wrap=True)

    def stop(self) -> None:
        """Take the spinner away."""
        if self._status is not None:
            self._status.stop()
