"""What an operation on GKE does next, told as stories over a cluster of plain values."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.errors import BadInput
from atoll.ports import OperationType, Presence
from atoll.providers.gke.check import check_operation
from atoll.providers.gke.summary import summarise_cluster
from atoll.providers.managed.marks import read_marks
from atoll.providers.managed.moves import Call, Done, Fail, Wait
from atoll.providers.managed.surroundings import Declared

from .world import BUILDS, NOW, SETTINGS, World, build_operation, build_wanted, make, minor_of

CREATE, CHANGE, REPAIR, DELETE = (
    OperationType.CREATE,
    OperationType.CHANGE,
    OperationType.REPAIR,
    OperationType.DELETE,
)


def find_drift(world: World, **fields: Any) -> tuple[str, ...]:
    seen = world.see()
    assert seen is not None
    wanted = build_wanted(**fields)
    return summarise_cluster(Declared(settings=wanted.settings, labels=wanted.labels), seen, NOW).drift


def test_a_create_from_nothing_is_two_calls() -> None:
    world = World()
    assert world.run(build_wanted(), build_operation(CREATE)) == Done(total=8)
    assert world.calls == ["create_cluster", "set_labels"]
    assert find_drift(world) == ()


def test_the_create_call_says_everything_at_once() -> None:
    move = World().decide(build_wanted(), build_operation(CREATE))
    assert isinstance(move, Call)
    front = {
        "name": "front",
        "initialNodeCount": 1,
        "config": {
            "machineType": "e2-standard-4",
            "oauthScopes": [
                "https://www.googleapis.com/auth/devstorage.read_only",
                "https://www.googleapis.com/auth/logging.write",
                "https://www.googleapis.com/auth/monitoring.write",
            ],
            "resourceLabels": {"atoll-id": "k7f2m9"},
            "workloadMetadataConfig": {"mode": "GKE_METADATA"},
        },
        "autoscaling": {
            "enabled": True,
            "totalMinNodeCount": 1,
            "totalMaxNodeCount": 3,
            "locationPolicy": "BALANCED",
        },
        "management": {"autoUpgrade": False, "autoRepair": True},
        "upgradeSettings": {"strategy": "SURGE", "maxSurge": 1, "maxUnavailable": 0},
    }
    batch = copy.deepcopy(front)
    batch["name"] = "batch"
    batch["config"]["machineType"] = "c3-standard-8"  # type: ignore[index]
    batch["autoscaling"].update(totalMinNodeCount=0, totalMaxNodeCount=10)  # type: ignore[attr-defined]
    assert move.arguments == {
        "parent": "projects/fleet-1/locations/europe-west1",
        "cluster": {
            "name": "atoll-k7f2m9",
            "initialClusterVersion": "1.35",
            "releaseChannel": {"channel": "UNSPECIFIED"},
            "network": "default",
            "subnetwork": "default",
            "ipAllocationPolicy": {
                "useIpAliases": True,
                "clusterIpv4CidrBlock": "10.128.0.0/16",
                "servicesIpv4CidrBlock": "10.129.0.0/20",
            },
            "controlPlaneEndpointsConfig": {"ipEndpointsConfig": {"enabled": True, "enablePublicEndpoint": False}},
            "workloadIdentityConfig": {"workloadPool": "fleet-1.svc.id.goog"},
            "maintenancePolicy": {
                "window": {
                    "maintenanceExclusions": {
                        "atoll": {
                            "startTime": "2026-11-22T00:00:00Z",
                            "endTime": "2026-12-21T00:00:00Z",
                            "maintenanceExclusionOptions": {"scope": "NO_UPGRADES"},
                        }
                    }
                }
            },
            "resourceLabels": {
                "cost-centre": "42",
                "atoll-labels": "f22bfd",
                "atoll-id": "k7f2m9",
                "atoll-operation": "op-1",
                "atoll-state": "create-begun",
            },
            "nodePools": [front, batch],
        },
    }


def test_the_same_call_stays_the_same_call_the_whole_day() -> None:
    wanted, operation = build_wanted(), build_operation(CREATE)
    assert World().decide(wanted, operation, NOW) == World().decide(wanted, operation, NOW.replace(hour=23))


@pytest.mark.parametrize("status", ["PROVISIONING", "RECONCILING", "STOPPING"])
@pytest.mark.parametrize("kind", [CREATE, CHANGE, REPAIR, DELETE])
def test_while_gke_is_at_work_nothing_is_called(status: str, kind: OperationType) -> None:
    world = make()
    world.cluster.update(status=status, statusMessage="Setting up.")
    move = world.decide(build_wanted(), build_operation(kind))
    assert isinstance(move, Wait)
    assert move.message == "Setting up."


def test_a_change_moves_the_control_plane_then_pool_by_pool_and_writes_it_down_last() -> None:
    world = make()
    assert world.run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36")) == Done(total=7)
    assert world.calls == ["update_master", "update_node_pool", "update_node_pool", "set_labels"]
    told = read_marks(world.cluster["resourceLabels"])
    assert told is not None
    assert (told.id, told.type, told.steps_done) == ("op-1", CHANGE, 7)


def test_pools_that_have_not_followed_the_last_hop_follow_before_the_next_one() -> None:
    world = make()
    for pool in world.cluster["nodePools"]:
        pool["version"] = BUILDS[34]
    world.run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36"))
    assert world.calls == [*["update_node_pool"] * 2, "update_master", *["update_node_pool"] * 2, "set_labels"]


def test_two_minor_versions_at_once_are_refused() -> None:
    move = make("v1.34").run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36"))
    assert isinstance(move, Fail)
    assert "one minor version at a time" in move.message
    assert "Write spec.version: v1.35 first" in move.message


def test_a_pool_of_others_that_holds_up_a_hop_is_named_and_not_touched() -> None:
    world = make()
    theirs = {**copy.deepcopy(world.pool("front")), "name": "theirs", "version": BUILDS[33]}
    theirs["config"]["resourceLabels"] = {}
    world.cluster["nodePools"].append(theirs)
    wanted, operation = build_wanted("v1.36"), build_operation(CHANGE, "v1.36")
    move = world.run(wanted, operation)
    assert isinstance(move, Fail)
    assert "node pool theirs, which Atoll did not make, runs v1.33.11" in move.message
    assert world.calls == []
    assert [finding.reason for finding in check_operation(wanted, operation, world.see())] == ["NodePoolBehind"]


def test_a_pool_follows_a_patch_only_where_a_patch_is_asked_for() -> None:
    world = make("v1.36")
    world.pool("front")["version"] = "1.36.2-gke.1"
    assert find_drift(world) == ()
    assert world.run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36")) == Done(total=7)
    assert world.calls == ["set_labels"]
    world.run(build_wanted("v1.36.4"), build_operation(CHANGE, "v1.36.4", 2))
    assert world.pool("front")["version"] == BUILDS[36]


def test_what_gke_could_not_make_is_removed_and_made_anew() -> None:
    world = World()
    create = world.decide(build_wanted(), build_operation(CREATE))
    assert isinstance(create, Call)
    world.apply(create)
    world.cluster.update(status="ERROR", statusMessage="No quota.")
    seen = world.see()
    assert seen is not None
    told = summarise_cluster(Declared(settings=SETTINGS), seen, NOW)
    assert told.presence is Presence.PARTIAL
    world.run(build_wanted(), build_operation(CREATE))
    assert world.calls == ["create_cluster", "delete_cluster", "create_cluster", "set_labels"]


@pytest.mark.parametrize("kind", [CREATE, CHANGE, REPAIR])
def test_a_finished_cluster_that_gke_cannot_use_any_more_is_never_removed(kind: OperationType) -> None:
    world = make()
    world.cluster.update(status="ERROR", statusMessage="Gone bad.")
    move = world.run(build_wanted(), build_operation(kind))
    assert isinstance(move, Fail)
    assert "Gone bad." in move.message
    assert world.calls == []


def test_a_cluster_that_somebody_else_removes_is_neither_absent_nor_made_again() -> None:
    world = make()
    world.cluster["status"] = "STOPPING"
    seen = world.see()
    assert seen is not None
    assert summarise_cluster(Declared(settings=SETTINGS), seen, NOW).presence is Presence.UNKNOWN


def test_a_pool_that_cannot_be_used_is_removed_and_made_anew() -> None:
    world = make()
    world.pool("front").update(status="ERROR", statusMessage="No machines.")
    assert world.run(build_wanted(), build_operation(REPAIR)) == Done(total=3)
    assert world.calls == ["delete_node_pool", "create_node_pool", "set_labels"]


def test_a_repair_that_has_nothing_to_try_says_what_gke_says() -> None:
    world = make()
    world.pool("front").update(status="RUNNING_WITH_ERROR", statusMessage="Its account was deleted.")
    move = world.run(build_wanted(), build_operation(REPAIR))
    assert isinstance(move, Fail)
    assert "Its account was deleted." in move.message


def test_a_delete_is_one_call_and_done_when_nothing_is_seen() -> None:
    world = make()
    assert world.run(build_wanted(), build_operation(DELETE)) == Done(total=1)
    assert world.calls == ["delete_cluster"]


def test_a_finished_operation_is_not_begun_again() -> None:
    world = make()
    world.run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36"))
    world.calls.clear()
    assert isinstance(world.run(build_wanted("v1.36"), build_operation(CHANGE, "v1.36")), Done)
    assert world.calls == []


def test_nothing_is_ever_taken_back() -> None:
    for kind in (OperationType.REVERT, OperationType.DRILL):
        assert isinstance(make().run(build_wanted(), build_operation(kind)), Fail)


def test_a_block_that_cannot_be_used_names_the_field() -> None:
    with pytest.raises(BadInput) as refused:
        World().decide(build_wanted(settings={"project": "fleet-1"}), build_operation(CREATE))
    assert refused.value.field == "spec.provider.gke.location"


CHANNELS = st.sampled_from(["UNSPECIFIED", "RAPID", "REGULAR", "STABLE", "EXTENDED"])
STATES = st.sampled_from(["RUNNING", "RUNNING_WITH_ERROR", "ERROR"])


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """A cluster as people, GKE and half-done operations may leave it."""
    world = make(f"v1.{draw(st.integers(34, 36))}")
    master = minor_of(world.cluster["currentMasterVersion"])
    channel = draw(CHANNELS)
    world.cluster["releaseChannel"] = {"channel": channel}
    scoped = channel != "UNSPECIFIED" and draw(st.booleans())
    exclusion = world.cluster["maintenancePolicy"]["window"]["maintenanceExclusions"]["atoll"]
    exclusion["maintenanceExclusionOptions"] = {"scope": "NO_MINOR_UPGRADES" if scoped else "NO_UPGRADES"}
    if draw(st.booleans()):
        world.cluster["maintenancePolicy"] = {}
    if draw(st.booleans()):
        world.cluster["nodePools"].append({**copy.deepcopy(world.pool("front")), "name": "left"})
    for pool in list(world.cluster["nodePools"]):
        pool["version"] = BUILDS[draw(st.integers(max(33, master - 2), master))]
        pool["status"] = draw(STATES)
        pool["management"] = {"autoUpgrade": channel != "UNSPECIFIED" or draw(st.booleans()), "autoRepair": True}
        if draw(st.booleans()):
            pool["autoscaling"] = {"enabled": True, "minNodeCount": 1, "maxNodeCount": 2}
        if draw(st.booleans()):
            pool["config"]["machineType"] = "e2-micro"
        if draw(st.booleans()):
            pool["upgradeSettings"] = {"strategy": "BLUE_GREEN"}
        if pool["name"] == "batch" and draw(st.booleans()):
            world.cluster["nodePools"].remove(pool)
    if draw(st.booleans()):
        world.cluster["resourceLabels"]["team"] = "search"
    return world


@given(world=worlds(), hop=st.integers(0, 1), channel=st.sampled_from(["", "None", "Rapid", "Stable"]))
def test_from_anywhere_a_change_ends_where_nothing_differs(world: World, hop: int, channel: str) -> None:
    """What GKE would refuse fails in the world: two minors at once, pools newer than the control plane, and so on."""
    version = f"v1.{minor_of(world.cluster['currentMasterVersion']) + hop}"
    settings = {**SETTINGS, **({"releaseChannel": channel} if channel else {})}
    ended = world.run(build_wanted(version, settings=settings), build_operation(CHANGE, version))
    assert isinstance(ended, Done)
    assert find_drift(world, settings=settings) == ()
    assert {pool["name"] for pool in world.cluster["nodePools"]} == {"front", "batch"}
    assert {minor_of(pool["version"]) for pool in world.cluster["nodePools"]} == {int(version.split(".")[1])}
    assert "delete_cluster" not in world.calls
    assert world.calls[-1] == "set_labels"
    assert world.calls.count("set_labels") == 1
    assert "team" not in world.cluster["resourceLabels"] or world.cluster["resourceLabels"]["team"] == "search"


@given(world=worlds())
def test_whatever_is_told_as_drift_is_what_a_change_does(world: World) -> None:
    version = f"v1.{minor_of(world.cluster['currentMasterVersion'])}"
    drift = find_drift(world)
    world.run(build_wanted(version), build_operation(CHANGE, version))
    assert bool(drift) == (world.calls != ["set_labels"])
