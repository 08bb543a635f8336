"""Why: the root cause first, then what follows, then who has to act."""

from datetime import UTC, datetime, timedelta

import pytest

from atoll.cli.why_cases import explain, failing_causes
from atoll.cli.why_model import Nearest, Why, describe_age, parse_target
from atoll.cli.why_view import render_why
from atoll.errors import BadInput

from .fleet_bodies import build, cluster, cluster_set, condition, tenant

NOW = datetime(2026, 11, 21, 12, 2, tzinfo=UTC)
LAB = build(
    "Tenant",
    "lab",
    condition("Ready", "False", "Unplaced", "environment dev fits nowhere"),
    spec={
        "capabilities": ["faas"],
        "regimes": ["gdpr"],
        "environments": [{"name": "dev", "resources": {"cpu": "4", "memory": "8Gi"}}],
    },
    unplaced=[
        {
            "environment": "dev",
            "namespace": "lab--dev",
            "counts": {"capability": 1},
            "nearest": [
                {
                    "cluster": "apps--a",
                    "rule": "capability",
                    "message": "lacks faas",
                    "remedy": "add faas to apps.clusters[a].capabilities",
                }
            ],
        }
    ],
)


def test_a_tenant_that_fits_nowhere_is_told_what_would_help():
    why = explain("Tenant", "lab", [LAB, cluster("a")], NOW)

    assert why == Why(
        kind="Tenant",
        name="lab",
        ready=False,
        reason="Unplaced",
        title="Tenant lab is not Ready: environment dev is placed nowhere.",
        lines=(
            ("because", "no cluster of 1 offers all that it asks for"),
            ("asks for", "capability faas · regime gdpr · 4 cpu, 8Gi memory"),
            ("since", "2 min ago, generation 1"),
        ),
        nearest=(
            Nearest(
                cluster="apps--a",
                rule="capability",
                message="lacks faas",
                remedy="add faas to apps.clusters[a].capabilities",
                environment="dev",
            ),
        ),
        next=("atoll tree",),
    )
    assert [line.plain for line in render_why(why)] == [
        "Tenant lab is not Ready: environment dev is placed nowhere." + " " * 33 + "Unplaced",
        "  because   no cluster of 1 offers all that it asks for",
        "  asks for  capability faas · regime gdpr · 4 cpu, 8Gi memory",
        "  nearest   apps--a                capability   lacks faas  → add faas to apps.clusters[a].capabilities",
        "  since     2 min ago, generation 1",
    ]


def test_what_was_computed_now_goes_before_what_status_remembers():
    now = Nearest(cluster="apps--b", rule="capacity", message="3 of 4 cpu free", remedy="ask for 3 cpu")

    assert explain("Tenant", "lab", [LAB], NOW, nearest=[now]).nearest == (now,)


def test_a_placed_tenant_says_where_it_is_and_how_to_get_there():
    why = explain("Tenant", "shop", [tenant("shop", ("dev", "a", "Placed"))], NOW)

    assert (why.title, why.lines[0]) == ("Tenant shop is Ready.", ("placed", "shop--dev on apps--a: the emptiest of 2"))
    assert why.next == ("atoll kubeconfig apps--a --tenant shop --role developer",)


LOST = cluster(
    "b",
    condition("Ready", "Unknown", "Unreachable", "timed out"),
    condition("Available", "Unknown", "Unreachable"),
    condition("ControlPlaneAvailable", "Unknown", "Unreachable", "timed out"),
    condition("Reachable", "False", "Unreachable", "timed out"),
    condition("Verified", "False", "NotVerified", "revision 2 has not been verified yet"),
    condition("Stalled", "False"),
)


def test_of_a_cluster_the_cause_comes_before_its_consequences():
    why = explain("ChildCluster", "apps--b", [LOST, tenant("shop", ("prod", "b", "Placed"))], NOW)

    assert (why.title, why.reason, why.ready) == ("ChildCluster apps--b is not Available.", "Unreachable", None)
    assert why.lines == (
        ("root", "Reachable: timed out"),
        ("so", "Verified: revision 2 has not been verified yet"),
        ("on it", "shop/prod"),
        ("you", "nothing to do: Atoll goes on by itself"),
        ("since", "2 min ago, generation 1"),
    )
    assert failing_causes(LOST["status"])[0] == ("Reachable", "timed out")


def test_a_cluster_at_work_says_at_what_and_a_stalled_one_who_must_act():
    operation = {"type": "Change", "step": "restore", "stepsDone": 2, "stepsTotal": 5, "message": "disk is full"}
    stuck = cluster(
        "a",
        condition("Ready", "False", "OperationFailed", "restore"),
        condition("Stalled", "True", "OperationFailed", "make room on /data, then raise spec.upgrade.retry"),
        operation=operation | {"failed": True},
    )

    assert explain("ChildCluster", "apps--a", [stuck], NOW).lines[1:3] == (
        ("Atoll", "has given up on change (2/5): restore disk is full"),
        ("you", "make room on /data, then raise spec.upgrade.retry"),
    )


def test_a_set_is_explained_by_its_worst_member():
    sick = cluster_set(
        "a", "b", available=1, conditions=(condition("Ready", "False", "MembersNotAvailable", "1 member is not ready"),)
    )
    why = explain("ClusterSet", "apps", [sick, cluster("a"), LOST], NOW)

    assert why.lines[:3] == (
        ("because", "1 member is not ready"),
        ("worst", "apps--b (Unreachable)"),
        ("root", "Reachable: timed out"),
    )
    assert why.next == ("atoll why child/apps--b",)


def test_of_a_rollout_failed_rows_come_first():
    rollout = build(
        "Rollout",
        "apps-1",
        condition("Ready", "False", "RolloutHalted", "1 failed, 0 allowed"),
        spec={"setName": "apps"},
        rows=[
            {"cluster": "a", "wave": "rest", "state": "Pending"},
            {"cluster": "b", "wave": "canary", "state": "Failed", "message": "no disk"},
        ],
    )

    assert explain("Rollout", "apps-1", [rollout], NOW).lines[:3] == (
        ("because", "1 failed, 0 allowed"),
        ("failed", "b (wave canary): no disk"),
        ("pending", "a (wave rest)"),
    )


def test_what_is_not_there_is_refused_with_what_is():
    with pytest.raises(BadInput, match="there is no Tenant shop in this fleet; there is: lab"):
        explain("Tenant", "shop", [LAB], NOW)


def test_kinds_are_named_as_kubectl_names_them():
    names = ["tenant/x", "aten/x", "Tenants/x", "tenants.atoll.dev/x", "child/x", "cset/x", "env/x"]

    assert [parse_target(name)[0] for name in names] == [*["Tenant"] * 4, "ChildCluster", "ClusterSet", "Environment"]
    for text in ("x", "pod/x", "tenant/", "/x"):
        with pytest.raises(BadInput):
            parse_target(text)


def test_ages_are_told_as_people_tell_them():
    told = [
        describe_age((NOW - timedelta(seconds=seconds)).isoformat(), NOW) for seconds in (0, 59, 60, 7199, 7200, 172800)
    ]

    assert told == ["0 s ago", "59 s ago", "1 min ago", "119 min ago", "2 h ago", "2 days ago"]
