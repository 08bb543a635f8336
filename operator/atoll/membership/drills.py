"""When a restore drill of a child is due: by its set's cron time, counted from the last drill."""

from __future__ import annotations

from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

from atoll.fleet.conditions import parse_time
from atoll.fleet.observed import ChildCluster


def check_cron(cron: str) -> str:
    """Say what is wrong with a cron time; empty: nothing."""
    try:
        next(CronSim(cron, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        return f'"{cron}" is no cron time that ever comes; write minute, hour, day, month and weekday, as "0 3 * * 0"'
    return ""


def next_drill(child: ChildCluster, cron: str) -> datetime | None:
    """Return when the next drill is due, in UTC; None: never, or the child is too new to tell."""
    last = (child.status.get("drill") or {}).get("time")
    since = parse_time(str(last)) if last else child.meta.creation_time
    if not cron or since is None:
        return None
    try:
        return next(CronSim(cron, since), None)
    except CronSimError:
        return None  # check_cron tells of it
