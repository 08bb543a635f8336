"""How people log in is told to children in their turn, and refused where it would reach nobody."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from atoll.decision.checks import check_fleet
from atoll.decision.child_steps import plan_child_steps
from atoll.decision.login import choose_authentication
from atoll.decision.tenancy import Tenancy
from atoll.decision.works import plan_works
from atoll.fleet.authentication import OWN_ISSUER, digest_authentication
from atoll.fleet.cluster import OperationType, ProviderInfo
from atoll.fleet.decisions import RolloutDecision
from atoll.fleet.hosts import HostDecision
from atoll.fleet.observed import ChildCluster
from atoll.fleet.plan import StartOperation, VerifyMember
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Paused
from atoll.fleet.values import freeze
from tests.unit.kubeadm.machines import CERTIFICATE
from tests.unit.rollout.builders import LOCAL, START, cluster_set, healthy_view, settled_child

LOGIN = freeze({"oidc": {"issuerURL": "https://id.example", "clientID": "atoll"}})
PLAIN = cluster_set()
ASKING = replace(PLAIN, authentication=LOGIN)
SETTLED: ChildCluster = settled_child(PLAIN, "dev", cluster_uid="uid")
TOLD: ChildCluster = replace(SETTLED, revision=settled_child(ASKING, "dev").revision, rollout="s-1")


def fleet_of(child: ChildCluster, seen: str | None, owner: Any = ASKING) -> Fleet:
    view = healthy_view(owner.version)
    view = replace(view, cluster=replace(view.cluster, authentication=seen))
    return Fleet(
        name="fleet",
        cluster_sets=(owner,),
        children=(child,),
        providers={"local": LOCAL},
        views={child.name: view},
    )


def decide(fleet: Fleet) -> tuple[Any, list[Any]]:
    tenancy = Tenancy(placements=(), interiors={})
    works = plan_works(fleet, tenancy, HostDecision(), START)
    return works["s--dev"], [
        *plan_child_steps(fleet, tenancy, works, RolloutDecision(), START + timedelta(seconds=1)).get("s--dev", ())
    ]


def test_a_child_keeps_what_it_has_until_its_rollout_tells_it() -> None:
    waiting = fleet_of(SETTLED, "")
    assert choose_authentication(waiting, SETTLED) is None
    assert decide(waiting)[0].operation is None
    assert choose_authentication(fleet_of(TOLD, ""), TOLD) == LOGIN
    hop = replace(TOLD, revision=f"{TOLD.revision}~v1.35.8")
    assert choose_authentication(fleet_of(hop, ""), hop) == LOGIN
    back = replace(TOLD, revision=f"{SETTLED.revision}~~s-1")
    assert choose_authentication(fleet_of(back, ""), back) is None


def test_a_told_child_is_changed_at_its_version_and_verified_after() -> None:
    work, steps = decide(fleet_of(TOLD, ""))
    assert (work.operation.type, work.operation.from_version, work.operation.to_version) == (
        OperationType.CHANGE,
        "v1.35.8",
        "v1.35.8",
    )
    assert work.reason == "changing how people log in (spec.authentication)"
    assert not [step for step in steps if isinstance(step, VerifyMember)]

    begun = replace(TOLD, operation=work.operation)
    (start,) = decide(fleet_of(begun, ""))[1]
    assert isinstance(start, StartOperation)
    assert start.wanted.authentication == LOGIN

    work, steps = decide(fleet_of(TOLD, digest_authentication(LOGIN)))
    assert work.operation is None
    assert [type(step) for step in steps] == [VerifyMember]


def test_what_may_not_begin_yet_is_not_verified_either() -> None:
    held = fleet_of(TOLD, "", replace(ASKING, paused=Paused(reason="lunch")))
    work, steps = decide(held)
    assert (work.operation, work.held) == (None, True)
    assert steps == []


def test_a_settled_child_is_not_changed_because_a_later_atoll_says_the_same_in_other_words() -> None:
    settled = replace(TOLD, done_revision=TOLD.revision)
    assert decide(fleet_of(settled, "0" * 64))[0].operation is None


def test_who_cannot_tell_is_not_changed_for_it() -> None:
    assert decide(fleet_of(TOLD, None))[0].operation is None


def problems(info: ProviderInfo = LOCAL, version: str = "v1.35.8", **oidc: str) -> list[tuple[str, str, str]]:
    asking = freeze({"oidc": {**LOGIN["oidc"], **oidc}})
    owner = replace(cluster_set(version=version), authentication=asking)
    fleet = Fleet(name="fleet", cluster_sets=(owner,), providers={"local": info})
    return [(problem.path, problem.reason, problem.message) for problem in check_fleet(fleet)]


@pytest.mark.parametrize(
    "info",
    [
        ProviderInfo(name="local", has_nodes=True, can_revert=False, upgrades=False),
        ProviderInfo(name="local", has_nodes=True, can_revert=False, sets_authentication=False),
    ],
)
def test_where_it_reaches_no_api_server_it_is_refused_with_the_remedy(info: ProviderInfo) -> None:
    ((path, reason, message),) = problems(info)
    assert (path, reason) == ("spec.authentication.oidc", "NotYetSupported")
    assert message.startswith("spec.authentication.oidc cannot reach the API servers of provider local")
    assert "remove it here" in message


@pytest.mark.parametrize(
    ("more", "field", "words"),
    [
        ({"version": "v1.33.9"}, "", "needs Kubernetes v1.34 or later"),
        ({"issuerURL": OWN_ISSUER}, ".issuerURL", "own issuer of tokens for ServiceAccounts"),
        ({"certificateAuthority": "-----BEGIN CERTIFICATE-----"}, ".certificateAuthority", "no certificates"),
    ],
)
def test_what_would_keep_an_api_server_from_starting_is_refused(more: dict[str, str], field: str, words: str) -> None:
    ((path, reason, message),) = problems(**more)
    assert (path, reason) == (f"spec.authentication.oidc{field}", "InvalidSpec")
    assert words in message


def test_a_child_that_was_told_what_cannot_be_keeps_what_it_has_and_is_not_done() -> None:
    bad = replace(PLAIN, authentication=freeze({"oidc": {**LOGIN["oidc"], "issuerURL": OWN_ISSUER}}))
    told = replace(SETTLED, revision=settled_child(bad, "dev").revision, rollout="s-1")
    fleet = fleet_of(told, "", bad)
    work, steps = decide(fleet)
    assert (work.operation, work.held, steps) == (None, True, [])
    assert "own issuer of tokens" in work.reason
    assert choose_authentication(fleet, told) is None

    broken = replace(fleet.views["s--dev"].cluster, needs_repair="etcd is not running")
    sick = replace(fleet, views={"s--dev": replace(fleet.views["s--dev"], cluster=broken)})
    repair = decide(sick)[0].operation
    assert repair is not None, "what is wrong with logins harms nothing else"
    assert repair.type is OperationType.REPAIR

    mended = replace(fleet, cluster_sets=(PLAIN,))
    assert decide(mended)[0].held is False, "it is verified as it is, and goes on from there"


def test_a_good_issuer_is_taken() -> None:
    assert problems(certificateAuthority=CERTIFICATE) == []
