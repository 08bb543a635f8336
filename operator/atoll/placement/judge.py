"""Whether what stands may stay: rules are asked again, of every place, and each answer has one of three outcomes.

A binding rule that is broken plans a move. One that binds only when placing tells of a drift. Of two tenants that must
not share a cluster the one leaves that asks for more, and among equals the one that came last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from atoll.fleet.decisions import Placement
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Isolation

from .case import Case, Resident, strictest
from .demand import LEAVING, Judgement, Opening, Place, list_groups
from .filter import Filter
from .ledger import Ledger
from .rules import BINDING, DRIFTING, RULES, Rule

_BY_CODE: Final = {rule.code: rule for rule in RULES}
_LEVELS: Final = tuple(Isolation)


def judge_past(fleet: Fleet, ledger: Ledger, sieve: Filter, past: Mapping[str, tuple[Placement, ...]]) -> Judgement:
    """Judge every place where tenants stand that can be read, in environments that exist."""
    tenants = {item.meta.name: item for item in fleet.tenants if not item.meta.deleting}
    environments = {item.meta.name: item for item in fleet.environments}
    by_cluster: defaultdict[str, list[tuple[Opening, Place, Sequence[Placement]]]] = defaultdict(list)
    for name, placements in past.items():
        tenant = tenants.get(name)
        if tenant is None:
            continue
        for asked in tenant.environments:
            environment = environments.get(asked.name)
            if environment is None:
                continue
            for names in list_groups(environment, asked):
                full = {tenant.namespace_name(asked.name, short) for short in names}
                places: defaultdict[str, list[Placement]] = defaultdict(list)
                for item in placements:
                    if item.environment == asked.name and item.namespace in full and item.state != "Refused":
                        places[item.cluster].append(item)
                for cluster, there in places.items():
                    opening = Opening(tenant=tenant, environment=environment, asked=asked, names=names, count=1)
                    by_cluster[cluster].append((opening, (name, asked.name, cluster), there))
    broken: dict[Place, tuple[str, str]] = {}
    drifted: dict[Place, str] = {}
    tiers: dict[Place, Isolation] = {}
    for cluster, groups in by_cluster.items():
        number = ledger.index[cluster]
        cases = [(sieve.build_case(opening, number), opening, place, items) for opening, place, items in groups]
        accepted = _Accepted()
        for case, opening, place, _ in sorted(cases, key=_rank):
            tiers[place] = strictest(case.isolation, tiers.get(place, Isolation.NAMESPACE))
            found = _find_broken(sieve, case, opening, number, accepted)
            if found is not None:
                broken.setdefault(place, found)
                continue
            accepted.add(case)
            soft = [_BY_CODE[code] for code in DRIFTING]
            told = [rule.check(case) for rule in soft if sieve.ask(rule, opening, case) >> number & 1]
            if told:
                drifted[place] = "; ".join(told)
    return Judgement(broken=broken, drifted=drifted, tiers=tiers)


def _rank(entry: tuple[Case, Opening, Place, Sequence[Placement]]) -> tuple[object, ...]:
    """Order those on a cluster by who may stay: who asks for least, then who leaves last, then who came first."""
    case, _, place, items = entry
    leaving = all(item.state == LEAVING for item in items)
    since = min((item.since.isoformat() if item.since is not None else "" for item in items), default="")
    return (_LEVELS.index(case.isolation), leaving, since, place)


class _Accepted:
    """Those on a cluster that may stay, so far."""

    def __init__(self) -> None:
        self._residents: list[Resident] = []
        self._neighbours: set[str] = set()

    def add(self, case: Case) -> None:
        """Let a case stay."""
        self._neighbours.update(case.demanded)
        self._residents.append(
            Resident(
                tenant=case.tenant.meta.name,
                environment=case.environment.meta.name,
                classes=case.classes,
                isolation=case.isolation,
            )
        )

    def put_beside(self, case: Case) -> Case:
        """Return the case as if only those stood there."""
        own = case.tenant.meta.name
        residents = tuple(item for item in self._residents if item.tenant != own)
        return replace(case, residents=residents, neighbours=frozenset(self._neighbours))


def _find_broken(
    sieve: Filter, case: Case, opening: Opening, number: int, accepted: _Accepted
) -> tuple[str, str] | None:
    for code in BINDING:
        rule: Rule = _BY_CODE[code]
        if rule.reads is not None:
            if sieve.ask(rule, opening, case) >> number & 1:
                return code, rule.check(case)
        elif code in sieve.needed and (message := rule.check(accepted.put_beside(case))):
            return code, message
    return None
