"""Members that leave, sets that are paused, and what is protected."""

from __future__ import annotations

import time

import pytest

from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

A, B = member("a", "dev"), member("b", "spare")


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two children, a tenant on the first."""
    home.apply(fleet_namespace())
    home.apply(cluster_set("eu", A, B), environment("dev"), tenant("shop", "dev"))
    home.wait_ready("clusterset", "eu")
    home.wait_ready("tenant", "shop")
    return home


def test_a_paused_set_is_left_as_it_is(fleet: TestHome) -> None:
    fleet.patch("clusterset", "eu", {"spec": {"paused": {"reason": "audit week"}, "version": "v1.36.4"}})
    paused = fleet.wait(
        lambda: fleet.condition("clusterset", "eu", "Paused"),
        lambda condition: condition.get("status") == "True",
        "the set to be paused",
    )
    time.sleep(6)

    assert "audit week" in paused["message"]
    assert fleet.get("rollout")["items"] == []
    assert {body["spec"]["version"] for body in fleet.get("childcluster")["items"]} == {"v1.35.8"}
    fleet.patch("clusterset", "eu", {"spec": {"paused": None, "version": "v1.35.8"}})
    fleet.wait_ready("clusterset", "eu", seconds=30)


def test_a_member_that_leaves_the_list_is_detached_and_goes_on(fleet: TestHome) -> None:
    fleet.apply(cluster_set("eu", A))

    child = fleet.wait(
        lambda: fleet.get("childcluster", "eu--b"),
        lambda body: condition_of(body, "Ready").get("reason") == "Detached",
        "eu--b to be detached",
    )

    assert "confirmRemoval" in condition_of(child, "Ready")["message"]
    assert len(fleet.api_servers("eu--b")) == 1
    assert fleet.get("clusterset", "eu")["status"]["members"]["detached"] == 1


def test_a_detached_member_goes_when_it_is_named(fleet: TestHome) -> None:
    cluster_id = fleet.get("childcluster", "eu--b")["spec"]["id"]

    fleet.apply(cluster_set("eu", A, confirmRemoval=["b"]))

    fleet.wait(lambda: fleet.get("childcluster", "eu--b"), lambda body: body == {}, "eu--b to be gone")
    assert not (fleet.root / "planes" / cluster_id).exists()
    assert len(fleet.api_servers("eu--a")) == 1


def test_a_member_with_tenants_on_it_stays_though_it_is_named(fleet: TestHome) -> None:
    fleet.apply(cluster_set("eu", member("c", "other"), confirmRemoval=["a"]))
    fleet.wait_ready("childcluster", "eu--c", seconds=60)
    time.sleep(3)

    assert fleet.get("childcluster", "eu--a") != {}
    assert fleet.get("tenant", "shop")["status"]["placements"][0]["cluster"] == "eu--a"
    fleet.apply(cluster_set("eu", A, member("c", "other")))
    fleet.wait_ready("clusterset", "eu", seconds=30)


def test_a_protected_set_cannot_be_deleted_by_accident(fleet: TestHome) -> None:
    fleet.patch("clusterset", "eu", {"spec": {"deletionProtection": True}})

    refused = fleet.kubectl("delete", "clusterset", "eu", "-n", "fleet", "--wait=false", ok=False)

    assert refused.returncode != 0
    assert "deletionProtection" in refused.stderr
    assert "confirm-deletion" in refused.stderr
    fleet.kubectl("annotate", "clusterset", "eu", "-n", "fleet", "atoll.dev/confirm-deletion=eu")
    fleet.kubectl("delete", "tenant", "shop", "-n", "fleet", "--timeout=60s")
    fleet.kubectl("delete", "clusterset", "eu", "-n", "fleet", "--timeout=60s", seconds=90)
    assert fleet.get("childcluster")["items"] == []


def test_a_child_cannot_be_written_by_people(fleet: TestHome) -> None:
    fleet.apply(cluster_set("us", member("a", "none")))
    fleet.wait_ready("clusterset", "us", seconds=60)

    refused = fleet.kubectl(
        "patch",
        "childcluster",
        "us--a",
        "-n",
        "fleet",
        "--type=merge",
        "-p",
        '{"spec":{"version":"v1.36.4"}}',
        ok=False,
    )

    assert refused.returncode != 0
    assert "denied" in refused.stderr or "forbidden" in refused.stderr.lower()
    fleet.kubectl("delete", "clusterset", "us", "-n", "fleet", "--timeout=60s", seconds=90)
