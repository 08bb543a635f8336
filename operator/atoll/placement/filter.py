"""The filter: which clusters each rule refuses, as sets of bits, every answer asked for once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import replace

from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Isolation, Tenant, Topology

from .case import Case, demand_isolation, strictest
from .demand import Opening
from .ledger import Ledger
from .residents import Residents
from .rules import RULES, Rule


class Filter:
    """Answers of all rules for all clusters, remembered by what each rule reads. Lives for one calculation only.

    What others do on a cluster changes while placing goes on. Those answers are remembered as a newcomer would get
    them, and asked again only for clusters where something has changed, and for those where the tenant itself stands.
    """

    def __init__(self, fleet: Fleet, ledger: Ledger) -> None:
        self._ledger = ledger
        self._answers: dict[tuple[str, Hashable], int] = {}
        self._growing: dict[tuple[str, Hashable], tuple[int, int]] = {}
        self._regimes = {item.meta.name: item for item in fleet.regimes}
        self._environments = {item.meta.name: item for item in fleet.environments}
        self.residents = Residents(ledger.candidates, self._environments)
        self.needed = _find_needed(fleet)
        """Rules about neighbours that can refuse anybody in this fleet; the others need not be asked."""
        self._owners = {name for item in ledger.candidates for name in item.reserved_for or ()}
        self._newest = max(((s.version.major, s.version.minor) for s in fleet.cluster_sets), default=(0, 0))
        self._neighbours: list[frozenset[str]] = [frozenset()] * len(ledger.candidates)
        self._counted = [_find_counted(fleet, item.cluster) for item in ledger.candidates]

    def settle(
        self,
        number: int,
        tenant: str,
        environment: str,
        workload_class: str,
        *,
        spec: Tenant | None,
        recorded: Isolation = Isolation.NAMESPACE,
        crowds: bool = True,
    ) -> None:
        """Remember that a namespace stands on a cluster.

        `spec`: its tenant, where it can be read; what was `recorded` of its isolation holds where it cannot.
        """
        found = self._environments.get(environment)
        demanded = {*(found.regimes if found is not None else ()), *(spec.regimes if spec is not None else ())}
        if not demanded <= self._neighbours[number]:
            self._neighbours[number] |= demanded
        isolation = recorded
        if found is not None and spec is not None:
            isolation = demand_isolation(spec, found, self._regimes)
        self.residents.settle(number, (tenant, environment), workload_class, isolation, crowds=crowds)

    def build_case(self, opening: Opening, number: int) -> Case:
        """Build the case of an opening on one cluster, as things stand now."""
        tenant, environment = opening.tenant.meta.name, opening.environment.meta.name
        case = self._build_bare(opening, number)
        if not self.needed:
            return case
        return replace(
            case,
            residents=self.residents.list_others(number, (tenant, environment), case.classes),
            kept_by=self.residents.keeper_of(number, environment),
            counts=None if opening.only else self.residents.count(environment),
            fleet=self._ledger.candidates,
        )

    def refuse(self, opening: Opening, *, with_capacity: bool) -> tuple[tuple[str, int], ...]:
        """Return which clusters each rule refuses now, in the order of the rules."""
        if not self._ledger.candidates:
            return ()
        sample = self._build_bare(opening, 0)
        found = []
        for rule in RULES:
            if rule.code == "capacity":
                headroom = opening.environment.headroom_percent
                mask = self._ledger.too_full(sample.need, headroom) if with_capacity else 0
            elif rule.reads is not None:
                mask = self.ask(rule, opening, sample)
            elif rule.code not in self.needed:
                mask = 0
            elif rule.code == "spread":
                mask = self._ask_domains(rule, opening)
            else:
                mask = self._ask_newcomer(rule, opening, sample)
            found.append((rule.code, mask))
        return tuple(found)

    def ask(self, rule: Rule, opening: Opening, sample: Case) -> int:
        """Return the clusters that a rule refuses which reads nothing that changes while placing.

        `sample`: the opening on any cluster; what a rule reads is the same on all.
        """
        assert rule.reads is not None
        reading = rule.reads(sample)
        if rule.code == "reserved" and reading not in self._owners:
            reading = ""  # All tenants that own nothing are alike.
        key = (rule.code, reading)
        if key not in self._answers:
            if rule.per_cluster:
                numbers = range(len(self._ledger.candidates))
                self._answers[key] = self._ask(rule, opening, numbers, self._build_bare)
            else:
                self._answers[key] = self._ledger.everything if rule.check(sample) else 0
        return self._answers[key]

    def list_selected(self, opening: Opening) -> list[int]:
        """List the clusters that an opening's environment selects and that are not on their way out."""
        by_code = {rule.code: rule for rule in RULES}
        sample = self._build_bare(opening, 0)
        refused = self.ask(by_code["selector"], opening, sample) | self.ask(by_code["leaving"], opening, sample)
        return [number for number in range(len(self._ledger.candidates)) if not refused >> number & 1]

    def list_shared(self, opening: Opening) -> int:
        """Return the clusters where others stand and nobody needs to be alone, as a set of bits."""
        mask = 0
        for number in range(len(self._ledger.candidates)):
            pair = (opening.tenant.meta.name, opening.environment.meta.name)
            others = [item for item in self.residents.list_others(number, pair, frozenset()) if item.tenant != pair[0]]
            if others and all(item.isolation is Isolation.NAMESPACE for item in others):
                mask |= 1 << number
        return mask

    def _ask_newcomer(self, rule: Rule, opening: Opening, sample: Case) -> int:
        tenant, environment = opening.tenant, opening.environment
        demanded = demand_isolation(tenant, environment, self._regimes)
        key = (rule.code, (environment.meta.name, sample.classes, demanded, sample.demanded))
        log = self.residents.log
        mask, read = self._growing.get(key, (0, -1))
        numbers = set(range(len(self._ledger.candidates))) if read < 0 else set(log[read:])
        if numbers:
            newcomer = replace(opening, tenant=replace(tenant, meta=replace(tenant.meta, name="")))
            mask = self._ask_again(mask, rule, newcomer, numbers)
            self._growing[key] = (mask, len(log))
        return self._ask_again(mask, rule, opening, self.residents.clusters_of(tenant.meta.name))

    def _ask_again(self, mask: int, rule: Rule, opening: Opening, numbers: Iterable[int]) -> int:
        for number in numbers:
            mask &= ~(1 << number)
        return mask | self._ask(rule, opening, numbers, self.build_case)

    def _ask_domains(self, rule: Rule, opening: Opening) -> int:
        """Ask one cluster of each region or country: the others there get the same answer."""
        if opening.environment.spread is None or opening.only:
            return 0
        first: dict[str, int] = {}
        mask = 0
        for number in range(len(self._ledger.candidates)):
            domain = self._build_bare(opening, number).domain
            if domain not in first:
                first[domain] = 1 if rule.check(self.build_case(opening, number)) else 0
            mask |= first[domain] << number
        return mask

    def _ask(self, rule: Rule, opening: Opening, numbers: Iterable[int], build: Callable[[Opening, int], Case]) -> int:
        mask = 0
        for number in numbers:
            if rule.check(build(opening, number)):
                mask |= 1 << number
        return mask

    def _build_bare(self, opening: Opening, number: int) -> Case:
        """Build a case without what others do there, which few rules read and which costs most."""
        return Case(
            candidate=self._ledger.candidates[number],
            environment=opening.environment,
            tenant=opening.tenant,
            names=opening.names,
            regimes=self._regimes,
            used=self._ledger.used_on(number),
            counted=self._counted[number],
            neighbours=self._neighbours[number],
            newest=self._newest,
            environments=self._environments,
        )


def _find_needed(fleet: Fleet) -> frozenset[str]:
    """Name the rules about neighbours that can refuse anybody in this fleet: most fleets need few of them."""
    found = set()
    if any(item.incompatible_with for item in fleet.regimes):
        found.add("regime-incompatible")
    if any(item.topology is not Topology.SHARED_CLUSTER for item in fleet.environments):
        found.add("topology")
    if any(item.spread is not None for item in fleet.environments):
        found.add("spread")
    levels = [item.isolation for item in fleet.environments]
    levels += [item.isolation for item in fleet.regimes]
    levels += [asked.isolation for tenant in fleet.tenants for asked in tenant.environments]
    if strictest(*levels) is not Isolation.NAMESPACE:
        found.add("isolation")
    return frozenset(found)


def _find_counted(fleet: Fleet, cluster: str) -> frozenset[str]:
    view = fleet.views.get(cluster)
    if view is None or view.member is None or view.member.allocatable is None:
        return frozenset()
    return frozenset(view.member.allocatable)
