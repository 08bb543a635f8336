"""What may never happen in any rollout, written apart from the planner: it reads objects, never reasons.

The numbers are those of the row "Upgrades" in the project's anchors. A violation names its invariant.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from atoll.fleet.cluster import Presence
from atoll.fleet.values import Version

from .almanac import is_open_throughout
from .reading import (
    find_alert,
    find_closed,
    find_hosted,
    find_ill,
    find_wanted,
    is_down,
    is_lost,
    is_moving,
    is_returned,
    is_settled,
    least_seconds,
    list_calendars,
    list_freezes,
    list_told,
    served_by,
)

INVARIANTS = {
    "set-limit": (1, "no more of a set change at once than it allows"),
    "wave-limit": (1, "no more of a wave change at once than it allows"),
    "region-limit": (1, "no more of a region change at once than the set allows"),
    "environment-limit": (1, "no more clusters of an environment are down at once, over all sets, than it allows"),
    "one-minor": (2, "one minor at a time, and never out of a minor in which a cluster was not verified"),
    "never-down": (2, "nobody goes to an older version, but to where a revert brings it"),
    "wave-order": (4, "a wave begins when all before it are over"),
    "soak": (4, "a wave is over when all of it were through for as long as it soaks"),
    "wave-well": (4, "a wave is over when all that arrived are well"),
    "known-health": (5, "who is not known to be well is not changed"),
    "pause": (7, "what is paused begins nothing"),
    "failure-budget": (8, "beyond the failure budget nothing begins"),
    "ended": (8, "what was halted, aborted or superseded begins nothing"),
    "gate": (9, "a wave is over when each of its frozen gates is open at that moment"),
    "window": (10, "a change begins inside all windows, and is expected to end in them"),
    "freeze": (10, "a change neither begins nor is expected to end in a freeze"),
    "between-steps": (11, "in the end nobody stands between two steps"),
    "late-joiner": (12, "in the end late joiners are where the others are"),
    "told-twice": (15, "nobody is told twice, or while it moves"),
    "name-twice": (15, "no name of a rollout is used again, and no set has two at once"),
    "forgets": (16, "what was over stays over, and who failed has failed, whatever is forgotten"),
    "revert": (18, "only who is lost, beyond the budget, and can, goes back: to what it was, and is verified again"),
    "revert-limit": (18, "going back takes a place as any change does"),
    "preflight": (0, "nobody is told to move without a clean look at that very hop, ten minutes old at most"),
    "liveness": (20, "a healthy, unpaused fleet with open gates finishes"),
    "rows": (0, "rows are the frozen members"),
}
"""Number in the row (0: it is not in there), and what is demanded, by name."""

LOOK = timedelta(minutes=10)
"""How old a look before a change may be."""
OLDEST = timedelta(minutes=30)
"""How old anything may be that was seen of a cluster and still proves that it is well."""
UNENDED = {"", "Running", "Paused"}


class Broken(AssertionError):
    """An invariant does not hold."""

    def __init__(self, invariant, message):
        assert invariant in INVARIANTS, invariant
        super().__init__(f"[{invariant}] {INVARIANTS[invariant][1]}: {message}")
        self.invariant = invariant


def demand(invariant, holds, message=""):
    if not holds:
        raise Broken(invariant, message)


@dataclass
class Monitor:
    """Call it with every decision, before it is applied."""

    done: dict[tuple[str, str], str] = field(default_factory=dict)
    """The revision at which a row of a rollout was Done, by (rollout, member)."""
    over_since: dict[tuple[str, str], datetime] = field(default_factory=dict)
    """Since when all members of a wave are through, by (rollout, wave)."""
    rested: dict[str, tuple[str, Version]] = field(default_factory=dict)
    """What each child was when it was verified last: its revision, and what it served."""
    failed: dict[tuple[str, str], str] = field(default_factory=dict)
    """The revision at which a member failed, as its rollout has told, by (rollout, member)."""
    passed: set[tuple[str, str, str]] = field(default_factory=set)
    """Gates whose Jobs had all succeeded once, by (rollout, wave, gate): what was run is taken away then."""
    names: set[str] = field(default_factory=set)
    blind: bool = False
    """It watches from outside, and cannot see looks, Jobs and answers."""
    advances: int = 0
    _before: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __call__(self, fleet, decision, now):
        self.names |= {rollout.meta.name for rollout in fleet.rollouts}
        self.remember(fleet, now)
        self.check_progress(fleet, decision, now)
        self.check_new(fleet, decision)
        orders = {order.child: order for order in (*decision.advances, *decision.reverts)}
        demand("told-twice", len(orders) == len(decision.advances) + len(decision.reverts), str(list(orders)))
        for advance in decision.advances:
            self.advances += 1
            self.check_start(fleet, decision, advance, now)
        for revert in decision.reverts:
            self.check_revert(fleet, revert, now)
        started = {advance.child for advance in decision.advances}
        self.check_limits(fleet, orders, started)
        self.check_environments(fleet, orders, started)
        self.check_limits(fleet, orders, {revert.child for revert in decision.reverts}, "revert-limit")

    # What it remembers

    def undo(self):
        """The operator ended while it wrote its last decision: what disturbed a soak then, nobody may remember."""
        self.over_since = {**self.over_since, **self._before}

    def remember(self, fleet, now):
        self._before = dict(self.over_since)
        for child in fleet.children:
            if child.done_revision and is_settled(child):
                self.rested[child.name] = (child.revision, served_by(child, fleet.views.get(child.name)))
        for rollout in fleet.rollouts:
            owner = fleet.cluster_set(rollout.set_name)
            if owner is None:
                continue
            self.remember_failures(fleet, owner, rollout)
            for wave in rollout.waves:
                key = (rollout.meta.name, wave.name)
                over = all(self.is_over(fleet, owner, rollout, name) for name in wave.clusters)
                if over and not self.is_disturbed(fleet, owner, rollout, wave, now):
                    self.over_since.setdefault(key, now)
                else:
                    self.over_since.pop(key, None)

    def remember_failures(self, fleet, owner, rollout):
        told = list_told(rollout)
        for name in (name for wave in rollout.waves for name in wave.clusters):
            key, child = (rollout.meta.name, name), fleet.child(owner.child_name(name))
            if child is None or is_settled(child) or child.rollout != rollout.meta.name:
                self.failed.pop(key, None)
            elif name in told:
                self.failed.setdefault(key, child.revision)
            elif self.failed.get(key) != child.revision:
                self.failed.pop(key, None)

    def has_failed(self, fleet, rollout, child):
        """This rollout has moved it, and that has failed; or has sent it back, for it had failed."""
        if child is None or child.rollout != rollout.meta.name:
            return False
        if is_returned(child, rollout.meta.name):
            return True
        if is_settled(child) and "~" in child.revision and child.member_name in list_told(rollout):
            # It has recovered between two hops; in this rollout it is not tried again.
            return True
        known = self.failed.get((rollout.meta.name, child.member_name)) == child.revision
        return not is_settled(child) and (known or is_lost(child, fleet.views.get(child.name)))

    def is_given_up(self, fleet, child):
        """It has failed, and holds no place among those that move."""
        known = any(
            self.failed.get((rollout.meta.name, child.member_name)) == child.revision
            for rollout in fleet.rollouts
            if rollout.meta.name == child.rollout and rollout.set_name == child.set_name
        )
        return (known and not is_returned(child, child.rollout)) or is_lost(child, fleet.views.get(child.name))

    def is_over(self, fleet, owner, rollout, name):
        """Nothing more will be done to it in its wave: it has arrived, left, or failed."""
        member, child = owner.member(name), fleet.child(owner.child_name(name))
        if member is None or child is None or self.has_failed(fleet, rollout, child):
            return True
        if (rollout.meta.name, name) in self.failed and not is_settled(child):
            return True
        # One that went back to just what is asked for now is there, too.
        there = child.revision.partition("~~")[0] == find_wanted(fleet, owner, name)
        return is_settled(child) and there

    def is_disturbed(self, fleet, owner, rollout, wave, now):
        """One that arrived is seen to be ill, or a metric is above its limit while the wave soaks: it begins again."""
        if self.blind:
            return False
        for name in wave.clusters:
            child = fleet.child(owner.child_name(name))
            view = fleet.views.get(child.name) if child is not None else None
            if owner.member(name) and view is not None and is_settled(child) and find_ill(view, now, OLDEST):
                return True
        since = self.over_since.get((rollout.meta.name, wave.name), now)
        soaked = now - since >= timedelta(seconds=wave.soak_seconds)
        return not soaked and any(find_alert(fleet, rollout, wave.name, gate, now) for gate in wave.gates)

    # What rollouts say of themselves

    def check_progress(self, fleet, decision, now):
        for progress in decision.progress:
            rollout = next(item for item in fleet.rollouts if item.meta.name == progress.name)
            owner = fleet.cluster_set(rollout.set_name)
            if owner is None:
                continue
            before = rollout.status.get("state", "")
            if before in {"Halted", "Aborted", "Reverted"}:
                demand("ended", progress.state not in UNENDED, f"{progress.name} was {before}, is {progress.state}")
            if progress.state == "Superseded":
                continue
            self.check_rows(fleet, owner, rollout, progress)
            stored = {wave["name"]: wave["state"] for wave in rollout.status.get("waves", ())}
            for wave, told in zip(rollout.waves, progress.waves, strict=True):
                if stored.get(wave.name) == "Done":
                    demand("forgets", told.state == "Done", f"{progress.name}: wave {wave.name} was Done")
                else:
                    self.check_wave(fleet, owner, rollout, wave, progress, now)
            if progress.state == "Done" and before in UNENDED and rollout.action != "Abort":
                ends = [wave.state for wave in progress.waves]
                demand("wave-order", set(ends) <= {"Done"}, f"{progress.name} is Done with {ends}")

    def check_rows(self, fleet, owner, rollout, progress):
        frozen = [name for wave in rollout.waves for name in wave.clusters]
        demand("rows", self.blind or [row.cluster for row in progress.rows] == frozen, progress.name)
        for row in progress.rows:
            key, wanted = (progress.name, row.cluster), find_wanted(fleet, owner, row.cluster)
            child = fleet.child(owner.child_name(row.cluster))
            if row.state == "Done":
                self.done[key] = wanted
            elif wanted and self.done.get(key) == wanted:
                raise Broken("forgets", f"{key} was Done and is {row.state}")
            if self.failed.get(key) is not None and wanted and child is not None:
                held = row.state in {"Failed", "Reverted"} or child.revision != self.failed[key]
                demand("forgets", held or is_settled(child), f"{key} had failed and is {row.state}")

    def check_wave(self, fleet, owner, rollout, wave, progress, now):
        """A gate is said to be open, or a wave to be over, for the first time: is it?"""
        key = (rollout.meta.name, wave.name)
        told = next(item for item in progress.waves if item.name == wave.name)
        here = [name for name in wave.clusters if owner.member(name) and fleet.child(owner.child_name(name))]
        children = [fleet.child(owner.child_name(name)) for name in here]
        arrived = [child for child in children if is_settled(child) and not is_returned(child, rollout.meta.name)]
        opened = {gate["name"] for gate in told.gates if gate["state"] == "Open"}
        for gate in wave.gates if told.state == "Done" else opened:
            closed = self.find_closed(fleet, rollout, wave.name, gate, now, [child.name for child in arrived])
            demand("gate", not closed, f"{key}: gate {gate}: {closed}")
        if told.state != "Done":
            return
        names = [item.name for item in rollout.waves]
        former = progress.waves[: names.index(wave.name)]
        demand("wave-order", all(item.state == "Done" for item in former), f"{wave.name} is over before {former}")
        since = self.over_since.get(key)
        demand("wave-order", since is not None, f"{key} is said to be over")
        # A wave whose members have all left has nothing that could soak.
        wanted = self.find_soak(fleet, rollout, wave, now) if here else 0
        demand("soak", now - since >= timedelta(seconds=wanted), f"{key}: {now - since} of {wanted} s")
        for child in arrived:
            ill = find_ill(fleet.views.get(child.name), now, OLDEST)
            demand("wave-well", self.blind or not ill, f"{key}: {child.name}: {ill}")

    def find_soak(self, fleet, rollout, wave, now):
        """Return the seconds that a wave has to soak: fewer where all its metrics say that all is well."""
        declared = {item.name: item for item in fleet.cluster_set(rollout.set_name).upgrade.waves}.get(wave.name)
        metrics = [gate.name for gate in (declared.gates if declared else ()) if gate.kind == "metric"]
        metrics = [name for name in metrics if name in wave.gates]
        if wave.min_soak_seconds is None or not metrics:
            return wave.soak_seconds
        well = self.blind or not any(find_closed(fleet, rollout, wave.name, name, now, ()) for name in metrics)
        return min(wave.min_soak_seconds, wave.soak_seconds) if well else wave.soak_seconds

    def find_closed(self, fleet, rollout, wave, gate, now, arrived):
        key = (rollout.meta.name, wave, gate)
        declared = fleet.cluster_set(rollout.set_name).upgrade.waves
        kinds = {found.kind for item in declared if item.name == wave for found in item.gates if found.name == gate}
        if self.blind and kinds & {"metric", "job"}:
            return ""
        if "job" in kinds and key in self.passed:
            return ""
        closed = find_closed(fleet, rollout, wave, gate, now, arrived)
        if not closed and "job" in kinds:
            self.passed.add(key)
        return closed

    def check_new(self, fleet, decision):
        for new in decision.new:
            demand("name-twice", new.name not in self.names, new.name)
            told = {progress.name: progress.state for progress in decision.progress}
            for rollout in fleet.rollouts:
                state = told.get(rollout.meta.name, rollout.status.get("state", ""))
                here = rollout.set_name == new.set_name and rollout.meta.deletion_time is None
                if here and not self.blind:
                    demand("name-twice", state not in UNENDED, f"{new.name} beside {rollout.meta.name}")
            frozen = [name for wave in new.waves for name in wave.clusters]
            demand("rows", len(frozen) == len(set(frozen)) > 0, new.name)
            self.check_regimes(fleet, new)

    def check_regimes(self, fleet, new):
        """Regimes are obeyed by every wave with a member that is attested for them."""
        owner = fleet.cluster_set(new.set_name)
        for wave in new.waves:
            members = [member for member in owner.members if member.name in wave.clusters]
            names = {*owner.regimes, *(name for member in members for name in member.regimes)}
            for regime in fleet.regimes:
                if regime.meta.name in names:
                    demand("soak", wave.soak_seconds >= regime.upgrade.min_soak_seconds, f"{new.name}: {wave.name}")
                    asked = not regime.upgrade.approvals or f"regime-{regime.meta.name}" in wave.gates
                    demand("gate", asked, f"{new.name}: {wave.name} has no gate of Regime {regime.meta.name}")

    # Who is told to move

    def check_start(self, fleet, decision, advance, now):
        rollout = next(item for item in fleet.rollouts if item.meta.name == advance.rollout)
        owner, child = fleet.cluster_set(rollout.set_name), fleet.child(advance.child)
        view = fleet.views.get(child.name)
        lost = is_lost(child, view) or self.is_given_up(fleet, child)
        demand("ended", rollout.status.get("state", "") in UNENDED, f"{rollout.meta.name}: {advance.child}")
        demand("pause", rollout.action == "Run", f"{rollout.meta.name} is to {rollout.action}: {advance.child}")
        paused = owner.paused is not None and owner.paused.holds(now)
        demand("pause", not paused, f"{owner.meta.name}: {advance.child}")
        demand("told-twice", lost or is_settled(child), f"{child.name} moves to {child.version} ({child.revision})")
        self.check_health(fleet, child, view, now, lost=lost)
        self.check_version(child, view, advance, lost=lost)
        self.check_turn(fleet, decision, rollout, child)
        failed = [
            name
            for wave in rollout.waves
            for name in wave.clusters
            if self.has_failed(fleet, rollout, fleet.child(owner.child_name(name)))
        ]
        budget = owner.upgrade.failure_budget.of(sum(len(wave.clusters) for wave in rollout.waves))
        demand("failure-budget", len(failed) <= budget, f"{child.name} begins, {failed} failed of {budget}")
        self.check_time(fleet, owner, child, now)
        if not lost and not self.blind:
            self.check_look(fleet, owner, advance, view, now)

    def check_health(self, fleet, child, view, now, *, lost):
        if self.blind:
            return
        if lost:
            # It may be mended by a change, so it need not be well; but it must be there, and be itself.
            there = view is not None and view.refused is None and view.cluster.presence is Presence.PRESENT
            demand("known-health", there, f"{child.name} has failed, and nobody knows what it is")
            return
        ill = find_ill(view, now, OLDEST)
        demand("known-health", not ill, f"{child.name} is told to move, and {ill}")
        run = view.verification
        unproven = run is not None and run.revision == child.revision and not run.passed
        demand("known-health", not unproven, f"{child.name} is told to move, and its verification fails")

    def check_version(self, child, view, advance, *, lost):
        served = served_by(child, view)
        demand("never-down", served <= advance.version, f"{child.name}: {served} to {advance.version}")
        minors = f"{child.name}: {served} to {advance.version}"
        same_major = served.major == advance.version.major
        demand("one-minor", same_major and advance.version.minor - served.minor <= 1, minors)
        if lost and advance.version.minor != served.minor:
            known = self.rested.get(child.name)
            demand("one-minor", known is None or known[1].minor == served.minor, f"{minors}, where it was not verified")

    def check_turn(self, fleet, decision, rollout, child):
        progress = next((item for item in decision.progress if item.name == rollout.meta.name), None)
        demand("wave-order", progress is not None, f"{rollout.meta.name} says nothing")
        told = {wave.name: wave.state for wave in progress.waves}
        mine = [wave.name for wave in rollout.waves if child.member_name in wave.clusters]
        demand("wave-order", len(mine) == 1, f"{child.name} is in {mine}")
        names = [wave.name for wave in rollout.waves]
        early = [name for name in names[: names.index(mine[0])] if told.get(name) != "Done"]
        demand("wave-order", not early, f"{child.name} of {mine[0]} begins before {early}")
        demand("wave-order", told.get(mine[0]) != "Done", f"{child.name} of {mine[0]} begins after its end")

    def check_time(self, fleet, owner, child, now):
        member = owner.member(child.member_name)
        seconds = least_seconds(fleet, owner.meta.name)
        calendars = [windows for windows in list_calendars(fleet, owner, member) if windows]
        inside = not calendars or is_open_throughout(calendars, (), now, seconds)
        demand("window", inside, f"{child.name} begins at {now}, expected to take {seconds} s")
        freezes = list_freezes(fleet, child.name)
        free = not freezes or is_open_throughout((), freezes, now, seconds)
        demand("freeze", free, f"{child.name} begins at {now}, expected to take {seconds} s")

    def check_look(self, fleet, owner, advance, view, now):
        info = fleet.providers.get(owner.provider.kind)
        if info is not None and not info.upgrades:
            return
        look = view.preflight
        demand("preflight", look is not None, f"nobody has looked at {advance.child}")
        same = (look.rollout, str(look.version)) == (advance.rollout, str(advance.version))
        demand("preflight", same, f"{advance.child} goes to {advance.version}; the look was at {look.version}")
        demand("preflight", not look.findings, f"{advance.child}: {look.findings}")
        demand("preflight", timedelta() <= now - look.time <= LOOK, f"{advance.child} was looked at at {look.time}")

    def check_revert(self, fleet, revert, now):
        """Only who is lost goes back, to what it was when it was verified last, and is verified there again."""
        rollout = next(item for item in fleet.rollouts if item.meta.name == revert.rollout)
        owner, child = fleet.cluster_set(rollout.set_name), fleet.child(revert.child)
        view = fleet.views.get(child.name)
        demand("revert", owner.upgrade.on_failure == "Revert", f"{owner.meta.name} does not ask for it")
        demand("revert", child.rollout == rollout.meta.name, f"{child.name}: somebody else's change")
        demand("pause", rollout.action != "Abort", f"{rollout.meta.name} is to Abort, and {child.name} goes back")
        paused = rollout.action == "Pause" or (owner.paused is not None and owner.paused.holds(now))
        demand("pause", not paused, f"{owner.meta.name} is paused, and {child.name} goes back")
        demand("revert", self.is_given_up(fleet, child), f"{child.name} is not lost")
        failed = [
            name
            for wave in rollout.waves
            for name in wave.clusters
            if self.has_failed(fleet, rollout, fleet.child(owner.child_name(name)))
        ]
        budget = owner.upgrade.failure_budget.of(sum(len(wave.clusters) for wave in rollout.waves))
        over = len(failed) > budget or rollout.status.get("state", "") in {"Halted", "Reverted"}
        demand("revert", over, f"{child.name} goes back, {failed} failed of {budget}")
        info = fleet.providers.get(owner.provider.kind)
        kept = revert.version == served_by(child, view)
        demand("revert", kept or (info is not None and info.can_revert), f"{child.name}: its provider cannot")
        if child.name in self.rested:
            revision, version = self.rested[child.name]
            demand("revert", revert.version == version, f"{child.name} goes to {revert.version}, was {version}")
            demand("revert", revert.revision not in {revision, child.revision}, f"{child.name}: not verified again")
        wanted = find_wanted(fleet, owner, child.member_name)
        was_done = wanted and self.done.get((rollout.meta.name, child.member_name)) == wanted
        demand("revert", not was_done, f"{child.name} was Done")

    # How many at once

    def check_limits(self, fleet, orders, started, name=""):
        """Count who moves when these orders are carried out; only sets in which something was started are judged."""
        if not started:
            return
        children = {child.name: child for child in fleet.children}
        moving = {c.name for c in fleet.children if is_moving(fleet, c, self.is_given_up(fleet, c))} | set(orders)
        for owner in fleet.cluster_sets:
            here = {child for child in moving if children[child].set_name == owner.meta.name}
            mine = {child for child in started if children[child].set_name == owner.meta.name}
            if not mine:
                continue
            limit = owner.upgrade.max_concurrent.of(len(owner.members), least=1)
            demand(name or "set-limit", len(here) <= limit, f"{sorted(here)} move, {limit} may")
            per_region = owner.upgrade.max_concurrent_per_region
            regions = {owner.child_name(member.name): member.region for member in owner.members}
            if per_region is not None:
                counts = Counter(regions.get(child, "") for child in here)
                crowded = [child for child in mine if counts[regions.get(child, "")] > max(per_region, 1)]
                demand(name or "region-limit", not crowded, f"{sorted(here)} move, {per_region} of a region may")
            for rollout in fleet.rollouts:
                for wave in rollout.waves if rollout.set_name == owner.meta.name else ():
                    names = {owner.child_name(member) for member in wave.clusters}
                    begun = {child for child in mine if orders[child].rollout == rollout.meta.name} & names
                    together = sorted(here & names)
                    fits = not begun or len(together) <= wave.max_concurrent
                    demand(name or "wave-limit", fits, f"{together} of {wave.name} move, {wave.max_concurrent} may")

    def check_environments(self, fleet, orders, started):
        """Count who is down, over all sets. Who goes back was down before."""
        down = {child.name for child in fleet.children if is_down(child)} | set(orders)
        for environment in fleet.environments:
            limit, name = environment.max_unavailable_clusters, environment.meta.name
            if limit is not None and started:
                hosts = {child.name for child in fleet.children if name in find_hosted(fleet, child.name)}
                fits = not hosts & started or len(hosts & down) <= limit
                demand("environment-limit", fits, f"{sorted(hosts & down)} of {name} are down, {limit} may be")

    # In the end

    def check_end(self, fleet):
        """Everything was mended, opened and let run until nothing moved: has everybody arrived?"""
        for owner in fleet.cluster_sets:
            rollouts = [item for item in fleet.rollouts if item.set_name == owner.meta.name]
            frozen = {name for rollout in rollouts[-1:] for wave in rollout.waves for name in wave.clusters}
            for member in owner.members:
                child = fleet.child(owner.child_name(member.name))
                if child is None:
                    continue
                standing = f"{child.name} stands at {child.version} ({child.revision}, done {child.done_revision})"
                demand("between-steps", is_settled(child) and child.operation is None, standing)
                arrived = child.revision.partition("~~")[0] == find_wanted(fleet, owner, member.name)
                hop = "~" in child.revision.replace("~~", "")
                demand("between-steps", arrived or not hop, standing)
                demand("liveness" if member.name in frozen else "late-joiner", arrived, standing)
                fits = owner.version.is_satisfied_by(served_by(child, fleet.views.get(child.name)))
                demand("liveness", fits, f"{standing}, {owner.version} is asked for")
            # Nothing is left to do for one that was stopped before everybody had arrived in another way.
            going = [item.meta.name for item in rollouts if item.status.get("state", "") in UNENDED]
            demand("liveness", not going, f"{going} are under way")
