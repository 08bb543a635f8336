"""Regimes that can never hold together, found where they are written, before anybody is placed by them.

What is demanded must be possible on some cluster, and what is attested must be possible for some tenant. Where only the
demanded and the attested contradict each other, another cluster may do: that is placement's to say, with its remedies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import combinations

from atoll.fleet import reasons
from atoll.fleet.decisions import Problem
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Environment, Member, Regime, Tenant

from .labels import compile_labels
from .regimes import attested_regimes, effective_regimes
from .sources import Source, find_source

_Sources = Callable[[str], Source]


def find_contradictions(fleet: Fleet) -> tuple[Problem, ...]:
    """Find what tenants demand together with their environments, and sets attest, and no cluster can keep.

    Told are countries that exclude each other, regimes that refuse each other, labels that two regimes set differently,
    and Regimes that are not there; each with both sources, at the narrower one.
    """
    regimes = {regime.meta.name: regime for regime in fleet.regimes}
    environments = {environment.meta.name: environment for environment in fleet.environments}
    found: list[Problem] = []
    for tenant in fleet.tenants:
        for stage in tenant.environments:
            environment = environments.get(stage.name)
            names = effective_regimes(environment, tenant)
            if names:
                found += _check(names, regimes, partial(_ask, None, None, environment, tenant))
                found += compile_labels(None, None, environment, tenant, regimes)[1]
    for cluster_set in fleet.cluster_sets:
        for member in cluster_set.members:
            names = attested_regimes(cluster_set, member)
            if names:
                found += _check(names, regimes, partial(_ask, cluster_set, member, None, None))
                found += compile_labels(cluster_set, member, regimes=regimes)[1]
    return tuple(dict.fromkeys(found))


def _ask(
    cluster_set: ClusterSet | None,
    member: Member | None,
    environment: Environment | None,
    tenant: Tenant | None,
    regime: str,
) -> Source:
    return find_source(regime, cluster_set, member, environment, tenant)


def _check(names: Iterable[str], regimes: Mapping[str, Regime], source_of: _Sources) -> Iterator[Problem]:
    known = [regimes[name] for name in names if name in regimes]
    apart = False
    for one, other in combinations(known, 2):
        if other.meta.name in one.incompatible_with or one.meta.name in other.incompatible_with:
            why = "and the two are incompatible (spec.incompatibleWith)"
            yield _tell((one, other), "", why, source_of)
        if one.countries and other.countries and not set(one.countries) & set(other.countries):
            apart = True
            yield _tell((one, other), "countries", "and no country is allowed by both", source_of)
    strict = [regime for regime in known if regime.countries]
    if not apart and len(strict) > 2 and not set.intersection(*(set(regime.countries) for regime in strict)):
        yield _tell(strict, "countries", "and no country is allowed by all of them", source_of)


def _tell(together: Iterable[Regime], field: str, why: str, source_of: _Sources) -> Problem:
    together = tuple(together)
    sources = [source_of(regime.meta.name) for regime in together]
    blamed = min(sources)
    parts = [
        f"Regime {regime.meta.name} (from {source})"
        + (f" allows {', '.join(sorted(regime.countries))}" if field == "countries" else " applies")
        for regime, source in zip(together, sources, strict=True)
    ]
    message = f"{', '.join(parts)}, {why}: no cluster can keep them together. Remove one of them from {blamed.path}."
    return blamed.tell(reasons.REGIMES_CONTRADICT, message)
