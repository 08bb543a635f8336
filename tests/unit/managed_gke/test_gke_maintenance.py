"""Our exclusion: what GKE allows, when it is renewed, and what stands beside it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from atoll.providers.gke.maintenance import build_policy, find_maintenance_drift
from atoll.providers.gke.settings import Channel

NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def test_outside_of_channels_it_lasts_29_days_and_is_renewed_3_days_later() -> None:
    policy = build_policy({}, Channel.OFF, NOW)
    assert find_maintenance_drift(policy, Channel.OFF, NOW + 30 * DAY) == ""
    later = NOW + 32 * DAY
    assert "it is time for the next" in find_maintenance_drift(policy, Channel.OFF, later)
    assert find_maintenance_drift(build_policy(policy, Channel.OFF, later), Channel.OFF, later) == ""


@given(days=st.lists(st.floats(0.1, 12), min_size=1, max_size=40))
def test_gke_always_has_48_hours_in_any_32_days(days: list[float]) -> None:
    """Whoever looks whenever: one exclusion begins 32 days after the last at the earliest, 29 of them closed."""
    policy, now, starts = build_policy({}, Channel.OFF, NOW), NOW, [NOW]
    for step in days:
        now += step * DAY
        if find_maintenance_drift(policy, Channel.OFF, now):
            policy = build_policy(policy, Channel.OFF, now)
            starts.append(now)
    for first, second in pairwise(starts):
        start, end = first.replace(hour=0, minute=0), second.replace(hour=0, minute=0, second=0, microsecond=0)
        assert end - (start + 29 * DAY) >= 2 * DAY


def test_in_a_channel_it_has_a_scope_and_lasts_until_the_end_of_support() -> None:
    policy = build_policy({}, Channel.STABLE, NOW)
    assert policy["window"]["maintenanceExclusions"]["atoll"] == {
        "startTime": "2026-11-22T00:00:00Z",
        "maintenanceExclusionOptions": {
            "scope": "NO_MINOR_OR_NODE_UPGRADES",
            "endTimeBehavior": "UNTIL_END_OF_SUPPORT",
        },
    }
    assert find_maintenance_drift(policy, Channel.STABLE, NOW + 400 * DAY) == ""
    assert "is NO_MINOR_OR_NODE_UPGRADES and not NO_UPGRADES" in find_maintenance_drift(policy, Channel.OFF, NOW)


def test_windows_and_exclusions_of_others_are_sent_back_as_they_are() -> None:
    sale = {"startTime": "2026-12-01T00:00:00Z", "endTime": "2026-12-05T00:00:00Z", "maintenanceExclusionOptions": {}}
    daily = {"startTime": "03:00", "duration": "PT4H0M0S"}
    present = {
        "window": {"dailyMaintenanceWindow": daily, "maintenanceExclusions": {"sale": sale}},
        "resourceVersion": "e3b0c442",
        "disruptionBudget": {"minorVersionDisruptionInterval": "864000s", "lastDisruptionTime": "2026-10-01T00:00:00Z"},
    }
    policy = build_policy(present, Channel.OFF, NOW)
    assert policy["window"]["dailyMaintenanceWindow"] == daily
    assert policy["window"]["maintenanceExclusions"]["sale"] == sale
    assert policy["resourceVersion"] == "e3b0c442"
    assert policy["disruptionBudget"] == {"minorVersionDisruptionInterval": "864000s"}
