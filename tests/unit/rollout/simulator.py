"""A small world in which decisions come true: clusters that take their time, fail, and fall silent.

One tick is five seconds: decide, apply, let the clusters work. Everything that a restarted operator would read back is
in the Fleet; the simulator itself remembers only what a real cluster would know.
"""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from atoll.decision.status.rollout import summarise_rollout
from atoll.fleet.cluster import Finding, OperationType
from atoll.fleet.gates import Approval, GateKey, GateReading, JobQuestion, MetricQuestion
from atoll.fleet.observed import CheckResult, OperationStatus, Rollout, Verification
from atoll.fleet.preflight import PreflightRun
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Version, freeze
from atoll.rollout.planner import plan_rollouts

from .builders import AVAILABLE, LOCAL, START, healthy_view, meta, revert_point, settled_child

TICK = timedelta(seconds=5)


@dataclass
class Nature:
    """How one cluster behaves."""

    seconds: int = 10
    fails_to: set[str] = field(default_factory=set)
    """Versions whose change fails."""
    unproven: set[str] = field(default_factory=set)
    """Versions at which verification fails."""
    blocked: set[str] = field(default_factory=set)
    """Versions for which something is in the way."""


@dataclass
class Simulator:
    fleet: Fleet
    natures: dict[str, Nature] = field(default_factory=dict)
    """By ChildCluster name."""
    now: datetime = START
    silent: set[str] = field(default_factory=set)
    """ChildClusters that do not answer."""
    shuffle: random.Random | None = None
    watcher: Callable[..., None] | None = None
    transcript: list[str] = field(default_factory=list)
    served: dict[str, Version] = field(default_factory=dict)
    attempts: dict[str, tuple[str, str, int, datetime]] = field(default_factory=dict)
    points: dict[str, tuple[Version, datetime]] = field(default_factory=dict)
    told: dict[str, str] = field(default_factory=dict)
    looks: dict[str, PreflightRun] = field(default_factory=dict)
    readings: dict[tuple[str, str], tuple[bool, str]] = field(default_factory=dict)
    """What a metric gate would say now, by (wave, gate): open, and its words. Missing: nobody answers."""
    answers: dict[GateKey, GateReading] = field(default_factory=dict)
    asking: tuple = ()
    jobs: dict[tuple[str, str], bool] = field(default_factory=dict)
    """How the Job of a gate ends wherever it runs, by (wave, gate). Missing: it runs on."""
    runs: dict[str, dict[GateKey, GateReading]] = field(default_factory=dict)
    """How Jobs went, by ChildCluster."""
    asleep: dict[str, datetime] = field(default_factory=dict)
    """ChildClusters that nobody has looked at since then."""
    second: Callable[..., None] | None = None
    """Called with what a second operator without any memory decides on the same objects, and with the first's."""
    writes: int | None = None
    """How many writes of the next decision are done before the operator ends; None: all."""

    def crash(self) -> None:
        """Start the operator anew: it knows the objects, and nothing else."""
        self.attempts.clear()
        self.looks.clear()
        self.answers.clear()
        self.runs.clear()
        self.asking = ()

    def nature(self, child: str) -> Nature:
        return self.natures.setdefault(child, Nature())

    def change_set(self, name: str = "", **changes) -> None:
        """Change the set of that name; the first one where none is named."""
        name = name or self.fleet.cluster_sets[0].meta.name
        self.fleet = replace(
            self.fleet,
            cluster_sets=tuple(
                replace(item, **changes) if item.meta.name == name else item for item in self.fleet.cluster_sets
            ),
        )

    def change_upgrade(self, name: str = "", **changes) -> None:
        owner = self.fleet.cluster_set(name) if name else self.fleet.cluster_sets[0]
        self.change_set(name, upgrade=replace(owner.upgrade, **changes))

    def change_rollout(self, name: str, **changes) -> None:
        self.fleet = replace(
            self.fleet,
            rollouts=tuple(replace(r, **changes) if r.meta.name == name else r for r in self.fleet.rollouts),
        )

    def run(
        self, script: Mapping[int, Callable[["Simulator"], None]] | None = None, ticks: int = 200, *, rest: bool = True
    ) -> "Simulator":
        """Go on until nothing changes and no script is left. `rest`: it has to come to that."""
        script = dict(script or {})
        quiet = 0
        for tick in range(ticks):
            if tick in script:
                script.pop(tick)(self)
            before = self.fleet
            decision = self.decide()
            self.apply(decision)
            self.work()
            waiting = decision.wake is not None and decision.wake > self.now
            quiet = 0 if self.fleet != before or waiting else quiet + 1
            self.now += TICK
            if quiet > 4 and not script:
                return self
        if not rest:
            return self
        raise AssertionError(f"still not at rest after {ticks} ticks:\n" + "\n".join(self.transcript[-20:]))

    def seen(self) -> Fleet:
        """The fleet as it is seen now, in any order."""
        views = {}
        for child in self.fleet.children:
            version = self.served.setdefault(child.name, child.version)
            run = self.attempts.get(child.name)
            verification = None
            if run is not None:
                revision, result, attempt, time = run
                check = CheckResult(check="anonymous-refused", result=result, message="it answered 200", time=time)
                verification = Verification(
                    revision=revision, version=str(version), attempt=attempt, checks=(check,), time=time
                )
            point = self.points.get(child.name)
            view = healthy_view(
                version,
                self.now,
                verification=verification,
                revert_point=revert_point(*point) if point is not None else None,
            )
            view = replace(view, preflight=self.looks.get(child.name), jobs=dict(self.runs.get(child.name, {})))
            if child.name in self.asleep:
                view = replace(view, time=self.asleep[child.name])
            if child.name in self.silent:
                view = replace(view, member=None, unreachable_since=START, unreachable_message="connection refused")
            views[child.name] = view
        fleet = replace(self.fleet, views=views, readings=dict(self.answers))
        if self.shuffle is None:
            return fleet
        mixed = {}
        for kind in ("cluster_sets", "children", "environments", "tenants", "regimes", "rollouts", "approvals"):
            items = list(getattr(fleet, kind))
            self.shuffle.shuffle(items)
            mixed[kind] = tuple(items)
        return replace(fleet, **mixed)

    def decide(self):
        seen = self.seen()
        decision = plan_rollouts(seen, self.now)
        if self.watcher is not None:
            self.watcher(seen, decision, self.now)
        if self.second is not None:
            self.second(plan_rollouts(forget(seen), self.now), decision)
        else:
            assert plan_rollouts(seen, self.now) == decision
        return decision

    def apply(self, decision) -> None:
        cut, self.writes = self.writes, None
        if cut is not None:
            decision = cut_off(decision, cut)
        self.write(decision)
        if cut is not None:
            self.crash()
            if self.watcher is not None:
                self.watcher.undo()

    def write(self, decision) -> None:
        for new in decision.new:
            waves = ", ".join(f"{item.name} {list(item.clusters)}" for item in new.waves)
            self.say(f"new {new.name} to {new.target_version}: {waves} | {new.reason}")
            rollout = Rollout(
                meta=meta(new.name, creation_time=self.now),
                set_name=new.set_name,
                target_version=new.target_version,
                target_revision=new.target_revision,
                retry=new.retry,
                requested_by=new.requested_by,
                waves=new.waves,
            )
            self.fleet = replace(self.fleet, rollouts=(*self.fleet.rollouts, rollout))
        for progress in decision.progress:
            status = write_status(self.find_rollout(progress.name), progress, self.now)
            rows = " ".join(f"{row.cluster}={row.state}" for row in progress.rows)
            waves = " ".join(f"{item.name}={item.state}" for item in progress.waves)
            left = status.get("forecast")
            forecast = f" forecast {left['seconds']}s ({left['lowSeconds']}-{left['highSeconds']})" if left else ""
            line = f"{progress.name} {progress.state} [{waves}] [{rows}]{forecast} | {progress.message}"
            if self.told.get(progress.name) != line:
                self.told[progress.name] = line
                self.say(line)
            self.change_rollout(progress.name, status=status)
        for advance in decision.advances:
            self.say(f"advance {advance.child} to {advance.version} {advance.revision} | {advance.reason}")
            self.move(advance, OperationType.CHANGE)
        for revert in decision.reverts:
            self.say(f"revert {revert.child} to {revert.version} {revert.revision} | {revert.reason}")
            self.move(revert, OperationType.REVERT)
        for inspection in decision.inspections:
            self.look(inspection)
        self.asking = decision.questions
        problems = "; ".join(f"{item.reason} {item.path}: {item.message}" for item in decision.problems)
        if self.told.get("problems", "") != problems:
            self.told["problems"] = problems
            self.say(f"problem {problems or 'none'}")

    def find_rollout(self, name):
        return next(item for item in self.fleet.rollouts if item.meta.name == name)

    def look(self, inspection) -> None:
        """See whether anything is in the way; only who answers can be asked."""
        if inspection.child in self.silent:
            return
        blocked = str(inspection.version) in self.nature(inspection.child).blocked
        finding = Finding(reason="DeprecatedApi", message=f"a client calls an API that is gone in {inspection.version}")
        self.looks[inspection.child] = PreflightRun(
            rollout=inspection.rollout,
            version=inspection.version,
            time=self.now,
            findings=(finding,) if blocked else (),
        )

    def ask_gates(self) -> None:
        """Let whoever is asked answer."""
        self.answers = {
            question.key: GateReading(
                time=self.now, open=said[0], cause="Below" if said[0] else "Above", message=said[1]
            )
            for question in self.asking
            if isinstance(question, MetricQuestion)
            and (said := self.readings.get((question.key.wave, question.key.gate))) is not None
        }
        for question in self.asking:
            if isinstance(question, JobQuestion) and question.child not in self.silent:
                well = self.jobs.get((question.key.wave, question.key.gate))
                cause = "Running" if well is None else "Succeeded" if well else "Failed"
                run = GateReading(time=self.now, open=bool(well), cause=cause, message=f"its Job has {cause}")
                self.runs.setdefault(question.child, {})[question.key] = run

    def approve(self, wave, gate, username, *groups, rollout="") -> None:
        """Let somebody approve a gate of a rollout; of the latest one where none is named."""
        rollout = self.find_rollout(rollout or self.fleet.rollouts[-1].meta.name).meta
        approval = Approval(
            meta=meta(f"{rollout.name}-{wave}-{gate}-{username}"),
            rollout=rollout.name,
            rollout_uid=rollout.uid,
            wave=wave,
            gate=gate,
            username=username,
            groups=groups,
        )
        self.fleet = replace(self.fleet, approvals=(*self.fleet.approvals, approval))

    def move(self, order, kind) -> None:
        child = self.fleet.child(order.child)
        operation = None
        if order.version != self.served[child.name]:
            operation = OperationStatus(
                id=f"{kind}-{self.now:%H%M%S}",
                type=kind,
                started_time=self.now,
                from_version=str(self.served[child.name]),
                to_version=str(order.version),
                steps_total=4,
                rollout=order.rollout,
            )
            if kind is OperationType.CHANGE:
                self.points[child.name] = (self.served[child.name], self.now)
        status = write_verified(self.served[child.name], "False", self.now)
        self.put(
            child,
            version=order.version,
            revision=order.revision,
            rollout=order.rollout,
            operation=operation,
            status=child.status if child.revision != child.done_revision else status,
        )
        self.attempts.pop(child.name, None)

    def put(self, child, **changes) -> None:
        self.fleet = replace(
            self.fleet,
            children=tuple(
                replace(item, **changes) if item.name == child.name else item for item in self.fleet.children
            ),
        )

    def work(self) -> None:
        """Let every cluster do what it does in one tick."""
        self.ask_gates()
        for child in self.fleet.children:
            nature = self.nature(child.name)
            operation = child.operation
            if operation is not None and not operation.failed:
                passed = (self.now + TICK - operation.started_time).total_seconds()
                if operation.type is OperationType.CHANGE and operation.to_version in nature.fails_to:
                    self.put(child, operation=replace(operation, failed=True, message="etcd did not come up"))
                elif passed >= nature.seconds:
                    self.finish(child, operation, passed)
                else:
                    self.put(child, operation=replace(operation, steps_done=2))
            elif operation is None and child.revision != child.done_revision and child.name not in self.silent:
                self.verify(child, nature)

    def finish(self, child, operation, seconds) -> None:
        self.served[child.name] = Version.parse(operation.to_version)
        entry = {
            "from": operation.from_version,
            "to": operation.to_version,
            "startedTime": operation.started_time.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "seconds": int(seconds),
            "result": "Succeeded",
            "type": str(operation.type),
        }
        self.put(child, operation=None, history=(freeze(entry), *child.history))
        if operation.type is OperationType.REVERT:
            self.points.pop(child.name, None)

    def verify(self, child, nature) -> None:
        failed = str(self.served[child.name]) in nature.unproven
        before = self.attempts.get(child.name)
        attempt = before[2] + 1 if before is not None and before[0] == child.revision else 1
        self.attempts[child.name] = (child.revision, "Failed" if failed else "Passed", attempt, self.now)
        if not failed:
            status = write_verified(self.served[child.name], "True", self.now)
            self.put(child, done_revision=child.revision, status=status)

    def say(self, line: str) -> None:
        self.transcript.append(f"{self.now:%H:%M:%S} {line}")


def forget(fleet):
    """The fleet as an operator sees it that has just been started."""
    views = {name: replace(view, preflight=None, verification=None, jobs={}) for name, view in fleet.views.items()}
    return replace(fleet, views=views, readings={})


def cut_off(decision, count):
    """What is left of a decision when the operator ends after so many writes, in the order in which they are done."""
    left = {}
    for kind in ("new", "progress", "advances", "reverts"):
        items = getattr(decision, kind)
        left[kind] = items[:count]
        count = max(0, count - len(items))
    return replace(decision, **left, inspections=(), questions=())


def write_verified(version, verified, now):
    """What the API remembers of a child: when it began, or ceased, to be verified."""
    condition = {"type": "Verified", "status": verified, "lastTransitionTime": f"{now:%Y-%m-%dT%H:%M:%SZ}"}
    return freeze({"version": str(version), "conditions": [condition]})


def write_status(rollout, progress, now):
    """What the API remembers of a rollout."""
    return freeze(summarise_rollout(rollout, progress, now))


def settled_fleet(owner, **more) -> Fleet:
    """A fleet of one set whose members have all arrived."""
    return Fleet(
        name="fleet",
        cluster_sets=(owner,),
        children=tuple(settled_child(owner, item.name) for item in owner.members),
        providers={"local": LOCAL},
        versions={"local": AVAILABLE},
        **more,
    )
