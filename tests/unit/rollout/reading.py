"""What the monitor makes of objects: plain readings, each its own, none of them the planner's."""

from datetime import timedelta

from atoll.fleet.cluster import OperationType, Presence
from atoll.fleet.decisions import RETURN_MARK
from atoll.fleet.gates import GateKey
from atoll.fleet.values import Version
from atoll.rollout.revisions import member_revision

ATTEMPTS = 3
"""After so many failed verifications a change has failed."""
USUAL_SECONDS = 40
"""What a change takes where nobody remembers one."""
OUR_OWN = {OperationType.CHANGE, OperationType.REVERT}


def is_settled(child):
    return child.revision == child.done_revision


def is_lost(child, view):
    """Its change failed, or three verifications did."""
    if child.operation is not None:
        return child.operation.failed
    run = view.verification if view is not None else None
    return run is not None and run.revision == child.revision and not run.passed and run.attempt >= ATTEMPTS


def is_returned(child, rollout):
    return child.revision.endswith(f"{RETURN_MARK}{rollout}")


def is_moving(fleet, child, lost):
    """It holds a place among those that change now. Whoever left the set holds one only while it really changes."""
    if child.operation is not None:
        return not child.operation.failed and child.operation.type in OUR_OWN
    owner = fleet.cluster_set(child.set_name)
    if owner is None or owner.member(child.member_name) is None or not child.done_revision:
        return False
    return not is_settled(child) and not lost


def is_down(child):
    """It may be unavailable to those who use it: it changes, or stopped in the middle of a change."""
    drilled = child.operation is not None and child.operation.type is OperationType.DRILL
    return bool(child.done_revision) and (not is_settled(child) or (child.operation is not None and not drilled))


def list_told(rollout):
    """List the members of which a rollout's status says that they failed."""
    rows = rollout.status.get("rows") or ()
    told = {str(row["cluster"]) for row in rows if row["state"] in {"Failed", "Reverted"}}
    return {name.removeprefix(f"{rollout.set_name}--") for name in told}


def served_by(child, view):
    if view is not None and view.member is not None:
        return view.member.version
    text = view.cluster.version if view is not None else ""
    return Version.parse(text or child.status.get("version") or str(child.version))


def find_ill(view, now, oldest):
    """Say why what was seen does not prove that a cluster is well; empty: it does."""
    if view is None:
        return "nobody has looked at it"
    if now - view.time > oldest:
        return f"it was seen at {view.time} last"
    if view.refused is not None:
        return "its identity is refused"
    if view.cluster.presence is not Presence.PRESENT:
        return f"it is {view.cluster.presence}"
    if view.cluster.needs_repair:
        return "it needs repair"
    if view.member is None or view.unreachable_since is not None:
        return "it does not answer"
    return "" if view.member.ready else "its API server is not ready"


def find_hosted(fleet, child_name):
    """List the environments with a tenant on a cluster."""
    return {
        str(placement.get("environment", ""))
        for tenant in fleet.tenants
        for placement in tenant.status.get("placements") or ()
        if placement.get("cluster") == child_name and placement.get("state") != "Refused"
    }


def find_wanted(fleet, owner, name):
    """Return the revision that a member shall have; empty: it is no member."""
    member = owner.member(name)
    return member_revision(owner, member, fleet.regimes) if member is not None else ""


def list_calendars(fleet, owner, member):
    names = {*owner.regimes, *member.regimes}
    regimes = [regime for regime in fleet.regimes if regime.meta.name in names]
    return [owner.upgrade.windows, *(regime.upgrade.windows for regime in regimes)]


def list_freezes(fleet, child_name):
    names = find_hosted(fleet, child_name)
    return [
        (freeze.start, freeze.end)
        for environment in fleet.environments
        if environment.meta.name in names
        for freeze in environment.freezes
    ]


def least_seconds(fleet, set_name):
    """Return what a change takes at least: nobody can expect less than the quickest that the set remembers."""
    known = [
        max(float(entry["seconds"]), 0.5)
        for child in fleet.children
        if child.set_name == set_name
        for entry in child.history
        if entry.get("result") == "Succeeded" and entry.get("type", "Change") == "Change" and "seconds" in entry
    ]
    return min(known, default=USUAL_SECONDS)


def find_closed(fleet, rollout, wave, gate, now, done):
    """Say why a frozen gate is not open; empty: it is. `done`: names of the wave's ChildClusters that have arrived."""
    owner = fleet.cluster_set(rollout.set_name)
    if gate.startswith("regime-"):
        regime = next((item for item in fleet.regimes if f"regime-{item.meta.name}" == gate), None)
        if regime is None:
            return "its Regime is gone"
        return find_missing_approvals(fleet, rollout, wave, gate, regime.upgrade.approvals, ())
    declared = [item for item in owner.upgrade.waves if item.name == wave]
    found = [item for item in declared for item in item.gates if item.name == gate]
    if not found:
        return "it was taken out"
    settings = found[0].settings
    key = GateKey(rollout_uid=rollout.meta.uid, wave=wave, gate=gate)
    if found[0].kind == "approval":
        count, groups = int(settings.get("count", 1)), tuple(settings.get("groups") or ())
        return find_missing_approvals(fleet, rollout, wave, gate, count, groups)
    if found[0].kind == "metric":
        reading = fleet.readings.get(key)
        if reading is None:
            return "nobody has answered"
        if now - reading.time > timedelta(seconds=2 * int(settings.get("intervalSeconds", 30)) + 30):
            return f"the answer is of {reading.time}"
        return "" if reading.open else "the number is too great"
    runs = {name: fleet.views[name].jobs.get(key) if name in fleet.views else None for name in done}
    unproven = sorted(name for name, run in runs.items() if run is None or not run.open)
    return f"its Job has not succeeded in {', '.join(unproven)}" if unproven else ""


def find_alert(fleet, rollout, wave, gate, now):
    """Say whether a metric gate was measured a moment ago, and was above its limit."""
    declared = [item for item in fleet.cluster_set(rollout.set_name).upgrade.waves if item.name == wave]
    found = [item for item in declared for item in item.gates if item.name == gate and item.kind == "metric"]
    reading = fleet.readings.get(GateKey(rollout_uid=rollout.meta.uid, wave=wave, gate=gate)) if found else None
    if reading is None or reading.open or reading.cause != "Above":
        return False
    return now - reading.time <= timedelta(seconds=2 * int(found[0].settings.get("intervalSeconds", 30)) + 30)


def find_missing_approvals(fleet, rollout, wave, gate, count, groups):
    people = set()
    for approval in fleet.approvals:
        meant = (approval.rollout, approval.rollout_uid) == (rollout.meta.name, rollout.meta.uid)
        meant = meant and (approval.wave, approval.gate) == (wave, gate) and approval.meta.deletion_time is None
        if meant and (not groups or any(group in groups for group in approval.groups)):
            people.add(approval.username)
    people.discard(rollout.requested_by)
    wanted = count + 1 if count and not rollout.requested_by else count
    return "" if len(people) >= wanted else f"{len(people)} of {wanted} have approved"
