"""Placing many at once: which cluster takes whom, so that few clusters are used.

One at a time, best fit is all that can be done. Where many look for a place together, clusters are filled one after
another (see `filling`), and then the emptiest are emptied again, together with some full ones, and filled better, until
nothing is gained or enough work has been done. Work is counted, not timed, so the answer is always the same.

The answer is a proposal: it moves nobody, and whoever follows it asks every rule again before placing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from math import ceil
from typing import Final

from atoll.fleet.spec import Isolation, Regime, Topology

from .case import demand_isolation
from .demand import Opening
from .filling import Bin, Filling, Item
from .ledger import Ledger

ENOUGH: Final = 2
"""From so many on, placing together may be better than one at a time."""
BUDGET: Final = (500_000, 1_000)
"""Glances at an item, in all and for each item; a million take about a fifth of a second."""
NEAR: Final = 130
"""One cluster in so many more than the least possible is near enough."""
ROUNDS: Final = 60
PARCEL: Final = 24
"""How many of the emptiest clusters are emptied at once."""
STYLES: Final = ((0.8, 16.0), (0.97, 16.0), (0.5, 40.0), (0.9, 8.0), (0.8, 2.0))
"""How much balance counts against size, and how strongly scarce resources count: tried in turns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One group of namespaces that looks for one cluster, and is free to choose among those that are admitted."""

    need: tuple[tuple[int, int], ...]
    """Slots of the ledger and amounts, as `Ledger.slots` returns them."""
    admitted: int
    """Clusters that all rules but capacity admit as things stand, as a set of bits."""
    headroom_percent: int = 0
    kind: Hashable = ""
    """Who it is, as far as sharing goes: asks of one kind may always share a cluster."""
    alone: bool = False
    """It shares a cluster with its own kind only."""


@dataclass(frozen=True, slots=True)
class _Company:
    """What decides with whom a group shares a cluster, as far as environments decide it."""

    keeper: str
    """Its environment, where that keeps clusters for itself."""
    classes: frozenset[str]
    split: bool
    """Whether its environment is split over clusters by these classes."""

    def bears(self, other: _Company) -> bool:
        """Say whether both may stand on one cluster."""
        if self.keeper != other.keeper:
            return False
        return self.classes == other.classes or not (self.split or other.split)


def is_free(opening: Opening) -> bool:
    """Say whether one cluster, whichever it is, is all that an opening needs: only then it is planned with others."""
    waits = opening.blocked or opening.unsure
    bound = opening.only or opening.moving or opening.giving_back
    return not (waits or bound or opening.asked.clusters > 1 or opening.environment.spread)


def plan_openings(
    ledger: Ledger,
    openings: Sequence[tuple[Opening, Mapping[str, int]]],
    admit: Callable[[Opening], int],
    regimes: Mapping[str, Regime],
) -> dict[int, int]:
    """Propose a cluster for each free opening, by position. `admit` returns what all rules but capacity admit now."""
    free = [position for position, (opening, _) in enumerate(openings) if is_free(opening)]
    if len(free) < ENOUGH:
        return {}
    asks = []
    for position in free:
        opening, need = openings[position]
        tenant, environment = opening.tenant, opening.environment
        kind: Hashable = _read_company(opening)
        alone = environment.topology is Topology.CLUSTER_PER_TENANT
        if alone:
            kind = (tenant.meta.name, environment.meta.name)
        elif demand_isolation(tenant, environment, regimes) is not Isolation.NAMESPACE:
            alone, kind = True, (tenant.meta.name, kind)
        asks.append(
            Ask(
                need=ledger.slots(need),
                admitted=admit(opening),
                headroom_percent=environment.headroom_percent,
                kind=kind,
                alone=alone,
            )
        )
    companies = dict.fromkeys(ask.kind for ask in asks if isinstance(ask.kind, _Company))
    foes = [(one, two) for one, two in combinations(companies, 2) if not one.bears(two)]
    return {free[position]: cluster for position, cluster in plan_batch(ledger, asks, foes).items()}


def follow_plan(
    ledger: Ledger,
    ordered: Sequence[tuple[Opening, Mapping[str, int]]],
    admit: Callable[[Opening], int],
    regimes: Mapping[str, Regime],
) -> Iterator[tuple[Opening, Mapping[str, int], int | None]]:
    """Yield openings in the order in which to place them, each with the cluster that is planned for it, if any.

    Those that are free to choose are planned when all others have been placed; who consumes this must place what it was
    given before it asks for the next.
    """
    for opening, need in ordered:
        if not is_free(opening):
            yield opening, need, None
    free = [entry for entry in ordered if is_free(entry[0])]
    planned = plan_openings(ledger, free, admit, regimes)
    # Who is not in the plan comes after it, and takes nobody's place.
    for position in sorted(range(len(free)), key=lambda position: position not in planned):
        yield *free[position], planned.get(position)


def _read_company(opening: Opening) -> _Company:
    environment = opening.environment
    return _Company(
        keeper=environment.meta.name if environment.topology is Topology.CLUSTER_PER_ENVIRONMENT else "",
        classes=frozenset(item.workload_class for item in opening.asked.namespaces if item.name in opening.names),
        split=environment.topology is Topology.CROSS_ENVIRONMENT,
    )


def plan_batch(ledger: Ledger, asks: Sequence[Ask], foes: Collection[tuple[Hashable, Hashable]] = ()) -> dict[int, int]:
    """Choose a cluster for each ask, by position; those that fit nowhere are left out.

    `foes` are pairs of kinds that must not meet. The order of `asks` decides between equal ones only.
    """
    chosen: dict[int, int] = {}
    if not asks:
        return chosen
    bits, enemies = _number_kinds(asks, foes)
    used = [list(row) for row in ledger.used]
    present = [0] * len(used)
    # Those that must leave most free have least choice, so they go first.
    for headroom in sorted({ask.headroom_percent for ask in asks}, reverse=True):
        numbers = [number for number, ask in enumerate(asks) if ask.headroom_percent == headroom]
        slots = sorted({slot for number in numbers for slot, _ in asks[number].need})
        bins = _build_bins(ledger, used, present, slots, headroom)
        items = [
            Item(
                number=number,
                need=tuple(dict(asks[number].need).get(slot, 0) for slot in slots),
                admitted=asks[number].admitted,
                bit=bits[number],
                enemies=enemies[number],
                alone=asks[number].alone,
            )
            for number in numbers
        ]
        for number, cluster in _solve(items, bins).items():
            chosen[number] = cluster
            present[cluster] |= bits[number]
            for slot, amount in asks[number].need:
                used[cluster][slot] += amount
    return chosen


def _number_kinds(asks: Sequence[Ask], foes: Collection[tuple[Hashable, Hashable]]) -> tuple[list[int], list[int]]:
    """Return the bit of each ask's kind, and the bits of the kinds that it must not meet."""
    bits: dict[Hashable, int] = {}
    for ask in asks:
        bits.setdefault(ask.kind, 1 << len(bits))
    everybody = (1 << len(bits)) - 1
    enemies = dict.fromkeys(bits, 0)
    for one, two in foes:
        if one in bits and two in bits and one != two:
            enemies[one] |= bits[two]
            enemies[two] |= bits[one]
    alone = {ask.kind for ask in asks if ask.alone}
    recluses = sum(bits[kind] for kind in alone)
    for kind, bit in bits.items():
        enemies[kind] |= (everybody if kind in alone else recluses) & ~bit
    return [bits[ask.kind] for ask in asks], [enemies[ask.kind] for ask in asks]


def _build_bins(
    ledger: Ledger, used: list[list[int]], present: list[int], slots: Sequence[int], headroom: int
) -> list[Bin]:
    offered = ledger.offered(headroom)
    return [
        Bin(
            number=number,
            free=tuple(max(0, offered[number][slot] - used[number][slot]) for slot in slots),
            size=tuple(max(0, offered[number][slot]) for slot in slots),
            busy=any(used[number]),
            present=present[number],
        )
        for number, candidate in enumerate(ledger.candidates)
        if candidate.capacity is not None
    ]


def _solve(items: Sequence[Item], bins: Sequence[Bin]) -> dict[int, int]:
    """Fill, then improve; returns clusters by the items' numbers."""
    filling = Filling(items, bins)
    everywhere = {item.number: item for item in bins}
    homes = filling.fill(range(len(items)), list(bins), *STYLES[0])
    least = _bound(items, bins)
    budget = BUDGET[0] + BUDGET[1] * len(items)
    for turn in range(ROUNDS):
        fresh = [number for number in homes if not everywhere[number].busy]
        missing = len(items) - sum(len(there) for there in homes.values())
        if filling.work >= budget or (len(fresh) <= least + least // NEAR and not missing):
            break
        _improve(filling, homes, everywhere, turn)
    return {items[index].number: number for number, there in homes.items() for index in there}


def _improve(filling: Filling, homes: dict[int, list[int]], bins: dict[int, Bin], turn: int) -> None:
    """Empty some clusters, the emptiest among them, and fill them again with whatever has no place, too."""
    # Who is alone in a cluster leaves nothing to be gained there.
    shared = [number for number, there in homes.items() if not any(filling.items[index].alone for index in there)]
    order = sorted(shared, key=lambda number: (bins[number].busy, filling.fullness(homes[number]), number))
    emptiest, rest = order[:PARCEL], order[PARCEL:]
    step = max(1, len(rest) // PARCEL)
    parcel = emptiest + rest[turn * 7 % step :: step][:PARCEL]
    before = {number: homes[number] for number in parcel}
    placed = {index for there in homes.values() for index in there}
    homeless = [index for index in range(len(filling.items)) if index not in placed]
    inside = sorted(index for there in before.values() for index in there)
    after = filling.fill([*inside, *homeless], [bins[number] for number in sorted(parcel)], *STYLES[turn % len(STYLES)])
    found = {index for there in after.values() for index in there}
    if not found.issuperset(inside):
        return
    if _grade(filling, after, bins) < _grade(filling, before, bins):
        for number in parcel:
            homes.pop(number)
        homes.update(after)
        # What has become free may be just what the rest needs.
        homeless = [index for index in homeless if index not in found]
        if homeless:
            unused = [item for number, item in sorted(bins.items()) if number not in homes]
            homes.update(filling.fill(homeless, unused, *STYLES[0]))


def _grade(filling: Filling, homes: dict[int, list[int]], bins: dict[int, Bin]) -> tuple[int, int, float]:
    """Return how bad it is: few placed, many opened, and all equally full, so that none can be emptied."""
    opened = sum(not bins[number].busy for number in homes)
    even = sum(filling.fullness(there) ** 2 for there in homes.values())
    return -sum(len(there) for there in homes.values()), opened, -round(even, 9)


def _bound(items: Sequence[Item], bins: Sequence[Bin]) -> int:
    """Return how many unused clusters have to be opened at least."""
    least = 0
    recluses = {item.bit for item in items if item.alone}
    others = [item for item in items if not item.alone]
    for place in range(len(items[0].need)):
        total = sum(item.need[place] for item in others) - sum(item.free[place] for item in bins if item.busy)
        largest = max((item.free[place] for item in bins if not item.busy), default=0)
        if total > 0 and largest > 0:
            least = max(least, ceil(total / largest))
    return least + len(recluses)
