"""Small fleets as values that can be counted: what stands in the API, what the clusters are, what the monitor knows.

Time is relative to now and counted in steps, as far as anything depends on it, so that two fleets that will behave
alike are one state. Clusters of a wave that differ in nothing but their names may change places; the only thing that is
lost by that is who of two equals goes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple

from atoll.fleet.cluster import Finding, ObservedCluster, OperationType, Presence, ProviderInfo, RevertPoint
from atoll.fleet.decisions import RolloutDecision, RolloutProgress
from atoll.fleet.gates import Approval, GateKey, GateReading
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
from atoll.fleet.spec import ClusterSet, Environment, Meta, Paused, Regime, Tenant
from atoll.fleet.values import Version, freeze
from atoll.rollout import freeze_waves, set_revision
from tests.unit.rollout.monitor import Monitor

START: Final = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
STEP: Final = timedelta(minutes=5)
STALE_LOOK: Final = 3
"""Steps after which a look is too old."""
STALE_READING: Final = 2
"""Steps after which an answer is too old, for an interval of 150 s."""
SECONDS: Final = 400
"""What changes took in the past."""


class Child(NamedTuple):
    """One cluster, and what is known of it."""

    version: str
    revision: str
    done: str
    served: str
    frozen: bool = False
    """It is in a wave of its set's latest rollout."""
    member: bool = True
    rollout: str = ""
    operation: tuple[str, str, str, bool, str] | None = None
    """Type, from, to, whether it failed, rollout."""
    attempts: int = 0
    """Verifications that failed, as the operator remembers."""
    look: tuple[str, str, int, bool] | None = None
    """Rollout, version, age in steps, whether something was in the way; as the operator remembers."""
    silent: bool = False
    blocked: bool = False
    point: str = ""
    """Version that was kept before its last change."""
    told_failed: bool = False
    """Its row says that it failed."""
    rested: tuple[str, str] = ("", "")
    """Of the monitor: revision and version when it was verified last."""
    failed: str = ""
    """Of the monitor."""
    was_done: str = ""
    """Of the monitor."""


class Stage(NamedTuple):
    """One wave of a rollout, as its status tells."""

    state: str = "Waiting"
    soak: int | None = None
    """Steps until it has soaked."""
    gates: tuple[tuple[str, str], ...] = ()
    over: int | None = None
    """Of the monitor: for how many steps all of it are through."""


class Run(NamedTuple):
    """The latest rollout of a set."""

    number: int
    version: str
    revision: str
    retry: int
    stages: tuple[Stage, ...]
    state: str = ""
    action: str = "Run"


class Party(NamedTuple):
    """A set: what is asked for, its latest rollout, its clusters."""

    version: str
    children: tuple[Child, ...]
    paused: bool = False
    retry: int = 0
    run: Run | None = None


class World(NamedTuple):
    """Everything."""

    parties: tuple[Party, ...]
    phase: int = 0
    approvals: frozenset[tuple[int, str, str, str]] = frozenset()
    """Which set's latest rollout, wave, gate, person."""
    readings: frozenset[tuple[int, str, str, bool, int]] = frozenset()
    """Which set's latest rollout, wave, gate, open, age in steps; as the operator remembers."""
    asked: frozenset[tuple[int, str, str]] = frozenset()


@dataclass(frozen=True)
class Scene:
    """What does not change: sets, rules, and what may happen."""

    name: str
    sets: tuple[ClusterSet, ...]
    targets: tuple[str, ...]
    versions: tuple[str, ...] = ("v1.35.8", "v1.36.4", "v1.37.1")
    environments: tuple[Environment, ...] = ()
    tenants: tuple[Tenant, ...] = ()
    regimes: tuple[Regime, ...] = ()
    rollouts: int = 2
    """How many of a set there are at most."""
    phases: int = 1
    """Steps after which windows repeat."""
    can_revert: bool = True
    people: tuple[str, ...] = ()
    happenings: frozenset[str] = frozenset()
    """fail | unproven | silent | block | crash | pause | abort | leave | measure | retry."""
    _memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    @cached_property
    def provider(self) -> ProviderInfo:
        return ProviderInfo(name="local", has_nodes=False, can_revert=self.can_revert)

    @cached_property
    def history(self) -> tuple[Mapping[str, Any], ...]:
        entry = {"from": "v1.34.9", "to": "v1.35.8", "seconds": SECONDS, "result": "Succeeded", "type": "Change"}
        return tuple(freeze({**entry, "startedTime": f"2026-11-0{day}T00:00:00Z"}) for day in (1, 2, 3))

    def begin(self) -> World:
        """Everybody has arrived, and another version is asked for."""
        parties = []
        for owner in self.sets:
            version, revision = str(owner.version), set_revision(owner, self.regimes)
            child = Child(version, revision, revision, version, rested=(revision, version))
            parties.append(Party(self.targets[0], (child,) * len(owner.members)))
        return World(tuple(parties))

    # Into the values that the planner reads

    def build(self, world: World) -> tuple[Fleet, datetime]:
        now = START + world.phase * STEP
        owners, children, rollouts, approvals = [], [], [], []
        views: dict[str, ChildView] = {}
        readings: dict[GateKey, GateReading] = {}
        for index, party in enumerate(world.parties):
            owner = self.owner(index, party)
            owners.append(owner)
            for place, child in enumerate(party.children):
                body, view = self.child(index, place, child, now)
                children.append(body)
                views[body.name] = view
            if party.run is not None:
                rollouts.append(self.rollout(index, party, now))
        for index, wave, gate, person in sorted(world.approvals):
            name = self.run_name(index, world.parties[index])
            approvals.append(
                Approval(
                    meta=Meta(name=f"{name}-{wave}-{gate}-{person}", namespace="fleet"),
                    rollout=name,
                    rollout_uid=f"uid-{name}",
                    wave=wave,
                    gate=gate,
                    username=person,
                )
            )
        for index, wave, gate, well, age in world.readings:
            name = self.run_name(index, world.parties[index])
            readings[GateKey(f"uid-{name}", wave, gate)] = GateReading(
                time=now - age * STEP, open=well, cause="Below" if well else "Above", message="measured"
            )
        fleet = Fleet(
            name="fleet",
            cluster_sets=tuple(owners),
            children=tuple(children),
            environments=self.environments,
            tenants=self.tenants,
            regimes=self.regimes,
            rollouts=tuple(rollouts),
            approvals=tuple(approvals),
            views=views,
            readings=readings,
            providers={"local": self.provider},
            versions={"local": tuple(map(self.parse, self.versions))},
        )
        return fleet, now

    def parse(self, text: str) -> Version:
        key = ("version", text)
        if key not in self._memo:
            self._memo[key] = Version.parse(text)
        version: Version = self._memo[key]
        return version

    def run_name(self, index: int, party: Party) -> str:
        assert party.run is not None
        return f"{self.sets[index].meta.name}-{party.run.number}"

    def owner(self, index: int, party: Party) -> ClusterSet:
        key = ("owner", index, party.version, party.paused, party.retry, tuple(c.member for c in party.children))
        if key not in self._memo:
            owner = self.sets[index]
            members = tuple(member for member, child in zip(owner.members, party.children, strict=True) if child.member)
            self._memo[key] = replace(
                owner,
                version=Version.parse(party.version),
                members=members,
                paused=Paused(reason="maintenance") if party.paused else None,
                upgrade=replace(owner.upgrade, retry=party.retry),
            )
        found: ClusterSet = self._memo[key]
        return found

    def child(self, index: int, place: int, child: Child, now: datetime) -> tuple[ChildCluster, ChildView]:
        key = ("child", index, place, now, child[:13])
        if key not in self._memo:
            self._memo[key] = self.build_child(index, place, child, now)
        found: tuple[ChildCluster, ChildView] = self._memo[key]
        return found

    def build_child(self, index: int, place: int, child: Child, now: datetime) -> tuple[ChildCluster, ChildView]:
        owner = self.sets[index]
        member = owner.members[place].name
        operation = None
        if child.operation is not None:
            kind, origin, target, failed, rollout = child.operation
            operation = OperationStatus(
                id="x",
                type=OperationType(kind),
                started_time=now,
                from_version=origin,
                to_version=target,
                failed=failed,
                message="it broke" if failed else "",
                rollout=rollout,
            )
        body = ChildCluster(
            meta=Meta(name=owner.child_name(member), namespace="fleet", uid=f"uid-{member}"),
            id=member,
            set_name=owner.meta.name,
            member_name=member,
            provider="local",
            version=self.parse(child.version),
            revision=child.revision,
            done_revision=child.done,
            rollout=child.rollout,
            operation=operation,
            history=self.history,
            status=freeze({"version": child.served}),
        )
        return body, self.build_view(child, now)

    def build_view(self, child: Child, now: datetime) -> ChildView:
        look = run = point = None
        if child.look is not None:
            rollout, version, age, blocked = child.look
            findings = (Finding(reason="DeprecatedApi", message="a client is behind"),) if blocked else ()
            look = PreflightRun(rollout=rollout, version=self.parse(version), time=now - age * STEP, findings=findings)
        if child.attempts:
            check = CheckResult(check="dns", result="Failed", message="no answer", time=now)
            run = Verification(
                revision=child.revision, version=child.served, attempt=child.attempts, checks=(check,), time=now
            )
        if child.point:
            point = RevertPoint(version=child.point, taken_time=now, message="later writes are lost")
        return ChildView(
            time=now,
            cluster=ObservedCluster(presence=Presence.PRESENT, version=child.served, revert_point=point),
            member=None
            if child.silent
            else MemberView(version=self.parse(child.served), cluster_uid="uid", ready=True),
            unreachable_since=START if child.silent else None,
            verification=run,
            preflight=look,
        )

    def rollout(self, index: int, party: Party, now: datetime) -> Rollout:
        run = party.run
        assert run is not None
        owner = self.sets[index]
        pairs = tuple(zip(owner.members, party.children, strict=True))
        names = tuple(member.name for member, child in pairs if child.frozen)
        stages = []
        waves = self.waves(index, names)
        for wave, stage in zip(waves, run.stages, strict=True):
            written: dict[str, Any] = {"name": wave.name, "state": stage.state}
            if stage.soak is not None:
                written["soakUntil"] = now + stage.soak * STEP
            written["gates"] = [{"name": name, "state": state, "message": "."} for name, state in stage.gates]
            stages.append(written)
        rows = [
            {"cluster": member.name, "state": "Failed", "message": "it broke"}
            for member, child in pairs
            if child.frozen and child.told_failed
        ]
        name = self.run_name(index, party)
        return Rollout(
            meta=Meta(name=name, namespace="fleet", uid=f"uid-{name}"),
            set_name=owner.meta.name,
            target_version=self.parse(run.version),
            target_revision=run.revision,
            retry=run.retry,
            requested_by="anna",
            action=run.action,
            waves=waves,
            status={"state": run.state, "waves": stages, "rows": rows} if run.state else {},
        )

    def waves(self, index: int, names: tuple[str, ...]) -> tuple[Any, ...]:
        key = ("waves", index, names)
        if key not in self._memo:
            self._memo[key] = freeze_waves(self.sets[index], names, self.regimes)
        waves: tuple[Any, ...] = self._memo[key]
        return waves

    # What the monitor knows

    def wake_monitor(self, world: World, now: datetime) -> Monitor:
        monitor = Monitor()
        for index, party in enumerate(world.parties):
            owner = self.sets[index]
            name = self.run_name(index, party) if party.run is not None else ""
            for member, child in zip(owner.members, party.children, strict=True):
                if child.rested[0]:
                    monitor.rested[owner.child_name(member.name)] = (child.rested[0], self.parse(child.rested[1]))
                if child.failed:
                    monitor.failed[name, member.name] = child.failed
                if child.was_done:
                    monitor.done[name, member.name] = child.was_done
            if party.run is not None:
                monitor.names |= {f"{owner.meta.name}-{number}" for number in range(1, party.run.number + 1)}
                names = tuple(m.name for m, c in zip(owner.members, party.children, strict=True) if c.frozen)
                for wave, stage in zip(self.waves(index, names), party.run.stages, strict=True):
                    if stage.over is not None:
                        monitor.over_since[name, wave.name] = now - stage.over * STEP
        return monitor

    def put_monitor_to_sleep(self, world: World, monitor: Monitor, now: datetime) -> World:
        parties = []
        for index, party in enumerate(world.parties):
            owner = self.sets[index]
            name = self.run_name(index, party) if party.run is not None else ""
            children = []
            for member, child in zip(owner.members, party.children, strict=True):
                revision, version = monitor.rested.get(owner.child_name(member.name), ("", ""))
                children.append(
                    child._replace(
                        rested=(revision, str(version)),
                        failed=monitor.failed.get((name, member.name), ""),
                        was_done=monitor.done.get((name, member.name), ""),
                    )
                )
            run = party.run
            if run is not None:
                names = tuple(m.name for m, c in zip(owner.members, children, strict=True) if c.frozen)
                stages = []
                for wave, stage in zip(self.waves(index, names), run.stages, strict=True):
                    since = monitor.over_since.get((name, wave.name))
                    over = None if since is None or stage.state == "Done" else (now - since) // STEP
                    if over is not None:
                        over = min(over, -(-wave.soak_seconds // int(STEP.total_seconds())))
                    stages.append(stage._replace(over=over))
                run = run._replace(stages=tuple(stages))
            parties.append(party._replace(children=tuple(children), run=run))
        return world._replace(parties=tuple(parties))

    # What becomes of a decision

    def apply(self, world: World, decision: RolloutDecision, now: datetime) -> World:
        """Carry out a decision, and whatever looks it asks for."""
        parties = list(world.parties)
        approvals, readings = world.approvals, world.readings
        for progress in decision.progress:
            index = self.index_of(progress.set_name)
            party = parties[index]
            if progress.state != "Superseded" and party.run is not None:
                parties[index] = self.tell(index, party, progress, now)
            elif party.run is not None:
                parties[index] = party._replace(run=party.run._replace(state="Superseded"))
        for new in decision.new:
            index = self.index_of(new.set_name)
            names = {name for wave in new.waves for name in wave.clusters}
            children = tuple(
                child._replace(frozen=member.name in names, told_failed=False, failed="", was_done="")
                for member, child in zip(self.sets[index].members, parties[index].children, strict=True)
            )
            run = Run(
                number=int(new.name.rpartition("-")[2]),
                version=str(new.target_version),
                revision=new.target_revision,
                retry=new.retry,
                stages=(Stage(),) * len(new.waves),
            )
            parties[index] = parties[index]._replace(children=children, run=run)
            approvals = frozenset(item for item in approvals if item[0] != index)
            readings = frozenset(item for item in readings if item[0] != index)
        for order in (*decision.advances, *decision.reverts):
            kind = OperationType.REVERT if order in decision.reverts else OperationType.CHANGE
            index, place = self.place_of(order.child)
            child = parties[index].children[place]
            target = str(order.version)
            changed = child._replace(
                version=target, revision=order.revision, rollout=order.rollout, attempts=0, operation=None
            )
            if target != child.served:
                operation = (str(kind), child.served, target, False, order.rollout)
                point = child.served if kind is OperationType.CHANGE else child.point
                changed = changed._replace(operation=operation, point=point)
            parties[index] = put(parties[index], place, changed)
        for inspection in decision.inspections:
            index, place = self.place_of(inspection.child)
            child = parties[index].children[place]
            if not child.silent:
                look = (inspection.rollout, str(inspection.version), 0, child.blocked)
                parties[index] = put(parties[index], place, child._replace(look=look))
        asked = frozenset(
            (index, question.key.wave, question.key.gate)
            for question in decision.questions
            for index, party in enumerate(parties)
            if party.run is not None and question.key.rollout_uid == f"uid-{self.run_name(index, party)}"
        )
        return World(tuple(parties), world.phase, approvals, readings, asked)

    def tell(self, index: int, party: Party, progress: RolloutProgress, now: datetime) -> Party:
        assert party.run is not None
        stages = tuple(
            Stage(
                state=told.state,
                soak=None if told.soak_until is None else max(0, -((now - told.soak_until) // STEP)),
                gates=tuple((str(gate["name"]), str(gate["state"])) for gate in told.gates),
                over=before.over,
            )
            for told, before in zip(progress.waves, party.run.stages, strict=True)
        )
        failed = {row.cluster for row in progress.rows if row.state in {"Failed", "Reverted"}}
        children = tuple(
            child._replace(told_failed=member.name in failed)
            for member, child in zip(self.sets[index].members, party.children, strict=True)
        )
        run = party.run._replace(state=progress.state, stages=stages)
        return party._replace(run=run, children=children)

    def index_of(self, name: str) -> int:
        return next(index for index, owner in enumerate(self.sets) if owner.meta.name == name)

    def place_of(self, child: str) -> tuple[int, int]:
        name, _, member = child.partition("--")
        index = self.index_of(name)
        return index, next(place for place, item in enumerate(self.sets[index].members) if item.name == member)

    # One of many that behave alike

    def settle_names(self, world: World) -> World:
        """Let clusters that differ in nothing but their names stand in one order."""
        parties = []
        for owner, party in zip(self.sets, world.parties, strict=True):
            children = list(party.children)
            for places in self.twins(owner):
                chosen = sorted((children[place] for place in places), key=repr)
                for place, child in zip(places, chosen, strict=True):
                    children[place] = child
            parties.append(party._replace(children=tuple(children)))
        return world._replace(parties=tuple(parties))

    def twins(self, owner: ClusterSet) -> tuple[tuple[int, ...], ...]:
        key = ("twins", owner.meta.name)
        if key not in self._memo:
            alike: dict[Any, list[int]] = {}
            hosted = {p["cluster"] for tenant in self.tenants for p in tenant.status["placements"]}
            for place, member in enumerate(owner.members):
                mark = (tuple(sorted(member.labels.items())), member.region, member.regimes)
                alike.setdefault((mark, owner.child_name(member.name) in hosted), []).append(place)
            self._memo[key] = tuple(tuple(places) for places in alike.values() if len(places) > 1)
        twins: tuple[tuple[int, ...], ...] = self._memo[key]
        return twins


def put(party: Party, place: int, child: Child) -> Party:
    """Replace one cluster."""
    return party._replace(children=(*party.children[:place], child, *party.children[place + 1 :]))
