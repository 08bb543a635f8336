"""A cluster that its owner runs, as a member of a fleet: found, governed, watched while it changes, and given back."""

from __future__ import annotations

import copy

import pytest
import yaml

from atoll.ports import OperationType
from tests.support.home import Json, TestHome, condition_of
from tests.support.manifests import tenant

from .owner_kit import EXAMPLE, Owner, build_secret

pytestmark = pytest.mark.e2e

OLD, NEW = "v1.35.8", "v1.36.4"
FLEET = "existing"
CHILD = "shops--berlin"
ATOLL = "system:serviceaccount:atoll-access:atoll"
CANARY = "canary-of-a-plugin"
THEIRS, STRANGER = "theirs", "stranger"
NOT_SEEN = {
    # Asked of the authorizer while something else is applied: an audit log has only the apply.
    *(("create", kind) for kind in ("clusterroles", "configmaps", "limitranges", "networkpolicies", "resourcequotas")),
    *(("create", kind) for kind in ("rolebindings", "serviceaccounts")),
    *(("create", kind) for kind in ("validatingadmissionpolicies", "validatingadmissionpolicybindings")),
    *(("bind", "clusterroles"), ("escalate", "clusterroles"), ("get", "priorityclasses")),
    # For the sample application, which needs nodes.
    *((verb, kind) for verb in ("get", "create") for kind in ("daemonsets", "deployments", "services")),
    ("get", "pods/proxy"),
    # While a tenant moves out, and when it asks for less than before.
    *(("list", kind) for kind in ("persistentvolumeclaims", "pods")),
    *(("delete", kind) for kind in ("limitranges", "networkpolicies", "resourcequotas")),
}
"""Rights whose use this story does not show."""
NO_ROWS = dict.fromkeys(("changing", "done", "failed", "held", "pending", "reverted", "skipped", "total"), 0)


@pytest.fixture(scope="module")
def login(owner: Owner) -> Json:
    """The kubeconfig that the owner hands out, with the rights of the example and no more."""
    owner.run(THEIRS, OperationType.CREATE, OLD)
    return owner.let_in(THEIRS)


@pytest.fixture(scope="module")
def fleet(home: TestHome, login: Json) -> TestHome:
    """The example, applied."""
    for name in ("1-namespace", "2-clusterset", "3-environment", "4-tenant"):
        home.kubectl("apply", "-f", str(EXAMPLE / f"{name}.yaml"))
    told = home.wait(
        lambda: home.condition("childcluster", CHILD, "Ready", namespace=FLEET),
        lambda condition: condition.get("reason") == "PreflightFailed",
        "the missing Secret to be told",
    )
    assert "Secret berlin-kubeconfig (existing.kubeconfigSecretRef of member berlin) is not there" in told["message"]
    home.apply(build_secret("berlin-kubeconfig", login, namespace=FLEET))
    home.wait_ready("clusterset", "shops", namespace=FLEET)
    home.wait_ready("tenant", "shop", namespace=FLEET)
    return home


def child(fleet: TestHome) -> Json:
    return fleet.get("childcluster", CHILD, namespace=FLEET)


def row(fleet: TestHome, number: int) -> Json:
    """The member's row in a rollout while it is unfinished, and the counts of all rows."""
    status = fleet.get("rollout", f"shops-{number}", namespace=FLEET).get("status", {})
    rows = {entry["cluster"]: entry for entry in status.get("rows", ())}
    return {**rows.get("berlin", {}), "counts": status.get("counts")}


def test_a_cluster_that_exists_is_found_governed_and_verified(fleet: TestHome, owner: Owner) -> None:
    body = child(fleet)
    namespace = owner.get(THEIRS, "namespace", "shop--prod")

    assert condition_of(body, "Verified")["status"] == "True"
    assert {check["check"]: check["result"] for check in body["status"]["verification"]}["identity"] == "Passed"
    assert (body["status"]["version"], body["spec"]["version"]) == (OLD, OLD)
    assert body["spec"]["clusterUID"] == owner.get(THEIRS, "namespace", "kube-system")["metadata"]["uid"]
    assert body["metadata"]["labels"]["stage"] == "prod"
    assert namespace["metadata"]["labels"]["cost-centre"] == "42"
    assert owner.names(THEIRS, "resourcequota", "-n", "shop--prod") != set()
    assert owner.names(THEIRS, "rolebinding", "-n", "shop--prod") != set()
    assert owner.names(THEIRS, "networkpolicy", "-n", "shop--prod") != set()
    assert "atoll-own-objects" in owner.names(THEIRS, "validatingadmissionpolicy")


def test_what_is_published_is_what_the_owner_gave_and_nothing_more(fleet: TestHome, login: Json) -> None:
    published = yaml.safe_load(fleet.atoll("kubeconfig", CHILD, "-n", FLEET).stdout)
    assert published["users"][0]["user"] == login["users"][0]["user"]
    assert published["current-context"] == CHILD


def test_under_never_its_row_is_skipped(fleet: TestHome) -> None:
    fleet.patch("clusterset", "shops", {"spec": {"version": NEW}}, namespace=FLEET)
    fleet.wait(
        lambda: fleet.get("rollout", "shops-1", namespace=FLEET),
        lambda body: condition_of(body, "Ready").get("status") == "True",
        "the rollout to be over",
    )
    assert row(fleet, 1)["counts"] == {**NO_ROWS, "skipped": 1, "total": 1}
    assert child(fleet)["spec"]["version"] == OLD


def test_under_allowed_it_waits_until_its_owner_has_brought_it_there(fleet: TestHome, owner: Owner) -> None:
    body = fleet.get("clusterset", "shops", namespace=FLEET)
    members = body["spec"]["clusters"]
    members[0]["existing"]["upgrade"] = "Allowed"
    fleet.patch("clusterset", "shops", {"spec": {"clusters": members}}, namespace=FLEET)
    held = fleet.wait(lambda: row(fleet, 2), lambda seen: seen.get("state") == "Held", "the row to wait for the owner")
    assert "its owner has to bring it from v1.35.8 to v1.36.4" in held["message"]
    assert child(fleet)["status"]["version"] == OLD

    owner.run(THEIRS, OperationType.CHANGE, NEW)

    fleet.wait(
        lambda: fleet.get("rollout", "shops-2", namespace=FLEET),
        lambda seen: condition_of(seen, "Ready").get("status") == "True",
        "the rollout to be over",
        seconds=90,
    )
    assert row(fleet, 2)["counts"] == {**NO_ROWS, "done": 1, "total": 1}
    fleet.wait_ready("clusterset", "shops", namespace=FLEET)
    assert (child(fleet)["spec"]["version"], child(fleet)["status"]["version"]) == (NEW, NEW)


def test_another_cluster_behind_the_same_secret_is_refused(fleet: TestHome, owner: Owner, login: Json) -> None:
    owner.run(STRANGER, OperationType.CREATE, NEW)
    stranger = yaml.safe_load(owner.admin(STRANGER).read_text())
    fleet.apply(build_secret("berlin-kubeconfig", stranger, namespace=FLEET))

    refused = fleet.wait(
        lambda: fleet.condition("childcluster", CHILD, "Ready", namespace=FLEET),
        lambda condition: condition.get("reason") == "IdentityMismatch",
        "the stranger to be refused",
    )

    assert child(fleet)["spec"]["clusterUID"] in refused["message"]
    assert owner.names(STRANGER, "namespace") & {"atoll-system", "shop--prod"} == set()
    fleet.apply(build_secret("berlin-kubeconfig", login, namespace=FLEET))
    fleet.wait_ready("childcluster", CHILD, namespace=FLEET)
    owner.remove(STRANGER)


def test_a_kubeconfig_that_runs_programs_is_refused_and_told_without_what_is_in_it(
    fleet: TestHome, login: Json
) -> None:
    poisoned = copy.deepcopy(login)
    poisoned["users"][0]["user"]["exec"] = {"apiVersion": "client.authentication.k8s.io/v1", "command": CANARY}
    fleet.apply(build_secret("berlin-kubeconfig", poisoned, namespace=FLEET))

    told = fleet.wait(
        lambda: fleet.condition("childcluster", CHILD, "Ready", namespace=FLEET),
        lambda condition: condition.get("status") == "Unknown",
        "the refusal to be told",
    )

    assert "users[atoll].user.exec cannot be used here: it runs a program in the operator" in told["message"]
    fleet.apply(build_secret("berlin-kubeconfig", login, namespace=FLEET))
    fleet.wait_ready("childcluster", CHILD, namespace=FLEET)


def test_no_secret_is_told_anywhere(fleet: TestHome, login: Json) -> None:
    token = login["users"][0]["user"]["token"]
    kinds = "childclusters,clustersets,rollouts,tenants,events,configmaps"
    told = fleet.kubectl("get", kinds, "-A", "-o", "yaml").stdout + (fleet.root / "operator.log").read_text()
    told += "\n".join(" ".join(process.cmdline()) for process in fleet.processes())
    for canary in (token, token.split(".")[1][:40], CANARY):
        assert canary not in told


def test_borders_are_tried_by_accounts_and_by_people_whom_the_owner_lets_in(fleet: TestHome, owner: Owner) -> None:
    admin = owner.admin(THEIRS)
    fleet.apply(tenant("pay", "prod", namespace=FLEET, deletionPolicy="Delete"))
    fleet.wait_ready("tenant", "pay", namespace=FLEET)
    for command in (
        "create role odd -n default --verb=get --resource=leases",
        "create rolebinding odd -n default --role=odd --group=shop-devs",
    ):
        fleet.kubectl(*command.split(), kubeconfig=admin)

    fleet.wait(
        lambda: [entry for entry in owner.read_audit(THEIRS) if "impersonatedUser" in entry], len, "people to be tried"
    )

    fleet.kubectl("delete", "rolebinding", "odd", "-n", "default", kubeconfig=admin)
    fleet.wait_ready("childcluster", CHILD, namespace=FLEET)
    assert fleet.condition("childcluster", CHILD, "PolicyEnforced", namespace=FLEET)["reason"] != "BorderCrossed"
    fleet.kubectl("delete", "tenant", "pay", "-n", FLEET, "--timeout=60s", seconds=90)
    assert "pay--prod" not in owner.names(THEIRS, "namespace")


def test_given_back_under_delete_it_goes_on_without_atolls_own_objects(fleet: TestHome, owner: Owner) -> None:
    fleet.patch("clusterset", "shops", {"spec": {"deletionPolicy": "Delete"}}, namespace=FLEET)
    fleet.wait(lambda: child(fleet), lambda body: body["spec"]["deletionPolicy"] == "Delete", "the policy to be told")
    fleet.kubectl("delete", "clusterset", "shops", "-n", FLEET, "--timeout=60s", seconds=90)

    assert child(fleet) == {}
    assert fleet.get("secret", f"{CHILD}-kubeconfig", namespace=FLEET) == {}
    assert fleet.get("secret", "berlin-kubeconfig", namespace=FLEET) != {}
    fleet.wait(
        lambda: owner.names(THEIRS, "namespace"), lambda names: "atoll-system" not in names, "atoll-system to be gone"
    )
    assert owner.names(THEIRS, "validatingadmissionpolicy") == set()
    assert {name for name in owner.names(THEIRS, "clusterrole") if name.startswith("atoll:")} == set()
    assert owner.get(THEIRS, "namespace", "shop--prod") != {}, "data of tenants stays"
    assert owner.names(THEIRS, "rolebinding", "-n", "shop--prod") == set(), "and nobody gets in any more"


def test_given_back_under_orphan_everything_but_access_stays(fleet: TestHome, owner: Owner) -> None:
    fleet.kubectl("delete", "tenant", "--all", "-n", FLEET, "--timeout=60s", seconds=90)
    set_body = yaml.safe_load((EXAMPLE / "2-clusterset.yaml").read_text())
    set_body["spec"]["version"] = NEW
    fleet.apply(set_body)
    fleet.wait_ready("clusterset", "shops", namespace=FLEET)
    fleet.kubectl("delete", "clusterset", "shops", "-n", FLEET, "--timeout=60s", seconds=90)

    assert child(fleet) == {}
    assert owner.get(THEIRS, "configmap", "atoll-owner", namespace="atoll-system") != {}
    assert "atoll-own-objects" in owner.names(THEIRS, "validatingadmissionpolicy")
    assert fleet.get("secret", f"{CHILD}-kubeconfig", namespace=FLEET)["metadata"].get("ownerReferences") is None


def test_the_rights_of_the_example_are_enough_and_none_of_them_is_too_much(owner: Owner) -> None:
    asked = [entry for entry in owner.read_audit(THEIRS) if entry["user"]["username"] == ATOLL]
    own = [entry for entry in asked if "impersonatedUser" not in entry]
    granted = read_rights()

    used = {right_of(entry) for entry in own if "objectRef" in entry}
    if len(own) < len(asked):
        used |= {("impersonate", "users"), ("impersonate", "groups")}
    refused = {
        (*right_of(entry), entry["requestURI"]) for entry in own if entry["responseStatus"]["code"] in {401, 403}
    }

    assert len(own) > 100
    assert refused == set()
    assert granted - used == NOT_SEEN


def read_rights() -> set[tuple[str, str]]:
    """Return what the example grants, by verb and resource."""
    bodies = yaml.safe_load_all((EXAMPLE / "owner" / "rights.yml").read_text())
    (role,) = (body for body in bodies if body["kind"] == "ClusterRole")
    return {(verb, what) for rule in role["rules"] for verb in rule["verbs"] for what in rule["resources"]}


def right_of(entry: Json) -> tuple[str, str]:
    """Return what a request needs."""
    reference = entry["objectRef"]
    parts = (reference.get("resource"), reference.get("subresource"))
    return entry["verb"], "/".join(part for part in parts if part)
