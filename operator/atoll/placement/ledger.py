"""What is taken on every cluster while placing goes on. Lives for one calculation only.

Amounts are whole thousandths in lists, one slot per resource, and clusters are numbers in the order of their names:
placing 2,000 tenants on 500 clusters means a million comparisons, and this is what makes them cheap.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping

from atoll.fleet.decisions import Candidate
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Resources

from .case import offer, to_thousandths

UNNAMED = -1
"""Stands for the capacity of a resource that a cluster does not name: nothing ever fits in it."""


class Ledger:
    """Use of all clusters, and the clusters ordered by how full they are."""

    def __init__(self, candidates: Iterable[Candidate], resources: Iterable[str]) -> None:
        self.candidates = tuple(sorted(candidates, key=lambda item: item.cluster))
        self.index = {item.cluster: number for number, item in enumerate(self.candidates)}
        named = {name for item in self.candidates if item.capacity is not None for name in item.capacity.amounts}
        self.resources = tuple(sorted(named | set(resources)))
        self.slot = {name: number for number, name in enumerate(self.resources)}
        self.capacity = [self._spread_out(item, 0) for item in self.candidates]
        self.used = [[0] * len(self.resources) for _ in self.candidates]
        self.everything = (1 << len(self.candidates)) - 1
        self._offers: dict[int, list[list[int]]] = {0: self.capacity}
        self._full: dict[tuple[tuple[tuple[int, int], ...], int], int] = {}
        self._ranks = [self._rank(number) for number in range(len(self.candidates))]
        self._order = sorted((rank, number) for number, rank in enumerate(self._ranks))

    def spend(self, number: int, amounts: Mapping[str, int]) -> None:
        """Book amounts on a cluster."""
        if not amounts:
            return
        self._full.clear()
        used = self.used[number]
        for name, amount in amounts.items():
            used[self.slot[name]] += amount
        old = (self._ranks[number], number)
        del self._order[bisect_left(self._order, old)]
        self._ranks[number] = self._rank(number)
        insort(self._order, (self._ranks[number], number))

    def used_on(self, number: int) -> dict[str, int]:
        """Return what is taken on a cluster, by resource."""
        return dict(zip(self.resources, self.used[number], strict=True))

    def offered(self, headroom_percent: int) -> list[list[int]]:
        """Return what each cluster has when so much must stay free."""
        if headroom_percent not in self._offers:
            self._offers[headroom_percent] = [self._spread_out(item, headroom_percent) for item in self.candidates]
        return self._offers[headroom_percent]

    def slots(self, need: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        """Return a need as pairs of slot and amount."""
        return tuple((self.slot[name], amount) for name, amount in sorted(need.items()))

    def fits(self, number: int, need: tuple[tuple[int, int], ...], offered: list[list[int]]) -> bool:
        """Say whether a need fits on a cluster now."""
        if self.candidates[number].capacity is None:
            return False
        offer_here, used = offered[number], self.used[number]
        for slot, amount in need:  # noqa: SIM110 - all() costs three times as much, and this runs a million times
            if offer_here[slot] - used[slot] < amount:
                return False
        return True

    def fitting(self, need: Mapping[str, int], headroom_percent: int, admitted: int) -> Iterable[int]:
        """Yield the admitted clusters that a need fits on, the fullest first."""
        offered, pairs = self.offered(headroom_percent), self.slots(need)
        for _, number in self._order:
            if admitted >> number & 1 and self.fits(number, pairs, offered):
                yield number

    def too_full(self, need: Mapping[str, int], headroom_percent: int) -> int:
        """Return the clusters that a need does not fit on, as a set of bits."""
        key = (self.slots(need), headroom_percent)
        if key not in self._full:
            offered = self.offered(headroom_percent)
            found = 0
            for number in range(len(self.candidates)):
                if not self.fits(number, key[0], offered):
                    found |= 1 << number
            self._full[key] = found
        return self._full[key]

    def left_over(self, number: int, need: Mapping[str, int]) -> float:
        """Score a cluster by what a need would leave over: the mean of all resources plus their imbalance.

        Less is better. A cluster with much memory and no cpu left serves nobody, so uneven leftovers count against it.
        """
        capacity, used = self.capacity[number], self.used[number]
        after = dict(self.slots(need))
        shares = [(whole - used[slot] - after.get(slot, 0)) / whole for slot, whole in enumerate(capacity) if whole > 0]
        return sum(shares) / len(shares) + max(shares) - min(shares) if shares else 0.0

    def _rank(self, number: int) -> float:
        shares = [
            (whole - used) / whole
            for whole, used in zip(self.capacity[number], self.used[number], strict=True)
            if whole > 0
        ]
        return sum(shares) / len(shares) if shares else 0.0

    def _spread_out(self, candidate: Candidate, headroom_percent: int) -> list[int]:
        offered = offer(candidate.capacity, headroom_percent)
        return [offered.get(name, UNNAMED) for name in self.resources]


_QUOTA_NAMES = {"requests.cpu": "cpu", "requests.memory": "memory", "requests.storage": "storage", "pods": "pods"}


def read_quotas(fleet: Fleet, cluster: str, known: frozenset[str] | set[str]) -> dict[str, int]:
    """Sum the quotas seen on a cluster in namespaces that are not in `known`: orphans still hold what they hold."""
    view = fleet.views.get(cluster)
    total: dict[str, int] = {}
    if view is None or view.member is None:
        return total
    for (kind, namespace, name), body in view.member.objects.items():
        if kind != "ResourceQuota" or name != "atoll" or namespace in known:
            continue
        hard = (body.get("spec") or {}).get("hard") or {}
        amounts = Resources.parse({_QUOTA_NAMES[key]: text for key, text in hard.items() if key in _QUOTA_NAMES})
        for resource, amount in to_thousandths(amounts).items():
            total[resource] = total.get(resource, 0) + amount
    return total
