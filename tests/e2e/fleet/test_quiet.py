"""Nothing changes while nothing changes; what is changed by others is put right with one write."""

from __future__ import annotations

import json
import os
import time

import pytest

from tests.support.audit import AuditLog
from tests.support.home import TestHome, is_ready
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

QUIET_SECONDS = float(os.environ.get("ATOLL_QUIET_SECONDS", "120"))
CHILDREN = ("eu--dev", "eu--prod-a", "eu--prod-b")


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Three children and two tenants, settled."""
    home.apply(fleet_namespace())
    home.apply(
        cluster_set("eu", member("dev", "dev"), member("prod-a", "prod"), member("prod-b", "prod")),
        environment("dev"),
        environment("prod"),
        tenant("shop", "dev", "prod"),
        tenant("pay", "dev", "prod"),
    )
    for kind, name in (("clusterset", "eu"), ("tenant", "shop"), ("tenant", "pay")):
        home.wait_ready(kind, name, seconds=120)
    time.sleep(8)  # a last look at each child
    return home


@pytest.fixture(scope="module")
def logs(fleet: TestHome) -> dict[str, AuditLog]:
    """The audit logs of all planes, by name."""
    planes = fleet.root / "planes"
    logs = {name: AuditLog(planes / fleet.get("childcluster", name)["spec"]["id"]) for name in CHILDREN}
    return {"management": AuditLog(planes / "management"), **logs}


def mark(logs: dict[str, AuditLog]) -> None:
    """Forget what was written so far, everywhere."""
    for log in logs.values():
        log.mark()


def written(logs: dict[str, AuditLog]) -> dict[str, list[str]]:
    """Return what Atoll wrote since the mark, where it wrote anything; events apart."""
    found = {
        plane: [f"{write.verb} {write.path}" for write in log.writes() if write.resource != "events"]
        for plane, log in logs.items()
    }
    return {plane: writes for plane, writes in found.items() if writes}


def test_a_settled_fleet_receives_no_write_in_two_minutes(fleet: TestHome, logs: dict[str, AuditLog]) -> None:
    mark(logs)

    time.sleep(QUIET_SECONDS)

    assert written(logs) == {}


def test_a_restart_of_the_operator_writes_nothing(fleet: TestHome, logs: dict[str, AuditLog]) -> None:
    mark(logs)
    before = fleet.operator()
    before.kill()
    before.wait(10)

    fleet.atoll("up", "--resync", "5", "--audit")
    time.sleep(20)

    assert fleet.operator().pid != before.pid
    assert written(logs) == {}, "neither by the operator nor by `atoll up`, which found nothing to install"


OWNED = [
    ("namespace", "", "shop--dev", '{"metadata":{"labels":{"atoll.dev/tenant":"pay"}}}'),
    ("resourcequota", "shop--dev", "atoll", '{"spec":{"hard":{"pods":"999"}}}'),
    ("limitrange", "shop--dev", "atoll", '{"metadata":{"labels":{"atoll.dev/tenant":"other"}}}'),
    ("networkpolicy", "shop--dev", "atoll-default-deny", '{"spec":{"policyTypes":["Ingress"]}}'),
    ("rolebinding", "shop--dev", "atoll:developer", '{"subjects":[]}'),
    ("serviceaccount", "atoll-system", "shop--developer", '{"metadata":{"labels":{"atoll.dev/tenant":"pay"}}}'),
    ("clusterrole", "", "atoll:viewer", '{"rules":[]}'),
    ("configmap", "atoll-system", "atoll-owner", '{"metadata":{"labels":{"app.kubernetes.io/managed-by":"me"}}}'),
]
"""One of each kind that Atoll owns in a child, and an edit that does harm."""


@pytest.mark.parametrize(("kind", "namespace", "name", "edit"), OWNED, ids=[entry[0] for entry in OWNED])
def test_an_edited_object_is_repaired_with_one_write(
    fleet: TestHome, logs: dict[str, AuditLog], kind: str, namespace: str, name: str, edit: str
) -> None:
    child = fleet.child_kubeconfig("eu--dev")
    wanted = fleet.get(kind, name, namespace=namespace, kubeconfig=child)
    mark(logs)
    began = time.monotonic()
    where = ["-n", namespace] if namespace else []

    fleet.kubectl("patch", kind, name, *where, "--type=merge", "-p", edit, kubeconfig=child)
    repaired = fleet.wait(
        lambda: fleet.get(kind, name, namespace=namespace, kubeconfig=child),
        lambda body: essence(body) == essence(wanted),
        f"{kind} {name} to be repaired",
        seconds=15,
    )

    assert repaired
    assert time.monotonic() - began < 10
    time.sleep(6)
    writes = written(logs)
    assert writes.keys() == {"eu--dev"}
    assert len(writes["eu--dev"]) == 1, writes


DELETABLE = [entry for entry in OWNED if entry[0] != "namespace"]


@pytest.mark.parametrize(
    ("kind", "namespace", "name"), [entry[:3] for entry in DELETABLE], ids=[entry[0] for entry in DELETABLE]
)
def test_a_deleted_object_is_made_again_with_one_write(
    fleet: TestHome, logs: dict[str, AuditLog], kind: str, namespace: str, name: str
) -> None:
    child = fleet.child_kubeconfig("eu--dev")
    mark(logs)
    began = time.monotonic()
    where = ["-n", namespace] if namespace else []

    fleet.kubectl("delete", kind, name, *where, "--wait=true", kubeconfig=child)
    fleet.wait(
        lambda: fleet.get(kind, name, namespace=namespace, kubeconfig=child),
        lambda body: body != {},
        f"{kind} {name} to be there again",
        seconds=15,
    )

    assert time.monotonic() - began < 10
    time.sleep(6)
    writes = written(logs)
    assert writes.keys() == {"eu--dev"}
    assert len(writes["eu--dev"]) == 1, writes


def test_a_deleted_kubeconfig_secret_is_published_again_with_one_write(
    fleet: TestHome, logs: dict[str, AuditLog]
) -> None:
    mark(logs)

    fleet.kubectl("delete", "secret", "eu--dev-kubeconfig", "-n", "fleet")
    fleet.wait(lambda: fleet.get("secret", "eu--dev-kubeconfig"), bool, "the Secret", seconds=10)

    time.sleep(6)
    assert written(logs) == {"management": ["patch secrets/fleet/eu--dev-kubeconfig"]}


def test_one_change_of_a_quota_costs_one_status_write(fleet: TestHome, logs: dict[str, AuditLog]) -> None:
    mark(logs)

    resources = {"cpu": "2", "memory": "1Gi", "pods": "10"}
    environments = [{"name": "dev", "resources": resources}, {"name": "prod", "resources": {**resources, "cpu": "1"}}]
    fleet.patch("tenant", "pay", {"spec": {"environments": environments}})
    fleet.wait_ready("tenant", "pay", seconds=15)
    time.sleep(6)

    writes = written(logs)
    status_writes = [write for write in writes["management"] if "tenants/status" in write]
    assert status_writes == ["patch tenants/status/fleet/pay"]
    # What it takes from the cluster's capacity is told by the cluster, once.
    assert set(writes["management"]) <= {"patch tenants/status/fleet/pay", "patch childclusters/status/fleet/eu--dev"}
    assert len(writes["management"]) <= 2
    assert sorted(writes["eu--dev"]) == ["patch limitranges/pay--dev/atoll", "patch resourcequotas/pay--dev/atoll"]


def test_a_burst_of_twenty_changes_costs_at_most_two_status_writes(fleet: TestHome, logs: dict[str, AuditLog]) -> None:
    mark(logs)

    for number in range(20):
        members = [{"kind": "Group", "name": f"group-{number}", "role": "viewer"}]
        fleet.patch("tenant", "shop", {"spec": {"members": members}})
    last = fleet.wait(lambda: fleet.get("tenant", "shop"), is_ready, "tenant shop", seconds=20)
    time.sleep(6)

    writes = [write for write in written(logs)["management"] if "tenants/status/fleet/shop" in write]
    assert last["status"]["observedGeneration"] == last["metadata"]["generation"]
    assert len(writes) <= 2, writes


def essence(body: dict) -> str:
    """What an object says, without what the server writes into it."""
    metadata = body.get("metadata", {})
    kept = {key: metadata.get(key) for key in ("labels", "annotations")}
    rest = {key: value for key, value in body.items() if key not in {"metadata", "status"}}
    return json.dumps({**rest, "metadata": kept}, sort_keys=True)
