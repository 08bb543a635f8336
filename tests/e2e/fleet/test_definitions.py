"""Roads to destruction that nobody named: a namespace, and definitions whose objects go past every policy.

A CRD that is deleted takes its objects along whatever a policy says. Then nothing is destroyed: it is as if each of
them had said Orphan. Each test has a home of its own, because the operator ends when a kind of its own is gone.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.home import TestHome, open_home
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e


@pytest.fixture
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A cluster and a tenant with data, all of it under the policy Delete."""
    root: Path = tmp_path_factory.mktemp("definitions") / "atoll"
    with open_home(root) as home:
        home.apply(fleet_namespace())
        home.apply(
            cluster_set("eu", member("a", "dev")),
            environment("dev"),
            tenant("shop", "dev", deletionPolicy="Delete"),
        )
        home.wait_ready("tenant", "shop")
        kubeconfig = home.child_kubeconfig("eu--a")
        home.kubectl("create", "configmap", "data", "-n", "shop--dev", kubeconfig=kubeconfig)
        yield home


@pytest.fixture
def inside(fleet: TestHome) -> Path:
    """Return a kubeconfig of the child, from before anything was deleted."""
    return fleet.child_kubeconfig("eu--a")


def has_data(home: TestHome, kubeconfig: Path) -> bool:
    """Say whether what the tenant keeps in the child is still there."""
    namespace = home.get("namespace", "shop--dev", namespace="", kubeconfig=kubeconfig)
    data = home.get("configmap", "data", namespace="shop--dev", kubeconfig=kubeconfig)
    return bool(data) and not namespace["metadata"].get("deletionTimestamp")


def test_a_namespace_stays_and_tenants_that_go_with_their_definition_keep_their_data(
    fleet: TestHome, inside: Path
) -> None:
    fleet.kubectl("label", "namespace", "fleet", "atoll.dev/fleet-")
    refused = fleet.kubectl("delete", "namespace", "fleet", "--wait=false", ok=False)
    fleet.kubectl("label", "namespace", "fleet", "atoll.dev/fleet=true")

    assert "namespace fleet is a fleet with ChildClusters in it, such as eu--a" in refused.stderr

    fleet.kubectl("delete", "crd", "tenants.atoll.dev", "--wait=false")

    fleet.wait(
        lambda: fleet.kubectl("get", "crd", "tenants.atoll.dev", ok=False).returncode,
        lambda code: code != 0,
        "Atoll to let go of the tenants",
        seconds=60,
    )
    bindings = fleet.get("rolebinding", namespace="shop--dev", kubeconfig=inside)["items"]
    assert [item["metadata"]["name"] for item in bindings] == [], "access goes, whatever happens to the data"
    assert has_data(fleet, inside)


def test_clusters_whose_set_goes_with_its_definition_go_on_running(fleet: TestHome, inside: Path) -> None:
    (server,) = fleet.api_servers("eu--a")

    fleet.kubectl("delete", "crd", "clustersets.atoll.dev", "--wait=false")

    fleet.wait(
        lambda: fleet.kubectl("get", "crd", "clustersets.atoll.dev", ok=False).returncode,
        lambda code: code != 0,
        "Atoll to let go of the set",
        seconds=60,
    )
    assert server.is_running()
    assert fleet.kubectl("get", "--raw", "/readyz", kubeconfig=inside).stdout == "ok"
    assert has_data(fleet, inside)
