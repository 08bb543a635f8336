"""How long changes take, from what the clusters remember. Never from the clock."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from atoll.fleet.decisions import RolloutRow, WaveStatus
from atoll.fleet.observed import ChildCluster, RolloutWave

from .health import last_change

DEFAULT_SECONDS: Final = 40
"""How long a change takes where nothing is remembered."""
OVER: Final = frozenset({"Done", "Failed", "Reverted", "Skipped"})


def last_seconds(child: ChildCluster | None) -> float:
    """Return how long the child's last change took."""
    entry = last_change(child) if child is not None else None
    return float(entry.get("seconds", DEFAULT_SECONDS)) if entry is not None else float(DEFAULT_SECONDS)


def forecast_seconds(
    waves: Sequence[tuple[RolloutWave, WaveStatus]],
    rows: Sequence[RolloutRow],
    children: Mapping[str, ChildCluster],
    set_limit: int,
) -> int:
    """Return how much work is left: every wave as if it began now, its soak in full. `children`: by member name."""
    total = 0.0
    for wave, status in waves:
        if status.state == "Done":
            continue
        left = [
            _usual_seconds(children.get(row.cluster)) for row in rows if row.wave == wave.name and row.state not in OVER
        ]
        slots = [0.0] * max(1, min(wave.max_concurrent, set_limit))
        for seconds in sorted(left, reverse=True):
            heapq.heapreplace(slots, slots[0] + seconds)
        total += max(slots) + wave.soak_seconds
    return round(total)


def _usual_seconds(child: ChildCluster | None) -> float:
    known = [float(entry["seconds"]) for entry in child.history if entry.get("seconds")] if child is not None else []
    return median(known) if known else float(DEFAULT_SECONDS)
