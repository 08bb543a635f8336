"""What may never happen in any rollout, written apart from the planner: it reads objects, never reasons."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from atoll.fleet.cluster import OperationType
from atoll.fleet.values import Version
from atoll.rollout.revisions import member_revision


def is_lost(child, fleet):
    """The cluster was given up: its change failed, or three verifications did."""
    if child.operation is not None:
        return child.operation.failed
    run = fleet.views[child.name].verification
    return run is not None and run.revision == child.revision and not run.passed and run.attempt >= 3


def is_moving(child, fleet):
    if child.operation is not None and not child.operation.failed and child.operation.type != OperationType.REPAIR:
        return True
    if fleet.cluster_set(child.set_name).member(child.member_name) is None:
        return False
    return child.revision != child.done_revision and not is_lost(child, fleet)


@dataclass
class Monitor:
    """Call it with every decision, before it is applied."""

    names: set[str] = field(default_factory=set)
    done: dict[tuple[str, str], str] = field(default_factory=dict)
    """The revision at which a row of a rollout was Done."""
    over_since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    rested: dict[str, tuple[str, Version]] = field(default_factory=dict)
    """What each child was when it was verified last: its revision, and what it served."""
    passed: set[tuple[str, str]] = field(default_factory=set)
    """Waves that were over, and had soaked, at some time."""
    advances: int = 0

    def __call__(self, fleet, decision, now):
        self.watch_waves(fleet, now)
        for child in fleet.children:
            if child.revision == child.done_revision:
                self.rested[child.name] = (child.revision, self.served(fleet.views[child.name]))
        for revert in decision.reverts:
            self.check_revert(fleet, revert)
        self.check_rows(fleet, decision)
        self.check_names(fleet, decision)
        orders = {advance.child: advance for advance in decision.advances}
        assert len(orders) == len(decision.advances), "one child was told twice"
        for advance in decision.advances:
            self.advances += 1
            self.check_start(fleet, decision, advance, now)
        if orders:
            self.check_concurrency(fleet, orders)

    def watch_waves(self, fleet, now):
        for rollout in fleet.rollouts:
            owner = fleet.cluster_set(rollout.set_name)
            for wave in rollout.waves:
                key = (rollout.meta.name, wave.name)
                if all(self.is_over(fleet, owner, rollout, name) for name in wave.clusters):
                    since = self.over_since.setdefault(key, now)
                    here = [name for name in wave.clusters if owner.member(name) is not None]
                    # A wave whose members have all left has nothing that could soak.
                    if now - since >= timedelta(seconds=wave.soak_seconds if here else 0):
                        self.passed.add(key)
                else:
                    self.over_since.pop(key, None)

    def is_over(self, fleet, owner, rollout, name):
        member = owner.member(name)
        child = fleet.child(owner.child_name(name))
        if member is None or child is None:
            return True
        if child.rollout == rollout.meta.name and child.revision != child.done_revision and is_lost(child, fleet):
            return True
        failed = {row["cluster"] for row in rollout.status.get("rows", ()) if row["state"] == "Failed"}
        if name in failed and child.revision != child.done_revision:
            return True
        return child.done_revision == child.revision == member_revision(owner, member, fleet.regimes)

    def check_rows(self, fleet, decision):
        for progress in decision.progress:
            if progress.state == "Superseded":
                continue
            rollout = next(item for item in fleet.rollouts if item.meta.name == progress.name)
            frozen = [name for wave in rollout.waves for name in wave.clusters]
            assert [row.cluster for row in progress.rows] == frozen, "rows are not the frozen members"
            owner = fleet.cluster_set(rollout.set_name)
            for row in progress.rows:
                member = owner.member(row.cluster)
                if member is None:
                    continue
                wanted = member_revision(owner, member, fleet.regimes)
                key = (progress.name, row.cluster)
                if row.state == "Done":
                    self.done[key] = wanted
                elif self.done.get(key) == wanted:
                    raise AssertionError(f"{key} was Done and is {row.state}")

    def check_names(self, fleet, decision):
        self.names |= {rollout.meta.name for rollout in fleet.rollouts}
        for new in decision.new:
            assert new.name not in self.names, "a name was used again"
            told = {progress.name: progress.state for progress in decision.progress}
            for rollout in fleet.rollouts:
                state = told.get(rollout.meta.name, rollout.status.get("state", ""))
                assert rollout.set_name != new.set_name or state not in {"", "Running", "Paused"}, "two at once"
            frozen = [name for wave in new.waves for name in wave.clusters]
            assert len(frozen) == len(set(frozen)) > 0

    def check_start(self, fleet, decision, advance, now):
        rollout = next(item for item in fleet.rollouts if item.meta.name == advance.rollout)
        owner = fleet.cluster_set(rollout.set_name)
        child = fleet.child(advance.child)
        view = fleet.views[child.name]
        assert rollout.status.get("state", "") in {"", "Running", "Paused"}, "started after its end"
        assert rollout.action == "Run"
        assert owner.paused is None
        served = self.served(view)
        assert served <= advance.version, "went down"
        assert advance.version.minor - served.minor <= 1, "skipped a minor"
        if not is_lost(child, fleet):
            assert child.revision == child.done_revision, "told to move while it moves"
            assert view.member is not None, "changed an unreachable cluster"
        names = [wave.name for wave in rollout.waves]
        mine = next(wave.name for wave in rollout.waves if child.member_name in wave.clusters)
        for former in names[: names.index(mine)]:
            assert (rollout.meta.name, former) in self.passed, f"{mine} began before {former} was over and had soaked"
        failed = [
            name
            for wave in rollout.waves
            for name in wave.clusters
            if (other := fleet.child(owner.child_name(name))) is not None
            and other.rollout == rollout.meta.name
            and other.revision != other.done_revision
            and is_lost(other, fleet)
        ]
        assert len(failed) <= owner.upgrade.failure_budget.of(sum(len(wave.clusters) for wave in rollout.waves))
        for name in self.hosted(fleet, child):
            environment = fleet.environment(name)
            assert not any(freeze.start <= now < freeze.end for freeze in environment.freezes), "changed while frozen"

    def check_revert(self, fleet, revert):
        """Only who is lost goes back, to what it was when it was verified last, and is verified there again."""
        rollout = next(item for item in fleet.rollouts if item.meta.name == revert.rollout)
        owner = fleet.cluster_set(rollout.set_name)
        child = fleet.child(revert.child)
        assert owner.upgrade.on_failure == "Revert"
        assert child.rollout == rollout.meta.name, "reverted somebody else's change"
        assert is_lost(child, fleet), "reverted who is not lost"
        revision, version = self.rested[child.name]
        assert revert.version == version, "went back too far"
        assert revert.revision not in {revision, child.revision}, "would not be verified again"
        member = owner.member(child.member_name)
        wanted = member_revision(owner, member, fleet.regimes) if member is not None else ""
        assert self.done.get((rollout.meta.name, child.member_name)) != wanted, "reverted who was Done"

    def check_concurrency(self, fleet, orders):
        moving = {child.name for child in fleet.children if is_moving(child, fleet)} | set(orders)
        children = {child.name: child for child in fleet.children}
        for owner in fleet.cluster_sets:
            here = {name for name in moving if children[name].set_name == owner.meta.name}
            started = {name for name in orders if children[name].set_name == owner.meta.name}
            if not started:
                continue
            assert len(here) <= owner.upgrade.max_concurrent.of(len(owner.members), least=1), "too many in the set"
            limit = owner.upgrade.max_concurrent_per_region
            regions = {owner.child_name(member.name): member.region for member in owner.members}
            if limit is not None:
                counts = Counter(regions.get(name, "") for name in here)
                assert all(counts[regions.get(name, "")] <= limit for name in started), "too many in a region"
            for rollout in fleet.rollouts:
                for wave in rollout.waves:
                    names = {owner.child_name(name) for name in wave.clusters}
                    begun = {n for n in started if orders[n].rollout == rollout.meta.name} & names
                    assert not begun or len(here & names) <= wave.max_concurrent, "too many in a wave"
        down = {c.name for c in fleet.children if c.revision != c.done_revision or c.operation is not None}
        down |= set(orders)
        for environment in fleet.environments:
            limit = environment.max_unavailable_clusters
            hosts = {c.name for c in fleet.children if environment.meta.name in self.hosted(fleet, c)}
            if limit is not None and hosts & set(orders):
                assert len(hosts & down) <= limit, "too many of an environment"

    @staticmethod
    def served(view):
        return view.member.version if view.member is not None else Version.parse(view.cluster.version)

    @staticmethod
    def hosted(fleet, child):
        return {
            placement["environment"]
            for tenant in fleet.tenants
            for placement in tenant.status.get("placements", ())
            if placement["cluster"] == child.name
        }
