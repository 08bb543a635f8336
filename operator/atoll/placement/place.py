"""The placement decision. What stands stays; only what is missing is placed, and what breaks a binding rule moves.

A label or a capacity that changes later moves nobody (`PlacementDrifted` tells of it); regimes, countries and isolation
plan a move: another place is made before the old one is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from atoll.fleet.decisions import Candidate, Placement, PlacementDecision
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Isolation, Topology

from .batch import follow_plan
from .books import open_books
from .choose import choose_clusters
from .demand import Opening, survey
from .filter import Filter
from .judge import judge_past
from .ledger import Ledger
from .moves import admit_moves, begin_move
from .order import order_openings
from .refusals import build_unplaced, list_relevant
from .rules import show
from .standing import read_past

MOVES_AT_ONCE: Final = 3
"""How many moves of a fleet are under way at a time: each holds two places, and somebody has to carry the data over."""


def place(fleet: Fleet, candidates: tuple[Candidate, ...], now: datetime) -> PlacementDecision:
    """Decide where every namespace of every tenant goes."""
    past = read_past(fleet, (item.cluster for item in candidates))
    ledger, sieve = open_books(fleet, candidates, [item for found in past.values() for item in found])
    judged = judge_past(fleet, ledger, sieve, past)
    standing = survey(fleet, past, judged, now)
    openings, held = admit_moves(standing, ledger.candidates, MOVES_AT_ONCE, now)
    placements = list(standing.kept)
    moves = list(standing.moving)
    open_still: list[Opening] = []
    ordered = order_openings(ledger, openings)
    regimes = {item.meta.name: item for item in fleet.regimes}
    for opening, need, planned in follow_plan(ledger, ordered, lambda one: _admit(ledger, sieve, one), regimes):
        rest = opening
        while rest.count and not rest.blocked and not rest.unsure:
            # Where an environment is spread, each place that is picked weighs where the next may be.
            one_by_one = rest.environment.spread is not None and not rest.only
            batch = replace(rest, count=1) if one_by_one else rest
            admitted = _admit(ledger, sieve, batch)
            picked = choose_clusters(ledger, batch, need, admitted, planned) if admitted else []
            for number in picked:
                placements += _build_placements(ledger, sieve, opening, need, number, now)
                ledger.spend(number, need)
                _settle(sieve, opening, number)
            targets = [ledger.candidates[number].cluster for number in picked]
            origins = list(rest.moving)[: len(targets)]
            moves += [begin_move(opening, origin, target) for origin, target in zip(origins, targets, strict=False)]
            left = {origin: why for origin, why in rest.moving.items() if origin not in origins}
            rest = replace(
                rest, hosting=(*rest.hosting, *targets), count=rest.count - len(picked), moving=MappingProxyType(left)
            )
            if len(picked) < batch.count:
                break
        if opening.giving_back:
            if rest.count:
                placements = _keep_lowered(placements, opening)
        elif rest.count:
            open_still.append(rest)
            moves += [begin_move(opening, origin, "") for origin in rest.moving]
    unplaced = [build_unplaced(fleet, ledger, sieve, opening) for opening in open_still]
    return PlacementDecision(
        placements=tuple(sorted(placements, key=lambda p: (p.tenant, p.environment, p.namespace, p.cluster))),
        unplaced=tuple(sorted(unplaced, key=lambda u: (u.tenant, u.environment, u.namespaces))),
        moves=tuple(sorted((*moves, *held), key=lambda m: (m.tenant, m.environment, m.namespaces, m.origin))),
        drifted=judged.drifted,
        kept=sieve.residents.list_kept(),
        problems=standing.problems,
    )


def _settle(sieve: Filter, opening: Opening, number: int) -> None:
    """Book what was placed just now. An environment that keeps its clusters takes all that it selects, once."""
    environment, tenant = opening.environment, opening.tenant
    residents = sieve.residents
    if (
        environment.topology is Topology.CLUSTER_PER_ENVIRONMENT
        and environment.selector is not None
        and not residents.keeps_any(environment.meta.name)
    ):
        residents.keep(environment.meta.name, sieve.list_selected(opening))
    for item in opening.asked.namespaces:
        if item.name in opening.names:
            sieve.settle(
                number,
                tenant.meta.name,
                environment.meta.name,
                item.workload_class,
                spec=tenant,
                crowds=not opening.only,
            )


def _keep_lowered(placements: list[Placement], opening: Opening) -> list[Placement]:
    """Leave a tenant where it is, although it needs no cluster to itself any more: there is no better place."""
    name, environment = opening.tenant.meta.name, opening.asked.name
    return [
        replace(item, isolation=Isolation.NAMESPACE)
        if (item.tenant, item.environment) == (name, environment) and item.cluster in opening.moving
        else item
        for item in placements
    ]


def _admit(ledger: Ledger, sieve: Filter, opening: Opening) -> int:
    """Return the clusters that no rule refuses, room apart, as a set of bits."""
    admitted = list_relevant(ledger, opening)
    for _, mask in sieve.refuse(opening, with_capacity=False):
        admitted &= ~mask
    return admitted & sieve.list_shared(opening) if opening.giving_back else admitted


def _build_placements(
    ledger: Ledger, sieve: Filter, opening: Opening, need: Mapping[str, int], number: int, now: datetime
) -> list[Placement]:
    isolation = sieve.build_case(opening, number).isolation
    reason = _write_reason(ledger, opening, need, number)
    return [
        Placement(
            tenant=opening.tenant.meta.name,
            environment=opening.asked.name,
            namespace=namespace,
            cluster=ledger.candidates[number].cluster,
            isolation=isolation,
            state="Pending",
            since=now,
            reason=reason,
        )
        for namespace in opening.namespaces
    ]


def _write_reason(ledger: Ledger, opening: Opening, need: Mapping[str, int], number: int) -> str:
    """Say what led there: what was selected, and what was free before."""
    selector = opening.environment.selector
    parts = [str(selector)] if selector is not None else ["any cluster"]
    if opening.only:
        parts = ["beside its other namespaces"]
    name = "cpu" if "cpu" in need else min(need, default="")
    if name:
        slot = ledger.slot[name]
        whole = ledger.capacity[number][slot]
        parts.append(f"{show(whole - ledger.used[number][slot])} of {show(whole)} {name} free")
    return ", ".join(parts)
