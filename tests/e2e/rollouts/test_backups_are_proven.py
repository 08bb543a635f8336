"""Restore drills as `spec.backup` asks for them: at cron times, and before a hop, with nothing noticed by who calls."""

from __future__ import annotations

import pytest

from tests.support.home import TestHome, condition_of
from tests.support.manifests import cluster_set, fleet_namespace, member

from .rollout_kit import NEW, OLD, served, wait_rollout

pytestmark = pytest.mark.e2e

CHILD = "safe--a"


def test_a_drill_runs_at_its_time_and_changes_nothing(home: TestHome) -> None:
    home.apply(fleet_namespace())
    home.apply(cluster_set("safe", member("a", "prod"), version=OLD, backup={"drillCron": "* * * * *"}))
    home.wait_ready("clusterset", "safe")
    server = home.api_servers(CHILD)[0].pid

    child = home.wait(
        lambda: home.get("childcluster", CHILD),
        lambda body: "drill" in body["status"],
        "the first drill, due within a minute",
        seconds=120,
    )

    drill = child["status"]["drill"]
    assert drill["result"] == "Passed", drill
    assert drill["message"].startswith("restored ")
    assert condition_of(child, "BackupProven")["status"] == "True"
    assert condition_of(child, "Ready")["status"] == "True", "a drill is nothing that a cluster suffers from"
    assert [entry["type"] for entry in child["status"]["history"]] == ["Create"], "drills are remembered apart"
    assert home.api_servers(CHILD)[0].pid == server


def test_a_hop_is_preceded_by_a_drill_of_its_own_snapshot(home: TestHome) -> None:
    home.patch("clusterset", "safe", {"spec": {"backup": {"drillCron": "", "drillBeforeHop": True}, "version": NEW}})
    steps = home.wait(
        lambda: home.get("childcluster", CHILD)["status"].get("operation", {}),
        lambda operation: operation.get("type") == "Change" and operation.get("stepsTotal", 0) > 0,
        "the change to begin",
    )["stepsTotal"]
    wait_rollout(home, "safe-1", "Done")

    assert served(home, CHILD) == (NEW, NEW)
    plain = 10
    assert steps > plain, "a hop without a drill has ten steps"
    (entry,) = [item for item in home.get("childcluster", CHILD)["status"]["history"] if item["type"] == "Change"]
    assert entry["result"] == "Succeeded"


def test_a_cron_time_that_never_comes_is_named(home: TestHome) -> None:
    home.patch("clusterset", "safe", {"spec": {"backup": {"drillCron": "0 0 30 2 *"}}})
    told = home.wait(
        lambda: home.condition("clusterset", "safe", "Ready"),
        lambda condition: condition.get("reason") == "InvalidSpec",
        "the wrong cron time to be named",
    )
    assert told["message"].startswith('spec.backup.drillCron: "0 0 30 2 *" is no cron time that ever comes; write ')
