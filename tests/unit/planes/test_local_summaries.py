"""What the local provider says of what was seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from atoll.planes.operations import begin_journal
from atoll.planes.values import ObservedPlane, PlaneSpec, PlaneState, Ports, Role, Wanted
from atoll.ports import ObservedCluster, Operation, OperationState, OperationType, Presence
from atoll.providers.local import check_hop, summarise_plane

SPEC = PlaneSpec(id="c1", name="web", version="v1.35.8", pod_cidr="10.0.0.0/16", service_cidr="10.1.0.0/20")
STATE = PlaneState(spec=SPEC, ports=Ports(api=23000, etcd=23001, etcd_peer=23002), created=True)
PLANE = ObservedPlane(id="c1", exists=True, state=STATE, served_version="v1.35.8", ready=True)
CHANGE = Operation(id="op", type=OperationType.CHANGE, to_version="v1.36.4")
RUNNING = begin_journal(CHANGE)


def state_of(plane: ObservedPlane, running: Operation | None) -> OperationState | None:
    operation = summarise_plane(plane, running).operation
    return operation.state if operation else None


def test_a_plane_in_order_is_present() -> None:
    assert summarise_plane(PLANE, None) == ObservedCluster(
        presence=Presence.PRESENT, version="v1.35.8", endpoint="https://127.0.0.1:23000", authentication=""
    )


def test_a_file_changed_by_hand_is_drift_unless_an_operation_writes_it_now() -> None:
    touched = replace(PLANE, authentication="d", drift=("it was changed by hand",))
    seen = summarise_plane(touched, None)
    assert (seen.authentication, seen.drift) == ("d", ("it was changed by hand",))
    assert summarise_plane(touched, CHANGE).drift == ()


def test_no_folder_is_absent_and_an_unfinished_create_or_delete_is_partial() -> None:
    delete = begin_journal(Operation(id="d", type=OperationType.DELETE, to_version=""))
    assert summarise_plane(ObservedPlane(id="c1", exists=False), None) == ObservedCluster(presence=Presence.ABSENT)
    assert summarise_plane(ObservedPlane(id="c1", exists=True), None).presence is Presence.PARTIAL
    assert summarise_plane(replace(PLANE, state=replace(STATE, created=False)), None).presence is Presence.PARTIAL
    assert summarise_plane(replace(PLANE, journal=delete), None).presence is Presence.PARTIAL


def test_an_operation_is_interrupted_when_nobody_works_on_it() -> None:
    plane = replace(PLANE, journal=RUNNING)
    assert state_of(plane, None) is OperationState.INTERRUPTED
    assert state_of(plane, CHANGE) is OperationState.RUNNING
    assert state_of(replace(plane, locked=True), None) is OperationState.RUNNING
    done = replace(RUNNING, state=OperationState.SUCCEEDED)
    assert state_of(replace(plane, journal=done), None) is OperationState.SUCCEEDED


def test_an_operation_that_waits_for_its_turn_is_running_with_nothing_done() -> None:
    operation = summarise_plane(replace(PLANE, journal=replace(RUNNING, id="older")), CHANGE).operation
    assert operation is not None
    assert (operation.id, operation.state, operation.steps_done) == ("op", OperationState.RUNNING, 0)


def test_a_dead_process_needs_a_repair_and_a_slow_one_does_not() -> None:
    dead = replace(PLANE, missing=(Role.ETCD, Role.API_SERVER))
    slow = replace(PLANE, ready=False, message="127.0.0.1:23000 does not answer: no answer in time")
    assert summarise_plane(dead, None).needs_repair == (
        "etcd, kube-apiserver are not running: a repair starts what is missing"
    )
    assert summarise_plane(slow, None).needs_repair == ""
    assert summarise_plane(slow, None).message == "127.0.0.1:23000 does not answer: no answer in time"


def test_a_stopped_plane_says_that_it_was_stopped() -> None:
    stopped = replace(PLANE, state=replace(STATE, wanted=Wanted.STOPPED), missing=tuple(Role))
    assert "stopped by request" in summarise_plane(stopped, None).needs_repair


def test_what_a_drill_has_left_is_repaired_unless_the_drill_itself_goes_on() -> None:
    left = replace(PLANE, drill_left=True)
    assert summarise_plane(left, None).needs_repair == (
        "a drill has left its throw-away plane behind: a repair removes it"
    )
    drill = begin_journal(Operation(id="d", type=OperationType.DRILL, to_version="v1.35.8"))
    assert summarise_plane(replace(left, journal=drill), None).needs_repair == ""
    assert summarise_plane(replace(left, missing=(Role.ETCD,)), None).needs_repair.startswith("etcd is not running")


def test_during_an_operation_nothing_is_to_be_repaired() -> None:
    assert summarise_plane(replace(PLANE, missing=(Role.ETCD,), journal=RUNNING), CHANGE).needs_repair == ""


@pytest.mark.parametrize(
    ("served", "target", "words"),
    [
        ("v1.35.8", "v1.36.4", ""),
        ("v1.35.8", "v1.35.9", ""),
        ("v1.34.1", "v1.36.4", "v1.36.4 is 2 minors ahead of v1.34.1: go through v1.35 first"),
        ("v1.36.4", "v1.35.8", "v1.35.8 is older than v1.36.4, which runs: only a revert goes back"),
    ],
)
def test_a_hop_is_one_minor_forward_at_most(served: str, target: str, words: str) -> None:
    assert "".join(finding.message for finding in check_hop(served, target)) == words
