"""When changes may start: windows of the set and of regimes, and freezes.

As time passes, `find_slot` names the same slot until a change that begins now would no longer end in it. Only two
things move with the clock: HORIZON, and the ends of what is open for longer than is drawn (`openings.MARGIN`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from atoll.fleet.spec import Window

from .openings import HORIZON, Openings, check_window, draw_openings

__all__ = ["HORIZON", "LONG_AGO", "Calendar", "Slot", "check_window", "find_longest", "find_slot"]

LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)
"""Start of what has always been open, as far as anybody looks."""
FAR_OFF: Final = datetime(9999, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What one rule-giver says: any of its windows will do, and it is always open if it has none."""

    source: str
    """For messages: "spec.upgrade.windows", "Regime pci"."""
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A time in which changes may run, in UTC."""

    start: datetime
    """LONG_AGO: open for longer than anybody looks back."""
    end: datetime | None
    """None: no end within the horizon."""

    def fits(self, now: datetime, seconds: float) -> bool:
        """Say whether a change of `seconds` that begins now, or at the start if that is later, ends in time."""
        if self.end is None:
            return True
        return self.end > now and (self.end - max(now, self.start)).total_seconds() >= seconds


def find_slot(
    calendars: Sequence[Calendar], closed: Sequence[tuple[datetime, datetime]], now: datetime, seconds: float
) -> Slot | None:
    """Return the first slot that a change of `seconds` fits into: all calendars open, none of `closed` in it.

    None: no such slot begins within HORIZON.
    """
    windows = _list_windows(calendars)
    openings = _draw(windows, now) if windows else None
    for gap in _list_gaps(closed):
        slot = gap if openings is None else _search(openings, gap, now, seconds)
        if slot is not None and slot.fits(now, seconds):
            return slot if slot.start <= now + HORIZON else None
    return None


def find_longest(calendars: Sequence[Calendar], now: datetime) -> float | None:
    """Return the seconds of the longest time within HORIZON at which all calendars are open; None: no limit.

    One that is open now counts in full. Freezes are not looked at: they pass.
    """
    windows = _list_windows(calendars)
    return _measure(windows, now.astimezone(UTC).replace(second=0, microsecond=0)) if windows else None


def _list_windows(calendars: Sequence[Calendar]) -> tuple[tuple[Window, ...], ...]:
    return tuple(calendar.windows for calendar in calendars if calendar.windows)


def _draw(windows: tuple[tuple[Window, ...], ...], now: datetime) -> Openings:
    return draw_openings(windows, now.astimezone(UTC).date().replace(day=1))  # Drawn once a month, not each day.


def _list_gaps(closed: Sequence[tuple[datetime, datetime]]) -> Iterator[Slot]:
    """Yield the times between the closed ones, in order."""
    start = LONG_AGO
    closed = [(max(begin, LONG_AGO), min(end, FAR_OFF)) for begin, end in closed]  # The last days fit no other zone.
    for begin, end in sorted(closed):
        if end > begin:
            if begin > start:
                yield Slot(start=start, end=begin.astimezone(UTC))
            start = max(start, end.astimezone(UTC))
    yield Slot(start=start, end=None)


def _search(openings: Openings, gap: Slot, now: datetime, seconds: float) -> Slot | None:
    """Return the first opening within the gap that the change fits into."""
    moment = max(gap.start, now)
    while gap.end is None or moment < gap.end:
        stretch = openings.find(moment, seconds / 60)
        if stretch is None:
            return None
        start, end = stretch
        slot = Slot(
            start=gap.start if start is None else max(start, gap.start),
            end=end if gap.end is None else gap.end if end is None else min(end, gap.end),
        )
        if slot.end is not None and slot.start >= slot.end:
            return None
        if slot.fits(now, seconds):
            return slot
        # Only a start within a minute makes a stretch too short that seemed long enough; the next is not cut so.
        if end is None:
            return None
        moment = end
    return None


@lru_cache(maxsize=32)
def _measure(windows: tuple[tuple[Window, ...], ...], now: datetime) -> float | None:
    openings = _draw(windows, now)
    longest, moment = 0.0, now
    while (stretch := openings.find(moment, longest / 60 + 1)) is not None:
        start, end = stretch
        if start is not None and start > now + HORIZON:
            break
        if end is None:
            return None
        longest, moment = (end - (start or openings.origin)).total_seconds(), end
    return longest
