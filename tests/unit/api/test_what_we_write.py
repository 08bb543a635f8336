"""What the core writes is what the CRDs keep.

A field that a CRD does not know is dropped by the API server without a word, and the operator would write it again on
each visit: so whatever builds bodies and statuses is held against the schemas here, field by field.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from atoll.api.kinds import kind_named
from atoll.api.schema import build_structural_schema
from atoll.decision.status.child import ChildFacts, summarise_child
from atoll.decision.status.cluster_set import summarise_cluster_set
from atoll.decision.status.rollout import summarise_rollout
from atoll.decision.status.tenancy import summarise_environment, summarise_regime, summarise_tenant
from atoll.fleet import spec
from atoll.fleet.cluster import ObservedCluster, OperationType, Presence, ProviderInfo
from atoll.fleet.decisions import (
    Forecast,
    Grade,
    NewRollout,
    Placement,
    Problem,
    Refusal,
    RolloutProgress,
    RolloutRow,
    Unplaced,
    WaveStatus,
)
from atoll.fleet.observed import (
    CheckResult,
    ChildCluster,
    ChildView,
    MemberView,
    OperationStatus,
    Rollout,
    RolloutWave,
    Verification,
)
from atoll.fleet.values import Resources, Version
from atoll.membership.build import build_child, build_labels
from atoll.membership.operations import Work
from atoll.rollout.build import build_rollout

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)
OLD, NEW = Version(1, 35, 8), Version(1, 36, 4)
META = spec.Meta(name="apps", namespace="fleet", uid="u")
WAVE = RolloutWave(name="canary", clusters=("dev",), max_concurrent=1, soak_seconds=5, gates=("sign-off",))
SET = spec.ClusterSet(
    meta=META, version=NEW, provider=spec.ProviderBlock(kind="local"), members=(spec.Member(name="dev"),)
)
AMOUNTS = Resources.parse({"cpu": "3500m", "memory": "8Gi", "pods": 110, "storage": "2Ti"})
FAILED = OperationStatus(
    id="op-1",
    type=OperationType.CHANGE,
    started_time=NOW,
    from_version=str(OLD),
    to_version=str(NEW),
    step="start the API server",
    steps_done=3,
    steps_total=7,
    message="it did not become ready",
    failed=True,
    rollout="apps-1",
)
CHILD = ChildCluster(
    meta=spec.Meta(name="apps--dev", namespace="fleet", uid="u"),
    id="k3v9",
    set_name="apps",
    member_name="dev",
    provider="local",
    version=NEW,
    revision="a1~v1.36.4",
    pod_cidr="10.128.0.0/16",
    service_cidr="10.129.0.0/20",
    cluster_uid="u",
    hosts=("rack--h1",),
)
VIEW = ChildView(
    time=NOW,
    cluster=ObservedCluster(
        presence=Presence.PRESENT, version=str(NEW), endpoint="https://127.0.0.1:1", certificates_expire_time=NOW
    ),
    member=MemberView(version=NEW, cluster_uid="u", ready=True, nodes_total=3, nodes_ready=2),
    published_digest="x",
    verification=Verification(
        revision="a1~v1.36.4",
        version=str(NEW),
        attempt=1,
        checks=(CheckResult(check="anonymous", result="Failed", message="it is let in", time=NOW),),
        time=NOW,
    ),
)
PLACEMENT = Placement(
    tenant="shop", environment="prod", namespace="shop--prod", cluster="apps--dev", since=NOW, reason="the only one"
)
UNPLACED = Unplaced(
    tenant="shop",
    environment="prod",
    namespaces=("shop--prod--api", "shop--prod--web"),
    counts={"capability": 2},
    refusals=(
        Refusal(
            tenant="shop",
            environment="prod",
            namespaces=("shop--prod--api",),
            cluster="apps--dev",
            rule="capability",
            message="lacks faas",
            remedy='add "faas"',
        ),
    ),
)
PROGRESS = RolloutProgress(
    name="apps-1",
    set_name="apps",
    state="Running",
    waves=(
        WaveStatus(
            name="canary",
            state="Soaking",
            started_time=NOW,
            soak_until=NOW,
            gates=({"name": "sign-off", "state": "Closed", "message": "waits for 1 of sre"},),
        ),
    ),
    rows=(
        RolloutRow(cluster="dev", wave="canary", state="Changing", message="3/7"),
        RolloutRow(
            cluster="prod",
            wave="rest",
            state="Pending",
            hops=2,
            forecast=Forecast(seconds=40, low=30, high=60),
        ),
    ),
    message="wave canary soaks",
    forecast=Forecast(seconds=90, low=60, high=130),
    grade=Grade(first=Forecast(seconds=95, low=70, high=140), changes=2, within=1),
)
ROLLOUT = Rollout(
    meta=spec.Meta(name="apps-1", namespace="fleet"), set_name="apps", target_version=NEW, target_revision="a1"
)


def write(kind: str, name: str, status: dict[str, Any]) -> dict[str, Any]:
    """Return an object with nothing but a status, for the schema of the status."""
    return {"kind": kind, "metadata": {"name": name}, "status": status}


def close(node: Any) -> Any:
    """Turn a structural schema into one that refuses what an API server would drop."""
    if isinstance(node, list):
        return [close(item) for item in node]
    if not isinstance(node, dict):
        return node
    closed = {key: close(value) for key, value in node.items()}
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        closed["additionalProperties"] = False
    return closed


def faults(body: dict[str, Any]) -> list[str]:
    """Name what the CRD of a body would drop or refuse in its spec and status."""
    schema = build_structural_schema(kind_named(body["kind"]).model)["properties"]
    return [
        f"{part}.{'.'.join(map(str, error.absolute_path))}: {error.message}"
        for part in ("spec", "status")
        if part in body
        for error in jsonschema.Draft202012Validator(close(schema[part])).iter_errors(body[part])
    ]


STATUSES = {
    "a child at work": write(
        "ChildCluster",
        "apps--dev",
        summarise_child(
            CHILD,
            VIEW,
            Work(operation=FAILED),
            ProviderInfo(name="local", has_nodes=False, can_revert=True),
            ChildFacts(environments=("prod",), tenants=1, allocated=AMOUNTS, capacity=AMOUNTS, detached=True),
            NOW,
        ),
    ),
    "a child that was changed": write(
        "ChildCluster", "apps--dev", summarise_child(CHILD, None, Work(finished=FAILED), None, ChildFacts(), NOW)
    ),
    "a set at work": write(
        "ClusterSet",
        "apps",
        summarise_cluster_set(
            SET,
            (CHILD,),
            {},
            {"apps--dev": "a1"},
            set_revision="a1",
            rollout=PROGRESS,
            ended=(("apps-1", "Done"),),
            detached=1,
            problems=(Problem(kind="ClusterSet", name="apps", path="spec.x", reason="InvalidSpec", message="m"),),
            paused="freeze",
            now=NOW,
        ),
    ),
    "a rollout": write("Rollout", "apps-1", summarise_rollout(ROLLOUT, PROGRESS, NOW)),
    "a tenant": write(
        "Tenant",
        "shop",
        summarise_tenant(
            spec.Tenant(meta=META),
            (replace(PLACEMENT, rule="country"),),
            (UNPLACED,),
            (),
            pending_on="apps--dev",
            moves=(),
            drifted={"apps--dev": "lacks mesh"},
            paused="",
            now=NOW,
        ),
    ),
    "an environment": write(
        "Environment",
        "prod",
        summarise_environment(
            spec.Environment(meta=spec.Meta(name="prod", namespace="fleet")),
            (PLACEMENT,),
            (UNPLACED,),
            (),
            kept=("apps--dev",),
            paused="",
            now=NOW,
        ),
    ),
    "a regime": write(
        "Regime", "pci", summarise_regime(spec.Regime(meta=META), demanded_by=1, attested_by=2, problems=(), now=NOW)
    ),
}


@pytest.mark.parametrize("case", STATUSES, ids=str)
def test_no_field_of_a_status_would_be_dropped(case: str) -> None:
    assert faults(STATUSES[case]) == []


def test_a_child_is_kept_whole() -> None:
    body = build_child(
        CHILD,
        SET,
        build_labels(SET, SET.members[0], "dev", {}),
        version=NEW,
        revision="a1",
        cluster_uid="u",
        rollout="apps-1",
    )
    assert faults(body) == []


def test_a_rollout_is_kept_whole() -> None:
    new = NewRollout(
        name="apps-1",
        set_name="apps",
        target_version=NEW,
        target_revision="a1",
        retry=0,
        waves=(WAVE,),
        reason="the version changed",
    )
    assert faults(build_rollout(new, SET)) == []


def test_this_test_would_see_a_field_that_is_dropped() -> None:
    status = {**STATUSES["a regime"]["status"], "invented": 1}
    (fault,) = faults(write("Regime", "pci", status))
    assert "'invented' was unexpected" in fault
