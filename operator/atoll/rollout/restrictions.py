"""What this version of Atoll cannot obey yet. It holds instead of passing over it: nobody's rule is ever broken."""

from __future__ import annotations

from collections.abc import Mapping

from atoll.fleet import reasons
from atoll.fleet.decisions import Problem
from atoll.fleet.observed import RolloutWave
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet


def find_missing_regimes(fleet: Fleet, cluster_set: ClusterSet) -> tuple[str, ...]:
    """List attested regimes that are not there, so that revisions cannot be known."""
    return tuple(name for name in _attested(cluster_set) if fleet.regime(name) is None)


def find_restriction(fleet: Fleet, cluster_set: ClusterSet) -> Problem | None:
    """Return the first rule about changes that cannot be obeyed yet."""
    if cluster_set.upgrade.windows:
        return Problem(
            kind="ClusterSet",
            name=cluster_set.meta.name,
            path="spec.upgrade.windows",
            reason=reasons.NOT_IMPLEMENTED,
            message="spec.upgrade.windows is not supported by this version of Atoll, so nothing is changed "
            "at any time. Remove it to go on.",
        )
    for name in _attested(cluster_set):
        regime = fleet.regime(name)
        if regime is None:
            continue
        if any(regime.upgrade.values()):
            return Problem(
                kind="ClusterSet",
                name=cluster_set.meta.name,
                path="spec.regimes",
                reason=reasons.NOT_IMPLEMENTED,
                message=f"spec.upgrade of Regime {name} is not supported by this version of Atoll, so no cluster that "
                "is attested for it is changed. Remove it from the Regime to go on.",
            )
    return None


def list_closed_gates(cluster_set: ClusterSet, wave: RolloutWave) -> tuple[Mapping[str, str], ...]:
    """List a frozen wave's gates that stand in the spec still: all closed, because none can be judged yet."""
    declared = next((item for item in cluster_set.upgrade.waves if item.name == wave.name), None)
    kinds = {gate.name: gate.kind for gate in declared.gates} if declared is not None else {}
    return tuple(
        {
            "name": name,
            "state": "Closed",
            "message": f"gate {name} ({kinds[name]}) is not supported by this version of Atoll; it stays closed. "
            f"Remove it from spec.upgrade.waves[{wave.name}].gates to go on",
        }
        for name in wave.gates
        if name in kinds
    )


def _attested(cluster_set: ClusterSet) -> tuple[str, ...]:
    return tuple(sorted({*cluster_set.regimes, *(name for member in cluster_set.members for name in member.regimes)}))
