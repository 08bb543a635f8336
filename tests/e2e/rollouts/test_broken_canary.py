"""A release that is broken, from outside: it stops at the canary, which goes back, and nobody else notices anything."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from atoll.planes.binaries import API_SERVER
from tests.support.calling import Calls, calling
from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, fleet_namespace, member

from .rollout_kit import NEW, OLD, Json, list_writes, open_logs, read_waves, served, wait_rollout

pytestmark = pytest.mark.e2e

CHILDREN = ("eu--canary", "eu--prod-a", "eu--prod-b")
CANARY, OTHERS = CHILDREN[0], CHILDREN[1:]
WAVES = [
    {"name": "canary", "clusterSelector": {"matchLabels": {"stage": "dev"}}},
    {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}, "maxConcurrent": 2},
]
UPGRADE = {"waves": WAVES, "maxConcurrent": 2, "onFailure": "Revert"}
QUIET_SECONDS = 20
EXITS = "#!/bin/sh\necho 'panic: the release is broken' >&2\nexit 1\n"


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """Three clusters at the old version; what fails goes back."""
    members = (member("canary", "dev"), member("prod-a", "prod"), member("prod-b", "prod"))
    home.apply(fleet_namespace())
    home.apply(cluster_set("eu", *members, upgrade=UPGRADE))
    home.wait_ready("clusterset", "eu", seconds=120)
    return home


@dataclass
class Release:
    """The program of the new version, as somebody has published it."""

    program: Path

    @contextmanager
    def broken(self) -> Iterator[None]:
        """Put one in its place that ends at once; what runs already goes on."""
        good, part = self.program.readlink(), self.program.with_name(f".{self.program.name}.part")
        part.write_text(EXITS)
        part.chmod(0o755)
        part.replace(self.program)
        try:
            yield
        finally:
            part.symlink_to(good)
            part.replace(self.program)


@pytest.fixture(scope="module")
def release(assets: Path) -> Release:
    return Release(program=assets / NEW / API_SERVER)


@contextmanager
def calling_all(fleet: TestHome, children: tuple[str, ...] = CHILDREN) -> Iterator[Mapping[str, Calls]]:
    """Call clusters for as long as the block lasts."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(calling(fleet.child_kubeconfig(name))) for name in children}


def list_servers(fleet: TestHome) -> dict[str, list[int]]:
    """Return the process ids of all API servers."""
    return {name: [process.pid for process in fleet.api_servers(name)] for name in CHILDREN}


def read_changes(child: Json) -> list[tuple[str, str, str, str]]:
    """Return what a cluster remembers of its changes."""
    return [
        (entry["type"], entry.get("from", ""), entry["to"], entry["result"])
        for entry in child["status"]["history"]
        if entry["type"] in {"Change", "Revert"}
    ]


def check_nothing_loops(fleet: TestHome) -> None:
    """See that nobody tries anything again, and nobody says anything more."""
    fleet.wait_ready("childcluster", CANARY)
    time.sleep(6)  # a last look at each
    before = {name: fleet.get("childcluster", name) for name in CHILDREN}
    rollouts = [body["metadata"]["name"] for body in fleet.get("rollout")["items"]]
    logs = open_logs(fleet, CHILDREN)

    time.sleep(QUIET_SECONDS)

    assert list_writes(logs) == {}
    for name, body in before.items():
        status = fleet.get("childcluster", name)["status"]
        assert "operation" not in status
        assert status["history"] == body["status"]["history"]
    assert [body["metadata"]["name"] for body in fleet.get("rollout")["items"]] == rollouts


def test_a_release_that_does_not_start_stops_at_the_canary_which_goes_back(fleet: TestHome, release: Release) -> None:
    canary = fleet.child_kubeconfig(CANARY)
    fleet.kubectl("create", "configmap", "before", kubeconfig=canary)
    uid = fleet.get("namespace", "kube-system", namespace="", kubeconfig=canary)["metadata"]["uid"]
    servers = list_servers(fleet)

    with release.broken(), calling_all(fleet) as calls:
        fleet.patch("clusterset", "eu", {"spec": {"version": NEW}})
        reverted = wait_rollout(fleet, "eu-1", "Reverted")

    status = reverted["status"]
    assert "canary: could not start the new kube-apiserver" in status["message"], "which cluster, and where it stopped"
    assert "panic: the release is broken" in status["message"], "the cause"
    assert "raise spec.upgrade.retry of ClusterSet eu to 1" in status["message"], "the remedy"
    assert read_waves(reverted) == {"canary": "Held", "prod": "Waiting"}
    assert (status["counts"]["reverted"], status["counts"]["pending"]) == (1, 2)
    assert {name: seen.failures for name, seen in calls.items()} == {name: [] for name in CHILDREN}
    assert min(seen.calls for seen in calls.values()) > 10
    assert list_servers(fleet) == servers, "the same processes serve, that of the canary too"
    assert served(fleet, CANARY) == (OLD, OLD)
    assert fleet.get("configmap", "before", namespace="default", kubeconfig=canary) != {}
    assert fleet.get("namespace", "kube-system", namespace="", kubeconfig=canary)["metadata"]["uid"] == uid
    child = fleet.get("childcluster", CANARY)
    assert child["status"]["revision"] == child["spec"]["revision"]
    assert read_changes(child) == [("Change", OLD, NEW, "Failed")]
    for name in OTHERS:
        body = fleet.get("childcluster", name)
        assert body["spec"]["version"] == OLD
        assert read_changes(body) == []
    stalled = condition_of(fleet.get("clusterset", "eu"), "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "RolloutHalted")


def test_after_it_has_gone_back_nothing_loops(fleet: TestHome) -> None:
    check_nothing_loops(fleet)


def test_a_mended_release_reaches_everybody_when_a_person_tries_again(fleet: TestHome) -> None:
    fleet.atoll("retry", "eu")

    with calling_all(fleet) as calls:
        wait_rollout(fleet, "eu-2", "Done", seconds=180)

    fleet.wait_ready("clusterset", "eu")
    assert [served(fleet, name) for name in CHILDREN] == [(NEW, NEW)] * 3
    assert {name: seen.failures for name, seen in calls.items()} == {name: [] for name in CHILDREN}
    canary = fleet.child_kubeconfig(CANARY)
    assert fleet.get("configmap", "before", namespace="default", kubeconfig=canary) != {}
    assert read_changes(fleet.get("childcluster", CANARY))[1:] == [("Change", OLD, NEW, "Succeeded")]
