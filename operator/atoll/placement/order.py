"""Who is placed first: order decides how full clusters get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from .batch import is_free
from .case import to_thousandths
from .demand import Opening
from .ledger import Ledger


def order_openings(ledger: Ledger, openings: tuple[Opening, ...]) -> list[tuple[Opening, Mapping[str, int]]]:
    """Order by who has least choice, then by dominant share, the biggest first, then by name.

    Who is free to choose comes last: those are planned together, around what the others need.
    """
    totals = [sum(row[slot] for row in ledger.capacity if row[slot] > 0) for slot in range(len(ledger.resources))]

    def share(need: Mapping[str, int]) -> float:
        return max((amount / (totals[slot] or 1) for slot, amount in ledger.slots(need)), default=0.0)

    found = []
    for opening in openings:
        need: Counter[str] = Counter()
        for item in opening.asked.namespaces:
            if item.name in opening.names:
                need.update(to_thousandths(item.resources))
        key = (
            not opening.only,
            is_free(opening),
            -share(need),
            opening.tenant.meta.name,
            opening.asked.name,
            opening.only,
        )
        found.append((key, opening, need))
    found.sort(key=lambda item: item[0])
    return [(opening, dict(need)) for _, opening, need in found]
