"""Hosts as the operator reaches them: one connection each, shared by probes and providers."""

from __future__ import annotations

from typing import Final

from atoll.errors import AtollError, HostKeyMismatch, Retryable
from atoll.fleet import reasons
from atoll.fleet.hosts import HostView
from atoll.hosts.connected import Connections
from atoll.hosts.facts import PROBE, summarise_probe
from atoll.ports import Clock

from .surroundings import FleetSurroundings

TOLD_REASONS: Final = frozenset({reasons.LOGIN_KEY_MISSING, reasons.LOGIN_REFUSED, reasons.INVALID_SPEC})


class Machines:
    """Probes hosts. Close it."""

    def __init__(self, surroundings: FleetSurroundings, clock: Clock) -> None:
        self.surroundings = surroundings
        self.connections = Connections()
        self._clock = clock

    async def probe(self, fleet: str, pool: str, host: str) -> HostView:
        """Look at one host; whatever goes wrong is told in what is returned."""
        try:
            access = await self.surroundings.access(fleet, pool, host)
            asked = self._clock.now()
            found = await self.connections.get(access).ask(PROBE)
        except HostKeyMismatch as error:
            return HostView(time=self._clock.now(), refused=(error.reason, str(error)), fingerprint=error.answered)
        except Retryable as error:
            return HostView(time=self._clock.now(), unreachable=str(error))
        except AtollError as error:
            reason = error.reason if error.reason in TOLD_REASONS else reasons.LOGIN_REFUSED
            return HostView(time=self._clock.now(), refused=(reason, str(error)))
        except ValueError as error:
            return HostView(time=self._clock.now(), unreachable=f"its answer is not understood: {error}")
        answered = self._clock.now()
        # What was seen is as old as the question: whatever happened since is not in it.
        return HostView(time=asked, facts=summarise_probe(found, asked.timestamp(), answered.timestamp()))

    async def close(self) -> None:
        """Cut all connections; what runs on hosts goes on."""
        await self.connections.close()
