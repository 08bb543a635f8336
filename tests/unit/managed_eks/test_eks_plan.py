"""The plan of EKS, told as stories in a tiny EKS that refuses what the real one refuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.ports import OperationType, Presence
from atoll.providers.eks.plan import plan
from atoll.providers.eks.seen import SeenGroup
from atoll.providers.eks.summary import summarise
from atoll.providers.managed.marks import ID, is_finished
from atoll.providers.managed.moves import Call, Done, Fail, Wait
from atoll.providers.managed.surroundings import Declared

from .world import BEGIN, SETTINGS, World, made, todo, want

CREATE, CHANGE, DELETE = OperationType.CREATE, OperationType.CHANGE, OperationType.DELETE
REPAIR, REVERT = OperationType.REPAIR, OperationType.REVERT


def declared(**changes: Any) -> Declared:
    labels = changes.pop("labels", {"stage": "prod"})
    return Declared(settings={**SETTINGS, **changes}, labels=labels)


def group(name: str, **changes: Any) -> SeenGroup:
    standard: dict[str, Any] = {
        "version": "1.35",
        "min_size": 1,
        "max_size": 3,
        "desired_size": 1,
        "arn": f"arn:{name}",
    }
    return SeenGroup(name=name, created=BEGIN, modified=BEGIN, **{**standard, **changes})


def test_a_create_from_nothing_makes_the_control_plane_first_and_coredns_last() -> None:
    world = World()
    assert world.run(want("v1.35"), todo(CREATE, "v1.35")) == Done()
    assert world.calls == [
        "create_cluster",
        "create_addon",
        "create_nodegroup",
        "create_addon",
        "create_addon",
        "tag_resource",
    ]
    seen = world.cluster
    assert [addon.name for addon in seen.addons] == ["vpc-cni", "kube-proxy", "coredns"]
    assert (seen.public, seen.private, seen.service_cidr) == (False, True, "10.96.0.0/16")
    assert (seen.tags["stage"], seen.tags[ID]) == ("prod", "c1")
    told = summarise(declared(), seen, world.now)
    assert (told.presence, told.version, told.drift, told.needs_repair) == (Presence.PRESENT, "v1.35", (), "")
    assert told.revert_point is None


def test_the_first_call_lets_atoll_in_as_the_clusters_maker_and_carries_its_marks() -> None:
    move = plan(want(), todo(CREATE), None, BEGIN)
    assert isinstance(move, Call)
    assert move.name == "create_cluster"
    arguments = dict(move.arguments)
    assert len(arguments.pop("clientRequestToken")) == 64
    tags = dict(arguments.pop("tags"))
    assert tags.pop("atoll-labels")
    assert tags == {"stage": "prod", "atoll-id": "c1", "atoll-operation": "create-1", "atoll-state": "create-begun"}
    assert arguments == {
        "name": "atoll-c1",
        "version": "1.36",
        "roleArn": SETTINGS["roleARN"],
        "resourcesVpcConfig": {
            "subnetIds": ["subnet-a", "subnet-b"],
            "endpointPublicAccess": False,
            "endpointPrivateAccess": True,
        },
        "kubernetesNetworkConfig": {"serviceIpv4Cidr": "10.96.0.0/16"},
        "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
    }
    assert plan(want(), todo(CREATE), None, BEGIN + timedelta(days=1)) == move, "the same call has the same token"
    assert plan(want(), todo(CREATE, number=2), None, BEGIN) != move


def test_an_upgrade_moves_control_plane_network_nodes_and_the_rest_in_this_order() -> None:
    two = ({**SETTINGS["nodeGroups"][0], "name": "large"}, *SETTINGS["nodeGroups"])
    world = made(nodeGroups=two)
    assert world.run(want("v1.36", nodeGroups=two), todo(CHANGE)) == Done()
    assert world.calls == [
        "tag_resource",
        "update_cluster_version",
        "update_addon",
        "update_nodegroup_version",
        "update_nodegroup_version",
        "update_addon",
        "update_addon",
        "tag_resource",
    ]
    seen = world.cluster
    assert (seen.version, {one.version for one in seen.groups}) == ("1.36", {"1.36"})
    assert [addon.version for addon in seen.addons] == [
        "v1.22.1-eksbuild.1",
        "v1.36.4-eksbuild.2",
        "v1.14.1-eksbuild.2",
    ]


def test_what_was_upgraded_can_be_taken_back_for_seven_days_nodes_and_addons_first() -> None:
    world = made()
    world.run(want("v1.36"), todo(CHANGE))
    world.calls.clear()
    point = summarise(declared(), world.cluster, world.now).revert_point
    assert point is not None
    assert (point.version, "no writes are lost" in point.message) == ("v1.35", True)
    assert world.run(want("v1.35"), todo(REVERT, "v1.35")) == Done()
    assert world.calls == [
        "tag_resource",
        "update_nodegroup_version",
        "update_addon",
        "update_addon",
        "update_cluster_version",
        "tag_resource",
    ], "vpc-cni runs with both, so it stays"
    seen = world.cluster
    assert (seen.version, seen.groups[0].version) == ("1.35", "1.35")
    told = summarise(declared(), seen, world.now)
    assert (told.revert_point, told.drift) == (None, ())


def test_after_seven_days_there_is_no_way_back() -> None:
    world = made()
    world.run(want("v1.36"), todo(CHANGE))
    world.now += timedelta(days=7)
    assert summarise(declared(), world.cluster, world.now).revert_point is None
    end = world.run(want("v1.35"), todo(REVERT, "v1.35"))
    assert isinstance(end, Fail)
    assert "within 7 days" in end.message


def test_nobody_goes_back_while_others_node_groups_are_newer() -> None:
    world = made()
    world.run(want("v1.36"), todo(CHANGE))
    world.set_groups(*world.cluster.groups, group("guests", version="1.36"))
    assert summarise(declared(), world.cluster, world.now).revert_point is None
    end = world.run(want("v1.35"), todo(REVERT, "v1.35"))
    assert isinstance(end, Fail)
    assert "guests" in end.message


def test_two_minor_versions_at_once_are_refused() -> None:
    world = made("v1.35")
    end = world.run(want("v1.37"), todo(CHANGE, "v1.37"))
    assert isinstance(end, Fail)
    assert "one minor version" in end.message
    assert world.calls == []


def test_nodes_that_lag_behind_catch_up_before_the_control_plane_goes_on() -> None:
    world = made("v1.35")
    world.change_group("small", version="1.34")
    assert world.run(want("v1.36"), todo(CHANGE)) == Done()
    assert world.calls[:3] == ["tag_resource", "update_nodegroup_version", "update_cluster_version"]


@pytest.mark.parametrize(
    ("changes", "calls", "drift"),
    [
        ({"endpointAccess": {"public": True}}, ["update_cluster_config"], "endpointAccess is public false"),
        ({"subnetIDs": ("subnet-a", "subnet-c")}, ["update_cluster_config"], "subnetIDs are subnet-a, subnet-b"),
        ({"nodeGroups": ()}, ["delete_nodegroup"], "node group small is there, and not declared any more"),
        (
            {"nodeGroups": ({**SETTINGS["nodeGroups"][0], "maxSize": 9, "minSize": 2},)},
            ["update_nodegroup_config"],
            "node group small has 1 to 3 nodes in EKS, and is declared with 2 to 9",
        ),
        (
            {"nodeGroups": ({**SETTINGS["nodeGroups"][0], "name": "new"},)},
            ["create_nodegroup", "delete_nodegroup"],
            "node group new is declared, and not there",
        ),
        ({"addons": ()}, ["delete_addon"] * 3, "add-on vpc-cni is there, and not declared any more"),
        (
            {"addons": (*SETTINGS["addons"][:2], {"name": "vpc-cni", "version": "v1.22.1-eksbuild.1"})},
            ["update_addon"],
            "add-on vpc-cni is v1.21.1-eksbuild.3 in EKS, and declared as v1.22.1-eksbuild.1",
        ),
        ({"labels": {"stage": "test"}}, ["tag_resource"] * 5, "tags of cluster atoll-c1 differ"),
        ({"labels": {}}, ["untag_resource"] * 5, "tags of cluster atoll-c1 differ"),
    ],
)
def test_each_drift_is_told_and_mended_and_gone_then(changes: dict[str, Any], calls: list[str], drift: str) -> None:
    world = made()
    assert summarise(declared(**changes), world.cluster, world.now).drift[0].startswith(drift)
    assert world.run(want("v1.35", **changes), todo(CHANGE, "v1.35")) == Done()
    assert world.calls == ["tag_resource", *calls, "tag_resource"]
    assert summarise(declared(**changes), world.cluster, world.now).drift == ()


def test_what_was_deleted_by_hand_is_drift_and_made_again() -> None:
    world = made()
    world.set_groups()
    world.set_addons(*world.cluster.addons[1:])
    assert summarise(declared(), world.cluster, world.now).drift == (
        "node group small is declared, and not there",
        "add-on vpc-cni is declared, and not there",
    )
    assert world.run(want("v1.35"), todo(REPAIR, "v1.35")) == Done()
    assert world.calls == ["tag_resource", "create_addon", "create_nodegroup", "tag_resource"]


def test_tags_groups_and_addons_of_others_are_left_alone() -> None:
    world = made()
    world.seen = replace(world.cluster, tags={**world.cluster.tags, "owner": "finance"})
    world.set_groups(*world.cluster.groups, group("guests"))
    assert world.run(want("v1.35", labels={}), todo(CHANGE, "v1.35")) == Done()
    assert world.cluster.tags["owner"] == "finance"
    assert "stage" not in world.cluster.tags
    assert [one.name for one in world.cluster.groups] == ["small", "guests"]


def test_a_newer_default_of_an_addon_alone_moves_nothing() -> None:
    world = made()
    world.change_addon("vpc-cni", version="v1.22.1-eksbuild.1")
    assert summarise(declared(), world.cluster, world.now).drift == ()
    assert world.run(want("v1.35"), todo(CHANGE, "v1.35")) == Done()
    assert world.calls == ["tag_resource"], "and what is newer than the default and fits is not taken back"


def test_a_cluster_that_eks_could_not_make_is_told_then_deleted_and_made_anew() -> None:
    world = World(fail="create_cluster")
    end = world.run(want("v1.35"), todo(CREATE, "v1.35"))
    assert isinstance(end, Fail)
    assert "no room" in end.message
    assert summarise(declared(), world.cluster, world.now).presence is Presence.PARTIAL
    assert world.run(want("v1.35"), todo(CREATE, "v1.35", 2)) == Done()
    assert world.calls[:3] == ["create_cluster", "delete_cluster", "create_cluster"]


def test_a_cluster_that_failed_after_it_was_done_is_never_deleted_by_a_create() -> None:
    world = made()
    world.seen = replace(world.cluster, status="FAILED")
    assert isinstance(world.run(want("v1.35"), todo(CREATE, "v1.35", 2)), Fail)
    assert world.calls == []
    told = summarise(declared(), world.cluster, world.now)
    assert (told.presence, "FAILED" in told.needs_repair) == (Presence.PRESENT, True)


@pytest.mark.parametrize("call", ["create_nodegroup", "create_addon", "update_cluster_version", "update_addon"])
def test_what_fails_later_ends_the_operation_with_ekss_words_and_the_next_one_goes_on(call: str) -> None:
    create = call.startswith("create")
    world = World() if create else made()
    kind, version = (CREATE, "v1.35") if create else (CHANGE, "v1.36")
    world.fail = call
    end = world.run(want(version), todo(kind, version))
    assert isinstance(end, Fail), end
    assert "Mend what it names" in end.message
    assert world.run(want(version), todo(kind, version, 2)) == Done()


def test_nodes_that_cannot_be_drained_end_the_change_with_ekss_words() -> None:
    world = made()
    world.fail = "update_nodegroup_version"
    end = world.run(want("v1.36"), todo(CHANGE))
    assert isinstance(end, Fail)
    assert "PodEvictionFailure: a budget" in end.message
    assert summarise(declared(), world.cluster, world.now).drift == (
        "node group small runs 1.35, and the control plane 1.36",
    )
    assert world.run(want("v1.36"), todo(CHANGE, number=2)) == Done()


def test_a_group_that_lost_what_it_is_made_of_is_made_anew_and_a_group_that_heals_is_not_touched() -> None:
    world = made()
    world.change_group("small", status="DEGRADED", issues=(("AutoScalingGroupNotFound", "gone"),))
    assert "a repair makes it anew" in summarise(declared(), world.cluster, world.now).needs_repair
    assert world.run(want("v1.35"), todo(REPAIR, "v1.35")) == Done()
    assert world.calls == ["tag_resource", "delete_nodegroup", "create_nodegroup", "tag_resource"]
    world.change_group("small", status="DEGRADED", issues=(("InsufficientFreeAddresses", "no address"),))
    world.calls.clear()
    end = world.run(want("v1.35"), todo(REPAIR, "v1.35", 2))
    assert isinstance(end, Fail)
    assert "no address" in end.message
    assert world.calls == []


def test_a_delete_takes_the_groups_first_and_ends_when_nothing_is_there() -> None:
    world = made()
    world.set_groups(*world.cluster.groups, group("guests"))
    assert world.run(want("v1.35"), todo(DELETE, "v1.35")) == Done()
    assert world.calls == ["delete_nodegroup", "delete_nodegroup", "delete_cluster"]
    assert world.seen is None


def test_what_holds_up_a_deletion_is_named_and_the_deletion_tried_again() -> None:
    world = made()
    issue = ("Ec2SecurityGroupDeletionFailure", "Ec2SecurityGroupDeletionFailure: in use (eni-1)")
    world.change_group("small", status="DELETE_FAILED", modified=world.now, issues=(issue,))
    move = plan(want("v1.35"), todo(DELETE, "v1.35"), world.seen, world.now + timedelta(seconds=5))
    assert isinstance(move, Wait)
    assert "eni-1" in move.message
    again = plan(want("v1.35"), todo(DELETE, "v1.35"), world.seen, world.now + timedelta(minutes=2))
    assert isinstance(again, Call)
    assert again.name == "delete_nodegroup"


def test_a_deletion_that_somebody_protects_from_is_refused() -> None:
    world = made()
    world.seen = replace(world.cluster, deletion_protection=True)
    end = world.run(want("v1.35"), todo(DELETE, "v1.35"))
    assert isinstance(end, Fail)
    assert "deletion protection" in end.message


def test_what_somebody_else_deletes_is_unknown_and_not_made_again() -> None:
    world = made()
    world.seen = replace(world.cluster, status="DELETING")
    assert summarise(declared(), world.cluster, world.now).presence is Presence.UNKNOWN
    assert isinstance(plan(want("v1.35"), todo(CHANGE, "v1.35"), None, world.now), Fail)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(),
    start=st.sampled_from(["v1.35", "v1.36"]),
    sizes=st.integers(1, 3),
    names=st.sets(st.sampled_from(["a", "b", "c"]), max_size=3),
    kept=st.sets(st.sampled_from(["a", "b", "c"]), max_size=3),
    addons=st.sets(st.sampled_from(["vpc-cni", "coredns", "kube-proxy"])),
)
def test_from_anywhere_every_operation_ends_and_breaks_no_rule(
    data: st.DataObject, start: str, sizes: int, names: set[str], kept: set[str], addons: set[str]
) -> None:
    def groups(chosen: set[str], most: int) -> tuple[dict[str, Any], ...]:
        return tuple({**SETTINGS["nodeGroups"][0], "name": name, "maxSize": most} for name in sorted(chosen))

    chosen = tuple({"name": name} for name in sorted(addons))
    world = made(start, nodeGroups=groups(names, 3), addons=chosen)
    for one in world.cluster.groups:
        if data.draw(st.booleans()):
            world.change_group(one.name, status=data.draw(st.sampled_from(["CREATING", "UPDATING", "ACTIVE"])))
    # A cut changes nothing for a plan: it only looks at what is there.
    cuts = data.draw(st.lists(st.booleans(), max_size=30))
    wanted = want("v1.36", nodeGroups=groups(kept, 2 + sizes))
    change = todo(CHANGE)
    assert world.run(wanted, change, cut=lambda: bool(cuts) and cuts.pop()) == Done()
    seen = world.cluster
    assert is_finished(seen.tags, change)
    assert (seen.version, {one.name for one in seen.groups}) == ("1.36", kept)
    assert summarise(declared(nodeGroups=groups(kept, 2 + sizes)), seen, world.now).drift == ()
    world.calls.clear()
    assert world.run(wanted, replace(change, id="again")) == Done()
    assert world.calls == ["tag_resource"], "a second run changes nothing"
    assert world.run(wanted, todo(DELETE)) == Done()
    assert world.calls[-1] == "delete_cluster"
