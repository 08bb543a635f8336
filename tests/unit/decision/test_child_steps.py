"""When a child is verified: after each change, again after a pause when it failed, and never before it has moved."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from atoll.decision.child_steps import list_wakes, plan_child_steps
from atoll.decision.status.child import ChildFacts, summarise_child
from atoll.decision.tenancy import Tenancy
from atoll.fleet.cluster import OperationType
from atoll.fleet.conditions import find
from atoll.fleet.decisions import RolloutDecision
from atoll.fleet.observed import CheckResult, ChildCluster, ChildView, OperationStatus, Verification
from atoll.fleet.plan import ForgetCluster, VerifyMember
from atoll.fleet.snapshot import Fleet
from atoll.membership.operations import Work
from tests.unit.rollout.builders import LOCAL, START, cluster_set, healthy_view, settled_child, v

OWNER = cluster_set()
SETTLED: ChildCluster = settled_child(OWNER, "dev", cluster_uid="uid")
TOLD = replace(SETTLED, version=v("v1.36.4"), revision="r2")
SENT_BACK = replace(SETTLED, revision=f"{SETTLED.done_revision}~~s-1")


def failed(revision: str, attempt: int) -> Verification:
    check = CheckResult(check="healthy", result="Failed", message="no", time=START)
    return Verification(revision=revision, version="v1.36.4", attempt=attempt, checks=(check,), time=START)


def decide(
    child: ChildCluster, view: ChildView, *, work: Work | None = None, seconds: int = 0
) -> tuple[list[int], list[int]]:
    """Return the attempts that are begun now, and in how many seconds the next ones are due."""
    fleet = Fleet(
        name="fleet",
        cluster_sets=(OWNER,),
        children=(child,),
        providers={"local": LOCAL},
        views={child.name: view},
    )
    works = {child.name: work or Work()}
    steps = plan_child_steps(
        fleet, Tenancy(placements=(), interiors={}), works, RolloutDecision(), START + timedelta(seconds=seconds)
    ).get(child.name, ())
    begun = [step.attempt for step in steps if isinstance(step, VerifyMember)]
    return begun, [int((moment - START).total_seconds()) for moment in list_wakes(fleet, works)]


CHANGING = Work(operation=OperationStatus(id="op", type=OperationType.CHANGE, started_time=START))


@pytest.mark.parametrize(
    ("child", "served", "more", "expected"),
    [
        pytest.param(SETTLED, "v1.35.8", {}, ([], []), id="verified already"),
        pytest.param(TOLD, "v1.36.4", {}, ([1], []), id="it has moved"),
        pytest.param(TOLD, "v1.36.4", {"work": CHANGING}, ([], []), id="it moves"),
        pytest.param(TOLD, "v1.35.8", {}, ([], []), id="told to move, but not begun: paused, perhaps"),
        pytest.param(SENT_BACK, "v1.35.8", {}, ([1], []), id="after it went back it is verified again"),
    ],
)
def test_a_child_is_verified_when_it_has_arrived(
    child: ChildCluster, served: str, more: dict[str, Any], expected: tuple[list[int], list[int]]
) -> None:
    assert decide(child, healthy_view(served), **more) == expected


@pytest.mark.parametrize(("attempt", "pause"), [(1, 3), (2, 3), (3, 60), (9, 60)])
def test_a_verification_that_failed_is_due_again_by_itself(attempt: int, pause: int) -> None:
    """Nothing else may happen in between, so the fleet has to be woken for it."""
    view = healthy_view("v1.36.4", verification=failed("r2", attempt))
    assert decide(TOLD, view, seconds=pause - 1) == ([], [pause])
    assert decide(TOLD, view, seconds=pause) == ([attempt + 1], [pause])


def test_what_failed_for_another_revision_does_not_count() -> None:
    view = healthy_view("v1.36.4", verification=failed("r1", 9))
    assert decide(TOLD, view) == ([1], [])


def test_a_failed_operation_is_told_with_its_cause() -> None:
    operation = OperationStatus(
        id="op", type=OperationType.CHANGE, started_time=START, step="start etcd", message="no disk", failed=True
    )
    child = replace(TOLD, operation=operation)
    status = summarise_child(child, healthy_view("v1.35.8"), Work(operation=operation), LOCAL, ChildFacts(), START)
    stalled = find(status, "Stalled")
    assert (stalled["status"], stalled["reason"], stalled["message"]) == (
        "True",
        "OperationFailed",
        "Change failed: no disk",
    )


def test_a_cluster_that_runs_ahead_of_its_object_is_told_with_the_remedy() -> None:
    status = summarise_child(TOLD, healthy_view("v1.37.1"), Work(), LOCAL, ChildFacts(), START)
    stalled = find(status, "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "DowngradeRefused")
    assert "Set version v1.37.1 in ClusterSet" in stalled["message"]


@pytest.mark.parametrize("annotations", [{}, {"atoll.dev/abandon": "true"}])
def test_an_abandoned_cluster_need_not_be_told_that_it_is_let_go(annotations: dict[str, str]) -> None:
    going = replace(SETTLED, meta=replace(SETTLED.meta, deletion_time=START, annotations=annotations))
    fleet = Fleet(
        name="fleet",
        cluster_sets=(OWNER,),
        children=(going,),
        providers={"local": LOCAL},
        views={going.name: healthy_view("v1.35.8")},
    )
    works = {going.name: Work()}
    (step,) = plan_child_steps(fleet, Tenancy(placements=(), interiors={}), works, RolloutDecision(), START)[going.name]
    assert isinstance(step, ForgetCluster)
    assert step.abandoned is bool(annotations)
