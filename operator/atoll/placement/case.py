"""One cluster against one group of namespaces: all that a rule may read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from math import ceil

from atoll.fleet.decisions import Candidate
from atoll.fleet.spec import Environment, Isolation, Regime, Tenant, TenantEnvironment, TenantNamespace
from atoll.fleet.values import Resources, add_all

_STRICTNESS = {level: place for place, level in enumerate(Isolation)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resident:
    """What a tenant has of one environment on a cluster."""

    tenant: str
    environment: str
    classes: frozenset[str]
    """Workload classes of its namespaces there; the empty one for those without."""
    isolation: Isolation
    """What it demands, wherever it stands."""


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
    residents: tuple[Resident, ...] = ()
    """Who stands there; the same tenant in the same environment does not count."""
    environments: Mapping[str, Environment] = field(default_factory=dict)
    """Of the fleet, by name: those of the residents are among them."""
    kept_by: str = ""
    """Another environment, of topology ClusterPerEnvironment, that keeps this cluster for itself."""
    counts: Mapping[str, int] | None = None
    """Placements of the environment by region or country, where it spreads them; None: nobody counts."""
    fleet: tuple[Candidate, ...] = ()
    """All clusters: they say over which regions or countries there is to spread."""

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
        return strictest(demand_isolation(self.tenant, self.environment, self.regimes), self.given_isolation)

    @property
    def given_isolation(self) -> Isolation:
        """What the regimes that the cluster is attested for ask of everybody there."""
        return strictest(*(self.regimes[name].isolation for name in self.candidate.regimes if name in self.regimes))

    @property
    def classes(self) -> frozenset[str]:
        """Workload classes of the namespaces in question."""
        return frozenset(item.workload_class for item in self.namespaces)

    @property
    def crowd(self) -> Mapping[str, int]:
        """Placements in each region or country that the environment may use; empty where it spreads nothing."""
        spread, selector = self.environment.spread, self.environment.selector
        if spread is None or self.counts is None:
            return {}
        own = self.candidate.cluster
        others = [item for item in self.fleet if item.cluster != own and not item.leaving]
        usable = [item for item in others if selector is None or selector.matches(item.labels)]
        domains = {read_domain(item, spread.topology_key) for item in (*usable, self.candidate)}
        return {name: self.counts.get(name, 0) for name in sorted(domains) if name}

    @property
    def domain(self) -> str:
        """Region or country of the cluster, whichever the environment spreads over."""
        spread = self.environment.spread
        return read_domain(self.candidate, spread.topology_key) if spread is not None else ""

    @property
    def offered(self) -> dict[str, int]:
        """What the cluster has for this environment by resource, headroom taken off, in thousandths."""
        return offer(self.candidate.capacity, self.environment.headroom_percent)

    @property
    def field(self) -> str:
        """Where the member is declared."""
        return f"ClusterSet {self.candidate.set_name} spec.clusters[{self.candidate.member_name}]"


def strictest(*levels: Isolation) -> Isolation:
    """Return the strictest of these; Namespace, which everybody gets, for none."""
    return max(levels, key=lambda level: _STRICTNESS[level], default=Isolation.NAMESPACE)


def demand_isolation(tenant: Tenant, environment: Environment, regimes: Mapping[str, Regime]) -> Isolation:
    """Return how strictly a tenant is to be kept apart in an environment, wherever it stands."""
    levels = [item.isolation for item in tenant.environments if item.name == environment.meta.name]
    demanded = {*environment.regimes, *tenant.regimes}
    levels += [regimes[name].isolation for name in demanded if name in regimes]
    return strictest(environment.isolation, *levels)


def read_domain(candidate: Candidate, key: str) -> str:
    """Return the region or country of a cluster, as placements are spread over it."""
    return candidate.country if key == "country" else candidate.region


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
