"""Tenants that have to move: another place is made first, and the old one is left when it is empty."""

from __future__ import annotations

import json

import pytest

from tests.support.home import TestHome, condition_of
from tests.support.manifests import API_VERSION, cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

CLAIM = {
    "apiVersion": "v1",
    "kind": "PersistentVolumeClaim",
    "metadata": {"name": "data", "namespace": "pay--prod"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}},
}


def regime(name: str, **spec: object) -> dict[str, object]:
    """A governance regime."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Regime",
        "metadata": {"name": name, "namespace": "fleet"},
        "spec": {"title": name, **spec},
    }


def eu(**countries: str) -> dict[str, object]:
    """Three clusters, all attested for gdpr, in these countries."""
    return cluster_set(
        "eu",
        *(member(name, "prod", country=countries.get(name, "DE")) for name in ("a", "b", "c")),
        regimes=["gdpr"],
    )


def stored(name: str, *environments: str, **spec: object) -> dict[str, object]:
    """A tenant with some storage, which asks for its namespaces to go with their data."""
    body = tenant(name, *environments, deletionPolicy="Delete", **spec)
    for entry in body["spec"]["environments"]:
        entry["resources"] = {**entry["resources"], "storage": "10Gi"}
    return body


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Three children; pay and web on the same one."""
    home.apply(fleet_namespace())
    home.apply(
        regime("gdpr", countries=["DE", "FR"]),
        eu(),
        environment("prod", regimes=["gdpr"]),
        stored("pay", "prod"),
        stored("web", "prod"),
    )
    for kind, name in (("clusterset", "eu"), ("tenant", "pay"), ("tenant", "web")):
        home.wait_ready(kind, name, seconds=180)
    return home


def places(home: TestHome, name: str) -> dict[str, tuple[str, str]]:
    """Return state and broken rule of a tenant's places, by cluster."""
    status = home.get("tenant", name).get("status", {})
    return {entry["cluster"]: (entry["state"], entry.get("rule", "")) for entry in status.get("placements", ())}


def marks(home: TestHome, child: str, namespace: str) -> str:
    """Return what a namespace in a child says of itself; empty when it is not there."""
    body = home.get("namespace", namespace, namespace="", kubeconfig=home.child_kubeconfig(child))
    return body.get("metadata", {}).get("labels", {}).get("atoll.dev/placement", "") if body else ""


def can_write(home: TestHome, child: str, name: str, namespace: str) -> bool:
    """Say whether a tenant's developer may make a ConfigMap in a namespace."""
    kubeconfig = home.child_kubeconfig(child, "--tenant", name, "--role", "developer")
    asked = home.kubectl("auth", "can-i", "create", "configmaps", "-n", namespace, kubeconfig=kubeconfig, ok=False)
    return asked.stdout.strip() == "yes"


def test_a_corrected_country_marks_moves_and_waits_for_the_data(fleet: TestHome) -> None:
    (old,) = places(fleet, "pay")
    admin = fleet.child_kubeconfig(old)
    fleet.kubectl("apply", "-f", "-", stdin=json.dumps(CLAIM), kubeconfig=admin)

    fleet.apply(eu(**{old.removeprefix("eu--"): "US"}))
    moved = fleet.wait(
        lambda: places(fleet, "pay"),
        lambda found: found.get(old) == ("Leaving", "country") and ("Placed", "") in found.values(),
        "pay to have another place",
        seconds=60,
    )
    (new,) = (name for name in moved if name != old)
    compliant = fleet.condition("tenant", "pay", "Compliant")
    assert (compliant["status"], compliant["reason"]) == ("False", "NotCompliant")
    assert f"{old} stands in US, and regime gdpr allows DE, FR" in compliant["message"]

    # The data is still there, so it still has its place, and its people can get at it.
    fleet.wait(lambda: marks(fleet, old, "pay--prod"), lambda mark: mark == "leaving", "the mark", seconds=30)
    assert can_write(fleet, old, "pay", "pay--prod")
    assert can_write(fleet, new, "pay", "pay--prod")
    assert "volume claims" in fleet.condition("tenant", "pay", "Ready")["message"]
    told = fleet.atoll("why", "tenant/pay").stdout
    assert "stands in US" in told

    # The one beside it, which had nothing there, has gone by itself.
    fleet.wait(
        lambda: list(places(fleet, "web").values()),
        lambda found: found == [("Placed", "")],
        "web to be only where it may be",
        seconds=60,
    )
    assert old not in places(fleet, "web")
    fleet.wait(lambda: marks(fleet, old, "web--prod"), lambda mark: mark == "", "its namespace to be gone", seconds=60)

    fleet.kubectl("delete", "pvc", "data", "-n", "pay--prod", "--wait=false", kubeconfig=admin)
    fleet.kubectl(
        "patch", "pvc", "data", "-n", "pay--prod", "--type=merge", "-p", '{"metadata":{"finalizers":null}}',
        kubeconfig=admin, ok=False,
    )  # fmt: skip
    fleet.wait(
        lambda: places(fleet, "pay"),
        lambda found: found == {new: ("Placed", "")},
        "pay to have left",
        seconds=60,
    )
    assert marks(fleet, old, "pay--prod") == ""
    fleet.wait_ready("tenant", "pay", seconds=30)
    assert fleet.condition("tenant", "pay", "Compliant")["status"] == "True"


def test_a_tier_that_is_raised_gives_a_cluster_of_its_own_and_one_that_is_lowered_gives_it_back(
    fleet: TestHome,
) -> None:
    fleet.apply(eu())
    before = places(fleet, "pay")
    isolated = stored("pay", "prod")
    isolated["spec"]["environments"][0]["isolation"] = "Cluster"
    fleet.apply(isolated)
    fleet.wait_ready("tenant", "pay", seconds=90)
    (own,) = places(fleet, "pay")
    others = {place for name in ("web",) for place in places(fleet, name)}
    assert own not in others
    (entry,) = fleet.get("tenant", "pay")["status"]["placements"]
    assert entry["isolation"] == "Cluster"

    # Nobody else is let in there now.
    fleet.apply(*(stored(f"t{number}", "prod") for number in range(2)))
    for number in range(2):
        fleet.wait_ready("tenant", f"t{number}", seconds=60)
        assert own not in places(fleet, f"t{number}")

    fleet.apply(stored("pay", "prod"))
    back = fleet.wait(
        lambda: fleet.get("tenant", "pay"),
        lambda body: (
            [item["isolation"] for item in body["status"]["placements"]] == ["Namespace"]
            and condition_of(body, "Ready").get("status") == "True"
        ),
        "pay to share again",
        seconds=90,
    )
    assert back["status"]["placements"][0]["cluster"] != own, before
