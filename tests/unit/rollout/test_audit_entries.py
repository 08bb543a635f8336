"""What goes into the record: all that happened, once, whenever the operator was stopped."""

import random
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from atoll.decision.status.rollout import summarise_rollout
from atoll.fleet.audit import AuditEntry
from atoll.fleet.decisions import RolloutDecision, RolloutProgress, RolloutRow, WaveStatus
from atoll.fleet.observed import Rollout
from atoll.fleet.spec import Upgrade
from atoll.fleet.values import Share, freeze
from atoll.rollout.audit import link, list_tail, parse_head, read, verify_chain
from atoll.rollout.audit_entries import EVENTS, drop_known, drop_repeated, plan_entries

from .builders import CANARY, PROD, START, cluster_set, member, meta, v, wave
from .simulator import Nature, Simulator, settled_fleet

STOPS = ("nowhere", "nowhere", "nowhere", "at once", "after the first write", "after the second write")


@dataclass
class Recorder(Simulator):
    """A world whose operator keeps the record, and may be stopped between any two of its writes."""

    chance: random.Random | None = None
    order: tuple[str, ...] = ("records", "status", "children")
    stops: int = 0
    """In a row: more of them, and the simulator takes it for rest."""
    lines: dict[str, list[str]] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)

    def apply(self, decision) -> None:
        stop = STOPS.index(self.chance.choice(STOPS)) - 2 if self.chance is not None and self.stops < 3 else 0
        self.stops = self.stops + 1 if stop > 0 else 0
        before = {rollout.meta.name: rollout for rollout in self.fleet.rollouts}
        plans = {
            item.name: plan_entries(before[item.name], item, decision, self.now)
            for item in decision.progress
            if item.name in before
        }
        heads = dict(self.heads)
        for write in self.order if stop <= 0 else self.order[: stop - 1]:
            if write == "records":
                heads |= {name: self.append(before[name], entries) for name, entries in plans.items()}
            elif write == "children":
                self.tell(decision)
            else:
                self.heads = heads
                self.write_statuses(decision, before)

    def tell(self, decision) -> None:
        """Do what the simulator does with a decision, all but for the status."""
        statuses = {rollout.meta.name: rollout.status for rollout in self.fleet.rollouts}
        super().apply(decision)
        for name, status in statuses.items():
            self.change_rollout(name, status=status)

    def write_statuses(self, decision, before) -> None:
        done = replace(decision, advances=(), reverts=())
        for progress in decision.progress:
            status = summarise_rollout(before[progress.name], progress, self.now)
            self.change_rollout(progress.name, status=freeze(status))
            assert plan_entries(self.rollout(progress.name), progress, done, self.now) == ()

    def rollout(self, name) -> Rollout:
        return next(item for item in self.fleet.rollouts if item.meta.name == name)

    def append(self, rollout, entries) -> str:
        """What the shell does, without an API server."""
        lines = self.lines.setdefault(rollout.meta.name, [])
        end = parse_head(rollout.meta.uid, self.heads.get(rollout.meta.name, ""))
        tail = list_tail(lines, end)
        for record in tail:
            end = replace(end, seq=record.seq, digest=record.digest)
        for item in drop_known(entries, [record.entry for record in tail]):
            line, end = link(item, end)
            lines.append(line)
        return str(end) if end.seq else ""

    def record(self, name):
        """What the record of a rollout says, after checking it."""
        verdict = verify_chain(self.rollout(name).meta.uid, self.lines[name], self.heads.get(name, ""))
        assert verdict.intact, verdict.findings
        return [read(line).entry for line in self.lines[name]]


def tell(entries):
    return [
        " ".join(part for part in (entry.event, entry.wave, entry.cluster, f"| {entry.message}") if part)
        for entry in entries
    ]


def world(upgrade=None, natures=None, members=None, **more):
    owner = cluster_set(upgrade=upgrade or Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2)), members=members)
    recorder = Recorder(fleet=settled_fleet(owner), natures=natures or {}, **more)
    return recorder.run({1: lambda it: it.change_set(version=v("v1.36.4"))}, ticks=400)


def test_a_whole_rollout_reads_as_it_went():
    story = tell(world().record("s-1"))

    revision = world().rollout("s-1").target_revision
    assert story[0] == f"Began | s goes to v1.36.4 ({revision}) in waves canary: dev; prod: prod-a, prod-b"
    assert [line.partition(" |")[0] for line in story] == [
        "Began",
        "WaveBegan canary",
        "MemberTold canary dev",
        "MemberDone canary dev",
        "WaveSoaking canary",
        "WaveDone canary",
        "WaveBegan prod",
        "MemberTold prod prod-a",
        "MemberTold prod prod-b",
        "MemberDone prod prod-a",
        "MemberDone prod prod-b",
        "WaveDone prod",
        "Done",
    ]
    assert story[2].startswith("MemberTold canary dev | to v1.36.4 (")
    assert "dev changes from v1.35.8 to v1.36.4" in story[2]
    assert story[3] == "MemberDone canary dev | has arrived at v1.36.4"


def test_a_failure_and_the_way_back_are_told_with_their_causes():
    upgrade = Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2), on_failure="Revert")
    story = tell(world(upgrade, {"s--dev": Nature(fails_to={"v1.36.4"})}).record("s-1"))
    events = [line.partition(" |")[0] for line in story]

    assert events[:3] == ["Began", "WaveBegan canary", "MemberTold canary dev"]
    assert [event for event in events if "Member" in event] == [
        "MemberTold canary dev",
        "MemberFailed canary dev",
        "MemberSentBack canary dev",
        "MemberReverted canary dev",
    ]
    assert events[-1] == "Reverted"
    assert "etcd did not come up" in next(line for line in story if line.startswith("MemberFailed"))


ONCE = ("Began", "WaveBegan", "WaveDone", "Halted", "Done", "Reverted", "MemberTold", "MemberSentBack", "MemberFailed")
ILL = ("", "dev", "prod-a")


def count(entries, wanted=ONCE):
    return Counter((item.event, item.wave, item.cluster) for item in entries if item.event in wanted)


@cache
def run_story(ill, on_failure, seed=None, order=("records", "status", "children")):
    upgrade = Upgrade(waves=(CANARY, PROD), max_concurrent=Share(2), on_failure=on_failure)
    natures = {f"s--{ill}": Nature(unproven={"v1.36.4"})} if ill else {}
    chance = random.Random(seed) if seed is not None else None
    return world(upgrade, natures, chance=chance, order=order).record("s-1")


def count_done(entries):
    named = [item.cluster for item in entries if item.event == "MemberDone"]
    assert len(set(named)) == len(named)
    return len(named) + sum(int(item.message.split()[0]) for item in entries if item.event == "MembersDone")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.sampled_from(ILL), st.sampled_from(["Halt", "Revert"]))
def test_wherever_the_operator_is_stopped_everything_is_told_once(seed, ill, on_failure):
    told, calm = run_story(ill, on_failure, seed), run_story(ill, on_failure)

    assert count(told) == count(calm)
    assert count_done(told) == count_done(calm)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(0, 2**32), st.sampled_from(ILL), st.sampled_from(["Halt", "Revert"]))
def test_children_that_were_told_before_the_record_was_written_are_told_of_all_the_same(seed, ill, on_failure):
    told = run_story(ill, on_failure, seed, ("children", "records", "status"))
    calm = run_story(ill, on_failure)

    assert count(told) <= count(calm)
    assert count_done(told) == count_done(calm)


def test_of_more_members_than_a_status_has_rows_all_are_counted_and_none_twice():
    names = [f"m{number:02}" for number in range(60)]
    upgrade = Upgrade(waves=(wave("all", "prod", max_concurrent=Share(25)),), max_concurrent=Share(25))
    natures = {f"s--{name}": Nature(seconds=5 + 5 * (number % 7)) for number, name in enumerate(names)}
    recorder = world(upgrade, natures, members=tuple(member(name) for name in names))
    entries = recorder.record("s-1")
    named = Counter(item.cluster for item in entries if item.event == "MemberDone")
    told = Counter(item.cluster for item in entries if item.event == "MemberTold")
    numbers = [int(item.message.split()[0]) for item in entries if item.event == "MembersDone"]

    assert set(named.values()) == {1}
    assert sum(named.values()) + sum(numbers) == 60
    assert numbers
    assert told == Counter(names)


def given_rollout(**status):
    return Rollout(
        meta=meta("s-1", annotations=freeze({"atoll.dev/requested-by": "anna"})),
        set_name="s",
        target_version=v("v1.36.4"),
        target_revision="r1",
        requested_by="ben",
        action="Pause",
        status=freeze(status),
    )


def going(state="Running", **more):
    return RolloutProgress(name="s-1", set_name="s", state=state, message="because", **more)


def events(rollout, progress, **more):
    entries = plan_entries(rollout, progress, RolloutDecision(progress=(progress,)), START, **more)
    return [(item.event, item.wave, item.message, item.by) for item in entries]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("Running", "Running", []),
        ("Running", "Paused", [("Paused", "", "because", "anna")]),
        ("Paused", "Running", [("Resumed", "", "because", "")]),
        ("Running", "Halted", [("Halted", "", "because", "")]),
        ("Running", "Aborted", [("Aborted", "", "because", "")]),
        ("Running", "Superseded", [("Superseded", "", "because", "")]),
        ("Halted", "Reverted", [("Reverted", "", "because", "")]),
    ],
)
def test_each_change_of_state_is_told(before, after, told):
    assert events(given_rollout(state=before), going(after)) == told


def test_the_first_entry_names_who_asked():
    assert events(given_rollout(), going())[0][::3] == ("Began", "ben")


def test_gates_are_told_when_they_open_or_close_with_who_opened_them():
    def status(state, message=""):
        return freeze({"name": "sign-off", "state": state, "message": message})

    def stored(*gates):
        return given_rollout(state="Running", waves=({"name": "canary", "state": "Held", "gates": gates},))

    def now(*gates):
        return going(waves=(WaveStatus(name="canary", state="Held", gates=gates),))

    whose = {("canary", "sign-off"): ("anna", "ben")}
    closed, opened = status("Closed", "wants 2 approvals"), status("Open", "2 approvals")
    unknown = status("Unknown", "wants 2 approvals")

    assert events(stored(), now(closed)) == [("GateClosed", "canary", "sign-off: wants 2 approvals", "")]
    assert events(stored(closed), now(opened), approvers=whose) == [
        ("GateOpened", "canary", "sign-off: 2 approvals", "anna, ben")
    ]
    assert events(stored(opened), now(unknown)) == [("GateClosed", "canary", "sign-off: wants 2 approvals", "")]
    assert [events(stored(gate), now(gate)) for gate in (closed, opened, unknown)] == [[], [], []]
    assert events(stored(closed), now(unknown)) == []


def test_a_soak_that_begins_again_is_told_again():
    def stored(until):
        return given_rollout(state="Running", waves=({"name": "canary", "state": "Soaking", "soakUntil": until},))

    soaking = going(waves=(WaveStatus(name="canary", state="Soaking", soak_until=START),))

    assert events(stored("2026-11-21T12:00:00Z"), soaking) == []
    assert events(stored("2026-11-21T11:00:00Z"), soaking) == [
        ("WaveSoaking", "canary", "until 2026-11-21T12:00:00Z", "")
    ]


def test_a_rollout_that_finds_members_arrived_says_how_many():
    rows = tuple(RolloutRow(cluster=name, wave="all", state="Done") for name in ("a", "b", "c"))

    assert [item[:3:2] for item in events(given_rollout(), going("Done", rows=rows))] == [
        ("Began", "s goes to v1.36.4 (r1) in waves "),
        ("MembersDone", "3 of 3 members are at v1.36.4 already"),
        ("Done", "because"),
    ]


def test_an_entry_that_is_there_stands_for_one_alone():
    twice = [AuditEntry(time=START, event="MembersDone", message="2 more of 60 members are at v1.36.4")] * 2

    assert [len(drop_known(twice, there)) for there in ((), twice[:1], twice)] == [2, 1, 0]


def test_an_order_is_told_again_only_when_something_came_of_the_first():
    def entry(event: str, message: str = "to v1.36.4 (r1): rollout s-1, wave all") -> AuditEntry:
        return AuditEntry(time=START, event=event, message=message, wave="all", cluster="a")

    told, found = entry("MemberTold"), entry("MemberTold", "found on its way: changes")
    hop, failed = entry("MemberTold", "to v1.36.4 (r1): the second hop"), entry("MemberFailed", "no")
    other = AuditEntry(time=START, event="MemberTold", message=told.message, wave="all", cluster="b")

    assert drop_repeated((told,), (told, other)) == ()
    assert drop_repeated((found,), (told,)) == ()
    assert drop_repeated((told,), (other,)) == (told,)
    assert drop_repeated((hop,), (told,)) == (hop,)
    assert drop_repeated((told,), (told, failed)) == (told,)
    assert drop_repeated((failed,), (told, failed)) == (failed,), "only orders are given again"


def test_every_event_is_of_the_closed_list():
    seen = {item.event for item in world().record("s-1")}

    assert seen < set(EVENTS)
    assert len(set(EVENTS)) == len(EVENTS)
