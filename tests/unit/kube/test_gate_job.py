"""What a job gate runs, and how its end is read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.errors import BadInput
from atoll.fleet.gates import GateKey
from atoll.kube.gate_job import judge_jobs, name_gate_namespace, read_manifests

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
JOB = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: smoke}\nspec: {template: {spec: {restartPolicy: Never}}}\n"
SETTINGS = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\ndata: {a: b}\n"


def config_map(**data: str) -> dict[str, Any]:
    return {"metadata": {"name": "smoke"}, "data": data}


def job(name: str, end: str = "", message: str = "") -> dict[str, Any]:
    conditions = [{"type": end, "status": "True", "message": message}] if end else []
    return {"kind": "Job", "metadata": {"name": name}, "status": {"conditions": conditions}}


def test_what_a_job_refers_to_comes_before_it_and_all_goes_into_the_gates_namespace() -> None:
    bodies = read_manifests("smoke", config_map(a=JOB + "---\n" + SETTINGS, b="---\n"), "ns")
    assert [(body["kind"], body["metadata"]) for body in bodies] == [
        ("ConfigMap", {"name": "settings", "namespace": "ns"}),
        ("Job", {"name": "smoke", "namespace": "ns"}),
    ]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "there is no ConfigMap smoke in the fleet"),
        ({"a": SETTINGS}, "ConfigMap smoke has no Job"),
        ({"a": "a: [b"}, "ConfigMap smoke, key a is no YAML"),
        ({"a": "- 1"}, "ConfigMap smoke, key a has a list; a gate may have"),
        ({"a": JOB.replace("Job", "ClusterRoleBinding")}, "has a ClusterRoleBinding; a gate may have"),
        ({"a": JOB.replace("name: smoke", "generateName: x")}, "a Job has no metadata.name"),
        ({"a": JOB.replace("name: smoke", "name: smoke, namespace: kube-system")}, "namespace is chosen by Atoll"),
    ],
)
def test_what_cannot_be_run_says_what_is_wrong(data: dict[str, str] | None, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_manifests("smoke", None if data is None else config_map(**data), "ns")


@pytest.mark.parametrize(
    ("jobs", "open_", "cause", "message"),
    [
        ([job("a", "Complete"), job("b", "Complete")], True, "Succeeded", "Job a, b succeeded"),
        ([job("a", "Complete"), job("b")], False, "Running", "Job b runs"),
        (
            [job("a", "Failed", "BackoffLimitExceeded"), job("b")],
            False,
            "Failed",
            "Job a failed (BackoffLimitExceeded);",
        ),
    ],
)
def test_the_gate_opens_when_every_job_is_complete(
    jobs: list[dict[str, Any]], open_: bool, cause: str, message: str
) -> None:
    reading = judge_jobs(jobs, "ns", NOW)
    assert (reading.open, reading.cause) == (open_, cause)
    assert reading.message.startswith(message)


def test_each_gate_of_each_rollout_has_a_namespace_of_its_own() -> None:
    keys = [GateKey("u1", "w", "g"), GateKey("u2", "w", "g"), GateKey("u1", "v", "g"), GateKey("u1", "w", "h")]
    names = {name_gate_namespace(key) for key in keys}
    assert len(names) == 4
    assert all(name.startswith("atoll-gate-") and len(name) <= 63 for name in names)
