"""One cluster against one group of namespaces: all that a rule may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import ceil

from atoll.fleet.decisions import Candidate
from atoll.fleet.spec import Environment, Isolation, Regime, Tenant, TenantEnvironment, TenantNamespace
from atoll.fleet.values import Resources, add_all

_STRICTNESS = {level: place for place, level in enumerate(Isolation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A candidate and who wants to go there. A remedy is a case with something changed."""

    candidate: Candidate
    environment: Environment
    tenant: Tenant
    names: tuple[str, ...]
    """Short names of the namespaces in question; they go together."""
    regimes: Mapping[str, Regime]
    used: Mapping[str, int]
    """What others hold there already, in thousandths."""
    counted: frozenset[str] = frozenset()
    """Resources that are counted from nodes, and that no declaration changes."""
    neighbours: frozenset[str] = frozenset()
    """Regimes that tenants demand who stand there."""
    newest: tuple[int, int] = (0, 0)
    """Major and minor of the newest version that any ClusterSet declares."""

    @property
    def asked(self) -> TenantEnvironment:
        """What the tenant wants in this environment."""
        return next(item for item in self.tenant.environments if item.name == self.environment.meta.name)

    @property
    def namespaces(self) -> tuple[TenantNamespace, ...]:
        """The namespaces in question."""
        return tuple(item for item in self.asked.namespaces if item.name in self.names)

    @property
    def need(self) -> dict[str, int]:
        """What they ask for together, in thousandths; resources of which nothing is asked are left out."""
        return to_thousandths(add_all(item.resources for item in self.namespaces))

    @property
    def total(self) -> Resources:
        """What the tenant asks for in this environment, over all clusters."""
        return add_all(item.resources for item in self.asked.namespaces).scaled(Decimal(self.asked.clusters))

    @property
    def demanded(self) -> tuple[str, ...]:
        """Regimes that environment or tenant demand (D)."""
        return tuple(sorted({*self.environment.regimes, *self.tenant.regimes}))

    @property
    def enforced(self) -> tuple[str, ...]:
        """Regimes that hold there: demanded or attested (D and A)."""
        return tuple(sorted({*self.demanded, *self.candidate.regimes}))

    @property
    def isolation(self) -> Isolation:
        """The strictest isolation that anybody asks for."""
        levels = [self.asked.isolation, self.environment.isolation]
        levels += [self.regimes[name].isolation for name in self.enforced if name in self.regimes]
        return max(levels, key=lambda level: _STRICTNESS[level])

    @property
    def offered(self) -> dict[str, int]:
        """What the cluster has for this environment by resource, headroom taken off, in thousandths."""
        return offer(self.candidate.capacity, self.environment.headroom_percent)

    @property
    def field(self) -> str:
        """Where the member is declared."""
        return f"ClusterSet {self.candidate.set_name} spec.clusters[{self.candidate.member_name}]"


def to_thousandths(resources: Resources) -> dict[str, int]:
    """Write amounts as whole thousandths, rounded up as an API server does; zeros are left out."""
    return {name: ceil(amount * 1000) for name, amount in resources.amounts.items() if amount > 0}


def offer(capacity: Resources | None, headroom_percent: int) -> dict[str, int]:
    """Return what is to be had of a capacity, in thousandths, rounded down."""
    if capacity is None:
        return {}
    return {name: int(amount * 1000) * (100 - headroom_percent) // 100 for name, amount in capacity.amounts.items()}


def from_thousandths(amount: int) -> Decimal:
    """Return the amount in base units."""
    return Decimal(amount) / 1000
