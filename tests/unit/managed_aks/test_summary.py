"""What is said of a cluster."""

from __future__ import annotations

from typing import Any

import pytest

from atoll.ports import ObservedCluster, OperationType, Presence
from atoll.providers.aks.summary import summarise
from atoll.providers.managed.surroundings import Declared

from .azure import SETTINGS, Azure, operation, wanted
from .stories import play

DECLARED = Declared(settings=SETTINGS, labels={"team": "blue"})


def tell(declared: Declared = DECLARED, **properties: Any) -> ObservedCluster:
    azure = Azure()
    play(azure, wanted(), operation(OperationType.CREATE))
    azure.settle()
    assert azure.body is not None
    pools = properties.pop("pools", {})
    for name, change in properties.items():
        there = azure.body["properties"].get(name)
        merged = {**there, **change} if isinstance(there, dict) else change
        azure.body["properties"][name] = merged
    for pool in azure.body["properties"]["agentPoolProfiles"]:
        pool.update(pools.get(pool["name"], {}))
    seen = azure.look()
    assert seen is not None
    return summarise(declared, seen)


def test_a_cluster_as_declared_has_nothing_to_say() -> None:
    assert tell() == ObservedCluster(presence=Presence.PRESENT, version="v1.35.8", endpoint="https://x:443")


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({"disableLocalAccounts": False}, "disableLocalAccounts of the cluster is false and shall be true"),
        ({"aadProfile": {"managed": False}}, "aadProfile.managed of the cluster is false and shall be true"),
        (
            {"aadProfile": {"enableAzureRBAC": None}},
            "aadProfile.enableAzureRBAC of the cluster is not set and shall be true",
        ),
        (
            {"autoUpgradeProfile": {"upgradeChannel": "patch"}},
            "autoUpgradeProfile.upgradeChannel of the cluster is patch and shall be none",
        ),
        (
            {"networkProfile": {"networkPolicy": "none"}},
            "networkProfile.networkPolicy of the cluster is none and shall be cilium",
        ),
        ({"pools": {"work": {"mode": "System"}}}, "mode of agent pool work is System and shall be User"),
        ({"pools": {"work": {"minCount": 2}}}, "minCount of agent pool work is 2 and shall be 0"),
        ({"pools": {"work": {"maxCount": 9}}}, "maxCount of agent pool work is 9 and shall be 5"),
        (
            {"pools": {"work": {"enableAutoScaling": False}}},
            "enableAutoScaling of agent pool work is false and shall be true",
        ),
        (
            {"pools": {"work": {"upgradeSettings": {"maxSurge": "10%"}}}},
            "upgradeSettings.maxSurge of agent pool work is 10% and shall be 33%",
        ),
        (
            {"pools": {"work": {"currentOrchestratorVersion": "1.34.9"}}},
            "agent pool work runs v1.34.9 and the control plane v1.35.8",
        ),
        ({"pools": {"work": {"name": "other"}}}, "agent pool work is missing"),
    ],
)
def test_each_owned_field_that_differs_is_one_sentence(properties: dict[str, Any], sentence: str) -> None:
    assert tell(**properties).drift[0] == sentence
    assert len(tell(**properties).drift) == (2 if "missing" in sentence else 1)


def test_no_channel_at_all_is_the_channel_none_and_other_peoples_fields_are_no_drift() -> None:
    properties: dict[str, Any] = {
        "autoUpgradeProfile": {"upgradeChannel": None, "nodeOSUpgradeChannel": "SecurityPatch"},
        "apiServerAccessProfile": {"authorizedIPRanges": ["192.0.2.0/24"]},
        "addonProfiles": {"azurepolicy": {"enabled": True}},
        "pools": {"work": {"count": 4, "nodeLabels": {"a": "b"}}},
    }
    assert tell(**properties).drift == ()


def test_while_azure_is_at_work_nothing_is_called_drift() -> None:
    seen = tell(provisioningState="Updating", disableLocalAccounts=False)
    assert (seen.drift, seen.needs_repair, seen.presence) == ((), "", Presence.PRESENT)


@pytest.mark.parametrize("state", ["Creating", "Deleting"])
def test_what_comes_or_goes_is_partly_there(state: str) -> None:
    assert tell(provisioningState=state).presence is Presence.PARTIAL


def test_what_failed_needs_repair_in_azures_words() -> None:
    error = {"provisioningError": {"code": "NodesNotReady", "message": "3 of 3"}}
    pool = tell(pools={"work": {"provisioningState": "Failed", "status": error}})
    assert pool.needs_repair == "agent pool work is Failed (NodesNotReady: 3 of 3): a repair sends Azure the same again"
    cluster = tell(provisioningState="Failed", status=error)
    assert "the cluster is Failed (NodesNotReady: 3 of 3)" in cluster.needs_repair
    assert "stopped" in tell(powerState={"code": "Stopped"}).needs_repair


def test_a_block_that_cannot_be_read_is_no_drift() -> None:
    assert tell(Declared(settings={**SETTINGS, "agentPools": ()}, labels={})).drift == ()
