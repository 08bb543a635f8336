"""Metric gates of one fleet: each is asked at its own pace for as long as the plan wants to know."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from atoll.errors import AtollError
from atoll.fleet.gates import GateKey, GateReading, MetricQuestion
from atoll.kube.kinds import SECRET
from atoll.kube.secret_text import read_text

from .context import Context

log: Final = logging.getLogger("atoll.gates")


class GateAsker:
    """Asks the questions that stand in the latest plan, and keeps the latest answers."""

    def __init__(self, context: Context, fleet: str, wake: Callable[[], None]) -> None:
        self._context = context
        self._fleet = fleet
        self._wake = wake
        self._tasks: dict[MetricQuestion, asyncio.Task[None]] = {}
        self._readings: dict[GateKey, GateReading] = {}

    @property
    def readings(self) -> Mapping[GateKey, GateReading]:
        """The latest answers."""
        return dict(self._readings)

    async def follow(self, questions: Sequence[MetricQuestion]) -> None:
        """Ask these from now on, and no others."""
        wanted = set(questions)
        gone = [question for question in self._tasks if question not in wanted]
        tasks = [self._tasks.pop(question) for question in gone]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for question in gone:
            self._readings.pop(question.key, None)
        for question in wanted - self._tasks.keys():
            self._tasks[question] = asyncio.create_task(self._ask_on(question), name=f"gate {question.key.gate}")

    async def stop(self) -> None:
        """Ask nothing more."""
        await self.follow(())

    async def _ask_on(self, question: MetricQuestion) -> None:
        while True:
            reading = await self._ask_once(question)
            before = self._readings.get(question.key)
            self._readings[question.key] = reading
            if before is None or (before.open, before.cause) != (reading.open, reading.cause):
                log.info("%s: %s: %s", self._fleet, question.reason, reading.message)
                self._wake()
            await asyncio.sleep(question.interval_seconds)

    async def _ask_once(self, question: MetricQuestion) -> GateReading:
        now = self._context.clock.now()
        try:
            token = await self._read_token(question.secret_name) if question.secret_name else ""
        except AtollError as error:
            return GateReading(time=now, open=False, cause="Error", message=str(error))
        if self._context.ask_metric is None:
            return GateReading(time=now, open=False, cause="Error", message="this operator asks no metrics")
        return await self._context.ask_metric(question, token)

    async def _read_token(self, name: str) -> str:
        secret = await self._context.store.get(SECRET, self._fleet, name)
        token = read_text(secret, "token").strip()
        if not token:
            raise AtollError(f"Secret {name} has no bearer token under the key `token`. Create it in the fleet")
        return token
