"""How a check ends: what `verify` and `verify_nodes` share."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from atoll.errors import AtollError, Refused, Retryable

PASSED: Final = "Passed"
FAILED: Final = "Failed"
UNKNOWN: Final = "Unknown"
SKIPPED: Final = "Skipped"
"""There was nothing to prove, or what is lacking is no fault of the cluster; the message says what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckResult:
    """One verification check."""

    check: str
    result: str
    """Passed | Failed | Unknown | Skipped."""
    message: str
    """What was seen, and what to do when it failed."""
    seconds: float


Verdict = tuple[str, str]
"""(result, message)."""


async def time_check(check: str, ask: Callable[[], Awaitable[Verdict]]) -> CheckResult:
    """Run one check; whatever goes wrong becomes its result."""
    started = time.monotonic()
    try:
        result, message = await ask()
    except Retryable as error:
        result, message = UNKNOWN, f"could not be asked: {error}"
    except Refused as error:
        result, message = FAILED, str(error)
    except (AtollError, AttributeError, KeyError, TypeError, ValueError) as error:
        result, message = UNKNOWN, f"could not be judged: {type(error).__name__}: {error}"
    return CheckResult(check=check, result=result, message=message, seconds=round(time.monotonic() - started, 3))
