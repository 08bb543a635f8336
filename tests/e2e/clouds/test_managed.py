"""Clusters in three clouds as fleets see them: the examples, a rollout of each kind of child, and no secret told.

The clouds are stand-ins that speak the real ones' protocols to the real SDKs; the control planes behind them are real.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace

import pytest
import yaml

from atoll.kube.kubeconfigs import read_secret
from atoll.ports import OperationType
from tests.support.home import Json, condition_of
from tests.support.manifests import cluster_set, fleet_namespace, member

from .managed_clouds import EXAMPLES, SET, CloudCase
from .managed_courses import Watched, approve, build_wave, read_record
from .managed_kit import World, find, list_needles
from .owner_kit import build_secret

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

OLD, NEW = "v1.35.8", "v1.36.4"
THEIRS = "theirs"
MEMBERS: Mapping[str, str] = {
    "eks": "dublin",
    "gke": "frankfurt",
    "aks": "amsterdam",
    "existing": "berlin",
    "local": "here",
}
"""Fleet → the one member of its set: a fleet for each kind of provider, named after it."""
TARGETS: Mapping[str, str] = {"eks": "v1.36", "gke": "v1.36", "aks": "v1.36", "existing": NEW, "local": NEW}
"""Clouds pick the patch."""
SECOND = "athens"


@pytest.fixture(scope="module")
def fleets(world: World) -> World:
    """The examples of all clouds, applied as they are; beside them a cluster of an owner, and a local one."""
    home = world.home
    for case in world.cases.values():
        home.kubectl("apply", "-f", str(EXAMPLES / case.name))
    home.apply(fleet_namespace("local"), cluster_set(SET, member("here", "prod"), namespace="local", version=OLD))
    for case in world.cases.values():
        world.wait(case, lambda case: tells_missing_secret(world, case), bool, "the missing Secret to be told")
        home.apply(case.secret())
    world.owner.run(THEIRS, OperationType.CREATE, OLD)
    home.kubectl("apply", "-f", str(EXAMPLES / "existing"))
    home.apply(build_secret("berlin-kubeconfig", world.owner.let_in(THEIRS), namespace="existing"))
    for fleet in MEMBERS:
        home.wait_ready("clusterset", SET, namespace=fleet, seconds=240)
        if fleet != "local":
            home.wait_ready("tenant", "shop", namespace=fleet, seconds=180)
    return world


def tells_missing_secret(world: World, case: CloudCase) -> bool:
    condition = world.home.condition("childcluster", case.child, "Ready", namespace=case.name)
    return f"names Secret {case.secret_name}, which is not there" in condition.get("message", "")


def wait_rollout(world: World, fleet: str, number: int) -> Json:
    """Wait until a rollout is over, and its set as it shall be."""
    found: Json = world.home.wait(
        lambda: world.home.get("rollout", f"{SET}-{number}", namespace=fleet),
        lambda body: body.get("status", {}).get("state") == "Done",
        f"rollout {SET}-{number} of {fleet} to be over",
        seconds=240,
    )
    world.home.wait_ready("clusterset", SET, namespace=fleet, seconds=180)
    return found


def wait_held(world: World, fleet: str, number: int, wave: str) -> None:
    """Wait until everybody of a wave has arrived, and it waits for somebody's word."""
    world.home.wait(
        lambda: world.home.get("rollout", f"{SET}-{number}", namespace=fleet).get("status", {}).get("waves", ()),
        lambda waves: {entry["name"]: entry["state"] for entry in waves}.get(wave) == "Held",
        f"wave {wave} of {fleet} to wait for its gate",
        seconds=240,
    )


def count_rollouts(world: World, fleet: str) -> int:
    return len(world.home.get("rollout", namespace=fleet)["items"])


def read_policies(world: World, case: CloudCase) -> set[str]:
    """Return what the children of a fleet say is to become of their clusters."""
    return {body["spec"]["deletionPolicy"] for body in world.home.get("childcluster", namespace=case.name)["items"]}


def no_object(body: Json) -> bool:
    return body == {}


def test_each_example_makes_a_cluster_and_places_its_tenant_there(fleets: World) -> None:
    for case in fleets.cases.values():
        cluster = fleets.cluster(case)
        child = fleets.home.get("childcluster", case.child, namespace=case.name)

        assert case.names() == [cluster]
        assert case.tags(cluster)["cost-centre"] == "42"
        assert case.tags(cluster)["stage"] == "prod"
        assert condition_of(child, "Verified")["status"] == "True"
        assert child["status"]["version"].startswith("v1.35")
        assert case.user in {entry["user"].get("username") for entry in case.read_audit(cluster)}
        inside = fleets.look_inside(case, "namespace", "shop--prod")
        assert inside["metadata"]["labels"]["cost-centre"] == "42"
        assert fleets.look_inside(case, "resourcequota", "", namespace="shop--prod")["items"] != []


def test_what_is_published_of_them_is_a_command_and_no_login(fleets: World) -> None:
    commands = {"eks": "aws", "gke": "gke-gcloud-auth-plugin", "aks": "kubelogin"}
    for case in fleets.cases.values():
        secret = fleets.home.get("secret", f"{case.child}-kubeconfig", namespace=case.name)
        (user,) = yaml.safe_load(read_secret(secret))["users"]
        assert set(user["user"]) == {"exec"}
        assert user["user"]["exec"]["command"] == commands[case.name]


def test_people_get_into_them_with_the_clouds_own_programs(fleets: World, monkeypatch: pytest.MonkeyPatch) -> None:
    home = fleets.home
    for case in fleets.cases.values():
        programs = fleets.lend_program(case)
        with monkeypatch.context() as patched:
            patched.setitem(home.environment, "PATH", f"{programs}:{home.environment['PATH']}")
            config = home.child_kubeconfig(case.child, "--tenant", "shop", "--role", "developer", namespace=case.name)
            report = json.loads(home.atoll("report", "-n", case.name, "-o", "json").stdout)
        asked = {
            (verb, what, where): home.kubectl(
                "auth", "can-i", verb, what, "-n", where, kubeconfig=config, ok=False
            ).stdout.strip()
            for verb, what, where in (("create", "pods", "shop--prod"), ("get", "secrets", "kube-system"))
        }
        assert list(asked.values()) == ["yes", "no"], case.name
        seen = {cluster["name"]: cluster["seen"] for cluster in report["clusters"]}
        assert seen[case.child]["reason"] == "", seen


def test_a_change_of_version_takes_the_same_course_with_every_kind_of_child(fleets: World) -> None:
    home, owner = fleets.home, fleets.owner
    upgrade = {"waves": [build_wave("all", "prod", soakSeconds=2)]}
    with Watched(home, fleets.folder / "rollouts.json").open() as watched:
        for fleet, target in TARGETS.items():
            block = {"provider": {"existing": {"upgrade": "Allowed"}}} if fleet == "existing" else {}
            home.patch("clusterset", SET, {"spec": {"version": target, "upgrade": upgrade, **block}}, namespace=fleet)
        home.wait(
            lambda: home.get("rollout", f"{SET}-1", namespace="existing").get("status", {}).get("rows"),
            lambda rows: rows and "its owner has to bring it" in rows[0].get("message", ""),
            "the row to wait for the owner",
            seconds=180,
        )
        owner.run(THEIRS, OperationType.CHANGE, NEW)
        for fleet in MEMBERS:
            wait_held(fleets, fleet, 1, "all")
        for fleet in MEMBERS:
            approve(home, fleet, f"{SET}-1", "all")
        for fleet in MEMBERS:
            wait_rollout(fleets, fleet, 1)
        home.wait(lambda: [watched.is_over(fleet, f"{SET}-1") for fleet in MEMBERS], all, "all ends to be seen")
    courses = {fleet: watched.summarise(fleet, f"{SET}-1", name) for fleet, name in MEMBERS.items()}

    usual = courses["local"]
    assert usual.rows == ("Preflight", "Changing", "Verifying")
    assert usual.waves == ("Running", "Soaking", "Held", "Done")
    assert usual.gates == (("sign-off", "Closed"), ("sign-off", "Open"))
    assert {name: count for name, count in usual.counts if count} == {"done": 1, "total": 1}
    assert {fleet: courses[fleet] for fleet in fleets.cases} == dict.fromkeys(fleets.cases, usual)
    # Where others are asked whether anything is in the way, this one's owner is waited for; all else is the same.
    began, *rest = usual.record
    assert courses["existing"] == replace(
        usual,
        rows=("Held", *usual.rows[1:]),
        waves=("Held", *usual.waves),
        record=(began, ("WaveHeld", "all", "", ""), *rest),
    )
    for case in fleets.cases.values():
        assert home.get("childcluster", case.child, namespace=case.name)["status"]["version"].startswith("v1.36")
        assert fleets.look_inside(case, "namespace", "shop--prod") != {}


def test_a_label_becomes_a_tag_without_a_rollout(fleets: World) -> None:
    home = fleets.home
    for case in fleets.cases.values():
        spec = {"labels": {"cost-centre": "43"}, "upgrade": None}
        home.patch("clusterset", SET, {"spec": spec}, namespace=case.name)
    for case in fleets.cases.values():
        fleets.wait(
            case, lambda case: case.tags(fleets.cluster(case))["cost-centre"], lambda tag: tag == "43", "the new tag"
        )
        home.wait_ready("clusterset", SET, namespace=case.name, seconds=180)
        assert count_rollouts(fleets, case.name) == 1


def test_the_size_of_a_pool_goes_through_a_rollout(fleets: World) -> None:
    home = fleets.home
    for case in fleets.cases.values():
        home.patch("clusterset", SET, case.resize(4), namespace=case.name)
    for case in fleets.cases.values():
        wait_rollout(fleets, case.name, 2)
        told = [entry["event"] for entry in read_record(home, case.name, f"{SET}-2")]
        assert [event for event in told if event.startswith("Member")] == ["MemberTold", "MemberDone"]
        assert case.first_size(fleets.cluster(case)) == 4


def test_what_somebody_changed_in_the_cloud_is_mended(fleets: World) -> None:
    since = {name: len(case.cloud.calls) for name, case in fleets.cases.items()}
    clusters = {name: fleets.cluster(case) for name, case in fleets.cases.items()}
    for name, case in fleets.cases.items():
        case.tamper(clusters[name])
    for name, case in fleets.cases.items():
        fleets.wait(
            case,
            lambda case: (case.tags(clusters[case.name])["cost-centre"], case.first_size(clusters[case.name])),
            lambda seen: seen == ("43", 4),
            "the drift to be mended",
        )
        assert case.list_writes(clusters[name], since[name]) != []
        fleets.home.wait_ready("clusterset", SET, namespace=case.name, seconds=180)
        assert count_rollouts(fleets, case.name) == 2


def test_a_changed_node_group_reaches_the_canary_first_and_nobody_else_is_touched(fleets: World) -> None:
    home, case = fleets.home, fleets.cases["eks"]
    body = home.get("clusterset", SET, namespace="eks")
    second = {**body["spec"]["clusters"][0], "name": SECOND, "labels": {"stage": "test"}}
    members = [*body["spec"]["clusters"], second]
    home.patch("clusterset", SET, {"spec": {"clusters": members}}, namespace="eks")
    home.wait_ready("childcluster", f"{SET}--{SECOND}", namespace="eks", seconds=180)
    first, canary = fleets.cluster(case), fleets.cluster(case, SECOND)
    waves = [build_wave("canary", "test"), {"name": "rest", "clusterSelector": {"matchLabels": {"stage": "prod"}}}]

    since = len(case.cloud.calls)
    patch = case.resize(5)
    patch["spec"]["upgrade"] = {"waves": waves}
    home.patch("clusterset", SET, patch, namespace="eks")
    wait_held(fleets, "eks", 3, "canary")
    assert (case.sizes(canary), case.sizes(first)) == ({"small": 5}, {"small": 4})
    # The other differs from what is declared now, and soon from what it was told, too. Its turn has not come.
    case.tamper(first)
    looks = case.count_looks(first)
    fleets.wait(case, lambda case: case.count_looks(first), lambda count: count >= looks + 3, "looks at the other")
    assert case.list_writes(first, since) == []
    assert case.tags(first)["cost-centre"] == "0"
    assert count_rollouts(fleets, "eks") == 3

    approve(home, "eks", f"{SET}-3", "canary")
    wait_rollout(fleets, "eks", 3)
    assert (case.sizes(canary), case.sizes(first)) == ({"small": 5}, {"small": 5})
    assert case.tags(first)["cost-centre"] == "43"
    entries = read_record(home, "eks", f"{SET}-3")
    assert [(entry["event"], entry["cluster"]) for entry in entries if entry["event"].startswith("Member")] == [
        ("MemberTold", SECOND),
        ("MemberDone", SECOND),
        ("MemberTold", "dublin"),
        ("MemberDone", "dublin"),
    ]


def test_no_login_and_no_token_is_told_anywhere_but_in_its_secret(fleets: World) -> None:
    objects, logs = fleets.read_objects(), fleets.read_logs()
    assert len(objects) > 100
    assert sum(place.endswith("/audit.log") for place in logs) == 7
    assert sum(place.endswith("/operator.log") for place in logs) == 1
    assert "--embedded-home" in logs["arguments of processes"]
    for case in fleets.cases.values():
        login = case.canaries()
        assert find(login, objects) == {f"Secret/{case.name}/{case.secret_name}": set(range(len(login)))}
        assert find(login, logs) == {}
        assert len(case.cloud.tokens_shown) > 0
        assert find(list_needles(case), {**objects, **logs}) == {}
    theirs = yaml.safe_load(read_secret(fleets.home.get("secret", "berlin-kubeconfig", namespace="existing")))
    token = theirs["users"][0]["user"]["token"]
    # What an owner hands out is published as it is: there is no other login.
    own = {f"Secret/existing/{name}" for name in ("berlin-kubeconfig", f"{SET}--berlin-kubeconfig")}
    assert set(find([token], {**objects, **logs})) == own


def test_deleted_nothing_is_left_of_them_in_their_clouds(fleets: World) -> None:
    home = fleets.home
    for case in fleets.cases.values():
        home.patch("clusterset", SET, {"spec": {"deletionPolicy": "Delete"}}, namespace=case.name)
        home.kubectl("delete", "tenant", "shop", "-n", case.name, "--wait=false")
    for case in fleets.cases.values():
        fleets.wait(case, lambda case: read_policies(fleets, case), lambda found: found == {"Delete"}, "the policy")
        fleets.wait(case, lambda case: home.get("tenant", "shop", namespace=case.name), no_object, "no tenant")
        home.kubectl("delete", "clusterset", SET, "-n", case.name, "--wait=false")
    for case in fleets.cases.values():
        fleets.wait(case, lambda case: home.get("clusterset", SET, namespace=case.name), no_object, "no set")
        assert home.get("childcluster", namespace=case.name)["items"] == []
        assert case.names() == []
        assert list(case.folder.glob("planes/*/plane.json")) == []
        assert home.get("secret", f"{case.child}-kubeconfig", namespace=case.name) == {}
        # The login is not Atoll's to remove.
        assert home.get("secret", case.secret_name, namespace=case.name)["data"] != {}
        assert find((*case.canaries(), *list_needles(case)), fleets.read_logs()) == {}
