"""Who stands where, while placing goes on. Lives for one calculation only. Clusters are numbers, as in the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from atoll.fleet.decisions import Candidate
from atoll.fleet.spec import Environment, Isolation, Topology

from .case import Resident, read_domain

Pair = tuple[str, str]
"""Tenant and environment."""


class Residents:
    """Tenants in environments on clusters, what environments keep for themselves, and how evenly they are spread."""

    def __init__(self, candidates: Sequence[Candidate], environments: Mapping[str, Environment]) -> None:
        self._candidates = candidates
        self._environments = environments
        self._there: list[dict[Pair, Counter[str]]] = [{} for _ in candidates]
        self._isolation: dict[Pair, Isolation] = {}
        self._of_tenant: defaultdict[str, set[int]] = defaultdict(set)
        self._kept: dict[str, set[int]] = {}
        self._crowds: dict[str, Counter[str]] = {}
        self.log: list[int] = []
        """Clusters in the order in which something changed there: who remembers an answer asks again for these."""
        index = {item.cluster: number for number, item in enumerate(candidates)}
        for name, environment in environments.items():
            if environment.topology is Topology.CLUSTER_PER_ENVIRONMENT:
                names = environment.status.get("clusters", ())
                self._kept[name] = {index[cluster] for cluster in names if cluster in index}
            if environment.spread is not None:
                self._crowds[name] = Counter()

    def settle(self, number: int, pair: Pair, workload_class: str, isolation: Isolation, *, crowds: bool) -> None:
        """Remember that a namespace stands on a cluster.

        `isolation`: what its tenant demands, wherever it stands; `crowds`: it counts where its environment is spread.
        """
        tenant, environment = pair
        there = self._there[number]
        if pair not in there and crowds and environment in self._crowds:
            spread = self._environments[environment].spread
            assert spread is not None
            self._crowds[environment][read_domain(self._candidates[number], spread.topology_key)] += 1
        there.setdefault(pair, Counter())[workload_class] += 1
        self._isolation[pair] = isolation
        self._of_tenant[tenant].add(number)
        self.log.append(number)

    def list_others(self, number: int, pair: Pair, classes: frozenset[str]) -> tuple[Resident, ...]:
        """List who stands on a cluster beside a tenant in an environment.

        Its own namespaces of other classes count, too, where the environment is split by them.
        """
        found = []
        for (tenant, environment), counted in sorted(self._there[number].items()):
            there = frozenset(counted)
            if (tenant, environment) == pair:
                own = self._environments.get(environment)
                there -= classes
                if not there or own is None or own.topology is not Topology.CROSS_ENVIRONMENT:
                    continue
            isolation = self._isolation[tenant, environment]
            found.append(Resident(tenant=tenant, environment=environment, classes=there, isolation=isolation))
        return tuple(found)

    def clusters_of(self, tenant: str) -> frozenset[int]:
        """Return the clusters that a tenant stands on."""
        return frozenset(self._of_tenant.get(tenant, ()))

    def keeper_of(self, number: int, environment: str) -> str:
        """Return another environment that keeps a cluster for itself; empty when none does."""
        return min((name for name, kept in self._kept.items() if number in kept and name != environment), default="")

    def keep(self, environment: str, numbers: Sequence[int]) -> None:
        """Keep clusters for an environment, but those where another one stands, or that another one keeps."""
        for number in numbers:
            strangers = {name for _, name in self._there[number]} - {environment}
            if not strangers and not self.keeper_of(number, environment):
                self._kept[environment].add(number)
                self.log.append(number)

    def keeps_any(self, environment: str) -> bool:
        """Say whether an environment keeps clusters for itself already."""
        return bool(self._kept[environment])

    def list_kept(self) -> Mapping[str, tuple[str, ...]]:
        """Return the clusters that environments keep for themselves, by environment."""
        return {
            name: tuple(sorted(self._candidates[number].cluster for number in kept))
            for name, kept in self._kept.items()
        }

    def count(self, environment: str) -> Mapping[str, int] | None:
        """Count an environment's placements by region or country; None: it is not spread."""
        return self._crowds.get(environment)
