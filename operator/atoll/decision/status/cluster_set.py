"""Status of a ClusterSet: its members' state, summed up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import Condition, common, find, is_true, no, settle, yes
from atoll.fleet.decisions import Problem, RolloutProgress
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet
from atoll.fleet.values import thaw
from atoll.rollout import settled_revision
from atoll.rollout.stored import rollout_number

from .rollout import FINISHED

HISTORY_LIMIT: Final = 10


def summarise_cluster_set(
    cluster_set: ClusterSet,
    children: Sequence[ChildCluster],
    child_statuses: Mapping[str, Mapping[str, Any]],
    wanted_revisions: Mapping[str, str],
    *,
    set_revision: str,
    rollout: RolloutProgress | None,
    ended: Sequence[tuple[str, str]] = (),
    detached: int,
    problems: Sequence[Problem],
    paused: str,
    now: datetime,
) -> dict[str, Any]:
    """Say how a set is.

    `wanted_revisions`: by ChildCluster name, of declared members. `ended`: name and result of its rollouts that are
    over, the oldest first.
    """
    members = [child for child in children if child.name in wanted_revisions]
    statuses = {child.name: child_statuses.get(child.name, child.status) for child in members}
    available = sum(1 for status in statuses.values() if is_true(status, "Available"))
    up_to_date = sum(
        1 for name, status in statuses.items() if settled_revision(status.get("revision", "")) == wanted_revisions[name]
    )
    total = len(cluster_set.members)
    status: dict[str, Any] = {
        "observedGeneration": cluster_set.meta.generation,
        "members": {"total": total, "available": available, "upToDate": up_to_date, "detached": detached},
    }
    before = cluster_set.status
    complete = total > 0 and up_to_date == total
    if complete:
        status["version"] = str(cluster_set.version)
        status["revision"] = set_revision
    else:
        status.update({key: before[key] for key in ("version", "revision") if key in before})
    running = rollout if rollout is not None and rollout.state in {"Running", "Paused", "Halted", "Aborted"} else None
    if running is not None:
        status["currentRollout"] = running.name
    history = _history(cluster_set, ended)
    if history:
        status["history"] = history
    ready = _ready(cluster_set, statuses, problems, running, complete=complete, paused=paused)
    everywhere = (
        yes("Available", reasons.AVAILABLE)
        if available == total
        else no("Available", reasons.MEMBERS_NOT_AVAILABLE, f"{available} of {total} members are available")
    )
    working = ready.message if ready.status != "True" else ""
    conditions = common(ready=ready, available=everywhere, paused=paused, working=working)
    status["conditions"] = settle(conditions, before.get("conditions", ()), cluster_set.meta.generation, now)
    return status


def _ready(
    cluster_set: ClusterSet,
    statuses: Mapping[str, Mapping[str, Any]],
    problems: Sequence[Problem],
    running: RolloutProgress | None,
    *,
    complete: bool,
    paused: str,
) -> Condition:
    if problems:
        worst = problems[0]
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        return no("Ready", worst.reason, f"{worst.message}{more}")
    if cluster_set.meta.deleting:
        left = f"{len(statuses)} clusters are still to go" if statuses else "its last clusters are going"
        return no("Ready", reasons.DELETING, left)
    if running is not None and running.state in {"Halted", "Aborted"}:
        reason = reasons.ROLLOUT_HALTED if running.state == "Halted" else reasons.ROLLOUT_ABORTED
        return no("Ready", reason, f"rollout {running.name}: {running.message}")
    if running is not None:
        done = sum(1 for row in running.rows if row.state in FINISHED)
        # The rollout itself tells more; a set is not written anew for each of its members' steps.
        return no("Ready", reasons.ROLLING_OUT, f"rollout {running.name}: {done} of {len(running.rows)} members done")
    bad = {name: find(status, "Ready") for name, status in sorted(statuses.items()) if not is_true(status, "Ready")}
    if len(statuses) < len(cluster_set.members):
        missing = len(cluster_set.members) - len(statuses)
        told = "1 member has no cluster yet" if missing == 1 else f"{missing} members have no cluster yet"
        return no("Ready", reasons.PAUSED if paused else reasons.PROGRESSING, told)
    if bad:
        name, condition = next(
            ((name, entry) for name, entry in bad.items() if entry.get("reason") in reasons.NEEDS_A_PERSON),
            next(iter(bad.items())),
        )
        told = condition.get("message") or condition.get("reason") or "not looked at yet"
        count = "1 member is" if len(bad) == 1 else f"{len(bad)} members are"
        return no("Ready", reasons.MEMBERS_NOT_AVAILABLE, f"{count} not ready; {name}: {told}")
    if not complete:
        return no("Ready", reasons.PROGRESSING, "members have not reached the target yet")
    return yes("Ready", reasons.READY)


def _history(cluster_set: ClusterSet, ended: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    """Remember rollouts that ended, the latest ten.

    Who was stopped after the status of a rollout was written and before that of its set finds the rollout over.
    """
    entries = [dict(thaw(entry)) for entry in cluster_set.status.get("history", ())]
    name = cluster_set.meta.name
    known = {str(entry.get("rollout")): rollout_number(str(entry.get("rollout")), name) for entry in entries}
    # What went when there were ten does not come back.
    oldest = min(known.values(), default=0) if len(entries) >= HISTORY_LIMIT else 0
    entries += [
        {"rollout": rollout, "result": result}
        for rollout, result in ended
        if rollout not in known and rollout_number(rollout, name) >= oldest
    ]
    return entries[-HISTORY_LIMIT:]
