"""Carries an operation out, step by step, and writes down on the control-plane host how far it has come.

What cannot be reached, or shows another key than the pinned one, is waited for, within a limit: a cut connection is no
failure of the work, which goes on without us, and to a stranger nothing is said. After the limit, and with all that
waiting does not mend, the operation has failed, and says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from atoll.errors import AtollError, Conflict, IdentityMismatch, NotTaken, Retryable, Unreachable
from atoll.fleet.cluster import OperationState, OperationType
from atoll.hosts.command import Action, T
from atoll.hosts.jobs import Host

from . import act_change, act_create, act_delete, act_login, facts
from .documents import begin_record
from .recording import write_operation
from .steps import Kind, Step, plan_steps
from .values import OperationRecord
from .work import Work

PATIENCE_SECONDS: Final = 900.0
"""How long a step waits for a host that cannot be reached, or an API that does not answer."""
PAUSE_SECONDS: Final = 3.0

logger = logging.getLogger(__name__)

ACTS: Final[Mapping[Kind, Callable[[Work, Step], Awaitable[None]]]] = MappingProxyType(
    {
        Kind.TAKE: act_create.take,
        Kind.COPY: act_create.copy,
        Kind.PREPARE: act_create.prepare,
        Kind.INIT: act_create.init,
        Kind.IDENTITY: act_create.make_own_identity,
        Kind.JOIN: act_create.join,
        Kind.NETWORK: act_create.connect,
        Kind.READY: act_create.ready,
        Kind.RECORD: act_create.record,
        Kind.LOAD: act_change.load,
        Kind.PLAN: act_change.plan,
        Kind.SNAPSHOT: act_change.snapshot,
        Kind.APPLY: act_change.apply,
        Kind.CONFIGURE: act_change.configure,
        Kind.DRAIN: act_change.drain,
        Kind.SWAP: act_change.swap,
        Kind.UNCORDON: act_change.uncordon,
        Kind.SERVICES: act_change.check_services,
        Kind.TIDY: act_change.tidy,
        Kind.START: act_change.start,
        Kind.RENEW: act_change.renew,
        Kind.CLEAN: act_delete.clean,
        Kind.LOGIN: act_login.log_in,
    }
)


class Run:
    """One operation under way."""

    def __init__(self, work: Work, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._work = work
        self._patience = patience_seconds
        self._steps = plan_steps(work.operation, work.cluster)
        self.record: OperationRecord = begin_record(
            work.operation, step=self._steps[0].name, steps_total=len(self._steps)
        )

    async def carry_out(self) -> None:
        """Run what is left of the operation; raises what stopped it, after writing it down."""
        work = self._work
        if not await self._begin():
            return
        for index in range(self.record.steps_done, len(self._steps)):
            step = self._steps[index]
            self.record = replace(self.record, step=step.name, steps_done=index, message="")
            await self._write(f"record-{index}")
            try:
                await self._patiently(step)
            except AtollError as error:
                await self._fail(f"could not {step.name}: {error}")
                raise
        done = replace(self.record, steps_done=len(self._steps), state=OperationState.SUCCEEDED, message="")
        if work.operation.type is not OperationType.DELETE:
            await self._write("record-end", done)
        self.record = done

    async def _begin(self) -> bool:
        """Find out where to begin; False: it has ended before."""
        work = self._work
        told = await self._insist(lambda: work.ask(work.first, facts.OPERATION))
        await self._insist(self._wait_for_others)
        if told is None or told.id != work.operation.id:
            return True
        if told.state in {OperationState.SUCCEEDED, OperationState.FAILED}:
            self.record = told
            return False
        # The list of steps may be another one after an update of Atoll: then it is walked from its beginning.
        if told.steps_total == len(self._steps):
            self.record = told
        return True

    async def _wait_for_others(self) -> None:
        """Wait for what an earlier operation, whose end nobody saw, may still be doing on the hosts."""
        for host in self._work.hosts.values():
            try:
                units = await self._work.ask(host, facts.RUNNING_JOBS)
            except Unreachable:
                if host is self._work.first:
                    raise
                continue
            others = [unit for unit in units if not unit.startswith(f"atoll-job-{self._work.operation.id}.")]
            if others:
                raise Conflict(f"host {host.name} is still busy with {', '.join(others)}")

    async def _patiently(self, step: Step) -> None:
        await self._insist(lambda: ACTS[step.kind](self._work, step))

    async def _insist(self, act: Callable[[], Awaitable[T]]) -> T:
        """Do something until it is done, or somebody says no, or patience ends."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._patience
        while True:
            try:
                return await act()
            except (Retryable, IdentityMismatch) as error:
                if loop.time() > end:
                    raise
                self.record = replace(self.record, message=f"waiting: {error}")
                logger.info("%s of %s waits: %s", self._work.operation.type, self._work.cluster.ref.name, error)
                await asyncio.sleep(min(PAUSE_SECONDS, getattr(error, "delay", PAUSE_SECONDS)))

    async def _fail(self, message: str) -> None:
        """Write the failure down, if that is possible; else it is found as interrupted, and resumed."""
        failed = replace(self.record, state=OperationState.FAILED, message=message)
        try:
            await self._write(f"record-{self.record.steps_done}-failed", failed)
        except AtollError as error:
            logger.warning("the failure of %s could not be written down: %s", failed.id, error)
            return
        self.record = failed

    async def _write(self, key: str, record: OperationRecord | None = None) -> None:
        work = self._work
        wanted = record or self.record

        async def build(host: Host) -> Iterable[Action]:
            del host
            return [write_operation(wanted)]

        # The first thing that a new cluster does to a host: take it.
        takes = work.operation.type is OperationType.CREATE and wanted.steps_done == 0
        try:
            await self._insist(lambda: work.carry(work.cluster.control_plane, key, build, seconds=60, takes=takes))
        except NotTaken:
            # Deleting goes on when the control plane has been given back by an earlier try.
            if work.operation.type is not OperationType.DELETE:
                raise
