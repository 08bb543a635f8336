"""What is unknown is never called healthy, and one child's trouble is its own."""

from __future__ import annotations

import base64
import signal
import time

import pytest

from tests.support.audit import AuditLog
from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two children, each with an environment of its own."""
    home.apply(fleet_namespace())
    home.apply(
        cluster_set("eu", member("a", "dev"), member("b", "prod")),
        environment("dev"),
        environment("prod"),
        tenant("shop", "dev"),
    )
    home.wait_ready("clusterset", "eu")
    home.wait_ready("tenant", "shop")
    return home


def test_a_killed_api_server_is_started_again(fleet: TestHome) -> None:
    (server,) = fleet.api_servers("eu--a")

    server.kill()

    kubeconfig = fleet.child_kubeconfig("eu--a")
    fleet.wait(
        lambda: fleet.kubectl("get", "--raw", "/readyz", kubeconfig=kubeconfig, ok=False).stdout,
        lambda text: text == "ok",
        "the API server to be back",
        seconds=40,
    )
    (again,) = fleet.api_servers("eu--a")
    assert again.pid != server.pid
    fleet.wait_ready("childcluster", "eu--a", seconds=30)


def test_a_stopped_child_is_unknown_and_the_others_go_on(fleet: TestHome) -> None:
    (server,) = fleet.api_servers("eu--a")
    began = time.monotonic()
    server.send_signal(signal.SIGSTOP)
    try:
        fleet.wait(
            lambda: fleet.condition("childcluster", "eu--a", "Available"),
            lambda condition: condition.get("status") == "Unknown",
            "eu--a to be Unknown",
            seconds=35,
        )
        assert time.monotonic() - began < 30

        applied = time.monotonic()
        fleet.apply(tenant("swift", "prod"))
        fleet.wait_ready("tenant", "swift", seconds=15)
        beside_a_silent_one = time.monotonic() - applied

        child = fleet.get("childcluster", "eu--a")
        assert condition_of(child, "Ready")["status"] == "Unknown"
        assert condition_of(child, "Reachable")["status"] == "False"
        assert "eu--a" in [item["metadata"]["name"] for item in fleet.get("childcluster")["items"]]
        assert fleet.get("tenant", "shop")["status"]["placements"][0]["cluster"] == "eu--a", "nothing is moved by it"
        assert beside_a_silent_one < 10
    finally:
        server.send_signal(signal.SIGCONT)
    fleet.wait_ready("childcluster", "eu--a", seconds=40)
    fleet.wait_ready("tenant", "shop", seconds=20)
    assert fleet.api_servers("eu--a")[0].pid == server.pid, "a slow process is not replaced"


def test_a_secret_that_points_at_another_cluster_is_refused_by_identity(fleet: TestHome) -> None:
    other = AuditLog(fleet.root / "planes" / fleet.get("childcluster", "eu--b")["spec"]["id"])
    wrong = fleet.get("secret", "eu--b-kubeconfig")["data"]["value"]
    right = fleet.get("secret", "eu--a-kubeconfig")["data"]["value"]
    other.mark()

    fleet.patch("secret", "eu--a-kubeconfig", {"data": {"value": wrong}})
    fleet.apply(tenant("late", "dev"))

    events = fleet.wait(
        lambda: [event.get("reason") for event in fleet.get("events.events.k8s.io")["items"]],
        lambda reasons: "IdentityMismatch" in reasons,
        "the mismatch to be told",
        seconds=20,
    )
    assert "IdentityMismatch" in events
    fleet.wait(
        lambda: fleet.get("secret", "eu--a-kubeconfig")["data"]["value"],
        lambda value: base64.b64decode(value) == base64.b64decode(right),
        "the Secret to be put right",
        seconds=15,
    )
    fleet.wait_ready("tenant", "late", seconds=20)
    assert other.writes() == [], "nothing was written to the cluster that the Secret pointed at"
