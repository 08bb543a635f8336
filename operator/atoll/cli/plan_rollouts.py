"""What a plan says about each rollout that would begin: waves, gates, how long it takes, and the way back. Pure."""

from __future__ import annotations

from typing import Any

from atoll.decision.decide import Decision
from atoll.fleet.decisions import Forecast, NewRollout
from atoll.fleet.snapshot import Fleet
from atoll.rollout import describe_way_back, forecast_new

Row = dict[str, Any]


def build_rollout_rows(fleet: Fleet, decision: Decision) -> list[Row]:
    """Build one row for each rollout that would begin."""
    return [_row(fleet, new) for new in sorted(decision.rollout.new, key=lambda item: item.set_name)]


def _row(fleet: Fleet, new: NewRollout) -> Row:
    cluster_set = fleet.cluster_set(new.set_name)
    assert cluster_set is not None
    whole, members = forecast_new(fleet, cluster_set, new)
    return {
        "namespace": fleet.name,
        "clusterSet": new.set_name,
        "target": str(new.target_version),
        "waves": [
            {
                "name": wave.name,
                "clusters": list(wave.clusters),
                "maxConcurrent": wave.max_concurrent,
                "soakSeconds": wave.soak_seconds,
                "gates": list(wave.gates),
                "forecast": {name: _write(members[name]) for name in wave.clusters},
            }
            for wave in new.waves
        ],
        "forecast": _write(whole),
        "windows": [
            f"{window.cron} for {window.duration_minutes} min, {window.time_zone}"
            for window in cluster_set.upgrade.windows
        ],
        "wayBack": describe_way_back(cluster_set, fleet.providers.get(cluster_set.provider.kind)),
    }


def _write(forecast: Forecast) -> dict[str, int]:
    return {"seconds": forecast.seconds, "lowSeconds": forecast.low, "highSeconds": forecast.high}
