"""Bad input gets a clear refusal with field and remedy, and changes nothing."""

from __future__ import annotations

import json

import pytest

from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """One child with one tenant, at v1.35.8."""
    home.apply(fleet_namespace())
    home.apply(cluster_set("eu", member("a", "dev")), environment("dev"), tenant("shop", "dev"))
    home.wait_ready("tenant", "shop")
    home.wait_ready("clusterset", "eu")
    return home


def stalled(home: TestHome, kind: str, name: str, reason: str) -> str:
    """Wait until an object is Stalled for a reason; return what it says."""
    body = home.wait(
        lambda: home.get(kind, name),
        lambda body: (
            condition_of(body, "Stalled").get("reason") == reason and condition_of(body, "Stalled")["status"] == "True"
        ),
        f"{kind}/{name} to be stalled for {reason}",
        seconds=30,
    )
    return condition_of(body, "Stalled")["message"]


def test_two_providers_are_refused_at_admission(fleet: TestHome) -> None:
    bad = cluster_set("two", member("a", "dev"))
    bad["spec"]["provider"] = {"local": {}, "eks": {"region": "eu-west-1", "roleARN": "arn:aws:iam::1:role/x"}}

    refused = fleet.apply(bad, ok=False)

    assert refused.returncode != 0
    assert "exactly one block" in refused.stderr
    assert "Remove" in refused.stderr
    assert fleet.get("clusterset", "two") == {}


def test_duplicate_members_are_refused_at_admission(fleet: TestHome) -> None:
    refused = fleet.apply(cluster_set("twins", member("a", "dev"), member("a", "prod")), ok=False)

    assert refused.returncode != 0
    assert "Duplicate value" in refused.stderr
    assert "spec.clusters" in refused.stderr


def test_a_version_that_cannot_be_had_is_marked_and_nothing_moves(fleet: TestHome) -> None:
    fleet.apply(cluster_set("future", member("a", "none"), version="v1.37.0"))

    message = stalled(fleet, "clusterset", "future", "VersionUnavailable")

    assert "v1.37.0" in message
    assert "$ATOLL_ASSETS/v1.37.0/" in message
    assert fleet.get("childcluster", "future--a") == {}
    fleet.kubectl("delete", "clusterset", "future", "-n", "fleet", "--timeout=30s")


def test_two_minors_at_once_are_refused_where_a_hop_cannot_be_had(fleet: TestHome) -> None:
    fleet.patch("clusterset", "eu", {"spec": {"version": "v1.37.0"}})

    message = stalled(fleet, "clusterset", "eu", "VersionUnavailable")

    assert "v1.37.0" in message
    assert fleet.get("childcluster", "eu--a")["spec"]["version"] == "v1.35.8"
    assert fleet.get("rollout")["items"] == []
    fleet.patch("clusterset", "eu", {"spec": {"version": "v1.35.8"}})
    fleet.wait_ready("clusterset", "eu", seconds=30)


def test_a_downgrade_is_refused(fleet: TestHome) -> None:
    fleet.patch("clusterset", "eu", {"spec": {"version": "v1.34.0"}})

    body = fleet.wait(
        lambda: fleet.get("clusterset", "eu"),
        lambda body: condition_of(body, "Stalled").get("status") == "True",
        "the downgrade to be refused",
        seconds=30,
    )

    assert condition_of(body, "Stalled")["reason"] in {"DowngradeRefused", "VersionUnavailable"}
    assert fleet.get("childcluster", "eu--a")["spec"]["version"] == "v1.35.8"
    fleet.patch("clusterset", "eu", {"spec": {"version": "v1.35.8"}})
    fleet.wait_ready("clusterset", "eu", seconds=30)


def test_an_address_block_too_small_names_a_block_that_is_enough(fleet: TestHome) -> None:
    members = [member(name, "none") for name in "abc"]
    fleet.apply(cluster_set("small", *members, network={"addressBlock": "10.64.0.0/15"}))

    message = stalled(fleet, "clusterset", "small", "AddressBlockTooSmall")

    assert "small.spec.network.addressBlock 10.64.0.0/15" in message
    assert "Use " in message
    fleet.kubectl("delete", "clusterset", "small", "-n", "fleet", "--timeout=30s")


def test_a_tenant_that_fits_nowhere_learns_why_of_each_cluster(fleet: TestHome) -> None:
    fleet.apply(tenant("huge", "dev", cpu="64"))

    message = stalled(fleet, "tenant", "huge", "Unplaced")

    status = fleet.get("tenant", "huge")["status"]
    (unplaced,) = status["unplaced"]
    (nearest,) = unplaced["nearest"]
    assert "fits nowhere" in message
    assert unplaced["counts"] == {"capacity": 1}
    assert nearest["cluster"] == "eu--a"
    assert nearest["rule"] == "capacity"
    assert "64" in nearest["message"]
    assert nearest["remedy"]
    why = fleet.atoll("why", "tenant/huge", "-n", "fleet").stdout
    assert "eu--a" in why
    assert "capacity" in why
    fleet.kubectl("delete", "tenant", "huge", "-n", "fleet", "--timeout=30s")


def test_a_namespace_that_is_not_ours_is_never_adopted(fleet: TestHome) -> None:
    child = fleet.child_kubeconfig("eu--a")
    fleet.kubectl("create", "namespace", "squat--dev", kubeconfig=child)
    fleet.kubectl("create", "configmap", "theirs", "-n", "squat--dev", kubeconfig=child)

    fleet.apply(tenant("squat", "dev"))
    message = stalled(fleet, "tenant", "squat", "NamespaceTaken")

    assert "squat--dev" in message
    assert "eu--a" in message
    namespace = fleet.get("namespace", "squat--dev", namespace="", kubeconfig=child)
    assert "atoll.dev/tenant" not in namespace["metadata"]["labels"]
    for kind in ("resourcequota", "rolebinding", "networkpolicy"):
        assert fleet.get(kind, namespace="squat--dev", kubeconfig=child)["items"] == []
    fleet.kubectl("delete", "tenant", "squat", "-n", "fleet", "--timeout=30s")
    assert fleet.get("configmap", "theirs", namespace="squat--dev", kubeconfig=child) != {}
    fleet.kubectl("delete", "namespace", "squat--dev", "--wait=false", kubeconfig=child)


def test_an_environment_with_tenants_in_it_cannot_be_deleted(fleet: TestHome) -> None:
    def try_to_delete() -> str:
        return fleet.kubectl("delete", "environment", "dev", "-n", "fleet", "--dry-run=server", ok=False).stderr

    refusal = fleet.wait(try_to_delete, lambda text: "tenant" in text, "the deletion to be refused", seconds=20)

    assert "denied" in refusal
    assert fleet.get("environment", "dev")["metadata"].get("deletionTimestamp") is None


def test_what_this_version_does_not_do_is_said_and_not_passed_over(fleet: TestHome) -> None:
    fleet.apply(environment("odd", isolation="Hosts"))

    message = stalled(fleet, "environment", "odd", "NotYetSupported")

    assert "isolation Hosts" in message
    fleet.kubectl("delete", "environment", "odd", "-n", "fleet", "--timeout=30s")


def test_a_pool_without_its_login_key_is_told_and_three_control_planes_are_refused(fleet: TestHome) -> None:
    host = {"name": "h1", "address": "192.0.2.1", "hostKey": "ssh-ed25519 " + "A" * 68}
    spec = {"ssh": {"user": "root", "keySecretRef": {"name": "key"}}, "hosts": [host]}
    pool = {"apiVersion": "atoll.dev/v1alpha1", "kind": "HostPool", "spec": spec}
    fleet.apply({**pool, "metadata": {"name": "rack", "namespace": "fleet"}})

    message = stalled(fleet, "hostpool", "rack", "LoginKeyMissing")

    assert "spec.ssh.keySecretRef of HostPool rack names Secret key" in message
    assert fleet.get("host", "rack--h1")["status"]["state"] == "Quarantined"

    bad = cluster_set("racks", {"name": "a"})
    endpoint = {"controlPlaneHosts": 3, "controlPlaneEndpoint": "192.0.2.9:6443", "source": {"bundlePath": "/none"}}
    bad["spec"]["provider"] = {"kubeadm": {"hostPoolRef": {"name": "rack"}, **endpoint}}
    fleet.apply(bad)

    message = stalled(fleet, "clusterset", "racks", "NotYetSupported")

    assert "spec.provider.kubeadm.controlPlaneHosts" in message
    assert fleet.get("childcluster", "racks--a") == {}
    fleet.kubectl("delete", "clusterset", "racks", "-n", "fleet", "--timeout=30s")
    fleet.kubectl("delete", "hostpool", "rack", "-n", "fleet", "--timeout=30s")
    assert fleet.get("host", "rack--h1") == {}


def test_a_cloud_whose_login_is_missing_is_told_and_a_set_of_it_can_be_taken_back(fleet: TestHome) -> None:
    bad = cluster_set("cloud", member("a", "none"), version="v1.36")
    place = {"project": "shops", "location": "europe-west3"}
    bad["spec"]["provider"] = {"gke": {**place, "credentialsSecretRef": {"name": "nobody"}}}
    fleet.apply(bad)

    child = fleet.wait(
        lambda: fleet.get("childcluster", "cloud--a"),
        lambda body: "names Secret nobody, which is not there" in condition_of(body, "Ready").get("message", ""),
        "the missing Secret to be told",
    )
    assert child["spec"]["cloud"] == {**place, "credentialsSecretRef": {"name": "nobody"}}
    # Nobody can say what there is at Google: only a person may decide to leave it at that.
    fleet.kubectl("delete", "clusterset", "cloud", "-n", "fleet", "--wait=false")
    fleet.kubectl("annotate", "childcluster", "cloud--a", "-n", "fleet", "atoll.dev/abandon=true")
    fleet.wait(lambda: fleet.get("clusterset", "cloud"), lambda body: body == {}, "the set to be gone")
    assert fleet.get("childcluster", "cloud--a") == {}


def test_nothing_of_all_this_touched_the_others(fleet: TestHome) -> None:
    shop = fleet.get("tenant", "shop")

    assert condition_of(shop, "Ready")["status"] == "True"
    assert json.dumps(shop["status"]["placements"]).count("Placed") >= 1
    assert len(fleet.get("childcluster")["items"]) == 1


def test_a_set_deleted_under_orphan_leaves_its_cluster_running(fleet: TestHome) -> None:
    child = fleet.get("childcluster", "eu--a")
    fleet.patch("clusterset", "eu", {"spec": {"deletionPolicy": "Orphan"}})
    fleet.wait(
        lambda: fleet.get("childcluster", "eu--a")["spec"]["deletionPolicy"], lambda p: p == "Orphan", "the policy"
    )
    kubeconfig = fleet.child_kubeconfig("eu--a")

    fleet.kubectl("delete", "clusterset", "eu", "-n", "fleet", "--timeout=60s", seconds=90)

    assert fleet.get("childcluster")["items"] == []
    served = fleet.kubectl("get", "--raw", "/readyz", kubeconfig=kubeconfig).stdout
    assert served == "ok"
    assert (fleet.root / "planes" / child["spec"]["id"]).is_dir()
    secret = fleet.get("secret", "eu--a-kubeconfig")
    assert secret != {}, "the way to the cluster stays with it"
    assert not secret["metadata"].get("ownerReferences")
