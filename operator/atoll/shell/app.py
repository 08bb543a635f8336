"""The kopf application: watches fill the cache, workers do the rest. Handlers hold no logic of their own.

kopf is used for what it is good at (lists, watches, reconnects) and kept from what costs: no change-detecting handlers,
no annotations, no finalizers of its own, no events of its own.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import kopf

from atoll.errors import AtollError
from atoll.kube.kinds import ATOLL_KINDS, Kind
from atoll.ports import Body

from .cache import Cache
from .context import Context
from .fleet import FleetWorker
from .login import Login
from .probes import Probes

log: Final = logging.getLogger("atoll.app")

SERVER_TIMEOUT: Final = 290
CLIENT_TIMEOUT: Final = 310
"""Seconds; the client waits longer than the server, else every reconnect looks like a fault."""


class _NoDiffBase(kopf.DiffBaseStorage):
    """Stores nothing: we never ask what changed, only what is."""

    def build(self, *, body: Any, extra_fields: Any = None) -> Any:
        del body, extra_fields
        return {}

    def fetch(self, *, body: Any) -> Any:
        del body

    def store(self, *, body: Any, patch: Any, essence: Any) -> None:
        del body, patch, essence


class _NoProgress(kopf.ProgressStorage):
    """Stores nothing: no handler of ours is ever half done."""

    def fetch(self, *, key: Any, body: Any) -> Any:
        del key, body

    def store(self, *, key: Any, record: Any, body: Any, patch: Any) -> None:
        del key, record, body, patch

    def purge(self, *, key: Any, body: Any, patch: Any) -> None:
        del key, body, patch

    def touch(self, *, body: Any, patch: Any, value: Any) -> None:
        del body, patch, value

    def clear(self, *, essence: Any) -> Any:
        return essence


class App:
    """One operator: its cache, its fleets, its kopf registry."""

    def __init__(self, context: Context, login: Login, cache: Cache) -> None:
        """`cache`: an empty one, which others may read."""
        self._context = context
        self._login = login
        self._cache = cache
        self._fleets: dict[str, FleetWorker] = {}
        self._listed = False
        self._probes = Probes(context.metrics, self._trouble)
        self.started = asyncio.Event()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` is set, or until a watch is lost for good, which ends the process."""
        await self._probes.start(self._context.settings.health_address, self._context.settings.health_port)
        relisting: asyncio.Task[None] | None = None
        try:
            await self._list_everything()
            relisting = asyncio.create_task(self._relist_for_ever(), name="relist")
            namespaces = self._context.settings.namespaces
            self.started.set()
            await kopf.operator(
                registry=self._registry(stop),
                settings=self._settings(),
                standalone=True,
                clusterwide=not namespaces,
                namespaces=namespaces,
                stop_flag=stop,
            )
        finally:
            if relisting is not None:
                relisting.cancel()
            await self._stop_workers()
            await asyncio.gather(*(provider.close() for provider in self._context.providers.values()))
            await self._probes.stop()

    def _settings(self) -> kopf.OperatorSettings:
        settings = kopf.OperatorSettings()
        settings.persistence.finalizer = "atoll.dev/never-used"
        settings.persistence.diffbase_storage = _NoDiffBase()
        settings.persistence.progress_storage = _NoProgress()
        settings.posting.enabled = False
        settings.watching.server_timeout = SERVER_TIMEOUT
        settings.watching.client_timeout = CLIENT_TIMEOUT
        settings.watching.connect_timeout = 10.0
        settings.networking.request_timeout = 30.0
        settings.networking.connect_timeout = 10.0
        settings.scanning.disabled = True
        return settings

    def _registry(self, stop: asyncio.Event) -> kopf.OperatorRegistry:
        registry = kopf.OperatorRegistry()

        async def clean_up(**_: Any) -> None:
            # kopf takes signals itself, and all tasks for its own: it would wait five seconds for the one that waits
            # for `stop`, and for our workers, to end by themselves.
            stop.set()
            await self._stop_workers()

        kopf.on.login(registry=registry)(self._log_in)
        kopf.on.cleanup(registry=registry)(clean_up)
        for kind in ATOLL_KINDS:
            kopf.on.event(kind.group, kind.version, kind.plural, registry=registry)(self._on_event)
        return registry

    async def _stop_workers(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._fleets.values()))

    async def _log_in(self, **_: Any) -> kopf.AiohttpSession:
        return await self._login()

    async def _on_event(self, event: Any, **_: Any) -> None:
        """Take in one watch event, and wake its fleet when it holds anything new."""
        body = event["object"]
        metadata = body["metadata"]
        kind, fleet = body["kind"], metadata["namespace"]
        self._context.metrics.events.labels(kind).inc()
        self._context.metrics.last_event.labels(kind).set_to_current_time()
        if event["type"] == "DELETED":
            changed = self._cache.drop(fleet, kind, metadata["name"], metadata.get("uid", ""))
        else:
            changed = self._cache.put(body, self._context.clock.now())
        if changed:
            self._wake(fleet)

    def _wake(self, fleet: str) -> None:
        served = self._context.settings.namespaces
        if served and fleet not in served:
            return
        if fleet not in self._fleets:
            self._fleets[fleet] = FleetWorker(self._context, self._cache, fleet)
        self._fleets[fleet].wake()

    async def _list_everything(self) -> None:
        """List all our kinds before the first decision: half a picture must never be decided on."""
        asked = self._context.clock.now()
        found = await asyncio.gather(*(self._list_kind(kind) for kind in ATOLL_KINDS))
        changed: set[str] = set()
        for kind, bodies in zip(ATOLL_KINDS, found, strict=True):
            changed |= self._cache.replace_kind(kind.kind, bodies, asked)
        for fleet in sorted({*changed, *(self._cache.fleets() if not self._listed else ())}):
            self._wake(fleet)
        self._listed = True

    async def _list_kind(self, kind: Kind) -> list[Body]:
        """List one kind, in the fleets that we serve: that may be all that we are allowed to see."""
        namespaces: tuple[str | None, ...] = self._context.settings.namespaces or (None,)
        found = await asyncio.gather(*(self._context.store.list(kind, namespace) for namespace in namespaces))
        return [body for bodies in found for body in bodies]

    async def _relist_for_ever(self) -> None:
        """List anew from time to time: a watch that loses events loses them for minutes, not for ever."""
        while True:
            await asyncio.sleep(self._context.settings.relist_seconds)
            try:
                await self._list_everything()
            except AtollError as error:
                log.warning("listing anew failed: %s", error)

    def _trouble(self) -> str:
        """Say what is wrong with this process, or nothing."""
        if not self._listed:
            return "the objects have not been listed yet"
        dead = [name for name, worker in self._fleets.items() if worker.failed]
        return f"the worker of fleet {dead[0]} has died" if dead else ""
