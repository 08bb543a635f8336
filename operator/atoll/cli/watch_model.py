"""A rollout as people watch it: how far each wave is, who is changing, what is waited for, what comes next. Pure.

Fields of statuses are read one by one and none is relied on: an operator of another version may leave some out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import find, read_time
from atoll.fleet.values import Share
from atoll.rollout.states import MOVING
from atoll.rollout.stored import OVER

from .durations import describe_seconds
from .rollout_choice import find_last, read_set_name, read_state
from .rollout_gates import Gate, list_gates
from .rollout_orders import read_action
from .watch_values import Grade, Picture, Row, Span, Wave
from .why_model import find_body

Body = Mapping[str, Any]

ENDED_BADLY: Final = frozenset({"Failed", "Reverted"})
VERIFYING_SHARE: Final = 0.9
"""How much of a member's bar is full when its steps are done and its verification is still to come."""
ROWS_LIMIT: Final = 20
"""How many rows a status holds at most; so many may be only a part."""


def build_picture(rollout: Body, bodies: Sequence[Body]) -> Picture:
    """Build the picture of one rollout. `bodies`: Rollouts, ClusterSets and ChildClusters of its fleet."""
    name, spec, status = rollout["metadata"]["name"], rollout.get("spec") or {}, rollout.get("status") or {}
    set_name = read_set_name(rollout)
    cluster_set = find_body(bodies, "ClusterSet", set_name)
    children = {
        str((body.get("spec") or {}).get("memberName", "")): body
        for body in bodies
        if body["kind"] == "ChildCluster" and (body.get("spec") or {}).get("setName") == set_name
    }
    gates = list_gates(rollout, cluster_set)
    counts = _count(rollout)
    state = read_state(rollout) or "Starting"
    waves = _build_waves(rollout, children, gates, counts)
    last = find_last(set_name, bodies)
    forecast = status.get("forecast") or {}
    ready = find(status, "Ready")
    ended = read_time(status.get("completedTime"))
    if ended is None and state in OVER:
        ended = read_time(ready.get("lastTransitionTime")) if state == "Done" else None
    return Picture(
        name=name,
        set_name=set_name,
        target=str((spec.get("target") or {}).get("version", "")),
        state=state,
        action=read_action(rollout),
        message=str(status.get("message", "")),
        requested_by=str(spec.get("requestedBy") or ""),
        waves=waves,
        counts=counts,
        budget=_read_budget(cluster_set, counts["total"]),
        left=_read_span(forecast),
        end=read_time(forecast.get("endTime")),
        grade=_read_grade(status.get("grade") or {}),
        began=read_time(status.get("startedTime")) or read_time(rollout["metadata"].get("creationTimestamp")),
        ended=ended,
        next=_list_next(state, waves),
        proposals=tuple(str(item.get("message", "")) for item in status.get("proposals") or ()),
        is_last=last is None or last["metadata"]["name"] == name,
        moving=_is_moving(rollout, children),
    )


def describe_unseen(cluster_set: Body, last: Body | None) -> str:
    """Say that a rollout of a set may be about to begin; empty where none is, or where one goes on already."""
    name, status = cluster_set["metadata"]["name"], cluster_set.get("status") or {}
    if status.get("observedGeneration", -1) != cluster_set["metadata"].get("generation", 1):
        return f"the operator has not looked at the latest change of ClusterSet {name} yet"
    ready, members = find(status, "Ready"), status.get("members") or {}
    # Between the operator's first look at a change and its Rollout nothing is wrong, and nothing has arrived.
    begins = ready.get("status") != "True" and ready.get("reason") == reasons.PROGRESSING
    all_there = members.get("available") == members.get("total", 0) > members.get("upToDate", 0)
    if begins and all_there and (last is None or read_state(last) in {"Done", "Superseded"}):
        return f"a rollout of ClusterSet {name} is about to begin: {ready.get('message', '')}"
    return ""


def _read_span(written: Mapping[str, Any], word: str = "seconds") -> Span | None:
    seconds = written.get(word)
    if not seconds:
        return None
    return Span(
        seconds=int(seconds), low=int(written.get("lowSeconds") or 0), high=int(written.get("highSeconds") or 0)
    )


def _read_grade(written: Mapping[str, Any]) -> Grade | None:
    span = _read_span(written)
    if span is None:
        return None
    took = written.get("tookSeconds")
    return Grade(
        span=span,
        took=int(took) if took is not None else None,
        changes=int(written.get("changes") or 0),
        within=int(written.get("within") or 0),
    )


def _read_budget(cluster_set: Body | None, total: int) -> int | None:
    if cluster_set is None:
        return None
    try:
        return Share.parse(((cluster_set.get("spec") or {}).get("upgrade") or {}).get("failureBudget", 0)).of(total)
    except ValueError:
        return None


def _count(rollout: Body) -> dict[str, int]:
    counts = (rollout.get("status") or {}).get("counts") or {}
    members = sum(len(wave.get("clusters") or ()) for wave in (rollout.get("spec") or {}).get("waves") or ())
    known = {word: int(counts.get(word) or 0) for word in ("done", "failed", "reverted", "skipped")}
    return {"total": int(counts.get("total") or members), **known}


def _is_moving(rollout: Body, children: Mapping[str, Body]) -> bool:
    """Say whether a change for this rollout is under way, or a way back is about to begin."""
    status = rollout.get("status") or {}
    if any(row.get("state") in MOVING for row in status.get("rows") or ()):
        return True
    for child in children.values():
        operation = (child.get("status") or {}).get("operation") or {}
        if operation.get("rollout") == rollout["metadata"]["name"] and operation.get("state") != "Failed":
            return True
    return str(status.get("message", "")).startswith("halted, reverting")


def _build_waves(
    rollout: Body, children: Mapping[str, Body], gates: Sequence[Gate], counts: Mapping[str, int]
) -> tuple[Wave, ...]:
    spec, status = rollout.get("spec") or {}, rollout.get("status") or {}
    told: Mapping[Any, Body] = {wave.get("name"): wave for wave in status.get("waves") or ()}
    prefix = f"{read_set_name(rollout)}--"
    rows = [{**row, "cluster": str(row.get("cluster", "")).removeprefix(prefix)} for row in status.get("rows") or ()]
    finished = sum(counts[word] for word in ("done", "failed", "reverted", "skipped"))
    unfinished = counts["total"] - finished
    waves = []
    for wave in spec.get("waves") or ():
        stands = told.get(wave["name"]) or {}
        state = str(stands.get("state") or "Waiting")
        clusters = tuple(str(name) for name in wave.get("clusters") or ())
        mine = [row for row in rows if row.get("wave") == wave["name"] and row["cluster"] in clusters]
        open_rows = [row for row in mine if row.get("state") not in ENDED_BADLY]
        left = _count_left(state, len(clusters), len(open_rows), unfinished, partial=len(rows) >= ROWS_LIMIT)
        unfinished -= left
        shown = tuple(_build_row(row, children.get(row["cluster"])) for row in mine)
        if state == "Waiting":
            shown = tuple(row for row in shown if row.state in ENDED_BADLY | MOVING)
        waves.append(
            Wave(
                name=wave["name"],
                state=state,
                clusters=clusters,
                finished=len(clusters) - left,
                share=_measure(len(clusters), left, shown),
                soak_seconds=int(wave.get("soakSeconds") or 0),
                soak_until=read_time(stands.get("soakUntil")),
                rows=shown,
                unlisted=max(0, left - len(open_rows)) if state != "Waiting" else 0,
                gates=tuple(gate for gate in gates if gate.wave == wave["name"]),
                took=_list_took(rollout, clusters, mine, children) if state != "Waiting" else {},
            )
        )
    return tuple(waves)


def _count_left(state: str, members: int, rows: int, unfinished: int, *, partial: bool) -> int:
    """Count a wave's unfinished members: its rows, unless the status could not hold them all."""
    if state == "Done":
        return 0
    if state == "Waiting":
        return members
    return min(members, max(rows, unfinished)) if partial else rows


def _measure(members: int, left: int, rows: Sequence[Row]) -> float:
    """Say how much of a wave's work is done: who is in the middle counts by steps."""
    if not members:
        return 1.0
    begun = 0.0
    for row in rows:
        if row.state == "Verifying":
            begun += VERIFYING_SHARE
        elif row.state == "Changing" and row.steps_total:
            begun += VERIFYING_SHARE * row.steps_done / row.steps_total
    return min(1.0, (members - left + begun) / members)


def _build_row(row: Body, child: Body | None) -> Row:
    state = str(row.get("state") or "Pending")
    operation = ((child or {}).get("status") or {}).get("operation") or {}
    message = str(row.get("message", ""))
    if state not in MOVING or operation.get("state") == "Failed" or not operation:
        span = _read_span(row.get("forecast") or {})
        return Row(cluster=row["cluster"], state=state, text=message, span=span)
    return Row(
        cluster=row["cluster"],
        state=state,
        text=str(operation.get("step") or message),
        steps_done=int(operation.get("stepsDone") or 0),
        steps_total=int(operation.get("stepsTotal") or 0),
        began=read_time(operation.get("startedTime")),
        span=_read_span({**operation, "seconds": operation.get("expectedSeconds")}),
    )


def _list_took(
    rollout: Body, clusters: Sequence[str], rows: Sequence[Body], children: Mapping[str, Body]
) -> dict[str, int]:
    """Return how long members took that are done: all hops of this rollout together, where children remember."""
    name, began = rollout["metadata"]["name"], read_time(rollout["metadata"].get("creationTimestamp"))
    not_done = {row["cluster"] for row in rows}
    took: dict[str, int] = {}
    for cluster in clusters:
        if cluster in not_done:
            continue
        status = (children.get(cluster) or {}).get("status") or {}
        entries = [
            entry
            for entry in status.get("history") or ()
            if entry.get("type") == "Change" and _is_of(entry, name, began) and entry.get("seconds") is not None
        ]
        if entries:
            took[cluster] = sum(int(entry["seconds"]) for entry in entries)
    return took


def _is_of(entry: Mapping[str, Any], rollout: str, began: datetime | None) -> bool:
    """Say whether a change was made for a rollout; an operator that does not say so is taken at its times."""
    if entry.get("rollout"):
        return bool(entry["rollout"] == rollout)
    started = read_time(entry.get("startedTime"))
    return began is not None and started is not None and started >= began - timedelta(seconds=1)


def _list_next(state: str, waves: Sequence[Wave]) -> tuple[str, ...]:
    """List what comes after what happens now, as far as it is known."""
    if state in OVER:
        return ()
    coming: list[str] = []
    ahead = [wave for wave in waves if wave.state != "Done"]
    for wave in ahead[:1]:
        pending = [row.cluster for row in wave.rows if row.state in {"Preflight", "Held", "Pending"}]
        begun = wave.state != "Waiting"
        if begun and (pending or wave.unlisted):
            coming.append(name_few(pending, more=wave.unlisted))
        if not begun:
            coming.append(f"wave {wave.name} begins")
        if wave.soak_seconds and wave.soak_until is None:
            coming.append(f"soak {describe_seconds(wave.soak_seconds)}")
        coming += [f"gate {gate.name} ({gate.kind or 'unknown'})" for gate in wave.gates if gate.state == ""]
    for wave in ahead[1:2]:
        clusters = f"{len(wave.clusters)} clusters" if len(wave.clusters) > 1 else wave.clusters[0]
        coming.append(f"wave {wave.name} ({clusters})" if wave.clusters else f"wave {wave.name}")
    if len(ahead) > 2:
        coming.append(f"{len(ahead) - 2} more wave{'s' if len(ahead) > 3 else ''}")
    return (*coming, "done")


def name_few(names: Sequence[str], *, more: int = 0, shown: int = 3) -> str:
    """Name some things and count the rest."""
    rest = len(names[shown:]) + more
    told = ", ".join(names[:shown])
    if not rest:
        return told
    return f"{told} and {rest} more" if told else f"{rest} more"
