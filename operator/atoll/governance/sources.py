"""Who brings a regime in: a fault is told at the narrowest source, because there it harms the fewest."""

from __future__ import annotations

from dataclasses import dataclass

from atoll.fleet.decisions import Problem
from atoll.fleet.spec import ClusterSet, Environment, Member, Tenant


@dataclass(frozen=True, slots=True, order=True)
class Source:
    """A field that names a regime; the least is the narrowest."""

    breadth: int
    kind: str
    name: str
    path: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} {self.path}"

    def tell(self, reason: str, message: str) -> Problem:
        """Make a problem of this source."""
        return Problem(kind=self.kind, name=self.name, path=self.path, reason=reason, message=message)


def find_source(
    regime: str,
    cluster_set: ClusterSet | None,
    member: Member | None,
    environment: Environment | None,
    tenant: Tenant | None,
) -> Source:
    """Return the narrowest source that names a regime; the set where none does."""
    if tenant is not None and regime in tenant.regimes:
        return Source(0, "Tenant", tenant.meta.name, "spec.regimes")
    if environment is not None and regime in environment.regimes:
        return Source(1, "Environment", environment.meta.name, "spec.regimes")
    owner = cluster_set.meta.name if cluster_set is not None else ""
    if member is not None and regime in member.regimes:
        return Source(2, "ClusterSet", owner, f"spec.clusters[{member.name}].regimes")
    return Source(3, "ClusterSet", owner, "spec.regimes")
