"""The unmodified google-cloud-container changes clusters and node pools of the stand-in for GKE."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import container_v1
from google.cloud.container_v1 import types

from .core import run_cloud
from .gke import Gke
from .gke_kit import (
    NEW,
    OLD,
    OLDER,
    OLDEST,
    ZONE,
    build_cluster,
    build_pool,
    connect,
    follow,
    make,
    message_of,
)
from .gke_versions import VERSIONS


@pytest.fixture
def cloud() -> Iterator[Gke]:
    with run_cloud(Gke()) as cloud:
        yield cloud


@pytest.fixture
def client(cloud: Gke) -> Iterator[container_v1.ClusterManagerClient]:
    with connect(cloud) as client:
        yield client


def test_aliases_of_versions_become_exact_ones(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    asked = {"a": "1.35", "b": "latest", "c": "-", "d": "1.36.2", "e": ""}
    for name, version in asked.items():
        make(cloud, client, name, initial_cluster_version=version)
    found = {entry.name: entry.current_master_version for entry in client.list_clusters(parent=ZONE).clusters}
    assert found == {"a": OLD, "b": NEW, "c": OLD, "d": VERSIONS[1], "e": OLD}
    with pytest.raises(exceptions.BadRequest, match=r'Master version "1.12" is unsupported.'):
        client.create_cluster(parent=ZONE, cluster=build_cluster("f", initial_cluster_version="1.12"))


def test_one_operation_at_a_time_works_on_a_cluster(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    operation = client.update_master(name=path, master_version=NEW)
    assert client.get_cluster(name=path).status == types.Cluster.Status.RECONCILING
    attempts: list[Callable[[], object]] = [
        lambda: client.delete_cluster(name=path),
        lambda: client.create_node_pool(parent=path, node_pool=build_pool("more")),
        lambda: client.update_master(name=path, master_version=NEW),
    ]
    for attempt in attempts:
        with pytest.raises(exceptions.BadRequest) as error:
            attempt()
        assert message_of(error) == f"Cluster is running incompatible operation {operation.name}."
        assert error.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"
        assert (error.value.reason, error.value.domain) == (
            "CLUSTER_ALREADY_HAS_OPERATION",
            "container.googleapis.com",
        )
    assert follow(cloud, client, operation).status == types.Operation.Status.DONE
    assert client.get_cluster(name=path).current_master_version == NEW


def test_masters_move_one_minor_version_at_a_time_and_pools_follow(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client, initial_cluster_version=OLDEST)
    with pytest.raises(exceptions.BadRequest, match="more than a minor version at a time"):
        client.update_master(name=path, master_version=OLD)
    pool = f"{path}/nodePools/main"
    with pytest.raises(exceptions.BadRequest) as error:
        client.update_node_pool(request={"name": pool, "node_version": OLDER})
    assert message_of(error) == (
        f'Node version "{OLDER}" must not have a greater minor version than master version "{OLDEST}".'
    )
    for version in (OLDER, OLD):
        follow(cloud, client, client.update_master(name=path, master_version=version))
    with pytest.raises(exceptions.BadRequest, match="within two minor versions of the master"):
        client.update_master(name=path, master_version=NEW)
    upgrade = client.update_node_pool(request={"name": pool, "node_version": "-", "image_type": "COS_CONTAINERD"})
    assert upgrade.operation_type == types.Operation.Type.UPGRADE_NODES
    assert client.get_node_pool(name=pool).status == types.NodePool.Status.RECONCILING
    follow(cloud, client, upgrade)
    assert client.get_node_pool(name=pool).version == OLD
    follow(cloud, client, client.update_master(name=path, master_version=NEW))
    with pytest.raises(exceptions.BadRequest, match="cannot be lowered"):
        client.update_master(name=path, master_version=OLD)
    assert cloud.protests == []


def test_labels_are_replaced_by_who_knows_the_present_ones(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client)
    known = client.get_cluster(name=path).label_fingerprint
    request = {"name": path, "resource_labels": {"owner": "team-b"}, "label_fingerprint": "00000000"}
    with pytest.raises(exceptions.BadRequest) as error:
        client.set_labels(request=request)
    assert message_of(error) == (
        "Labels could not be set due to fingerprint mismatch; try again with the proper fingerprint: incorrect "
        f'fingerprint supplied was "00000000", the expected one is "{known}".'
    )
    follow(cloud, client, client.set_labels(request={**request, "label_fingerprint": known}))
    found = client.get_cluster(name=path)
    assert (dict(found.resource_labels), found.label_fingerprint != known) == ({"owner": "team-b"}, True)
    assert cloud.protests == []


@pytest.mark.parametrize(
    "labels",
    [{f"k{number}": "" for number in range(65)}, {"Owner": "a"}, {"1st": "a"}, {"k" * 64: "a"}, {"k": "A"}],
)
def test_labels_that_google_cannot_have_are_refused_and_protested(
    cloud: Gke, client: container_v1.ClusterManagerClient, labels: dict[str, str]
) -> None:
    with pytest.raises(exceptions.BadRequest):
        client.create_cluster(parent=ZONE, cluster=build_cluster(resource_labels=labels))
    assert len(cloud.protests) == 1
    assert cloud.clusters() == ()


def test_a_stale_etag_changes_nothing(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    known = client.get_cluster(name=path).etag
    update = types.ClusterUpdate(desired_logging_service="none", etag="stale")
    with pytest.raises(exceptions.Conflict) as error:
        client.update_cluster(name=path, update=update)
    assert error.value.response.json()["error"]["status"] == "ABORTED"
    update.etag = known
    follow(cloud, client, client.update_cluster(name=path, update=update))
    found = client.get_cluster(name=path)
    assert (found.logging_service, found.etag != known) == ("none", True)


def test_stale_knowledge_of_pools_and_of_maintenance_changes_nothing(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client)
    pool = f"{path}/nodePools/main"
    policy = {"window": {"daily_maintenance_window": {"start_time": "03:00"}}, "resource_version": "00000000"}
    stale: list[Callable[[], object]] = [
        lambda: client.update_node_pool(request={"name": pool, "upgrade_settings": {"max_surge": 2}, "etag": "no"}),
        lambda: client.set_maintenance_policy(request={"name": path, "maintenance_policy": policy}),
    ]
    for attempt in stale:
        with pytest.raises(exceptions.Conflict) as error:
            attempt()
        assert error.value.response.json()["error"]["status"] == "ABORTED"
    assert cloud.cluster("blue").message.status == types.Cluster.Status.RUNNING
    assert cloud.protests == []


def test_an_update_changes_one_thing(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    ends = types.ControlPlaneEndpointsConfig(
        ip_endpoints_config=types.ControlPlaneEndpointsConfig.IPEndpointsConfig(enable_public_endpoint=False)
    )
    update = types.ClusterUpdate(desired_control_plane_endpoints_config=ends)
    follow(cloud, client, client.update_cluster(name=path, update=update))
    found = client.get_cluster(name=path)
    assert found.private_cluster_config.enable_private_endpoint
    assert found.private_cluster_config.public_endpoint == ""
    update.desired_logging_service = "none"
    with pytest.raises(exceptions.BadRequest, match="Exactly one update"):
        client.update_cluster(name=path, update=update)
    assert len(cloud.protests) == 1


def test_pools_are_made_sized_scaled_managed_and_removed(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    pool = f"{path}/nodePools/more"
    upgrade = types.NodePool.UpgradeSettings(max_surge=2, max_unavailable=1)
    first = client.create_node_pool(parent=path, node_pool=build_pool("more", upgrade_settings=upgrade))
    assert client.get_node_pool(name=pool).status == types.NodePool.Status.PROVISIONING
    follow(cloud, client, first)
    with pytest.raises(exceptions.Conflict, match="Already exists"):
        client.create_node_pool(parent=path, node_pool=build_pool("more"))
    scaling = types.NodePoolAutoscaling(enabled=True, min_node_count=1, max_node_count=5)
    steps: list[Callable[[], types.Operation]] = [
        lambda: client.set_node_pool_size(request={"name": pool, "node_count": 3}),
        lambda: client.set_node_pool_autoscaling(request={"name": pool, "autoscaling": scaling}),
        lambda: client.set_node_pool_management(request={"name": pool, "management": {"auto_repair": False}}),
        lambda: client.update_node_pool(request={"name": pool, "upgrade_settings": {"max_surge": 1}}),
    ]
    for step in steps:
        assert follow(cloud, client, step()).error.code == 0
    found = client.get_node_pool(name=pool)
    assert (found.initial_node_count, found.autoscaling, found.management.auto_repair) == (3, scaling, False)
    assert (found.upgrade_settings.max_surge, found.upgrade_settings.max_unavailable) == (1, 0)
    follow(cloud, client, client.delete_node_pool(name=pool))
    assert [entry.name for entry in client.list_node_pools(parent=path).node_pools] == ["main"]
    with pytest.raises(exceptions.NotFound):
        client.get_node_pool(name=pool)
    assert cloud.protests == []


def test_an_upgrade_of_nodes_can_be_cancelled_and_nothing_else(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client, initial_cluster_version=OLDER)
    master = client.update_master(name=path, master_version=OLD)
    with pytest.raises(exceptions.BadRequest):
        client.cancel_operation(name=f"{ZONE}/operations/{master.name}")
    follow(cloud, client, master)
    upgrade = client.update_node_pool(request={"name": f"{path}/nodePools/main", "node_version": OLD})
    client.cancel_operation(name=f"{ZONE}/operations/{upgrade.name}")
    ended = follow(cloud, client, upgrade)
    assert (ended.status, ended.error.code) == (types.Operation.Status.DONE, 1)
    pool = client.get_node_pool(name=f"{path}/nodePools/main")
    assert (pool.version, pool.status) == (OLDER, types.NodePool.Status.RUNNING_WITH_ERROR)
    back = client.rollback_node_pool_upgrade(name=f"{path}/nodePools/main")
    assert follow(cloud, client, back).error.code == 0
    assert client.get_node_pool(name=f"{path}/nodePools/main").status == types.NodePool.Status.RUNNING
    with pytest.raises(exceptions.BadRequest):
        client.rollback_node_pool_upgrade(name=f"{path}/nodePools/main")


def test_maintenance_exclusions_are_kept_within_their_limits(
    cloud: Gke, client: container_v1.ClusterManagerClient
) -> None:
    path = make(cloud, client)

    def build(days: int, **options: Any) -> dict[str, Any]:
        window = {
            "start_time": {"seconds": 1_800_000_000},
            "end_time": {"seconds": 1_800_000_000 + days * 86400},
            "maintenance_exclusion_options": options,
        }
        known = client.get_cluster(name=path).maintenance_policy.resource_version
        policy = {"window": {"maintenance_exclusions": {"freeze": window}}, "resource_version": known}
        return {"name": path, "maintenance_policy": policy}

    follow(cloud, client, client.set_maintenance_policy(request=build(90, scope="NO_UPGRADES")))
    found = client.get_cluster(name=path).maintenance_policy.window.maintenance_exclusions
    assert [(name, found[name].maintenance_exclusion_options.scope) for name in found] == [("freeze", 0)]
    with pytest.raises(exceptions.BadRequest, match="longer than 90 days"):
        client.set_maintenance_policy(request=build(91))
    with pytest.raises(exceptions.BadRequest, match="release channel"):
        client.set_maintenance_policy(request=build(7, scope="NO_MINOR_UPGRADES"))
    assert len(cloud.protests) == 2


def test_the_cloud_upgrades_what_no_exclusion_keeps(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    """No word about channels leaves the choice to the cloud; in no channel the masters move all the same."""

    def build(scope: str) -> dict[str, Any]:
        now = int(cloud.now())
        window: dict[str, Any] = {
            "start_time": {"seconds": now},
            "end_time": {"seconds": now + 86400},
            "maintenance_exclusion_options": {"scope": scope},
        }
        if scope != "NO_UPGRADES":
            del window["end_time"]
            window["maintenance_exclusion_options"]["end_time_behavior"] = "UNTIL_END_OF_SUPPORT"
        return {"window": {"maintenance_exclusions": {"pinned": window}}}

    by_cloud = types.Cluster(name="left", initial_cluster_version=OLDEST, initial_node_count=1)
    stable = types.Cluster(
        name="stable",
        initial_cluster_version=OLDEST,
        initial_node_count=1,
        release_channel=types.ReleaseChannel(channel="STABLE"),
        maintenance_policy=build("NO_MINOR_OR_NODE_UPGRADES"),
    )
    static = build_cluster("static", initial_cluster_version=OLDEST)
    frozen = build_cluster("frozen", initial_cluster_version=OLDEST, maintenance_policy=build("NO_UPGRADES"))
    for cluster in (by_cloud, stable, static, frozen):
        client.create_cluster(parent=ZONE, cluster=cluster)
    cloud.advance(1)
    channels = {entry.name: entry.release_channel.channel for entry in client.list_clusters(parent=ZONE).clusters}
    assert channels == {"left": 3, "stable": 3, "static": 0, "frozen": 0}
    told = {
        name: client.fetch_cluster_upgrade_info(name=f"{ZONE}/clusters/{name}").auto_upgrade_status[0].name
        for name in sorted(channels)
    }
    assert told == {
        "frozen": "UPGRADE_PAUSED",
        "left": "ACTIVE",
        "stable": "MINOR_UPGRADE_PAUSED",
        "static": "ACTIVE",
    }
    for _ in range(6):
        cloud.advance(60)
        client.get_server_config(name=ZONE)
    found = {
        entry.name: (entry.current_master_version, entry.node_pools[0].version)
        for entry in client.list_clusters(parent=ZONE).clusters
    }
    assert found == {
        "left": (OLDER, OLDER),
        "stable": (OLDEST, OLDEST),
        "static": (OLDER, OLDEST),
        "frozen": (OLDEST, OLDEST),
    }
    assert cloud.protests == []


def test_channels_need_pools_that_upgrade_and_versions_that_they_offer(
    client: container_v1.ClusterManagerClient,
) -> None:
    regular = types.ReleaseChannel(channel="REGULAR")
    with pytest.raises(exceptions.BadRequest, match="cannot be false when release_channel REGULAR is set"):
        client.create_cluster(parent=ZONE, cluster=build_cluster(release_channel=regular))
    managed = build_pool(management=types.NodeManagement(auto_upgrade=True, auto_repair=True))
    newest = build_cluster(release_channel=regular, node_pools=[managed], initial_cluster_version=NEW)
    with pytest.raises(exceptions.BadRequest, match="not available in channel REGULAR"):
        client.create_cluster(parent=ZONE, cluster=newest)


def test_new_customers_must_choose_a_channel() -> None:
    with run_cloud(Gke(channels_only=True)) as cloud, connect(cloud) as client:
        with pytest.raises(exceptions.BadRequest, match="enrolled in a release channel"):
            client.create_cluster(parent=ZONE, cluster=build_cluster())
        assert (cloud.clusters(), cloud.protests) == ((), [])


def test_broken_upgrades_leave_the_old_version(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    cloud.faults.fail("UpdateMaster", "broken")
    assert follow(cloud, client, client.update_master(name=path, master_version=NEW)).error.code == 13
    found = client.get_cluster(name=path)
    assert (found.status, found.current_master_version) == (types.Cluster.Status.RUNNING, OLD)
    cloud.degrade("blue", "The cluster's CA expires soon.")
    degraded = client.get_cluster(name=path)
    assert (degraded.status, [entry.message for entry in degraded.conditions]) == (
        types.Cluster.Status.DEGRADED,
        ["The cluster's CA expires soon."],
    )


def test_a_new_pool_is_hidden_for_a_while(cloud: Gke, client: container_v1.ClusterManagerClient) -> None:
    path = make(cloud, client)
    cloud.faults.hidden_seconds = 5
    cloud.advance(10)
    client.create_node_pool(parent=path, node_pool=build_pool("more"))
    with pytest.raises(exceptions.NotFound):
        client.get_node_pool(name=f"{path}/nodePools/more")
    assert [entry.name for entry in client.list_node_pools(parent=path).node_pools] == ["main"]
    cloud.advance(6)
    assert [entry.name for entry in client.list_node_pools(parent=path).node_pools] == ["main", "more"]
