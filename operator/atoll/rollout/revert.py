"""Going back: which failed members return to what they were, and why the others cannot."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from atoll.fleet.cluster import RevertPoint
from atoll.fleet.decisions import RevertChild
from atoll.fleet.observed import ChildCluster
from atoll.fleet.values import Version

from .health import last_change
from .rows import Course, Verdict


def plan_revert(course: Course, verdict: Verdict) -> tuple[Verdict, RevertChild | None]:
    """Decide how one failed member goes back; its row says so, or why it cannot."""
    child = verdict.child
    if child is None or verdict.row.state != "Failed" or child.revision == child.done_revision:
        return verdict, None
    kind = course.cluster_set.provider.kind
    info = course.fleet.providers.get(kind)
    if info is None or not info.can_revert:
        return _say(verdict, f"provider {kind} cannot revert; mend it by hand"), None
    view = course.view(child)
    point = view.cluster.revert_point if view is not None else None
    if point is None or point.taken_time < _begun(course, child):
        return _say(verdict, "nothing was kept from before this change, so it cannot be reverted"), None
    revert = RevertChild(
        child=child.name,
        version=Version.parse(point.version),
        revision=child.done_revision,
        rollout=course.name,
        reason=point.message,
    )
    return _say(verdict, f"goes back to {_describe(point)}"), revert


def _begun(course: Course, child: ChildCluster) -> datetime:
    """Return when the change that failed began: what was kept from before an older one must not come back."""
    times = [child.operation.started_time] if child.operation is not None else []
    entry = last_change(child)
    if not times and entry is not None and entry.get("startedTime"):
        times.append(datetime.fromisoformat(str(entry["startedTime"])))
    if course.rollout.meta.creation_time is not None:
        times.append(course.rollout.meta.creation_time)
    return max(times, default=course.now)


def _describe(point: RevertPoint) -> str:
    return f"{point.version} ({point.message})"


def _say(verdict: Verdict, message: str) -> Verdict:
    return replace(verdict, row=replace(verdict.row, message=f"{verdict.row.message}; {message}"))
