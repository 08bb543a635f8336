"""The minutes at which windows are open.

Openness is drawn as one byte per minute over a fixed stretch of days, because that bounds the work whatever a cron
says: a cron is asked for its times of one day (at most 1,440) and for its days (one each), and every minute costs what
a weekly one costs. Several windows are joined by `|` and `&` of long integers, which hold the same bytes, and
`bytes.find` finds the first stretch that is long enough. Nothing is cut short: there is no case in which the bound is
hit and the answer is a guess.

Cron times are those of a wall clock. A time that the clocks leap over opens when they have leapt; one that comes twice
opens the first time only. A cron that names no hours (`*`, `*/2`) goes by the hours that pass and opens both times, as
cron daemons have it; else a window that is always open would have a hole each autumn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache, reduce
from itertools import takewhile
from math import ceil, inf
from operator import and_, or_
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from atoll.fleet.spec import Window

HORIZON: Final = timedelta(days=400)
"""How far ahead openings are looked for: a window that comes once a year is seen from wherever one stands."""
MARGIN: Final = timedelta(days=35)
"""How much is drawn, at least, before now and behind the horizon. What reaches out of it counts as without end."""
MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
MONTH: Final = timedelta(days=31)
DAY_MINUTES: Final = 1440
FIELDS: Final = 5
ANY_DAY: Final = datetime.combine(date(2000, 1, 1), time())
OPEN: Final = b"\x01"
CLOSED: Final = b"\x00"
MACHINE_ZONES: Final = ("localtime", "posix", "posixrules", "right")
"""What some machines keep beside the database: other machines do not, or mean another time by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Openings:
    """Which minutes from `origin` on are open: one byte each."""

    origin: datetime
    minutes: bytes
    longest: float
    """Minutes of the longest stretch, infinite where it reaches out of what is drawn: asking for more is idle."""

    def find(self, moment: datetime, length: float) -> tuple[datetime | None, datetime | None] | None:
        """Return the first stretch with `length` open minutes from `moment` or later; None: there is none.

        Its ends are None where it reaches out of what is drawn. The minute of `moment` counts in full.
        """
        if length > self.longest:
            return None
        index = max(0, (moment - self.origin) // MINUTE)
        needle = OPEN * ceil(min(max(1, length), len(self.minutes) + 1))
        place = self.minutes.find(needle, index)
        if place < 0:  # What is open at the end of the drawing has no end, so it is long enough for anything.
            place = max(index, len(self.minutes.rstrip(OPEN)))
            if place >= len(self.minutes):
                return None
        start, end = self.minutes.rfind(CLOSED, 0, place), self.minutes.find(CLOSED, place)
        return (
            self.origin + (start + 1) * MINUTE if start >= 0 else None,
            self.origin + end * MINUTE if end >= 0 else None,
        )


@lru_cache(maxsize=64)  # Each takes 0.7 MB.
def draw_openings(calendars: tuple[tuple[Window, ...], ...], month: date) -> Openings:
    """Draw when all calendars are open at once, for a `now` in that month of UTC; in each, one open window is enough.

    A window that `check_window` objects to never opens. There must be a calendar, and a window in each.
    """
    longest = max(window.duration_minutes for windows in calendars for window in windows)
    lead = (longest // DAY_MINUTES + 3) * DAY  # What opened before the margin may still be open in it.
    first, days = month - MARGIN - lead, (lead + MARGIN + MONTH + HORIZON + MARGIN) // DAY
    opened = reduce(and_, (reduce(or_, (_draw_window(item, first, days) for item in each)) for each in calendars))
    drawn = opened.to_bytes(days * DAY_MINUTES + longest + 2 * DAY_MINUTES, "little")
    minutes = drawn[lead // MINUTE : days * DAY_MINUTES]
    return Openings(origin=datetime.combine(first, time(), UTC) + lead, minutes=minutes, longest=_find_longest(minutes))


def check_window(window: Window) -> str:
    """Return what is wrong with a window and what to write instead; nothing if it is right."""
    problems = [_check_cron(window.cron)]
    if find_zone(window.time_zone) is None:
        problems.append(
            f'timeZone "{window.time_zone}" is not in the time zone database. Write an IANA name such as Europe/Berlin.'
        )
    if window.duration_minutes < 1:
        problems.append(f"durationMinutes {window.duration_minutes} leaves no time. Write 1 or more.")
    return " ".join(problem for problem in problems if problem)


def find_zone(name: str) -> ZoneInfo | None:
    """Return the time zone of that IANA name; None: there is none."""
    if name.partition("/")[0] in MACHINE_ZONES:
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # Unknown; no proper name; a folder of the database.
        return None


def _check_cron(cron: str) -> str:
    if not _is_readable(cron):
        fields = cron.split()
        fault = f'cron "{cron}" cannot be read'
        if len(fields) == FIELDS:
            # cronsim calls 30 February a bad day. Whoever wrote it has to hear that it is a day that never comes.
            minute, hour, day, month, weekday = fields
            parts = (f"{minute} {hour} {day} * {weekday}", f"{minute} {hour} * {month} {weekday}")
            if all(_is_readable(part) for part in parts):
                fault = ""
        if fault:
            return f'{fault}. Write minute, hour, day of month, month and day of week, such as "0 22 * * 1-4".'
    elif next(_list_times(cron, ANY_DAY), None) is not None:
        return ""
    return f'cron "{cron}" never comes: no such day is in its months. Write a day that is, such as "0 22 28 2 *".'


def _is_readable(cron: str) -> bool:
    if len(cron.split()) != FIELDS:
        return False  # A sixth field would be seconds.
    try:
        CronSim(cron, ANY_DAY)
    except (CronSimError, ValueError):
        return False
    return True


def _list_times(cron: str, start: datetime) -> Iterator[datetime]:
    return CronSim(cron, start - MINUTE)  # It begins after the time that it is given.


def _find_longest(minutes: bytes) -> float:
    longest, place = 0, 0
    while (start := minutes.find(OPEN * (longest + 1), place)) >= 0:
        place = minutes.find(CLOSED, start)
        if place < 0:
            return inf
        longest = place - start
    return longest


def _draw_window(window: Window, first: date, days: int) -> int:
    """Draw the open minutes of one window, as bytes of an integer, the first minute lowest."""
    zone = find_zone(window.time_zone)
    if zone is None or check_window(window):
        return 0
    starts = _mark_starts(window.cron, zone, first, days)
    opened, done = int.from_bytes(starts, "little"), 1
    while done < window.duration_minutes:
        step = min(done, window.duration_minutes - done)
        opened |= opened << (8 * step)
        done += step
    return opened


def _mark_starts(cron: str, zone: ZoneInfo, first: date, days: int) -> bytes:
    """Mark the minutes at which a window opens. Local days stick out of UTC ones by up to one on both sides."""
    minute, hour, *dates = cron.split()
    origin, begin = datetime.combine(first, time(), UTC), datetime.combine(first, time()) + DAY
    end = begin + (days - 1) * DAY
    one_day = takewhile(lambda moment: moment < begin + DAY, _list_times(f"{minute} {hour} * * *", begin))
    times = tuple(moment - begin for moment in one_day)
    shape = bytearray(DAY_MINUTES)
    for moment in times:
        shape[moment // MINUTE] = 1
    marks, uneven = bytearray((days + 2) * DAY_MINUTES), []
    for day in takewhile(lambda day: day <= end, _list_times(f"0 0 {' '.join(dates)}", begin)):
        midnight = day.replace(tzinfo=zone)
        if midnight.utcoffset() == (day + DAY).replace(tzinfo=zone).utcoffset():
            place = (midnight - origin) // MINUTE
            marks[place : place + DAY_MINUTES] = shape
        else:
            uneven.append(day)
    for day in uneven:  # After the even ones, which overwrite.
        for moment in times:
            for start in _find_starts(day + moment, zone, twice=hour.startswith("*")):
                marks[(start - origin) // MINUTE] = 1
    return bytes(marks)


def _find_starts(local: datetime, zone: ZoneInfo, *, twice: bool) -> tuple[datetime, ...]:
    """Return when a wall clock shows `local`, a time on a day at which the clocks are changed."""
    earlier, later = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    while earlier > later:  # In a gap the readings change places.
        local += MINUTE
        earlier, later = (local.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    return (earlier, later) if twice else (earlier,)
