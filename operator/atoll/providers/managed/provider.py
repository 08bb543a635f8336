"""Managed clusters of one cloud: the loop that looks, decides and calls, and what it tells meanwhile.

Long work is a task that looks, asks the cloud's plan what comes next, and does it, until the plan says that all holds.
It may be cut anywhere: whoever starts it again begins with a look. Two things make that safe where clouds forget for a
moment what they were told. A call that has just succeeded is not made again while its effect does not show yet; and
nobody believes that a cluster is gone because one answer does not list it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Generic, TypeVar

from atoll.errors import AtollError, Conflict, Refused, Retryable, Terminal, Throttled, Unreachable
from atoll.ports import (
    Clock,
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    ProviderInfo,
    WantedCluster,
)

from .accounts import Accounts
from .calling import Translate
from .cloud import Cloud, Connection, SeenT, Token
from .kubeconfig import build_kubeconfig
from .marks import ID, build_success, read_marks
from .moves import Call, Done, Fail, Move, Wait
from .surroundings import Declared, Surroundings

TOKEN_SPARE: Final = timedelta(minutes=3)
"""A token that lasts no longer than this is not handed out any more."""
LONGEST_PAUSE_SECONDS: Final = 60.0
MOMENT_SECONDS: Final = 2.0
"""What was seen so lately is not looked at again before an operation begins."""
GONE_LIMIT: Final = 1000

logger = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often a cloud is asked. Seconds."""

    work: float = 10.0
    """Between looks at a cluster that is being worked on."""
    rest: float = 60.0
    """How long what was seen of a cluster at rest is believed."""
    settle: float = 60.0
    """How long a cloud may take to show what it was told, and to list a new cluster."""
    slowest: float = 2.0
    """How many calls a second an account is asked at least, however often it says that it was too much."""
    patience: float = 3600.0
    """How long an operation goes on while every attempt fails for reasons that may pass."""


@dataclass(slots=True)
class Run(Generic[SeenT]):
    """One operation of this process, under way or over."""

    operation: Operation
    progress: OperationProgress
    task: asyncio.Task[None] | None = None
    seen: SeenT | None = None
    looked: bool = False
    """It has looked itself; before that `seen` is what was known when it began."""
    fresh: bool = False
    """`seen` is so new that the work begins with it."""
    found: bool = False
    """The cluster has been seen, so that its absence means that it is gone."""


@dataclass(slots=True)
class Known(Generic[SeenT]):
    """What was seen of a cluster at rest."""

    seen: SeenT | None
    time: float


class ManagedProvider(Generic[SeenT]):
    """A provider of managed clusters."""

    def __init__(
        self,
        cloud: Cloud[SeenT],
        surroundings: Surroundings,
        translate: Translate,
        *,
        clock: Clock,
        pace: Pace | None = None,
        count: Callable[[str, str], None] = lambda _call, _result: None,
    ) -> None:
        """`count` is told of each call by name, with `ok` or the reason of its error."""
        self._cloud = cloud
        self._surroundings = surroundings
        self._clock = clock
        self._pace = pace or Pace()
        self._accounts = Accounts(cloud, translate, slowest=self._pace.slowest, count=count)
        self._runs: dict[str, Run[SeenT]] = {}
        self._known: dict[str, Known[SeenT]] = {}
        self._tokens: dict[str, tuple[str, Token]] = {}
        self._kubeconfigs: dict[str, tuple[object, str]] = {}
        """What a kubeconfig was made of, and its text: writing YAML takes long."""
        self._gone: deque[str] = deque(maxlen=GONE_LIMIT)
        """Deletions that have ended."""

    def info(self) -> ProviderInfo:
        """Say what this provider can do."""
        return self._cloud.info

    async def versions(self) -> tuple[str, ...]:
        """Return nothing: which versions there are depends on the place, and is asked before each operation."""
        return ()

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`, changing nothing."""
        if operation.type in {OperationType.DELETE, OperationType.REPAIR}:
            return ()
        try:
            declared = await self._surroundings.declared(wanted.ref)
            connection = self._accounts.connect(declared)
            seen = await self._see(declared, wanted.ref, self._moment)
            found = self._cloud.check(wanted, operation, seen)
            return found or await self._accounts.run(connection.inspect, wanted, operation, seen)
        except AtollError as error:
            return (Finding.of(error),)

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there: at work what the work saw last, at rest what was seen a moment ago."""
        run = self._runs.get(ref.id)
        try:
            declared = await self._surroundings.declared(ref)
            seen = run.seen if run is not None and _knows(run) else await self._see(declared, ref)
        except AtollError as error:
            operation = run.progress if run is not None else None
            return ObservedCluster(presence=Presence.UNKNOWN, message=str(error), operation=operation)
        return self._tell(ref, declared, run, seen)

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation` and return at once; Conflict while another one runs here."""
        run = self._runs.get(wanted.ref.id)
        if run is None and operation.id in self._gone:
            return
        if run is not None:
            if run.operation.id == operation.id and run.progress.state in {
                OperationState.RUNNING,
                OperationState.SUCCEEDED,
            }:
                return
            if run.progress.state is OperationState.RUNNING:
                raise Conflict(
                    f"operation {run.operation.id} ({run.operation.type}) of {wanted.ref.name} has not finished: "
                    "wait for it"
                )
        progress = OperationProgress(
            id=operation.id, type=operation.type, state=OperationState.RUNNING, step="look at what is there"
        )
        begun: Run[SeenT] = Run(operation=operation, progress=progress)
        known = self._known.pop(wanted.ref.id, None)
        begun.seen = known.seen if known is not None else None
        begun.found = begun.seen is not None
        # What is to go is looked at once more in any case.
        begun.fresh = operation.type in {OperationType.CREATE, OperationType.CHANGE} and (
            known is not None and time.monotonic() - known.time <= self._moment
        )
        begun.task = asyncio.create_task(self._run(begun, wanted), name=f"{operation.type} {wanted.ref.id}")
        self._runs[wanted.ref.id] = begun

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return a kubeconfig with a token for minutes (secret), the same one until it has to be renewed."""
        declared = await self._surroundings.declared(ref)
        seen = await self._see(declared, ref)
        if seen is None or not seen.server:
            raise Unreachable(f"{self._cloud.info.name} has no API server for {ref.name} yet")
        token = await self._get_token(declared, ref, seen)
        command = self._cloud.login_command(declared, seen)
        made_of = (ref.name, seen.server, seen.authority, token.text, command)
        known = self._kubeconfigs.get(ref.id)
        if known is not None and known[0] == made_of:
            return known[1]
        text = build_kubeconfig(
            ref.name, server=seen.server, authority=seen.authority, token=token.text, login_command=command
        )
        self._kubeconfigs[ref.id] = (made_of, text)
        return text

    async def forget(self, ref: ClusterRef) -> None:
        """Remember nothing of the cluster any more, and stop working on it."""
        run = self._runs.get(ref.id)
        if run is not None and run.task is not None:
            run.task.cancel()
        self._drop(ref)

    async def close(self) -> None:
        """Cut operations short; what the clouds are doing goes on."""
        self._accounts.stop()
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._accounts.close()

    async def _run(self, run: Run[SeenT], wanted: WantedCluster) -> None:
        name = wanted.ref.name
        try:
            await self._work(run, wanted)
        except AtollError as error:
            logger.warning("%s of %s was given up: %s", run.operation.type, name, error)
            run.progress = _advance(run.progress, state=OperationState.FAILED, message=str(error))
        except Exception as error:
            # A bug of ours must not leave an operation that seems to run for ever.
            logger.exception("%s of %s was given up", run.operation.type, name)
            message = f"{type(error).__name__} in Atoll itself; its log says more. Report it, and try again"
            run.progress = _advance(run.progress, state=OperationState.FAILED, message=message)

    async def _work(self, run: Run[SeenT], wanted: WantedCluster) -> None:
        """Look, decide and call until all holds; Retryable errors only make it look again later."""
        pace = self._pace
        failures, failing_since = 0, 0.0
        stuck: Move | None = None
        told: Call | None = None
        told_at = time.monotonic()
        while True:
            move: Move | None = None
            try:
                connection = self._accounts.connect(await self._surroundings.declared(wanted.ref))
                seen = run.seen if run.fresh else await self._look(connection, wanted.ref)
                run.fresh = False
                run.seen, run.looked, run.found = seen, True, run.found or seen is not None
                move = self._decide(run, wanted, seen)
                if isinstance(move, Done):
                    if seen is not None or run.found or time.monotonic() - told_at > pace.settle:
                        self._finish(run, wanted.ref, seen, move)
                        return
                    move = Wait(step="make sure that nothing is there")
                if isinstance(move, Fail):
                    raise Terminal(move.message)
                run.progress = _advance(run.progress, step=move.step, done=move.done, total=move.total)
                if isinstance(move, Call) and not (move == told and time.monotonic() - told_at < pace.settle):
                    await self._accounts.run(connection.act, move)
                    told, told_at = move, time.monotonic()
                    failures = 0
                    continue
                failures = 0
                message = move.message if isinstance(move, Wait) else "the cloud does not show it yet"
                run.progress = _advance(run.progress, message=message)
                await asyncio.sleep(pace.work * random.uniform(0.8, 1.2))  # noqa: S311
            except Retryable as error:
                if not failures or (move is not None and move != stuck):
                    # What comes next is another thing than last time: it has got on meanwhile.
                    failing_since, failures, stuck = time.monotonic(), 0, move
                # Who is busy asks for no longer pauses.
                failures = max(1, failures) if isinstance(error, Conflict) else failures + 1
                if time.monotonic() - failing_since > pace.patience:
                    raise
                run.progress = _advance(run.progress, message=str(error))
                await asyncio.sleep(_choose_pause(error, failures, pace))

    def _decide(self, run: Run[SeenT], wanted: WantedCluster, seen: SeenT | None) -> Move:
        told = self._read_marks(seen) if seen is not None else None
        if told is not None and told.id == run.operation.id and not told.is_open:
            return Done(total=told.steps_total, message=told.message)
        return self._cloud.plan(wanted, run.operation, seen, self._clock.now())

    def _finish(self, run: Run[SeenT], ref: ClusterRef, seen: SeenT | None, move: Done) -> None:
        if seen is None:
            self._gone.append(run.operation.id)
            self._drop(ref)
            return
        run.progress = build_success(run.operation.id, run.operation.type, move.total, move.message)
        run.seen = None
        self._known[ref.id] = Known(seen=seen, time=time.monotonic())

    def _drop(self, ref: ClusterRef) -> None:
        """Remember nothing of a cluster."""
        self._runs.pop(ref.id, None)
        self._known.pop(ref.id, None)
        self._tokens.pop(ref.id, None)
        self._kubeconfigs.pop(ref.id, None)

    def _tell(self, ref: ClusterRef, declared: Declared, run: Run[SeenT] | None, seen: SeenT | None) -> ObservedCluster:
        is_open = run is not None and run.progress.is_open
        if seen is None:
            if run is None or (not is_open and run.operation.type is OperationType.DELETE):
                return ObservedCluster(presence=Presence.ABSENT)
            presence = Presence.PARTIAL if is_open else Presence.ABSENT
            return ObservedCluster(presence=presence, operation=run.progress)
        told = self._cloud.summarise(declared, seen, self._clock.now())
        operation = run.progress if run is not None else self._read_marks(seen)
        if operation is None or not operation.is_open:
            return replace(told, operation=operation)
        half = operation.type in {OperationType.CREATE, OperationType.DELETE}
        presence = Presence.PARTIAL if half else told.presence
        return replace(told, operation=operation, presence=presence, drift=(), needs_repair="")

    def _read_marks(self, seen: SeenT) -> OperationProgress | None:
        told = read_marks(seen.tags)
        if told is None or told.is_open:
            return told
        return replace(told, message=self._cloud.success.get(told.type, ""))

    @property
    def _moment(self) -> float:
        return min(MOMENT_SECONDS, self._pace.work)

    async def _see(self, declared: Declared, ref: ClusterRef, within: float | None = None) -> SeenT | None:
        """Return what is there, as of `within` seconds ago; without them as of a cluster at rest."""
        known = self._known.get(ref.id)
        if known is None or time.monotonic() - known.time > (self._pace.rest if within is None else within):
            seen = await self._look(self._accounts.connect(declared), ref)
            known = Known(seen=seen, time=time.monotonic())
            self._known[ref.id] = known
        return known.seen

    async def _look(self, connection: Connection[SeenT], ref: ClusterRef) -> SeenT | None:
        seen = await self._accounts.run(connection.look, ref)
        if seen is not None and seen.tags.get(ID) != ref.id:
            raise Refused(
                f"{self._cloud.info.name} has a cluster of the name that {ref.name} would get, without the tag "
                f"{ID}: {ref.id}. It is not touched: remove or rename it, or put the tag on it if it is ours"
            )
        return seen

    async def _get_token(self, declared: Declared, ref: ClusterRef, seen: SeenT) -> Token:
        server, token = self._tokens.get(ref.id, ("", None))
        if token is None or server != seen.server or self._clock.now() >= token.expires - TOKEN_SPARE:
            token = await self._accounts.run(self._accounts.connect(declared).log_in, seen)
            self._tokens[ref.id] = (seen.server, token)
        return token


def _knows(run: Run[SeenT]) -> bool:
    """Say whether a run knows better what is there than anybody who looks now."""
    if run.progress.state is not OperationState.RUNNING:
        return False
    return run.looked or run.found or run.operation.type is OperationType.CREATE


def _advance(
    progress: OperationProgress,
    *,
    state: OperationState = OperationState.RUNNING,
    step: str = "",
    done: int = 0,
    total: int = 0,
    message: str = "",
) -> OperationProgress:
    """Tell how far an operation is; it never goes back."""
    return replace(
        progress,
        state=state,
        step=step or progress.step,
        steps_done=max(done, progress.steps_done),
        steps_total=max(total, done, progress.steps_total),
        message=message,
    )


def _choose_pause(error: Retryable, failures: int, pace: Pace) -> float:
    """Return seconds until the next look: who is busy or was throttled says when; else ever longer."""
    if isinstance(error, Throttled):
        return error.delay + random.uniform(0, pace.work)  # noqa: S311
    longest = (
        pace.work if isinstance(error, Conflict) else min(LONGEST_PAUSE_SECONDS, pace.work * 2.0 ** (failures - 1))
    )
    return longest * random.uniform(0.5, 1.0)  # noqa: S311
