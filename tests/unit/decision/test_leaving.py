"""How a tenant leaves a namespace: phase by phase, each written on the namespace itself."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import pytest

from atoll.decision.leaving import mark_placement, may_remove
from atoll.fleet.cluster import ObservedCluster, Presence
from atoll.fleet.decisions import Placement
from atoll.fleet.names import PLACEMENT_LABEL, RELEASE
from atoll.fleet.observed import ChildView, MemberView
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import DeletionPolicy, Tenant, TenantEnvironment
from atoll.fleet.values import Version
from tests.unit.rollout.builders import START, cluster_set, meta, settled_child

CHILD = settled_child(cluster_set(), "dev")
PAY = Tenant(meta=meta("pay"), environments=(TenantEnvironment(name="prod"),))
LEAVING = Placement(tenant="pay", environment="prod", namespace="pay--prod", cluster=CHILD.name, state="Leaving")


def fleet(label: str = "", occupied: str | None = None, tenant: Tenant | None = PAY) -> Fleet:
    member = MemberView(
        version=Version(1, 36),
        cluster_uid="uid",
        ready=True,
        namespaces={"pay--prod": MappingProxyType({PLACEMENT_LABEL: label} if label else {})},
        occupancy={} if occupied is None else {"pay--prod": occupied},
    )
    view = ChildView(time=START, cluster=ObservedCluster(presence=Presence.PRESENT), member=member)
    return Fleet(
        name="fleet",
        children=(CHILD,),
        tenants=(tenant,) if tenant is not None else (),
        views={CHILD.name: view},
    )


DELETE = replace(PAY, deletion_policy=DeletionPolicy.DELETE)
LET_GO = replace(PAY, meta=meta("pay", annotations={RELEASE: f"x/y, {CHILD.name}/pay--prod"}))


@pytest.mark.parametrize(
    ("of", "mark", "access", "goes"),
    [
        pytest.param(fleet(), "leaving", True, False, id="it is told to leave, and keeps its access"),
        pytest.param(fleet("placed"), "leaving", True, False, id="it bore another mark until now"),
        pytest.param(fleet("leaving", "2 pods"), "leaving", True, False, id="it still has something there"),
        pytest.param(fleet("leaving"), "leaving", True, False, id="nobody has asked what it has there"),
        pytest.param(fleet("leaving", ""), "released", False, False, id="it is empty, and stays for its data"),
        pytest.param(fleet("leaving", "2 pods", LET_GO), "released", False, False, id="its owner lets go of it"),
        pytest.param(fleet("released", None), "released", False, False, id="released once is released"),
        pytest.param(fleet("leaving", "", DELETE), "emptied", False, False, id="nobody gets in before the last look"),
        pytest.param(fleet("emptied", "1 pod", DELETE), "emptied", False, False, id="somebody was quicker"),
        pytest.param(fleet("emptied", "", DELETE), "emptied", False, True, id="it is still empty: it goes"),
        pytest.param(
            fleet("placed", None, replace(PAY, environments=())), "released", False, False, id="no longer asked for"
        ),
        pytest.param(
            fleet("placed", "2 pods", replace(DELETE, meta=meta("pay", deletion_time=START))),
            "released",
            False,
            True,
            id="the tenant is deleted, with its data",
        ),
        pytest.param(fleet("placed", None, None), "released", False, False, id="nobody knows the tenant"),
        pytest.param(
            replace(
                fleet("placed", None, DELETE), children=(replace(CHILD, meta=meta("s--dev", deletion_time=START)),)
            ),
            "released",
            False,
            False,
            id="it is the cluster that goes: under Orphan everything stays in it",
        ),
    ],
)
def test_a_place_is_left_phase_by_phase(of: Fleet, mark: str, access: bool, goes: bool) -> None:
    marked = mark_placement(of, LEAVING)
    assert (marked.mark, marked.access, may_remove(of, marked)) == (mark, access, goes)


def test_who_stays_has_access_and_says_so() -> None:
    marked = mark_placement(fleet("leaving"), replace(LEAVING, state="Placed"))
    assert (marked.mark, marked.access, may_remove(fleet(), marked)) == ("placed", True, False)
