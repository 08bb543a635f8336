"""How many clusters placing uses where it is free to choose, how long it takes, and what it moves later.

Aims: no more clusters than 1.01 × the best lower bound + 1; 2,000 tenants on 500 clusters within a second; no move
after a tenth of the tenants has been exchanged.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from atoll.api import convert
from atoll.fleet.decisions import Placement
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Tenant
from atoll.placement import build_candidates, place

from .measure import Report, Spread, contaminated_by_load, number, ratios
from .packing_fleets import CONFLICTS, Instance, build_instance
from .peer_packing import pack_first_fit, pack_most_free, solve_exactly

Found = TypeVar("Found")
NOW: Final = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SIZES: Final = (20, 200, 2_000)
FAMILIES: Final = ("mixed", "even")
EXACT_UP_TO: Final = 200
EXACT_SECONDS: Final = 15.0
SECONDS: Final = 1.0
REPEATS: Final = 3
CHURN: Final = 10
"""One tenant in so many is exchanged."""


def run(report: Report) -> None:
    """Pack all instances, beside others."""
    with contaminated_by_load(report):
        for family in FAMILIES:
            for count in SIZES:
                for resources in (2, 3):
                    for conflicts in CONFLICTS:
                        _pack(report, build_instance(family, count, resources, conflicts))


@dataclass(frozen=True, slots=True)
class _Peer:
    name: str
    used: int
    seconds: Spread


def _pack(report: Report, instance: Instance) -> None:
    fleet = _build_fleet(instance)
    bound = instance.bound()
    runs = [_take(lambda: _decide(fleet))]
    others = [_take(lambda: pack_first_fit(instance))]
    for _ in range(REPEATS - 1):
        runs.append(_take(lambda: _decide(fleet)))
        others.append(_take(lambda: pack_first_fit(instance)))
    ours, placements = Spread(tuple(seconds for seconds, _ in runs)), runs[0][1]
    first_fit = Spread(tuple(seconds for seconds, _ in others))
    used = instance.count_used(_read_homes(placements))
    peers = [
        _Peer("first fit", _count(instance, others[0][1]), first_fit),
        _measure_peer(instance, "most free first", pack_most_free),
    ]
    beside = ", ".join(f"{peer.name} {peer.used}" for peer in peers)
    report.row(instance.name, f"{used} clusters, at least {bound}", beside, ratio=(used - 1) / bound, aim=1.01)
    took = f"{ours.show('s')}, first fit {first_fit.show('s')}"
    limit = SECONDS if len(instance.sizes) == max(SIZES) else None
    report.row(
        "  seconds",
        took,
        f"{number(ratios(ours.values, first_fit.values).median)} × first fit",
        ratio=ours.median,
        aim=limit,
    )
    if len(instance.sizes) <= EXACT_UP_TO:
        _compare_exactly(report, instance, others[0][1])
    _churn(report, instance, fleet, placements)


def _compare_exactly(report: Report, instance: Instance, start: dict[int, int]) -> None:
    """Give the solver first fit to begin with, and the same bound that ours is judged by."""
    found, least, proved, seconds = solve_exactly(instance, start, EXACT_SECONDS)
    verdict = "proved optimal" if proved else f"not proved optimal in {EXACT_SECONDS:.0f} s, at least {least}"
    report.tell(f"CP-SAT on both cores, beginning with first fit: {found} clusters in {seconds:.1f} s, {verdict}")


def _churn(report: Report, instance: Instance, fleet: Fleet, placements: tuple[Placement, ...]) -> None:
    """Exchange a tenth of the tenants for others of the same kind."""
    fresh = build_instance(instance.family, len(instance.sizes), len(instance.places), "none", seed=instance.seed + 1)
    homes = {item.tenant: item for item in placements}
    stays = [_stand(tenant, homes[tenant.meta.name]) for index, tenant in enumerate(fleet.tenants) if index % CHURN]
    comes = [
        convert.convert_tenant(_rename(fresh.build_tenant(index))) for index in range(0, len(instance.sizes), CHURN)
    ]
    changed = replace(fleet, tenants=tuple(stays + comes))
    seconds, after = _take(lambda: _decide(changed))
    before = {(item.tenant, item.cluster) for item in placements if _index(item.tenant) % CHURN}
    kept = {(item.tenant, item.cluster) for item in after}
    moves = len(before - kept) + len({tenant for tenant, _ in kept}) - len(kept)
    clusters = {item.cluster for item in after}
    what = f"{moves} moves, {len(clusters)} clusters"
    report.row("  after a tenth has been exchanged", what, f"{seconds:.2f} s", ratio=float(abs(moves)), aim=0)


def _build_fleet(instance: Instance) -> Fleet:
    bodies = list(instance.build())

    def pick(kind: str) -> tuple[object, ...]:
        return tuple(convert.CONVERTERS[kind](body) for body in bodies if body["kind"] == kind)

    return Fleet(
        name="fleet",
        cluster_sets=pick("ClusterSet"),  # type: ignore[arg-type]
        environments=pick("Environment"),  # type: ignore[arg-type]
        tenants=pick("Tenant"),  # type: ignore[arg-type]
    )


def _decide(fleet: Fleet) -> tuple[Placement, ...]:
    return place(fleet, build_candidates(fleet, NOW, assume_available=True), NOW).placements


def _stand(tenant: Tenant, placement: Placement) -> Tenant:
    entry = {
        "environment": placement.environment,
        "namespace": placement.namespace,
        "cluster": placement.cluster,
        "isolation": str(placement.isolation),
        "state": "Placed",
    }
    return replace(tenant, status={"placements": [entry]})


def _rename(body: dict[str, object]) -> dict[str, object]:
    metadata = body["metadata"]
    assert isinstance(metadata, dict)
    return {**body, "metadata": {**metadata, "name": f"n{metadata['name']}"}}


def _read_homes(placements: Iterable[Placement]) -> dict[int, str]:
    return {_index(item.tenant): item.cluster for item in placements}


def _index(tenant: str) -> int:
    return int(tenant.lstrip("nt"))


def _measure_peer(instance: Instance, name: str, pack: Callable[[Instance], dict[int, int]]) -> _Peer:
    seconds, homes = _take(lambda: pack(instance))
    return _Peer(name, _count(instance, homes), Spread((seconds,)))


def _count(instance: Instance, homes: dict[int, int]) -> int:
    """Count clusters; whoever fits in none gets one more of its own, which is generous."""
    missing = len(instance.sizes) - len(homes)
    return len(set(homes.values())) + missing


def _take(call: Callable[[], Found]) -> tuple[float, Found]:
    began = time.perf_counter()
    found = call()
    return time.perf_counter() - began, found
