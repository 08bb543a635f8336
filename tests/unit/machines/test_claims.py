"""Who gets which host."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from atoll.fleet.hosts import HostNeeds, HostState, Role
from atoll.fleet.values import Selector, freeze
from atoll.machines.claims import Asking, choose_hosts
from tests.unit.machines.builders import host, judged, pool
from tests.unit.rollout.builders import cluster_set, settled_child

OWNER = cluster_set()
DEV, PROD = (settled_child(OWNER, name) for name in ("dev", "prod-a"))


def ask(child=DEV, **more):
    return Asking(child=child, needs=HostNeeds(pool="rack", **more))


def choose(asking, hosts, judgements=None, *, of=None, closed=None):
    judgements = {h.name: judged(h.name) for h in hosts} if judgements is None else judgements
    return choose_hosts(asking, {"rack": of or pool("h1", "h2", "h3")}, hosts, judgements, closed=closed or {})


def test_a_closed_pool_gives_nothing_new_and_the_cluster_that_waits_is_told_why() -> None:
    hosts = [host("h1"), host("h2")]
    claims, standing = choose([ask()], hosts, closed={"rack": "HostPool rack is paused (disks are swapped)"})
    assert claims == ()
    assert standing[DEV.name].lacking == "HostPool rack is paused (disks are swapped)"


def test_a_cluster_gets_all_its_hosts_or_none() -> None:
    hosts = [host("h1"), host("h2"), host("h3")]
    claims, standing = choose([ask(workers=1)], hosts)
    assert [(c.host, c.claim.role) for c in claims] == [("rack--h1", Role.CONTROL_PLANE), ("rack--h2", Role.WORKER)]
    assert {c.resource_version for c in claims} == {"7"}
    assert standing[DEV.name].complete is False

    claims, standing = choose([ask(workers=3)], hosts)
    assert claims == ()
    assert "Add 1 host(s)" in standing[DEV.name].lacking


def test_a_wait_names_every_host_that_is_not_free() -> None:
    hosts = [host("h1", cluster="x"), host("h2"), host("h3")]
    judgements = {
        "rack--h1": judged("rack--h1", HostState.IN_USE),
        "rack--h2": judged("rack--h2", HostState.QUARANTINED, "its clock is 1.0 days behind ours"),
        "rack--h3": judged("rack--h3"),
    }
    _, standing = choose([ask(workers=1)], hosts, judgements)
    lacking = standing[DEV.name].lacking
    assert "h1 is claimed" in lacking
    assert "h2 is Quarantined (its clock is 1.0 days behind ours)" in lacking


def test_the_selector_and_the_spare_are_kept() -> None:
    labelled = pool("h1", "h2", "h3", labels={"h2": {"zone": "a"}})
    hosts = [host("h1"), host("h2"), host("h3")]
    zone = Selector(match_labels=freeze({"zone": "a"}))
    claims, _ = choose([ask(selector=zone)], hosts, of=labelled)
    assert [claim.host for claim in claims] == ["rack--h2"]
    _, standing = choose([ask(workers=2)], hosts, of=replace(labelled, spare=1))
    assert "kept as a spare" in standing[DEV.name].lacking


def test_a_claim_that_was_cut_short_is_completed() -> None:
    hosts = [host("h1", cluster=DEV.id, role=Role.CONTROL_PLANE), host("h2"), host("h3")]
    claims, _ = choose([ask(workers=1)], hosts)
    assert [(c.host, c.claim.role) for c in claims] == [("rack--h2", Role.WORKER)]
    hosts = [hosts[0], host("h2", cluster=DEV.id), host("h3")]
    claims, standing = choose([ask(workers=1)], hosts)
    assert claims == ()
    assert standing[DEV.name].claimed == ("rack--h1", "rack--h2")
    assert standing[DEV.name].complete


def test_a_missing_pool_is_told_with_the_remedy() -> None:
    _, standing = choose_hosts([ask()], {}, [], {}, closed={})
    assert "no HostPool rack" in standing[DEV.name].lacking


@given(st.lists(st.sampled_from(["free", "taken", "bad"]), max_size=8), st.integers(0, 4), st.integers(0, 4))
def test_no_host_is_ever_given_twice_nor_taken_from_anybody(states, first, second) -> None:
    names = [f"h{i}" for i in range(len(states))]
    hosts = [host(n, cluster="x" if s == "taken" else "") for n, s in zip(names, states, strict=True)]
    judgements = {
        h.name: judged(h.name, HostState.AVAILABLE if s == "free" else HostState.QUARANTINED)
        for h, s in zip(hosts, states, strict=True)
    }
    claims, _ = choose([ask(DEV, workers=first), ask(PROD, workers=second)], hosts, judgements, of=pool(*names))
    given_hosts = [claim.host for claim in claims]
    assert len(given_hosts) == len(set(given_hosts))
    free = {h.name for h, s in zip(hosts, states, strict=True) if s == "free"}
    assert set(given_hosts) <= free
