"""Any number of events is one waking, and a deadline wakes too."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from atoll.shell.wakeups import Wakeup


class WallClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def open_wakeup() -> Wakeup:
    return Wakeup(WallClock(), debounce=0.02, limit=0.1)


async def test_events_before_the_sleep_wake_at_once_and_only_once():
    wakeup = open_wakeup()
    for _ in range(20):
        wakeup.wake()

    await asyncio.wait_for(wakeup.sleep_until(None), 1)

    slept = asyncio.create_task(wakeup.sleep_until(None))
    await asyncio.sleep(0.15)
    assert not slept.done(), "the twenty were one"
    wakeup.wake()
    await asyncio.wait_for(slept, 1)


async def test_a_deadline_that_is_over_does_not_sleep():
    await asyncio.wait_for(open_wakeup().sleep_until(datetime.now(UTC) - timedelta(seconds=1)), 0.5)


async def test_a_storm_of_events_does_not_put_off_the_decision_for_ever():
    wakeup = open_wakeup()

    async def storm() -> None:
        while True:
            wakeup.wake()
            await asyncio.sleep(0.005)

    storming = asyncio.create_task(storm())
    try:
        await asyncio.wait_for(wakeup.sleep_until(None), 1)
    finally:
        storming.cancel()


async def test_who_works_long_on_a_decision_gathers_longer_for_the_next_one():
    wakeup = open_wakeup()
    wakeup.wake()
    slept = asyncio.create_task(wakeup.sleep_until(None, work=0.3))
    await asyncio.sleep(0.2)
    assert not slept.done(), "twenty milliseconds of silence end it where decisions are quick"
    await asyncio.wait_for(slept, 5)
