"""One fleet's worker: wait, gather what is known, decide, carry out, and wait again."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final, TypeVar

from atoll.decision import decide
from atoll.errors import AtollError
from atoll.fleet.hosts import HostView
from atoll.fleet.observed import ChildView
from atoll.fleet.plan import ApplyMemberObject, DeleteMemberObject, Plan

from .cache import Cache
from .child import ChildWorker
from .context import Context
from .covering import Covering
from .gates import GateAsker
from .gather import Gatherer
from .host import HostWorker, is_leaving, tells_more
from .hub_act import HubHands
from .wakeups import Wakeup

log: Final = logging.getLogger("atoll.fleet")

W = TypeVar("W", ChildWorker, HostWorker)

RETRY_SECONDS: Final = 2.0
RETRY_LIMIT_SECONDS: Final = 60.0
"""How soon a fleet is decided about again after a step on the management plane failed; doubles up to the limit."""


class FleetWorker:
    """Decides about one fleet until it is stopped."""

    def __init__(self, context: Context, cache: Cache, name: str) -> None:
        self.name = name
        self._context = context
        self._cache = cache
        self._gather = Gatherer(context, cache, name)
        self._hands = HubHands(context, cache, name)
        self._covers = Covering()
        self._gates = GateAsker(context, name, self.wake)
        self._views: dict[str, ChildView] = {}
        self._host_views: dict[str, HostView] = {}
        self._host_workers: dict[str, HostWorker] = {}
        self._workers: dict[str, ChildWorker] = {}
        self._busy_since: dict[str, datetime] = {}
        self._failures = 0
        self._work_seconds = 0.0
        """CPU that the last decision took."""
        self._unfinished: set[str] = set()
        """Children for which steps were planned: they are decided about again after each look, changed or not."""
        settings = context.settings
        self._wakeup = Wakeup(context.clock, debounce=settings.debounce_seconds, limit=settings.debounce_limit_seconds)
        self._task = asyncio.create_task(self._run(), name=f"fleet {name}")

    def wake(self) -> None:
        """Decide soon."""
        self._wakeup.wake()

    @property
    def failed(self) -> bool:
        """Whether the worker, or that of a child, has died, which is a bug."""
        return self._task.done() or any(worker.failed for worker in self._all_workers())

    async def stop(self) -> None:
        """Stop deciding; what providers have begun goes on."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._gates.stop()
        await asyncio.gather(*(worker.stop() for worker in self._all_workers()))

    def _all_workers(self) -> tuple[ChildWorker | HostWorker, ...]:
        return (*self._workers.values(), *self._host_workers.values())

    async def _run(self) -> None:
        deadline: datetime | None = self._context.clock.now()
        while True:
            await self._wakeup.sleep_until(deadline, work=self._work_seconds)
            try:
                with self._context.metrics.seconds.time():
                    deadline = await self._decide_once()
                self._context.metrics.reconciles.labels("done").inc()
            except AtollError as error:
                log.warning("fleet %s: %s", self.name, error)
                self._context.metrics.reconciles.labels("failed").inc()
                deadline = self._context.clock.now() + timedelta(seconds=RETRY_SECONDS)
            except Exception:
                # A bug in deciding must not end the operator's work on all other fleets; it is loud, and tried again.
                log.exception("fleet %s: deciding failed", self.name)
                self._context.metrics.reconciles.labels("crashed").inc()
                deadline = self._context.clock.now() + timedelta(seconds=10 * RETRY_SECONDS)

    async def _decide_once(self) -> datetime | None:
        await self._match_workers()
        await self._match_host_workers()
        now = self._context.clock.now()
        views = dict(self._views)
        fleet = await self._gather.build(views, dict(self._host_views), dict(self._busy_since))
        fleet = replace(fleet, readings=self._gates.readings)
        self._covers.begin()
        began = time.thread_time()
        decision = decide(fleet, now, covers=self._covers)
        self._work_seconds = time.thread_time() - began
        plan = decision.plan
        self._note_busy(plan, now)
        await self._gates.follow(plan.questions)
        wrote, failed = await self._hands.carry_out(plan.hub)
        self._unfinished = set(plan.children)
        for name, worker in self._workers.items():
            steps = plan.children.get(name, ())
            if steps:
                worker.assign(steps, views.get(name))
        if wrote:
            self.wake()
        if not failed:
            self._failures = 0
            return plan.wake
        pause = min(RETRY_SECONDS * 2**self._failures, RETRY_LIMIT_SECONDS)
        self._failures = min(self._failures + 1, 10)
        retry = now + timedelta(seconds=pause)
        return retry if plan.wake is None else min(retry, plan.wake)

    async def _match_workers(self) -> None:
        """Have one worker for each ChildCluster."""
        gone = await self._match("ChildCluster", self._workers, ChildWorker, self._take_view)
        for name in gone:
            self._views.pop(name, None)
            self._busy_since.pop(name, None)
        if gone:
            self._look_at_left_hosts()

    async def _match_host_workers(self) -> None:
        """Have one worker for each Host, where hosts can be reached."""
        for name in await self._match("Host", self._host_workers, HostWorker, self._take_host_view):
            self._host_views.pop(name, None)

    async def _match(
        self, kind: str, workers: dict[str, W], make: Callable[..., W], publish: Callable[..., None]
    ) -> list[str]:
        """Have one worker for each object of a kind; return the names of those that are gone."""
        names = {body["metadata"]["name"] for body in self._cache.of_kind(self.name, kind)}
        for name in sorted(names - workers.keys()):
            body = partial(self._cache.get, self.name, kind, name)
            workers[name] = make(self._context, self.name, name, body=body, publish=publish)
        gone = sorted(workers.keys() - names)
        for name in gone:
            await workers.pop(name).stop()
        return gone

    def _look_at_left_hosts(self) -> None:
        """Forget what was seen of hosts whose cluster is gone: only a look from now on can prove them clean."""
        there = {body["spec"]["id"] for body in self._cache.of_kind(self.name, "ChildCluster")}
        for body in self._cache.of_kind(self.name, "Host"):
            claim = body["spec"].get("claim")
            name = body["metadata"]["name"]
            if claim and claim["clusterID"] not in there:
                self._host_views.pop(name, None)
                if name in self._host_workers:
                    self._host_workers[name].poke()

    def _take_host_view(self, name: str, view: HostView) -> None:
        before = self._host_views.get(name)
        self._host_views[name] = view
        body = self._cache.get(self.name, "Host", name) or {}
        # A host on its way back is decided about after each look: the next one may be the proof.
        if before is None or tells_more(before, view) or is_leaving(body):
            self.wake()

    def _take_view(self, name: str, view: ChildView) -> None:
        before = self._views.get(name)
        self._views[name] = view
        if before is None or _differs(before, view) or name in self._unfinished:
            self.wake()

    def _note_busy(self, plan: Plan, now: datetime) -> None:
        """Remember since when objects in a child have been waiting to be applied."""
        for name in self._workers:
            waiting = any(
                isinstance(step, (ApplyMemberObject, DeleteMemberObject)) for step in plan.children.get(name, ())
            )
            if waiting:
                self._busy_since.setdefault(name, now)
            else:
                self._busy_since.pop(name, None)


def _differs(before: ChildView, after: ChildView) -> bool:
    """Say whether two looks tell anything different, their time aside."""
    return any(
        getattr(before, field) != getattr(after, field) for field in before.__dataclass_fields__ if field != "time"
    )
