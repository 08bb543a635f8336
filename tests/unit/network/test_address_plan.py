"""The address plan: what is carved, what stays, what is refused and whether the remedy really helps."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from ipaddress import ip_network
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.fleet.decisions import Addresses, AddressPlan, Problem
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet, Member, Meta, Network, ProviderBlock
from atoll.fleet.values import Version
from atoll.network import plan_addresses

VERSION = Version.parse("v1.36.4")


def build_set(name: str, members: int, block: str = "10.128.0.0/10", pods: int = 16, services: int = 20) -> ClusterSet:
    return ClusterSet(
        meta=Meta(name=name, namespace="fleet"),
        version=VERSION,
        provider=ProviderBlock(kind="local"),
        members=tuple(Member(name=f"m{index:03}") for index in range(members)),
        network=Network(address_block=block, pod_prefix_length=pods, service_prefix_length=services),
    )


def build_children(sets: tuple[ClusterSet, ...], plan: AddressPlan) -> tuple[ChildCluster, ...]:
    return tuple(
        ChildCluster(
            meta=Meta(name=item.child_name(member.name), namespace="fleet"),
            id="x",
            set_name=item.meta.name,
            member_name=member.name,
            provider="local",
            version=VERSION,
            revision="r",
            pod_cidr=plan.addresses[item.child_name(member.name)].pod_cidr,
            service_cidr=plan.addresses[item.child_name(member.name)].service_cidr,
        )
        for item in sets
        for member in item.members
        if item.child_name(member.name) in plan.addresses
    )


def assert_disjoint(plan: AddressPlan, foreign: tuple[str, ...] = ()) -> None:
    texts = [text for one in plan.addresses.values() for text in (one.pod_cidr, one.service_cidr)]
    blocks = sorted(ip_network(text) for text in texts)
    for one, two in pairwise(blocks):
        assert not one.overlaps(two)
    for text in foreign:
        assert not any(block.overlaps(ip_network(text)) for block in blocks)


def test_pods_come_from_the_low_end_and_services_from_the_high_end() -> None:
    plan = plan_addresses((build_set("apps", 2),), (), ())
    assert plan == AddressPlan(
        addresses={
            "apps--m000": Addresses(pod_cidr="10.128.0.0/16", service_cidr="10.191.240.0/20"),
            "apps--m001": Addresses(pod_cidr="10.129.0.0/16", service_cidr="10.191.224.0/20"),
        }
    )


def test_sets_with_the_same_block_share_it_and_foreign_blocks_are_left_alone() -> None:
    foreign = ("10.128.0.0/16", "10.191.0.0/16", "172.17.0.0/16")
    plan = plan_addresses((build_set("b", 1), build_set("a", 1)), (), foreign)
    assert plan.addresses == {
        "a--m000": Addresses(pod_cidr="10.129.0.0/16", service_cidr="10.190.240.0/20"),
        "b--m000": Addresses(pod_cidr="10.130.0.0/16", service_cidr="10.190.224.0/20"),
    }
    assert plan.problems == ()


def test_a_child_keeps_what_it_has_although_the_block_and_the_prefix_have_changed() -> None:
    before = (build_set("apps", 1),)
    children = build_children(before, plan_addresses(before, (), ()))
    after = (build_set("apps", 2, block="10.64.0.0/14", pods=18),)
    plan = plan_addresses(after, children, ())
    assert plan.addresses["apps--m000"] == Addresses(pod_cidr="10.128.0.0/16", service_cidr="10.191.240.0/20")
    assert plan.addresses["apps--m001"].pod_cidr == "10.64.0.0/18"


def test_a_child_that_has_pods_alone_gets_its_services() -> None:
    sets = (build_set("apps", 1),)
    (child,) = build_children(sets, plan_addresses(sets, (), ()))
    plan = plan_addresses(sets, (replace(child, pod_cidr="10.150.0.0/16", service_cidr=""),), ())
    assert plan.addresses["apps--m000"] == Addresses(pod_cidr="10.150.0.0/16", service_cidr="10.191.240.0/20")


def test_addresses_of_a_child_that_left_the_list_are_not_given_away() -> None:
    before = (build_set("apps", 2),)
    children = build_children(before, plan_addresses(before, (), ()))
    shrunk = (replace(before[0], members=(Member(name="new"),)),)
    plan = plan_addresses(shrunk, children, ())
    assert plan.addresses["apps--new"].pod_cidr == "10.130.0.0/16"


def test_a_block_that_is_too_small_names_how_many_it_holds_and_what_would_do() -> None:
    plan = plan_addresses((build_set("eu-apps", 3, block="10.64.0.0/16", pods=17),), (), ())
    assert plan.problems == (
        Problem(
            kind="ClusterSet",
            name="eu-apps",
            path="spec.network.addressBlock",
            reason="AddressBlockTooSmall",
            message="eu-apps.spec.network.addressBlock 10.64.0.0/16 holds 1 cluster, 3 are declared. "
            "Use a prefix of at most /15, or podPrefixLength 18.",
        ),
    )
    assert set(plan.addresses) == {"eu-apps--m000"}


def test_a_block_without_room_for_services_beside_the_pods_holds_no_cluster() -> None:
    plan = plan_addresses((build_set("eu-apps", 3, block="10.64.0.0/16"),), (), ())
    assert plan.addresses == {}
    assert plan.problems[0].message == (
        "eu-apps.spec.network.addressBlock 10.64.0.0/16 holds 0 clusters, 3 are declared. "
        "Use a prefix of at most /14, or podPrefixLength 18."
    )


def test_a_block_that_somebody_else_has_filled_names_the_other_block() -> None:
    plan = plan_addresses((build_set("apps", 1, block="10.64.0.0/15"),), (), ("10.64.0.0/14",))
    assert plan.problems == (
        Problem(
            kind="ClusterSet",
            name="apps",
            path="spec.network.addressBlock",
            reason="AddressBlockOverlaps",
            message="apps.spec.network.addressBlock 10.64.0.0/15 overlaps 10.64.0.0/14 (an address block that is taken "
            "outside of this fleet), which leaves no room for m000. Use a prefix of at most /13.",
        ),
    )


def test_a_text_that_is_no_block_harms_its_own_set_only() -> None:
    plan = plan_addresses((build_set("bad", 1, block="10.0.0.1/8"), build_set("good", 1)), (), ())
    assert list(plan.addresses) == ["good--m000"]
    assert [(item.name, item.reason) for item in plan.problems] == [("bad", "InvalidSpec")]


def test_a_thousand_members_are_planned_in_one_go() -> None:
    sets = tuple(build_set(f"s{index}", 200, block="10.0.0.0/8", pods=19, services=22) for index in range(5))
    plan = plan_addresses(sets, (), ())
    assert (len(plan.addresses), plan.problems) == (1000, ())
    assert_disjoint(plan)


fleets = st.lists(
    st.builds(
        build_set,
        name=st.sampled_from(["a", "b", "c", "d"]),
        members=st.integers(0, 6),
        block=st.sampled_from(["10.64.0.0/14", "10.64.0.0/15", "10.66.0.0/16", "10.128.0.0/10", "192.168.0.0/18"]),
        pods=st.integers(16, 20),
        services=st.integers(18, 22),
    ),
    max_size=4,
    unique_by=lambda item: item.meta.name,
).map(tuple)
foreigns = st.lists(st.sampled_from(["10.64.0.0/16", "10.65.128.0/17", "10.0.0.0/9", "192.168.32.0/20"]), max_size=2)


@settings(deadline=None)
@given(fleets, foreigns.map(tuple))
def test_law_addresses_are_disjoint_and_inside_their_block(sets, foreign) -> None:
    plan = plan_addresses(sets, (), foreign)
    assert_disjoint(plan, foreign)
    for item in sets:
        for member in item.members:
            got = plan.addresses.get(item.child_name(member.name))
            if got is not None:
                block = ip_network(item.network.address_block)
                assert ip_network(got.pod_cidr).subnet_of(block)
                assert ip_network(got.service_cidr).subnet_of(block)
                assert ip_network(got.pod_cidr).prefixlen == item.network.pod_prefix_length
                assert ip_network(got.service_cidr).prefixlen == item.network.service_prefix_length


@settings(deadline=None)
@given(fleets, foreigns.map(tuple), st.randoms(use_true_random=False))
def test_law_the_order_of_the_input_changes_nothing(sets, foreign, rng: random.Random) -> None:
    plan = plan_addresses(sets, (), foreign)
    children = list(build_children(sets, plan))[::2]
    once = plan_addresses(sets, tuple(children), foreign)
    mixed = [replace(item, members=tuple(rng.sample(item.members, len(item.members)))) for item in sets]
    rng.shuffle(mixed)
    rng.shuffle(children)
    assert plan_addresses(tuple(mixed), tuple(children), tuple(reversed(foreign))) == once


@settings(deadline=None)
@given(fleets, fleets, foreigns.map(tuple))
def test_law_what_a_child_has_survives_any_change_of_the_sets(sets, later, foreign) -> None:
    plan = plan_addresses(sets, (), foreign)
    children = build_children(sets, plan)
    again = plan_addresses(later, children, foreign)
    assert {name: again.addresses[name] for name in plan.addresses} == plan.addresses
    assert_disjoint(again)


@settings(deadline=None, max_examples=200)
@given(fleets, foreigns.map(tuple))
def test_law_each_proposal_of_the_remedy_is_really_enough(sets, foreign) -> None:
    for problem in plan_addresses(sets, (), foreign).problems:
        (broken,) = [item for item in sets if item.meta.name == problem.name]
        network = broken.network
        block = ip_network(network.address_block)
        ways = [
            replace(network, address_block=str(block.supernet(new_prefix=int(found))))
            for found in re.findall(r"at most /(\d+)", problem.message)
        ]
        ways += [
            replace(network, pod_prefix_length=int(found))
            for found in re.findall(r"podPrefixLength (\d+)", problem.message)
        ]
        ways += [replace(network, address_block=found) for found in re.findall(r"such as ([\d./]+);", problem.message)]
        assert ways or "Declare fewer" in problem.message
        for way in ways:
            fixed = tuple(replace(item, network=way) if item is broken else item for item in sets)
            assert problem.name not in {left.name for left in plan_addresses(fixed, (), foreign).problems}


@pytest.mark.parametrize("gone", [0, 3, 7])
def test_a_member_that_goes_leaves_room_for_the_next_and_moves_nobody(gone: int) -> None:
    sets = (build_set("apps", 8, block="10.64.0.0/12"),)
    children = build_children(sets, plan_addresses(sets, (), ()))
    left = tuple(child for index, child in enumerate(children) if index != gone)
    members = tuple(member for index, member in enumerate(sets[0].members) if index != gone)
    plan = plan_addresses((replace(sets[0], members=(*members, Member(name="zz"))),), left, ())
    assert plan.addresses["apps--zz"] == Addresses(
        pod_cidr=children[gone].pod_cidr, service_cidr=children[gone].service_cidr
    )
    assert all(plan.addresses[child.name].pod_cidr == child.pod_cidr for child in left)
