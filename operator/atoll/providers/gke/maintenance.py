"""When GKE may not upgrade by itself: one maintenance exclusion of ours beside the windows of others. Pure.

What GKE allows depends on the release channel. In a channel an exclusion may forbid minor upgrades and all upgrades of
nodes until the version's support ends. Outside of channels exclusions have no scope: they forbid everything, for 30
days at most, and 48 hours in any 32 days must stay open. So there ours lasts 29 days, and the next begins 3 days after
its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .settings import Channel

NAME: Final = "atoll"
LENGTH: Final = timedelta(days=29)
OPENING: Final = timedelta(days=3)
_OWN_FIELDS: Final = frozenset({"lastMinorVersionDisruptionTime", "lastDisruptionTime"})
"""Fields of the disruption budget that only GKE writes."""


def build_exclusion(channel: Channel, now: datetime) -> dict[str, Any]:
    """Return our exclusion as of today: the same the whole day, so that a call that is made again is the same call."""
    start = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if channel is Channel.OFF:
        return {
            "startTime": _write(start),
            "endTime": _write(start + LENGTH),
            "maintenanceExclusionOptions": {"scope": "NO_UPGRADES"},
        }
    return {
        "startTime": _write(start),
        "maintenanceExclusionOptions": {
            "scope": "NO_MINOR_OR_NODE_UPGRADES",
            "endTimeBehavior": "UNTIL_END_OF_SUPPORT",
        },
    }


def build_policy(present: Mapping[str, Any], channel: Channel, now: datetime) -> dict[str, Any]:
    """Return the whole maintenance policy with our exclusion anew: the API takes nothing less."""
    window = dict(present.get("window") or {})
    exclusions = {**(window.get("maintenanceExclusions") or {}), NAME: build_exclusion(channel, now)}
    policy: dict[str, Any] = {"window": {**window, "maintenanceExclusions": exclusions}}
    if version := present.get("resourceVersion"):
        policy["resourceVersion"] = version
    if budget := present.get("disruptionBudget"):
        policy["disruptionBudget"] = {key: value for key, value in budget.items() if key not in _OWN_FIELDS}
    return policy


def find_maintenance_drift(present: Mapping[str, Any], channel: Channel, now: datetime) -> str:
    """Say in a sentence why our exclusion has to be written anew; empty: it stands."""
    ours = ((present.get("window") or {}).get("maintenanceExclusions") or {}).get(NAME)
    if ours is None:
        return f"the maintenance exclusion {NAME} is missing, and GKE may upgrade by itself"
    options = ours.get("maintenanceExclusionOptions") or {}
    scope = options.get("scope") or "NO_UPGRADES"
    wanted = build_exclusion(channel, now)["maintenanceExclusionOptions"]
    if scope != wanted["scope"] or (channel is not Channel.OFF and not options.get("endTimeBehavior")):
        return f"the maintenance exclusion {NAME} is {scope} and not {wanted['scope']}"
    end = _read(ours.get("endTime"))
    if channel is Channel.OFF and (end is None or now >= end + OPENING):
        return f"the maintenance exclusion {NAME} is over, and it is time for the next"
    return ""


def _write(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _read(text: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(text))
    except ValueError:
        return None
