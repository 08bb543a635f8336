"""Whether a child is well enough to be changed. Unknown is never healthy."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet.cluster import Presence
from atoll.fleet.observed import ChildCluster, ChildView, Verification
from atoll.fleet.values import Version

VERIFICATION_ATTEMPTS: Final = 3
"""How often a verification may fail before the member counts as failed; one slow answer is no verdict."""


def served_version(child: ChildCluster, view: ChildView | None) -> Version | None:
    """Return the version that runs, as far as anybody can tell."""
    if view is not None and view.member is not None:
        return view.member.version
    told = view.cluster.version if view is not None else ""
    return _parse(told or str(child.status.get("version", "")))


OLD: Final = timedelta(minutes=30)
"""What was seen so long ago says nothing of how a cluster is now."""


def is_given_up(child: ChildCluster, view: ChildView | None) -> bool:
    """Say whether the revision that a child shall have has failed its verification for the last time."""
    run = view.verification if view is not None else None
    return (
        run is not None and run.revision == child.revision and not run.passed and run.attempt >= VERIFICATION_ATTEMPTS
    )


def has_failed(child: ChildCluster, view: ChildView | None) -> bool:
    """Say whether what a child shall be failed: its operation, or with none its last verification."""
    if child.operation is not None:
        return child.operation.failed
    return is_given_up(child, view)


def is_known(view: ChildView | None, now: datetime) -> bool:
    """Say whether anybody can tell how a cluster is: it was looked at, and not too long ago."""
    return view is not None and now - view.time < OLD


def find_illness(child: ChildCluster, view: ChildView | None, now: datetime) -> str:
    """Say why a child that should be at rest may not be changed; empty when it may."""
    operation = child.operation
    if operation is not None:
        how = f"failed: {operation.message}" if operation.failed else "is under way"
        return f"its operation {operation.type} {how}"
    if view is None:
        return "it has not been looked at yet"
    if not is_known(view, now):
        return f"it was looked at last at {view.time:%H:%M:%S} UTC"
    if view.refused is not None:
        return f"its identity is refused: {view.refused[1]}"
    if view.cluster.presence is not Presence.PRESENT:
        return f"its cluster is {view.cluster.presence}: {view.cluster.message or 'no answer'}"
    if view.cluster.needs_repair:
        return f"it needs repair: {view.cluster.needs_repair}"
    if view.unreachable_since is not None or view.member is None:
        return f"it is unreachable: {view.unreachable_message or 'its API server does not answer'}"
    if not view.member.ready:
        return "its API server is not ready"
    run = view.verification
    if run is not None and run.revision == child.revision and not run.passed:
        return f"its verification fails: {explain_failed_checks(run)}"
    return ""


def may_leave_failure(child: ChildCluster, view: ChildView | None, version: Version) -> str:
    """Say why a child whose last change failed may not be changed again; empty when it may.

    A new target is how people mend a failed change, so it need not be well. But it must be there, and be the cluster
    that we pinned, and it may not leave a minor in which it has never been verified.
    """
    if view is None:
        return "it has not been looked at yet"
    if view.refused is not None:
        return f"its identity is refused: {view.refused[1]}"
    if view.cluster.presence is not Presence.PRESENT:
        return f"its cluster is {view.cluster.presence}: {view.cluster.message or 'no answer'}"
    served = served_version(child, view)
    if served is None:
        return "its version is not known"
    before = _parse(child.operation.from_version) if child.operation is not None else None
    verified = before is not None and (before.major, before.minor) == (served.major, served.minor)
    if (served.major, served.minor) != (version.major, version.minor) and not verified:
        return (
            f"its last change failed, and it serves {served} unverified; going on to {version} would skip that proof. "
            f"Mend it, or ask for a v{served.major}.{served.minor} release first"
        )
    return ""


def explain_failed_checks(run: Verification) -> str:
    """Name the checks that did not pass, the first with its message."""
    failed = [check for check in run.checks if check.result not in {"Passed", "Skipped"}]
    if not failed:
        return "no check ran"
    more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
    return f"{failed[0].check}: {failed[0].message}{more}"


def last_change(child: ChildCluster) -> Mapping[str, Any] | None:
    """Return the latest entry of a child's history."""
    return max(child.history, key=lambda entry: str(entry.get("startedTime", "")), default=None)


def _parse(text: str) -> Version | None:
    try:
        return Version.parse(text) if text else None
    except ValueError:
        return None
