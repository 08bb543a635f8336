"""Status of a Rollout: small, with the unfinished rows only; the truth about one cluster is its ChildCluster."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import Condition, common, format_time, no, parse_time, settle, yes
from atoll.fleet.decisions import Forecast, Proposal, RolloutProgress, RolloutRow, WaveStatus
from atoll.fleet.names import HOLD
from atoll.fleet.observed import Rollout
from atoll.fleet.values import thaw
from atoll.rollout.audit_entries import ROW_MESSAGE
from atoll.rollout.rows import shorten
from atoll.rollout.stored import OVER

ROWS_LIMIT: Final = 20
PROPOSALS_LIMIT: Final = 5
FINISHED: Final = frozenset({"Done", "Skipped", "Reverted"})


def summarise_rollout(rollout: Rollout, progress: RolloutProgress, now: datetime) -> dict[str, Any]:
    """Say how a rollout goes."""
    counts = Counter(row.state for row in progress.rows)
    # Failures come first: of many rows twenty are kept, and a forgotten failure would be tried again. Who went back
    # stays in the list with the cause.
    unfinished = sorted(
        (row for row in progress.rows if row.state not in {"Done", "Skipped"}),
        key=lambda row: row.state not in {"Failed", "Reverted"},
    )
    status: dict[str, Any] = {
        "observedGeneration": rollout.meta.generation,
        "state": progress.state,
        "message": progress.message[:1024],
        "waves": [_write_wave(wave) for wave in progress.waves],
        "counts": {
            "total": len(progress.rows),
            "pending": counts["Pending"] + counts["Preflight"],
            "done": counts["Done"],
            "changing": counts["Changing"] + counts["Verifying"],
            "failed": counts["Failed"],
            "held": counts["Held"],
            "skipped": counts["Skipped"],
            "reverted": counts["Reverted"],
        },
    }
    if "auditHead" in rollout.status:
        # Whoever writes the status puts the head there that the record has then.
        status["auditHead"] = rollout.status["auditHead"]
    if unfinished:
        status["rows"] = [_write_row(row) for row in unfinished[:ROWS_LIMIT]]
    status.update(_write_times(rollout, progress, now))
    if progress.proposals:
        status["proposals"] = [_write_proposal(rollout, item) for item in progress.proposals[:PROPOSALS_LIMIT]]
    ready = _ready(progress)
    available = yes("Available", reasons.AVAILABLE)
    paused = progress.message if progress.state == "Paused" else ""
    working = "" if ready.status == "True" else progress.message
    conditions = common(ready=ready, available=available, paused=paused, working=working)
    status["conditions"] = settle(conditions, rollout.status.get("conditions", ()), rollout.meta.generation, now)
    if progress.forecast is not None:
        status["forecast"] = _write_forecast(rollout, progress.forecast, status, now)
    return status


def _write_times(rollout: Rollout, progress: RolloutProgress, now: datetime) -> dict[str, Any]:
    """Say when it began and ended, and how the first forecast was kept."""
    written: dict[str, Any] = {}
    started = rollout.meta.creation_time
    before = rollout.status
    if started is not None:
        written["startedTime"] = format_time(started)
    ended = before.get("completedTime")
    if progress.state in OVER and ended is None:
        ended = format_time(now)
    if progress.state in OVER:
        written["completedTime"] = ended
    grade = progress.grade
    if grade is None:
        return {**written, "grade": thaw(before["grade"])} if "grade" in before else written
    written["grade"] = {**_write_range(grade.first), "changes": grade.changes, "within": grade.within}
    if ended is not None and started is not None and progress.state in OVER:
        written["grade"]["tookSeconds"] = max(0, int((parse_time(ended) - started).total_seconds()))
    return written


def _write_forecast(rollout: Rollout, forecast: Forecast, status: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Keep the forecast that stands there while nothing else has changed: time alone is no news."""
    stored = thaw(rollout.status)
    before = stored.pop("forecast", None)
    if before is not None and stored == status:
        kept: dict[str, Any] = before
        return kept
    return {**_write_range(forecast), "endTime": format_time(now + timedelta(seconds=forecast.seconds))}


def _write_proposal(rollout: Rollout, proposal: Proposal) -> dict[str, Any]:
    names = ", ".join(proposal.matching[:3]) + (" and others" if len(proposal.matching) > 3 else "")
    message = (
        f"every failed member ({proposal.failed}) has {proposal.label}, and none of {proposal.arrived} that arrived; "
        f"still to come with it: {names}. To hold them: kubectl annotate rollout.atoll.dev {rollout.meta.name} "
        f"-n {rollout.meta.namespace} {HOLD}={proposal.label}"
    )
    return {"label": proposal.label, "matching": len(proposal.matching), "message": message[:1024]}


def _write_range(forecast: Forecast) -> dict[str, Any]:
    return {"seconds": forecast.seconds, "lowSeconds": forecast.low, "highSeconds": forecast.high}


def _write_row(row: RolloutRow) -> dict[str, Any]:
    written: dict[str, Any] = {
        "cluster": row.cluster,
        "wave": row.wave,
        "state": row.state,
        # Why a member failed stands at the end, and is read back from here.
        "message": shorten(row.message, ROW_MESSAGE),
    }
    if row.forecast is not None:
        written["forecast"] = {"hops": row.hops, **_write_range(row.forecast)}
    return written


def _write_wave(wave: WaveStatus) -> dict[str, Any]:
    written: dict[str, Any] = {"name": wave.name, "state": wave.state}
    if wave.started_time is not None:
        written["startedTime"] = format_time(wave.started_time)
    if wave.soak_until is not None:
        written["soakUntil"] = format_time(wave.soak_until)
    if wave.gates:
        written["gates"] = [thaw(gate) for gate in wave.gates]
    return written


def _ready(progress: RolloutProgress) -> Condition:
    if progress.state == "Done":
        return yes("Ready", reasons.UP_TO_DATE, progress.message)
    if progress.state in {"Superseded", "Reverted"}:
        return no("Ready", reasons.ROLLOUT_ABORTED if progress.state == "Reverted" else "Superseded", progress.message)
    if progress.state == "Halted":
        return no("Ready", reasons.ROLLOUT_HALTED, progress.message)
    if progress.state == "Aborted":
        return no("Ready", reasons.ROLLOUT_ABORTED, progress.message)
    return no("Ready", _say_wait(progress), progress.message)


def _say_wait(progress: RolloutProgress) -> str:
    """Say in one word what a rollout waits for, by the wave whose turn it is."""
    wave = next((item for item in progress.waves if item.state != "Done"), None)
    if wave is not None and wave.state == "Soaking":
        return reasons.SOAKING
    if wave is not None and wave.state == "Held" and any(gate["state"] != "Open" for gate in wave.gates):
        return reasons.GATE_CLOSED
    return reasons.ROLLING_OUT
