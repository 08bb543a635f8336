"""From a pool and a set to claimed hosts, and the work that waits for them: what each look makes the decision do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from atoll.decision import decide
from atoll.fleet.cluster import ObservedCluster, Presence, ProviderInfo
from atoll.fleet.conditions import find
from atoll.fleet.hosts import Claim, HostState, Role
from atoll.fleet.names import FINALIZER
from atoll.fleet.observed import ChildView
from atoll.fleet.plan import ApplyObject, CreateObject, DeleteObject, SetFinalizer, WriteStatus
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Paused, ProviderBlock
from atoll.fleet.values import freeze, thaw
from atoll.kube.compare import covers
from tests.unit.machines.builders import host, pool, seen
from tests.unit.rollout.builders import START, cluster_set, member, meta, settled_child

KUBEADM = ProviderInfo(name="kubeadm", has_nodes=True, can_revert=False, uses_host_pool=True)
BLOCK = ProviderBlock(
    kind="kubeadm",
    settings=freeze({"hostPoolRef": {"name": "rack"}, "workerHosts": 1, "source": {"bundlePath": "/b"}}),
)
OWNER = replace(cluster_set(members=(member("dev", "dev"),)), provider=BLOCK)
CHILD = replace(
    settled_child(OWNER, "dev", pod_cidr="10.128.0.0/16", service_cidr="10.129.0.0/20"), done_revision="", status={}
)
POOL = pool("h1", "h2", "h3")
ABSENT = ChildView(time=START, cluster=ObservedCluster(presence=Presence.ABSENT))


def fleet(**more) -> Fleet:
    values = {
        "name": "fleet",
        "cluster_sets": (OWNER,),
        "children": (CHILD,),
        "host_pools": (POOL,),
        "hosts": (host("h1"), host("h2"), host("h3")),
        "host_views": {f"rack--h{n}": seen(machine_id=f"m{n}") for n in (1, 2, 3)},
        "views": {CHILD.name: ABSENT},
        "providers": {"kubeadm": KUBEADM},
    }
    return Fleet(**(values | more))


def steps(of: Fleet, kind, target):
    return [
        step for step in decide(of, START, covers=covers).plan.hub if isinstance(step, kind) and step.kind == target
    ]


def status_of(of: Fleet, kind: str, name: str):
    return decide(of, START, covers=covers).statuses[kind, name]


def claimed(name, role):
    return replace(host(name), claim=Claim(cluster_id=CHILD.id, role=role))


def test_each_listed_machine_gets_its_object() -> None:
    made = steps(fleet(hosts=(), host_views={}), CreateObject, "Host")
    assert [step.name for step in made] == ["rack--h1", "rack--h2", "rack--h3"]
    assert thaw(made[0].body)["spec"] == {"poolName": "rack", "hostName": "h1"}
    held = steps(fleet(hosts=(), host_views={}), SetFinalizer, "HostPool")
    assert [(step.finalizer, step.present) for step in held] == [(FINALIZER, True)]


def test_nothing_is_claimed_that_has_not_been_looked_at() -> None:
    blind = fleet(host_views={})
    assert steps(blind, ApplyObject, "Host") == []
    condition = find(status_of(blind, "ChildCluster", CHILD.name), "HostsClaimed")
    assert (condition["status"], condition["reason"]) == ("False", "HostsLacking")
    assert "h1 is Probing" in condition["message"]


def test_a_claim_is_written_over_exactly_what_was_read() -> None:
    claims = steps(fleet(), ApplyObject, "Host")
    assert [(step.name, step.body["spec"]["claim"]["role"]) for step in claims] == [
        ("rack--h1", "ControlPlane"),
        ("rack--h2", "Worker"),
    ]
    assert all(step.body["metadata"]["resourceVersion"] == "7" for step in claims)


def test_the_work_begins_when_the_spec_names_the_hosts() -> None:
    hosts = (claimed("h1", Role.CONTROL_PLANE), claimed("h2", Role.WORKER), host("h3"))
    waiting = fleet(hosts=hosts)
    named = steps(waiting, ApplyObject, "ChildCluster")
    assert [list(step.body["spec"]["hosts"]) for step in named] == [["rack--h1", "rack--h2"]]
    assert "operation" not in status_of(waiting, "ChildCluster", CHILD.name)

    ready = fleet(hosts=hosts, children=(replace(CHILD, hosts=("rack--h1", "rack--h2")),))
    assert status_of(ready, "ChildCluster", CHILD.name)["operation"]["type"] == "Create"
    assert find(status_of(ready, "ChildCluster", CHILD.name), "HostsClaimed")["status"] == "True"


def test_a_released_host_loses_its_claim_and_an_unlisted_one_its_object() -> None:
    gone = replace(host("h1", state=HostState.CLEANING), claim=Claim(cluster_id="gone", role=Role.WORKER))
    away = host("h9")
    left = fleet(children=(), cluster_sets=(), hosts=(gone, host("h2"), host("h3"), away))
    freed = steps(left, ApplyObject, "Host")
    assert [step.name for step in freed] == ["rack--h1"]
    assert "claim" not in freed[0].body["spec"]
    assert [step.name for step in steps(left, DeleteObject, "Host")] == ["rack--h9"]


def test_a_paused_pool_gives_no_host_says_so_and_goes_on_when_the_pause_ends() -> None:
    until = START + timedelta(minutes=10)
    of = fleet(host_pools=(replace(POOL, paused=Paused(reason="disks are swapped", until=until)),))
    assert steps(of, ApplyObject, "Host") == []
    told = find(status_of(of, "ChildCluster", CHILD.name), "HostsClaimed")
    assert told["message"].startswith("HostPool rack is paused until 2026")
    assert decide(of, START, covers=covers).plan.wake == until
    ended = decide(of, until, covers=covers).plan.hub
    assert [step.name for step in ended if isinstance(step, ApplyObject) and step.kind == "Host"] != []


def test_a_pool_counts_its_hosts_and_goes_after_them() -> None:
    status = status_of(fleet(), "HostPool", "rack")
    assert status["hosts"] == {"total": 3, "available": 3, "claimed": 0, "quarantined": 0}
    assert find(status, "Ready")["status"] == "True"
    going = replace(POOL, meta=meta("rack", finalizers=(FINALIZER,), deletion_time=START))
    leaving = fleet(cluster_sets=(), children=(), host_pools=(going,))
    assert len(steps(leaving, DeleteObject, "Host")) == 3
    assert steps(leaving, SetFinalizer, "HostPool") == []
    assert steps(replace(leaving, hosts=()), SetFinalizer, "HostPool")[0].present is False


def test_a_settled_pool_asks_for_no_write() -> None:
    before = fleet(cluster_sets=(), children=())
    statuses = decide(before, START, covers=covers).statuses
    settled = replace(
        before,
        host_pools=(
            replace(POOL, meta=meta("rack", finalizers=(FINALIZER,)), status=freeze(statuses["HostPool", "rack"])),
        ),
        hosts=tuple(replace(item, status=freeze(statuses["Host", item.name])) for item in before.hosts),
        host_views={
            name: replace(view, facts=replace(view.facts, disk_free=49_500_000_000, clock_offset_seconds=0.3))
            for name, view in before.host_views.items()
        },
    )
    assert [step for step in decide(settled, START, covers=covers).plan.hub if isinstance(step, WriteStatus)] == []


def test_what_this_version_cannot_do_is_refused_with_field_and_remedy() -> None:
    three = freeze({**BLOCK.settings, "controlPlaneHosts": 3, "source": {"packages": {}}})
    of = fleet(cluster_sets=(replace(OWNER, provider=replace(BLOCK, settings=three)),), children=())
    problems = {
        problem.path: problem for problem in decide(of, START, covers=covers).problems if problem.kind == "ClusterSet"
    }
    assert set(problems) == {"spec.provider.kubeadm.controlPlaneHosts", "spec.provider.kubeadm.source"}
    assert "set it to 1" in problems["spec.provider.kubeadm.controlPlaneHosts"].message
    assert "source.bundlePath" in problems["spec.provider.kubeadm.source"].message
