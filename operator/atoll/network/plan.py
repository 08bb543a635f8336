"""The address plan of a fleet.

Blocks are carved around everything that is taken, whoever took it, so two blocks that overlap are no fault in
themselves (one that grew over its neighbour goes on working). It becomes one where it leaves no room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network

from atoll.fleet import reasons
from atoll.fleet.decisions import AddressPlan, Problem
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet, Network

from .allocate import Allocation, allocate, parse_block
from .space import Block

_PATH = "spec.network.addressBlock"
_PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10", "192.168.0.0/16")
_LONGEST_POD_PREFIX = {4: 24, 6: 64}
"""Shorter than what one node takes (a /24, a /64) and a cluster would have no room for a second node."""


def plan_addresses(
    cluster_sets: tuple[ClusterSet, ...], children: tuple[ChildCluster, ...], foreign_blocks: tuple[str, ...]
) -> AddressPlan:
    """Give every member its pod and service CIDR: disjoint over the fleet and clear of `foreign_blocks`.

    What a child has never changes. The order of the arguments' items changes nothing.
    """
    allocation = allocate(cluster_sets, children, foreign_blocks)
    problems = tuple(
        _explain(cluster_set, allocation, cluster_sets, children, foreign_blocks)
        for cluster_set in sorted(cluster_sets, key=lambda item: item.meta.name)
        if cluster_set.meta.name in allocation.failed
    )
    return AddressPlan(addresses=allocation.addresses, problems=problems)


def _explain(
    cluster_set: ClusterSet,
    allocation: Allocation,
    cluster_sets: tuple[ClusterSet, ...],
    children: tuple[ChildCluster, ...],
    foreign_blocks: tuple[str, ...],
) -> Problem:
    name, text = cluster_set.meta.name, cluster_set.network.address_block
    block = parse_block(text)
    if block is None:
        message = f"{name}.{_PATH} `{text}` is not an address block; write its first address, like 10.128.0.0/10."
        return Problem(kind="ClusterSet", name=name, path=_PATH, reason=reasons.INVALID_SPEC, message=message)

    def works(network: Network) -> bool:
        changed = tuple(replace(item, network=network) if item is cluster_set else item for item in cluster_sets)
        return name not in allocate(changed, children, foreign_blocks).failed

    sharers = tuple(item for item in cluster_sets if item.network.address_block == text)
    own_names = {item.child_name(member.name) for item in sharers for member in item.members}
    own_children = tuple(child for child in children if child.name in own_names)
    other = _other_block(block, sharers, cluster_sets, children, own_names, foreign_blocks)
    remedy = _choose_remedy(cluster_set.network, block, works)
    if other and name not in allocate(sharers, own_children, ()).failed:
        missing = ", ".join(allocation.failed[name])
        message = f"{name}.{_PATH} {text} overlaps {other}, which leaves no room for {missing}. {remedy}"
        return Problem(kind="ClusterSet", name=name, path=_PATH, reason=reasons.ADDRESS_BLOCK_OVERLAPS, message=message)
    holds, declared = sum(own in allocation.addresses for own in own_names), len(own_names)
    shared = f" (it is shared by {', '.join(sorted(item.meta.name for item in sharers))})" if len(sharers) > 1 else ""
    message = (
        f"{name}.{_PATH} {text} holds {holds} cluster{'' if holds == 1 else 's'}, "
        f"{declared} {'is' if declared == 1 else 'are'} declared{shared}. {remedy}"
    )
    return Problem(kind="ClusterSet", name=name, path=_PATH, reason=reasons.ADDRESS_BLOCK_TOO_SMALL, message=message)


def _other_block(
    block: Block,
    sharers: tuple[ClusterSet, ...],
    cluster_sets: tuple[ClusterSet, ...],
    children: tuple[ChildCluster, ...],
    own_names: set[str],
    foreign_blocks: tuple[str, ...],
) -> str:
    """Name the widest block of somebody else that overlaps `block`; empty when there is none."""
    sharing = {item.meta.name for item in sharers}
    claims = [(text, "an address block that is taken outside of this fleet") for text in foreign_blocks]
    claims += [
        (item.network.address_block, f"the block of ClusterSet {item.meta.name}")
        for item in cluster_sets
        if item.meta.name not in sharing
    ]
    claims += [
        (text, f"of ChildCluster {child.name}")
        for child in children
        if child.name not in own_names
        for text in (child.pod_cidr, child.service_cidr)
    ]
    found = []
    for text, owner in claims:
        claimed = parse_block(text)
        if claimed is not None and claimed.version == block.version and _overlap(block, claimed):
            found.append((claimed.prefixlen, text, owner))
    return "{1} ({2})".format(*min(found)) if found else ""


def _overlap(one: Block, two: Block) -> bool:
    shorter, longer = (one, two) if one.prefixlen <= two.prefixlen else (two, one)
    return longer.network_address in shorter


def _choose_remedy(network: Network, block: Block, works: Callable[[Network], bool]) -> str:
    """Say what would really be enough: each proposal has been calculated through."""
    proposals = []
    wider = next((item for item in _wider(block) if works(replace(network, address_block=str(item)))), None)
    if wider is not None:
        proposals.append(f"a prefix of at most /{wider.prefixlen}" + _moved(wider, block))
    longest = _LONGEST_POD_PREFIX[block.version]
    for length in range(max(network.pod_prefix_length, block.prefixlen) + 1, longest + 1):
        if works(replace(network, pod_prefix_length=length)):
            proposals.append(f"podPrefixLength {length}")
            break
    if not proposals:
        elsewhere = next((text for text in _PRIVATE if works(replace(network, address_block=text))), None)
        if elsewhere is None:
            return "Declare fewer clusters in it, or put some into a ClusterSet with a block elsewhere."
        return f"Use another block, such as {elsewhere}; a set that exists keeps its own, so make a new one for them."
    return f"Use {', or '.join(proposals)}."


def _wider(block: Block) -> Iterator[Block]:
    """Yield the blocks around this one, as long as they do not grow out of private space."""
    for length in range(block.prefixlen - 1, 7, -1):
        wider = ip_network(block).supernet(new_prefix=length)
        if block.is_private and not wider.is_private:
            return
        yield wider


def _moved(wider: Block, block: Block) -> str:
    """Growing moves the first address of a block that does not begin where the wider one does."""
    return "" if wider.network_address == block.network_address else f" ({wider})"
