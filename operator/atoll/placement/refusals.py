"""What is said about what fits nowhere: counts for all clusters, words and edits for the nearest few.

Words cost more than counting, so they are only made for the clusters that somebody will read about.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from atoll.fleet.decisions import Refusal, Unplaced
from atoll.fleet.snapshot import Fleet

from .demand import Opening
from .filter import Filter
from .ledger import Ledger
from .patches import build_patches
from .remedies import mend
from .rules import RULES

NEAREST: Final = 5
"""How many refused clusters a tenant is told of unasked."""

Refused = tuple[tuple[str, int], ...]


def build_unplaced(
    fleet: Fleet, ledger: Ledger, sieve: Filter, opening: Opening, limit: int | None = NEAREST
) -> Unplaced:
    """Say for which reasons how many clusters refuse, and what would help on the nearest."""
    if opening.blocked:
        return _build(opening, {}, (), opening.blocked)
    everybody = list_relevant(ledger, opening)
    refused = tuple((code, mask & everybody) for code, mask in sieve.refuse(opening, with_capacity=True))
    counts: dict[str, int] = {}
    rest = everybody
    for code, mask in refused:
        hits = (rest & mask).bit_count()
        if hits:
            counts[code] = hits
        rest &= ~mask
    refusals = tuple(
        build_refusal(fleet, sieve, opening, number, broken) for number, broken in list_nearest(refused, limit)
    )
    return _build(opening, counts, refusals, _write_message(opening, counts, anybody=bool(ledger.candidates)))


def list_relevant(ledger: Ledger, opening: Opening) -> int:
    """Return the clusters that an opening could go to if no rule refused, as a set of bits."""
    if opening.only:
        return 1 << ledger.index[opening.only]
    mask = ledger.everything
    for name in opening.hosting:
        mask &= ~(1 << ledger.index[name])
    return mask


def list_nearest(refused: Refused, limit: int | None) -> Iterator[tuple[int, int]]:
    """Yield cluster and number of broken rules, fewest first, then by name.

    Counts all clusters at once: digit by digit, each digit of the counters a set of bits.
    """
    digits = [0] * len(RULES).bit_length()
    anyhow = 0
    for _, mask in refused:
        anyhow |= mask
        carry = mask
        for place in range(len(digits)):
            digits[place], carry = digits[place] ^ carry, digits[place] & carry
    told = 0
    for broken in range(1, len(RULES) + 1):
        mask = anyhow
        for place, digit in enumerate(digits):
            mask &= digit if broken >> place & 1 else ~digit
        while mask and (limit is None or told < limit):
            lowest = mask & -mask
            yield lowest.bit_length() - 1, broken
            mask ^= lowest
            told += 1


def build_refusal(fleet: Fleet, sieve: Filter, opening: Opening, number: int, broken: int) -> Refusal:
    """Say why one cluster refuses, and the smallest change that admits, with edits where edits can."""
    case = sieve.build_case(opening, number)
    found = [(rule.code, message) for rule in RULES if (message := rule.check(case))]
    mended, remedy = mend(case)
    cluster_set = fleet.cluster_set(case.candidate.set_name)
    patches = build_patches(case, mended, cluster_set) if mended is not None and cluster_set is not None else ()
    return Refusal(
        tenant=opening.tenant.meta.name,
        environment=opening.asked.name,
        namespaces=opening.namespaces,
        cluster=case.candidate.cluster,
        rule=found[0][0],
        message="; ".join(message for _, message in found),
        remedy=remedy,
        patches=patches,
        broken=broken,
    )


def _build(opening: Opening, counts: dict[str, int], refusals: tuple[Refusal, ...], message: str) -> Unplaced:
    return Unplaced(
        tenant=opening.tenant.meta.name,
        environment=opening.asked.name,
        namespaces=opening.namespaces,
        counts=counts,
        refusals=refusals,
        message=message,
    )


def _write_message(opening: Opening, counts: dict[str, int], *, anybody: bool) -> str:
    if not anybody:
        return "fits nowhere: the fleet declares no cluster. Add one to spec.clusters of a ClusterSet."
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    text = f"{total} cluster{'' if total == 1 else 's'} refused: {', '.join(f'{n} {code}' for code, n in ordered)}"
    if opening.unsure:
        return "waits until every cluster has been looked at: its namespaces may stand there already"
    if opening.only:
        return f"does not fit on {opening.only}, where the other namespaces of the environment stand ({text})"
    have = len(opening.hosting)
    if have:
        rest = f"no other takes it ({text})" if total else "there is no other"
        return f"is on {have} of {opening.asked.clusters} clusters, and {rest}"
    return f"fits nowhere ({text})"
