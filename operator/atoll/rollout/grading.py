"""Forecasts of a rollout and of its rows, and how they were kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from atoll.fleet.cluster import OperationType
from atoll.fleet.decisions import Forecast, Grade, NewRollout, RolloutRow, WaveStatus
from atoll.fleet.observed import ChildCluster
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet

from .estimates import Estimate, Estimates, forecast_waves
from .hops import plan_hops
from .rows import Course, Verdict
from .states import FINISHED, MOVING
from .walk import Walk


def forecast_rollout(course: Course, walk: Walk) -> Forecast:
    """Say how long what is left of a rollout will take, from now, waiting for windows included."""
    estimates: dict[str, Estimate] = {}
    spent: dict[str, float] = {}
    for verdict in walk.verdicts:
        child = verdict.child
        if child is None or verdict.row.state in FINISHED:
            continue
        estimates[verdict.row.cluster] = verdict.estimate or course.estimates.of(child, _count_hops(course, child))
        if verdict.row.state in MOVING and child.operation is not None:
            spent[verdict.row.cluster] = max(0.0, (course.now - child.operation.started_time).total_seconds())
    set_limit = course.cluster_set.upgrade.max_concurrent.of(len(course.cluster_set.members), least=1)
    left = forecast_waves(
        tuple(zip(course.rollout.waves, walk.waves, strict=True)),
        [verdict.row for verdict in walk.verdicts],
        estimates,
        set_limit,
        spent=spent,
        waits=_list_waits(course, walk.verdicts),
    )
    return to_forecast(left)


def forecast_new(fleet: Fleet, cluster_set: ClusterSet, new: NewRollout) -> tuple[Forecast, Mapping[str, Forecast]]:
    """Say how long a rollout that has not begun will take, and each of its members by name, windows left out."""
    estimates = Estimates.of_set(fleet, cluster_set.meta.name, cluster_set.provider.kind)
    members: dict[str, Estimate] = {}
    rows = []
    for wave in new.waves:
        for name in wave.clusters:
            child = fleet.child(cluster_set.child_name(name))
            way = plan_hops(child.version, new.target_version, ()) if child is not None else None
            members[name] = estimates.of(child, len(way) if isinstance(way, tuple) else 1)
            rows.append(RolloutRow(cluster=name, wave=wave.name, state="Pending"))
    waves = [(wave, WaveStatus(name=wave.name, state="Waiting")) for wave in new.waves]
    set_limit = cluster_set.upgrade.max_concurrent.of(len(cluster_set.members), least=1)
    whole = forecast_waves(waves, rows, members, set_limit)
    return to_forecast(whole), {name: to_forecast(estimate) for name, estimate in members.items()}


def forecast_rows(verdicts: Sequence[Verdict]) -> tuple[Verdict, ...]:
    """Say of each row that has not begun how far it has to go, and how long that will take."""
    return tuple(
        replace(verdict, row=replace(verdict.row, hops=verdict.hops, forecast=to_forecast(verdict.estimate)))
        if verdict.estimate is not None and verdict.row.state not in FINISHED | MOVING
        else verdict
        for verdict in verdicts
    )


def grade_rollout(course: Course, forecast: Forecast | None) -> Grade | None:
    """Keep the first forecast, and count how many changes of clusters kept theirs."""
    first = course.stored.first_forecast or forecast
    if first is None:
        return None
    entries = [
        entry
        for child in course.fleet.children_of(course.cluster_set.meta.name)
        for entry in child.history
        if _is_graded(entry, course.name)
    ]
    within = sum(1 for entry in entries if entry["lowSeconds"] <= entry.get("seconds", 0) <= entry["highSeconds"])
    return Grade(first=first, changes=len(entries), within=within)


def to_forecast(estimate: Estimate) -> Forecast:
    """Round to what statuses keep: whole seconds."""
    return Forecast(seconds=round(estimate.seconds), low=int(estimate.low), high=int(estimate.high) + 1)


def _is_graded(entry: Mapping[str, Any], rollout: str) -> bool:
    told = entry.get("type") == OperationType.CHANGE and entry.get("rollout") == rollout
    return told and entry.get("result") == "Succeeded" and bool(entry.get("highSeconds")) and "lowSeconds" in entry


def _count_hops(course: Course, child: ChildCluster) -> int:
    return max(1, 1 + course.rollout.target_version.minor - child.version.minor)


def _list_waits(course: Course, verdicts: Sequence[Verdict]) -> Mapping[str, float]:
    """Return how long each wave has to wait where nobody in it may begin before a window opens."""
    waits: dict[str, float] = {}
    for wave in course.rollout.waves:
        mine = [verdict for verdict in verdicts if verdict.row.wave == wave.name and verdict.row.state not in FINISHED]
        opens = [verdict.opens for verdict in mine if verdict.opens is not None]
        if opens and len(opens) == len(mine):
            waits[wave.name] = max(0.0, (min(opens) - course.now).total_seconds())
    return waits
