"""Moves: which may begin now, and how each is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from atoll.fleet.decisions import Candidate, Move

from .demand import Opening, Standing
from .rules import BINDING


def admit_moves(
    standing: Standing, candidates: Sequence[Candidate], limit: int, now: datetime
) -> tuple[tuple[Opening, ...], tuple[Move, ...]]:
    """Return the openings that may be filled now, and the moves that have to wait, each with its reason.

    A move waits while its environment is frozen, while nobody knows how the cluster is that it leaves, and while as
    many as `limit` are under way in the fleet.
    """
    by_name = {item.cluster: item for item in candidates}
    under_way = {(move.tenant, move.environment) for move in standing.moving}
    openings, held = [], []
    for opening in sorted(standing.openings, key=_rank):
        if not opening.moving or opening.blocked:
            openings.append(opening)
            continue
        wait = _why_wait(opening, by_name, now)
        if not wait and len(under_way) >= limit:
            wait = f"waits until one of {len(under_way)} moves that are under way has ended"
        if wait:
            held += [begin_move(opening, origin, "", wait) for origin in opening.moving]
            continue
        under_way.add((opening.tenant.meta.name, opening.asked.name))
        openings.append(opening)
    return tuple(openings), tuple(held)


def begin_move(opening: Opening, origin: str, target: str, wait: str = "") -> Move:
    """Build the move of an opening that leaves `origin`; without a target it waits, or nobody takes it."""
    code, message = opening.moving[origin]
    rest = wait or ("" if target else "no other cluster takes it")
    return Move(
        tenant=opening.tenant.meta.name,
        environment=opening.asked.name,
        namespaces=opening.namespaces,
        origin=origin,
        target=target,
        rule=code,
        reason=f"{origin} {message}; {rest}" if rest else f"{origin} {message}",
    )


def _rank(opening: Opening) -> tuple[int, str, str, str]:
    codes = [BINDING.index(code) for code, _ in opening.moving.values()]
    return (min(codes, default=0), opening.tenant.meta.name, opening.asked.name, opening.only)


def _why_wait(opening: Opening, candidates: Mapping[str, Candidate], now: datetime) -> str:
    for freeze in opening.environment.freezes:
        if freeze.holds(now):
            why = f" ({freeze.reason})" if freeze.reason else ""
            return f"waits: environment {opening.asked.name} is frozen until {freeze.end:%Y-%m-%d %H:%M} UTC{why}"
    for origin in opening.moving:
        found = candidates.get(origin)
        if found is None or not found.available:
            message = found.unavailable_message if found is not None else "it is not there"
            return f"waits until {origin} is known to be well: {message}"
    return ""
