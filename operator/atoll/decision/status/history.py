"""What a ChildCluster's status remembers of long work that has ended: its history, and the latest drill."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from atoll.fleet.cluster import OperationType
from atoll.fleet.conditions import format_time, parse_time
from atoll.fleet.observed import ChildCluster, OperationStatus
from atoll.fleet.values import thaw
from atoll.membership.operations import Work

HISTORY_LIMIT: Final = 10


def find_ended(child: ChildCluster, work: Work) -> tuple[OperationStatus | None, str]:
    """Return the operation that has just ended, once, and how: Succeeded or Failed."""
    if work.finished is not None:
        return work.finished, "Succeeded"
    failed = work.operation
    if failed is None or not failed.failed:
        return None, ""
    before = child.operation
    already = before is not None and before.failed and before.id == failed.id
    return (None, "") if already else (failed, "Failed")


def write_history(child: ChildCluster, work: Work, now: datetime, *, done: str) -> list[dict[str, Any]]:
    """Append the operation that has just ended, well or badly; drills are remembered apart.

    A change that is verified now (`done` is its revision) took until now: that is how long it holds a place in a wave.
    """
    entries = [dict(thaw(entry)) for entry in child.history]
    if done == child.revision != child.done_revision and entries and _is_latest_change(entries[-1], child):
        entries[-1]["seconds"] = max(0, int((now - parse_time(entries[-1]["startedTime"])).total_seconds()))
    ended, result = find_ended(child, work)
    if ended is not None and ended.type not in {OperationType.DELETE, OperationType.DRILL}:
        entry = {
            "type": str(ended.type),
            "from": ended.from_version,
            "to": ended.to_version,
            "startedTime": format_time(ended.started_time),
            "seconds": _count_seconds(ended, now),
            "result": result,
        }
        if ended.high_seconds:
            entry |= {"lowSeconds": ended.low_seconds, "highSeconds": ended.high_seconds, "rollout": ended.rollout}
        entries.append({key: value for key, value in entry.items() if value != ""})
    return entries[-HISTORY_LIMIT:]


def _is_latest_change(entry: dict[str, Any], child: ChildCluster) -> bool:
    mine = bool(child.rollout) and entry.get("rollout") == child.rollout
    return mine and entry.get("type") == OperationType.CHANGE and entry.get("result") == "Succeeded"


def write_drill(child: ChildCluster, work: Work, now: datetime) -> dict[str, Any] | None:
    """Return what is known of the latest drill; None: there was none."""
    ended, result = find_ended(child, work)
    if ended is None or ended.type is not OperationType.DRILL:
        stored: dict[str, Any] | None = thaw(child.status["drill"]) if "drill" in child.status else None
        return stored
    return {
        "time": format_time(now),
        "result": "Passed" if result == "Succeeded" else "Failed",
        "seconds": _count_seconds(ended, now),
        "message": ended.message[:1024],
    }


def _count_seconds(ended: OperationStatus, now: datetime) -> int:
    return max(0, int((now - ended.started_time).total_seconds()))
