"""Which regimes are demanded, and which are attested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from atoll.fleet.spec import ClusterSet, Environment, Member, Regime, Tenant

POD_SECURITY_LEVELS: Final = ("privileged", "baseline", "restricted")
"""From the laxest to the strictest."""


def effective_regimes(environment: Environment | None, tenant: Tenant | None) -> tuple[str, ...]:
    """Return what is demanded (D): by the environment or by the tenant, sorted."""
    demanded = set(environment.regimes if environment is not None else ())
    return tuple(sorted(demanded | set(tenant.regimes if tenant is not None else ())))


def attested_regimes(cluster_set: ClusterSet | None, member: Member | None) -> tuple[str, ...]:
    """Return what is attested (A): for the whole set or for the member, sorted."""
    attested = set(cluster_set.regimes if cluster_set is not None else ())
    return tuple(sorted(attested | set(member.regimes if member is not None else ())))


def choose_pod_security(names: Iterable[str], regimes: Mapping[str, Regime]) -> str:
    """Return the strictest pod security level of these regimes; `baseline` at least, `restricted` for a missing one."""
    strictest = POD_SECURITY_LEVELS.index("baseline")
    for name in names:
        regime = regimes.get(name)
        level = "restricted" if regime is None else regime.pod_security
        if level in POD_SECURITY_LEVELS:
            strictest = max(strictest, POD_SECURITY_LEVELS.index(level))
    return POD_SECURITY_LEVELS[strictest]
