"""The unmodified SDK of AWS against the EKS stand-in."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ParamValidationError,
    ReadTimeoutError,
)

from .core import run_cloud
from .eks import ATOLL, EksStandIn
from .eks_kit import (
    NODE_ROLE,
    ROLE,
    VPC,
    code_of,
    connect,
    every_page,
    fetch,
    find_addon,
    make_cluster,
    make_nodegroup,
    message_of,
    wait_cluster,
    wait_for,
    wait_nodegroup,
    wait_update,
)
from .faults import How


@pytest.fixture
def cloud() -> Iterator[EksStandIn]:
    with run_cloud(EksStandIn()) as cloud:
        cloud.faults.seconds = 0.05
        yield cloud


@pytest.fixture
def eks(cloud: EksStandIn) -> Any:
    return connect(cloud)


def call_raw(cloud: EksStandIn, method: str, path: str, body: Any) -> tuple[int, dict[str, Any]]:
    """Make a signed call that no SDK would make."""
    content = json.dumps(body).encode()
    request = AWSRequest(method, f"{cloud.url}{path}", {"Content-Type": "application/json"}, content)
    SigV4Auth(Credentials(ATOLL.access_key, ATOLL.secret_key), "eks", cloud.region).add_auth(request)
    prepared = request.prepare()
    asked = urllib.request.Request(prepared.url, content, dict(prepared.headers.items()), method=method)
    status, text = fetch(asked)
    return status, json.loads(text)


def test_a_cluster_lives_from_create_to_delete_and_nothing_is_protested(cloud: EksStandIn, eks: Any) -> None:
    cluster = make_cluster(
        eks, "shop", tags={"team": "a"}, logging={"clusterLogging": [{"types": ["api"], "enabled": True}]}
    )
    assert cluster["endpoint"].startswith("https://127.0.0.1:")
    make_nodegroup(eks, "shop", "main", scalingConfig={"minSize": 1, "maxSize": 4, "desiredSize": 2})
    for change in (
        {"scalingConfig": {"desiredSize": 3}},
        {"labels": {"addOrUpdateLabels": {"tier": "web"}}},
        {"taints": {"addOrUpdateTaints": [{"key": "only", "value": "web", "effect": "NO_SCHEDULE"}]}},
    ):
        update = eks.update_nodegroup_config(clusterName="shop", nodegroupName="main", **change)["update"]
        assert wait_update(eks, "shop", update, nodegroupName="main")["status"] == "Successful"
    group = eks.describe_nodegroup(clusterName="shop", nodegroupName="main")["nodegroup"]
    assert (group["scalingConfig"]["desiredSize"], group["labels"], len(group["taints"])) == (3, {"tier": "web"}, 1)
    eks.create_addon(clusterName="shop", addonName="coredns", addonVersion="v1.13.1-eksbuild.1")
    wait_for(lambda: find_addon(eks, "shop", "coredns"), lambda addon: addon["status"] == "ACTIVE")
    update = eks.update_addon(clusterName="shop", addonName="coredns", addonVersion="v1.14.1-eksbuild.2")["update"]
    assert wait_update(eks, "shop", update, addonName="coredns")["status"] == "Successful"
    update = eks.update_cluster_config(
        name="shop", resourcesVpcConfig={"endpointPublicAccess": False, "endpointPrivateAccess": True}
    )["update"]
    assert wait_update(eks, "shop", update)["type"] == "EndpointAccessUpdate"
    eks.tag_resource(resourceArn=cluster["arn"], tags={"regime": "pci"})
    eks.untag_resource(resourceArn=cluster["arn"], tagKeys=["team"])
    assert eks.list_tags_for_resource(resourceArn=cluster["arn"])["tags"] == {"regime": "pci"}
    assert eks.start_insights_refresh(clusterName="shop")["status"] == "IN_PROGRESS"
    wait_for(lambda: eks.describe_insights_refresh(clusterName="shop")["status"], lambda seen: seen == "COMPLETED")
    insight = eks.list_insights(clusterName="shop")["insights"][0]
    assert eks.describe_insight(clusterName="shop", id=insight["id"])["insight"]["name"] == insight["name"]
    assert eks.list_updates(name="shop", addonName="coredns")["updateIds"]
    eks.delete_addon(clusterName="shop", addonName="coredns")
    assert code_of(eks.delete_cluster, name="shop") == "ResourceInUseException"
    eks.delete_nodegroup(clusterName="shop", nodegroupName="main")
    wait_nodegroup(eks, "shop", "main", "ABSENT")
    assert eks.delete_cluster(name="shop")["cluster"]["status"] == "DELETING"
    wait_cluster(eks, "shop", "ABSENT")
    assert code_of(eks.delete_cluster, name="shop") == "ResourceNotFoundException"
    assert cloud.protests == []


def test_lists_come_in_pages_of_two(cloud: EksStandIn, eks: Any) -> None:
    for name in ("a", "b", "c", "d", "e"):
        eks.create_cluster(name=name, roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    assert every_page(eks.list_clusters, "clusters") == [["a", "b"], ["c", "d"], ["e"]]
    found = eks.get_paginator("list_clusters").paginate(maxResults=1)
    assert [page["clusters"] for page in found] == [["a"], ["b"], ["c"], ["d"], ["e"]]
    versions = every_page(eks.describe_cluster_versions, "clusterVersions")
    assert [[one["clusterVersion"] for one in page] for page in versions] == [["1.33", "1.34"], ["1.35", "1.36"]]
    addons = every_page(eks.describe_addon_versions, "addons", kubernetesVersion="1.36")
    assert [[one["addonName"] for one in page] for page in addons] == [
        ["aws-ebs-csi-driver", "coredns"],
        ["kube-proxy", "metrics-server"],
        ["vpc-cni"],
    ]
    assert code_of(eks.list_clusters, nextToken="forged") == "InvalidParameterException"
    assert cloud.protests == []


def test_every_second_call_is_throttled_with_a_time_to_come_back_and_the_sdk_gets_through(cloud: EksStandIn) -> None:
    cloud.faults.throttle_every = 1
    cloud.faults.retry_after_seconds = 3
    with pytest.raises(ClientError) as caught:
        connect(cloud).list_clusters()
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ThrottlingException", 429)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "3"
    cloud.faults.throttle_every = 2
    patient = connect(cloud, retries={"mode": "standard", "total_max_attempts": 4})
    start = len(cloud.calls)
    assert [patient.list_clusters()["clusters"] for _ in range(3)] == [[], [], []]
    statuses = [call.status for call in cloud.calls[start:]]
    assert (statuses.count(200), set(statuses)) == (3, {200, 429})


@pytest.mark.parametrize(
    ("how", "code", "status"),
    [
        ("throttled", "ThrottlingException", 429),
        ("unavailable", "ServiceUnavailableException", 503),
        ("error", "ServerException", 500),
        ("denied", "AccessDeniedException", 403),
        ("quota", "ResourceLimitExceededException", 400),
        ("conflict", "ResourceInUseException", 409),
        ("invalid", "InvalidParameterException", 400),
    ],
)
def test_faults_look_as_those_of_eks(cloud: EksStandIn, eks: Any, how: How, code: str, status: int) -> None:
    cloud.faults.fail("CreateCluster", how)
    with pytest.raises(ClientError) as caught:
        eks.create_cluster(name="shop", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    answer = caught.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, status)
    assert eks.list_clusters()["clusters"] == []
    assert cloud.protests == []


def test_a_missing_permission_is_named_with_action_and_resource(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    cloud.faults.fail("DeleteNodegroup", "denied")
    assert message_of(eks.delete_nodegroup, clusterName="shop", nodegroupName="main") == (
        "User: arn:aws:iam::111122223333:user/atoll is not authorized to perform: eks:DeleteNodegroup "
        "on resource: arn:aws:eks:eu-west-1:111122223333:nodegroup/shop/main/*"
    )


def test_lost_and_hanging_calls_do_nothing(cloud: EksStandIn) -> None:
    eks = connect(cloud, read_timeout=0.3)
    cloud.faults.fail("CreateCluster", "lost")
    cloud.faults.fail("CreateCluster", "hang")
    for error in (ConnectionClosedError, ReadTimeoutError):
        with pytest.raises(error):
            eks.create_cluster(name="shop", roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    assert eks.list_clusters()["clusters"] == []


@pytest.mark.parametrize(
    ("body", "protest"),
    [
        ({"colour": "red"}, "unknown field colour"),
        ({"nodeGroups": []}, "unknown field nodeGroups"),
        ({"resourcesVpcConfig": {**VPC, "vpcId": "vpc-1"}}, "unknown field resourcesVpcConfig.vpcId"),
        ({"resourcesVpcConfig": {"subnetIds": "subnet-0a"}}, "resourcesVpcConfig.subnetIds is no list"),
        ({"roleArn": None}, "roleArn is missing"),
        ({"name": "-shop"}, "name does not match ^[0-9A-Za-z][A-Za-z0-9\\-_]*"),
        ({"name": "x" * 101}, "name is above 100"),
        ({"upgradePolicy": {"supportType": "FOREVER"}}, "upgradePolicy.supportType is none of STANDARD, EXTENDED"),
        ({"tags": {"k": "v" * 257}}, "tags.k is above 256"),
        ({"deletionProtection": "yes"}, "deletionProtection is no boolean"),
    ],
)
def test_what_the_sdks_own_model_does_not_have_is_refused_and_protested(
    cloud: EksStandIn, body: dict[str, Any], protest: str
) -> None:
    good = {"name": "shop", "roleArn": ROLE, "resourcesVpcConfig": dict(VPC)}
    status, answer = call_raw(cloud, "POST", "/clusters", {**good, **body})
    assert (status, answer["__type"]) == (400, "InvalidParameterException")
    assert cloud.protests == [f"CreateCluster: {protest}"]
    assert not cloud.account.clusters


def test_a_strange_query_parameter_is_protested(cloud: EksStandIn) -> None:
    assert call_raw(cloud, "GET", "/clusters?limit=3", None)[0] == 400
    assert "ListClusters: unknown query parameter limit" in cloud.protests


def test_values_outside_an_enumeration_are_protested_though_the_sdk_lets_them_pass(cloud: EksStandIn, eks: Any) -> None:
    make_cluster(eks, "shop")
    params = {"clusterName": "shop", "nodegroupName": "main", "nodeRole": NODE_ROLE, "subnets": ["subnet-0a"]}
    assert code_of(eks.create_nodegroup, **params, amiType="WINDOWS_95") == "InvalidParameterException"
    assert "amiType is none of" in cloud.protests[0]


def test_a_call_that_the_stand_in_does_not_have_is_protested(cloud: EksStandIn, eks: Any) -> None:
    assert code_of(eks.list_fargate_profiles, clusterName="shop") == "UnknownOperationException"
    assert cloud.protests == ["there is no call GET /clusters/shop/fargate-profiles"]


def test_the_sdk_itself_refuses_what_it_can(eks: Any) -> None:
    with pytest.raises((ParamValidationError, BotoCoreError)):
        eks.create_cluster(name="shop", colour="red")
