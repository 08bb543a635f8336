"""A thousand clusters that change, take their time and fail, and an operator that decides about them, by events.

Time jumps to the next event; nothing ticks. What stands in objects is kept apart from what the operator has seen: a
crash takes the latter away, and half of what it was about to write. Long work and statuses are the production's own
(`plan_work`, `summarise_child`, `summarise_rollout`), so a write is counted where one would be made.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from atoll.decision.status.child import ChildFacts, summarise_child
from atoll.decision.status.rollout import summarise_rollout
from atoll.fleet.cluster import (
    ObservedCluster,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
)
from atoll.fleet.decisions import Advance, Forecast, RolloutDecision
from atoll.fleet.observed import (
    CheckResult,
    ChildCluster,
    ChildView,
    MemberView,
    OperationStatus,
    Rollout,
    Verification,
)
from atoll.fleet.preflight import PreflightRun
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Member, Meta
from atoll.fleet.values import Version, freeze, thaw
from atoll.membership.operations import plan_work
from atoll.rollout import Estimates, to_forecast
from atoll.rollout.planner import plan_rollouts
from atoll.rollout.revisions import member_revision

from .rolling_fleet import (
    BLIND_SECONDS,
    DOWN_SECONDS,
    LOOK_SECONDS,
    PASS_SECONDS,
    PROVIDER,
    START,
    VERIFY_SECONDS,
    VERSIONS,
    Shape,
    Tally,
    build_set,
)


@dataclass(slots=True)
class Cluster:
    """One cluster as it really is."""

    served: Version
    operation: OperationProgress | None = None


class World:
    """The fleet, its clock, and an operator that may crash."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.random = random.Random(seed)
        self.cluster_set = build_set(shape, VERSIONS[0])
        self.factors = {
            item.name: math.exp(self.random.gauss(0, shape.sigma)) * shape.median_seconds
            for item in self.cluster_set.members
        }
        self._wave_of = {item.name: item.labels["wave"] for item in self.cluster_set.members}
        self.children: dict[str, ChildCluster] = {}
        self.clusters: dict[str, Cluster] = {}
        for member in self.cluster_set.members:
            self._settle(member, VERSIONS[0], ())
        self.rollouts: tuple[Rollout, ...] = ()
        self.seconds = 0.0
        self.views: dict[str, ChildView] = {}
        self.changes: dict[str, float] = {}
        """Seconds of each member's next change, its verification included."""
        self.doomed: set[str] = set()
        """Members whose next change fails."""
        self._events: list[tuple[float, int, str, str]] = []
        self._count = 0
        self._life = 0
        """Which operator this is; what an earlier one was about to do is gone with it."""
        self._up = True
        self._crash_at = 0
        self.tally = Tally()
        self._told: dict[str, float] = {}
        self._free: list[float] = []
        self._row_states: dict[str, str] = {}
        self._looking: set[str] = set()
        self._verifying: set[str] = set()
        self._wakes: set[float] = set()
        self._rounds: dict[str, list[tuple[str, PreflightRun]]] = {}
        self._wave = ""
        self._dirty: set[str] = set()
        """Children that something happened to since the last decision."""
        self._planned = False
        self._passed = -PASS_SECONDS
        self._estimates: Estimates | None = None

    @property
    def now(self) -> datetime:
        """The simulated time."""
        return START + timedelta(seconds=self.seconds)

    def roll(self, version: Version, *, failing: float, crash: bool) -> Tally:
        """Ask for a version, and let the fleet come to rest; `failing`: share of clusters whose change fails."""
        self._draw(failing)
        self.cluster_set = replace(self.cluster_set, version=version)
        self.tally = Tally()
        self._told, self._free, self._row_states, self._wakes = {}, [], {}, set()
        self._look_at_all()
        self._crash_at = len(self.children) // 2 if crash else 0
        begun = self.seconds
        self._poke()
        while self._events:
            self._next()
        tally = self.tally
        tally.seconds = self.seconds - begun
        tally.state = str(self.rollouts[-1].status.get("state", ""))
        tally.failures = sum(1 for child in self.children.values() if child.operation is not None)
        tally.grade = thaw(self.rollouts[-1].status.get("grade", {}))
        tally.bound, tally.batches = self._bound(), self._batch()
        before = tally.child_writes + tally.rollout_writes
        self._dirty.update(self.children)
        self._pass()
        tally.idle_writes = tally.child_writes + tally.rollout_writes - before
        return tally

    def pass_time(self, version: Version) -> None:
        """Let people mend what failed, and a whole rollout pass of which only histories remain."""
        self._draw(0.0)
        self.cluster_set = replace(self.cluster_set, version=version)
        for member in self.cluster_set.members:
            child = self.children[self.cluster_set.child_name(member.name)]
            entry = {
                "type": "Change",
                "from": str(child.version),
                "to": str(version),
                "startedTime": f"{self.now:%Y-%m-%dT%H:%M:%SZ}",
                "seconds": int(self.changes[member.name] - VERIFY_SECONDS),
                "result": "Succeeded",
            }
            self._settle(member, version, (*child.history, freeze(entry)))
        self.seconds += 86400.0

    def _settle(self, member: Member, version: Version, history: tuple[Any, ...]) -> None:
        owner = replace(self.cluster_set, version=version)
        name = owner.child_name(member.name)
        revision = member_revision(owner, member, ())
        child = ChildCluster(
            meta=Meta(name=name, namespace="fleet", uid=f"uid-{name}"),
            id=f"{member.name}-0000",
            set_name=owner.meta.name,
            member_name=member.name,
            provider="local",
            version=version,
            revision=revision,
            done_revision=revision,
            cluster_uid="uid",
            history=history,
        )
        self.clusters[name] = Cluster(served=version)
        view = self._see(child, self.clusters[name], START, None)
        work = plan_work(child, view, PROVIDER, START, may_begin=True, orphan=False)
        self.children[name] = replace(
            child, status=freeze(summarise_child(child, view, work, PROVIDER, ChildFacts(), START))
        )

    def _draw(self, failing: float) -> None:
        members = [member.name for member in self.cluster_set.members]
        self.doomed = set(self.random.sample(members, round(failing * len(members))))
        noise = self.shape.noise
        self.changes = {
            name: self.factors[name] * math.exp(self.random.gauss(0, noise)) + VERIFY_SECONDS for name in members
        }

    # Events ----------------------------------------------------------------------------------------------------------

    def _at(self, seconds: float, kind: str, name: str = "") -> None:
        self._count += 1
        life = "" if kind in {"ended", "up"} else str(self._life)
        heapq.heappush(self._events, (seconds, self._count, f"{kind} {life}", name))

    def _next(self) -> None:
        self.seconds, _, what, name = heapq.heappop(self._events)
        kind, _, life = what.partition(" ")
        if kind == "ended":
            self._end(name)
        elif kind == "up":
            self._up = True
            # It knows its objects, and no cluster yet.
            self._decide()
            self._at(self.seconds + BLIND_SECONDS, "seen")
        elif life != str(self._life):
            return
        elif kind == "seen":
            self._look_at_all()
            self._poke(*self.children)
        elif kind == "verified":
            self._verify(name)
        elif kind == "looked":
            for run_of, run in self._rounds.pop(name):
                self._looking.discard(run_of)
                self.views[run_of] = replace(self.views[run_of], preflight=run)
            self._poke()
        elif kind == "wake":
            self._poke()
        elif kind == "pass":
            self._pass()

    def _end(self, name: str) -> None:
        """Let a cluster's change end; the operator sees it, if there is one."""
        cluster, child = self.clusters[name], self.children[name]
        operation = cluster.operation
        assert operation is not None
        if child.member_name in self.doomed:
            cluster.operation = replace(operation, state=OperationState.FAILED, message="etcd did not come up")
            self._release(name)
        else:
            cluster.operation = replace(operation, state=OperationState.SUCCEEDED)
            cluster.served = child.version
        if self._up and name in self.views:
            self.views[name] = self._see(child, cluster, self.now, self.views[name])
            self._poke(name)

    def _verify(self, name: str) -> None:
        child = self.children[name]
        check = CheckResult(check="api", result="Passed", message="", time=self.now)
        run = Verification(
            revision=child.revision, version=str(child.version), attempt=1, checks=(check,), time=self.now
        )
        self.views[name] = replace(self.views[name], verification=run)
        self._verifying.discard(name)
        self._release(name)
        self._poke(name)

    def _crash(self) -> None:
        self._life += 1
        self._up = False
        self._crash_at = 0
        self.views, self._looking, self._verifying, self._wakes, self._dirty = {}, set(), set(), set(), set()
        self._planned = False
        self._at(self.seconds + DOWN_SECONDS, "up")

    def _release(self, name: str) -> None:
        if self._told.pop(name, None) is not None:
            self._free.append(self.seconds)

    # The operator ----------------------------------------------------------------------------------------------------

    def _poke(self, *names: str) -> None:
        """Have it decided soon, and once for all that happens until then."""
        self._dirty.update(names)
        if self._up and not self._planned:
            self._planned = True
            self._at(max(self.seconds, self._passed + PASS_SECONDS), "pass")

    def _pass(self) -> None:
        self._planned = False
        self._passed = self.seconds
        self._estimates = None
        for name in sorted(self._dirty):
            self._sync(name)
        self._dirty.clear()
        self._decide()

    def _forecast(self, child: ChildCluster) -> Forecast:
        if self._estimates is None:
            self._estimates = Estimates.learn(self.children.values())
        estimate = self._estimates.of(child)
        self.tally.widest = max(self.tally.widest, (estimate.high - estimate.low) / estimate.seconds)
        return to_forecast(estimate)

    def _look_at_all(self) -> None:
        self.views = {
            name: self._see(child, self.clusters[name], self.now, None) for name, child in self.children.items()
        }

    def _see(self, child: ChildCluster, cluster: Cluster, now: datetime, before: ChildView | None) -> ChildView:
        return ChildView(
            time=now,
            cluster=ObservedCluster(
                presence=Presence.PRESENT, version=str(cluster.served), operation=cluster.operation, authentication=""
            ),
            member=MemberView(version=cluster.served, cluster_uid="uid", ready=True),
            published_digest="digest",
            verification=before.verification if before is not None else None,
            preflight=before.preflight if before is not None else None,
        )

    def _sync(self, name: str) -> None:
        """Do what the operator does for one child: its long work, its status, its verification."""
        while True:
            child, cluster, view = self.children[name], self.clusters[name], self.views.get(name)
            work = plan_work(
                child,
                view,
                PROVIDER,
                self.now,
                may_begin=True,
                orphan=False,
                authentication={},
                forecast=partial(self._forecast, child),
            )
            status = summarise_child(child, view, work, PROVIDER, ChildFacts(), self.now)
            if work.start and work.operation is not None and view is not None:
                self._start(name, work.operation)
                continue
            if status == thaw(child.status):
                break
            self.tally.child_writes += 1
            self.children[name] = replace(
                child,
                operation=work.operation,
                done_revision=str(status.get("revision", "")),
                history=freeze(status.get("history", [])),
                status=freeze(status),
            )
            self.tally.child_transitions += self._count_transitions(child, self.children[name])
        unproven = child.revision != child.done_revision and child.operation is None
        if unproven and view is not None and cluster.served == child.version and name not in self._verifying:
            self._verifying.add(name)
            self._at(self.seconds + VERIFY_SECONDS, "verified", name)

    @staticmethod
    def _count_transitions(before: ChildCluster, after: ChildCluster) -> int:
        """Count what happened to a child between two writes: work begun, ended or failed, a revision reached."""
        failed = before.operation is not None and after.operation is not None and after.operation.failed
        return (
            ((before.operation is None) != (after.operation is None))
            + (failed and before.operation is not None and not before.operation.failed)
            + (before.done_revision != after.done_revision)
        )

    def _start(self, name: str, operation: OperationStatus) -> None:
        cluster = self.clusters[name]
        if cluster.operation is not None and cluster.operation.id == operation.id:
            return
        cluster.operation = OperationProgress(id=operation.id, type=OperationType.CHANGE, state=OperationState.RUNNING)
        self.views[name] = self._see(self.children[name], cluster, self.now, self.views[name])
        self._at(self.seconds + self._work_seconds(self.children[name].member_name), "ended", name)

    def _work_seconds(self, member: str) -> float:
        """Return how long a change works before it ends or fails; verification comes after that."""
        seconds = self.changes[member] - VERIFY_SECONDS
        return seconds / 2 if member in self.doomed else seconds

    def _decide(self) -> None:
        if not self._up:
            return
        fleet = Fleet(
            name="fleet",
            cluster_sets=(self.cluster_set,),
            children=tuple(self.children.values()),
            rollouts=self.rollouts,
            # Everybody is looked at every few seconds; what was seen long ago would start nothing.
            views={name: replace(view, time=self.now) for name, view in self.views.items()},
            providers={"local": PROVIDER},
            versions={"local": VERSIONS},
        )
        started = time.process_time()
        decision = plan_rollouts(fleet, self.now)
        self.tally.cpu.append(time.process_time() - started)
        assert not decision.reverts
        if self._crash_at and sum(state == "Done" for state in self._row_states.values()) >= self._crash_at:
            # It dies between two of its writes: half of who was to move has been told, nobody knows it.
            self._advance(decision.advances[: len(decision.advances) // 2])
            self._crash()
            return
        self._write(decision)
        self._advance(decision.advances)
        for advance in decision.advances:
            self._sync(advance.child)
        self._look(decision)
        if decision.wake is not None:
            at = (decision.wake - START).total_seconds()
            if at > self.seconds and at not in self._wakes:
                self._wakes.add(at)
                self._at(at, "wake")
        if decision.new:
            self._poke()

    def _write(self, decision: RolloutDecision) -> None:
        for new in decision.new:
            rollout = Rollout(
                meta=Meta(name=new.name, namespace="fleet", uid=f"uid-{new.name}", creation_time=self.now),
                set_name=new.set_name,
                target_version=new.target_version,
                target_revision=new.target_revision,
                waves=new.waves,
            )
            self.rollouts = (*self.rollouts, rollout)
        for progress in decision.progress:
            for row in progress.rows:
                state = "Pending" if row.state in {"Preflight", "Held"} else row.state
                if self._row_states.get(row.cluster, "Pending") != state:
                    self.tally.row_transitions += 1
                self._row_states[row.cluster] = state
            rollout = next(item for item in self.rollouts if item.meta.name == progress.name)
            status = summarise_rollout(rollout, progress, self.now)
            if status != thaw(rollout.status):
                self.tally.rollout_writes += 1
                written = replace(rollout, status=freeze(status))
                self.rollouts = tuple(written if item is rollout else item for item in self.rollouts)

    def _advance(self, advances: tuple[Advance, ...]) -> None:
        failed = sum(state == "Failed" for state in self._row_states.values())
        for advance in advances:
            child = self.children[advance.child]
            self.children[child.name] = replace(
                child,
                meta=replace(child.meta, generation=child.meta.generation + 1),
                version=advance.version,
                revision=advance.revision,
                rollout=advance.rollout,
            )
            self.tally.child_writes += 1
            self.tally.child_transitions += 1
            self.tally.late_starts += failed > self.shape.budget_percent * len(self.children) // 100
            self._told[child.name] = self.seconds
            wave = self._wave_of[child.member_name]
            if wave != self._wave:
                # Places that stood empty because nobody was left in the wave are no gaps.
                self._wave = wave
                self._free.clear()
            if self._free:
                self.tally.gaps.append(self.seconds - self._free.pop(0))
        self.tally.most_moving = max(self.tally.most_moving, len(self._told))

    def _look(self, decision: RolloutDecision) -> None:
        """Look at who is to be looked at; the answers of one round come together."""
        wanted = [item for item in decision.inspections if item.child not in self._looking and item.child in self.views]
        if not wanted:
            return
        time_seen = self.now + timedelta(seconds=LOOK_SECONDS)
        answers = [
            (item.child, PreflightRun(rollout=item.rollout, version=item.version, time=time_seen)) for item in wanted
        ]
        self._looking.update(item.child for item in wanted)
        self.tally.looks += len(wanted)
        round_name = f"round {self._count}"
        self._rounds[round_name] = answers
        self._at(self.seconds + LOOK_SECONDS, "looked", round_name)

    # What stands beside it -------------------------------------------------------------------------------------------

    def _bound(self) -> float:
        return sum(
            max(*times, sum(times) / self.shape.window) + self.shape.soak_seconds for times in self._times_by_wave()
        )

    def _batch(self) -> float:
        size = self.shape.window
        return sum(
            sum(max(times[at : at + size]) for at in range(0, len(times), size)) + self.shape.soak_seconds
            for times in self._times_by_wave()
        )

    def _times_by_wave(self) -> list[list[float]]:
        waves: dict[str, list[float]] = {}
        for member in self.cluster_set.members:
            seconds = self._work_seconds(member.name) + (0.0 if member.name in self.doomed else VERIFY_SECONDS)
            waves.setdefault(member.labels["wave"], []).append(seconds)
        return list(waves.values())
