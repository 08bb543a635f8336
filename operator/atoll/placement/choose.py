"""Score and pick: regions where it is not yet first, then the tightest fit that keeps the resources balanced.

Best fit decreasing: whoever is big goes first, and into the fullest cluster that still takes it, so that big holes stay
for big ones. Only the fullest few that fit are scored in full; looking at all of them costs much and finds little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

from .case import read_domain
from .demand import Opening
from .ledger import Ledger

SHORTLIST: Final = 8
"""How many clusters of each region are scored in full."""


def choose_clusters(
    ledger: Ledger, opening: Opening, need: Mapping[str, int], admitted: int, planned: int | None = None
) -> list[int]:
    """Pick up to `opening.count` clusters of those that are admitted, over as many regions or countries as can be.

    `planned` is what was thought out for many together (see `batch`); it is followed where that is still possible.
    """
    if planned is not None and admitted >> planned & 1:
        offered = ledger.offered(opening.environment.headroom_percent)
        if ledger.fits(planned, ledger.slots(need), offered):
            return [planned]
    spread = opening.environment.spread
    key = spread.topology_key if spread is not None else "region"
    spreads = spread is not None or opening.asked.clusters > 1
    own = Counter(read_domain(ledger.candidates[ledger.index[name]], key) for name in opening.hosting)
    shortlist = _list_fitting(ledger, opening, need, admitted, key if spreads else "")
    picked: list[int] = []
    while len(picked) < opening.count and shortlist:

        def score(number: int) -> tuple[int, float, int]:
            domain = read_domain(ledger.candidates[number], key) if spreads else ""
            return own[domain] if spreads else 0, ledger.left_over(number, need), number

        best = min(shortlist, key=score)
        picked.append(best)
        shortlist.remove(best)
        own[read_domain(ledger.candidates[best], key)] += 1
    return picked


def _list_fitting(ledger: Ledger, opening: Opening, need: Mapping[str, int], admitted: int, key: str) -> list[int]:
    """List the fullest clusters that fit, as many of each region as could be needed."""
    most = SHORTLIST + opening.count
    found: dict[str, list[int]] = defaultdict(list)
    for number in ledger.fitting(need, opening.environment.headroom_percent, admitted):
        domain = read_domain(ledger.candidates[number], key) if key else ""
        if len(found[domain]) < most:
            found[domain].append(number)
        elif not key:
            break
    return [number for numbers in found.values() for number in numbers]
