"""Going back: which failed members return to what they were, and why the others cannot.

A member whose change failed before its version changed is only told its old version again: it serves that, and keeps
all its data. Only a member that serves the new version gets the data back that was kept before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from atoll.fleet.cluster import ProviderInfo, RevertPoint
from atoll.fleet.conditions import find, parse_time
from atoll.fleet.decisions import RevertChild
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet
from atoll.fleet.values import Version

from .health import last_change, served_version
from .limits import Books, find_limit, find_regions
from .revisions import is_return, return_revision
from .rows import Course, Verdict


def describe_way_back(cluster_set: ClusterSet, info: ProviderInfo | None) -> str:
    """Say before anything moves whether a failed change can be taken back, at what cost, and until when."""
    kind = cluster_set.provider.kind
    if info is not None and not info.upgrades:
        return "their owner changes them"
    if info is not None and info.can_revert:
        asked = "by itself" if cluster_set.upgrade.on_failure == "Revert" else "never by itself (onFailure is Halt)"
        return (
            f"a cluster that fails goes back {asked}, to the snapshot from before its change: later writes are lost; "
            "one that is verified does not go back"
        )
    step = (
        f": its point of no return is the step `{info.point_of_no_return}`" if info and info.point_of_no_return else ""
    )
    asked = "; onFailure Revert halts only" if cluster_set.upgrade.on_failure == "Revert" else ""
    return f"provider {kind} cannot go back{step}{asked}"


def plan_reverts(
    course: Course, verdicts: Sequence[Verdict], books: Books
) -> tuple[list[Verdict], tuple[RevertChild, ...]]:
    """Decide which failed members go back now: no more at once than may change at once."""
    # They are down already, so that no environment has less of them when they go back.
    books = replace(books, limits={})
    regions = find_regions(course.cluster_set)
    moving = books.moving.setdefault(course.cluster_set.meta.name, set())
    waves = {wave.name: wave for wave in course.rollout.waves}
    judged: list[Verdict] = []
    reverts: list[RevertChild] = []
    for verdict in verdicts:
        said, revert = plan_revert(course, verdict)
        if revert is not None:
            wave = waves[verdict.row.wave]
            others = frozenset(map(course.cluster_set.child_name, wave.clusters)) & moving
            in_wave = (wave.name, wave.max_concurrent, others)
            if find_limit(books, course.cluster_set, in_wave, revert.child, regions):
                judged.append(verdict)
                continue
            books.take(course.cluster_set.meta.name, revert.child)
            reverts.append(revert)
        judged.append(said)
    return judged, tuple(reverts)


def plan_revert(course: Course, verdict: Verdict) -> tuple[Verdict, RevertChild | None]:
    """Decide how one failed member goes back; its row says so, or why it cannot."""
    child = verdict.child
    if child is None or verdict.row.state != "Failed" or child.revision == child.done_revision:
        return verdict, None
    if child.rollout != course.name or is_return(child.revision, course.name):
        return verdict, None
    kept = _find_kept_version(course, child)
    if kept is not None:
        message = f"goes back to {kept}, which it still serves: nothing is lost"
        return _say(verdict, message), _order(course, child, kept, message)
    kind = course.cluster_set.provider.kind
    info = course.fleet.providers.get(kind)
    if info is None or not info.can_revert:
        return _say(verdict, f"provider {kind} cannot revert; mend it by hand"), None
    view = course.view(child)
    point = view.cluster.revert_point if view is not None else None
    if point is None or point.taken_time < _begun(course, child):
        return _say(verdict, "nothing was kept from before this change, so it cannot be reverted"), None
    message = f"goes back to {_describe(point)}"
    return _say(verdict, message), _order(course, child, Version.parse(point.version), message)


def _order(course: Course, child: ChildCluster, version: Version, message: str) -> RevertChild:
    return RevertChild(
        child=child.name,
        version=version,
        revision=return_revision(child.done_revision, course.name),
        rollout=course.name,
        reason=f"rollout {course.name}: {child.member_name} {message}",
    )


def _find_kept_version(course: Course, child: ChildCluster) -> Version | None:
    """Return the version that a child serves still, because the change that failed never got so far."""
    served = served_version(child, course.view(child))
    operation = child.operation
    if served is None or operation is None or not operation.failed or child.version.is_satisfied_by(served):
        return None
    return served if operation.from_version == str(served) else None


def _begun(course: Course, child: ChildCluster) -> datetime:
    """Return when the change that failed began: what was kept from before an older one must not come back."""
    times = [child.operation.started_time] if child.operation is not None else []
    entry = last_change(child)
    if not times and entry is not None and entry.get("startedTime"):
        times.append(datetime.fromisoformat(str(entry["startedTime"])))
    if course.rollout.meta.creation_time is not None:
        times.append(course.rollout.meta.creation_time)
    verified = find(child.status, "Verified")
    if verified.get("status") == "False" and verified.get("lastTransitionTime"):
        # Since then it is not verified. What was kept earlier belongs to a change that ended well: of this rollout,
        # perhaps, before its settings changed once more.
        times.append(parse_time(str(verified["lastTransitionTime"])))
    return max(times, default=course.now)


def _describe(point: RevertPoint) -> str:
    return f"{point.version} ({point.message})"


def _say(verdict: Verdict, message: str) -> Verdict:
    if verdict.row.message.endswith(message):
        # It was read back from the status, which says so already.
        return verdict
    return replace(verdict, row=replace(verdict.row, message=f"{verdict.row.message}; {message}"))
