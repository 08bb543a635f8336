"""What a person sees of a broken border: the operator tries, tells it in status and by an event, and takes it back."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.audit import AuditLog
from tests.support.home import TestHome, condition_of, open_home
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

from .border_kit import binding

pytestmark = pytest.mark.e2e
Json = dict[str, Any]
CHILD = "eu--dev"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """One child with two tenants, settled, its borders tried."""
    with open_home(tmp_path_factory.mktemp("home") / "atoll", "--audit") as opened:
        opened.apply(fleet_namespace())
        opened.apply(
            cluster_set("eu", member("dev", "dev")), environment("dev"), tenant("shop", "dev"), tenant("pay", "dev")
        )
        for kind, name in (("clusterset", "eu"), ("tenant", "shop"), ("tenant", "pay")):
            opened.wait_ready(kind, name, seconds=120)
        wait_for_borders(opened, lambda borders: borders.get("tried") == 2 * 5 + 2 * 3)
        yield opened


def borders_of(home: TestHome) -> Json:
    return home.get("childcluster", CHILD).get("status", {}).get("borders", {})


def wait_for_borders(home: TestHome, good: Any, *, seconds: float = 60) -> Json:
    return home.wait(lambda: borders_of(home), good, f"the borders of {CHILD}", seconds=seconds)


def check_of(home: TestHome) -> Json:
    """The entry of the self-test in the verification."""
    entries = home.get("childcluster", CHILD)["status"]["verification"]
    return next(entry for entry in entries if entry["check"] == "tenant-borders")


def cells(borders: Json) -> list[tuple[str, str, str]]:
    return [(cell["tenant"], cell["target"], cell["attempt"]) for cell in borders.get("red", ())]


def test_without_nodes_all_borders_hold_and_those_of_the_network_are_unknown(home: TestHome) -> None:
    borders = borders_of(home)

    assert {key: borders.get(key, 0) for key in ("tried", "unknown", "waiting", "redCount")} == {
        "tried": 16,
        "unknown": 2,
        "waiting": 0,
        "redCount": 0,
    }
    check = check_of(home)
    assert check["result"] == "Passed"
    assert "network Unknown" in check["message"]
    assert condition_of(home.get("childcluster", CHILD), "Ready")["status"] == "True"


def test_a_foreign_binding_turns_one_cell_red_within_a_minute_and_its_removal_green(home: TestHome) -> None:
    child = home.child_kubeconfig(CHILD)
    before = borders_of(home)
    foreign = binding("foreign", "shop--dev", "pay--admin", "view")

    began = time.monotonic()
    home.kubectl("apply", "-f", "-", stdin=json.dumps(foreign), kubeconfig=child)
    red = wait_for_borders(home, lambda borders: borders.get("red"))
    took = time.monotonic() - began

    assert cells(red) == [("pay", "shop", "reads")]
    assert red["redCount"] == 1
    assert "listing configmaps in shop--dev was answered 200" in red["red"][0]["message"]
    assert red["time"] != before["time"]
    assert check_of(home)["result"] == "Failed"
    body = home.get("childcluster", CHILD)
    for condition in ("Ready", "PolicyEnforced"):
        assert (condition_of(body, condition)["status"], condition_of(body, condition)["reason"]) == (
            "False",
            "BorderCrossed",
        )
    assert condition_of(body, "Stalled")["status"] == "True"
    assert condition_of(body, "Available")["status"] == "True", "its tenants work on"
    assert condition_of(body, "Verified")["status"] == "True", "its revision is what it was: no rollout reverts for it"
    events = home.get("events.events.k8s.io")["items"]
    assert [event["type"] for event in events if event["reason"] == "BorderCrossed"] == ["Warning"]
    shown = home.kubectl("get", "childcluster", CHILD, "-n", "fleet", "-o", "wide").stdout
    assert "BorderCrossed" in shown

    began_closing = time.monotonic()
    home.kubectl("delete", "rolebinding", "foreign", "-n", "shop--dev", kubeconfig=child)
    wait_for_borders(home, lambda borders: "red" not in borders)
    home.wait_ready("childcluster", CHILD, seconds=30)
    print(f"\nred after {took:.1f} s, green {time.monotonic() - began_closing:.1f} s after its removal")
    assert check_of(home)["result"] == "Passed"
    assert took < 60


def test_tries_that_find_nothing_new_write_nothing_and_a_restart_neither(home: TestHome) -> None:
    planes = home.root / "planes"
    logs = [AuditLog(planes / name) for name in ("management", home.get("childcluster", CHILD)["spec"]["id"])]
    home.wait_ready("childcluster", CHILD, seconds=30)
    time.sleep(8)
    for log in logs:
        log.mark()
    before = borders_of(home)
    child_log = Path(planes / home.get("childcluster", CHILD)["spec"]["id"] / "log" / "audit.log")
    size = child_log.stat().st_size

    time.sleep(40)  # The repetition after a change falls into this time.
    operator = home.operator()
    operator.kill()
    operator.wait(10)
    home.atoll("up", "--resync", "5", "--audit")
    time.sleep(15)

    written = [f"{write.time} {write.verb} {write.path}" for log in logs for write in log.writes()]
    assert written == []
    assert borders_of(home) == before
    with child_log.open() as file:
        file.seek(size)
        assert '"userAgent":"atoll-borders"' in file.read(), "it was tried meanwhile"


def test_of_a_child_that_does_not_answer_nothing_is_green(home: TestHome) -> None:
    (server,) = home.api_servers(CHILD)
    os.kill(server.pid, signal.SIGSTOP)
    try:
        home.wait(lambda: check_of(home)["result"], lambda result: result == "Unknown", "Unknown", seconds=60)
        enforced = home.condition("childcluster", CHILD, "PolicyEnforced")
        assert enforced["status"] == "Unknown"
    finally:
        os.kill(server.pid, signal.SIGCONT)

    home.wait(lambda: check_of(home)["result"], lambda result: result == "Passed", "Passed again", seconds=60)
    home.wait_ready("childcluster", CHILD, seconds=60)
