"""The placement decision. What stands stays; only what is missing is placed, and what breaks a binding rule moves.

A label or a capacity that changes later moves nobody (`PlacementDrifted` tells of it); regimes, countries and isolation
plan a move: another place is made before the old one is left.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import Final

from atoll.fleet.decisions import Candidate, Placement, PlacementDecision, Refusal, Unplaced
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Isolation, Tenant, Topology

from .case import to_thousandths
from .choose import choose_clusters
from .demand import Opening, list_groups, survey
from .filter import Filter
from .judge import judge_past
from .ledger import Ledger, read_quotas
from .moves import admit_moves, begin_move
from .order import order_openings
from .refusals import build_refusal, build_unplaced, list_nearest, list_relevant
from .rules import show
from .standing import read_past

MOVES_AT_ONCE: Final = 3
"""How many moves of a fleet are under way at a time: each holds two places, and somebody has to carry the data over."""


def place(fleet: Fleet, candidates: tuple[Candidate, ...], now: datetime) -> PlacementDecision:
    """Decide where every namespace of every tenant goes."""
    past = read_past(fleet, (item.cluster for item in candidates))
    ledger, sieve = _open_books(fleet, candidates, [item for found in past.values() for item in found])
    judged = judge_past(fleet, ledger, sieve, past)
    standing = survey(fleet, past, judged, now)
    openings, held = admit_moves(standing, ledger.candidates, MOVES_AT_ONCE, now)
    placements = list(standing.kept)
    moves = list(standing.moving)
    open_still: list[Opening] = []
    for opening, need in order_openings(ledger, openings):
        rest = opening
        while rest.count and not rest.blocked and not rest.unsure:
            # Where an environment is spread, each place that is picked weighs where the next may be.
            one_by_one = rest.environment.spread is not None and not rest.only
            batch = replace(rest, count=1) if one_by_one else rest
            picked = _pick(ledger, sieve, batch, need)
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
        and not residents.list_kept()[environment.meta.name]
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


def explain(
    fleet: Fleet, candidates: tuple[Candidate, ...], decision: PlacementDecision, tenant: str, environment: str
) -> tuple[Refusal, ...]:
    """Say of every cluster that refuses a tenant in an environment why it does, nearest first.

    Clusters that host it already are not asked; a paused or deleted Environment is judged as if it were not.
    """
    wanted = fleet.tenant(tenant)
    found = fleet.environment(environment)
    asked = (
        next((item for item in wanted.environments if item.name == environment), None) if wanted is not None else None
    )
    if wanted is None or found is None or asked is None:
        return ()
    mine = [p for p in decision.placements if (p.tenant, p.environment) == (tenant, environment)]
    own = [p for p in mine if p.state != "Leaving"]
    lacks = any((one.tenant, one.environment) == (tenant, environment) for one in decision.unplaced)
    # Who has all that it asks for is judged as if it looked for a place now: it does not stand in its own way.
    books = [p for p in decision.placements if lacks or (p.tenant, p.environment) != (tenant, environment)]
    ledger, sieve = _open_books(fleet, candidates, books)
    openings = [
        Opening(
            tenant=wanted,
            environment=found,
            asked=asked,
            names=_names_of(wanted, environment, one.namespaces),
            count=1,
            only=_find_only(one, own),
            hosting=tuple(sorted({p.cluster for p in own})),
        )
        for one in decision.unplaced
        if one.tenant == tenant and one.environment == environment
    ] or [
        Opening(
            tenant=wanted,
            environment=found,
            asked=asked,
            names=names,
            count=1,
            hosting=tuple(sorted({p.cluster for p in own})),
        )
        for names in list_groups(found, asked)
    ]
    refusals = []
    for opening in openings:
        relevant = list_relevant(ledger, opening)
        refused = tuple((code, mask & relevant) for code, mask in sieve.refuse(opening, with_capacity=True))
        refusals += [
            build_refusal(fleet, sieve, opening, number, broken) for number, broken in list_nearest(refused, None)
        ]
    return tuple(sorted(refusals, key=lambda item: (item.broken, item.cluster, item.namespaces)))


def _open_books(fleet: Fleet, candidates: Iterable[Candidate], kept: Iterable[Placement]) -> tuple[Ledger, Filter]:
    """Book everything that stands: what is asked for, else what its quota says."""
    asked: dict[tuple[str, str, str], Mapping[str, int]] = {}
    resources = {"cpu", "memory", "pods", "storage"}
    tenants = {tenant.meta.name: tenant for tenant in fleet.tenants}
    for tenant in fleet.tenants:
        for environment in tenant.environments:
            for namespace in environment.namespaces:
                full = tenant.namespace_name(environment.name, namespace.name)
                need = to_thousandths(namespace.resources)
                asked[tenant.meta.name, environment.name, full] = need
                resources.update(need)
    ledger = Ledger(candidates, resources)
    sieve = Filter(fleet, ledger)
    classes = {
        tenant.namespace_name(environment.name, namespace.name): namespace.workload_class
        for tenant in fleet.tenants
        for environment in tenant.environments
        for namespace in environment.namespaces
    }
    booked: dict[str, set[str]] = defaultdict(set)
    for item in kept:
        number = ledger.index[item.cluster]
        amounts = asked.get((item.tenant, item.environment, item.namespace))
        if amounts is not None:
            ledger.spend(number, amounts)
            booked[item.cluster].add(item.namespace)
        sieve.settle(
            number,
            item.tenant,
            item.environment,
            classes.get(item.namespace, ""),
            spec=tenants.get(item.tenant),
            recorded=item.isolation,
            crowds=item.state != "Leaving",
        )
    for number, candidate in enumerate(ledger.candidates):
        if candidate.cluster in fleet.views:
            ledger.spend(number, read_quotas(fleet, candidate.cluster, booked[candidate.cluster]))
    return ledger, sieve


def _pick(ledger: Ledger, sieve: Filter, opening: Opening, need: Mapping[str, int]) -> list[int]:
    admitted = list_relevant(ledger, opening)
    for _, mask in sieve.refuse(opening, with_capacity=False):
        admitted &= ~mask
    if opening.giving_back:
        admitted &= sieve.list_shared(opening)
    crowd = sieve.residents.count(opening.environment.meta.name) or {}
    return choose_clusters(ledger, opening, need, admitted, crowd) if admitted else []


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


def _names_of(tenant: Tenant, environment: str, full_names: Iterable[str]) -> tuple[str, ...]:
    asked = next(item for item in tenant.environments if item.name == environment)
    wanted = set(full_names)
    return tuple(item.name for item in asked.namespaces if tenant.namespace_name(environment, item.name) in wanted)


def _find_only(unplaced: Unplaced, own: list[Placement]) -> str:
    """Return the cluster that an unplaced namespace must go to: where its siblings are and it is not."""
    if not unplaced.refusals:
        return ""
    clusters = {item.cluster for item in unplaced.refusals}
    hosts = {p.cluster for p in own if p.namespace not in unplaced.namespaces}
    return min(clusters) if len(clusters) == 1 and clusters <= hosts else ""
