"""The monitor of rollouts on a real run: what a watch on the management plane has seen, judged afterwards.

Every write is one event, and the API server's own count puts those of all kinds in one order. From the outside nobody
sees looks before a change, answers of metrics, Jobs, and how well a cluster was: those invariants are left to runs in
which they can be seen. All others hold here as they do there.

    with record_rollouts(home) as trace:
        ...
    trace.check()
"""

from __future__ import annotations

import copy
import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import IO, Any, Final

from atoll.api.convert import CONVERTERS
from atoll.errors import BadInput
from atoll.fleet.cluster import ProviderInfo
from atoll.fleet.decisions import (
    RETURN_MARK,
    Advance,
    NewRollout,
    RevertChild,
    RolloutDecision,
    RolloutProgress,
    RolloutRow,
    WaveStatus,
)
from atoll.fleet.observed import ChildCluster, Rollout
from atoll.fleet.snapshot import Fleet
from tests.support.home import TestHome
from tests.unit.rollout.monitor import Broken, Monitor

KINDS: Final = {
    "ClusterSet": "cluster_sets",
    "ChildCluster": "children",
    "Rollout": "rollouts",
    "Approval": "approvals",
    "Environment": "environments",
    "Tenant": "tenants",
    "Regime": "regimes",
}
BY_PEOPLE: Final = frozenset({"ClusterSet", "Approval", "Environment", "Regime"})
SLACK: Final = timedelta(seconds=2)
"""What people wrote so shortly before may not have been known when was decided."""
PROVIDERS: Final = {
    "local": ProviderInfo(name="local", has_nodes=False, can_revert=True),
    "fake": ProviderInfo(name="fake", has_nodes=False, can_revert=True),
    "kubeadm": ProviderInfo(name="kubeadm", has_nodes=True, can_revert=False),
}
FIRST_LIST_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One write as it was seen."""

    time: datetime
    order: int
    """The API server's count of writes."""
    kind: str
    name: str
    value: Any
    """None: it was deleted."""


@dataclass
class Trace:
    """All that was seen in one fleet."""

    events: list[Event] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Why it may not be whole."""

    def check(self) -> int:
        """Judge everything; return how many clusters were told to move. Raises Broken, which names the invariant."""
        assert not self.faults, f"the record is not whole: {self.faults}"
        return check_events(self.events)


def check_events(events: Iterable[Event]) -> int:
    """Judge events; return how many clusters were told to move."""
    monitor = Monitor(blind=True)
    fleet = Fleet(name="fleet", providers=PROVIDERS)
    before_people: Fleet | None = None
    people_wrote: datetime | None = None
    for event in sorted(events, key=lambda item: item.order):
        after = _put(fleet, event)
        decision = find_decision(fleet, event)
        recent = people_wrote is not None and event.time - people_wrote <= SLACK
        _judge(monitor, fleet, before_people if recent else None, decision, event.time)
        if _is_from_people(fleet, event):
            if not recent:
                before_people = fleet
            people_wrote = event.time
        fleet = after
        # Who arrived with this event has arrived now, whenever the next one comes.
        monitor.remember(fleet, event.time)
    return monitor.advances


def find_decision(fleet: Fleet, event: Event) -> RolloutDecision:
    """Return what must have been decided for an event to come."""
    progress = tuple(_read_progress(rollout) for rollout in fleet.rollouts if rollout.status.get("state"))
    if isinstance(event.value, ChildCluster):
        child, old = event.value, fleet.child(event.name)
        if old is not None and old.revision != child.revision and child.rollout:
            order = {"child": child.name, "version": child.version, "revision": child.revision, "reason": "seen"}
            if child.revision.endswith(f"{RETURN_MARK}{child.rollout}"):
                return RolloutDecision(progress=progress, reverts=(RevertChild(rollout=child.rollout, **order),))
            return RolloutDecision(progress=progress, advances=(Advance(rollout=child.rollout, **order),))
    if isinstance(event.value, Rollout):
        rollout = event.value
        if all(item.meta.uid != rollout.meta.uid for item in fleet.rollouts):
            new = NewRollout(
                name=rollout.meta.name,
                set_name=rollout.set_name,
                target_version=rollout.target_version,
                target_revision=rollout.target_revision,
                retry=rollout.retry,
                waves=rollout.waves,
                reason="seen",
            )
            return RolloutDecision(new=(new,)) if fleet.cluster_set(rollout.set_name) else RolloutDecision()
        if rollout.status.get("state"):
            return RolloutDecision(progress=(_read_progress(rollout),))
    return RolloutDecision()


@contextmanager
def record_rollouts(home: TestHome, namespace: str = "fleet") -> Iterator[Trace]:
    """Watch the management plane of a home until the block ends. Its namespace has to be there."""
    trace = Trace()
    lock = threading.Lock()
    watches = [_Watch(home, kind, namespace, trace, lock) for kind in KINDS]
    try:
        for watch in watches:
            watch.start()
        for watch in watches:
            watch.await_first_list()
        yield trace
        # What was written last is on its way.
        time.sleep(0.5)
        trace.faults += [f"the watch of {watch.kind} ended: {watch.last_words()}" for watch in watches if watch.ended]
    finally:
        for watch in watches:
            watch.stop()


class _Watch:
    """`kubectl get --watch` of one kind, read in a thread of its own."""

    def __init__(self, home: TestHome, kind: str, namespace: str, trace: Trace, lock: threading.Lock) -> None:
        self.kind = kind
        self._trace = trace
        self._lock = lock
        there = home.kubectl("get", kind, "-n", namespace, "-o", "json").stdout
        self._awaited = {item["metadata"]["uid"] for item in json.loads(there)["items"]}
        argv = ["get", kind, "-n", namespace, "-o", "json", "--watch", "--output-watch-events"]
        self._argv = [home._kubectl, f"--kubeconfig={home.kubeconfig}", *argv]
        self._process: subprocess.Popen[str] | None = None
        self._thread: threading.Thread | None = None

    @property
    def ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
        )
        assert self._process.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._thread.start()

    def await_first_list(self) -> None:
        deadline = time.monotonic() + FIRST_LIST_SECONDS
        while self._awaited and time.monotonic() < deadline and not self.ended:
            time.sleep(0.05)
        assert not self._awaited, f"the watch of {self.kind} did not begin: {self.last_words()}"

    def last_words(self) -> str:
        if self._process is None or self._process.poll() is None or self._process.stderr is None:
            return "it runs"
        return self._process.stderr.read()[-500:]

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        self._process.wait(10)
        if self._thread is not None:
            self._thread.join(10)
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _read(self, stream: IO[str]) -> None:
        lines: list[str] = []
        for line in stream:
            lines.append(line)
            # kubectl indents: only the end of an object is a brace in the first column.
            if line.rstrip("\n") == "}" or (len(lines) == 1 and line.rstrip().endswith("}")):
                self._note("".join(lines))
                lines = []

    def _note(self, text: str) -> None:
        now = datetime.now(UTC)
        try:
            told = json.loads(text)
            body = told["object"]
            metadata = body["metadata"]
            value = None if told["type"] == "DELETED" else CONVERTERS[self.kind](body)
        except (ValueError, KeyError, BadInput) as error:
            self._trace.faults.append(f"{self.kind}: {error}: {text[:200]}")
            return
        event = Event(
            time=now, order=int(metadata["resourceVersion"]), kind=self.kind, name=metadata["name"], value=value
        )
        with self._lock:
            self._trace.events.append(event)
        self._awaited.discard(metadata["uid"])


def _judge(monitor: Monitor, fleet: Fleet, earlier: Fleet | None, decision: RolloutDecision, now: datetime) -> None:
    """Judge by what stands there; where people wrote a moment ago, what stood there before will do."""
    kept = copy.deepcopy(monitor)
    try:
        monitor(fleet, decision, now)
    except Broken:
        if earlier is None:
            raise
        vars(monitor).update(vars(kept))
        fields = ("cluster_sets", "approvals", "environments", "regimes")
        stood = {name: getattr(earlier, name) for name in fields}
        orders = {rollout.meta.uid: rollout.action for rollout in earlier.rollouts}
        rollouts = tuple(replace(item, action=orders.get(item.meta.uid, item.action)) for item in fleet.rollouts)
        monitor(replace(fleet, rollouts=rollouts, **stood), decision, now)


def _is_from_people(fleet: Fleet, event: Event) -> bool:
    """Say whether somebody else than the operator has changed what is asked for."""
    if event.kind in BY_PEOPLE - {"ClusterSet"}:
        return True
    items: Sequence[Any] = getattr(fleet, KINDS[event.kind])
    old = next((item for item in items if item.meta.name == event.name), None)
    if event.kind == "ClusterSet":
        return old is None or event.value is None or old.meta.generation != event.value.meta.generation
    return event.kind == "Rollout" and old is not None and event.value is not None and old.action != event.value.action


def _put(fleet: Fleet, event: Event) -> Fleet:
    name = KINDS[event.kind]
    others = tuple(item for item in getattr(fleet, name) if item.meta.name != event.name)
    changed: dict[str, Any] = {name: others if event.value is None else (*others, event.value)}
    return replace(fleet, **changed)


def _read_progress(rollout: Rollout) -> RolloutProgress:
    """Read what a rollout says of itself."""
    told = {wave["name"]: wave for wave in rollout.status.get("waves") or ()}
    waves = tuple(
        WaveStatus(
            name=wave.name,
            state=str(told.get(wave.name, {}).get("state", "Waiting")),
            gates=tuple(told.get(wave.name, {}).get("gates") or ()),
        )
        for wave in rollout.waves
    )
    prefix = f"{rollout.set_name}--"
    rows = tuple(
        RolloutRow(cluster=str(row["cluster"]).removeprefix(prefix), wave=str(row["wave"]), state=str(row["state"]))
        for row in rollout.status.get("rows") or ()
    )
    return RolloutProgress(
        name=rollout.meta.name,
        set_name=rollout.set_name,
        state=str(rollout.status["state"]),
        waves=waves,
        rows=rows,
    )
