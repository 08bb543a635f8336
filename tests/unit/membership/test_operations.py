"""Which long work a child needs next: one table of situations, and what follows from each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from atoll.fleet.authentication import digest_authentication
from atoll.fleet.cluster import (
    ObservedCluster,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    ProviderInfo,
    RevertPoint,
)
from atoll.fleet.known import EKS
from atoll.fleet.observed import ChildCluster, ChildView, OperationStatus
from atoll.fleet.spec import DeletionPolicy, Meta
from atoll.fleet.values import Version, freeze
from atoll.membership.operations import Work, plan_work

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
LOCAL = ProviderInfo(name="local", has_nodes=False, can_revert=True)
WATCHED = ProviderInfo(name="existing", has_nodes=True, can_revert=False, upgrades=False)
POINT = RevertPoint(version="v1.35.8", taken_time=NOW, message="12 writes would be lost")


def child(version: str = "v1.35.8", *, deleting: bool = False, **more: Any) -> ChildCluster:
    values: dict[str, Any] = {
        "meta": Meta(name="s--a", namespace="fleet", uid="u", deletion_time=NOW if deleting else None),
        "id": "0123456789abcdef",
        "set_name": "s",
        "member_name": "a",
        "provider": "local",
        "version": Version.parse(version),
        "revision": "r1",
        "cluster_uid": "pinned",
        "done_revision": "r1",
        **more,
    }
    return ChildCluster(**values)


NEW = child(cluster_uid="", done_revision="")
TOLD = child("v1.36.4", revision="r2", rollout="s-1")


def saw(version: str = "v1.35.8", presence: Presence = Presence.PRESENT, **more: Any) -> ChildView:
    return ChildView(time=NOW, cluster=ObservedCluster(presence=presence, version=version, **more))


NOTHING = saw("", Presence.ABSENT)
SILENT = saw("", Presence.UNKNOWN)


def operation(kind: OperationType, to: str = "v1.36.4", **more: Any) -> OperationStatus:
    return OperationStatus(**{"id": "op-1", "type": kind, "to_version": to, "started_time": NOW, **more})


def progress(kind: OperationType, state: OperationState, **more: Any) -> OperationProgress:
    values = {"id": "op-1", "type": kind, "state": state, "step": "start etcd", "steps_done": 2, "steps_total": 8}
    return OperationProgress(**{**values, **more})


CREATE, CHANGE, REVERT, REPAIR, DELETE = (
    OperationType.CREATE,
    OperationType.CHANGE,
    OperationType.REVERT,
    OperationType.REPAIR,
    OperationType.DELETE,
)


LOGIN = freeze({"oidc": {"issuerURL": "https://id.example", "clientID": "atoll"}})
TOLD_LOGIN = child(revision="r2", rollout="s-1")


def plan(subject: ChildCluster, view: ChildView | None, **more: Any) -> Work:
    return plan_work(subject, view, **{"info": LOCAL, "now": NOW, "may_begin": True, "orphan": False, **more})


@pytest.mark.parametrize(
    ("subject", "view", "intent"),
    [
        pytest.param(NEW, NOTHING, (CREATE, "", "v1.35.8"), id="there is no cluster yet"),
        pytest.param(NEW, saw("", Presence.PARTIAL), (CREATE, "", "v1.35.8"), id="half a cluster is finished"),
        pytest.param(child(), saw(), None, id="all is well"),
        pytest.param(TOLD, saw(), (CHANGE, "v1.35.8", "v1.36.4"), id="a rollout has told it to move"),
        pytest.param(TOLD, saw("v1.36.4"), None, id="it has moved"),
        pytest.param(
            child(revision="r1~~s-1"), saw("v1.36.4"), (REVERT, "v1.36.4", "v1.35.8"), id="a rollout sends it back"
        ),
        pytest.param(child(revision="r1~~s-1"), saw(), None, id="it serves what it is sent back to: no data is lost"),
        pytest.param(child(), saw("v1.36.4"), None, id="a spec older than its cluster reverts nothing"),
        pytest.param(child(), saw(needs_repair="etcd is not running"), (REPAIR, "v1.35.8", "v1.35.8"), id="repair"),
        pytest.param(child(), saw(drift=("its tags differ",)), (CHANGE, "v1.35.8", "v1.35.8"), id="drift"),
        pytest.param(child(), NOTHING, None, id="a lost cluster is not made again"),
        pytest.param(child(), SILENT, None, id="unknown is not absent"),
        pytest.param(NEW, None, None, id="nobody has looked yet"),
        pytest.param(child(deleting=True), saw(), None, id="orphan by default"),
        pytest.param(
            child(deleting=True, deletion_policy=DeletionPolicy.DELETE),
            saw(),
            (DELETE, "v1.35.8", "v1.35.8"),
            id="it is to be deleted",
        ),
        pytest.param(
            child(deleting=True, deletion_policy=DeletionPolicy.DELETE), NOTHING, None, id="it is gone already"
        ),
    ],
)
def test_what_a_child_at_rest_needs(
    subject: ChildCluster, view: ChildView | None, intent: tuple[OperationType, str, str] | None
) -> None:
    """The intent is only written down now: nothing starts before it stands in the API."""
    work = plan(subject, view)
    planned = work.operation
    told = (planned.type, planned.from_version, planned.to_version) if planned is not None else None
    assert (told, work.start, work.finished) == (intent, False, None)
    assert plan(subject, view, may_begin=False).operation is None


@pytest.mark.parametrize(
    ("subject", "seen", "wanted", "changes"),
    [
        pytest.param(TOLD_LOGIN, "", LOGIN, True, id="told, and not there yet"),
        pytest.param(TOLD_LOGIN, digest_authentication(LOGIN), LOGIN, False, id="there"),
        pytest.param(TOLD_LOGIN, "0" * 64, freeze({}), True, id="no issuer is to be trusted any more"),
        pytest.param(TOLD_LOGIN, "", freeze({}), False, id="no issuer is trusted"),
        pytest.param(TOLD_LOGIN, "", None, False, id="told of something else"),
        pytest.param(TOLD_LOGIN, None, LOGIN, False, id="nobody can tell"),
        pytest.param(child(), "0" * 64, LOGIN, False, id="at rest: only drift counts, and the provider says that"),
    ],
)
def test_how_people_log_in_is_changed_at_the_same_version(
    subject: ChildCluster, seen: str | None, wanted: Any, changes: bool
) -> None:
    work = plan(subject, saw(authentication=seen), authentication=wanted)
    told = (work.operation.type, work.operation.from_version, work.operation.to_version) if work.operation else None
    assert told == ((CHANGE, "v1.35.8", "v1.35.8") if changes else None)
    held = plan(subject, saw(authentication=seen), authentication=wanted, may_begin=False)
    assert (held.operation, held.held) == (None, changes)


def test_what_a_set_asks_for_now_is_no_drift_of_a_managed_cluster_before_a_rollout_has_told_it() -> None:
    drifted = saw(drift=("maxSize of node group web is 3, and shall be 5",))
    assert plan(child(), drifted, info=EKS, told=False).operation is None
    mending = plan(child(), drifted, info=EKS, told=True).operation
    assert mending is not None
    assert (mending.type, mending.to_version) == (CHANGE, "v1.35.8")
    assert plan(child(), drifted, told=False).operation is not None, (
        "local planes compare with what they were made with"
    )


def test_a_cluster_that_atoll_only_watches_is_not_told_how_people_log_in() -> None:
    assert plan(TOLD_LOGIN, saw(authentication=""), info=WATCHED, authentication=LOGIN).operation is None


def test_a_change_of_logins_that_failed_waits_for_another_rollout() -> None:
    failed = operation(CHANGE, "v1.35.8", failed=True, rollout="s-1", message="no luck")
    subject = replace(TOLD_LOGIN, operation=failed)
    assert plan(subject, saw(authentication=""), authentication=LOGIN) == Work(operation=failed, reason="no luck")
    again = plan(replace(subject, rollout="s-2"), saw(authentication=""), authentication=LOGIN).operation
    assert again is not None
    assert (again.type, again.rollout) == (CHANGE, "s-2")


def test_an_intent_names_the_moment_the_child_and_the_rollout() -> None:
    assert plan(TOLD, saw()).operation == OperationStatus(
        id="change-20261121t120000-01234567",
        type=CHANGE,
        started_time=NOW,
        from_version="v1.35.8",
        to_version="v1.36.4",
        message="changing from v1.35.8 to v1.36.4",
        rollout="s-1",
    )


def test_a_revert_says_beforehand_what_it_costs() -> None:
    work = plan(child(revision="r1~~s-1"), saw("v1.36.4", revert_point=POINT))
    assert work.reason == "going back from v1.36.4 to v1.35.8: 12 writes would be lost"


def test_a_cluster_that_atoll_only_watches_is_changed_by_nobody() -> None:
    assert plan(TOLD, saw(), info=WATCHED).operation is None


def test_a_lost_cluster_is_told_with_what_to_do() -> None:
    work = plan(child(), NOTHING)
    assert (work.gone, "confirmRemoval" in work.lost, "UID pinned" in work.lost) == (True, True, True)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(None, (True, False, None), id="nobody has begun"),
        pytest.param(progress(CHANGE, OperationState.RUNNING, id="op-0"), (True, False, None), id="only an older one"),
        pytest.param(progress(CHANGE, OperationState.RUNNING), (False, False, None), id="running"),
        pytest.param(progress(CHANGE, OperationState.INTERRUPTED), (True, False, None), id="interrupted: resumed"),
        pytest.param(progress(CHANGE, OperationState.FAILED), (False, True, None), id="failed"),
        pytest.param(progress(CHANGE, OperationState.SUCCEEDED), (False, None, CHANGE), id="succeeded"),
    ],
)
def test_an_operation_is_followed_to_its_end(
    seen: OperationProgress | None, expected: tuple[bool, bool | None, OperationType | None]
) -> None:
    """(start it, it has failed or None when nothing is under way any more, what has ended well)."""
    work = plan(replace(TOLD, operation=operation(CHANGE)), saw(operation=seen))
    failed = work.operation.failed if work.operation is not None else None
    assert (work.start, failed, work.finished.type if work.finished else None) == expected
    assert work.operation is None or work.operation.id == "op-1", "as often as it takes, under one id"


def test_an_operation_under_way_is_left_alone_while_the_provider_cannot_be_asked() -> None:
    current = operation(CHANGE)
    work = plan(replace(TOLD, operation=current), SILENT)
    assert (work.operation, work.start) == (current, False)


def test_progress_never_goes_backwards() -> None:
    current = operation(CHANGE, steps_done=5)
    work = plan(replace(TOLD, operation=current), saw(operation=progress(CHANGE, OperationState.RUNNING)))
    assert work.operation is not None
    assert work.operation.steps_done == 5


@pytest.mark.parametrize(("failures", "pause"), [(0, 30), (1, 60), (3, 240), (9, 600)])
def test_a_create_that_failed_is_tried_again_ever_more_seldom(failures: int, pause: int) -> None:
    failed = operation(CREATE, "v1.35.8", failed=True, message="no disk")
    history = (freeze({"type": "Create", "result": "Failed"}),) * failures
    subject = replace(NEW, operation=failed, history=history)
    due = NOW + timedelta(seconds=pause)
    waiting = plan(subject, NOTHING, now=due - timedelta(seconds=1))
    assert (waiting.operation, waiting.wake, waiting.reason) == (failed, due, "no disk")
    again = plan(subject, NOTHING, now=due).operation
    assert again is not None
    assert (again.type, again.failed, again.id == failed.id) == (CREATE, False, False)


@pytest.mark.parametrize("kind", [CHANGE, REVERT])
def test_a_change_that_failed_waits_for_another_rollout(kind: OperationType) -> None:
    failed = operation(kind, "v1.36.4", failed=True, rollout="s-1", message="no luck")
    subject, view = (TOLD, saw()) if kind is CHANGE else (child("v1.36.4", revision="r1~~s-1"), saw("v1.37.1"))
    subject = replace(subject, rollout="s-1", operation=failed)
    much_later = NOW + timedelta(days=9)
    assert plan(subject, view, now=much_later) == Work(operation=failed, reason="no luck")
    again = plan(replace(subject, rollout="s-2"), view, now=much_later).operation
    assert again is not None
    assert (again.type, again.rollout, again.failed) == (kind, "s-2", False)


def test_a_failed_change_that_is_taken_back_is_forgotten() -> None:
    failed = operation(CHANGE, failed=True, rollout="s-1")
    assert plan(child(revision="r1~~s-1", rollout="s-1", operation=failed), saw()) == Work()


def test_a_deletion_has_ended_when_the_cluster_is_gone() -> None:
    deleting = child(deleting=True, deletion_policy=DeletionPolicy.DELETE, operation=operation(DELETE))
    work = plan(deleting, NOTHING)
    assert (work.gone, work.finished) == (True, deleting.operation)


def test_a_cluster_that_is_let_go_is_not_deleted_even_if_that_was_planned() -> None:
    deleting = child(deleting=True, deletion_policy=DeletionPolicy.DELETE)
    assert plan(deleting, saw(), orphan=True).operation is None
    planned = replace(deleting, operation=operation(DELETE))
    assert plan(planned, saw(), orphan=True) == Work(reason="its cluster is let go: nothing more is begun on it")


HOSTS = ProviderInfo(name="kubeadm", has_nodes=True, can_revert=False, uses_host_pool=True)


def test_a_change_that_failed_after_every_part_had_moved_is_kept_and_finished_by_the_next_rollout() -> None:
    failed = operation(OperationType.CHANGE, rollout="s-1", failed=True, from_version="v1.35.8", message="no answer")
    subject = replace(TOLD, operation=failed)
    arrived = saw("v1.36.4")

    kept = plan(subject, arrived, info=HOSTS)
    assert kept.operation == failed
    assert not kept.start

    tried = plan(replace(subject, rollout="s-2"), arrived, info=HOSTS).operation
    assert tried is not None
    assert (tried.type, tried.from_version, tried.to_version) == (OperationType.CHANGE, "v1.35.8", "v1.36.4")
    assert tried.message == "finishing the change to v1.36.4: no answer"

    verified = replace(subject, done_revision="r2")
    assert plan(verified, arrived, info=HOSTS).operation is None
