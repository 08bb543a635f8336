"""What a look before the change says: nothing is moved that has not been looked at a moment ago."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from atoll.fleet.observed import ChildView
from atoll.fleet.values import Version

FRESH: Final = timedelta(minutes=10)
"""How old a clean look may be when the change begins."""
AGAIN: Final = timedelta(seconds=60)
"""When a cluster with something in the way is looked at again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What is known of a cluster before its next hop."""

    finding: str = ""
    """What is in the way, and the remedy."""
    clear: bool = False
    """It was looked at, and nothing is in the way."""
    fresh: bool = False
    wanted: bool = False
    """It has to be looked at (again)."""
    wake: datetime | None = None


def inspect_child(view: ChildView | None, rollout: str, version: Version, now: datetime) -> Inspection:
    """Say what the latest look found, and whether another one is due."""
    run = view.preflight if view is not None else None
    if run is None or run.rollout != rollout or run.version != version:
        return Inspection(wanted=True)
    age = now - run.time
    if not run.findings:
        return Inspection(clear=True, fresh=age < FRESH)
    more = f" (and {len(run.findings) - 1} more)" if len(run.findings) > 1 else ""
    return Inspection(
        finding=f"{run.findings[0].message}{more}", wanted=age >= AGAIN, wake=run.time + AGAIN if age < AGAIN else None
    )
