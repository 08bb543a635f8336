"""Tenants come and go: what is written when one label changes, what a deletion leaves, who inherits what."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from tests.support.audit import AuditLog
from tests.support.home import TestHome
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

CHILDREN = ("eu--a", "eu--b", "eu--c")
TENANTS = 20
ROOM = {"cpu": "9", "memory": "128Gi", "pods": "1000"}
"""So that all three are needed."""
KINDS = "resourcequota,limitrange,networkpolicy,rolebinding,serviceaccount"


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Twenty tenants on three children, settled."""
    home.apply(fleet_namespace())
    home.apply(
        cluster_set("eu", *(member(name, "prod", capacity=ROOM) for name in ("a", "b", "c"))),
        environment("prod"),
        environment("spare", stage="prod"),
        *(tenant(f"t{number}", "prod") for number in range(TENANTS)),
        {**tenant("wide", "spare"), **wide()},
    )
    home.wait_ready("clusterset", "eu", seconds=180)
    for name in (*(f"t{number}" for number in range(TENANTS)), "wide"):
        home.wait_ready("tenant", name, seconds=120)
    time.sleep(8)
    return home


def wide() -> dict[str, object]:
    """A tenant on two clusters."""
    body = tenant("wide", "spare", cpu="2")
    body["spec"]["environments"][0]["clusters"] = 2
    return body


def logs(fleet: TestHome) -> dict[str, AuditLog]:
    """The audit logs of all planes, from now on."""
    planes = fleet.root / "planes"
    found = {name: AuditLog(planes / fleet.get("childcluster", name)["spec"]["id"]) for name in CHILDREN}
    return {"management": AuditLog(planes / "management"), **found}


def written(found: dict[str, AuditLog]) -> dict[str, list[str]]:
    """Return what Atoll wrote, where it wrote anything; events apart."""
    writes = {
        plane: sorted(f"{write.verb} {write.path}" for write in log.writes() if write.resource != "events")
        for plane, log in found.items()
    }
    return {plane: told for plane, told in writes.items() if told}


def place_of(fleet: TestHome, name: str) -> str:
    """Return the cluster that a tenant is on."""
    return fleet.get("tenant", name)["status"]["placements"][0]["cluster"]


def test_nothing_is_written_while_nothing_changes(fleet: TestHome) -> None:
    found = logs(fleet)
    time.sleep(30)
    assert written(found) == {}


def test_one_governance_label_writes_exactly_the_objects_that_carry_it(fleet: TestHome) -> None:
    fleet.apply(environment("prod", labels={"cost-centre": "1"}))
    carriers: dict[str, list[str]] = {}
    for _ in range(20):
        before, carriers = carriers, {child: list_carriers(fleet, child, "cost-centre=1") for child in CHILDREN}
        if carriers == before and sum(len(names) for names in carriers.values()) > TENANTS:
            break
        time.sleep(4)
    assert sum(len(names) for names in carriers.values()) > TENANTS
    found = logs(fleet)

    fleet.apply(environment("prod", labels={"cost-centre": "2"}))
    fleet.wait(
        lambda: {child: list_carriers(fleet, child, "cost-centre=2") for child in CHILDREN},
        lambda now: now == carriers,
        "the label everywhere",
        seconds=60,
    )
    time.sleep(8)

    changed = written(found)
    for child in CHILDREN:
        assert len(changed.get(child, [])) == len(carriers[child]), (child, changed.get(child))
    # While a hundred objects are being applied a status may say so.
    assert all("/status/" in line for line in changed.get("management", [])), changed["management"]


def list_carriers(fleet: TestHome, child: str, selector: str) -> list[str]:
    """List the objects in a child that carry a label."""
    kubeconfig = fleet.child_kubeconfig(child)
    told = fleet.kubectl("get", KINDS, "-A", "-l", selector, "-o", "name", kubeconfig=kubeconfig).stdout
    spaces = fleet.kubectl("get", "namespaces", "-l", selector, "-o", "name", kubeconfig=kubeconfig).stdout
    return sorted([*told.split(), *spaces.split()])


def test_a_tenant_that_is_deleted_leaves_its_data_and_takes_its_rights(fleet: TestHome) -> None:
    where = place_of(fleet, "t0")
    admin = fleet.child_kubeconfig(where)
    theirs = fleet.child_kubeconfig(where, "--tenant", "t0", "--role", "admin")
    fleet.kubectl("create", "configmap", "data", "-n", "t0--prod", "--from-literal=a=b", kubeconfig=theirs)

    fleet.kubectl("delete", "tenant", "t0", "-n", "fleet", "--timeout=60s", seconds=90)

    space = fleet.get("namespace", "t0--prod", namespace="", kubeconfig=admin)
    assert space["metadata"]["labels"]["atoll.dev/placement"] == "released"
    assert fleet.get("configmap", "data", namespace="t0--prod", kubeconfig=admin)["data"] == {"a": "b"}
    assert fleet.get("rolebinding", namespace="t0--prod", kubeconfig=admin)["items"] == []
    assert fleet.get("resourcequota", "atoll", namespace="t0--prod", kubeconfig=admin), "what bounds it stays"
    refused = fleet.kubectl("get", "configmaps", "-n", "t0--prod", kubeconfig=theirs, ok=False)
    assert refused.returncode != 0, "an old token is worth nothing"

    # Who comes next under that name inherits neither the data nor the old token.
    fleet.apply(tenant("t0", "prod"))
    again = fleet.wait(
        lambda: fleet.get("tenant", "t0"),
        lambda body: bool((body.get("status") or {}).get("placements")),
        "the new t0 to be placed",
        seconds=60,
    )
    if again["status"]["placements"][0]["cluster"] == where:
        told = fleet.wait(
            lambda: fleet.condition("tenant", "t0", "Ready"),
            lambda condition: condition.get("reason") == "NamespaceTaken",
            "the new t0 to be refused there",
            seconds=60,
        )
        assert "t0--prod exists" in told["message"]
        fleet.patch("tenant", "t0", {"metadata": {"annotations": {"atoll.dev/adopt": f"{where}/t0--prod"}}})
    fleet.wait_ready("tenant", "t0", seconds=60)
    still = fleet.kubectl("get", "configmaps", "-n", "t0--prod", kubeconfig=theirs, ok=False)
    assert still.returncode != 0


def test_a_team_that_may_edit_its_tenant_does_not_help_itself_to_what_others_left(fleet: TestHome) -> None:
    rights = ("--verb=get,patch,update", "--resource=tenants.atoll.dev", "--resource-name=t2")
    fleet.kubectl("create", "role", "team", "-n", "fleet", *rights)
    fleet.kubectl("create", "rolebinding", "team", "-n", "fleet", "--role=team", "--user=team")
    wanted = ("annotate", "tenant", "t2", "-n", "fleet", "--as=team")

    refused = fleet.kubectl(*wanted, "atoll.dev/adopt=eu--a/t2--prod", ok=False)
    assert "Ask somebody who has the verb `adopt` on this Tenant" in refused.stderr
    fleet.kubectl(*wanted, "team=may-do-the-rest")

    allowed = ("--verb=adopt", "--resource=tenants.atoll.dev", "--resource-name=t2")
    fleet.kubectl("create", "role", "heir", "-n", "fleet", *allowed)
    fleet.kubectl("create", "rolebinding", "heir", "-n", "fleet", "--role=heir", "--user=team")
    fleet.wait(
        lambda: fleet.kubectl(*wanted, "atoll.dev/adopt=eu--a/t2--prod", ok=False).returncode,
        lambda code: code == 0,
        "the verb to count",
        seconds=15,
    )


def test_under_delete_the_namespaces_go_too(fleet: TestHome) -> None:
    where = place_of(fleet, "t1")
    fleet.patch("tenant", "t1", {"spec": {"deletionPolicy": "Delete"}})
    fleet.kubectl("delete", "tenant", "t1", "-n", "fleet", "--timeout=60s", seconds=90)
    assert fleet.get("namespace", "t1--prod", namespace="", kubeconfig=fleet.child_kubeconfig(where)) == {}


def test_a_silent_cluster_holds_up_nobody_else(fleet: TestHome) -> None:
    first, second = (entry["cluster"] for entry in fleet.get("tenant", "wide")["status"]["placements"])
    (server,) = fleet.api_servers(first)
    kubeconfig: Path = fleet.child_kubeconfig(second)
    server.send_signal(signal.SIGSTOP)
    try:
        fleet.wait(
            lambda: fleet.condition("childcluster", first, "Reachable"),
            lambda condition: condition.get("status") == "False",
            f"{first} to be silent",
            seconds=60,
        )
        fleet.kubectl("delete", "tenant", "wide", "-n", "fleet", "--wait=false")
        fleet.wait(
            lambda: fleet.get("rolebinding", namespace="wide--spare", kubeconfig=kubeconfig).get("items"),
            lambda items: items == [],
            "its rights to be gone on the other cluster",
            seconds=40,
        )
        others = [name for name in (f"t{number}" for number in range(2, TENANTS)) if place_of(fleet, name) != first]
        fleet.patch("tenant", others[0], {"spec": {"members": [{"kind": "User", "name": "eve", "role": "viewer"}]}})
        home = fleet.child_kubeconfig(place_of(fleet, others[0]))
        fleet.wait(
            lambda: fleet.get("rolebinding", "atoll:viewer", namespace=f"{others[0]}--prod", kubeconfig=home),
            lambda body: "eve" in json.dumps(body.get("subjects", [])),
            "another tenant's change to be carried out",
            seconds=40,
        )
        assert fleet.get("tenant", "wide"), "it is not gone before everything of it is"
    finally:
        server.send_signal(signal.SIGCONT)
    fleet.wait(lambda: fleet.get("tenant", "wide"), lambda body: body == {}, "wide to be gone", seconds=90)
