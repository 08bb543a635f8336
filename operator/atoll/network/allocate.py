"""Give every child its pod and service block: what a child has stays, what is missing is carved.

Pods are carved from the low end of a block and Services from its high end. The two sizes differ by a factor of
sixteen or so, and a Service block in the middle of the pods would cost a whole pod block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import ip_network

from atoll.fleet.decisions import Addresses
from atoll.fleet.observed import ChildCluster
from atoll.fleet.spec import ClusterSet, Network

from .space import Block, Space, bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Allocation:
    """Who got what, and which members got nothing."""

    addresses: dict[str, Addresses] = field(default_factory=dict)
    """By ChildCluster name."""
    failed: dict[str, list[str]] = field(default_factory=dict)
    """Member names by set."""


def parse_block(text: str) -> Block | None:
    """Read a block such as 10.64.0.0/14; None when it is none."""
    try:
        return ip_network(text)
    except ValueError:
        return None


def allocate(
    cluster_sets: Iterable[ClusterSet], children: Iterable[ChildCluster], foreign_blocks: Iterable[str]
) -> Allocation:
    """Carve addresses for every member whose block can be read."""
    allocation = Allocation()
    spaces = {4: Space(), 6: Space()}
    standing: dict[str, ChildCluster] = {}
    for child in sorted(children, key=lambda item: item.name):
        standing[child.name] = child
        _take(spaces, child.pod_cidr)
        _take(spaces, child.service_cidr)
        if child.pod_cidr and child.service_cidr:
            allocation.addresses[child.name] = Addresses(pod_cidr=child.pod_cidr, service_cidr=child.service_cidr)
    for text in foreign_blocks:
        _take(spaces, text)
    for cluster_set in sorted(cluster_sets, key=lambda item: item.meta.name):
        block = parse_block(cluster_set.network.address_block)
        for member in sorted({member.name for member in cluster_set.members}):
            name = cluster_set.child_name(member)
            if name in allocation.addresses:
                continue
            child_now = standing.get(name)
            found = None
            if block is not None:
                found = _carve(spaces[block.version], block, cluster_set.network, child_now)
            if found is None:
                allocation.failed.setdefault(cluster_set.meta.name, []).append(member)
            else:
                allocation.addresses[name] = found
    return allocation


def _take(spaces: dict[int, Space], text: str) -> None:
    block = parse_block(text) if text else None
    if block is not None:
        spaces[block.version].take(*bounds(block))


def _carve(space: Space, block: Block, network: Network, child: ChildCluster | None) -> Addresses | None:
    """Find both blocks before taking either, so that a member that fails leaves no hole."""
    low, high = bounds(block)
    pod_size = 1 << max(0, block.max_prefixlen - network.pod_prefix_length)
    service_size = 1 << max(0, block.max_prefixlen - network.service_prefix_length)
    pod_cidr = child.pod_cidr if child is not None else ""
    service_cidr = child.service_cidr if child is not None else ""
    pod = None if pod_cidr else space.lowest(low, high, pod_size)
    service = None if service_cidr else space.highest(low, high, service_size)
    if (pod is None and not pod_cidr) or (service is None and not service_cidr):
        return None
    if pod is not None and service is not None and pod < service + service_size and service < pod + pod_size:
        # The last free slot for Services lies within the last one for pods: a gap below the pods may still do.
        service = space.highest(low, pod, service_size)
        if service is None:
            return None
    if pod is not None:
        space.take(pod, pod + pod_size)
        pod_cidr = _write(block, pod, network.pod_prefix_length)
    if service is not None:
        space.take(service, service + service_size)
        service_cidr = _write(block, service, network.service_prefix_length)
    return Addresses(pod_cidr=pod_cidr, service_cidr=service_cidr)


def _write(block: Block, start: int, prefix_length: int) -> str:
    address = type(block.network_address)(start)
    return f"{address}/{prefix_length}"
