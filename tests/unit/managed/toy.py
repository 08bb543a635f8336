"""A cloud in memory that forgets, refuses and loses answers as real ones do; its plan is as small as a plan can be."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from atoll.errors import AtollError, Conflict
from atoll.ports import (
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationType,
    Presence,
    ProviderInfo,
    WantedCluster,
)
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.cloud import Token
from atoll.providers.managed.marks import build_marks, build_name
from atoll.providers.managed.moves import Call, Done, Fail, Move, Wait
from atoll.providers.managed.surroundings import Declared

INFO = ProviderInfo(name="toy", has_nodes=True, can_revert=False, sets_authentication=False, short_logins=True)
START = datetime(2026, 11, 22, tzinfo=UTC)


class ToyClock:
    """A clock that tests move."""

    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyCluster:
    """What one look finds."""

    name: str
    version: str
    tags: Mapping[str, str]
    ready: float = 0.0
    """When it has done what it was told, in monotonic seconds."""
    shown: float = 0.0
    """From when on it is listed."""

    @property
    def busy(self) -> bool:
        return time.monotonic() < self.ready

    @property
    def server(self) -> str:
        return "" if self.busy else f"https://{self.name}.toy:6443"

    @property
    def authority(self) -> str:
        return "PEM"


@dataclass(slots=True)
class ToyWorld:
    """The cloud itself, which outlives its providers."""

    clusters: dict[str, ToyCluster] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """(call, subject) of all that was heard, reads left out."""
    seconds: float = 0.05
    hidden: float = 0.0
    failures: list[tuple[str, AtollError, bool]] = field(default_factory=list)
    """(call, error, done all the same): each is used once."""
    reads: int = 0
    tokens: int = 0
    closed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, call: str, error: AtollError, *, done: bool = False, times: int = 1) -> None:
        self.failures += [(call, error, done)] * times

    def answer(self, call: str, subject: str, change: Any) -> None:
        """Take one call that changes something."""
        with self.lock:
            told = next((item for item in self.failures if item[0] == call), None)
            if told is not None:
                self.failures.remove(told)
                if not told[2]:
                    raise told[1]
            self.calls.append((call, subject))
            change()
            if told is not None:
                raise told[1]


@dataclass(slots=True)
class ToyConnection:
    """One account."""

    world: ToyWorld
    caller: Caller
    clock: ToyClock

    def look(self, ref: ClusterRef) -> ToyCluster | None:
        def read() -> ToyCluster | None:
            self.world.reads += 1
            told = next((item for item in self.world.failures if item[0] == "look"), None)
            if told is not None:
                self.world.failures.remove(told)
                raise told[1]
            found = self.world.clusters.get(build_name(ref))
            return found if found is not None and time.monotonic() >= found.shown else None

        return self.caller.read("look", build_name(ref), read)

    def act(self, call: Call) -> None:
        name = call.arguments["name"]

        def change() -> None:
            now, clusters = time.monotonic(), self.world.clusters
            if call.name == "create":
                if name in clusters:
                    raise Conflict(f"{name} is there already")
                clusters[name] = ToyCluster(
                    name=name,
                    version=call.arguments["version"],
                    tags=call.arguments["tags"],
                    ready=now + self.world.seconds,
                    shown=now + self.world.hidden,
                )
            elif call.name == "update":
                ready = now + self.world.seconds
                clusters[name] = replace(clusters[name], version=call.arguments["version"], ready=ready)
            elif call.name == "tag":
                clusters[name] = replace(clusters[name], tags=call.arguments["tags"])
            else:
                del clusters[name]

        self.caller.write(call.name, name, lambda: self.world.answer(call.name, name, change))

    def inspect(self, wanted: WantedCluster, operation: Operation, seen: ToyCluster | None) -> tuple[Finding, ...]:
        return ()

    def log_in(self, seen: ToyCluster) -> Token:
        self.world.tokens += 1
        return Token(text=f"token-{self.world.tokens}", expires=self.clock.now() + timedelta(minutes=14))

    def close(self) -> None:
        self.world.closed += 1


@dataclass(slots=True)
class ToyCloud:
    """Its plan: create, wait, tag; update, wait, tag; delete."""

    world: ToyWorld
    clock: ToyClock
    info: ProviderInfo = INFO
    success: Mapping[OperationType, str] = field(default_factory=dict)

    def connect(self, declared: Declared, caller: Caller) -> ToyConnection:
        return ToyConnection(self.world, caller, self.clock)

    def identify(self, declared: Declared) -> str:
        return "toy"

    def check(self, wanted: WantedCluster, operation: Operation, seen: ToyCluster | None) -> tuple[Finding, ...]:
        return ()

    def plan(self, wanted: WantedCluster, operation: Operation, seen: ToyCluster | None, now: datetime) -> Move:
        name = build_name(wanted.ref)
        if operation.type is OperationType.DELETE:
            return Done() if seen is None else Call(name="delete", arguments={"name": name}, step="delete", total=1)
        if wanted.settings.get("impossible"):
            return Fail(message="the toy has no such thing. Ask for another")
        if seen is None:
            arguments = {"name": name, "version": wanted.version, "tags": build_marks(wanted.ref, operation)}
            return Call(name="create", arguments=arguments, step="create", total=3)
        if seen.busy:
            return Wait(step="wait for the toy", done=1, total=3)
        if seen.version != wanted.version:
            arguments = {"name": name, "version": wanted.version}
            return Call(name="update", arguments=arguments, step="update", done=1, total=3)
        tags = build_marks(wanted.ref, operation, total=3, finished=True)
        return Call(name="tag", arguments={"name": name, "tags": tags}, step="remember it", done=2, total=3)

    def summarise(self, declared: Declared, seen: ToyCluster, now: datetime) -> ObservedCluster:
        wanted = declared.settings.get("version", seen.version)
        drift = () if wanted == seen.version else (f"version is {seen.version}, and shall be {wanted}",)
        return ObservedCluster(
            presence=Presence.PRESENT, version=seen.version, endpoint=seen.server, drift=drift, message=""
        )

    def login_command(self, declared: Declared, seen: ToyCluster) -> Mapping[str, Any]:
        return {"apiVersion": "client.authentication.k8s.io/v1", "command": "toy", "args": ["token", seen.name]}


@dataclass(slots=True)
class ToySurroundings:
    """What is declared, by cluster id."""

    settings: dict[str, Any] = field(default_factory=dict)
    error: AtollError | None = None

    async def declared(self, ref: ClusterRef) -> Declared:
        if self.error is not None:
            raise self.error
        return Declared(settings=self.settings)
