"""Governance labels of a cluster, and of a tenant's namespaces on it.

Labels that people write are copied as they are, the set's under the member's under the environment's. What a regime
adds gets a prefix of its own, so neither can stand in the other's way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from atoll.fleet import reasons
from atoll.fleet.decisions import Problem
from atoll.fleet.labels import RESERVED_DOMAINS, is_reserved
from atoll.fleet.spec import ClusterSet, Environment, Member, Regime, Tenant

from .regimes import attested_regimes, effective_regimes
from .sources import find_source

REGIME_LABEL_PREFIX: Final = "governance.atoll.dev/"
REGIME_MARK_PREFIX: Final = "regime.atoll.dev/"


def compile_labels(
    cluster_set: ClusterSet | None,
    member: Member | None,
    environment: Environment | None = None,
    tenant: Tenant | None = None,
    regimes: Mapping[str, Regime] | None = None,
) -> tuple[Mapping[str, str], tuple[Problem, ...]]:
    """Merge the labels for a cluster, or with environment and tenant for a namespace, and find contradictions.

    A key that two regimes set differently is left out, with a problem that names both and where they come from.
    """
    known = regimes or {}
    labels: dict[str, str] = {}
    problems: list[Problem] = []
    for kind, owner, path, written in _written(cluster_set, member, environment):
        for key, value in sorted(written.items()):
            if is_reserved(key):
                problems.append(_refuse_key(kind, owner, path, key))
            else:
                labels[key] = value
    names = sorted({*effective_regimes(environment, tenant), *attested_regimes(cluster_set, member)})
    sources: dict[str, tuple[str, str]] = {}
    conflicts: set[str] = set()
    for name in names:
        # The mark stands even where the Regime is missing: a deleted Regime must not set its namespaces free.
        labels[f"{REGIME_MARK_PREFIX}{name}"] = "true"
        regime = known.get(name)
        if regime is None:
            source = find_source(name, cluster_set, member, environment, tenant)
            message = f"{source} names Regime {name}, which does not exist. Create it, or remove the name."
            problems.append(source.tell(reasons.REGIME_MISSING, message))
            continue
        for key, value in sorted(regime.labels.items()):
            if "/" in key:
                problems.append(_refuse_slash(name, key))
                continue
            other, before = sources.setdefault(key, (name, value))
            if before != value:
                conflicts.add(key)
                first = find_source(other, cluster_set, member, environment, tenant)
                second = find_source(name, cluster_set, member, environment, tenant)
                blamed = min(first, second)
                message = (
                    f"Regime {other} (from {first}) sets the label {key} to `{before}`, and Regime {name} (from "
                    f"{second}) to `{value}`. Give both the same value, or remove one of them from {blamed.path}."
                )
                problems.append(blamed.tell(reasons.LABEL_CONFLICT, message))
    for key, (_, value) in sources.items():
        if key not in conflicts:
            labels[f"{REGIME_LABEL_PREFIX}{key}"] = value
    return dict(sorted(labels.items())), tuple(problems)


def _written(
    cluster_set: ClusterSet | None, member: Member | None, environment: Environment | None
) -> Iterator[tuple[str, str, str, Mapping[str, str]]]:
    """Yield kind, name, field and labels of each source, weakest first."""
    owner = cluster_set.meta.name if cluster_set is not None else ""
    if cluster_set is not None:
        yield "ClusterSet", owner, "spec.labels", cluster_set.labels
    if member is not None:
        yield "ClusterSet", owner, f"spec.clusters[{member.name}].labels", member.labels
    if environment is not None:
        yield "Environment", environment.meta.name, "spec.labels", environment.labels


def _refuse_key(kind: str, owner: str, path: str, key: str) -> Problem:
    message = (
        f"{kind} {owner} {path} has the key `{key}`, and keys under {', '.join(RESERVED_DOMAINS)} are not for "
        "governance labels. Choose a key of your own."
    )
    return Problem(kind=kind, name=owner, path=path, reason=reasons.INVALID_SPEC, message=message)


def _refuse_slash(regime: str, key: str) -> Problem:
    message = (
        f"Regime {regime} spec.labels has the key `{key}`, and a regime's keys get the prefix {REGIME_LABEL_PREFIX}, "
        "so they have none of their own. Remove the part up to the slash."
    )
    return Problem(kind="Regime", name=regime, path="spec.labels", reason=reasons.INVALID_SPEC, message=message)
