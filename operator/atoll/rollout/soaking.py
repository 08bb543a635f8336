"""Soaking: a wave stays healthy for a time before it is over. An alert starts it again, evidence shortens it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from atoll.fleet.observed import RolloutWave

from .gates import OPEN, GateVerdict
from .health import is_known
from .rows import Course, Verdict
from .stored import StoredWave


@dataclass(frozen=True, slots=True, kw_only=True)
class Soak:
    """How a wave soaks now."""

    until: datetime | None = None
    """When it has soaked in full; None: it does not soak, or has to begin anew."""
    ends: datetime | None = None
    """When it is over as things stand: earlier, with evidence."""
    disturbed: str = ""
    """Why the wave is not over, whatever the time says."""


def judge_soak(
    course: Course,
    wave: RolloutWave,
    stored: StoredWave,
    verdicts: Sequence[Verdict],
    gates: Sequence[GateVerdict],
) -> Soak:
    """Say how long a wave soaks whose members are all through.

    A member that is seen to be ill, or a metric above its limit, takes back all that was soaked. What nobody can tell,
    as after a restart of the operator, neither counts as evidence nor starts anything again.
    """
    soaks = bool(wave.soak_seconds) and any(verdict.row.state in {"Done", "Failed"} for verdict in verdicts)
    ill = next((verdict for verdict in verdicts if verdict.illness), None)
    if ill is not None:
        seen = ill.child is not None and is_known(course.view(ill.child), course.now)
        again = "; its soak begins again then" if soaks and seen else ""
        told = f"wave {wave.name} is not over while {ill.row.cluster} is not well: {ill.illness}{again}"
        return Soak(until=None if seen else stored.soak_until, disturbed=told)
    if not soaks:
        return Soak()
    alert = next((gate for gate in gates if gate.alert), None)
    if alert is not None and (stored.soak_until is None or course.now < stored.soak_until):
        return Soak(disturbed=f"wave {wave.name} begins to soak again once this is over: {alert.message}")
    full = timedelta(seconds=wave.soak_seconds)
    until = stored.soak_until or _round_up(course.now + full)
    measured = [gate for gate in gates if gate.measured]
    if wave.min_soak_seconds is None or not measured or any(gate.state != OPEN for gate in measured):
        return Soak(until=until, ends=until)
    least = timedelta(seconds=min(wave.min_soak_seconds, wave.soak_seconds))
    return Soak(until=until, ends=until - full + least)


def _round_up(time: datetime) -> datetime:
    """Round up to whole seconds, as the API keeps them: a soak never ends early."""
    whole = time.replace(microsecond=0)
    return whole if whole == time else whole + timedelta(seconds=1)
