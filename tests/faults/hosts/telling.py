"""How scenarios are run and told one by one, whatever becomes of them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import psutil

from tests.e2e.hosts.rig import RigFailure

from .scenario import Outcome

TOLD: Final = (AssertionError, RigFailure, LookupError, ValueError, psutil.Error, subprocess.SubprocessError)
"""What a scenario may fail with; anything else is a bug of the lane."""


class Telling:
    """Collects outcomes and says each at once."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.say = say
        self.outcomes: list[Outcome] = []

    @contextmanager
    def scenario(self, name: str, *, begin: float = 0.0) -> Iterator[Outcome]:
        """Time what happens inside, or since `begin`; what is raised there is told, and not raised further."""
        outcome = Outcome(name=name, seconds=0.0)
        begin = begin or time.monotonic()
        try:
            yield outcome
        except TOLD as error:
            # One scenario that fails must not keep the others from being tried.
            outcome.wrong = f"{type(error).__name__}: {error}"
        outcome.seconds = time.monotonic() - begin
        self.outcomes.append(outcome)
        self.say(show(outcome))

    @property
    def failed(self) -> tuple[Outcome, ...]:
        """List what did not hold."""
        return tuple(outcome for outcome in self.outcomes if outcome.wrong)


def show(outcome: Outcome) -> str:
    """Return an outcome as one line, and what went wrong below it."""
    notes = "".join(f", {key} {value}" for key, value in outcome.notes.items())
    line = f"{outcome.name:<26} {'FAILED' if outcome.wrong else 'held':<6} {outcome.seconds:6.1f} s{notes}"
    return f"{line}\n    {outcome.wrong[:4000]}" if outcome.wrong else line
