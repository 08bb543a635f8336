"""What EKS allows and refuses, and how things end, seen through the unmodified SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import (
    ConnectionClosedError,
)

from .core import run_cloud
from .eks import EksStandIn
from .eks_kit import (
    NODE_ROLE,
    ROLE,
    VPC,
    code_of,
    connect,
    every_page,
    find_addon,
    make_cluster,
    make_nodegroup,
    message_of,
    wait_cluster,
    wait_for,
    wait_nodegroup,
    wait_update,
)


@pytest.fixture
def cloud() -> Iterator[EksStandIn]:
    with run_cloud(EksStandIn()) as cloud:
        cloud.faults.seconds = 0.05
        yield cloud


@pytest.fixture
def eks(cloud: EksStandIn) -> Any:
    return connect(cloud)


def test_a_half_made_cluster_has_failed_and_can_be_deleted(cloud: EksStandIn, eks: Any) -> None:
    cloud.faults.fail("CreateCluster", "broken")
    eks.create_cluster(name="shop", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    failed = wait_cluster(eks, "shop", "FAILED")
    assert failed["health"]["issues"][0]["code"] == "InternalFailure"
    assert "endpoint" not in failed
    eks.delete_cluster(name="shop")
    wait_cluster(eks, "shop", "ABSENT")


def test_parts_and_updates_can_fail(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    cloud.faults.fail("CreateNodegroup", "broken")
    eks.create_nodegroup(clusterName="shop", nodegroupName="bad", nodeRole=NODE_ROLE, subnets=VPC["subnetIds"])
    wait_nodegroup(eks, "shop", "bad", "CREATE_FAILED")
    eks.delete_nodegroup(clusterName="shop", nodegroupName="bad")
    wait_nodegroup(eks, "shop", "bad", "ABSENT")
    cloud.faults.fail("UpdateClusterVersion", "broken")
    update = wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.36")["update"])
    assert (update["status"], update["errors"][0]["errorCode"]) == ("Failed", "Unknown")
    assert wait_cluster(eks, "shop")["version"] == "1.35"


def test_while_an_update_is_under_way_there_is_no_other(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    cloud.faults.seconds = 5
    eks.update_cluster_version(name="shop", version="1.36")
    protect = {"name": "shop", "deletionProtection": True}
    assert code_of(eks.update_cluster_config, **protect) == "ResourceInUseException"
    assert code_of(eks.delete_cluster, name="shop") == "ResourceInUseException"
    cloud.advance(5)
    update = eks.update_cluster_config(**protect)["update"]
    cloud.advance(5)
    assert wait_update(eks, "shop", update)["status"] == "Successful"
    assert code_of(eks.delete_cluster, name="shop") == "InvalidRequestException"


def test_one_kind_of_setting_at_a_time_and_none_that_is_so_already(eks: Any) -> None:
    make_cluster(eks, "shop")
    both = {"resourcesVpcConfig": {"endpointPrivateAccess": True}, "deletionProtection": True}
    assert message_of(eks.update_cluster_config, name="shop", **both) == "Only one type of update can be allowed."
    same = {"resourcesVpcConfig": {"endpointPublicAccess": True}}
    assert "already at the desired configuration" in message_of(eks.update_cluster_config, name="shop", **same)


def test_versions_go_one_minor_at_a_time_and_node_groups_follow(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop", "1.34")
    make_nodegroup(eks, "shop", "main")
    assert code_of(eks.update_cluster_version, name="shop", version="1.36") == "InvalidParameterException"
    assert code_of(eks.update_cluster_version, name="shop", version="1.99") == "InvalidParameterException"
    wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.35")["update"])
    assert "must be updated to match" in message_of(eks.update_cluster_version, name="shop", version="1.36")
    update = eks.update_nodegroup_version(clusterName="shop", nodegroupName="main", version="1.35")["update"]
    wait_update(eks, "shop", update, nodegroupName="main")
    wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.36")["update"])
    assert wait_cluster(eks, "shop")["version"] == "1.36"
    assert cloud.protests == []


def test_an_insight_that_says_error_stops_an_upgrade_that_is_not_forced(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    cloud.add_insight("shop", name="Deprecated APIs removed in Kubernetes v1.36", version="1.36", reason="in use")
    wanted = {"categories": ["UPGRADE_READINESS"], "statuses": ["ERROR"], "kubernetesVersions": ["1.36"]}
    (insight,) = eks.list_insights(clusterName="shop", filter=wanted)["insights"]
    assert insight["insightStatus"] == {"status": "ERROR", "reason": "in use"}
    assert code_of(eks.update_cluster_version, name="shop", version="1.36") == "InvalidStateException"
    update = eks.update_cluster_version(name="shop", version="1.36", force=True)["update"]
    assert wait_update(eks, "shop", update)["status"] == "Successful"


def test_a_rollback_goes_back_one_minor_once_after_its_node_groups(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    make_nodegroup(eks, "shop", "main")
    assert code_of(eks.update_cluster_version, name="shop", version="1.34") == "InvalidRequestException"
    wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.36")["update"])
    group = {"clusterName": "shop", "nodegroupName": "main"}
    forward = eks.update_nodegroup_version(**group)["update"]
    wait_update(eks, "shop", forward, nodegroupName="main")
    assert code_of(eks.update_cluster_version, name="shop", version="1.35") == "InvalidStateException"
    back = eks.update_nodegroup_version(**group, version="1.35")["update"]
    wait_update(eks, "shop", back, nodegroupName="main")
    update = eks.update_cluster_version(name="shop", version="1.35", rollbackConfig={"timeoutMinutes": 120})["update"]
    assert update["type"] == "VersionRollback"
    assert code_of(eks.cancel_update, name="shop", updateId=update["id"]) == "InvalidRequestException"
    assert wait_update(eks, "shop", update)["status"] == "Successful"
    assert wait_cluster(eks, "shop")["version"] == "1.35"
    assert code_of(eks.update_cluster_version, name="shop", version="1.34") == "InvalidRequestException"
    assert cloud.protests == []


def test_a_rollback_is_offered_for_seven_days(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    wait_update(eks, "shop", eks.update_cluster_version(name="shop", version="1.36")["update"])
    rollback = {"filter": {"categories": ["ROLLBACK_READINESS"]}}
    assert eks.list_insights(clusterName="shop", **rollback)["insights"]
    cloud.advance(7 * 86400 + 1)
    assert not eks.list_insights(clusterName="shop", **rollback)["insights"]
    assert "more than 7 days ago" in message_of(eks.update_cluster_version, name="shop", version="1.35")


def test_add_ons_fit_their_cluster_and_some_wait_for_nodes(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    wrong = {"clusterName": "shop", "addonName": "kube-proxy", "addonVersion": "v1.36.4-eksbuild.2"}
    assert code_of(eks.create_addon, **wrong) == "InvalidParameterException"
    assert code_of(eks.create_addon, clusterName="shop", addonName="solitaire") == "InvalidParameterException"
    for name in ("coredns", "vpc-cni"):
        eks.create_addon(clusterName="shop", addonName=name)
    wait_for(lambda: find_addon(eks, "shop", "vpc-cni")["status"], lambda status: status == "ACTIVE")
    degraded = wait_for(lambda: find_addon(eks, "shop", "coredns"), lambda addon: addon["status"] == "DEGRADED")
    assert degraded["health"]["issues"][0]["code"] == "InsufficientNumberOfReplicas"
    make_nodegroup(eks, "shop", "main")
    assert find_addon(eks, "shop", "coredns")["status"] == "ACTIVE"
    assert every_page(eks.list_addons, "addons", clusterName="shop") == [["coredns", "vpc-cni"]]
    assert cloud.protests == []


def test_what_controllers_left_outlives_the_cluster_and_is_found_by_its_tag(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    arns = sorted(
        cloud.leave_behind("shop", what)
        for what in ("load balancer k8s-shop-web", "network interface eni-0123", "volume vol-0123")
    )
    cloud.leave_behind("other", "volume vol-9")
    eks.delete_cluster(name="shop")
    wait_cluster(eks, "shop", "ABSENT")
    tagging = connect(cloud, "resourcegroupstaggingapi")
    owned = [{"Key": "kubernetes.io/cluster/shop", "Values": ["owned"]}]
    pages = list(tagging.get_paginator("get_resources").paginate(TagFilters=owned))
    assert [[one["ResourceARN"] for one in page["ResourceTagMappingList"]] for page in pages] == [arns[:2], arns[2:]]
    kinds = tagging.get_resources(TagFilters=owned, ResourceTypeFilters=["elasticloadbalancing:loadbalancer"])
    assert len(kinds["ResourceTagMappingList"]) == 1
    cloud.sweep("shop")
    assert tagging.get_resources(TagFilters=owned)["ResourceTagMappingList"] == []
    assert cloud.protests == []


def test_what_was_just_created_is_not_found_for_a_while_and_cannot_be_created_again(
    cloud: EksStandIn, eks: Any
) -> None:
    cloud.faults.hidden_seconds = 0.4
    eks.create_cluster(name="shop", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    assert code_of(eks.describe_cluster, name="shop") == "ResourceNotFoundException"
    assert eks.list_clusters()["clusters"] == []
    assert (
        code_of(eks.create_cluster, name="shop", roleArn=ROLE, resourcesVpcConfig=dict(VPC)) == "ResourceInUseException"
    )
    wait_cluster(eks, "shop")


def test_a_create_is_repeated_by_its_token_and_the_token_is_for_the_same_cluster_only(
    cloud: EksStandIn, eks: Any
) -> None:
    params = {"name": "shop", "roleArn": ROLE, "resourcesVpcConfig": dict(VPC), "clientRequestToken": "once"}
    cloud.faults.fail("CreateCluster", "cut")
    with pytest.raises(ConnectionClosedError):
        eks.create_cluster(**params)
    again = eks.create_cluster(**params)["cluster"]
    assert eks.create_cluster(**params)["cluster"]["createdAt"] == again["createdAt"]
    assert code_of(eks.create_cluster, **{**params, "version": "1.35"}) == "InvalidParameterException"
    wait_cluster(eks, "shop")
    parts = {"clusterName": "shop", "nodegroupName": "main", "nodeRole": NODE_ROLE, "subnets": VPC["subnetIds"]}
    arns = {eks.create_nodegroup(**parts, clientRequestToken="group")["nodegroup"]["nodegroupArn"] for _ in range(2)}
    assert len(arns) == 1
    assert code_of(eks.create_nodegroup, **parts) == "ResourceInUseException"
