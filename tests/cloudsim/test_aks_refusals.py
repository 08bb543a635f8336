"""What the stand-in for Azure refuses, and how it fails, seen through the unmodified SDK."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError, ServiceResponseError
from azure.mgmt.containerservice import ContainerServiceClient

from .aks_kit import LONG, Azure, cluster_body, refusal, run_azure


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[Azure]:
    with run_azure(tmp_path) as found:
        yield found


def test_unknown_and_misplaced_fields_are_refused_and_protested(azure: Azure) -> None:
    def wrong(change: Callable[[dict[str, Any]], Any]) -> tuple[int | None, str, str]:
        body = copy.deepcopy(cluster_body())
        change(body)
        return refusal(lambda: azure.put(body=body))

    assert wrong(lambda body: body.update(kubernetesVersion="1.35"))[1] == "UnmarshalError"
    assert wrong(lambda body: body["properties"].update(nodePools=[]))[1] == "UnmarshalError"
    assert wrong(lambda body: body["properties"]["agentPoolProfiles"][0].update(mode="system"))[1] == "UnmarshalError"
    assert wrong(lambda body: body["properties"]["agentPoolProfiles"][0].update(count="1"))[1] == "UnmarshalError"
    assert wrong(lambda body: body.pop("location"))[1] == "LocationRequired"
    assert refusal(lambda: azure.put_pool("work", {"count": 1, "replicas": 2}))[1] == "UnmarshalError"
    assert [line.partition(": ")[2] for line in azure.cloud.protests] == [
        'unknown field "kubernetesVersion"',
        'unknown field "properties.nodePools"',
        "properties.agentPoolProfiles[0].mode is 'system', which is none of System, User, Gateway",
        "properties.agentPoolProfiles[0].count is str, not int",
        "required field location is missing",
        'unknown field "properties.replicas"',
    ]


def test_a_call_that_azure_does_not_have_is_protested(azure: Azure) -> None:
    with pytest.raises(HttpResponseError):
        azure.client.managed_clusters.begin_rotate_cluster_certificates("fleet", "one")
    assert len(azure.cloud.protests) == 1


def test_an_unknown_version_of_the_api_is_protested(azure: Azure) -> None:
    other = azure.keep(azure.connect(azure.credential, api_version="2020-01-01"))
    assert refusal(lambda: other.managed_clusters.get("fleet", "one"))[:2] == (400, "NoRegisteredProviderFound")
    assert azure.cloud.protests == ["ManagedClusters_Get: api-version 2020-01-01 is unknown"]


@pytest.mark.parametrize(
    ("properties", "code", "words"),
    [
        ({"agentPoolProfiles": []}, "InvalidParameter", "agentPoolProfiles is missing"),
        ({"agentPoolProfiles": [{"name": "a", "count": 1}]}, "InvalidParameter", "at least one system pool"),
        ({"agentPoolProfiles": [{"name": "a", "mode": "System"}]}, "InvalidParameter", "count is missing"),
        ({"agentPoolProfiles": [{"name": "a", "mode": "System", "count": 0}]}, "InvalidParameter", "count was 0"),
        ({"agentPoolProfiles": [{"name": "A", "mode": "System", "count": 1}]}, "InvalidParameter", "name is invalid"),
        (
            {"agentPoolProfiles": [{"name": "a", "mode": "System", "count": 1, "maxCount": 3}]},
            "InvalidParameter",
            "enableAutoScaling",
        ),
        (
            {
                "agentPoolProfiles": [
                    {"name": "a", "mode": "System", "count": 5, "enableAutoScaling": True, "minCount": 1, "maxCount": 3}
                ]
            },
            "InvalidParameter",
            "less than or equal to maxCount:3",
        ),
        (
            {"agentPoolProfiles": [{"name": "a", "mode": "System", "count": 1, "upgradeSettings": {"maxSurge": "x"}}]},
            "InvalidParameter",
            "maxSurge",
        ),
        ({"dnsPrefix": "-bad-"}, "InvalidParameter", "dnsPrefix is invalid"),
        ({"aadProfile": None}, "BadRequest", "disableLocalAccounts"),
        ({"aadProfile": {"enableAzureRBAC": True}}, "BadRequest", "enableAzureRBAC"),
        ({"networkProfile": {"serviceCidr": "10.1.0.0/20"}}, "InvalidParameter", "dnsServiceIP"),
        (
            {"networkProfile": {"podCidr": "10.1.0.0/16", "serviceCidr": "10.1.0.0/20", "dnsServiceIP": "10.1.0.10"}},
            "InvalidParameter",
            "overlap",
        ),
    ],
)
def test_values_that_aks_does_not_take_are_refused(
    azure: Azure, properties: dict[str, Any], code: str, words: str
) -> None:
    status, found, message = refusal(lambda: azure.put(body=cluster_body(**properties)))
    assert (status, found) == (400, code)
    assert words in message
    assert (azure.cloud.names(), azure.cloud.protests) == ([], [])


@pytest.mark.parametrize(
    ("tags", "code"),
    [
        ({f"tag-{number}": "x" for number in range(51)}, "InvalidTags"),
        ({"governance.atoll.dev/compliance": "pci"}, "InvalidTagNameCharacters"),
        ({"azureThing": "x"}, "InvalidTagNameCharacters"),
        ({"a": "x" * 257}, "InvalidTagValue"),
        ({"Stage": "x", "stage": "y"}, "InvalidTags"),
    ],
)
def test_tags_have_their_own_rules(azure: Azure, tags: dict[str, str], code: str) -> None:
    assert refusal(lambda: azure.put(body={**cluster_body(), "tags": tags}))[:2] == (400, code)


def test_the_last_system_pool_stays(azure: Azure) -> None:
    azure.make()
    delete = azure.client.agent_pools.begin_delete
    assert "at least one system pool" in refusal(lambda: delete("fleet", "one", "system"))[2]
    azure.put_pool("other", {"mode": "System", "count": 1})
    azure.cloud.advance(LONG)
    delete("fleet", "one", "system", polling=False)
    azure.cloud.advance(LONG)
    assert [pool.name for pool in azure.client.agent_pools.list("fleet", "one")] == ["other"]
    delete("fleet", "one", "system").result()
    assert refusal(lambda: azure.client.agent_pools.get("fleet", "one", "system"))[:2] == (404, "ResourceNotFound")
    assert refusal(lambda: azure.client.agent_pools.get("fleet", "no", "a"))[:2] == (404, "ParentResourceNotFound")


def test_the_autoscaler_changes_the_count_without_a_call(azure: Azure) -> None:
    azure.make()
    azure.put_pool("work", {"count": 1, "enableAutoScaling": True, "minCount": 0, "maxCount": 5})
    azure.cloud.advance(LONG)
    azure.cloud.scale("one", "work", 4)
    assert azure.client.agent_pools.get("fleet", "one", "work").properties.count == 4


def test_places_that_are_not_there_are_named(azure: Azure) -> None:
    get = azure.client.managed_clusters.get
    assert refusal(lambda: get("nowhere", "one")) == (
        404,
        "ResourceGroupNotFound",
        "Resource group 'nowhere' could not be found.",
    )
    other = ContainerServiceClient(
        azure.credential, "other", base_url=azure.cloud.url, connection_verify=str(azure.authority), retry_total=0
    )
    assert refusal(lambda: azure.keep(other).managed_clusters.get("fleet", "one"))[:2] == (404, "SubscriptionNotFound")


def test_a_missing_permission_names_action_and_scope(azure: Azure) -> None:
    azure.cloud.application.denied.add("Microsoft.ContainerService/managedClusters/write")
    status, code, message = refusal(azure.put)
    assert (status, code) == (403, "AuthorizationFailed")
    assert "perform action 'Microsoft.ContainerService/managedClusters/write' over scope '/subscriptions/" in message
    assert "managedClusters/one'" in message
    assert refusal(azure.get)[0] == 404


def test_the_number_of_clusters_has_a_limit(azure: Azure) -> None:
    azure.cloud.store.max_clusters = 1
    azure.put()
    assert refusal(lambda: azure.put("two"))[:2] == (400, "QuotaExceeded")
    assert azure.cloud.names() == ["one"]


@pytest.mark.parametrize(
    ("how", "status", "code"),
    [
        ("throttled", 429, "SubscriptionRequestsThrottled"),
        ("unavailable", 503, "ServerTimeout"),
        ("error", 500, "InternalOperationError"),
        ("denied", 403, "AuthorizationFailed"),
        ("quota", 400, "QuotaExceeded"),
        ("conflict", 409, "OperationNotAllowed"),
        ("invalid", 400, "InvalidParameter"),
    ],
)
def test_each_class_of_failure_looks_as_on_azure(azure: Azure, how: Any, status: int, code: str) -> None:
    azure.cloud.faults.fail("ManagedClusters_CreateOrUpdate", how)
    assert refusal(azure.put)[:2] == (status, code)
    assert azure.cloud.names() == []
    azure.put()
    assert azure.cloud.names() == ["one"]


def test_a_cut_call_was_done_and_a_lost_one_was_not(azure: Azure) -> None:
    for how, left in (("lost", []), ("cut", ["one"])):
        azure.cloud.faults.fail("ManagedClusters_CreateOrUpdate", how)  # type: ignore[arg-type]
        with pytest.raises((ServiceResponseError, ServiceRequestError)):
            azure.put()
        assert azure.cloud.names() == left


def test_throttling_says_when_to_come_back_and_the_sdk_does(azure: Azure) -> None:
    azure.cloud.faults.fail("ManagedClusters_List", "throttled")
    with pytest.raises(HttpResponseError) as caught:
        list(azure.client.managed_clusters.list())
    response: Any = caught.value.response
    headers = response.headers
    assert headers["Retry-After"] == "0.2"
    assert headers["x-ms-ratelimit-remaining-subscription-reads"] == "0"
    patient = azure.keep(azure.connect(azure.credential, retry_total=3))
    azure.cloud.faults.fail("ManagedClusters_List", "throttled", times=2)
    assert list(patient.managed_clusters.list()) == []


def test_a_broken_create_ends_failed_says_why_and_can_be_put_again(azure: Azure) -> None:
    azure.cloud.faults.fail("ManagedClusters_CreateOrUpdate", "broken")
    poller = azure.client.managed_clusters.begin_create_or_update("fleet", "one", cluster_body())
    with pytest.raises(HttpResponseError, match="InternalOperationError"):
        poller.result()
    failed = azure.get().properties
    assert (failed.provisioning_state, failed.status.provisioning_error.code) == ("Failed", "InternalOperationError")
    assert refusal(lambda: azure.client.managed_clusters.list_cluster_user_credentials("fleet", "one"))[0] == 404
    assert refusal(lambda: azure.put_pool("work", {"count": 1}))[0] == 409
    assert azure.make().properties.provisioning_state == "Succeeded"


def test_a_broken_upgrade_leaves_the_version_and_can_be_put_again(azure: Azure) -> None:
    azure.make()
    azure.cloud.faults.fail("ManagedClusters_CreateOrUpdate", "broken")
    azure.make(body=cluster_body(version="1.36"))
    assert azure.state() == ("Failed", "1.35.8", {"system": ("Failed", "1.35.8")})
    azure.make(body=cluster_body(version="1.36"))
    assert azure.state() == ("Succeeded", "1.36.4", {"system": ("Succeeded", "1.36.4")})


def test_a_broken_pool_ends_failed_and_can_be_put_again(azure: Azure) -> None:
    azure.make()
    azure.cloud.faults.fail("AgentPools_CreateOrUpdate", "broken")
    azure.put_pool("work", {"count": 1})
    azure.cloud.advance(LONG)
    found = azure.client.agent_pools.get("fleet", "one", "work").properties
    assert (found.provisioning_state, found.status.provisioning_error.code) == ("Failed", "InternalOperationError")
    assert azure.state()[0] == "Succeeded"
    azure.put_pool("work", {"count": 1})
    azure.cloud.advance(LONG)
    assert azure.state()[2]["work"] == ("Succeeded", "1.35.8")


@pytest.mark.parametrize("lock", [False, True])
def test_what_was_left_behind_holds_up_deletion_and_is_named(azure: Azure, lock: bool) -> None:
    azure.make()
    left = azure.cloud.leave_behind("one", "kubernetes-a1b2", lock=lock)
    with pytest.raises(HttpResponseError, match="ResourceGroupDeletionBlocked"):
        azure.client.managed_clusters.begin_delete("fleet", "one").result()
    failed = azure.get().properties
    why = failed.status.provisioning_error
    assert (failed.provisioning_state, why.code) == ("Failed", "ResourceGroupDeletionBlocked")
    assert f"resource group 'MC_fleet_one_westeurope' failed as resources with identifiers '{left}'" in why.message
    assert [(detail.target, "ScopeLocked" in detail.message) for detail in why.details] == [(left, lock)]
    azure.cloud.take_away("one")
    azure.client.managed_clusters.begin_delete("fleet", "one", polling=False)
    azure.cloud.advance(LONG)
    assert azure.cloud.names() == []
