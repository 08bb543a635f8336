"""Changes wait for the right time, and say what they wait for: freezes, windows, and the people whom a regime asks."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from atoll.fleet.conditions import format_time, parse_time
from tests.support.audit import AuditLog
from tests.support.home import TestHome, condition_of
from tests.support.manifests import API_VERSION, cluster_set, environment, fleet_namespace, member, tenant

from .rollout_kit import MANAGEMENT, Json, let_work, log_in, open_logs, read_gates, read_waves, wait_gates, wait_rollout

pytestmark = pytest.mark.e2e

CHILD = "eu--dev"
ZONE = "Asia/Kolkata"
"""Neither UTC nor whole hours away from it."""
FREEZE_SECONDS = 12
SEEN_SECONDS = 10
"""How long before an opening a change has to be asked for at least, so that everybody can see that it waits."""


@pytest.fixture(scope="module")
def fleet(home: TestHome) -> TestHome:
    """One cluster of a regime that wants somebody's approval; a tenant's environment is on it."""
    regime = {
        "apiVersion": API_VERSION,
        "kind": "Regime",
        "metadata": {"name": "bank", "namespace": "fleet"},
        "spec": {"title": "What the bank asks for", "upgrade": {"approvals": 1}},
    }
    home.apply(fleet_namespace(), let_work("sre"), regime)
    waves = [{"name": "dev", "clusterSelector": {"matchLabels": {"stage": "dev"}}}]
    home.apply(cluster_set("eu", member("dev", "dev"), regimes=["bank"], upgrade={"waves": waves}))
    home.apply(environment("dev"), tenant("shop", "dev"))
    home.wait_ready("tenant", "shop", seconds=120)
    home.wait_ready("clusterset", "eu")
    return home


def wait_held(fleet: TestHome, rollout: str, words: str) -> Json:
    """Wait until the only member of a rollout is held with these words."""

    def is_held(body: Json) -> bool:
        rows = body.get("status", {}).get("rows", ())
        return [row["state"] for row in rows] == ["Held"] and words in rows[0]["message"]

    return fleet.wait(lambda: fleet.get("rollout", rollout), is_held, f"{rollout} to be held: {words}", seconds=20)


def check_it_waits(fleet: TestHome, held: Json, words: str) -> None:
    """Nothing is wrong, nothing has begun, and everybody says what is waited for."""
    status = held["status"]
    assert (status["state"], status["counts"]["held"]) == ("Running", 1)
    assert words in status["message"]
    assert condition_of(held, "Reconciling")["status"] == "True"
    assert condition_of(held, "Stalled").get("status", "False") == "False", "no person has to act"
    assert condition_of(fleet.get("clusterset", "eu"), "Stalled").get("status", "False") == "False"
    child = fleet.get("childcluster", CHILD)
    assert "operation" not in child["status"]
    assert child["spec"]["revision"] != held["spec"]["target"]["revision"]
    name = held["metadata"]["name"]
    (told,) = json.loads(fleet.atoll("watch", name, "-o", "json").stdout)["rollouts"]
    assert words in told["waves"][0]["rows"][0]["text"]


def read_start(log: AuditLog) -> datetime:
    """Return when the cluster was told to change, as the API server knows it."""
    (told,) = [write for write in log.writes() if write.resource == "childclusters" and write.name == CHILD]
    return parse_time(told.time)


def test_a_frozen_environment_holds_a_change_and_then_its_regime_asks_for_a_person(fleet: TestHome) -> None:
    log = open_logs(fleet, ())[MANAGEMENT]
    begins = datetime.now(UTC).replace(microsecond=0)
    ends = begins + timedelta(seconds=FREEZE_SECONDS)
    freeze = {"from": format_time(begins - timedelta(hours=1)), "to": format_time(ends), "reason": "the annual sale"}
    fleet.patch("environment", "dev", {"spec": {"freezes": [freeze]}})
    fleet.patch("clusterset", "eu", {"spec": {"capabilities": ["mesh"]}})

    words = f"environment dev is frozen until {ends:%Y-%m-%d %H:%M:%S}: the annual sale"
    held = wait_held(fleet, "eu-1", words)
    check_it_waits(fleet, held, words)
    assert held["status"]["forecast"]["endTime"] > format_time(ends), "waiting is forecast, too"

    waiting = wait_gates(fleet, "eu-1", "dev", regime_bank="Closed")

    assert read_start(log) >= ends
    requester = waiting["spec"]["requestedBy"]
    assert read_gates(waiting, "dev")["regime-bank"][1] == (
        f"gate regime-bank: 0 of 1 approvals. Somebody who may create Approvals other than {requester}, who asked for "
        "the change, has to run `atoll approve eu-1 --wave dev --gate regime-bank`"
    )
    assert read_waves(waiting) == {"dev": "Held"}
    fleet.atoll("approve", "eu", "--kubeconfig", str(log_in(fleet, "ben", "sre")))
    wait_rollout(fleet, "eu-1", "Done", seconds=30)
    fleet.wait_ready("clusterset", "eu")


def test_a_change_of_a_regime_waits_for_its_window_and_then_for_one_person_more(fleet: TestHome) -> None:
    opening = datetime.now(UTC) + timedelta(seconds=SEEN_SECONDS + 60)
    opening = opening.replace(second=0, microsecond=0)
    local = opening.astimezone(ZoneInfo(ZONE))
    window = {"cron": f"{local.minute} {local.hour} * * *", "durationMinutes": 30, "timeZone": ZONE}
    fleet.patch("clusterset", "eu", {"spec": {"upgrade": {"windows": [{**window, "durationMinutes": 45}]}}})
    fleet.wait_ready("clusterset", "eu")
    fleet.patch("regime", "bank", {"spec": {"labels": {"audited": "yearly"}, "upgrade": {"windows": [window]}}})

    words = f"its window opens {local:%a %Y-%m-%d %H:%M} {ZONE} (spec.upgrade.windows and Regime bank)"
    held = wait_held(fleet, "eu-2", words)
    check_it_waits(fleet, held, words)
    log = open_logs(fleet, ())[MANAGEMENT]  # its new labels were no change, and are there already
    assert held["status"]["forecast"]["endTime"] > format_time(opening)
    assert held["spec"].get("requestedBy", "") == "", "a regime has changed, and nobody has asked for this set's change"

    waiting = wait_gates(fleet, "eu-2", "dev", regime_bank="Closed", seconds=SEEN_SECONDS + 90)

    assert read_start(log) >= opening
    told = read_gates(waiting, "dev")["regime-bank"][1]
    more = "it needs one more than usual, because nobody knows who asked for the change"
    assert told.startswith(f"gate regime-bank: 0 of 2 approvals; {more}")
    for name, told in (("ben", "1 of 2 approvals (ben)"), ("anna", "2 of 2 approvals (anna, ben)")):
        fleet.atoll("approve", "eu", "--kubeconfig", str(log_in(fleet, name, "sre")))
        fleet.wait(
            lambda: read_gates(fleet.get("rollout", "eu-2"), "dev")["regime-bank"][1],
            lambda message, told=told: told in message,
            f"the word of {name} to be counted",
        )
    wait_rollout(fleet, "eu-2", "Done", seconds=30)
    fleet.wait_ready("clusterset", "eu")
