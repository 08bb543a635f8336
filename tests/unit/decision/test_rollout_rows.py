"""What a Rollout's status keeps of a member that failed at length."""

from __future__ import annotations

from datetime import UTC, datetime

from atoll.decision.status.rollout import summarise_rollout
from atoll.fleet.decisions import RolloutProgress, RolloutRow
from atoll.fleet.observed import Rollout
from atoll.fleet.values import Version
from tests.unit.rollout.builders import meta

NOW = datetime(2026, 11, 21, 22, 0, tzinfo=UTC)


def test_of_a_long_failure_the_beginning_and_the_end_are_kept_for_that_is_where_the_cause_stands() -> None:
    rollout = Rollout(
        meta=meta("eu-1", creation_time=NOW),
        set_name="eu",
        target_version=Version.parse("v1.36.4"),
        target_revision="r1",
    )
    message = f"could not start the new kube-apiserver: {'a long path/' * 60} panic: the release is broken"
    row = RolloutRow(cluster="canary", wave="canary", state="Failed", message=message)
    progress = RolloutProgress(name="eu-1", set_name="eu", state="Halted", rows=(row,))

    (kept,) = summarise_rollout(rollout, progress, NOW)["rows"]

    assert len(kept["message"]) <= 512
    assert kept["message"].startswith("could not start the new kube-apiserver")
    assert kept["message"].endswith("panic: the release is broken")
