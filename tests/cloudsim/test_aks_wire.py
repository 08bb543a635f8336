"""The stand-in for Azure, seen through the unmodified azure-mgmt-containerservice: calls, changes, versions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError

from .aks_kit import LONG, Azure, cluster_body, refusal, run_azure


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with run_azure(tmp_path) as found:
        yield found


def test_a_cluster_is_made_and_deleted_by_the_sdks_own_pollers(azure: Azure) -> None:
    poller = azure.client.managed_clusters.begin_create_or_update("fleet", "one", cluster_body())
    made = poller.result()
    assert (made.properties.provisioning_state, made.properties.current_kubernetes_version) == ("Succeeded", "1.35.8")
    azure.client.managed_clusters.begin_delete("fleet", "one").result()
    assert azure.cloud.names() == []
    names = [call.name for call in azure.cloud.calls]
    assert names[:3] == ["GetOpenIdConfiguration", "GetToken", "ManagedClusters_CreateOrUpdate"]
    assert set(names[3:]) == {"GetOperation", "ManagedClusters_Get", "ManagedClusters_Delete"}
    assert azure.cloud.protests == []


def test_what_the_cloud_fills_in_comes_back_beside_what_was_asked(azure: Azure) -> None:
    made = azure.make()
    found, pool = made.properties, made.properties.agent_pool_profiles[0]
    assert made.id == (
        f"/subscriptions/{azure.cloud.subscription}/resourcegroups/fleet/providers/"
        "Microsoft.ContainerService/managedClusters/one"
    )
    assert (found.node_resource_group, found.max_agent_pools) == ("MC_fleet_one_westeurope", 100)
    assert found.fqdn.endswith(".hcp.westeurope.azmk8s.io")
    assert (found.network_profile.network_plugin, found.network_profile.pod_cidrs) == ("azure", ["10.128.0.0/16"])
    assert (found.aad_profile.tenant_id, found.auto_upgrade_profile.upgrade_channel) == (azure.cloud.tenant, "none")
    assert (pool.count, pool.max_pods, pool.os_sku, pool.upgrade_settings.max_surge) == (1, 250, "Ubuntu", "10%")
    assert made.identity.principal_id
    assert azure.cloud.protests == []


def test_a_cluster_goes_through_its_states_by_the_clock(azure: Azure) -> None:
    azure.cloud.faults.seconds = LONG
    assert azure.put().properties.provisioning_state == "Creating"
    assert azure.state() == ("Creating", "1.35", {"system": ("Creating", "1.35.8")})
    azure.cloud.advance(LONG)
    assert azure.state() == ("Succeeded", "1.35.8", {"system": ("Succeeded", "1.35.8")})
    azure.client.managed_clusters.begin_delete("fleet", "one", polling=False)
    assert azure.state()[0] == "Deleting"
    azure.cloud.advance(LONG)
    assert refusal(azure.get)[:2] == (404, "ResourceNotFound")
    assert azure.client.managed_clusters.begin_delete("fleet", "one").result() is None


def test_lists_come_in_pages_of_two(azure: Azure) -> None:
    for name in ("c", "a", "b"):
        azure.put(name)
    for pool in ("p1", "p2", "p3"):
        azure.cloud.advance(LONG)
        azure.put_pool(pool, {"count": 0}, "a")
    assert [found.name for found in azure.client.managed_clusters.list()] == ["a", "b", "c"]
    assert [found.name for found in azure.client.managed_clusters.list_by_resource_group("FLEET")] == ["a", "b", "c"]
    assert [found.name for found in azure.client.agent_pools.list("fleet", "a")] == ["p1", "p2", "p3", "system"]
    assert [azure.cloud.count(name) for name in ("ManagedClusters_List", "AgentPools_List")] == [2, 2]
    assert azure.cloud.protests == []


def test_reads_do_not_find_a_new_cluster_for_some_seconds(azure: Azure) -> None:
    azure.cloud.faults.hidden_seconds = 60
    azure.put()
    assert refusal(azure.get)[:2] == (404, "ResourceNotFound")
    assert list(azure.client.managed_clusters.list()) == []
    with pytest.raises(ResourceExistsError):
        azure.put()
    azure.cloud.advance(61)
    assert azure.get().name == "one"


def test_one_change_at_a_time_on_the_cluster_or_on_one_pool(azure: Azure) -> None:
    azure.cloud.faults.seconds = LONG
    azure.put()
    status, code, message = refusal(azure.put)
    assert (status, code) == (409, "OperationNotAllowed")
    assert "in progress creating managed cluster operation" in message
    azure.cloud.advance(LONG)
    azure.put_pool("work", {"count": 1})
    assert azure.state()[0] == "Succeeded"
    for call in (azure.put, lambda: azure.put_pool("more", {"count": 1})):
        status, code, message = refusal(call)
        assert (status, code) == (409, "OperationNotAllowed")
        assert "(work - Creating)" in message


def test_a_put_replaces_and_what_cannot_change_stays(azure: Azure) -> None:
    azure.make()
    body = cluster_body()
    del body["tags"], body["properties"]["networkProfile"], body["properties"]["autoUpgradeProfile"]
    del body["properties"]["agentPoolProfiles"]
    made = azure.make(body=body)
    assert (made.tags, made.properties.network_profile.pod_cidr) == (None, "10.128.0.0/16")
    assert made.properties.auto_upgrade_profile.node_os_upgrade_channel == "NodeImage"
    assert [pool.name for pool in made.properties.agent_pool_profiles] == ["system"]
    for change in ({"dnsPrefix": "two"}, {"networkProfile": {"podCidr": "10.9.0.0/16"}}):
        body = cluster_body(**change)
        assert refusal(lambda given=body: azure.put(body=given))[:2] == (400, "PropertyChangeNotAllowed")  # type: ignore[misc]
    assert azure.cloud.protests == []


def test_what_was_read_can_be_put_back(azure: Azure) -> None:
    azure.make()
    azure.cloud.faults.fail("ManagedClusters_CreateOrUpdate", "broken")
    failed = azure.make()
    assert failed.properties.provisioning_state == "Failed"
    azure.put(body=failed)
    azure.cloud.advance(LONG)
    assert azure.state()[0] == "Succeeded"
    assert azure.get().properties.status is None
    assert azure.cloud.protests == []


def test_a_refused_change_of_several_pools_changes_none(azure: Azure) -> None:
    azure.make()
    profiles = [
        {"name": "system", "mode": "System", "count": 3, "vmSize": "Standard_D2s_v5"},
        {"name": "NotAName", "count": 1},
    ]
    assert refusal(lambda: azure.put(body=cluster_body(agentPoolProfiles=profiles)))[:2] == (400, "InvalidParameter")
    assert [(p.name, p.count) for p in azure.get().properties.agent_pool_profiles] == [("system", 1)]


def test_a_patch_replaces_the_tags(azure: Azure) -> None:
    azure.make()
    azure.client.managed_clusters.begin_update_tags("fleet", "one", {"tags": {"a": "b"}}, polling=False)
    azure.cloud.advance(LONG)
    assert azure.get().tags == {"a": "b"}


def test_etags_guard_clusters_and_pools(azure: Azure) -> None:
    call = azure.client.managed_clusters.begin_create_or_update
    old = azure.put(match_condition=MatchConditions.IfMissing).e_tag
    azure.cloud.advance(LONG)
    with pytest.raises(ResourceExistsError):
        azure.put(match_condition=MatchConditions.IfMissing)
    azure.put(etag=old, match_condition=MatchConditions.IfNotModified)
    azure.cloud.advance(LONG)
    with pytest.raises(ResourceModifiedError):
        call("fleet", "one", cluster_body(), etag=old, match_condition=MatchConditions.IfNotModified)
    pool = azure.client.agent_pools.get("fleet", "one", "system").properties.e_tag
    assert pool != azure.get().e_tag
    before = azure.get().e_tag
    azure.put_pool("system", {"mode": "System", "count": 2}, etag=pool, match_condition=MatchConditions.IfNotModified)
    azure.cloud.advance(LONG)
    assert (azure.get().e_tag, azure.client.agent_pools.get("fleet", "one", "system").properties.count) == (before, 2)
    with pytest.raises(ResourceNotFoundError):
        call("fleet", "no", cluster_body("no"), match_condition=MatchConditions.IfPresent)
    delete = azure.client.managed_clusters.begin_delete
    with pytest.raises(ResourceModifiedError):
        delete("fleet", "one", etag="other", match_condition=MatchConditions.IfNotModified)


def test_an_operation_is_aborted_and_the_cluster_made_again(azure: Azure) -> None:
    azure.cloud.faults.seconds = LONG
    azure.put()
    azure.client.managed_clusters.begin_abort_latest_operation("fleet", "one", polling=False)
    assert azure.state()[0] == "Canceling"
    azure.cloud.advance(LONG)
    assert azure.state()[0] == "Canceled"
    assert azure.make().properties.provisioning_state == "Succeeded"


def test_versions_and_upgrades_are_listed(azure: Azure) -> None:
    azure.make()
    found = azure.client.managed_clusters.list_kubernetes_versions("westeurope").values_property
    assert [version.version for version in found] == ["1.34", "1.35", "1.36"]
    assert found[1].patch_versions["1.35.8"].upgrades == ["1.36.2", "1.36.4"]
    profile = azure.client.managed_clusters.get_upgrade_profile("fleet", "one").properties
    assert [u.kubernetes_version for u in profile.control_plane_profile.upgrades] == ["1.36.2", "1.36.4"]
    assert [(p.name, p.upgrades) for p in profile.agent_pool_profiles] == [("system", None)]
    pool = azure.client.agent_pools.get_upgrade_profile("fleet", "one", "system").properties
    assert (pool.kubernetes_version, pool.upgrades) == ("1.35.8", None)


def test_the_control_plane_goes_first_and_its_pools_follow_when_told(azure: Azure) -> None:
    azure.make()
    azure.cloud.faults.seconds = LONG
    body = cluster_body(version="1.36")
    body["properties"]["agentPoolProfiles"][0]["orchestratorVersion"] = "1.35"
    azure.put(body=body)
    assert azure.state() == ("Upgrading", "1.35.8", {"system": ("Upgrading", "1.35.8")})
    azure.cloud.advance(LONG)
    assert azure.state() == ("Succeeded", "1.36.4", {"system": ("Succeeded", "1.35.8")})
    azure.put_pool("system", {"mode": "System", "count": 1, "orchestratorVersion": "1.36"})
    assert azure.state() == ("Succeeded", "1.36.4", {"system": ("Upgrading", "1.35.8")})
    azure.cloud.advance(LONG)
    assert azure.state() == ("Succeeded", "1.36.4", {"system": ("Succeeded", "1.36.4")})
    assert azure.cloud.protests == []


def test_pools_that_name_no_version_follow_the_control_plane(azure: Azure) -> None:
    azure.make()
    azure.cloud.faults.seconds = LONG
    azure.put(body=cluster_body(version="1.36.4"))
    azure.cloud.advance(LONG)
    assert azure.state() == ("Upgrading", "1.36.4", {"system": ("Upgrading", "1.35.8")})
    azure.cloud.advance(LONG)
    assert azure.state() == ("Succeeded", "1.36.4", {"system": ("Succeeded", "1.36.4")})


def test_wrong_ways_between_versions_are_refused(azure: Azure) -> None:
    azure.make(body=cluster_body(version="1.34"))
    skips = refusal(lambda: azure.put(body=cluster_body(version="1.36")))
    assert skips[:2] == (400, "OperationNotAllowed")
    assert (
        "Upgrading Kubernetes version 1.34.9 to 1.36.4 is not allowed. Available upgrades: [1.35.8 1.35.6]" in skips[2]
    )
    unknown = refusal(lambda: azure.put(body=cluster_body(version="1.99")))
    assert unknown[:2] == (400, "K8sVersionNotSupported")
    newer = refusal(lambda: azure.put_pool("work", {"count": 1, "orchestratorVersion": "1.35"}))
    assert newer[:2] == (400, "NodePoolMcVersionIncompatible")
    azure.make(body=cluster_body(version="1.35"))
    assert refusal(lambda: azure.put(body=cluster_body(version="1.34")))[:2] == (400, "OperationNotAllowed")
    back = refusal(lambda: azure.put_pool("system", {"mode": "System", "count": 1, "orchestratorVersion": "1.34"}))
    assert back[:2] == (400, "AgentPoolUpgradeVersionNotAllowed")
    assert azure.state() == ("Succeeded", "1.35.8", {"system": ("Succeeded", "1.35.8")})


def test_through_the_cluster_pools_name_all_their_versions_or_none(azure: Azure) -> None:
    profiles: list[dict[str, Any]] = [
        {"name": "system", "mode": "System", "count": 1, "orchestratorVersion": "1.35"},
        {"name": "work", "count": 1, "orchestratorVersion": "1.35"},
    ]
    azure.make(body=cluster_body(agentPoolProfiles=profiles))
    del profiles[1]["orchestratorVersion"]
    body = cluster_body(version="1.36", agentPoolProfiles=profiles)
    assert refusal(lambda: azure.put(body=body))[:2] == (400, "NotAllAgentPoolOrchestratorVersionSpecifiedAndUnchanged")


def test_maintenance_windows_are_kept(azure: Azure) -> None:
    azure.make()
    calls = azure.client.maintenance_configurations
    freeze = {"notAllowedTime": [{"start": "2026-12-20T00:00:00Z", "end": "2027-01-05T00:00:00Z"}]}
    calls.create_or_update("fleet", "one", "default", {"properties": freeze})
    assert [found.name for found in calls.list_by_managed_cluster("fleet", "one")] == ["default"]
    assert calls.get("fleet", "one", "default").properties.not_allowed_time[0].end.year == 2027
    wrong = {"properties": {"maintenanceWindow": {"schedule": {}, "durationHours": 4, "startTime": "00:00"}}}
    for name, code in (("mine", "InvalidParameter"), ("aksManagedAutoUpgradeSchedule", "InvalidParameter")):
        assert refusal(lambda n=name: calls.create_or_update("fleet", "one", n, wrong))[1] == code  # type: ignore[misc]
    calls.delete("fleet", "one", "default")
    assert refusal(lambda: calls.get("fleet", "one", "default"))[0] == 404
    assert azure.cloud.protests == []
