"""Status of Tenants, Environments and Regimes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import Condition, common, format_time, join_first, no, settle, yes
from atoll.fleet.decisions import Move, Placement, Problem, Unplaced
from atoll.fleet.spec import Environment, Regime, Tenant

NEAREST: Final = 5
CLUSTERS_LIMIT: Final = 50
UNPLACED_LIMIT: Final = 64
UNAVAILABLE: Final = "unavailable"
"""Rule of a cluster that is not there yet, or not now: the only refusal that passes by itself."""


def summarise_tenant(
    tenant: Tenant,
    placements: Sequence[Placement],
    unplaced: Sequence[Unplaced],
    problems: Sequence[Problem],
    *,
    pending_on: str,
    moves: Sequence[Move],
    drifted: Mapping[str, str],
    paused: str,
    now: datetime,
) -> dict[str, Any]:
    """Say where a tenant is, and where it is not and why. Its placements are the truth that the children follow.

    `drifted`: what has changed since it was placed, by ChildCluster.
    """
    status: dict[str, Any] = {"observedGeneration": tenant.meta.generation}
    if placements:
        status["placements"] = [_write_placement(placement, now) for placement in sorted(placements, key=_order)]
    if unplaced:
        rows = [_write_unplaced(entry, name) for entry in unplaced for name in entry.namespaces]
        status["unplaced"] = rows[:UNPLACED_LIMIT]
    ready = _tenant_ready(tenant, placements, unplaced, problems, pending_on, moves)
    usable = bool(placements) and all(placement.state == "Placed" for placement in placements if _counts(placement))
    available = (
        yes("Available", reasons.AVAILABLE) if usable and not unplaced else no("Available", ready.reason, ready.message)
    )
    if ready.status == "True":
        available = yes("Available", reasons.AVAILABLE)
    working = ready.message if ready.status != "True" else ""
    conditions = common(ready=ready, available=available, paused=paused, working=working)
    conditions += [_judge_compliance(placements, moves), _judge_drift(drifted)]
    status["conditions"] = settle(conditions, tenant.status.get("conditions", ()), tenant.meta.generation, now)
    return status


def _judge_compliance(placements: Sequence[Placement], moves: Sequence[Move]) -> Condition:
    """Say whether every place obeys the rules that bind for as long as somebody stands there."""
    broken = [placement for placement in placements if placement.rule]
    if not broken:
        return yes("Compliant", reasons.COMPLIANT)
    told = [move.reason for move in moves] or [
        f"{placement.namespace} on {placement.cluster} breaks rule {placement.rule}" for placement in broken
    ]
    return no("Compliant", reasons.NOT_COMPLIANT, join_first(told, NEAREST))


def _judge_drift(drifted: Mapping[str, str]) -> Condition:
    """Say what has changed that moves nobody: those rules bind when placing, and not later."""
    if not drifted:
        return no("PlacementDrifted", reasons.PLACED)
    told = [f"{cluster} {message}" for cluster, message in sorted(drifted.items())]
    return yes("PlacementDrifted", reasons.PLACEMENT_DRIFTED, join_first(told, NEAREST))


def _order(placement: Placement) -> tuple[str, str, str]:
    return placement.environment, placement.namespace, placement.cluster


def _counts(placement: Placement) -> bool:
    return placement.state != "Leaving"


def _write_placement(placement: Placement, now: datetime) -> dict[str, Any]:
    rule = {"rule": placement.rule} if placement.rule else {}
    return rule | {
        "environment": placement.environment,
        "namespace": placement.namespace,
        "cluster": placement.cluster,
        "isolation": str(placement.isolation),
        "state": placement.state,
        "since": format_time(placement.since or now),
        "reason": placement.reason[:256],
    }


def _write_unplaced(entry: Unplaced, namespace: str) -> dict[str, Any]:
    return {
        "environment": entry.environment,
        "namespace": namespace,
        "counts": dict(sorted(entry.counts.items())),
        "nearest": [
            {
                "cluster": refusal.cluster,
                "rule": refusal.rule,
                "message": refusal.message[:512],
                "remedy": refusal.remedy[:512],
            }
            for refusal in entry.refusals[:NEAREST]
        ],
    }


def _tenant_ready(
    tenant: Tenant,
    placements: Sequence[Placement],
    unplaced: Sequence[Unplaced],
    problems: Sequence[Problem],
    pending_on: str,
    moves: Sequence[Move],
) -> Condition:
    if problems:
        return no("Ready", problems[0].reason, problems[0].message)
    if tenant.meta.deleting:
        return no("Ready", reasons.DELETING, _leaving_message(placements))
    refused = [placement for placement in placements if placement.state == "Refused"]
    if refused:
        return no("Ready", reasons.NAMESPACE_TAKEN, refused[0].reason)
    if unplaced:
        first = unplaced[0]
        waiting = next((entry for entry in unplaced if _waits_for(entry)), None)
        if waiting is not None and all(_waits_for(entry) for entry in unplaced):
            return no(
                "Ready", reasons.PROGRESSING, f"environment {waiting.environment} waits for {_waits_for(waiting)}"
            )
        nearest = f" Nearest: {first.refusals[0].cluster}: {first.refusals[0].remedy}" if first.refusals else ""
        return no("Ready", reasons.UNPLACED, f"environment {first.environment} {first.message}.{nearest}")
    pending = [placement for placement in placements if placement.state == "Pending"]
    if pending:
        first_pending = pending[0]
        return no(
            "Ready",
            reasons.PROGRESSING,
            f"{first_pending.namespace} is being made on {first_pending.cluster}",
        )
    leaving = [placement for placement in placements if placement.state == "Leaving"]
    if leaving:
        return no("Ready", reasons.PROGRESSING, _leaving_message(leaving))
    if moves and any(placement.rule for placement in placements):
        return no("Ready", reasons.PROGRESSING, moves[0].reason)
    if pending_on:
        return no("Ready", reasons.PROGRESSING, f"its objects are being applied on {pending_on}")
    return yes("Ready", reasons.PLACED)


def _waits_for(entry: Unplaced) -> str:
    """Name a cluster that will take the namespaces as soon as it is available; empty when there is none."""
    return next(
        (refusal.cluster for refusal in entry.refusals if refusal.rule == UNAVAILABLE and refusal.broken == 1), ""
    )


def _leaving_message(placements: Sequence[Placement]) -> str:
    if not placements:
        return "its last traces are being removed"
    first = placements[0]
    if first.mark == "leaving":
        return (
            f"{first.namespace} has another place now, and leaves {first.cluster} when it holds no pods and no volume "
            f"claims there (or set annotation atoll.dev/release to {first.cluster}/{first.namespace})"
        )
    return f"{first.namespace} is leaving {first.cluster}"


def summarise_environment(
    environment: Environment,
    placements: Iterable[Placement],
    unplaced: Iterable[Unplaced],
    problems: Sequence[Problem],
    *,
    kept: Sequence[str],
    paused: str,
    now: datetime,
) -> dict[str, Any]:
    """Say what an environment holds. `kept`: clusters that it keeps for itself, whether it stands there or not."""
    mine = [placement for placement in placements if placement.environment == environment.meta.name]
    missing = [entry for entry in unplaced if entry.environment == environment.meta.name]
    clusters = sorted({*(placement.cluster for placement in mine), *kept})
    tenants = {placement.tenant for placement in mine}
    refused: Counter[str] = Counter()
    for entry in missing:
        refused.update(entry.counts)
    status: dict[str, Any] = {
        "observedGeneration": environment.meta.generation,
        "clusters": clusters[:CLUSTERS_LIMIT],
        "tenantCount": len(tenants),
    }
    if refused:
        status["refusedCounts"] = dict(sorted(refused.items()))
    if problems:
        ready = no("Ready", problems[0].reason, problems[0].message)
    elif environment.meta.deleting:
        reason = reasons.IN_USE if tenants else reasons.DELETING
        names = ", ".join(sorted(tenants)[:5])
        ready = no("Ready", reason, f"tenants are still in it: {names}; take it out of them first" if tenants else "")
    else:
        ready = yes("Ready", reasons.READY)
    available = yes("Available", reasons.AVAILABLE) if ready.status == "True" else no("Available", ready.reason)
    conditions = common(ready=ready, available=available, paused=paused, working=ready.message)
    status["conditions"] = settle(
        conditions, environment.status.get("conditions", ()), environment.meta.generation, now
    )
    return status


def summarise_regime(
    regime: Regime, *, demanded_by: int, attested_by: int, problems: Sequence[Problem], now: datetime
) -> dict[str, Any]:
    """Say who demands a regime and who is attested for it."""
    ready = no("Ready", problems[0].reason, problems[0].message) if problems else yes("Ready", reasons.READY)
    if regime.meta.deleting and demanded_by + attested_by:
        told = (
            f"{demanded_by} demand it and {attested_by} clusters or sets are attested for it; take it out of them first"
        )
        ready = no("Ready", reasons.IN_USE, told)
    available = yes("Available", reasons.AVAILABLE)
    conditions = common(ready=ready, available=available, working=ready.message)
    return {
        "observedGeneration": regime.meta.generation,
        "demandedBy": demanded_by,
        "attestedBy": attested_by,
        "conditions": settle(conditions, regime.status.get("conditions", ()), regime.meta.generation, now),
    }
