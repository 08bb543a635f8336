"""Rollouts that do not go smoothly: changes that fail, data that is brought back, people who stop and go on."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from atoll.planes.binaries import API_SERVER
from tests.support.binaries import link_assets
from tests.support.calling import calling
from tests.support.home import TestHome, condition_of, open_home
from tests.support.manifests import cluster_set, fleet_namespace, member

pytestmark = pytest.mark.e2e

OLD, NEW = "v1.35.8", "v1.36.4"
WAVES = [
    {"name": "canary", "clusterSelector": {"matchLabels": {"stage": "dev"}}, "soakSeconds": 1},
    {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}, "maxConcurrent": 1},
]
DENY_VERIFICATION = [
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "names"},
        "spec": {
            "failurePolicy": "Fail",
            "matchConstraints": {
                "resourceRules": [
                    {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]}
                ]
            },
            "validations": [
                {
                    "expression": "!object.metadata.name.startsWith('atoll-verify-')",
                    "message": "namespaces are named by the naming board",
                }
            ],
        },
    },
    {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "names"},
        "spec": {"policyName": "names", "validationActions": ["Deny"]},
    },
]
"""What somebody might roll out together with a new version: nobody may name a namespace like our verification does."""


@pytest.fixture(scope="module")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of links to the real programs, so that a test can break one of them."""
    return link_assets(tmp_path_factory.mktemp("assets"), OLD, NEW)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, assets: Path) -> Iterator[TestHome]:
    """A management plane with the operator on it, both with programs from `assets`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATOLL_ASSETS", str(assets))
        with open_home(tmp_path_factory.mktemp("home") / "atoll") as opened:
            yield opened


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Two children at the old version."""
    home.apply(fleet_namespace())
    home.apply(cluster_set("eu", member("dev", "dev"), member("prod", "prod"), upgrade={"waves": WAVES}))
    home.wait_ready("clusterset", "eu")
    return home


@contextmanager
def exchanged(program: Path, other: Path) -> Iterator[None]:
    """Put another program in the place of one, as a bad release might; what runs already is not touched."""
    good, part = program.readlink(), program.with_name(f".{program.name}.part")
    part.symlink_to(other.readlink())
    part.replace(program)
    try:
        yield
    finally:
        part.symlink_to(good)
        part.replace(program)


def served(home: TestHome, child: str) -> tuple[str, str]:
    """Return the version that a child says it is, and the one of the program that runs."""
    version = home.kubectl("get", "--raw", "/version", kubeconfig=home.child_kubeconfig(child)).stdout
    (server,) = home.api_servers(child)
    return json.loads(version)["gitVersion"], Path(server.exe()).parent.name


def wait_rollout(home: TestHome, name: str, state: str, *, seconds: float = 60) -> dict[str, Any]:
    """Wait until a rollout is in a state."""
    return home.wait(
        lambda: home.get("rollout", name),
        lambda body: body.get("status", {}).get("state") == state,
        f"rollout {name} to be {state}",
        seconds=seconds,
    )


def wait_stalled(home: TestHome, reason: str, words: str) -> str:
    """Wait until the set is stalled for a reason and says something; return all of what it says."""
    body = home.wait(
        lambda: home.get("clusterset", "eu"),
        lambda body: (
            condition_of(body, "Stalled").get("status") == "True" and words in condition_of(body, "Stalled")["message"]
        ),
        f"the set to be stalled, saying {words!r}",
    )
    assert condition_of(body, "Stalled")["reason"] == reason
    return condition_of(body, "Stalled")["message"]


def wait_step(home: TestHome, child: str, rollout: str, done: int) -> None:
    """Wait until the change of a child for a rollout has done so many steps."""

    def look() -> tuple[str, int]:
        status = home.get("childcluster", child).get("status", {}).get("operation", {})
        return status.get("rollout", ""), status.get("stepsDone", 0)

    home.wait(look, lambda seen: seen[0] == rollout and seen[1] >= done, f"{child} to come to step {done} of {rollout}")


def target(version: str, *, retry: int = 0, on_failure: str = "Halt") -> dict[str, Any]:
    """Ask the set for a version."""
    return {"spec": {"version": version, "upgrade": {"retry": retry, "onFailure": on_failure}}}


def test_a_member_that_fails_after_the_change_goes_back_with_its_old_data(fleet: TestHome) -> None:
    dev = fleet.child_kubeconfig("eu--dev")
    fleet.kubectl("create", "configmap", "before", kubeconfig=dev)
    uid = fleet.get("namespace", "kube-system", namespace="", kubeconfig=dev)["metadata"]["uid"]
    told: list[str] = []

    def look() -> str:
        status = fleet.get("rollout", "eu-1").get("status", {})
        told.append(status.get("message", ""))
        return status.get("state", "")

    with calling(fleet.child_kubeconfig("eu--prod")) as other:
        fleet.patch("clusterset", "eu", target(NEW, on_failure="Revert"))
        # The snapshot is the fourth of its steps.
        wait_step(fleet, "eu--dev", "eu-1", 4)
        fleet.kubectl(
            "apply",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": DENY_VERIFICATION}),
            kubeconfig=dev,
        )
        fleet.kubectl("create", "configmap", "after", kubeconfig=dev)
        fleet.wait(look, lambda state: state == "Reverted", "rollout eu-1 to be Reverted", seconds=120)

    message = wait_stalled(fleet, "RolloutHalted", "reverted")
    assert "dev: verification failed: namespace-lifecycle" in message
    assert "naming board; is back at v1.35.8; lost: " in message
    assert "writes since the snapshot of" in message, "what it has cost"
    assert "raise spec.upgrade.retry of ClusterSet eu to 1" in message
    halted = next(text for text in told if "goes back to v1.35.8" in text)
    assert "naming board" in halted, "the cause"
    assert "everything written to the API since" in halted, "what it will cost, before it begins"
    assert served(fleet, "eu--dev") == (OLD, OLD)
    assert fleet.get("configmap", "before", namespace="default", kubeconfig=dev) != {}
    assert fleet.get("configmap", "after", namespace="default", kubeconfig=dev) == {}
    assert fleet.get("namespace", "kube-system", namespace="", kubeconfig=dev)["metadata"]["uid"] == uid
    child = fleet.get("childcluster", "eu--dev")
    assert condition_of(child, "Ready")["status"] == "True"
    assert child["status"]["revision"] == child["spec"]["revision"]
    changes = [(entry["type"], entry.get("from", ""), entry["to"]) for entry in child["status"]["history"]]
    assert changes[-2:] == [("Change", OLD, NEW), ("Revert", NEW, OLD)]
    assert other.failures == []
    assert served(fleet, "eu--prod") == (OLD, OLD)
    assert fleet.get("childcluster", "eu--prod")["spec"]["version"] == OLD


def test_a_change_that_fails_halts_and_hurts_nobody(fleet: TestHome, assets: Path) -> None:
    server_before = fleet.api_servers("eu--dev")
    with (
        exchanged(assets / NEW / API_SERVER, assets / NEW / "kubectl"),
        calling(fleet.child_kubeconfig("eu--dev")) as failing,
        calling(fleet.child_kubeconfig("eu--prod")) as other,
    ):
        fleet.patch("clusterset", "eu", target(NEW, retry=1))
        wait_rollout(fleet, "eu-2", "Halted")
        message = wait_stalled(fleet, "RolloutHalted", "eu-2")
        time.sleep(2)

        assert "dev: could not start the new kube-apiserver" in message, "which cluster, and where it stopped"
        assert "unknown flag" in message, "the cause"
        assert "raise spec.upgrade.retry of ClusterSet eu to 2" in message, "the remedy"
        assert fleet.api_servers("eu--dev") == server_before, "the process that served still serves"
        assert served(fleet, "eu--dev") == (OLD, OLD)
        assert served(fleet, "eu--prod") == (OLD, OLD)
        assert fleet.get("childcluster", "eu--prod")["spec"]["version"] == OLD
        changes = [
            entry for entry in fleet.get("childcluster", "eu--dev")["status"]["history"] if entry["type"] == "Change"
        ]
        assert [entry["result"] for entry in changes[1:]] == ["Failed"], "a failed change is not tried again by itself"
    assert failing.failures == []
    assert other.failures == []
    assert min(failing.calls, other.calls) > 10


def test_an_aborted_rollout_starts_nothing_more_and_reverts_nothing(fleet: TestHome) -> None:
    fleet.patch("clusterset", "eu", target(NEW, retry=2))
    wait_step(fleet, "eu--dev", "eu-3", 1)
    fleet.patch("rollout", "eu-3", {"spec": {"action": "Abort"}})

    wait_rollout(fleet, "eu-3", "Aborted")
    fleet.wait_ready("childcluster", "eu--dev")
    time.sleep(2)

    message = wait_stalled(fleet, "RolloutAborted", "aborted, 1 of 2 done")
    assert "raise spec.upgrade.retry of ClusterSet eu to 3" in message
    assert served(fleet, "eu--dev") == (NEW, NEW), "the change that was under way has ended, and stays"
    assert served(fleet, "eu--prod") == (OLD, OLD)
    assert fleet.get("childcluster", "eu--prod")["spec"]["version"] == OLD
    assert len(fleet.get("rollout")["items"]) == 3


def test_a_paused_rollout_holds_who_has_not_started_and_goes_on_when_told(fleet: TestHome) -> None:
    waves = [{**WAVES[0], "soakSeconds": 5}, WAVES[1]]
    fleet.patch("clusterset", "eu", {"spec": {"upgrade": {"waves": waves, "retry": 3}}})
    fleet.wait(lambda: fleet.get("rollout", "eu-4"), bool, "rollout eu-4")
    fleet.patch("rollout", "eu-4", {"spec": {"action": "Pause"}})
    wait_rollout(fleet, "eu-4", "Paused")

    late = member("late", "prod")
    fleet.patch("clusterset", "eu", {"spec": {"clusters": [member("dev", "dev"), member("prod", "prod"), late]}})
    fleet.wait_ready("childcluster", "eu--late")

    status = fleet.get("rollout", "eu-4")["status"]
    assert [(wave["name"], wave["state"]) for wave in status["waves"]] == [("canary", "Done"), ("prod", "Held")]
    assert [(row["cluster"], row["state"]) for row in status["rows"]] == [("prod", "Pending")]
    assert served(fleet, "eu--prod") == (OLD, OLD)
    assert served(fleet, "eu--late") == (OLD, OLD), "it joins at what was completed last"

    fleet.patch("rollout", "eu-4", {"spec": {"action": "Run"}})
    wait_rollout(fleet, "eu-4", "Done", seconds=90)
    assert served(fleet, "eu--prod") == (NEW, NEW)


def test_who_joined_late_is_changed_by_the_next_rollout(fleet: TestHome) -> None:
    done = wait_rollout(fleet, "eu-5", "Done", seconds=90)
    assert [wave["clusters"] for wave in done["spec"]["waves"]] == [["late"]], "the others are there"
    fleet.wait_ready("clusterset", "eu")
    assert [served(fleet, f"eu--{name}") for name in ("dev", "prod", "late")] == [(NEW, NEW)] * 3
    results = [(entry["rollout"], entry["result"]) for entry in fleet.get("clusterset", "eu")["status"]["history"]]
    assert results == [("eu-1", "Reverted"), ("eu-4", "Done"), ("eu-5", "Done")]
