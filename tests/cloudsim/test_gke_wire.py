"""The unmodified google-cloud-container against the stand-in for GKE: clusters, lists, shapes and faults."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.auth.transport.requests import AuthorizedSession
from google.cloud import container_v1
from google.cloud.container_v1 import types

from .core import How, run_cloud
from .gke import CALLS, PERMISSIONS, PROJECT, Gke
from .gke_kit import (
    NEW,
    OLD,
    OLDER,
    OLDEST,
    REGION,
    ZONE,
    Opaque,
    build_cluster,
    call_raw,
    connect,
    fetch_token,
    follow,
    make,
    message_of,
)
from .gke_model import list_routes
from .gke_versions import VERSIONS


@pytest.fixture
def cloud() -> Iterator[Gke]:
    with run_cloud(Gke()) as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Gke) -> Iterator[container_v1.ClusterManagerClient]:
    with connect(cloud) as client:
        yield client


def test_a_cluster_is_made_shown_and_removed(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    operation = client.create_cluster(parent=ZONE, cluster=build_cluster())
    assert operation.operation_type == types.Operation.Type.CREATE_CLUSTER
    assert operation.status == types.Operation.Status.PENDING
    assert operation.target_link.endswith(f"/v1/projects/{PROJECT}/zones/us-central1-a/clusters/blue")
    path = f"{ZONE}/clusters/blue"
    young = client.get_cluster(name=path)
    assert (young.status, young.endpoint) == (types.Cluster.Status.PROVISIONING, "")
    ended = follow(cloud, client, operation)
    assert (ended.status, ended.error.code, bool(ended.end_time)) == (types.Operation.Status.DONE, 0, True)
    found = client.get_cluster(name=path)
    assert (found.status, found.current_master_version, found.location) == (
        types.Cluster.Status.RUNNING,
        OLD,
        "us-central1-a",
    )
    assert (dict(found.resource_labels), found.release_channel.channel) == ({"owner": "team-a"}, 0)
    assert base64.b64decode(found.master_auth.cluster_ca_certificate).startswith(b"-----BEGIN CERTIFICATE-----")
    assert found.endpoint.startswith("127.0.0.1:")
    assert [(pool.name, pool.version, pool.status) for pool in found.node_pools] == [
        ("main", OLD, types.NodePool.Status.RUNNING)
    ]
    deletion = client.delete_cluster(name=path)
    assert client.get_cluster(name=path).status == types.Cluster.Status.STOPPING
    assert follow(cloud, client, deletion).status == types.Operation.Status.DONE
    with pytest.raises(exceptions.NotFound) as error:
        client.get_cluster(name=path)
    assert message_of(error) == f"Not found: projects/{PROJECT}/zones/us-central1-a/clusters/blue."
    assert cloud.protests == []
    assert cloud.count("CreateCluster", good=True) == cloud.count("DeleteCluster", good=True) == 1


def test_a_name_is_given_once_and_regional_clusters_are_named_by_location(
    client: container_v1.ClusterManagerClient,
) -> None:
    client.create_cluster(parent=REGION, cluster=build_cluster())
    with pytest.raises(exceptions.Conflict) as error:
        client.create_cluster(parent=REGION, cluster=build_cluster())
    assert (error.value.code, message_of(error)) == (
        409,
        f"Already exists: projects/{PROJECT}/locations/europe-west3/clusters/blue.",
    )
    assert list(client.get_cluster(name=f"{REGION}/clusters/blue").locations) == [
        f"europe-west3-{letter}" for letter in "abc"
    ]


def test_a_new_cluster_is_hidden_for_a_while_but_its_name_is_taken(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    cloud.faults.hidden_seconds = 5
    client.create_cluster(parent=ZONE, cluster=build_cluster())
    with pytest.raises(exceptions.NotFound):
        client.get_cluster(name=f"{ZONE}/clusters/blue")
    assert list(client.list_clusters(parent=ZONE).clusters) == []
    with pytest.raises(exceptions.Conflict):
        client.create_cluster(parent=ZONE, cluster=build_cluster())
    cloud.advance(6)
    assert client.get_cluster(name=f"{ZONE}/clusters/blue").name == "blue"


def test_lists_name_the_zones_that_cannot_be_reached(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    make(cloud, client, "blue")
    client.create_cluster(parent=REGION, cluster=build_cluster("red"))
    everywhere = f"projects/{PROJECT}/locations/-"
    assert [cluster.name for cluster in client.list_clusters(parent=everywhere).clusters] == ["red", "blue"]
    cloud.cut_off("us-central1-a")
    found = client.list_clusters(parent=everywhere)
    assert ([cluster.name for cluster in found.clusters], list(found.missing_zones)) == (["red"], ["us-central1-a"])
    assert list(client.list_operations(parent=ZONE).missing_zones) == ["us-central1-a"]
    with pytest.raises(exceptions.ServiceUnavailable):
        client.get_cluster(name=f"{ZONE}/clusters/blue", retry=None)


def test_the_one_paged_list_comes_in_twos(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    found = client.list_usable_subnetworks(request={"parent": f"projects/{PROJECT}"})
    assert [entry.subnetwork.split("/")[3] for entry in found] == ["europe-west1", "europe-west3", "us-central1"]
    assert cloud.count("ListUsableSubnetworks") == 2


def test_versions_are_offered_newest_first_with_channels(client: container_v1.ClusterManagerClient) -> None:
    found = client.get_server_config(name=ZONE)
    assert list(found.valid_master_versions) == list(VERSIONS)
    assert found.default_cluster_version == OLD
    stable = [entry for entry in found.channels if entry.channel == types.ReleaseChannel.Channel.STABLE]
    assert [list(entry.valid_versions) for entry in stable] == [[OLDER, OLDEST]]


def test_a_broken_create_ends_in_error_and_can_only_be_deleted(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    cloud.faults.fail("CreateCluster", "broken")
    operation = client.create_cluster(parent=ZONE, cluster=build_cluster())
    ended = follow(cloud, client, operation)
    assert (ended.status, ended.error.code) == (types.Operation.Status.DONE, 13)
    path = f"{ZONE}/clusters/blue"
    found = client.get_cluster(name=path)
    assert (found.status, found.status_message) == (types.Cluster.Status.ERROR, ended.error.message)
    with pytest.raises(exceptions.BadRequest, match="can only be deleted"):
        client.update_master(name=path, master_version=NEW)
    follow(cloud, client, client.delete_cluster(name=path))
    assert cloud.clusters() == ()


def test_what_uses_the_nodes_holds_up_deletion_and_is_named_and_the_rest_stays_unseen(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client)
    cloud.leave_behind("blue", "forwarding rule a1b2")
    cloud.hold_up("blue", f"projects/{PROJECT}/global/backendServices/shop")
    ended = follow(cloud, client, client.delete_cluster(name=path))
    assert ended.error.message.endswith(f"is already being used by 'projects/{PROJECT}/global/backendServices/shop'")
    found = client.get_cluster(name=path)
    assert (found.status, found.status_message) == (types.Cluster.Status.ERROR, ended.error.message)
    cloud.let_go("blue")
    assert follow(cloud, client, client.delete_cluster(name=path)).error.code == 0
    assert (cloud.clusters(), cloud.left_behind()) == ((), ("forwarding rule a1b2",))


@pytest.mark.parametrize(
    ("method", "path", "body", "said"),
    [
        ("POST", "clusters", {"cluster": {"name": "a", "colour": "blue"}}, "Unknown name \"colour\" at 'cluster'"),
        ("POST", "clusters", {"colour": "blue"}, 'Unknown name "colour"'),
        ("POST", "clusters", {"cluster": {"name": "a", "initialNodeCount": "many"}}, "Invalid value"),
        ("POST", "clusters", {"cluster": {"name": "a", "status": "RUNNING"}}, 'Field "cluster.status" is output only'),
        ("POST", "clusters", {"cluster": {"name": "a", "releaseChannel": {"channel": 9}}}, "(type.googleapis.com/"),
        ("POST", "clusters", {"parent": "projects/other", "cluster": {"name": "a"}}, "is in the path"),
        ("POST", "clusters", {"cluster": {"name": "A", "initialNodeCount": 1}}, "does not match"),
        ("GET", "clusters?colour=blue", None, "Cannot bind query parameter"),
        ("POST", "clusters/blue:setAddons", {"addonsConfig": {}}, "not in this stand-in"),
    ],
)
def test_what_is_not_of_the_apis_shape_is_refused_and_protested(
    cloud: Gke, method: str, path: str, body: Any, said: str
) -> None:
    status, answer = call_raw(cloud, method, f"/v1/{ZONE}/{path}", body, fetch_token(cloud))
    assert status in (400, 501)
    assert said in answer["error"]["message"]
    assert len(cloud.protests) == 1
    assert said in cloud.protests[0]
    assert cloud.clusters() == ()


def test_a_call_that_the_api_does_not_have_is_protested(cloud: Gke) -> None:
    assert call_raw(cloud, "PATCH", f"/v1/{ZONE}/clusters", {}, fetch_token(cloud))[0] == 404
    assert cloud.protests == [f"there is no call PATCH /v1/{ZONE}/clusters"]


def test_faults_look_as_google_tells_them(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    expected: dict[How, tuple[type[Exception], str]] = {
        "throttled": (exceptions.TooManyRequests, "RESOURCE_EXHAUSTED"),
        "unavailable": (exceptions.ServiceUnavailable, "UNAVAILABLE"),
        "error": (exceptions.InternalServerError, "INTERNAL"),
        "denied": (exceptions.Forbidden, "PERMISSION_DENIED"),
        "quota": (exceptions.Forbidden, "PERMISSION_DENIED"),
        "conflict": (exceptions.BadRequest, "FAILED_PRECONDITION"),
        "invalid": (exceptions.BadRequest, "INVALID_ARGUMENT"),
    }
    seen: dict[str, exceptions.GoogleAPICallError] = {}
    for how, (kind, status) in expected.items():
        cloud.faults.fail("GetCluster", how)
        with pytest.raises(exceptions.GoogleAPICallError) as error:
            client.get_cluster(name=path, retry=None)
        assert (type(error.value), error.value.response.json()["error"]["status"]) == (kind, status)
        seen[how] = error.value
    throttled = seen["throttled"]
    assert throttled.response.headers["Retry-After"] == "0.2"
    assert (throttled.reason, throttled.domain) == ("RATE_LIMIT_EXCEEDED", "googleapis.com")
    assert [entry["@type"].rsplit(".", 1)[1] for entry in throttled.details] == [
        "ErrorInfo",
        "QuotaFailure",
        "RetryInfo",
        "RequestInfo",
    ]
    assert seen["denied"].message.endswith(
        f'Required "container.clusters.get" permission(s) for "projects/{PROJECT}/zones/us-central1-a/clusters/blue".'
    )
    assert 'Insufficient regional quota to satisfy request: resource "CPUS"' in seen["quota"].message
    assert cloud.protests == []


def test_a_cut_create_was_done_and_a_lost_one_was_not(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    for how, name in (("lost", "one"), ("cut", "two")):
        cloud.faults.fail("CreateCluster", how)  # type: ignore[arg-type]
        with pytest.raises(requests.exceptions.ConnectionError):
            client.create_cluster(parent=ZONE, cluster=build_cluster(name))
    assert cloud.clusters() == ("two",)
    with pytest.raises(exceptions.Conflict):
        client.create_cluster(parent=ZONE, cluster=build_cluster("two"))


def test_throttling_of_every_second_call_lets_the_others_through(cloud: Gke) -> None:
    session = AuthorizedSession(Opaque(json.loads(cloud.key_file())))  # type: ignore[no-untyped-call]
    cloud.faults.throttle_every = 2
    seen = [session.get(f"{cloud.url}/v1/{ZONE}/clusters", timeout=10).status_code for _ in range(4)]
    assert seen == [429, 200, 429, 200]


def test_every_call_that_is_served_is_one_of_the_sdks() -> None:
    known = {route.name for route in list_routes()}
    assert set(CALLS) <= known
    assert set(PERMISSIONS) <= set(CALLS)
