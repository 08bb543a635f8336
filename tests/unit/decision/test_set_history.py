"""Which rollouts a set remembers, whoever was stopped when they ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from atoll.decision.decide import decide
from atoll.fleet.observed import Rollout
from atoll.fleet.plan import WriteStatus
from atoll.fleet.snapshot import Fleet
from atoll.fleet.values import Version
from atoll.kube.compare import covers
from tests.unit.rollout.builders import cluster_set, meta

NOW = datetime(2026, 11, 22, 6, 0, tzinfo=UTC)


def rollout(number: int, state: str) -> Rollout:
    return Rollout(
        meta=meta(f"s-{number}", creation_time=NOW),
        set_name="s",
        target_version=Version.parse("v1.36.4"),
        target_revision=f"r{number}",
        status={"state": state},
    )


def remember(history: Mapping[str, str], *rollouts: Rollout) -> list[str]:
    """Return the rollouts that the set's status shall name, after those that it names already."""
    status: dict[str, Any] = {"history": [{"rollout": name, "result": result} for name, result in history.items()]}
    fleet = Fleet(name="fleet", hub_uid="hub", cluster_sets=(replace(cluster_set(), status=status),), rollouts=rollouts)
    plan = decide(fleet, NOW, covers=covers).plan
    written = [step.status for step in plan.hub if isinstance(step, WriteStatus) and step.name == "s"]
    kept = written[0].get("history", ()) if written else status["history"]
    return [f"{entry['rollout']} {entry['result']}" for entry in kept]


def test_a_rollout_whose_end_stands_in_its_own_status_alone_is_remembered() -> None:
    assert remember({}, rollout(1, "Done")) == ["s-1 Done"]
    assert remember({"s-1": "Done"}, rollout(1, "Done"), rollout(3, "Superseded"), rollout(2, "Reverted")) == [
        "s-1 Done",
        "s-2 Reverted",
        "s-3 Superseded",
    ]


def test_ten_are_remembered_and_older_ones_do_not_come_back() -> None:
    ten = {f"s-{number}": "Done" for number in range(3, 13)}
    assert remember(ten, rollout(1, "Done"), rollout(2, "Reverted")) == [f"s-{number} Done" for number in range(3, 13)]
    assert remember(ten, rollout(2, "Done"), rollout(13, "Done")) == [f"s-{number} Done" for number in range(4, 14)]


def test_one_that_may_still_move_is_not_in_the_past() -> None:
    assert remember({}, rollout(1, "Halted"), rollout(2, "Aborted")) == []
