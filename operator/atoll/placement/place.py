"""The placement decision. What stands stays; only what is missing is placed.

A label or a capacity that changes later moves nobody (`PlacementDrifted` tells of it); regimes, countries and isolation
will plan moves, which is a step of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime

from atoll.fleet.decisions import Candidate, Placement, PlacementDecision, Refusal, Unplaced
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Environment, Isolation, Tenant

from .case import to_thousandths
from .choose import choose_clusters, read_domain
from .demand import Opening, survey
from .filter import Filter
from .ledger import Ledger, read_quotas
from .order import order_openings
from .refusals import build_refusal, build_unplaced, list_nearest, list_relevant
from .rules import show


def place(fleet: Fleet, candidates: tuple[Candidate, ...], now: datetime) -> PlacementDecision:
    """Decide where every namespace of every tenant goes."""
    clusters = {item.cluster: number for number, item in enumerate(candidates)}
    standing = survey(fleet, clusters, now)
    ledger, sieve = _open_books(fleet, candidates, standing.kept)
    crowds: dict[str, Counter[str]] = defaultdict(Counter)
    spread = {item.meta.name: item.spread.topology_key for item in fleet.environments if item.spread is not None}
    for item in {(p.tenant, p.environment, p.cluster) for p in standing.kept if p.environment in spread}:
        crowds[item[1]][read_domain(ledger, ledger.index[item[2]], spread[item[1]])] += 1
    placements = list(standing.kept)
    open_still: list[Opening] = []
    for opening, need in order_openings(ledger, standing.openings):
        name = opening.environment.meta.name
        picked = [] if opening.blocked else _pick(ledger, sieve, opening, need, crowds[name])
        for number in picked:
            placements += _build_placements(ledger, opening, need, number, now)
            ledger.spend(number, need)
            sieve.settle(number, _read_demanded(opening.environment, opening.tenant))
            if not opening.only and name in spread:
                crowds[name][read_domain(ledger, number, spread[name])] += 1
        if len(picked) < opening.count:
            chosen = tuple(ledger.candidates[number].cluster for number in picked)
            hosting = (*opening.hosting, *chosen)
            open_still.append(replace(opening, hosting=hosting, count=opening.count - len(picked)))
    unplaced = [build_unplaced(fleet, ledger, sieve, opening) for opening in open_still]
    return PlacementDecision(
        placements=tuple(sorted(placements, key=lambda p: (p.tenant, p.environment, p.namespace, p.cluster))),
        unplaced=tuple(sorted(unplaced, key=lambda u: (u.tenant, u.environment, u.namespaces))),
        problems=standing.problems,
    )


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
    ledger, sieve = _open_books(fleet, candidates, decision.placements)
    own = [
        p for p in decision.placements if p.tenant == tenant and p.environment == environment and p.state != "Leaving"
    ]
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
            names=tuple(item.name for item in asked.namespaces),
            count=1,
            hosting=tuple(sorted({p.cluster for p in own})),
        )
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
    environments = {item.meta.name: item for item in fleet.environments}
    booked: dict[str, set[str]] = defaultdict(set)
    for item in kept:
        number = ledger.index[item.cluster]
        amounts = asked.get((item.tenant, item.environment, item.namespace))
        if amounts is not None:
            ledger.spend(number, amounts)
            booked[item.cluster].add(item.namespace)
        sieve.settle(number, _read_demanded(environments.get(item.environment), tenants.get(item.tenant)))
    for number, candidate in enumerate(ledger.candidates):
        if candidate.cluster in fleet.views:
            ledger.spend(number, read_quotas(fleet, candidate.cluster, booked[candidate.cluster]))
    return ledger, sieve


def _pick(
    ledger: Ledger, sieve: Filter, opening: Opening, need: Mapping[str, int], crowd: Mapping[str, int]
) -> list[int]:
    admitted = list_relevant(ledger, opening)
    for _, mask in sieve.refuse(opening, with_capacity=False):
        admitted &= ~mask
    return choose_clusters(ledger, opening, need, admitted, crowd) if admitted else []


def _build_placements(
    ledger: Ledger, opening: Opening, need: Mapping[str, int], number: int, now: datetime
) -> list[Placement]:
    reason = _write_reason(ledger, opening, need, number)
    return [
        Placement(
            tenant=opening.tenant.meta.name,
            environment=opening.asked.name,
            namespace=namespace,
            cluster=ledger.candidates[number].cluster,
            isolation=Isolation.NAMESPACE,
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


def _read_demanded(environment: Environment | None, tenant: Tenant | None) -> frozenset[str]:
    demanded = set(environment.regimes if environment is not None else ())
    return frozenset(demanded | set(tenant.regimes if tenant is not None else ()))


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
