"""Changes run in windows: when they open, whatever the clocks do, and which slot a change gets."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from atoll.fleet.spec import Window
from atoll.rollout.windows import HORIZON, LONG_AGO, Calendar, Slot, check_window, find_longest, find_slot

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"
HAVANA, KATHMANDU = "America/Havana", "Asia/Kathmandu"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def window(cron, minutes=60, zone="UTC"):
    return Window(cron=cron, duration_minutes=minutes, time_zone=zone)


def calendar(*windows, source="spec.upgrade.windows"):
    return Calendar(source=source, windows=windows)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def slot(start, end):
    return Slot(start=at(start), end=at(end))


def list_slots(calendars, begin, end, closed=()):
    """Walk from slot to slot, as time does."""
    now, found = begin, []
    while (item := find_slot(calendars, closed, now, 0)) is not None and item.start < end:
        found.append(item)
        if item.end is None:
            break
        now = item.end
    return found


# What a slot is


def test_a_change_waits_for_the_next_window():
    nightly = [calendar(window("0 22 * * 1-4", 180, BERLIN))]
    friday = at("2026-11-13T12:00")
    assert find_slot(nightly, (), friday, 3600) == slot("2026-11-16T21:00", "2026-11-17T00:00")


def test_a_window_that_opened_before_now_counts_while_the_change_still_ends_in_it():
    nightly = [calendar(window("0 22 * * *", 180))]
    tonight, tomorrow = slot("2026-11-14T22:00", "2026-11-15T01:00"), slot("2026-11-15T22:00", "2026-11-16T01:00")
    assert find_slot(nightly, (), at("2026-11-14T23:59:59"), 3600) == tonight
    assert find_slot(nightly, (), at("2026-11-15T00:00:00"), 3600) == tonight
    assert find_slot(nightly, (), at("2026-11-15T00:00:00.000001"), 3600) == tomorrow
    assert find_slot(nightly, (), at("2026-11-15T01:00:00"), 3600) == tomorrow


def test_a_change_of_no_length_takes_whatever_is_still_open():
    nightly = [calendar(window("0 22 * * *", 180))]
    assert find_slot(nightly, (), at("2026-11-15T00:59:59.9"), 0) == slot("2026-11-14T22:00", "2026-11-15T01:00")
    assert find_slot(nightly, (), at("2026-11-15T01:00"), 0) == slot("2026-11-15T22:00", "2026-11-16T01:00")


def test_without_windows_it_is_always_open():
    now = at("2026-11-14T12:00")
    assert find_slot((), (), now, 1e9) == Slot(start=LONG_AGO, end=None)
    assert find_slot([calendar()], (), now, 1e9) == Slot(start=LONG_AGO, end=None)
    assert find_longest((), now) is None
    assert find_longest([calendar()], now) is None


def test_a_calendar_without_windows_takes_nothing_from_the_others():
    nightly = calendar(window("0 22 * * *", 180))
    now = at("2026-11-14T12:00")
    assert find_slot([calendar(), nightly], (), now, 60) == find_slot([nightly], (), now, 60)


def test_windows_over_midnight_and_over_the_ends_of_months_and_years():
    last_of_month = [calendar(window("30 23 L * *", 120))]
    assert list_slots(last_of_month, at("2026-12-02T00:00"), at("2027-03-15T00:00")) == [
        slot("2026-12-31T23:30", "2027-01-01T01:30"),
        slot("2027-01-31T23:30", "2027-02-01T01:30"),
        slot("2027-02-28T23:30", "2027-03-01T01:30"),
    ]


def test_windows_that_overlap_or_touch_are_one():
    touching = [calendar(window("0 20 * * *", 60), window("0 21 * * *", 60), window("30 21 * * *", 60))]
    assert list_slots(touching, at("2026-11-14T00:00"), at("2026-11-15T00:00")) == [
        slot("2026-11-14T20:00", "2026-11-14T22:30")
    ]


def test_a_window_longer_than_the_period_of_its_cron_never_closes():
    now = at("2026-11-14T12:00:30")
    for always in (window("0 0 * * *", 1440), window("0 6 * * 1", 10080), window("* * * * *", 1, LORD_HOWE)):
        assert find_slot([calendar(always)], (), now, 1e9) == Slot(start=LONG_AGO, end=None)
        assert find_longest([calendar(always)], now) is None
    workdays = [calendar(window("0 0 * * 1-5", 1441))]
    assert find_slot(workdays, (), now, 60) == slot("2026-11-16T00:00", "2026-11-21T00:01")


def test_three_calendars_must_all_be_open():
    nights = calendar(window("0 20 * * *", 600))
    regime = calendar(window("30 21 * * *", 120), window("0 5 * * *", 120), source="Regime pci")
    weekends = calendar(window("0 0 * * 6,0", 1440), source="Regime shop")
    assert list_slots([nights, regime, weekends], at("2026-11-13T12:00"), at("2026-11-17T00:00")) == [
        slot("2026-11-14T05:00", "2026-11-14T06:00"),
        slot("2026-11-14T21:30", "2026-11-14T23:30"),
        slot("2026-11-15T05:00", "2026-11-15T06:00"),
        slot("2026-11-15T21:30", "2026-11-15T23:30"),
    ]


# Freezes


def test_a_freeze_cuts_a_window_in_two():
    nightly, freeze = [calendar(window("0 22 * * *", 180))], (at("2026-11-14T22:30:15"), at("2026-11-14T23:30:45"))
    before = slot("2026-11-14T22:00", "2026-11-14T22:30:15")
    after = slot("2026-11-14T23:30:45", "2026-11-15T01:00")
    noon = at("2026-11-14T12:00")
    assert find_slot(nightly, [freeze], noon, 1815) == before
    assert find_slot(nightly, [freeze], noon, 1816) == after
    assert find_slot(nightly, [freeze], noon, 5355) == after
    assert find_slot(nightly, [freeze], noon, 5356) == slot("2026-11-15T22:00", "2026-11-16T01:00")
    assert find_slot(nightly, [freeze], at("2026-11-14T23:00"), 60) == after


def test_the_first_window_behind_a_freeze_is_found_from_long_before():
    nightly, week = [calendar(window("0 22 * * *", 180))], (at("2026-11-14T21:00"), at("2026-11-21T12:00"))
    assert find_slot(nightly, [week], at("2026-11-13T02:00"), 60) == slot("2026-11-13T22:00", "2026-11-14T01:00")
    tonight = (at("2026-11-13T21:00"), at("2026-11-14T20:00"))
    assert find_slot(nightly, [week, tonight], at("2026-11-13T02:00"), 60) == slot(
        "2026-11-21T22:00", "2026-11-22T01:00"
    )


def test_freezes_may_stand_in_any_order_and_zone_overlap_and_be_empty():
    tokyo = ZoneInfo("Asia/Tokyo")
    freezes = [
        (at("2026-11-14T13:00"), at("2026-11-14T15:00")),
        (at("2026-11-14T10:00").astimezone(tokyo), at("2026-11-14T14:00").astimezone(tokyo)),
        (at("2026-11-14T18:00"), at("2026-11-14T17:00")),
        (at("2026-11-14T11:00"), at("2026-11-14T12:00")),
        (at("2026-11-14T20:00"), at("2026-11-14T21:00")),
        (at("2026-11-14T16:00"), at("2026-11-14T16:00")),
        (datetime.min.replace(tzinfo=tokyo), at("1969-01-01T00:00")),
    ]
    assert list_slots((), at("2026-11-14T09:00"), at("2026-12-01T00:00"), freezes) == [
        Slot(start=LONG_AGO, end=at("2026-11-14T10:00")),
        slot("2026-11-14T15:00", "2026-11-14T20:00"),
        Slot(start=at("2026-11-14T21:00"), end=None),
    ]
    found = find_slot((), freezes, at("2026-11-14T09:00"), 7200)
    assert found is not None
    assert found.start.tzinfo is UTC


def test_nothing_opens_in_a_freeze_that_outlasts_the_horizon():
    now = at("2026-11-14T12:00")
    freeze = (at("2026-11-01T00:00"), now + HORIZON + MINUTE)
    assert find_slot((), [freeze], now, 0) is None
    assert find_slot((), [freeze], now + MINUTE, 0) == Slot(start=freeze[1], end=None)
    assert find_slot([calendar(window("* * * * *", 1))], [freeze], now, 0) is None


def test_a_freeze_may_last_until_the_end_of_days():
    now, beyond = at("2026-11-14T12:00"), datetime.max.replace(tzinfo=ZoneInfo(NEW_YORK))
    tomorrow = now + DAY
    assert find_slot((), [(tomorrow, beyond)], now, 60) == Slot(start=LONG_AGO, end=tomorrow)
    assert find_slot((), [(tomorrow, beyond)], tomorrow, 60) is None
    assert find_slot([calendar(window("0 12 * * *"))], [(tomorrow, beyond)], tomorrow, 60) is None


# What never fits


def test_nothing_ever_fits_and_people_can_be_told_why():
    nightly, now = [calendar(window("0 22 * * *", 180))], at("2026-11-14T23:00")
    assert find_longest(nightly, now) == 10800
    assert find_slot(nightly, (), now, 10801) is None
    assert find_slot(nightly, (), now, 10800) == slot("2026-11-15T22:00", "2026-11-16T01:00")


def test_calendars_that_are_never_open_at_once():
    apart = [calendar(window("0 1 * * *", 60)), calendar(window("0 2 * * *", 60), source="Regime pci")]
    assert find_slot(apart, (), at("2026-11-14T12:00"), 0) is None
    assert find_longest(apart, at("2026-11-14T12:00")) == 0


def test_the_longest_window_is_found_wherever_it_is():
    mixed = [calendar(window("*/2 * * * *", 1), window("0 0 1 1 *", 300), window("0 12 * * 1", 90))]
    now = at("2026-11-14T12:00")
    assert find_longest(mixed, now) == 18060  # Its last minute touches the one that follows.
    assert find_slot(mixed, (), now, 6000) == slot("2027-01-01T00:00", "2027-01-01T05:01")


def test_what_begins_behind_the_horizon_is_not_seen_yet():
    leap_day = [calendar(window("0 0 29 2 *", 60))]
    opening = at("2028-02-29T00:00")
    assert find_slot(leap_day, (), opening - HORIZON - MINUTE, 60) is None
    assert find_longest(leap_day, opening - HORIZON - MINUTE) == 0
    assert find_slot(leap_day, (), opening - HORIZON, 60) == slot("2028-02-29T00:00", "2028-02-29T01:00")
    assert find_longest(leap_day, opening - HORIZON) == 3600


def test_a_window_that_nobody_can_read_never_opens_and_harms_no_other():
    now = at("2026-11-14T12:00")
    broken = [
        window("61 * * * *"),
        window("0 22 * * *", 60, "Mars/Olympus"),
        window("0 0 30 2 *"),
        window("0 1 * * *", 0),
    ]
    assert find_slot([calendar(*broken)], (), now, 0) is None
    assert find_slot([calendar(*broken, window("0 22 * * *"))], (), now, 0) == slot(
        "2026-11-14T22:00", "2026-11-14T23:00"
    )


# Clocks that are changed

FIRST_STARTS = [
    # zone, cron, from, the first openings in UTC
    (BERLIN, "30 2 * * *", "2026-03-28", ["28T01:30", "29T01:00", "30T00:30"]),  # 02:30 is leapt over: at 03:00.
    (BERLIN, "15,45 2 * * *", "2026-03-28", ["28T01:15", "28T01:45", "29T01:00", "30T00:15"]),
    (BERLIN, "30 2 * * *", "2026-10-24", ["24T00:30", "25T00:30", "26T01:30"]),  # 02:30 comes twice: once.
    (BERLIN, "*/30 2 * * *", "2026-10-25", ["25T00:00", "25T00:30", "26T01:00"]),
    (BERLIN, "0 * * * *", "2026-10-25", ["24T22:00", "24T23:00", "25T00:00", "25T01:00", "25T02:00"]),
    (BERLIN, "0 */2 * * *", "2026-10-25", ["24T22:00", "25T00:00", "25T01:00", "25T03:00"]),
    (NEW_YORK, "30 2 * * *", "2026-03-07", ["07T07:30", "08T07:00", "09T06:30"]),
    (NEW_YORK, "30 1 * * *", "2026-10-31", ["31T05:30", "01T05:30", "02T06:30"]),
    (LORD_HOWE, "15 2 * * *", "2026-10-03", ["02T15:45", "03T15:30", "04T15:15"]),  # Half an hour is leapt over.
    (LORD_HOWE, "45 1 * * *", "2026-04-04", ["03T14:45", "04T14:45", "05T15:15"]),  # Half an hour comes twice.
    (LORD_HOWE, "0 */2 * * *", "2026-04-05", ["04T13:00", "04T15:30", "04T17:30"]),
    (KATHMANDU, "0 22 * * *", "2026-06-30", ["30T16:15", "01T16:15"]),
    (HAVANA, "0 0 * * *", "2026-03-07", ["07T05:00", "08T05:00", "09T04:00"]),  # The gap is at midnight.
    (HAVANA, "30 0 * * *", "2026-10-31", ["31T04:30", "01T04:30", "02T05:30"]),
]


@pytest.mark.parametrize(("zone", "cron", "day", "starts"), FIRST_STARTS)
def test_windows_open_once_when_clocks_are_changed(zone, cron, day, starts):
    begin = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found = list_slots([calendar(window(cron, 5, zone))], begin, begin + 4 * DAY)[: len(starts)]
    assert [item.start.strftime("%dT%H:%M") for item in found] == starts
    assert {item.end - item.start for item in found} == {5 * MINUTE}


@pytest.mark.parametrize("night", ["2026-03-28T21:00", "2026-10-24T20:00"])
def test_a_window_lasts_as_long_when_clocks_are_changed_in_it(night):
    over_the_change = [calendar(window("0 22 * * 6", 480, BERLIN))]
    start = at(night)
    assert find_slot(over_the_change, (), start, 8 * 3600) == Slot(start=start, end=start + 8 * HOUR)


def test_a_day_of_25_hours_is_longer_than_a_window_of_24():
    daily = [calendar(window("0 0 * * *", 1440, BERLIN))]
    assert find_slot(daily, (), at("2026-10-25T12:00"), 60) == Slot(start=LONG_AGO, end=at("2026-10-25T22:00"))
    assert find_slot(daily, (), at("2026-10-25T22:00"), 60) == slot("2026-10-25T23:00", "2027-10-31T22:00")


# What people are told


@pytest.mark.parametrize("cron", ["0 22 * * 1-4", "*/5 * * * *", "0 0 29 2 *", "0 0 L * *", "0 3 * JAN,JUL SAT#2"])
def test_good_windows_are_not_objected_to(cron):
    assert check_window(window(cron, 60, BERLIN)) == ""


SHAPE = 'Write minute, hour, day of month, month and day of week, such as "0 22 * * 1-4".'
NEVER = 'Write a day that is, such as "0 22 28 2 *".'
ZONE = "Write an IANA name such as Europe/Berlin."


@pytest.mark.parametrize(
    ("item", "message"),
    [
        *(
            (window(cron), f'cron "{cron}" cannot be read. {SHAPE}')
            for cron in ("61 * * * *", "@daily", "", "0 22 * *")
        ),
        *(
            (window(cron), f'cron "{cron}" cannot be read. {SHAPE}')
            for cron in ("0 0 22 * * *", "0 0 * * 8", "0 0 0 2 *")
        ),
        *(
            (window(cron), f'cron "{cron}" never comes: no such day is in its months. {NEVER}')
            for cron in ("0 0 30 2 *", "0 0 31 4,6 *", "0 0 */29 2 1#5")
        ),
        *(
            (window("0 22 * * *", 60, zone), f'timeZone "{zone}" is not in the time zone database. {ZONE}')
            for zone in (
                "Mars/Olympus",
                "",
                "Europe",
                "../etc/passwd",
                "/etc/localtime",
                "localtime",
                "right/UTC",
                "CEST",
            )
        ),
        (window("0 22 * * *", 0), "durationMinutes 0 leaves no time. Write 1 or more."),
        (
            window("x", 60, "y"),
            f'cron "x" cannot be read. {SHAPE} timeZone "y" is not in the time zone database. {ZONE}',
        ),
    ],
)
def test_a_wrong_window_is_named_with_the_remedy(item, message):
    assert check_window(item) == message
