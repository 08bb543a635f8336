"""When borders between tenants are tried, which of them, and what is said of the outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.decision.borders import (
    NO_NODES,
    count_cells,
    digest_of,
    find_broken_borders,
    find_due_time,
    list_sides,
    plan_borders,
    summarise_borders,
)
from atoll.decision.child_steps import list_wakes, plan_child_steps
from atoll.decision.status.child import ChildFacts, summarise_child
from atoll.decision.tenancy import Tenancy
from atoll.fleet.borders import BorderCell, BorderPlan, BorderRun, BorderSide, sum_up
from atoll.fleet.cluster import OperationType
from atoll.fleet.conditions import find
from atoll.fleet.decisions import RolloutDecision
from atoll.fleet.observed import ChildCluster, ChildView, MemberView, OperationStatus, Verification
from atoll.fleet.plan import TryBorders
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import freeze
from atoll.membership.operations import Work
from atoll.rollout.health import find_illness
from tests.unit.rollout.builders import LOCAL, START, cluster_set, healthy_view, settled_child, v

OWNER = cluster_set()
CHILD: ChildCluster = settled_child(OWNER, "dev", cluster_uid="uid")


def body(kind: str, name: str, tenant: str, namespace: str = "") -> tuple[tuple[str, str, str], dict[str, Any]]:
    metadata = {"name": name, "namespace": namespace, "labels": {"atoll.dev/tenant": tenant}}
    return (kind, namespace, name), {"kind": kind, "metadata": metadata}


def member(*tenants: str, without_access: tuple[str, ...] = (), **more: Any) -> MemberView:
    """A cluster with a namespace of each tenant."""
    objects = []
    for tenant in (*tenants, *without_access):
        objects += [
            body("Namespace", f"{tenant}--dev", tenant),
            body("ResourceQuota", "atoll", tenant, f"{tenant}--dev"),
        ]
    for tenant in tenants:
        objects += [body("RoleBinding", "atoll:admin", tenant, f"{tenant}--dev")]
        objects += [body("ServiceAccount", f"{tenant}--{role}", tenant, "atoll-system") for role in ("admin", "viewer")]
    return MemberView(version=v("v1.35.8"), cluster_uid="uid", ready=True, objects=dict(objects), rights="r1", **more)


def view_of(seen: MemberView | None, *, seconds: float = 0, run: BorderRun | None = None, **more: Any) -> ChildView:
    view = healthy_view("v1.35.8", START + timedelta(seconds=seconds))
    return replace(view, member=seen, borders=run, **more)


def run_of(seen: MemberView, *, seconds: float = 0, **more: Any) -> BorderRun:
    values: dict[str, Any] = {"tried": 16, "unknown": 2, "confirmed": True, "network": NO_NODES, **more}
    return BorderRun(time=START + timedelta(seconds=seconds), digest=digest_of(seen), **values)


RED = BorderCell(subject="b", target="a", attempt="reads", result="Failed", message="listing pods was answered 200")
TWO = member("a", "b")


class TestWhichAreTried:
    def test_each_pair_both_ways_and_each_tenant_on_itself(self) -> None:
        planned = plan_borders(member("a", "b"), now=START)

        assert planned == BorderPlan(
            digest="v1.35.8 False r1",
            sides={
                "a": BorderSide(tenant="a", namespaces=("a--dev",), accounts=("a--admin",)),
                "b": BorderSide(tenant="b", namespaces=("b--dev",), accounts=("b--admin",)),
            },
            pairs=(("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")),
            quotas={"a--dev": "atoll", "b--dev": "atoll"},
            network=NO_NODES,
        )
        assert count_cells(planned) == 2 * 3 + 2 * 6

    def test_a_tenant_without_access_is_a_target_and_tries_nothing(self) -> None:
        planned = plan_borders(member("a", without_access=("gone",)), now=START)

        assert planned is not None
        assert planned.pairs == (("a", "a"), ("a", "gone"))

    def test_where_nobody_has_access_there_is_nothing_to_try(self) -> None:
        assert plan_borders(member(without_access=("gone",)), now=START) is None

    def test_an_account_that_others_have_bound_is_tried_beside_the_strongest(self) -> None:
        sides = list_sides(member("a", "b", bound_elsewhere=("b--viewer", "somebody")))

        assert [side.accounts for side in sides] == [("a--admin",), ("b--admin", "b--viewer")]

    def test_people_are_tried_whom_others_have_bound_but_not_on_those_who_let_them_in(self) -> None:
        seen = member("a", "b", bound_people=(("Group", "sre"), ("User", "ann"), ("User", "zoe")))
        for tenant, names in (("a", ("sre",)), ("b", ("sre", "ann"))):
            binding = seen.objects["RoleBinding", f"{tenant}--dev", "atoll:admin"]
            binding["subjects"] = [{"kind": "Group" if name == "sre" else "User", "name": name} for name in names]
        a, b = list_sides(seen)
        assert (a.people, b.people) == ((("Group", "sre"),), (("Group", "sre"), ("User", "ann")))
        assert b.list_identities(a) == ("b--admin", ("User", "ann"))
        assert b.list_identities(b) == ("b--admin", ("Group", "sre"), ("User", "ann"))

    def test_with_nodes_the_network_is_still_not_green(self) -> None:
        planned = plan_borders(member("a", "b", nodes_total=3), now=START)
        assert planned is not None
        assert "not tried" in planned.network

    @given(st.integers(2, 12), st.integers(1, 400), st.integers(0, 10_000))
    def test_too_many_pairs_are_told_and_all_have_their_turn(self, tenants: int, limit: int, hour: int) -> None:
        seen = member(*(f"t{number}" for number in range(tenants)))
        every = tenants * (tenants - 1)
        now = START + timedelta(hours=hour)

        one = plan_borders(seen, now=now, key="id", limit=limit)
        assert one is not None
        chosen = set(one.pairs[tenants:])
        assert one.waiting == (every - len(chosen)) * 6
        assert 1 <= len(chosen) == len(one.pairs) - tenants
        assert len(chosen) <= max(1, limit // 9)
        met = set(chosen)
        for later in range(1, every + 1):
            more = plan_borders(seen, now=now + timedelta(hours=later), key="id", limit=limit)
            assert more is not None
            met |= set(more.pairs[tenants:])
        assert len(met) == every, "over the hours none is left out"

    @given(st.integers(0, 48))
    def test_what_is_red_is_tried_in_every_run(self, hour: int) -> None:
        seen = member(*(f"t{number}" for number in range(12)))
        planned = plan_borders(seen, now=START + timedelta(hours=hour), red=[("t7", "t3")], limit=20)
        assert planned is not None
        assert planned.pairs[12] == ("t7", "t3")


class TestWhenTheyAreTried:
    def due(self, child: ChildCluster, view: ChildView) -> float | None:
        found = find_due_time(child, view)
        return None if found is None else (found - START).total_seconds()

    def test_at_once_where_they_were_never_tried(self) -> None:
        assert self.due(CHILD, view_of(TWO, seconds=7)) == 7

    @pytest.mark.parametrize(
        ("more", "expected"),
        [
            pytest.param({"digest": "other"}, 1, id="rights have changed"),
            pytest.param({"doubts": 1, "doubtful_runs": 1}, 3, id="something could not be told"),
            pytest.param({"doubts": 1, "doubtful_runs": 3}, 12, id="less often when it goes on"),
            pytest.param({"doubts": 1, "doubtful_runs": 999}, 600, id="but often enough"),
            pytest.param({"confirmed": False}, 30, id="the first run after a change is repeated"),
        ],
    )
    def test_soon_after(self, more: dict[str, Any], expected: float) -> None:
        run = replace(run_of(TWO), **more)
        assert self.due(CHILD, view_of(TWO, seconds=3, run=run)) == expected

    def test_else_every_hour_each_child_at_its_own_time(self) -> None:
        minutes = set()
        for number in range(200):
            child = replace(CHILD, id=f"child-{number}")
            first = self.due(child, view_of(TWO, run=run_of(TWO)))
            assert first is not None
            assert 0 < first <= 3600
            again = self.due(child, view_of(TWO, run=run_of(TWO, seconds=first)))
            assert again == pytest.approx(first + 3600, abs=0.01)
            minutes.add(int(first // 60))
        assert len(minutes) > 50, "they do not fall on few minutes"

    def test_after_a_restart_within_ten_minutes_each_child_at_its_own_time(self) -> None:
        known = freeze({"borders": {"time": "2026-11-21T11:00:00Z", "tried": 16}})
        turns = []
        for number in range(100):
            child = replace(CHILD, id=f"child-{number}", status=known)
            now = START
            due = find_due_time(child, view_of(TWO))
            assert due is not None
            if due > now:
                assert due - now <= timedelta(minutes=10)
                # When it is woken for it, the last look is a few seconds old.
                now = due
                late = find_due_time(child, view_of(TWO, seconds=(due - START).total_seconds() - 5))
                assert late is not None
                assert late <= now + timedelta(seconds=0.01)
            turns.append((now - START).total_seconds())
        assert len({int(turn // 60) for turn in turns}) >= 8

    def test_after_a_silence_at_once(self) -> None:
        entry = {"check": "tenant-borders", "result": "Unknown", "message": "", "time": "2026-11-21T11:00:00Z"}
        child = replace(CHILD, status=freeze({"borders": {"tried": 16}, "verification": [entry]}))
        assert self.due(child, view_of(TWO, seconds=4)) == 4

    @pytest.mark.parametrize(
        "view",
        [
            pytest.param(view_of(None), id="it does not answer"),
            pytest.param(view_of(replace(TWO, cluster_uid="another")), id="it is another cluster"),
            pytest.param(view_of(member()), id="it has no tenants"),
        ],
    )
    def test_never_where_there_is_nothing_to_try(self, view: ChildView) -> None:
        assert find_due_time(CHILD, view) is None

    def steps(self, view: ChildView, work: Work, now: datetime = START) -> tuple[list[TryBorders], list[datetime]]:
        fleet = Fleet(
            name="fleet",
            cluster_sets=(OWNER,),
            children=(CHILD,),
            providers={"local": LOCAL},
            views={CHILD.name: view},
        )
        planned = plan_child_steps(
            fleet, Tenancy(placements=(), interiors={}), {CHILD.name: work}, RolloutDecision(), now
        )
        steps = [step for step in planned.get(CHILD.name, ()) if isinstance(step, TryBorders)]
        return steps, list_wakes(fleet, {CHILD.name: work})

    def test_as_a_step_that_says_how_much_it_tries(self) -> None:
        (step,), _ = self.steps(view_of(TWO), Work())
        assert step.reason == "18 borders between tenants have to be tried"

    def test_not_while_the_cluster_is_being_changed(self) -> None:
        changing = Work(operation=OperationStatus(id="op", type=OperationType.CHANGE, started_time=START))
        assert self.steps(view_of(TWO), changing) == ([], [])

    def test_the_fleet_is_woken_for_it(self) -> None:
        run = replace(run_of(TWO), confirmed=False)
        assert self.steps(view_of(TWO, run=run), Work()) == ([], [START + timedelta(seconds=30)])


class TestWhatIsSaid:
    def status(self, view: ChildView, child: ChildCluster = CHILD, seconds: float = 0) -> dict[str, Any]:
        return summarise_child(child, view, Work(), LOCAL, ChildFacts(), START + timedelta(seconds=seconds))

    def test_borders_that_hold(self) -> None:
        borders, entry = summarise_borders(CHILD, view_of(TWO, run=run_of(TWO)))

        assert borders == {"time": "2026-11-21T12:00:00Z", "tried": 16, "unknown": 2, "waiting": 0, "redCount": 0}
        assert entry == {
            "check": "tenant-borders",
            "result": "Passed",
            "message": "16 borders were tried with the tenants' own identities, and all of them hold; network Unknown: "
            "the cluster has no nodes, so no traffic between tenants could be tried",
            "time": "2026-11-21T12:00:00Z",
        }

    def test_a_border_that_lets_somebody_through(self) -> None:
        status = self.status(view_of(TWO, run=run_of(TWO, red=(RED,))))

        told = "tenant b on tenant a (reads): listing pods was answered 200"
        assert status["borders"]["red"] == [{"tenant": "b", "target": "a", "attempt": "reads", "message": told}]
        assert find(status, "Ready")["reason"] == find(status, "Stalled")["reason"] == "BorderCrossed"
        assert find(status, "PolicyEnforced")["status"] == "False"
        assert told in find(status, "Ready")["message"]
        assert find(status, "Available")["status"] != "Unknown"

    def test_it_makes_no_child_ill_and_no_verification_fail_so_no_rollout_halts_or_reverts(self) -> None:
        view = view_of(TWO, run=run_of(TWO, red=(RED,)))
        assert find_illness(CHILD, view, view.time) == ""
        assert find(self.status(view), "Verified")["status"] == "True"

    def test_at_most_fifty_red_cells_stand_in_status_and_all_are_counted(self) -> None:
        many = tuple(replace(RED, subject=f"t{number}", message="x" * 600) for number in range(80))
        borders, entry = summarise_borders(CHILD, view_of(TWO, run=run_of(TWO, red=many)))
        assert (len(borders["red"]), borders["redCount"]) == (50, 80)
        assert max(len(cell["message"]) for cell in borders["red"]) == 512
        assert len(entry["message"]) == 1024
        assert "and 45 more" in find_broken_borders(borders)

    def test_times_move_only_with_results(self) -> None:
        first = self.status(view_of(TWO, run=run_of(TWO)))
        child = replace(CHILD, status=freeze(first))
        again = self.status(view_of(TWO, seconds=7200, run=run_of(TWO, seconds=7200)), child, seconds=7200)
        assert again == first

        broken = self.status(view_of(TWO, seconds=9000, run=run_of(TWO, seconds=9000, red=(RED,))), child, seconds=9000)
        assert broken["borders"]["time"] == "2026-11-21T14:30:00Z"

    def test_a_restart_says_nothing_new(self) -> None:
        first = self.status(view_of(TWO, run=run_of(TWO, red=(RED,))))
        child = replace(CHILD, status=freeze(first))
        assert self.status(view_of(TWO, seconds=60), child, seconds=60) == first

    def test_of_a_child_that_does_not_answer_nothing_is_green(self) -> None:
        child = replace(CHILD, status=freeze(self.status(view_of(TWO, run=run_of(TWO)))))
        away = view_of(None, seconds=60, unreachable_since=START, unreachable_message="no answer")

        status = self.status(away, child, seconds=60)

        (entry,) = status["verification"]
        assert entry["result"] == "Unknown"
        assert find(status, "PolicyEnforced")["status"] == "Unknown"
        back = self.status(view_of(TWO, seconds=90), replace(CHILD, status=freeze(status)), seconds=90)
        assert back["verification"] == [entry], "until they are tried again"

    def test_what_could_not_be_told_is_not_green(self) -> None:
        plan = plan_borders(TWO, now=START)
        assert plan is not None
        cells = (replace(RED, result="Passed"), replace(RED, attempt="writes", result="Unknown", message="HTTP 500"))
        run = sum_up(plan, cells, START, before=None)
        assert (run.tried, run.doubts, run.unknown, run.confirmed) == (1, 1, 1, False)
        again = sum_up(plan, cells, START, before=run)
        assert (run.doubtful_runs, again.doubtful_runs, again.confirmed) == (1, 2, True)
        assert sum_up(plan, cells[:1], START, before=again).doubtful_runs == 0
        _, entry = summarise_borders(CHILD, view_of(TWO, run=run))
        assert entry["result"] == "Unknown"
        assert "tenant b on tenant a (writes): HTTP 500" in entry["message"]

    def test_when_the_last_tenant_has_gone_nothing_is_said(self) -> None:
        child = replace(CHILD, status=freeze(self.status(view_of(TWO, run=run_of(TWO)))))
        status = self.status(view_of(replace(member(), rights="r2"), run=run_of(TWO)), child)
        assert "borders" not in status
        assert "verification" not in status

    def test_a_new_verification_keeps_the_entry_of_the_borders(self) -> None:
        child = replace(CHILD, revision="r2", status=freeze(self.status(view_of(TWO, run=run_of(TWO)))))
        verified = Verification(revision="r2", version="v1.35.8", attempt=1, checks=(), time=START)
        status = self.status(view_of(TWO, run=run_of(TWO), verification=verified), child)
        assert [entry["check"] for entry in status["verification"]] == ["tenant-borders"]
