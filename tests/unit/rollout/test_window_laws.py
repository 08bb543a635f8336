"""Laws of windows, beside a reference that walks from minute to minute and reads the clock on the wall."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.rollout.windows import LONG_AGO, check_window, find_longest, find_slot

from .test_windows import BERLIN, DAY, HAVANA, KATHMANDU, LORD_HOWE, MINUTE, NEW_YORK, at, calendar, list_slots, window

MOMENTS = st.integers(0, 2 * 365 * 86400).map(lambda seconds: at("2026-01-01T00:00") + timedelta(seconds=seconds))
CENTRES = [
    at("2026-03-29T01:00"),
    at("2026-10-25T01:00"),
    at("2026-11-01T06:00"),
    at("2026-04-04T15:00"),
    at("2026-10-03T15:30"),
    at("2026-03-08T06:00"),
    at("2026-02-28T18:15"),
]
WINDOWS = st.builds(
    lambda minute, hour, day, weekday, minutes, zone: window(f"{minute} {hour} {day} * {weekday}", minutes, zone),
    st.sampled_from(["*", "*/7", "0", "30", "5,50", "15-45/10"]),
    st.sampled_from(["*", "*/2", "*/5", "0-23", "1", "2", "1-3", "2,14,22"]),
    st.sampled_from(["*", "*", "*", "*", "1", "28-31"]),
    st.sampled_from(["*", "*", "*", "*", "0,6", "1-5"]),
    st.sampled_from([1, 5, 30, 61, 90, 480, 1440]),
    st.sampled_from([BERLIN, NEW_YORK, LORD_HOWE, HAVANA, KATHMANDU, "UTC"]),
)
CALENDARS = st.lists(
    st.lists(WINDOWS, min_size=1, max_size=2).map(lambda windows: calendar(*windows)), min_size=1, max_size=2
)


def parse_field(text, first, last):
    values = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        low, _, high = span.partition("-")
        ends = (first, last) if span == "*" else (int(low), int(high or low))
        values.update(range(ends[0], ends[1] + 1, int(step or 1)))
    return values


@dataclass(frozen=True)
class Stretch:
    """Five days in minutes; from the second on, everything that was opened before is known."""

    centre: datetime

    @property
    def begin(self):
        return self.centre - 3 * DAY

    def walk(self, zone):
        return walk(self.begin, zone)

    def draw(self, item):
        minute, hour, day, _, weekday = item.cron.split()
        minutes, hours = parse_field(minute, 0, 59), parse_field(hour, 0, 23)
        days, weekdays = parse_field(day, 1, 31), {value % 7 for value in parse_field(weekday, 0, 6)}
        both = day.startswith("*") or weekday.startswith("*")

        def comes(wall):
            if wall.minute not in minutes or wall.hour not in hours:
                return False
            dates = (wall.day in days, wall.isoweekday() % 7 in weekdays)
            return all(dates) if both else any(dates)

        left, opened = 0, []
        for walls, again in self.walk(item.time_zone):
            if any(comes(wall) for wall in walls) and (not again or hour.startswith("*")):
                left = item.duration_minutes
            opened.append(left > 0)
            left -= 1
        return opened

    def list_slots(self, calendars, closed):
        """List the slots; the first and the last may be cut off by the ends of what is walked."""
        drawn = [[any(both) for both in zip(*map(self.draw, each.windows), strict=True)] for each in calendars]
        opened = [all(each) for each in zip(*drawn, strict=True)]
        moments = [self.begin + index * MINUTE for index in range(len(opened))]
        free = [
            is_open and not any(begin <= moment < end for begin, end in closed)
            for is_open, moment in zip(opened, moments, strict=True)
        ][1440:]
        moments = moments[1440:]
        edges = [index for index, (one, other) in enumerate(pairwise([False, *free, False])) if one != other]
        moments.append(moments[-1] + MINUTE)
        return [(moments[start], moments[end]) for start, end in zip(edges[::2], edges[1::2], strict=True)], moments


@lru_cache(maxsize=64)
def walk(begin, zone):
    """Say for each minute which times the clock shows or has just leapt over, and whether it shows them again."""
    shown = [(begin + index * MINUTE).astimezone(ZoneInfo(zone)) for index in range(-1, 5 * 1440)]
    walls = [moment.replace(tzinfo=None) for moment in shown]
    rows = []
    for before, wall, moment in zip(walls, walls[1:], shown[1:], strict=False):
        leapt = [before + MINUTE * step for step in range(1, (wall - before) // MINUTE)]
        rows.append(([*leapt, wall], bool(moment.fold)))
    return rows


@given(
    centre=st.sampled_from(CENTRES),
    calendars=CALENDARS,
    closed=st.lists(st.tuples(st.integers(-300, 600), st.integers(0, 600)), min_size=1, max_size=4),
    now=st.integers(-1440 * 60, 1440 * 60),
    seconds=st.sampled_from([0, 1, 59, 60, 61, 240, 300, 1800, 3600, 10000]),
)
@settings(max_examples=60, deadline=None)
def test_the_slot_is_the_one_that_is_found_minute_by_minute(centre, calendars, closed, now, seconds):
    now = centre + timedelta(seconds=now)
    near = now.replace(second=0)
    closed = [(near + start * MINUTE, near + (start + length) * MINUTE) for start, length in closed]
    slots, moments = Stretch(centre).list_slots(calendars, closed)
    known = [
        (start, end)
        for start, end in slots
        if end > now and (max(now, start) + timedelta(seconds=seconds) <= end or end == moments[-1])
    ]
    found = find_slot(calendars, closed, now, seconds)
    if not known:
        assert found is None or found.start >= moments[-1]
        return
    start, end = known[0]
    if end < moments[-1]:
        assert found is not None
        assert found.end == end
    elif found is not None:
        assert found.end is None or found.end >= end
        assert found.start >= start or start == moments[0]
    if found is not None and start > moments[0] and end < moments[-1]:
        assert found.start == start


SETTLED = [
    [calendar(window("0 22 * * 1-4", 180, BERLIN))],
    [calendar(window("0 22 * * *", 240, NEW_YORK), window("30 1 * * *", 45, BERLIN))],
    [calendar(window("0 */6 * * *", 200, LORD_HOWE)), calendar(window("0 0 * * 1-5", 1440), source="Regime pci")],
    [],
]
FREEZES = st.lists(st.tuples(st.integers(-10000, 40000), st.integers(-10, 9000)), min_size=0, max_size=4)


@given(
    calendars=st.sampled_from(SETTLED),
    closed=FREEZES,
    now=st.floats(0, 15).map(lambda days: at("2026-10-20T00:00") + days * DAY),
    seconds=st.floats(0, 10800),
    passed=st.floats(0, 1),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=100, deadline=None)
def test_a_slot_stands_until_the_change_no_longer_ends_in_it(calendars, closed, now, seconds, passed, order):
    base = at("2026-10-25T00:00:07.5")
    closed = [(base + start * MINUTE, base + (start + length) * MINUTE) for start, length in closed]
    found = find_slot(calendars, closed, now, seconds)
    assert found is not None
    assert found.fits(now, seconds)
    assert find_slot(order.sample(calendars, len(calendars)), order.sample(closed, len(closed)), now, seconds) == found
    if found.end is None:
        assert find_slot(calendars, closed, now + passed * 5 * DAY, seconds) == found
        return
    last = found.end - timedelta(seconds=seconds) - timedelta(microseconds=1)
    if last > now:
        assert find_slot(calendars, closed, now + passed * (last - now), seconds) == found
    later = find_slot(calendars, closed, max(last, now) + timedelta(microseconds=3), seconds)
    assert later is not None
    if seconds > 0:
        assert later.start >= found.end


@given(calendars=CALENDARS, now=MOMENTS, seconds=st.floats(0, 100000))
@settings(max_examples=25, deadline=None)
def test_what_is_longer_than_the_longest_never_fits(calendars, now, seconds):
    longest = find_longest(calendars, now)
    found = find_slot(calendars, (), now, seconds)
    if longest is None:
        assert found is not None
    elif seconds > longest:
        assert found is None
    elif found is not None:
        assert found.end is not None
        assert found.start == LONG_AGO or (found.end - found.start).total_seconds() <= longest


@given(
    cron=st.tuples(*map(st.sampled_from, (["0", "5,40"], ["0", "1-3", "2", "23"], ["*", "8,25", "L"], ["*", "6,0"]))),
    zone=st.sampled_from([BERLIN, NEW_YORK, HAVANA, KATHMANDU]),
    begin=MOMENTS,
)
@settings(max_examples=15, deadline=None)
def test_a_cron_that_names_its_hours_opens_when_cron_daemons_would_run_it(cron, zone, begin):
    minute, hour, day, weekday = cron
    text = f"{minute} {hour} {day} * {weekday}"
    begin = begin.replace(second=0)
    moments = CronSim(text, begin.astimezone(ZoneInfo(zone)))
    expected = [next(moments).astimezone(UTC) for _ in range(10)]
    found = list_slots([calendar(window(text, 1, zone))], begin + MINUTE, expected[-1] + MINUTE)
    assert [item.start for item in found] == expected


@given(cron=st.text("0123456789*/,-#Lw JANmon²٣\n", max_size=30) | st.text(max_size=20), zone=st.text(max_size=20))
@settings(max_examples=200, deadline=None)
def test_whatever_people_write_is_answered(cron, zone):
    assert isinstance(check_window(window(cron, 60, zone)), str)
    assert "timeZone" in check_window(window("0 22 * * *", 60, f"{zone}~"))
