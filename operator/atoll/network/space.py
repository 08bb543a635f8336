"""Free room in an address family, found without walking through it address by address."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from ipaddress import IPv4Network, IPv6Network

Block = IPv4Network | IPv6Network


class Space:
    """Taken ranges of one address family, merged and sorted. Lives for one calculation only.

    Ranges are only ever taken, never given back, so the first slot of a size that is free can only move inwards: the
    cursors remember where the last search ended.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._cursors: dict[tuple[int, int, int, bool], int] = {}

    def take(self, start: int, end: int) -> None:
        """Mark `[start, end)` as taken; it may overlap what is taken already."""
        first = bisect_left(self._ends, start)
        last = bisect_right(self._starts, end)
        if first < last:
            start = min(start, self._starts[first])
            end = max(end, self._ends[last - 1])
        self._starts[first:last] = [start]
        self._ends[first:last] = [end]

    def lowest(self, low: int, high: int, size: int) -> int | None:
        """Return where the first free aligned slot in `[low, high)` begins."""
        key = (low, high, size, True)
        position = -(-self._cursors.get(key, low) // size) * size
        index = bisect_right(self._ends, position)
        while position + size <= high:
            if index >= len(self._starts) or self._starts[index] >= position + size:
                self._cursors[key] = position
                return position
            position = -(-self._ends[index] // size) * size
            while index < len(self._ends) and self._ends[index] <= position:
                index += 1
        self._cursors[key] = high
        return None

    def highest(self, low: int, high: int, size: int) -> int | None:
        """Return where the last free aligned slot in `[low, high)` begins."""
        key = (low, high, size, False)
        position = (self._cursors.get(key, high) // size - 1) * size
        index = bisect_left(self._starts, position + size) - 1
        while position >= low:
            if index < 0 or self._ends[index] <= position:
                self._cursors[key] = position + size
                return position
            position = (self._starts[index] // size - 1) * size
            while index >= 0 and self._starts[index] >= position + size:
                index -= 1
        self._cursors[key] = low
        return None


def bounds(block: Block) -> tuple[int, int]:
    """Return the first address of a block, and the first one after it."""
    start = int(block.network_address)
    return start, start + block.num_addresses
