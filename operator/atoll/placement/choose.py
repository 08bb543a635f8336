"""Score and pick: spread first where it is asked for, then the tightest fit that keeps the resources balanced.

Best fit decreasing: whoever is big goes first, and into the fullest cluster that still takes it, so that big holes stay
for big ones. Only the fullest few that fit are scored in full; looking at all of them costs much and finds little.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from .demand import Opening
from .ledger import Ledger

SHORTLIST: Final = 8
"""How many clusters of each region are scored in full."""


def read_domain(ledger: Ledger, number: int, key: str) -> str:
    """Return the region or country of a cluster, as placements are spread over it."""
    candidate = ledger.candidates[number]
    return candidate.country if key == "country" else candidate.region


def choose_clusters(
    ledger: Ledger,
    opening: Opening,
    need: Mapping[str, int],
    admitted: int,
    crowd: Mapping[str, int],
    planned: int | None = None,
) -> list[int]:
    """Pick up to `opening.count` clusters. `crowd` counts the environment's placements by region or country.

    `planned` is what was thought out for many together (see `batch`); it is followed where that is still possible.
    """
    if planned is not None and admitted >> planned & 1:
        offered = ledger.offered(opening.environment.headroom_percent)
        if ledger.fits(planned, ledger.slots(need), offered):
            return [planned]
    spread = opening.environment.spread
    key = spread.topology_key if spread is not None else "region"
    spreads = spread is not None or opening.asked.clusters > 1
    own = Counter(read_domain(ledger, ledger.index[name], key) for name in opening.hosting)
    shortlist = _list_fitting(ledger, opening, need, admitted, key if spreads else "")
    crowd_now = Counter(crowd)
    domains = _list_domains(ledger, admitted, key) if spread is not None else ()
    picked: list[int] = []
    while len(picked) < opening.count and shortlist:

        def score(number: int) -> tuple[int, int, float, int]:
            domain = read_domain(ledger, number, key) if spreads else ""
            skew = 0
            if spread is not None:
                fewest = min((crowd_now[item] for item in domains), default=0)
                skew = max(0, crowd_now[domain] + 1 - fewest - spread.max_skew)
            return own[domain] if spreads else 0, skew, ledger.left_over(number, need), number

        best = min(shortlist, key=score)
        picked.append(best)
        shortlist.remove(best)
        domain = read_domain(ledger, best, key)
        own[domain] += 1
        crowd_now[domain] += 1
    return picked


def _list_fitting(ledger: Ledger, opening: Opening, need: Mapping[str, int], admitted: int, key: str) -> list[int]:
    """List the fullest clusters that fit, as many of each region as could be needed."""
    most = SHORTLIST + opening.count
    found: dict[str, list[int]] = defaultdict(list)
    for number in ledger.fitting(need, opening.environment.headroom_percent, admitted):
        domain = read_domain(ledger, number, key) if key else ""
        if len(found[domain]) < most:
            found[domain].append(number)
        elif not key:
            break
    return [number for numbers in found.values() for number in numbers]


def _list_domains(ledger: Ledger, admitted: int, key: str) -> Iterable[str]:
    return {read_domain(ledger, number, key) for number in range(len(ledger.candidates)) if admitted >> number & 1}
