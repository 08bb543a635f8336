"""What a plan says about each cluster: made, changed hop by hop, let go, destroyed, or left as it is. Pure."""

from __future__ import annotations

from typing import Any

from atoll.decision.decide import Decision
from atoll.fleet import reasons
from atoll.fleet.conditions import find
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, DeletionPolicy
from atoll.fleet.values import Version
from atoll.rollout.hops import HopRefusal, plan_hops
from atoll.rollout.states import FINISHED

Row = dict[str, Any]


def build_cluster_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Build one row for each cluster that is declared or there."""
    rows = []
    new = {child.name: child for child in decision.membership.new}
    for cluster_set in fleet.cluster_sets:
        for member in cluster_set.members:
            name = cluster_set.child_name(member.name)
            if joining := new.get(name):
                row = _row(fleet, name, "create", None, str(joining.version), joining.reason)
            elif child := fleet.child(name):
                row = _child_row(fleet, decision, cluster_set, child)
            else:
                row = _row(fleet, name, "none", None, None, _why_not(decision, cluster_set.meta.name))
            rows.append(row)
    known = {row["name"] for row in rows}
    rows += [_leaving_row(fleet, decision, child) for child in fleet.children if child.name not in known]
    return sorted(rows, key=lambda row: str(row["name"]))


def _row(fleet: Fleet, name: str, action: str, from_: str | None, to: str | None, reason: str) -> Row:
    return {
        "namespace": fleet.name,
        "name": name,
        "action": action,
        "from": from_,
        "to": to,
        "hops": [],
        "wave": None,
        "reason": reason,
    }


def _child_row(fleet: Fleet, decision: Decision, cluster_set: ClusterSet, child: ChildCluster) -> Row:
    """Tell what happens to a cluster that is there and still declared."""
    served = served_version(child)
    if any(departure.child == child.name for departure in decision.membership.departures):
        return _leaving_row(fleet, decision, child)
    wave, reason = _wave_of(decision, cluster_set.meta.name, child.member_name)
    if not wave:
        return _row(fleet, child.name, "none", str(served), str(served), reason or "it is as it shall be")
    target = cluster_set.version
    row = _row(fleet, child.name, "change", str(served), str(target), reason)
    stops = plan_hops(served, target, fleet.versions.get(cluster_set.provider.kind, ()))
    if isinstance(stops, HopRefusal):
        return {**row, "action": "none", "to": str(served), "reason": stops.message}
    starts = [served, *stops][:-1]
    row["hops"] = [{"from": str(start), "to": str(stop)} for start, stop in zip(starts, stops, strict=True)]
    row["wave"] = wave
    return row


def served_version(child: ChildCluster) -> Version:
    """Return what a child serves, as far as was written down; else what it was asked for."""
    written = child.status.get("version")
    return Version.parse(written) if written else child.version


def _wave_of(decision: Decision, set_name: str, member: str) -> tuple[str, str]:
    """Return the wave in which a member changes, and why; an empty wave when it does not."""
    for new in decision.rollout.new:
        for wave in new.waves:
            if new.set_name == set_name and member in wave.clusters:
                return wave.name, new.reason
    for progress in decision.rollout.progress:
        for row in progress.rows:
            if progress.set_name == set_name and row.cluster == member and row.state not in FINISHED:
                return row.wave, row.message or progress.message or f"rollout {progress.name} is under way"
    return "", ""


def _leaving_row(fleet: Fleet, decision: Decision, child: ChildCluster) -> Row:
    """Tell what becomes of a cluster that is no longer declared, or whose set goes."""
    served = str(served_version(child))
    for departure in decision.membership.departures:
        if departure.child == child.name:
            action = "delete" if child.deletion_policy is DeletionPolicy.DELETE else "detach"
            return _row(fleet, child.name, action, served, None, departure.reason)
    reason = f"member {child.member_name} is not in ClusterSet {child.set_name}; it is left running and looked after"
    action = (
        "none" if find(child.status, "Ready").get("reason") == reasons.DETACHED or child.meta.deleting else "detach"
    )
    return _row(fleet, child.name, action, served, served, "it is being deleted" if child.meta.deleting else reason)


def _why_not(decision: Decision, set_name: str) -> str:
    problem = next((item for item in decision.problems if item.kind == "ClusterSet" and item.name == set_name), None)
    return problem.message if problem else "it cannot be made now"
