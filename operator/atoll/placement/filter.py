"""The filter: which clusters each rule refuses, as sets of bits, every answer asked for once."""

from __future__ import annotations

from collections.abc import Hashable

from atoll.fleet.snapshot import Fleet

from .case import Case
from .demand import Opening
from .ledger import Ledger
from .rules import RULES, Rule


class Filter:
    """Answers of all rules for all clusters, remembered by what each rule reads. Lives for one calculation only."""

    def __init__(self, fleet: Fleet, ledger: Ledger) -> None:
        self._ledger = ledger
        self._answers: dict[tuple[str, Hashable], int] = {}
        self._regimes = {item.meta.name: item for item in fleet.regimes}
        self._picky = any(item.incompatible_with for item in fleet.regimes)
        self._owners = {name for item in ledger.candidates for name in item.reserved_for or ()}
        self._newest = max(((s.version.major, s.version.minor) for s in fleet.cluster_sets), default=(0, 0))
        self._neighbours: list[frozenset[str]] = [frozenset()] * len(ledger.candidates)
        self._counted = [_find_counted(fleet, item.cluster) for item in ledger.candidates]

    def settle(self, number: int, demanded: frozenset[str]) -> None:
        """Remember which regimes are demanded by somebody on a cluster."""
        if not demanded <= self._neighbours[number]:
            self._neighbours[number] |= demanded

    def build_case(self, opening: Opening, number: int) -> Case:
        """Build the case of an opening on one cluster, as things stand now."""
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
        )

    def refuse(self, opening: Opening, *, with_capacity: bool) -> tuple[tuple[str, int], ...]:
        """Return which clusters each rule refuses now, in the order of the rules."""
        if not self._ledger.candidates:
            return ()
        sample = self.build_case(opening, 0)
        found = []
        for rule in RULES:
            if rule.code == "capacity":
                headroom = opening.environment.headroom_percent
                mask = self._ledger.too_full(sample.need, headroom) if with_capacity else 0
            elif rule.reads is None:
                mask = self._ask_all(rule, opening) if self._picky else 0
            else:
                mask = self._ask_once(rule, opening, sample)
            found.append((rule.code, mask))
        return tuple(found)

    def _ask_once(self, rule: Rule, opening: Opening, sample: Case) -> int:
        assert rule.reads is not None
        reading = rule.reads(sample)
        if rule.code == "reserved" and reading not in self._owners:
            reading = ""  # All tenants that own nothing are alike.
        key = (rule.code, reading)
        if key not in self._answers:
            if rule.per_cluster:
                self._answers[key] = self._ask_all(rule, opening)
            else:
                self._answers[key] = self._ledger.everything if rule.check(sample) else 0
        return self._answers[key]

    def _ask_all(self, rule: Rule, opening: Opening) -> int:
        mask = 0
        for number in range(len(self._ledger.candidates)):
            if rule.check(self.build_case(opening, number)):
                mask |= 1 << number
        return mask


def _find_counted(fleet: Fleet, cluster: str) -> frozenset[str]:
    view = fleet.views.get(cluster)
    if view is None or view.member is None or view.member.allocatable is None:
        return frozenset()
    return frozenset(view.member.allocatable)
