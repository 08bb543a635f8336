"""One host's worker: it probes the host again and again, and tells its fleet what it saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from atoll.fleet.hosts import HostState, HostView
from atoll.ports import Body

from .worker import Worker

SETTLED_STATES: Final = frozenset({str(HostState.AVAILABLE), str(HostState.IN_USE)})
"""In other states something is about to change: the host is probed more often."""

HASTE: Final = 10


class HostWorker(Worker[HostView]):
    """Probes one host. It writes nothing, there or here."""

    what = "host"

    async def _run(self) -> None:
        while True:
            body = self._body()
            probe = self._context.probe
            if body is not None and probe is not None:
                spec = body["spec"]
                view = await probe(self._fleet, spec["poolName"], spec["hostName"])
                if not self._poke.is_set():  # else what was seen is older than what made somebody ask anew
                    self._publish(self._name, view)
            if await self._poked_within(self._pause()):
                self._poke.clear()

    def _pause(self) -> float:
        body = self._body()
        state = ((body or {}).get("status") or {}).get("state")
        seconds = self._context.settings.probe_seconds
        return seconds if state in SETTLED_STATES else seconds / HASTE


def is_leaving(body: Body) -> bool:
    """Say whether a host is on its way back into the pool."""
    return bool((body.get("status") or {}).get("state") == str(HostState.CLEANING))


def tells_more(before: HostView, after: HostView) -> bool:
    """Say whether two looks differ in anything but what wavers all the time: time, clock, free space."""
    return _steady(before) != _steady(after)


def _steady(view: HostView) -> tuple[object, ...]:
    facts = view.facts
    if facts is not None:
        offset = round(facts.clock_offset_seconds, -1)
        facts = replace(facts, clock_offset_seconds=offset, disk_free=facts.disk_free // 1_000_000_000)
    return view.fingerprint, view.unreachable, view.refused, facts
