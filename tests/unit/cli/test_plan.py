"""`atoll plan`: the object that scripts rely on, and what people read."""

import json
import random
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from atoll.cli.documents import parse_documents
from atoll.cli.fleets import build_fleet_value, decide_live, decide_offline, lay_over, read_view
from atoll.cli.plan_model import choose_exit_code, summarise_plan
from atoll.cli.plan_view import list_names, render_plan
from atoll.fleet.values import Version

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
VERSIONS = {"local": tuple(Version.parse(text) for text in ("v1.34.1", "v1.35.8", "v1.36.4"))}


def read(folder):
    texts = [(path.name, path.read_text()) for path in (ROOT / "examples" / folder).glob("*.yaml")]
    documents = parse_documents(texts, namespace="fleet")
    assert documents.faults == ()
    return [item.body for item in documents.items if item.body["kind"] != "Namespace"]


def plan_of(bodies, *, name="fleet", everything=False):
    fleet = build_fleet_value(name, bodies, VERSIONS)
    return summarise_plan([(fleet, decide_offline(fleet, NOW))], everything=everything)


def grown(version="v1.35.8"):
    """Return the quick start as it stands once everything is there and settled."""
    bodies = read("quickstart")
    for body in bodies:
        if body["kind"] == "ClusterSet":
            body["spec"]["version"] = version
    fleet = build_fleet_value("fleet", bodies, VERSIONS)
    decision = decide_offline(fleet, NOW)
    places = {}
    for place in decision.placement.placements:
        places.setdefault(place.tenant, []).append(
            {
                "environment": place.environment,
                "namespace": place.namespace,
                "cluster": place.cluster,
                "isolation": "Namespace",
                "state": "Placed",
                "since": "2026-11-21T11:00:00Z",
                "reason": place.reason,
            }
        )
    for body in bodies:
        body["metadata"] |= {"uid": body["metadata"]["name"], "resourceVersion": "1", "generation": 1}
        if body["kind"] == "Tenant":
            body["status"] = {"observedGeneration": 1, "placements": places[body["metadata"]["name"]]}
    conditions = [
        {"type": kind, "status": "True", "reason": kind, "message": "", "lastTransitionTime": "2026-11-21T11:00:00Z"}
        for kind in ("Ready", "Available")
    ]
    for child in decision.membership.new:
        bodies.append(
            {
                "apiVersion": "atoll.dev/v1alpha1",
                "kind": "ChildCluster",
                "metadata": {
                    "name": child.name,
                    "namespace": "fleet",
                    "uid": child.name,
                    "resourceVersion": "1",
                    "generation": 1,
                },
                "spec": {
                    "id": f"id-{child.member_name}",
                    "setName": child.set_name,
                    "memberName": child.member_name,
                    "provider": "local",
                    "version": version,
                    "revision": child.revision,
                    "network": {"podCIDR": child.addresses.pod_cidr, "serviceCIDR": child.addresses.service_cidr},
                    "clusterUID": f"uid-{child.member_name}",
                    "deletionPolicy": "Delete",
                },
                "status": {
                    "observedGeneration": 1,
                    "version": version,
                    "revision": child.revision,
                    "conditions": conditions,
                },
            }
        )
    return bodies


def plan_live(bodies):
    fleet = build_fleet_value("fleet", bodies, VERSIONS)
    assert fleet.invalid == ()
    return summarise_plan([(fleet, decide_live(fleet, NOW))])


def change(bodies, kind, edit):
    """Return the manifests of one kind, edited, as a person would apply them."""
    wanted = [
        {"apiVersion": body["apiVersion"], "kind": kind, "metadata": {"name": body["metadata"]["name"]}}
        | {"spec": json.loads(json.dumps(body["spec"]))}
        for body in bodies
        if body["kind"] == kind
    ]
    for body in wanted:
        edit(body)
    return wanted


def test_the_quick_start_is_planned_as_its_readme_says():
    plan = plan_of(read("quickstart"))

    assert [(row["name"], row["action"], row["from"], row["to"], row["hops"]) for row in plan["clusters"]] == [
        ("quickstart--dev", "create", None, "v1.35.8", []),
        ("quickstart--prod-a", "create", None, "v1.35.8", []),
        ("quickstart--prod-b", "create", None, "v1.35.8", []),
    ]
    where = {(row["tenant"], row["environment"]): row["cluster"] for row in plan["placements"]}
    assert (where["shop", "dev"], where["pay", "dev"]) == ("quickstart--dev", "quickstart--dev")
    assert {where["shop", "prod"], where["pay", "prod"]} == {"quickstart--prod-a", "quickstart--prod-b"}
    assert plan["summary"] == {
        "create": 3,
        "change": 0,
        "delete": 0,
        "detach": 0,
        "none": 0,
        "place": 4,
        "move": 0,
        "refused": 0,
        "errors": 0,
    }
    assert (plan["errors"], plan["refusals"], plan["hosts"], choose_exit_code(plan)) == ([], [], [], 1)


def test_the_order_of_objects_changes_nothing():
    bodies = [*read("quickstart"), *read("refused")]
    bodies = [body | {"metadata": body["metadata"] | {"namespace": "fleet"}} for body in bodies]
    bodies = [body for body in bodies if body["metadata"]["name"] != "dev" or body["kind"] != "Environment"]
    wanted = plan_of(bodies)

    for seed in range(5):
        random.Random(seed).shuffle(bodies)
        assert plan_of(bodies) == wanted


def test_what_fits_nowhere_names_the_rule_and_the_remedy():
    bodies = [body for body in read("refused") if body["metadata"]["name"] != "lost"]
    plan = plan_of(bodies, name="refused")

    nearest = {}
    for row in plan["refusals"]:
        nearest.setdefault(row["tenant"], row)
    assert {tenant: (row["cluster"], row["rule"]) for tenant, row in nearest.items()} == {
        "bank": ("small--shared", "not-attested"),
        "lab": ("small--shared", "capability"),
        "large": ("small--shared", "capacity"),
    }
    assert all(row["remedy"] and row["namespaces"] == [f"{row['tenant']}--dev"] for row in plan["refusals"])
    assert nearest["lab"]["patches"] == [
        {"kind": "ClusterSet", "name": "small", "path": "spec.clusters[shared].capabilities", "value": ["faas"]}
    ]
    assert [row["tenant"] for row in plan["placements"]] == ["first"]
    assert (plan["summary"]["refused"], choose_exit_code(plan)) == (3, 1)


def test_every_refused_cluster_is_told_when_all_are_asked_for():
    bodies = [body for body in read("refused") if body["metadata"]["name"] in {"small", "dev", "lab"}]
    (body,) = (body for body in bodies if body["kind"] == "ClusterSet")
    body["spec"]["clusters"] = [body["spec"]["clusters"][0] | {"name": f"c{index}"} for index in range(9)]

    assert len(plan_of(bodies, name="refused")["refusals"]) == 5
    assert len(plan_of(bodies, name="refused", everything=True)["refusals"]) == 9


def test_a_settled_fleet_has_nothing_to_do():
    plan = plan_live(grown())

    assert [(row["name"], row["action"]) for row in plan["clusters"]] == [
        ("quickstart--dev", "none"),
        ("quickstart--prod-a", "none"),
        ("quickstart--prod-b", "none"),
    ]
    assert (plan["errors"], choose_exit_code(plan)) == ([], 0)


def test_a_change_of_version_goes_in_waves_and_skips_no_minor():
    bodies = grown("v1.34.1")

    def upgrade(body):
        body["spec"]["version"] = "v1.36.4"

    plan = plan_live(lay_over(bodies, change(bodies, "ClusterSet", upgrade)))

    hops = [{"from": "v1.34.1", "to": "v1.35.8"}, {"from": "v1.35.8", "to": "v1.36.4"}]
    assert [(row["name"], row["action"], row["wave"], row["hops"]) for row in plan["clusters"]] == [
        ("quickstart--dev", "change", "canary", hops),
        ("quickstart--prod-a", "change", "prod", hops),
        ("quickstart--prod-b", "change", "prod", hops),
    ]
    (rollout,) = plan["rollouts"]
    assert (rollout["namespace"], rollout["clusterSet"], rollout["target"]) == ("fleet", "quickstart", "v1.36.4")
    assert [(wave["name"], wave["clusters"]) for wave in rollout["waves"]] == [
        ("canary", ["dev"]),
        ("prod", ["prod-a", "prod-b"]),
    ]
    # Two hops each, of which nobody remembers how long they take: a long range.
    assert all(
        2 * item["lowSeconds"] < item["seconds"] for wave in rollout["waves"] for item in wave["forecast"].values()
    )
    assert rollout["forecast"]["lowSeconds"] < rollout["forecast"]["seconds"] < rollout["forecast"]["highSeconds"]
    assert rollout["wayBack"].startswith("a cluster that fails goes back never by itself (onFailure is Halt)")
    assert choose_exit_code(plan) == 1


def test_a_change_of_settings_goes_through_the_waves_without_a_hop():
    bodies = grown()

    def offer(body):
        body["spec"]["capabilities"] = ["mesh"]

    plan = plan_live(lay_over(bodies, change(bodies, "ClusterSet", offer)))

    assert [(row["action"], row["from"], row["to"], row["hops"], row["wave"]) for row in plan["clusters"]] == [
        ("change", "v1.35.8", "v1.35.8", [], "canary"),
        ("change", "v1.35.8", "v1.35.8", [], "prod"),
        ("change", "v1.35.8", "v1.35.8", [], "prod"),
    ]


def test_a_member_that_left_the_list_is_detached_and_destroyed_only_when_named():
    bodies = [body for body in grown() if body["kind"] != "Tenant"]

    def remove(body):
        body["spec"]["clusters"] = [member for member in body["spec"]["clusters"] if member["name"] != "prod-b"]

    def destroy(body):
        remove(body)
        body["spec"]["confirmRemoval"] = ["prod-b"]

    for edit, action in ((remove, "detach"), (destroy, "delete")):
        plan = plan_live(lay_over(bodies, change(bodies, "ClusterSet", edit)))
        assert {row["name"]: row["action"] for row in plan["clusters"]}["quickstart--prod-b"] == action


def test_a_new_member_takes_tenants_as_soon_as_it_is_planned():
    bodies = grown()

    def add(body):
        body["spec"]["clusters"].append(
            {"name": "prod-c", "labels": {"stage": "prod"}, "capacity": {"cpu": "64", "memory": "64Gi", "pods": "100"}}
        )

    large = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "large", "namespace": "fleet"}}
    large["spec"] = {"environments": [{"name": "prod", "resources": {"cpu": "32", "memory": "1Gi", "pods": "1"}}]}
    plan = plan_live(lay_over(bodies, [*change(bodies, "ClusterSet", add), large]))

    assert [row["cluster"] for row in plan["placements"] if row["tenant"] == "large"] == ["quickstart--prod-c"]


def test_a_cluster_that_was_not_available_counts_as_unknown():
    fleet = build_fleet_value("fleet", grown(), VERSIONS)
    child = fleet.children[0]

    assert read_view(child, NOW) is not None
    assert read_view(replace(child, status={}), NOW) is None


def test_an_object_that_cannot_be_read_harms_only_itself():
    bodies = read("quickstart")
    broken = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "x", "namespace": "fleet"}}
    plan = plan_of([*bodies, broken | {"spec": {"environments": [{"name": "dev"}]}}])

    assert [(row["object"], bool(row["message"])) for row in plan["errors"]] == [("Tenant/x", True)]
    assert (plan["summary"]["create"], plan["summary"]["place"], choose_exit_code(plan)) == (3, 4, 2)


def test_people_read_what_would_happen_in_lines():
    plan = plan_of(read("quickstart"))
    lines = [line.plain for line in render_plan(plan, live=False)]

    assert lines[0] == "fleet  (offline: compared with nothing; add --live to compare)"
    assert lines[2] == (
        "  + ChildCluster quickstart--dev       v1.35.8  member dev of ClusterSet quickstart has no cluster yet"
    )
    assert lines[-1] == "3 to create, 0 to change, 4 to place, 0 to destroy."
    assert list_names(plan) == [
        "childcluster/quickstart--dev",
        "childcluster/quickstart--prod-a",
        "childcluster/quickstart--prod-b",
    ]


@pytest.mark.parametrize(
    ("folder", "code", "errors"), [("quickstart", 1, 0), ("refused", 2, 1), ("refused/invalid", 2, 3)]
)
def test_the_command_prints_json_alone_and_exits_as_it_says(folder, code, errors):
    command = [sys.executable, "-c", "from atoll.cli.main import main; main()"]
    arguments = ["plan", "-f", str(ROOT / "examples" / folder), "-o", "json"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == code, done.stderr
    plan = json.loads(done.stdout)
    assert len(plan["errors"]) == errors
    assert done.stderr == ""


def test_hosts_are_claimed_for_clusters_that_need_some_and_a_lack_is_told():
    bodies = read("kubeadm")
    plan = plan_of(bodies)
    claims = [(row["host"], row["cluster"], row["action"], row["reason"]) for row in plan["hosts"]]
    assert claims == [
        ("h1", "racks--dev", "claim", "as ControlPlane"),
        ("h2", "racks--dev", "claim", "as Worker"),
    ]
    assert plan["errors"] == []

    (pool,) = (body for body in bodies if body["kind"] == "HostPool")
    pool["spec"]["hosts"].pop()
    (lack,) = plan_of(bodies)["hosts"]
    assert (lack["action"], lack["cluster"]) == ("lack", "racks--dev")
    assert "Add 1 host(s) to its spec.hosts" in lack["reason"]
