"""Rules about changes that cannot be obeyed as they stand: then nothing is begun, and nobody's rule is broken."""

from __future__ import annotations

from collections.abc import Iterator

from atoll.fleet import reasons
from atoll.fleet.decisions import Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Window

from .windows import check_window


def find_missing_regimes(fleet: Fleet, cluster_set: ClusterSet) -> tuple[str, ...]:
    """List attested regimes that are not there, so that revisions cannot be known."""
    return tuple(name for name in _attested(cluster_set) if fleet.regime(name) is None)


def find_restriction(fleet: Fleet, cluster_set: ClusterSet) -> Problem | None:
    """Return the first rule about changes that cannot be obeyed, so that nothing is begun."""
    for source, path, windows in _list_windows(fleet, cluster_set):
        for window in windows:
            wrong = check_window(window)
            if wrong:
                return _problem(
                    cluster_set, path, reasons.INVALID_SPEC, f"{source}: {wrong}; nothing is changed until then"
                )
    info = fleet.providers.get(cluster_set.provider.kind)
    if info is not None and not info.has_nodes:
        for wave in cluster_set.upgrade.waves:
            for gate in wave.gates:
                if gate.kind == "job":
                    path = f"spec.upgrade.waves[{wave.name}].gates[{gate.name}].job"
                    message = (
                        f"{path}: clusters of provider {cluster_set.provider.kind} have no nodes that a Job could run "
                        "on, so the gate would never open. Remove it, or use a metric or an approval"
                    )
                    return _problem(cluster_set, path, reasons.INVALID_SPEC, message)
    return None


def _list_windows(fleet: Fleet, cluster_set: ClusterSet) -> Iterator[tuple[str, str, tuple[Window, ...]]]:
    yield "spec.upgrade.windows", "spec.upgrade.windows", cluster_set.upgrade.windows
    for name in _attested(cluster_set):
        regime = fleet.regime(name)
        if regime is not None:
            yield f"spec.upgrade.windows of Regime {name}", "spec.regimes", regime.upgrade.windows


def _problem(cluster_set: ClusterSet, path: str, reason: str, message: str) -> Problem:
    return Problem(kind="ClusterSet", name=cluster_set.meta.name, path=path, reason=reason, message=message)


def _attested(cluster_set: ClusterSet) -> tuple[str, ...]:
    return tuple(sorted({*cluster_set.regimes, *(name for member in cluster_set.members for name in member.regimes)}))
