"""The hands of a fleet's worker: each step on the management plane, carried out, its answer put into the cache."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Final, assert_never

from atoll.errors import AtollError, Conflict, Retryable
from atoll.fleet.conditions import find
from atoll.fleet.plan import (
    ApplyObject,
    CreateObject,
    DeleteObject,
    HubStep,
    RecordEvent,
    SetFinalizer,
    WriteStatus,
)
from atoll.fleet.values import thaw
from atoll.kube.kinds import ATOLL_KINDS, Kind
from atoll.ports import Body

from .audit import append
from .cache import Cache
from .context import FIELD_MANAGER, FINALIZER_MANAGER, STATUS_MANAGER, Context

log: Final = logging.getLogger("atoll.hub")

ABREAST: Final = 16
"""How many writes may be under way at once: beyond that an API server with fair queues gains nothing."""
BY_NAME: Final = {kind.kind: kind for kind in ATOLL_KINDS}


class HubHands:
    """Carries out steps on one fleet's objects."""

    def __init__(self, context: Context, cache: Cache, fleet: str) -> None:
        self._context = context
        self._cache = cache
        self._fleet = fleet

    async def carry_out(self, steps: Sequence[HubStep]) -> tuple[bool, bool]:
        """Carry out steps in order, side by side where that may be; say (anything was written, anything failed)."""
        results = [
            result for row in _group(steps) for result in await asyncio.gather(*(self._try(step) for step in row))
        ]
        return any(wrote for wrote, _ in results), any(failed for _, failed in results)

    async def _try(self, step: HubStep) -> tuple[bool, bool]:
        """Carry out one step; say whether it has (written, failed)."""
        name = type(step).__name__
        try:
            try:
                wrote = await self.act(step)
            except Conflict as error:
                # Somebody wrote first: what they wrote is on its way to the cache, and decides anew.
                log.info("%s: %s %s/%s: %s", self._fleet, name, step.kind, step.name, error)
                await self.refresh(step)
                return False, True
        except AtollError as error:
            level = logging.WARNING if isinstance(error, Retryable) else logging.ERROR
            log.log(level, "%s: %s %s/%s failed: %s", self._fleet, name, step.kind, step.name, error)
            self._context.metrics.steps.labels(name, "failed").inc()
            return False, True
        self._context.metrics.steps.labels(name, "done").inc()
        return wrote, False

    async def act(self, step: HubStep) -> bool:
        """Carry out one step; say whether one of our objects changed by it."""
        match step:
            case RecordEvent():
                await self._record(step)
                return False
            case CreateObject():
                await self._create(step)
            case ApplyObject():
                self._keep(await self._context.store.apply(thaw(step.body), FIELD_MANAGER))
            case SetFinalizer():
                await self._set_finalizer(step)
            case DeleteObject():
                await self._context.store.delete(
                    BY_NAME[step.kind],
                    self._fleet,
                    step.name,
                    uid=step.uid,
                    resource_version=step.resource_version,
                )
                await self.refresh(step)
            case WriteStatus():
                await self._write_status(step)
            case _:
                assert_never(step)
        log.info("%s: %s %s/%s: %s", self._fleet, type(step).__name__, step.kind, step.name, step.reason)
        return True

    async def refresh(self, step: HubStep) -> None:
        """Read the step's object anew."""
        kind = BY_NAME[step.kind]
        body = await self._context.store.get(kind, self._fleet, step.name)
        if body is None:
            self._cache.drop(self._fleet, step.kind, step.name)
        else:
            self._keep(body)

    def _keep(self, body: Body) -> None:
        metadata = body["metadata"]
        if metadata.get("deletionTimestamp") and not metadata.get("finalizers"):
            self._cache.drop(self._fleet, body["kind"], metadata["name"], metadata.get("uid", ""))
            return
        self._cache.put(body, self._context.clock.now())

    async def _create(self, step: CreateObject) -> None:
        body = thaw(step.body)
        if step.needs_id:
            # Random, because it must never be used twice, not even by a cluster of the same name.
            body["spec"]["id"] = secrets.token_hex(8)
        self._keep(await self._context.store.create(body, manager=FIELD_MANAGER))

    async def _set_finalizer(self, step: SetFinalizer) -> None:
        kind = BY_NAME[step.kind]
        current = self._cache.get(self._fleet, step.kind, step.name)
        if step.kind == "ChildCluster" and current is not None and not step.present:
            await self._drop_finalizer(kind, step, current)
            return
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": step.name,
                "namespace": self._fleet,
                "uid": step.uid,
                "finalizers": [step.finalizer] if step.present else [],
            },
        }
        self._keep(await self._context.store.apply(body, FINALIZER_MANAGER))

    async def _drop_finalizer(self, kind: Kind, step: SetFinalizer, current: Body) -> None:
        """Children carry the finalizer in the same apply as their spec; the last write takes it away by name."""
        metadata = current["metadata"]
        rest = [entry for entry in metadata.get("finalizers", ()) if entry != step.finalizer]
        patch = {"metadata": {"uid": step.uid, "resourceVersion": metadata["resourceVersion"], "finalizers": rest}}
        self._keep(await self._context.store.patch_merge(kind, self._fleet, step.name, patch, FINALIZER_MANAGER))

    async def _write_status(self, step: WriteStatus) -> None:
        kind = BY_NAME[step.kind]
        status = thaw(step.status)
        if step.audit:
            status["auditHead"] = await self._append_records(step, status.get("auditHead", ""))
        body = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": step.name, "namespace": self._fleet, "uid": step.uid},
            "status": status,
        }
        self._keep(await self._context.store.apply(body, STATUS_MANAGER, subresource="status"))
        now = self._context.clock.now()
        self._cache.mark_written(self._fleet, step.kind, step.name, now)
        ready = find(step.status, "Ready")
        log.debug("%s/%s is %s (%s)", step.kind, step.name, ready.get("status"), ready.get("reason"))

    async def _append_records(self, step: WriteStatus, head: str) -> str:
        rollout = {
            "apiVersion": BY_NAME[step.kind].api_version,
            "kind": step.kind,
            "metadata": {"name": step.name, "namespace": self._fleet, "uid": step.uid},
        }
        return await append(self._context.store, self._fleet, rollout, step.audit, head)

    async def _record(self, step: RecordEvent) -> None:
        kind = BY_NAME[step.kind]
        regarding = {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {"name": step.name, "namespace": self._fleet, "uid": step.uid},
        }
        await self._context.recorder.record(
            regarding,
            reason=step.event_reason,
            note=step.reason,
            now=self._context.clock.now(),
            type="Warning" if step.type == "Warning" else "Normal",
        )


def _group(steps: Sequence[HubStep]) -> Iterator[list[HubStep]]:
    """Group what may be done at once: steps in a row of one type, on different objects of one kind."""
    for _, row in groupby(steps, lambda step: (type(step), step.kind)):
        group: dict[str, HubStep] = {}
        for step in row:
            if step.name in group or len(group) == ABREAST:
                yield list(group.values())
                group = {}
            group[step.name] = step
        yield list(group.values())
