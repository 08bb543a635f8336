"""Filling clusters one after another: the heart of placing many at once.

The hardest to place opens a cluster. Then come those that leave it most balanced, and when two or three more will do,
the ones, of all that are left, that fill it best. Who has least choice of clusters is served first, and what is left
over of opened clusters goes to the others.

Fitting in all resources at once is one comparison: amounts are packed into one whole number, with a guard
bit above each.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import mul, sub
from typing import Final

REWEIGH: Final = 8
"""After how many clusters the resources are weighed again."""
LAST: Final = 3.2
"""When so many more fit, on average, the best of them are searched for together."""
GLANCES: Final = 40
"""How many of those that come into question are looked at."""
CLOSE_ENOUGH: Final = 1e-6
"""A cluster that has less than a thousandth left is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """What is to be placed."""

    number: int
    need: tuple[int, ...]
    admitted: int
    bit: int
    """Its kind."""
    enemies: int
    """Kinds that it must not meet."""
    alone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """A cluster with what is free in it."""

    number: int
    free: tuple[int, ...]
    size: tuple[int, ...]
    busy: bool
    """Something stands there already: using it opens nothing."""
    present: int = 0
    """Kinds that are there."""


@dataclass(slots=True)
class _Room:
    """A cluster while it is being filled."""

    bin: Bin
    free: list[int]
    present: int
    inside: list[int]


class Filling:
    """Items and clusters, prepared for being packed several times. `work` counts glances at items."""

    def __init__(self, items: Sequence[Item], bins: Sequence[Bin]) -> None:
        self.items = items
        self.work = 0
        self._places = range(len(items[0].need))
        self._width = max((amount.bit_length() for one in bins for amount in one.free), default=0)
        self._width = max(self._width, *(amount.bit_length() for one in items for amount in one.need), 1) + 2
        self._guard = self._pack([1 << (self._width - 1)] * len(self._places))
        self._packed = [self._pack(one.need) for one in items]
        self._scale = [max(1.0, sum(one.size[at] for one in bins) / max(1, len(bins))) for at in self._places]
        self._share = [tuple(one.need[at] / self._scale[at] for at in self._places) for one in items]
        self._worth = [0.0] * len(items)
        self._weights = [1.0] * len(self._places)
        self._weighed = list(self._share)
        self._pool: list[tuple[float, int]] = []
        self._hostile = any(item.enemies for item in items) or any(one.present for one in bins)
        # How widely is searched follows from how much there is to search.
        self._firsts = 60 if len(items) <= 500 else 30
        self._thirds = 14 if len(items) <= 500 else 8
        wanted = dict.fromkeys((one.number for one in bins), 0)
        for mask in {one.admitted for one in items}:
            for number in wanted:
                wanted[number] += mask >> number & 1
        self._appeal = {
            one.number: (
                -sum(free / scale for free, scale in zip(one.free, self._scale, strict=True)),
                wanted[one.number],
            )
            for one in bins
        }

    def fullness(self, inside: Iterable[int]) -> float:
        """Return how much of an average cluster these items take, summed over the resources."""
        return round(sum(sum(self._share[index]) for index in inside), 9)

    def fill(self, indices: Iterable[int], bins: Sequence[Bin], balance: float, power: float) -> dict[int, list[int]]:
        """Pack items into clusters; returns the items by cluster, for those clusters that got any."""
        tiers: dict[tuple[bool, int, int], list[int]] = defaultdict(list)
        reach = sum(1 << one.number for one in bins)
        for index in indices:
            item = self.items[index]
            mask = item.admitted & reach
            tiers[not item.alone, mask.bit_count(), mask].append(index)
        opened = [_Room(bin=one, free=list(one.free), present=one.present, inside=[]) for one in bins if one.busy]
        unused = sorted((one for one in bins if not one.busy), key=lambda one: (self._appeal[one.number], one.number))
        for (_, _, mask), members in sorted(tiers.items()):
            if mask:
                self._fill_tier(members, mask, opened, unused, balance, power)
        return {room.bin.number: room.inside for room in opened if room.inside}

    def _fill_tier(
        self, members: list[int], mask: int, opened: list[_Room], unused: list[Bin], balance: float, power: float
    ) -> None:
        todo = set(members)
        self._weigh(todo, power)
        least = self._pack([min(self.items[index].need[at] for index in members) for at in self._places])
        rooms = [room for room in opened if mask >> room.bin.number & 1]
        for room in sorted(rooms, key=lambda room: (self._left(room), room.bin.number)):
            if ((self._pack(room.free) | self._guard) - least) & self._guard == self._guard:
                todo.difference_update(self._fill_room(room, balance))
        hardest = sorted(todo, key=lambda index: (-max(self._share[index], default=0.0), self.items[index].number))
        filled = 0
        for index in hardest:
            if index not in todo:
                continue
            fresh = self._open(index, mask, unused)
            if fresh is None:
                todo.discard(index)
                self._take(index)
                continue
            opened.append(fresh)
            filled += 1
            if filled % REWEIGH == 0:
                self._weigh(todo, power)
            self._put(fresh, index)
            todo.discard(index)
            todo.difference_update(self._fill_room(fresh, balance))

    def _weigh(self, todo: set[int], power: float) -> None:
        """Let scarce resources count more: what is still needed of each decides."""
        # Whole numbers are added up, because sums of fractions depend on their order.
        totals = [sum(self.items[index].need[at] for index in todo) for at in self._places]
        rest = [total / scale for total, scale in zip(totals, self._scale, strict=True)]
        most = max(rest, default=0.0) or 1.0
        self._weights = [(amount / most) ** power for amount in rest]
        for index in todo:
            self._weighed[index] = tuple(map(mul, self._weights, self._share[index]))
            self._worth[index] = sum(self._weighed[index])
        self._pool = sorted((-self._worth[index], index) for index in todo)

    def _open(self, index: int, mask: int, unused: list[Bin]) -> _Room | None:
        """Open a cluster for one item: the first in `unused` that may and can take it."""
        need, enemies = self._packed[index], self.items[index].enemies
        for place, one in enumerate(unused):
            if not mask >> one.number & 1 or one.present & enemies:
                continue
            if (self._pack(one.free) | self._guard) - need & self._guard == self._guard:
                del unused[place]
                return _Room(bin=one, free=list(one.free), present=one.present, inside=[])
        return None

    def _put(self, room: _Room, index: int) -> None:
        self._take(index)
        room.inside.append(index)
        room.present |= self.items[index].bit
        for at, amount in enumerate(self.items[index].need):
            room.free[at] -= amount

    def _take(self, index: int) -> None:
        del self._pool[bisect_left(self._pool, (-self._worth[index], index))]

    def _fill_room(self, room: _Room, balance: float) -> list[int]:
        """Fill one cluster from the pool; returns what went in."""
        before = len(room.inside)
        guard, packed, items = self._guard, self._packed, self.items
        fitting = [index for _, index in self._pool]
        while True:
            free = self._pack(room.free) | guard
            self.work += len(fitting)
            # Room only shrinks, so who does not fit now will not fit later.
            fitting = [index for index in fitting if free - packed[index] & guard == guard]
            if self._hostile and room.present:
                fitting = [index for index in fitting if not items[index].enemies & room.present]
            if not fitting:
                return room.inside[before:]
            if self._count_more(room, fitting) > LAST:
                chosen: tuple[int, ...] = (self._choose_balanced(room, fitting, balance),)
            else:
                chosen = self._choose_last(room, free, fitting)
            for index in chosen:
                # Two that fill it best together may be foes of each other.
                if not items[index].enemies & room.present:
                    self._put(room, index)
            taken = set(chosen)
            fitting = [index for index in fitting if index not in taken]

    def _count_more(self, room: _Room, fitting: list[int]) -> float:
        """Return how many more of the average fitting item the cluster holds."""
        sample = fitting[:: max(1, len(fitting) // 32)]
        counts = []
        for at in self._places:
            total = sum(self.items[index].need[at] for index in sample)
            if total:
                counts.append(room.free[at] * len(sample) / total)
        return min(counts, default=0.0)

    def _choose_balanced(self, room: _Room, fitting: list[int], balance: float) -> int:
        """Choose what leaves little, and of all resources alike."""
        left = self._shares_left(room)
        part = balance / len(left)
        best, least = fitting[0], float("inf")
        sample = fitting[:: max(1, len(fitting) // self._firsts)]
        self.work += 6 * len(sample)
        for index in sample:
            rest = [a - b for a, b in zip(left, self._share[index], strict=True)]
            middle = sum(rest) * part
            score = sum((x - middle) * (x - middle) for x in rest)
            if score < least:
                best, least = index, score
        return best

    def _choose_last(self, room: _Room, free: int, fitting: list[int]) -> tuple[int, ...]:
        """Choose one, two or three that leave least."""
        search = _Search(
            packed=self._packed,
            weighed=self._weighed,
            worth=self._worth,
            guard=self._guard,
            left=list(map(mul, self._weights, self._shares_left(room))),
            fitting=fitting,
            falling=[-self._worth[index] for index in fitting],
        )
        search.try_one(fitting[0])
        for index in fitting[:: max(1, len(fitting) // self._firsts)]:
            search.try_with((index,), free - self._packed[index])
        if search.least > CLOSE_ENOUGH:
            firsts = fitting[:: max(1, len(fitting) // self._thirds)]
            for at, index in enumerate(firsts):
                rest = free - self._packed[index]
                for other in firsts[at + 1 :]:
                    if rest - self._packed[other] & self._guard == self._guard:
                        search.try_with((index, other), rest - self._packed[other])
                if search.least <= CLOSE_ENOUGH:
                    break
        self.work += 3 * search.work
        return search.best

    def _shares_left(self, room: _Room) -> list[float]:
        return [amount / scale for amount, scale in zip(room.free, self._scale, strict=True)]

    def _left(self, room: _Room) -> float:
        return sum(self._shares_left(room))

    def _pack(self, amounts: Sequence[int]) -> int:
        packed = 0
        for place, amount in enumerate(amounts):
            packed |= amount << (place * self._width)
        return packed


@dataclass(slots=True, kw_only=True)
class _Search:
    """Looks for the few items that fill a cluster best: those that leave the smallest sum of squares."""

    packed: list[int]
    weighed: list[tuple[float, ...]]
    worth: list[float]
    """Sums of what is weighed."""
    guard: int
    left: list[float]
    """Weighed, too."""
    fitting: list[int]
    """Items that fit, the worthiest first."""
    falling: list[float]
    """Their worth, negative, for bisection."""
    best: tuple[int, ...] = ()
    least: float = float("inf")
    work: int = 0

    def try_one(self, index: int) -> None:
        """See what one would leave."""
        score = sum((a - b) ** 2 for a, b in zip(self.left, self.weighed[index], strict=True))
        if score < self.least:
            self.best, self.least = (index,), score

    def try_with(self, firsts: tuple[int, ...], free: int) -> None:
        """Look for the one item that goes best with these. `free` is packed, what these take already taken off."""
        left: list[float] = self.left
        for index in firsts:
            left = list(map(sub, left, self.weighed[index]))
        room, count = sum(left), len(left)
        start = bisect_left(self.falling, -room)
        worth, packed, guard = self.worth, self.packed, self.guard
        # Worth that is left in all bounds the squares from below, so that most need not be computed.
        floor = room - (self.least * count) ** 0.5
        for index in self.fitting[start : start + GLANCES]:
            self.work += 1
            if worth[index] <= floor:
                break
            if free - packed[index] & guard == guard and index not in firsts:
                score = 0.0
                for a, b in zip(left, self.weighed[index]):  # noqa: B905 - as many weights as resources, a million times
                    score += (a - b) * (a - b)
                if score < self.least:
                    self.best, self.least = (*firsts, index), score
                    floor = room - (score * count) ** 0.5
