"""What a rollout's status remembers, read back: so that a restart forgets nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from atoll.fleet.conditions import read_time
from atoll.fleet.decisions import Forecast
from atoll.fleet.observed import Rollout
from atoll.fleet.spec import ClusterSet

UNFINISHED: Final = frozenset({"", "Running", "Paused"})
"""States of a rollout that may still start something."""

BLOCKING: Final = frozenset({"Halted", "Aborted", "Reverted"})
"""States that block successors with the same target and retry."""

OVER: Final = BLOCKING | {"Done", "Superseded"}
"""States in which a rollout begins nothing more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredGate:
    """One gate as it was last written down."""

    state: str
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWave:
    """One wave as it was last written down."""

    state: str = "Waiting"
    started_time: datetime | None = None
    soak_until: datetime | None = None
    gates: Mapping[str, StoredGate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A rollout as it was last written down."""

    state: str = ""
    """Empty: nothing was written yet."""
    waves: Mapping[str, StoredWave] = field(default_factory=dict)
    first_forecast: Forecast | None = None
    """What was said when it began."""
    failed: Mapping[str, str] = field(default_factory=dict)
    """Messages of the rows that had failed, reverted ones too, by member."""

    def wave(self, name: str) -> StoredWave:
        """Return what is known of a wave."""
        return self.waves.get(name, StoredWave())


def read_stored(rollout: Rollout) -> Stored:
    """Read a rollout's status back. What cannot be read counts as not written."""
    status = rollout.status
    prefix = f"{rollout.set_name}--"
    return Stored(
        state=str(status.get("state", "")),
        first_forecast=_read_first(status.get("grade")),
        waves={
            str(wave.get("name", "")): StoredWave(
                state=str(wave.get("state", "Waiting")),
                started_time=read_time(wave.get("startedTime")),
                soak_until=read_time(wave.get("soakUntil")),
                gates={
                    str(gate.get("name", "")): StoredGate(
                        state=str(gate.get("state", "")), message=str(gate.get("message", ""))
                    )
                    for gate in wave.get("gates") or ()
                },
            )
            for wave in status.get("waves") or ()
        },
        failed={
            str(row.get("cluster", "")).removeprefix(prefix): str(row.get("message", ""))
            for row in status.get("rows") or ()
            if row.get("state") in {"Failed", "Reverted"}
        },
    )


def rollout_number(name: str, set_name: str) -> int:
    """Return n of `<set>-<n>`, 0 for a name of another shape."""
    match = re.fullmatch(rf"{re.escape(set_name)}-(\d+)", name)
    return int(match.group(1)) if match else 0


def next_number(cluster_set: ClusterSet, rollouts: tuple[Rollout, ...]) -> int:
    """Return a number that no rollout of the set has had, as far as objects and the set's status remember."""
    history: tuple[Mapping[str, Any], ...] = cluster_set.status.get("history") or ()
    names = [rollout.meta.name for rollout in rollouts]
    names += [str(entry.get("rollout", "")) for entry in history]
    names.append(str(cluster_set.status.get("currentRollout", "")))
    return 1 + max(rollout_number(name, cluster_set.meta.name) for name in names)


def _read_first(grade: Mapping[str, Any] | None) -> Forecast | None:
    if not grade or "highSeconds" not in grade:
        return None
    return Forecast(seconds=grade.get("seconds", 0), low=grade.get("lowSeconds", 0), high=grade["highSeconds"])
