"""A host from the pool into a cluster and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from atoll.fleet.cluster import OperationType
from atoll.fleet.hosts import HostState, HostView
from atoll.fleet.observed import OperationStatus
from atoll.fleet.spec import DeletionPolicy
from atoll.machines.life import judge_host
from tests.unit.machines.builders import CLEAN, host, pool, seen
from tests.unit.rollout.builders import START, cluster_set, healthy_view, meta, settled_child

POOL = pool("h1", "h2")
CHILD = settled_child(cluster_set(), "dev", cluster_uid="uid")


def judge(free_or_claimed, view, **more):
    more.setdefault("child", None)
    more.setdefault("child_view", None)
    found = judge_host(free_or_claimed, POOL, view, **more)
    return found.state, found.reason, found.usable


def working(kind, step=""):
    operation = OperationStatus(id="op", type=kind, started_time=START, step=step)
    return replace(CHILD, operation=operation)


def test_a_clean_host_becomes_available() -> None:
    assert judge(host("h1"), None) == (HostState.PROBING, "Progressing", False)
    assert judge(host("h1"), seen()) == (HostState.AVAILABLE, "Available", True)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"clock_offset_seconds": 86400.0}, "ClockOff"),
        ({"ports": (22, 6443)}, "PortTaken"),
        ({"disk_free": 5_000_000}, "DiskFull"),
        ({"memory": 500_000_000}, "TooSmall"),
        ({"lacking": ("conntrack",)}, "ProgramLacking"),
        ({"container_runtime": ""}, "ContainerRuntimeDown"),
        ({"locks": ("/var/lib/dpkg/lock",)}, "PackageLockHeld"),
        ({"leftovers": ("/etc/kubernetes/pki",)}, "Leftovers"),
        ({"owner_id": "other", "owner_name": "b/web--prod"}, "OwnedByAnotherFleet"),
    ],
)
def test_what_would_spoil_a_cluster_quarantines_and_heals_by_itself(facts, reason) -> None:
    assert judge(host("h1"), seen(**facts)) == (HostState.QUARANTINED, reason, False)
    assert judge(host("h1", state=HostState.QUARANTINED), seen())[0] is HostState.AVAILABLE


def test_the_wrong_image_is_refused_only_where_the_pool_asks_for_one() -> None:
    wanting = replace(POOL, image_version="2026.12.1")
    found = judge_host(host("h1"), wanting, seen(), child=None, child_view=None)
    assert found.state is HostState.QUARANTINED
    assert "/etc/atoll-image-version says 2026.11.1" in found.message


def test_another_key_quarantines_even_a_host_in_use() -> None:
    view = HostView(time=START, refused=("HostKeyMismatch", "another key answered"))
    assert judge(host("h1", cluster=CHILD.id), view, child=CHILD)[0:2] == (HostState.QUARANTINED, "HostKeyMismatch")


def test_a_silent_host_is_unknown_and_keeps_its_state() -> None:
    silent = HostView(time=START, unreachable="no route")
    found = judge_host(host("h1", cluster=CHILD.id, state=HostState.IN_USE), POOL, silent, child=CHILD, child_view=None)
    assert (found.state, found.reason, found.known) == (HostState.IN_USE, "Unreachable", False)
    assert judge(host("h1", state=HostState.AVAILABLE), silent)[0] is HostState.PROBING


def test_clones_are_told_apart() -> None:
    found = judge_host(host("h1"), POOL, seen(), child=None, child_view=None, twins=("rack--h2",))
    assert found.reason == "MachineIdShared"
    assert "rack--h2" in found.message


def test_a_claimed_host_follows_the_work_of_its_cluster() -> None:
    mine = host("h1", cluster=CHILD.id)
    own = {"owner_id": CHILD.id, "leftovers": ("/etc/kubernetes/pki",), "ports": (6443,)}
    there = healthy_view("v1.35.8")
    assert judge(mine, seen(), child=CHILD)[0] is HostState.CLAIMED
    create = working(OperationType.CREATE, "init")
    assert judge(mine, seen(**own), child=create)[0] is HostState.PREPARING
    assert judge(mine, seen(**own), child=CHILD, child_view=there) == (HostState.IN_USE, "InUse", True)
    dying = replace(
        working(OperationType.DELETE, "drain h1"),
        meta=meta("s--dev", deletion_time=START),
        deletion_policy=DeletionPolicy.DELETE,
    )
    assert judge(mine, seen(**own), child=dying)[0] is HostState.DRAINING
    dying = replace(
        working(OperationType.DELETE, "reset h1"),
        meta=meta("s--dev", deletion_time=START),
        deletion_policy=DeletionPolicy.DELETE,
    )
    assert judge(mine, seen(**own), child=dying)[0] is HostState.CLEANING


def test_a_cluster_that_is_let_go_keeps_its_hosts_in_use() -> None:
    own = {"owner_id": CHILD.id, "leftovers": ("/etc/kubernetes/pki",)}
    going = replace(CHILD, meta=meta("s--dev", deletion_time=START), deletion_policy=DeletionPolicy.ORPHAN)
    assert judge(host("h1", cluster=CHILD.id), seen(**own), child=going)[0] is HostState.IN_USE


def test_on_a_conflict_the_journal_on_the_host_wins() -> None:
    found = judge_host(host("h1", cluster=CHILD.id), POOL, seen(owner_id="stranger"), child=CHILD, child_view=None)
    assert (found.state, found.reason) == (HostState.QUARANTINED, "OwnedByAnotherFleet")


def test_a_host_goes_back_only_when_a_look_after_its_cluster_went_finds_nothing() -> None:
    left = host("h1", cluster="gone", state=HostState.IN_USE)
    assert judge_host(left, POOL, seen(), child=None, child_view=None).release is False
    cleaning = host("h1", cluster="gone", state=HostState.CLEANING)
    told = START + timedelta(seconds=10)
    before, after = seen(seconds=5), seen(seconds=15)
    assert judge_host(cleaning, POOL, before, child=None, child_view=None, written=told).release is False
    assert judge_host(cleaning, POOL, after, child=None, child_view=None, written=told).release is True
    dirty = replace(after, facts=replace(CLEAN, leftovers=("cni0",)))
    assert judge_host(cleaning, POOL, dirty, child=None, child_view=None, written=told).release is False


def test_an_orphaned_cluster_keeps_its_hosts() -> None:
    left = host("h1", cluster="gone", state=HostState.CLEANING)
    found = judge_host(left, POOL, seen(owner_id="gone"), child=None, child_view=None)
    assert (found.state, found.reason, found.release) == (HostState.IN_USE, "Orphaned", False)
