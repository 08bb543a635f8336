"""When one member may be changed: windows of its set and its regimes, less the freezes of environments on it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import ClusterSet, Freeze, Member

from .estimates import Estimate
from .windows import HORIZON, Calendar, find_longest, find_slot


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Why a member may not be changed now."""

    message: str
    until: datetime | None = None
    """When it may; None: never, until a person changes a window."""


def list_calendars(fleet: Fleet, cluster_set: ClusterSet, member: Member) -> tuple[Calendar, ...]:
    """List who says when a member may be changed; all of them must agree."""
    names = sorted({*cluster_set.regimes, *member.regimes})
    own = (Calendar(source="spec.upgrade.windows", windows=cluster_set.upgrade.windows),)
    regimes = (regime for name in names if (regime := fleet.regime(name)) is not None)
    others = (Calendar(source=f"Regime {item.meta.name}", windows=item.upgrade.windows) for item in regimes)
    return tuple(calendar for calendar in (*own, *others) if calendar.windows)


def find_wait(
    fleet: Fleet,
    cluster_set: ClusterSet,
    member: Member,
    environments: tuple[str, ...],
    now: datetime,
    estimate: Estimate,
) -> Wait | None:
    """Say why, and until when, a change that takes so long may not begin now; None: it may.

    It has to end inside a window by the long end of its forecast, or by its expected end where no window is that long.
    """
    calendars = list_calendars(fleet, cluster_set, member)
    freezes = _list_freezes(fleet, environments)
    if not calendars and not freezes:
        return None
    closed = [(freeze.start, freeze.end) for _, freeze in freezes]
    slot = find_slot(calendars, closed, now, estimate.high) or find_slot(calendars, closed, now, estimate.seconds)
    sources = " and ".join(calendar.source for calendar in calendars)
    if slot is None:
        return Wait(message=_explain_never(calendars, now, estimate))
    if slot.start <= now:
        return None
    frozen = [
        (freeze.end, f"environment {name} is frozen until {freeze.end:%Y-%m-%d %H:%M:%S}: {freeze.reason}")
        for name, freeze in freezes
        if freeze.holds(now)
    ]
    if frozen:
        # It may have to wait for a window after that; then that is told.
        end, message = max(frozen)
        return Wait(message=message, until=min(slot.start, end))
    if not calendars:
        nearest = min((freeze for _, freeze in freezes if freeze.start > now), key=lambda freeze: freeze.start)
        return Wait(
            message=f"its change may not be over when the freeze of {nearest.start:%Y-%m-%d %H:%M:%S} begins "
            f"({nearest.reason}); it starts after {slot.start:%Y-%m-%d %H:%M:%S} UTC",
            until=slot.start,
        )
    zone = calendars[0].windows[0].time_zone
    local = slot.start.astimezone(ZoneInfo(zone))
    return Wait(message=f"its window opens {local:%a %Y-%m-%d %H:%M} {zone} ({sources})", until=slot.start)


def _explain_never(calendars: tuple[Calendar, ...], now: datetime, estimate: Estimate) -> str:
    longest = find_longest(calendars, now)
    sources = " and ".join(calendar.source for calendar in calendars)
    if longest is None or longest >= estimate.seconds:
        return f"freezes leave no time for a change within {HORIZON.days} days. Shorten one"
    if not longest:
        return f"no window of {sources} opens within {HORIZON.days} days. Add one"
    return (
        f"its change takes about {estimate.seconds / 60:.1f} min, and the longest window of {sources} is "
        f"{longest / 60:.0f} min. Make one longer"
    )


def _list_freezes(fleet: Fleet, environments: tuple[str, ...]) -> list[tuple[str, Freeze]]:
    return [
        (name, freeze)
        for name in environments
        if (environment := fleet.environment(name)) is not None
        for freeze in environment.freezes
    ]
