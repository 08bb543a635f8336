"""Three real clusters go from one minor version to the next: people and a real Prometheus have to open the way."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.audit import AuditLog
from tests.support.calling import Calls, calling
from tests.support.home import TestHome
from tests.support.manifests import cluster_set, fleet_namespace, member

from .prometheus_kit import RealPrometheus, run_prometheus
from .rollout_kit import (
    NEW,
    OLD,
    approval,
    let_work,
    list_writes,
    log_in,
    open_logs,
    read_gates,
    read_waves,
    served,
    wait_gates,
    wait_rollout,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first one may have to get Prometheus

MEMBERS = ("canary", "prod-a", "prod-b")
CHILDREN = tuple(f"eu--{name}" for name in MEMBERS)
QUIET_SECONDS = 15
MOST = "0.01"
APPROVE = "atoll approve eu-1 --wave canary --gate sign-off"


@dataclass(frozen=True)
class People:
    """Kubeconfigs of those who take part."""

    anna: Path
    """Of the group `sre`; asks for the change."""
    ben: Path
    """Of the group `sre`, too."""
    eve: Path
    """Of the group `developers`."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    with run_prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="module")
def fleet(home: TestHome, prometheus: RealPrometheus) -> TestHome:
    """Three clusters at the old version; errors are above what the gate allows."""
    asyncio.run(prometheus.show(error_ratio="0.024"))
    gates = [
        {"name": "sign-off", "approval": {"count": 1, "groups": ["sre"]}},
        {"name": "slo", "metric": {"url": prometheus.url, "query": "error_ratio", "max": MOST, "intervalSeconds": 5}},
    ]
    waves = [
        {"name": "canary", "clusterSelector": {"matchLabels": {"stage": "dev"}}, "gates": gates},
        {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}},
    ]
    members = (member("canary", "dev"), member("prod-a", "prod"), member("prod-b", "prod"))
    home.apply(fleet_namespace(), let_work("sre"), let_work("developers"))
    home.apply(cluster_set("eu", *members, upgrade={"waves": waves}))
    home.wait_ready("clusterset", "eu", seconds=120)
    return home


@pytest.fixture(scope="module")
def people(fleet: TestHome) -> People:
    return People(
        anna=log_in(fleet, "anna", "sre"), ben=log_in(fleet, "ben", "sre"), eve=log_in(fleet, "eve", "developers")
    )


@dataclass
class Callers:
    """One caller for each cluster, from before the change until it is over."""

    calls: dict[str, Calls]
    stack: ExitStack


@pytest.fixture(scope="module")
def callers(fleet: TestHome) -> Iterator[Callers]:
    with ExitStack() as stack:
        yield Callers(
            calls={name: stack.enter_context(calling(fleet.child_kubeconfig(name))) for name in CHILDREN}, stack=stack
        )


def watch(fleet: TestHome) -> tuple[str, dict]:
    """Return what `atoll watch` shows people, and the same rollout as it tells scripts."""
    (told,) = json.loads(fleet.atoll("watch", "eu", "-o", "json").stdout)["rollouts"]
    return fleet.atoll("watch", "eu", "--once").stdout, told


def check_prod_is_untouched(fleet: TestHome) -> None:
    """Nobody behind the gates has been told anything."""
    for name in CHILDREN[1:]:
        assert fleet.get("childcluster", name)["spec"]["version"] == OLD
    assert read_waves(fleet.get("rollout", "eu-1")) == {"canary": "Held", "prod": "Waiting"}


def test_the_first_wave_is_changed_and_then_gates_hold_and_say_who_can_open_them(
    fleet: TestHome, people: People, callers: Callers
) -> None:
    change = json.dumps({"spec": {"version": NEW}})
    fleet.kubectl("patch", "clusterset", "eu", "-n", "fleet", "--type=merge", "-p", change, kubeconfig=people.anna)
    first = fleet.wait(
        lambda: fleet.get("rollout", "eu-1"),
        lambda body: body.get("status", {}).get("forecast"),
        "a forecast before anything is done",
    )
    assert first["spec"]["requestedBy"] == "anna"
    forecast = first["status"]["forecast"]
    assert 0 < forecast["lowSeconds"] < forecast["seconds"] < forecast["highSeconds"]

    held = wait_gates(fleet, "eu-1", "canary", sign_off="Closed", slo="Closed", seconds=120)

    gates = read_gates(held, "canary")
    assert gates["sign-off"][1] == (
        f"gate sign-off: 0 of 1 approvals. Somebody of sre other than anna, who asked for the change, has to run "
        f"`{APPROVE}`"
    )
    assert "0.024 is above 0.01" in gates["slo"][1]
    assert held["status"]["message"] == f"{gates['sign-off'][1]} (1 of 3 done)"
    assert served(fleet, "eu--canary") == (NEW, NEW)
    check_prod_is_untouched(fleet)
    picture, told = watch(fleet)
    assert "gate sign-off  closed" in picture
    assert "0.024 is above 0.01" in picture
    assert APPROVE in picture
    assert [(gate["name"], gate["kind"], gate["state"]) for gate in told["waves"][0]["gates"]] == [
        ("sign-off", "approval", "Closed"),
        ("slo", "metric", "Closed"),
    ]
    assert (told["state"], told["requestedBy"], told["counts"]["done"]) == ("Running", "anna", 1)


def test_nobody_speaks_for_somebody_else_and_not_everybody_counts(fleet: TestHome, people: People) -> None:
    rollout = fleet.get("rollout", "eu-1")

    def approve(kubeconfig: Path, *who: str) -> str:
        body = json.dumps(approval(rollout, "canary", "sign-off", *who))
        return fleet.kubectl("create", "-f", "-", stdin=body, kubeconfig=kubeconfig, ok=False).stderr

    assert "spec.approver.username must be your own user name, eve" in approve(people.eve, "ben", "sre")
    assert "spec.approver.groups must be groups of your own" in approve(people.eve, "eve", "sre")
    assert fleet.get("approval")["items"] == []

    assert approve(people.eve, "eve", "developers") == ""
    assert approve(people.anna, "anna", "sre") == ""
    told = fleet.wait(
        lambda: read_gates(fleet.get("rollout", "eu-1"), "canary")["sign-off"],
        lambda gate: "anna" in gate[1].split(". ")[0] and "eve" in gate[1],
        "both words to be seen",
    )
    assert told == (
        "Closed",
        "gate sign-off: 0 of 1 approvals; not counted: anna, eve. Somebody of sre other than anna, who asked for the "
        f"change, has to run `{APPROVE}`",
    )
    check_prod_is_untouched(fleet)


def test_a_measurement_opens_its_gate_and_who_cannot_be_asked_closes_it_again(
    fleet: TestHome, people: People, prometheus: RealPrometheus
) -> None:
    asyncio.run(prometheus.show(error_ratio="0.004"))
    wait_gates(fleet, "eu-1", "canary", sign_off="Closed", slo="Open")
    check_prod_is_untouched(fleet)

    prometheus.stop()
    wait_gates(fleet, "eu-1", "canary", sign_off="Closed", slo="Closed")

    said = fleet.atoll("approve", "eu", "--kubeconfig", str(people.ben)).stdout
    assert said == "approved: gate sign-off of wave canary, rollout eu-1, by ben (group sre)\n"
    held = wait_gates(fleet, "eu-1", "canary", sign_off="Open", slo="Closed")
    assert read_gates(held, "canary")["sign-off"][1] == "1 of 1 approvals (ben)"
    message = held["status"]["message"]
    assert f"{prometheus.url.removeprefix('http://')} cannot be reached" in message, "what is waited for now, and why"
    time.sleep(6)  # it is asked once more
    check_prod_is_untouched(fleet)
    picture, told = watch(fleet)
    assert "sign-off  open" in picture
    assert "slo  closed" in picture
    assert APPROVE not in picture, "nobody has to say it again"
    assert [gate["state"] for gate in told["waves"][0]["gates"]] == ["Open", "Closed"]

    prometheus.start_again()
    fleet.wait(
        lambda: read_waves(fleet.get("rollout", "eu-1")),
        lambda waves: waves["canary"] == "Done",
        "the first wave to be over",
    )


def test_the_rest_follows_and_no_call_to_any_cluster_fails(fleet: TestHome, callers: Callers) -> None:
    done = wait_rollout(fleet, "eu-1", "Done", seconds=180)
    fleet.wait_ready("clusterset", "eu")
    callers.stack.close()

    assert read_waves(done) == {"canary": "Done", "prod": "Done"}
    assert [served(fleet, name) for name in CHILDREN] == [(NEW, NEW)] * 3
    for name, calls in callers.calls.items():
        print(f"{name}: {OLD} to {NEW}: {len(calls.failures)} of {calls.calls} calls failed")
    assert {name: calls.failures for name, calls in callers.calls.items()} == {name: [] for name in CHILDREN}
    assert min(calls.calls for calls in callers.calls.values()) > 100


def test_the_forecast_is_graded_and_each_cluster_remembers_its_own(fleet: TestHome) -> None:
    status = fleet.get("rollout", "eu-1")["status"]
    changes = []
    for name in CHILDREN:
        child = fleet.get("childcluster", name)
        (change,) = [entry for entry in child["status"]["history"] if entry["type"] == "Change"]
        assert (change["from"], change["to"], change["result"], change["rollout"]) == (OLD, NEW, "Succeeded", "eu-1")
        assert 0 <= change["lowSeconds"] < change["highSeconds"]
        changes.append(change)
        fleet.wait_ready("childcluster", name)

    grade = status["grade"]
    assert grade["tookSeconds"] >= max(change["seconds"] for change in changes)
    assert grade["lowSeconds"] < grade["seconds"] < grade["highSeconds"]
    assert grade["changes"] == 3
    assert grade["within"] == sum(
        change["lowSeconds"] <= change["seconds"] <= change["highSeconds"] for change in changes
    )
    assert "forecast" not in status, "nothing is left to forecast"
    assert "rows" not in status
    (entry,) = fleet.get("clusterset", "eu")["status"]["history"]
    assert entry == {"rollout": "eu-1", "result": "Done"}
    picture = " ".join(fleet.atoll("watch", "eu-1", "--once").stdout.split())
    assert f"{grade['within']} of 3 changes took what was forecast" in picture


def test_who_opened_what_stands_in_a_record_that_is_whole(fleet: TestHome) -> None:
    assert fleet.atoll("audit", "verify", "eu-1").stdout.startswith("✓ eu-1")
    shown = fleet.atoll("audit", "show", "eu-1").stdout
    assert "ben" in shown


@pytest.fixture
def logs(fleet: TestHome) -> dict[str, AuditLog]:
    return open_logs(fleet, CHILDREN)


def test_when_all_is_over_nothing_is_written(fleet: TestHome, logs: dict[str, AuditLog]) -> None:
    for log in logs.values():
        log.mark()

    time.sleep(QUIET_SECONDS)

    assert list_writes(logs) == {}
