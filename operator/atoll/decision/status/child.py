"""Status of a ChildCluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from atoll.decision.borders import find_broken_borders, summarise_borders
from atoll.fleet import reasons
from atoll.fleet.borders import BORDER_CHECK
from atoll.fleet.cluster import OperationType, Presence, ProviderInfo
from atoll.fleet.conditions import Condition, common, format_time, no, settle, unknown, yes
from atoll.fleet.hosts import ChildHosts
from atoll.fleet.observed import ChildCluster, ChildView, OperationStatus, find_missing_wall
from atoll.fleet.values import Resources, Version, thaw
from atoll.membership.operations import Work
from atoll.rollout.health import VERIFICATION_ATTEMPTS

from .history import write_drill, write_history

ENVIRONMENTS_LIMIT: Final = 50

WORDS: Final[Mapping[OperationType, str]] = {
    OperationType.CREATE: reasons.CREATING,
    OperationType.CHANGE: reasons.CHANGING,
    OperationType.REVERT: reasons.REVERTING,
    OperationType.REPAIR: reasons.REPAIRING,
    OperationType.DELETE: reasons.DELETING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildFacts:
    """What the decision found out about one child, besides its long work."""

    paused: str = ""
    detached: bool = False
    enforced: bool = True
    """All objects that we want in it are there."""
    foreign_owner: str = ""
    """It belongs to another fleet: what to do."""
    environments: tuple[str, ...] = ()
    tenants: int = 0
    allocated: Resources = Resources()
    capacity: Resources | None = None
    hosts: ChildHosts | None = None
    """Its hosts, where its provider uses any."""
    broken_borders: str = ""
    """Which borders between tenants let somebody through; a person has to look."""
    border_doubt: str = ""
    """Why nobody can tell whether the borders hold."""


def summarise_child(
    child: ChildCluster, view: ChildView | None, work: Work, info: ProviderInfo | None, facts: ChildFacts, now: datetime
) -> dict[str, Any]:
    """Say in full how a child is."""
    status: dict[str, Any] = {"observedGeneration": child.meta.generation}
    done = _done_revision(child, view)
    if done:
        status["revision"] = done
    served = _served(child, view)
    if served:
        status["version"] = served
    status.update(_access(child, view))
    if view is not None and view.member is not None and (info is None or info.has_nodes or view.member.nodes_total):
        status["nodes"] = {"total": view.member.nodes_total, "ready": view.member.nodes_ready}
    elif "nodes" in child.status:
        status["nodes"] = thaw(child.status["nodes"])
    if facts.capacity is not None:
        status["capacity"] = facts.capacity.to_manifest()
    if facts.allocated:
        status["allocated"] = facts.allocated.to_manifest()
    if facts.environments:
        status["environments"] = list(facts.environments[:ENVIRONMENTS_LIMIT])
    status["tenantCount"] = facts.tenants
    if work.operation is not None:
        status["operation"] = write_operation(work.operation)
    borders, border_check = summarise_borders(child, view)
    checks = _verification(child, view) + ([border_check] if border_check else [])
    if checks:
        status["verification"] = checks
    if borders:
        status["borders"] = borders
    history = write_history(child, work, now, done=done)
    if history:
        status["history"] = history
    drill = write_drill(child, work, now)
    if drill is not None:
        status["drill"] = drill
    facts = replace(facts, broken_borders=find_broken_borders(borders), border_doubt=_find_doubt(border_check))
    conditions = [*_conditions(child, view, work, facts, done=done), *_prove_backup(drill)]
    status["conditions"] = settle(conditions, child.status.get("conditions", ()), child.meta.generation, now)
    return status


def write_operation(operation: OperationStatus) -> dict[str, Any]:
    """Write an operation the way the API holds it."""
    written = {
        "id": operation.id,
        "type": str(operation.type),
        "state": "Failed" if operation.failed else "Running",
        "fromVersion": operation.from_version,
        "toVersion": operation.to_version,
        "rollout": operation.rollout,
        "step": operation.step,
        "stepsDone": operation.steps_done,
        "stepsTotal": operation.steps_total,
        "startedTime": format_time(operation.started_time),
        "message": operation.message[:1024],
    }
    if operation.high_seconds:
        written |= {
            "expectedSeconds": operation.expected_seconds,
            "lowSeconds": operation.low_seconds,
            "highSeconds": operation.high_seconds,
        }
    return {key: value for key, value in written.items() if value != ""}


def _done_revision(child: ChildCluster, view: ChildView | None) -> str:
    """Return the revision that is reached: a passed verification of the wanted one counts at once."""
    run = view.verification if view is not None else None
    if run is not None and run.passed and run.revision == child.revision:
        return child.revision
    return child.done_revision


def _served(child: ChildCluster, view: ChildView | None) -> str:
    """Return the version that was last seen; being unreachable does not make us forget it."""
    if view is not None and view.member is not None and view.refused is None:
        return str(view.member.version)
    if view is not None and view.cluster.version:
        return view.cluster.version
    return str(child.status.get("version", ""))


def _access(child: ChildCluster, view: ChildView | None) -> dict[str, Any]:
    """Return endpoint, Secret and expiry: as seen now, else as they stood."""
    before = child.status
    endpoint = (view.cluster.endpoint if view is not None else "") or before.get("endpoint", "")
    # Its name never changes; a Secret that is missing for a moment is published again, and is no news.
    published = bool(before.get("kubeconfigSecretRef")) or (view is not None and bool(view.published_digest))
    expires = view.cluster.certificates_expire_time if view is not None else None
    written: dict[str, Any] = {}
    if endpoint:
        written["endpoint"] = endpoint
    if published:
        written["kubeconfigSecretRef"] = {"name": f"{child.name}-kubeconfig"}
    if expires is not None:
        written["certificatesExpireTime"] = format_time(expires)
    elif "certificatesExpireTime" in before:
        written["certificatesExpireTime"] = before["certificatesExpireTime"]
    return written


def _verification(child: ChildCluster, view: ChildView | None) -> list[dict[str, Any]]:
    run = view.verification if view is not None else None
    stored: Sequence[Mapping[str, Any]] = child.status.get("verification", ())
    if run is None or (run.passed and child.done_revision == child.revision and stored):
        # What is written down already stays: times in status change only with results.
        return [dict(thaw(entry)) for entry in stored if entry.get("check") != BORDER_CHECK]
    return [
        {
            "check": check.check,
            "result": check.result,
            "message": check.message[:1024],
            "time": format_time(check.time),
        }
        for check in run.checks
    ]


def _find_doubt(check: Mapping[str, Any]) -> str:
    return str(check.get("message", "")) if check.get("result") == "Unknown" else ""


def _conditions(
    child: ChildCluster, view: ChildView | None, work: Work, facts: ChildFacts, *, done: str
) -> list[Condition]:
    ready, available = _verdict(child, view, work, facts, done=done)
    working = ready.message if ready.status != "True" else ""
    conditions = common(ready=ready, available=available, paused=facts.paused, working=working)
    if child.pod_cidr:
        conditions.append(
            yes("NetworkPlanned", reasons.ALLOCATED, f"pods {child.pod_cidr}, services {child.service_cidr}")
        )
    conditions += _claims(child, facts)
    conditions += _reach(child, view, work)
    conditions.append(_verified(child, view, done=done))
    unwalled = find_missing_wall(child, view)
    if facts.broken_borders:
        conditions.append(no("PolicyEnforced", reasons.BORDER_CROSSED, facts.broken_borders))
    elif facts.enforced and facts.border_doubt:
        conditions.append(unknown("PolicyEnforced", reasons.UNKNOWN, facts.border_doubt))
    elif facts.enforced and unwalled:
        conditions.append(no("PolicyEnforced", reasons.NO_POLICY_ENFORCEMENT, unwalled))
    elif facts.enforced:
        conditions.append(yes("PolicyEnforced", reasons.READY))
    else:
        conditions.append(no("PolicyEnforced", reasons.PROGRESSING, "objects in the cluster are being applied"))
    return conditions


def _verdict(
    child: ChildCluster, view: ChildView | None, work: Work, facts: ChildFacts, *, done: str
) -> tuple[Condition, Condition]:
    """Judge (Ready, Available): a ladder, worst first."""
    if view is None:
        return (
            unknown("Ready", reasons.UNKNOWN, "it has not been looked at yet"),
            unknown("Available", reasons.UNKNOWN, "it has not been looked at yet"),
        )
    blind = _blindness(view)
    if blind:
        return unknown("Ready", reasons.UNREACHABLE, blind), unknown("Available", reasons.UNREACHABLE, blind)
    if view.refused is not None:
        reason, message = view.refused
        return no("Ready", reason, message), no("Available", reason, message)
    if facts.foreign_owner:
        return no("Ready", reasons.TAKEN, facts.foreign_owner), no("Available", reasons.TAKEN, facts.foreign_owner)
    if work.lost:
        return no("Ready", reasons.OPERATION_FAILED, work.lost), no("Available", reasons.OPERATION_FAILED, work.lost)
    up = view.member is not None and view.member.ready
    usable = up and bool(done) and bool(child.cluster_uid)
    available = yes("Available", reasons.AVAILABLE) if usable else no("Available", reasons.PROGRESSING, work.reason)
    # A drill happens beside the cluster and changes nothing of it; how it went has a condition of its own.
    operation = work.operation if work.operation is None or work.operation.type is not OperationType.DRILL else None
    if child.meta.deleting:
        return no("Ready", reasons.DELETING, work.reason or "it is being deleted"), available
    if operation is not None:
        if work.blocked:
            return no("Ready", reasons.PREFLIGHT_FAILED, work.reason), available
        if operation.failed:
            told = f"{operation.type} failed: {operation.message or operation.step}"
            return no("Ready", reasons.OPERATION_FAILED, told), available
        reason = WORDS[operation.type]
        steps = f" ({operation.steps_done}/{operation.steps_total})" if operation.steps_total else ""
        return no("Ready", reason, f"{operation.step or operation.message}{steps}"), available
    if facts.hosts is not None and facts.hosts.lacking and not done:
        return no("Ready", reasons.HOSTS_LACKING, facts.hosts.lacking), available
    newer = _newer_than_wanted(child, view)
    if newer:
        return no("Ready", reasons.DOWNGRADE_REFUSED, newer), available
    if done != child.revision:
        failed = _verified(child, view, done=done)
        return no("Ready", failed.reason, failed.message), available
    if not up:
        return no("Ready", reasons.PROGRESSING, "its API server is not ready"), available
    if facts.broken_borders:
        return no("Ready", reasons.BORDER_CROSSED, facts.broken_borders), available
    if not facts.enforced:
        return no("Ready", reasons.PROGRESSING, "objects in the cluster are being applied"), available
    if facts.detached:
        return (
            no(
                "Ready",
                reasons.DETACHED,
                f"member {child.member_name} left ClusterSet {child.set_name}; to remove the cluster name it in "
                "confirmRemoval, to keep it add the member again",
            ),
            available,
        )
    return yes("Ready", reasons.READY), available


def _prove_backup(drill: Mapping[str, Any] | None) -> list[Condition]:
    """Say whether a backup was restored, where anybody has tried."""
    if drill is None:
        return []
    if drill["result"] == "Passed":
        return [yes("BackupProven", reasons.RESTORED, drill.get("message", ""))]
    return [no("BackupProven", reasons.DRILL_FAILED, drill.get("message", ""))]


def _claims(child: ChildCluster, facts: ChildFacts) -> list[Condition]:
    if facts.hosts is None:
        return []
    if facts.hosts.lacking:
        return [no("HostsClaimed", reasons.HOSTS_LACKING, facts.hosts.lacking)]
    if not facts.hosts.complete or child.hosts != facts.hosts.claimed:
        return [no("HostsClaimed", reasons.PROGRESSING, "hosts are being claimed")]
    return [yes("HostsClaimed", reasons.HOSTS_CLAIMED, ", ".join(facts.hosts.claimed))]


def _newer_than_wanted(child: ChildCluster, view: ChildView) -> str:
    """Say that the cluster runs ahead of its object, as after the restore of an old backup; or nothing."""
    served = Version.parse(view.cluster.version) if view.cluster.version else None
    if served is None or served <= child.version or child.version.is_satisfied_by(served):
        return ""
    return (
        f"it serves {served}, its object says {child.version}, and Kubernetes cannot go back. "
        f"Set version {served} in ClusterSet {child.set_name}."
    )


def _blindness(view: ChildView) -> str:
    """Say why we cannot see the cluster, or nothing."""
    if view.cluster.presence is Presence.UNKNOWN:
        return view.cluster.message or "its provider cannot be asked"
    if view.unreachable_since is not None:
        return (
            f"no answer from {view.cluster.endpoint or 'its API server'} since "
            f"{format_time(view.unreachable_since)}: {view.unreachable_message}"
        )
    return ""


def _reach(child: ChildCluster, view: ChildView | None, work: Work) -> list[Condition]:
    if view is None:
        return []
    blind = _blindness(view)
    if blind:
        return [
            unknown("ControlPlaneAvailable", reasons.UNREACHABLE, blind),
            no("Reachable", reasons.UNREACHABLE, blind),
        ]
    if view.refused is not None:
        reason, message = view.refused
        return [
            unknown("ControlPlaneAvailable", reason, message),
            yes("Reachable", reasons.AVAILABLE),
            no("CredentialsValid", reason, message),
        ]
    if view.member is None:
        why = work.reason or "there is no API server yet"
        return [no("ControlPlaneAvailable", reasons.PROGRESSING, why), no("Reachable", reasons.PROGRESSING, why)]
    up = view.member.ready
    return [
        yes("ControlPlaneAvailable", reasons.AVAILABLE)
        if up
        else no("ControlPlaneAvailable", reasons.PROGRESSING, "/readyz does not say ok"),
        yes("Reachable", reasons.AVAILABLE),
        yes("CredentialsValid", reasons.READY),
    ]


def _verified(child: ChildCluster, view: ChildView | None, *, done: str) -> Condition:
    if done == child.revision:
        return yes("Verified", reasons.VERIFIED, f"revision {done}")
    run = view.verification if view is not None else None
    if run is not None and run.revision == child.revision and not run.passed:
        bad = "; ".join(
            f"{check.check}: {check.message}" for check in run.checks if check.result not in {"Passed", "Skipped"}
        )
        if run.attempt < VERIFICATION_ATTEMPTS:
            return no("Verified", reasons.VERIFYING, f"try {run.attempt} of {VERIFICATION_ATTEMPTS} failed: {bad}")
        return no("Verified", reasons.VERIFICATION_FAILED, bad)
    return no("Verified", reasons.VERIFYING, f"revision {child.revision} has not been verified yet")
