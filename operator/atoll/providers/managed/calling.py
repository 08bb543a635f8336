"""One call of a cloud's SDK: within the budget, with its errors in our words, and again where that can do no harm."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Final, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from atoll.errors import DEFAULT_DELAY_SECONDS, AtollError, Retryable, Throttled

from .budget import Budget

THREADS: Final = 32
"""How many calls of one cloud may be under way at once; SDKs keep as many connections."""
READ_ATTEMPTS: Final = 4
THROTTLED_ATTEMPTS: Final = 8
"""Who was throttled was not heard: even a call that changes something may be made again."""
FIRST_PAUSE_SECONDS: Final = 0.5
LONGEST_PAUSE_SECONDS: Final = 30.0
CHANGES_KNOWN: Final = 1000
"""How many of the latest calls that change something are remembered."""

Answer = TypeVar("Answer")
Translate = Callable[[Exception, str, str], AtollError]
"""Turns an error of the SDK into ours: (error, call, subject). Bugs of ours are raised as they are."""


class Caller:
    """Makes the calls of one account. Used from threads."""

    def __init__(
        self, budget: Budget, translate: Translate, *, count: Callable[[str, str], None] = lambda _call, _result: None
    ) -> None:
        """`count` is told of each call by name, with `ok` or the reason of its error."""
        self._budget = budget
        self._translate = translate
        self._count = count
        self._changes = 0
        self._changed: deque[str] = deque(maxlen=CHANGES_KNOWN)
        self._lock = threading.Lock()

    @property
    def changes(self) -> int:
        """How many calls that change something have been begun."""
        return self._changes

    def has_changed(self, name: str, since: int) -> bool:
        """Say whether such a call has been begun after the first `since`, with `name` in its subject between slashes.

        True also where there were too many to tell.
        """
        with self._lock:
            new = self._changes - since
            subjects = list(islice(reversed(self._changed), new))
        return len(subjects) < new or any(name in subject.split("/") for subject in subjects)

    def read(self, name: str, subject: str, function: Callable[[], Answer]) -> Answer:
        """Make a call that changes nothing, again when it failed for a reason that may pass."""
        return self._retry(name, subject, function, lambda error: isinstance(error, Retryable), READ_ATTEMPTS)

    def write(self, name: str, subject: str, function: Callable[[], Answer]) -> Answer:
        """Make a call that changes something: once, however it ends, but when the cloud did not listen."""
        with self._lock:
            self._changes += 1
            self._changed.append(subject)
        return self._retry(name, subject, function, lambda error: isinstance(error, Throttled), THROTTLED_ATTEMPTS)

    def _retry(
        self,
        name: str,
        subject: str,
        function: Callable[[], Answer],
        may_pass: Callable[[BaseException], bool],
        attempts: int,
    ) -> Answer:
        retrying = Retrying(
            retry=retry_if_exception(may_pass),
            stop=stop_after_attempt(attempts),
            wait=choose_pause,
            sleep=self._budget.pause,
            reraise=True,
        )
        answer: Answer = retrying(self._call, name, subject, function)
        return answer

    def _call(self, name: str, subject: str, function: Callable[[], Answer]) -> Answer:
        self._budget.take()
        try:
            answer = function()
        except Exception as error:
            told = error if isinstance(error, AtollError) else self._translate(error, name, subject)
            self._count(name, told.reason)
            if isinstance(told, Throttled):
                self._budget.slow_down(told.delay)
            if told is error:
                raise
            # What the SDK's error carries (requests, headers) may hold a secret: nobody shall print it with ours.
            raise told from None
        self._count(name, "ok")
        self._budget.praise()
        return answer


def choose_pause(state: RetryCallState) -> float:
    """Return seconds until the next attempt: what the cloud asked for, or ever longer, and never all at once."""
    error = state.outcome.exception() if state.outcome is not None else None
    asked = error.delay if isinstance(error, Throttled) else 0.0
    longest = min(LONGEST_PAUSE_SECONDS, (asked or FIRST_PAUSE_SECONDS) * 2.0 ** (state.attempt_number - 1))
    return asked + random.uniform(0, longest)  # noqa: S311 - spreads calls, keeps no secret


def read_delay(*said: object, otherwise: float = DEFAULT_DELAY_SECONDS) -> float:
    """Return the seconds that a cloud asks to wait: the first number in what it said, in headers or details."""
    for text in said:
        try:
            return max(0.0, float(str(text)))
        except ValueError:
            continue
    return otherwise
