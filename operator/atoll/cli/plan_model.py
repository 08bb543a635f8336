"""What a plan says, as the JSON object that scripts rely on (docs/reference/cli.md). Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from atoll.decision.decide import Decision
from atoll.fleet import reasons
from atoll.fleet.decisions import Patch, Placement, Refusal, Unplaced
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import thaw
from atoll.placement import explain

from .documents import Fault, name_object
from .plan_clusters import build_cluster_rows
from .plan_hosts import build_host_rows
from .plan_rollouts import build_rollout_rows

NEAREST: Final = 5
"""How many refused clusters are shown of each unplaced namespace."""
SAID_ELSEWHERE: Final = frozenset({reasons.UNPLACED})
"""Reasons of problems that stand under `refusals`, and are no errors: the rest of the plan holds."""

Row = dict[str, Any]


def summarise_plan(
    fleets: Sequence[tuple[Fleet, Decision]],
    faults: Iterable[Fault] = (),
    *,
    everything: bool = False,
) -> dict[str, Any]:
    """Build the plan of all fleets; `everything`: every refused cluster, not only the nearest."""
    ordered = sorted(fleets, key=lambda pair: pair[0].name)
    plan: dict[str, Any] = {
        "clusters": [row for fleet, decision in ordered for row in build_cluster_rows(fleet, decision)],
        "placements": [row for fleet, decision in ordered for row in _placement_rows(fleet, decision)],
        "moves": [row for fleet, decision in ordered for row in _move_rows(fleet, decision)],
        "hosts": [row for fleet, decision in ordered for row in build_host_rows(fleet, decision)],
        "rollouts": [row for fleet, decision in ordered for row in build_rollout_rows(fleet, decision)],
        "refusals": [row for fleet, decision in ordered for row in _refusal_rows(fleet, decision, everything)],
        "unplaced": [row for fleet, decision in ordered for row in _unplaced_rows(fleet, decision)],
        "errors": _error_rows(ordered, faults),
    }
    return {**plan, "summary": _summarise(plan, ordered)}


def choose_exit_code(plan: Mapping[str, Any]) -> int:
    """Choose 0 when there is nothing to do, 1 for changes or refusals, 2 for errors."""
    if plan["errors"]:
        return 2
    counts = plan["summary"]
    busy = ("create", "change", "delete", "detach", "place", "move", "refused")
    return 1 if any(counts[key] for key in busy) else 0


def _placement_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Gather placements by tenant, environment and cluster; places that are being left stand under moves."""
    grouped: dict[tuple[str, str, str], list[Placement]] = {}
    for placement in decision.placement.placements:
        if placement.state != "Leaving":
            grouped.setdefault((placement.tenant, placement.environment, placement.cluster), []).append(placement)
    regimes_of = _regimes_in_force(fleet, decision)
    return [
        {
            "namespace": fleet.name,
            "tenant": tenant,
            "environment": environment,
            "namespaces": sorted(placement.namespace for placement in places),
            "cluster": cluster,
            "isolation": str(places[0].isolation),
            "regimes": regimes_of(tenant, environment, cluster),
            "state": next((place.state for place in places if place.state != "Placed"), "Placed"),
            "reason": places[0].reason,
        }
        for (tenant, environment, cluster), places in sorted(grouped.items())
    ]


def _regimes_in_force(fleet: Fleet, decision: Decision) -> Callable[[str, str, str], list[str]]:
    """Return what is demanded and what is attested, together, by tenant, environment and cluster: all is enforced."""
    asking = {item.meta.name: item.regimes for item in fleet.tenants}
    stages = {item.meta.name: item.regimes for item in fleet.environments}
    attested = {candidate.cluster: candidate.regimes for candidate in decision.candidates}
    return lambda tenant, environment, cluster: sorted(
        {*asking.get(tenant, ()), *stages.get(environment, ()), *attested.get(cluster, ())}
    )


def _move_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Tell of each move from where to where it goes; `to` is null while it waits, and the reason says for what."""
    return [
        {
            "namespace": fleet.name,
            "tenant": move.tenant,
            "environment": move.environment,
            "namespaces": list(move.namespaces),
            "from": move.origin,
            "to": move.target or None,
            "rule": move.rule,
            "reason": move.reason,
        }
        for move in decision.placement.moves
    ]


def _refusal_rows(fleet: Fleet, decision: Decision, everything: bool) -> list[Row]:
    rows = []
    ordered = sorted(decision.placement.unplaced, key=lambda item: (item.tenant, item.environment, item.namespaces))
    for unplaced in ordered:
        nearest = _every_refusal(fleet, decision, unplaced) if everything else unplaced.refusals[:NEAREST]
        rows += [_refusal_row(fleet, refusal) for refusal in nearest] or [_homeless_row(fleet, unplaced)]
    return rows


def _every_refusal(fleet: Fleet, decision: Decision, unplaced: Unplaced) -> tuple[Refusal, ...]:
    found = explain(fleet, decision.candidates, decision.placement, unplaced.tenant, unplaced.environment)
    return tuple(refusal for refusal in found if refusal.namespaces == unplaced.namespaces)


def _unplaced_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Tell of each tenant that fits nowhere how many clusters refused, and by which rule."""
    return [
        {
            "namespace": fleet.name,
            "tenant": unplaced.tenant,
            "environment": unplaced.environment,
            "namespaces": list(unplaced.namespaces),
            "counts": dict(sorted(unplaced.counts.items())),
            "message": unplaced.message,
        }
        for unplaced in sorted(
            decision.placement.unplaced, key=lambda item: (item.tenant, item.environment, item.namespaces)
        )
    ]


def _refusal_row(fleet: Fleet, refusal: Refusal) -> Row:
    return {
        "namespace": fleet.name,
        "tenant": refusal.tenant,
        "environment": refusal.environment,
        "namespaces": list(refusal.namespaces),
        "cluster": refusal.cluster,
        "rule": refusal.rule,
        "message": refusal.message,
        "remedy": refusal.remedy,
        "patches": [write_patch(patch) for patch in refusal.patches],
    }


def write_patch(patch: Patch) -> Row:
    """Write one edit as scripts read it."""
    return {"kind": patch.kind, "name": patch.name, "path": patch.path, "value": thaw(patch.value)}


def _homeless_row(fleet: Fleet, unplaced: Unplaced) -> Row:
    """Tell that no cluster was even asked: there is none, or no such environment."""
    return {
        "namespace": fleet.name,
        "tenant": unplaced.tenant,
        "environment": unplaced.environment,
        "namespaces": list(unplaced.namespaces),
        "cluster": None,
        "rule": next(iter(unplaced.counts), "none"),
        "message": unplaced.message or "the fleet has no cluster",
        "remedy": "",
        "patches": [],
    }


def _error_rows(fleets: Sequence[tuple[Fleet, Decision]], faults: Iterable[Fault]) -> list[Row]:
    rows = [
        {"namespace": fault.namespace, "object": fault.object, "field": fault.field, "message": fault.message}
        for fault in faults
    ]
    for fleet, decision in fleets:
        refused = {item.tenant for item in decision.placement.unplaced}
        rows += [_error_row(fleet, bad.kind, bad.name, bad.path, bad.message) for bad in fleet.invalid]
        rows += [
            _error_row(fleet, problem.kind, problem.name, problem.path, problem.message)
            for problem in decision.problems
            if not (problem.reason in SAID_ELSEWHERE and problem.kind == "Tenant" and problem.name in refused)
        ]
    unique = {tuple(row.items()): row for row in rows}
    return sorted(unique.values(), key=lambda row: (row["namespace"], row["object"], row["field"], row["message"]))


def _error_row(fleet: Fleet, kind: str, name: str, path: str, message: str) -> Row:
    return {"namespace": fleet.name, "object": name_object(kind, name), "field": path, "message": message}


def _summarise(plan: Mapping[str, Any], fleets: Sequence[tuple[Fleet, Decision]]) -> dict[str, int]:
    """Count what would happen; `place`: namespaces that are not on their cluster yet."""
    actions = [row["action"] for row in plan["clusters"]]
    counts = {action: actions.count(action) for action in ("create", "change", "delete", "detach", "none")}
    pending = sum(place.state == "Pending" for _, decision in fleets for place in decision.placement.placements)
    refused = sum(len(item.namespaces) for _, decision in fleets for item in decision.placement.unplaced)
    return {
        **counts,
        "place": pending,
        "move": len(plan["moves"]),
        "refused": refused,
        "errors": len(plan["errors"]),
    }
