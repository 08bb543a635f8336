"""What can be told before Azure is asked, and of what it answers."""

from __future__ import annotations

from typing import Any

import pytest

from atoll.ports import Finding, OperationType
from atoll.providers.aks.check import check
from atoll.providers.aks.offers import check_offered, check_upgrade

from .azure import NAME, SYSTEM, WORK, Azure, operation, wanted
from .stories import play

CREATE, CHANGE = operation(OperationType.CREATE), operation(OperationType.CHANGE)


def there() -> Any:
    azure = Azure()
    play(azure, wanted(), CREATE)
    azure.settle()
    return azure.look()


def fields(findings: tuple[Finding, ...]) -> list[tuple[str, str]]:
    return [(finding.reason, finding.field.removeprefix("spec.provider.aks.")) for finding in findings]


def test_all_that_is_missing_is_found_at_once() -> None:
    found = check(wanted(subscriptionID="", resourceGroup=None, location="", agentPools=()), CREATE, None)
    assert fields(found) == [
        ("InvalidSpec", "subscriptionID"),
        ("InvalidSpec", "resourceGroup"),
        ("InvalidSpec", "location"),
        ("InvalidSpec", "agentPools"),
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"endpointAccess": {"private": False}}, [("InvalidSpec", "endpointAccess")]),
        ({"agentPools": (WORK,)}, [("InvalidSpec", "agentPools")]),
        ({"agentPools": (SYSTEM, SYSTEM)}, [("InvalidSpec", "agentPools[system]")]),
        ({"agentPools": ({**SYSTEM, "minSize": 0},)}, [("InvalidSpec", "agentPools[system].minSize")]),
        (
            {"agentPools": ({**SYSTEM, "maxSize": 0},)},
            [("InvalidSpec", "agentPools"), ("InvalidSpec", "agentPools[system].maxSize")],
        ),
        ({"agentPools": ({**SYSTEM, "maxSize": 200},)}, [("InvalidSpec", "agentPools")]),
    ],
)
def test_what_contradicts_itself_is_named_by_its_field(change: dict[str, Any], expected: list[Any]) -> None:
    assert fields(check(wanted(**change), CREATE, None)) == expected


def test_labels_that_cannot_be_tags_are_found() -> None:
    assert fields(check(wanted(labels={"a/b": "", "a_b": ""}), CREATE, None)) == [("InvalidSpec", "spec.labels")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, []),
        ({"location": "West Europe"}, []),
        ({"location": "northeurope"}, [("ImmutableField", "location")]),
        ({"endpointAccess": {"public": True}}, [("ImmutableField", "endpointAccess")]),
        ({"agentPools": ({**SYSTEM, "vmSize": "Standard_D2s_v5"},)}, [("ImmutableField", "agentPools[system].vmSize")]),
        ({"agentPools": ({**SYSTEM, "name": "new", "vmSize": "Standard_D2s_v5"},)}, []),
    ],
)
def test_what_never_changes_in_a_cluster_is_refused_with_the_way_out(
    change: dict[str, Any], expected: list[Any]
) -> None:
    found = check(wanted(**change), CHANGE, there())
    assert fields(found) == expected
    assert all("declare" in finding.message for finding in found)


def test_hops_that_aks_does_not_make_are_refused() -> None:
    seen = there()
    assert [fields(check(wanted(version), CHANGE, seen)) for version in ("v1.35", "v1.35.9", "v1.36.4")] == [[]] * 3
    for version in ("v1.34", "v1.35.1", "v1.37"):
        assert fields(check(wanted(version), CHANGE, seen)) == [("VersionSkipped", "spec.version")]


VERSIONS = {
    "values": [
        {"version": "1.35", "patchVersions": {"1.35.8": {}, "1.35.6": {}}},
        {"version": "1.36", "isPreview": True, "patchVersions": {"1.36.0": {}}},
    ]
}


def test_a_version_must_be_on_offer_in_the_location_and_be_no_preview() -> None:
    assert check_offered(wanted("v1.35"), "westeurope", VERSIONS) == ()
    assert check_offered(wanted("v1.35.6"), "westeurope", VERSIONS) == ()
    (finding,) = check_offered(wanted("v1.36"), "westeurope", VERSIONS)
    assert (finding.reason, finding.field) == ("VersionUnavailable", "spec.version")
    assert finding.message == (
        "v1.36 is not to be had: AKS in westeurope offers for new clusters v1.35.6, v1.35.8: write one of these"
    )


def test_an_upgrade_must_be_one_that_aks_lists_for_the_cluster() -> None:
    def read() -> dict[str, Any]:
        upgrades = [{"kubernetesVersion": "1.36.2"}, {"kubernetesVersion": "1.36.4", "isPreview": True}]
        return {"properties": {"controlPlaneProfile": {"upgrades": upgrades}}}

    def never() -> dict[str, Any]:
        raise AssertionError("nobody asks where there is nothing to upgrade")

    seen = there()
    assert seen.name == NAME
    assert check_upgrade(wanted("v1.35"), seen, never) == ()
    assert check_upgrade(wanted("v1.36"), seen, read) == ()
    assert [finding.reason for finding in check_upgrade(wanted("v1.36.4"), seen, read)] == ["VersionUnavailable"]
