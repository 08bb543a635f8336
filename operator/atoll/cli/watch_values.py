"""What a picture of a rollout is made of: values that write themselves as JSON. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from atoll.rollout.stored import OVER

from .rollout_gates import Gate


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """How long something will probably take, or was expected to, in seconds."""

    seconds: int
    low: int = 0
    high: int = 0
    """0: nobody has said how far it may be off."""

    def to_json(self) -> dict[str, Any]:
        """Write it as statuses do."""
        return {"seconds": self.seconds, "lowSeconds": self.low, "highSeconds": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One member that is not done, or that failed."""

    cluster: str
    state: str
    text: str
    """What it does, waits for, or what went wrong."""
    steps_done: int = 0
    steps_total: int = 0
    """0: unknown."""
    began: datetime | None = None
    span: Span | None = None
    """How long its change takes: the one under way, or all that is ahead of it."""

    def to_json(self) -> dict[str, Any]:
        """Write it as scripts read it."""
        return {
            "cluster": self.cluster,
            "state": self.state,
            "text": self.text,
            "stepsDone": self.steps_done,
            "stepsTotal": self.steps_total,
            "startedTime": _write_time(self.began),
            "forecast": self.span.to_json() if self.span else None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """One wave."""

    name: str
    state: str
    """Running | Soaking | Held | Waiting | Done, as the status says."""
    clusters: tuple[str, ...]
    finished: int
    """How many of them need nothing more, failed ones included."""
    share: float
    """How much of the wave's work is done, from 0 to 1."""
    soak_seconds: int = 0
    soak_until: datetime | None = None
    rows: tuple[Row, ...] = ()
    unlisted: int = 0
    """Unfinished members that have no row, because the status holds twenty."""
    gates: tuple[Gate, ...] = ()
    took: Mapping[str, int] = field(default_factory=dict)
    """Seconds that members which are done took, by member, where they remember."""

    def to_json(self) -> dict[str, Any]:
        """Write it as scripts read it."""
        return {
            "name": self.name,
            "state": self.state,
            "clusters": list(self.clusters),
            "finished": self.finished,
            "share": round(self.share, 3),
            "soakUntil": _write_time(self.soak_until),
            "rows": [row.to_json() for row in self.rows],
            "gates": [
                {"name": gate.name, "kind": gate.kind, "state": gate.state, "message": gate.message}
                for gate in self.gates
            ],
            "tookSeconds": dict(self.took),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Grade:
    """The first forecast, and what came of it."""

    span: Span
    took: int | None
    changes: int
    """Changes of clusters that had been forecast."""
    within: int
    """How many of them took no less and no longer than their range."""

    def to_json(self) -> dict[str, Any]:
        """Write it as the status does."""
        return {**self.span.to_json(), "tookSeconds": self.took, "changes": self.changes, "within": self.within}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One rollout at one moment."""

    name: str
    set_name: str
    target: str
    state: str
    """Starting, before the operator has written anything; else the word of the status."""
    action: str
    message: str
    requested_by: str
    waves: tuple[Wave, ...]
    counts: Mapping[str, int]
    """total, done, failed, reverted, skipped."""
    budget: int | None
    """How many may fail; None: the ClusterSet is gone."""
    left: Span | None
    end: datetime | None
    """When it will probably be done."""
    grade: Grade | None
    began: datetime | None
    ended: datetime | None
    next: tuple[str, ...]
    """What happens after what happens now, in order."""
    proposals: tuple[str, ...] = ()
    """What failures so far suggest, and how to take it up."""
    is_last: bool = True
    """No later rollout of the set is there."""
    moving: bool = False
    """Somebody is still being changed, or goes back."""

    @property
    def is_over(self) -> bool:
        """Say whether nothing of it moves any more."""
        return self.state in OVER and not self.moving

    @property
    def wave(self) -> int:
        """Return the number of the wave whose turn it is, from 1; the last one's when all are through."""
        at = [index for index, wave in enumerate(self.waves, 1) if wave.state != "Done"]
        return at[0] if at else len(self.waves)

    @property
    def took(self) -> int | None:
        """Return how long it took, in seconds, where that is known."""
        if self.grade is not None and self.grade.took is not None:
            return self.grade.took
        return int((self.ended - self.began).total_seconds()) if self.began and self.ended else None

    def to_json(self) -> dict[str, Any]:
        """Write it as scripts read it."""
        forecast = {**(self.left.to_json() if self.left else {}), "endTime": _write_time(self.end)}
        return {
            "name": self.name,
            "clusterSet": self.set_name,
            "target": self.target,
            "state": self.state,
            "action": self.action,
            "message": self.message,
            "requestedBy": self.requested_by,
            "wave": self.wave,
            "waves": [wave.to_json() for wave in self.waves],
            "counts": dict(self.counts),
            "failureBudget": self.budget,
            "forecast": forecast if self.left or self.end else None,
            "grade": self.grade.to_json() if self.grade else None,
            "startedTime": _write_time(self.began),
            "completedTime": _write_time(self.ended),
            "tookSeconds": self.took,
            "next": list(self.next),
            "proposals": list(self.proposals),
        }


def _write_time(time: datetime | None) -> str | None:
    return time.isoformat().replace("+00:00", "Z") if time is not None else None
