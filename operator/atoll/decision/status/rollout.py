"""Status of a Rollout: small, with the unfinished rows only; the truth about one cluster is its ChildCluster."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any, Final

from atoll.fleet import reasons
from atoll.fleet.conditions import Condition, common, format_time, no, settle, yes
from atoll.fleet.decisions import RolloutProgress, WaveStatus
from atoll.fleet.observed import Rollout
from atoll.fleet.values import thaw

ROWS_LIMIT: Final = 20
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
            "done": counts["Done"],
            "changing": counts["Changing"] + counts["Verifying"] + counts["Preflight"],
            "failed": counts["Failed"],
            "held": counts["Held"],
            "skipped": counts["Skipped"],
            "reverted": counts["Reverted"],
        },
    }
    if unfinished:
        status["rows"] = [
            {"cluster": row.cluster, "wave": row.wave, "state": row.state, "message": row.message[:512]}
            for row in unfinished[:ROWS_LIMIT]
        ]
    if progress.forecast_seconds is not None:
        status["forecast"] = {"seconds": progress.forecast_seconds}
    ready = _ready(progress)
    available = yes("Available", reasons.AVAILABLE)
    paused = progress.message if progress.state == "Paused" else ""
    working = "" if ready.status == "True" else progress.message
    conditions = common(ready=ready, available=available, paused=paused, working=working)
    status["conditions"] = settle(conditions, rollout.status.get("conditions", ()), rollout.meta.generation, now)
    return status


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
    return no("Ready", reasons.ROLLING_OUT, progress.message)
