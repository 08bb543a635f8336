"""Whether a minute is open, read from a cron field by field: slow, plain, and written apart from the planner.

Good for times at which no clock is changed; what clocks do is the matter of the laws about windows.
"""

from datetime import UTC, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def is_open(windows, moment):
    """Say whether one of the windows is open in the minute of `moment`; no windows: always."""
    return not windows or any(_covers(window, _floor(moment)) for window in windows)


def is_open_throughout(calendars, closed, start, seconds):
    """Say whether all calendars are open, and nothing closed, in every minute of a change that begins at `start`."""
    end = start + timedelta(seconds=seconds)
    if any(begin < end and start < until for begin, until in closed):
        return False
    moment = _floor(start)
    while moment < end:
        if not all(is_open(windows, moment) for windows in calendars):
            return False
        moment += MINUTE
    return True


def _floor(moment):
    return moment.astimezone(UTC).replace(second=0, microsecond=0)


@lru_cache(maxsize=100_000)
def _covers(window, moment):
    return any(_begins(window, moment - back * MINUTE) for back in range(window.duration_minutes))


@lru_cache(maxsize=100_000)
def _begins(window, moment):
    local = moment.astimezone(ZoneInfo(window.time_zone))
    minute, hour, day, month, weekday = (
        _list_values(text, *limits) for text, limits in zip(window.cron.split(), RANGES, strict=True)
    )
    by_day, by_weekday = local.day in day, local.isoweekday() % 7 in {value % 7 for value in weekday}
    fields = window.cron.split()
    either = not fields[2].startswith("*") and not fields[4].startswith("*")
    dated = by_day or by_weekday if either else by_day and by_weekday
    return local.minute in minute and local.hour in hour and local.month in month and dated


@lru_cache(maxsize=1000)
def _list_values(text, low, high):
    values = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        if span == "*":
            first, last = low, high
        elif "-" in span:
            first, last = (int(number) for number in span.split("-"))
        else:
            first = int(span)
            last = high if step else first
        values |= set(range(first, last + 1, int(step or 1)))
    return frozenset(values)
