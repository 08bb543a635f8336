"""What Azure is sent."""

from __future__ import annotations

from typing import Any

from atoll.providers.aks.bodies import build_cluster, change_cluster, change_pool
from atoll.providers.aks.seen import parse_cluster
from atoll.providers.aks.settings import parse_settings

from .azure import NAME, SETTINGS, SYSTEM


def build(**settings: Any) -> Any:
    return build_cluster(
        NAME,
        "1.35",
        parse_settings({**SETTINGS, **settings}),
        pod_cidr="10.128.0.0/16",
        service_cidr="10.250.16.0/20",
        tags={"team": "blue"},
    )


def test_a_cluster_is_private_with_entra_logins_and_an_engine_for_network_policies() -> None:
    assert build(agentPools=(SYSTEM,)) == {
        "location": "westeurope",
        "tags": {"team": "blue"},
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "kubernetesVersion": "1.35",
            "dnsPrefix": NAME,
            "enableRBAC": True,
            "disableLocalAccounts": True,
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "autoUpgradeProfile": {"upgradeChannel": "none"},
            "networkProfile": {
                "networkPlugin": "azure",
                "networkPluginMode": "overlay",
                "networkDataplane": "cilium",
                "networkPolicy": "cilium",
                "loadBalancerSku": "standard",
                "podCidr": "10.128.0.0/16",
                "serviceCidr": "10.250.16.0/20",
                "dnsServiceIP": "10.250.16.10",
            },
            "apiServerAccessProfile": {"enablePrivateCluster": True, "enablePrivateClusterPublicFQDN": False},
            "agentPoolProfiles": [
                {
                    "name": "system",
                    "count": 1,
                    "vmSize": "Standard_D4s_v5",
                    "mode": "System",
                    "type": "VirtualMachineScaleSets",
                    "osType": "Linux",
                    "orchestratorVersion": "1.35",
                    "enableAutoScaling": True,
                    "minCount": 1,
                    "maxCount": 3,
                    "upgradeSettings": {"maxSurge": "33%"},
                }
            ],
        },
    }


def test_a_public_cluster_says_nothing_of_private_names() -> None:
    for access in ({"public": True}, {"public": True, "private": False}):
        profile = build(endpointAccess=access)["properties"]["apiServerAccessProfile"]
        assert profile == {"enablePrivateCluster": False}


def test_without_address_blocks_azure_chooses() -> None:
    body = build_cluster(NAME, "1.35", parse_settings(SETTINGS), pod_cidr="", service_cidr="", tags={})
    assert not {"podCidr", "serviceCidr", "dnsServiceIP"} & body["properties"]["networkProfile"].keys()


def test_a_change_sends_back_all_that_can_be_written_and_nothing_else() -> None:
    seen = parse_cluster(
        {
            "id": "/x",
            "name": NAME,
            "type": "t",
            "eTag": "e",
            "location": "westeurope",
            "identity": {"type": "SystemAssigned", "principalId": "p", "tenantId": "t"},
            "newThing": 1,
            "tags": {"old": "1"},
            "properties": {
                "provisioningState": "Succeeded",
                "powerState": {"code": "Running"},
                "currentKubernetesVersion": "1.35.8",
                "kubernetesVersion": "1.35",
                "autoUpgradeProfile": {"nodeOSUpgradeChannel": "SecurityPatch", "upgradeChannel": "rapid"},
                "networkProfile": {"podCidr": "10.0.0.0/16"},
                "agentPoolProfiles": [
                    {"name": "a", "count": 2, "orchestratorVersion": "1.35", "eTag": "x", "nodeImageVersion": "n"}
                ],
            },
        }
    )
    assert change_cluster(seen, {"new": "2"}, version="1.36") == {
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "newThing": 1,
        "tags": {"new": "2"},
        "properties": {
            "kubernetesVersion": "1.36",
            "autoUpgradeProfile": {"nodeOSUpgradeChannel": "SecurityPatch", "upgradeChannel": "none"},
            "networkProfile": {"podCidr": "10.0.0.0/16", "networkPolicy": "cilium"},
            "aadProfile": {"managed": True, "enableAzureRBAC": True},
            "disableLocalAccounts": True,
            "agentPoolProfiles": [{"name": "a", "count": 2, "orchestratorVersion": "1.35"}],
        },
    }
    assert seen.tags == {"old": "1"}
    assert seen.body["properties"]["autoUpgradeProfile"]["upgradeChannel"] == "rapid"


def test_a_pool_keeps_its_nodes_as_far_as_the_bounds_let_it() -> None:
    (pool,) = parse_settings({**SETTINGS, "agentPools": (SYSTEM,)}).pools
    for there, then in ((0, 1), (2, 2), (9, 3)):
        seen = parse_cluster({"properties": {"agentPoolProfiles": [{"name": "system", "count": there}]}}).pools[0]
        assert change_pool(seen, pool, tags={})["count"] == then
