"""Why a tenant is not on a cluster, for every cluster: what status has no room for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from atoll.fleet.decisions import Candidate, Placement, PlacementDecision, Refusal, Unplaced
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Tenant, TenantEnvironment

from .books import open_books
from .demand import Opening, list_groups
from .refusals import build_refusal, list_nearest, list_relevant


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
    ledger, sieve = open_books(fleet, candidates, books)
    groups = [
        (_names_of(wanted, environment, one.namespaces), _find_only(one, own))
        for one in decision.unplaced
        if one.tenant == tenant and one.environment == environment
    ] or [(names, "") for names in list_groups(found, asked)]
    openings = [
        Opening(
            tenant=wanted,
            environment=found,
            asked=asked,
            names=names,
            count=1,
            only=only,
            hosting=_list_hosting(wanted, asked, names, own),
        )
        for names, only in groups
    ]
    refusals = []
    for opening in openings:
        relevant = list_relevant(ledger, opening)
        refused = tuple((code, mask & relevant) for code, mask in sieve.refuse(opening, with_capacity=True))
        refusals += [
            build_refusal(fleet, sieve, opening, number, broken) for number, broken in list_nearest(refused, None)
        ]
    return tuple(sorted(refusals, key=lambda item: (item.broken, item.cluster, item.namespaces)))


def _list_hosting(
    tenant: Tenant, asked: TenantEnvironment, names: Iterable[str], own: Iterable[Placement]
) -> tuple[str, ...]:
    """List the clusters that have these namespaces already."""
    full = {tenant.namespace_name(asked.name, name) for name in names}
    return tuple(sorted({item.cluster for item in own if item.namespace in full}))


def _names_of(tenant: Tenant, environment: str, full_names: Iterable[str]) -> tuple[str, ...]:
    asked = next(item for item in tenant.environments if item.name == environment)
    wanted = set(full_names)
    return tuple(item.name for item in asked.namespaces if tenant.namespace_name(environment, item.name) in wanted)


def _find_only(unplaced: Unplaced, own: Sequence[Placement]) -> str:
    """Return the cluster that an unplaced namespace must go to: where its siblings are and it is not."""
    if not unplaced.refusals:
        return ""
    clusters = {item.cluster for item in unplaced.refusals}
    hosts = {p.cluster for p in own if p.namespace not in unplaced.namespaces}
    return min(clusters) if len(clusters) == 1 and clusters <= hosts else ""
