"""What would be in the way of an operation, as far as it can be told without asking EKS. Pure."""

from __future__ import annotations

from ipaddress import IPv4Network, ip_network
from typing import Final

from atoll.errors import BadInput
from atoll.ports import Finding, Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import ID

from .plan import check_return
from .seen import SeenCluster
from .settings import FIELD, Block, parse_block
from .tags import build_tags
from .task import build_task
from .versions import number, parse_minor

PRIVATE: Final = tuple(IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
NEW_MEMBER: Final = "It never changes: add a member with the new setting, move the tenants, and remove this one"


def check(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
    """Find fields that are missing or cannot be, hops that EKS does not make, and what never changes."""
    try:
        block = parse_block(wanted.settings)
        target = parse_minor(operation.to_version)
        build_tags(wanted.ref, wanted.labels)
    except BadInput as error:
        return (Finding.of(error),)
    if operation.type is OperationType.REVERT:
        return _check_return(wanted, operation, seen)
    found = [*_check_service_cidr(wanted.service_cidr)]
    if seen is not None:
        found += [*_check_hop(operation, seen, target), *_check_immutable(wanted, block, seen)]
        found += _check_others(wanted, block, seen, target)
    return tuple(found)


def _check_return(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None) -> tuple[Finding, ...]:
    if seen is None:
        return (Finding(reason="CannotRevert", message="EKS has no such cluster any more", field=""),)
    # Whether the seven days are over is for the plan, which knows the time.
    refused = check_return(build_task(wanted, operation, seen), seen.latest)
    return () if refused is None else (Finding(reason="CannotRevert", message=refused.message, field="spec.version"),)


def _check_service_cidr(cidr: str) -> list[Finding]:
    if not cidr:
        return []
    network = ip_network(cidr, strict=False)
    inside = isinstance(network, IPv4Network) and any(network.subnet_of(block) for block in PRIVATE)
    if inside and 12 <= network.prefixlen <= 24:
        return []
    message = (
        f"spec.network gives the services {cidr}, and EKS wants a block between /12 and /24 inside of "
        f"{', '.join(map(str, PRIVATE))}: choose another addressBlock"
    )
    return [Finding(reason="InvalidServiceCIDR", message=message, field="spec.network")]


def _check_hop(operation: Operation, seen: SeenCluster, target: str) -> list[Finding]:
    by = number(target) - number(seen.version)
    if operation.type is not OperationType.CHANGE or by in {0, 1}:
        return []
    if by > 1:
        remedy = f"EKS brings a control plane one minor version up at a time: go to v1.{number(seen.version) + 1} first"
    else:
        remedy = "EKS takes a control plane back only as a revert of its latest upgrade: raise spec.version again"
    message = f"spec.version is v{target}, and cluster {seen.name} runs v{seen.version}. {remedy}"
    return [Finding(reason="VersionSkipped", message=message, field="spec.version")]


def _check_immutable(wanted: WantedCluster, block: Block, seen: SeenCluster) -> list[Finding]:
    found = []
    if seen.role and seen.role != block.role:
        message = f"{FIELD}.roleARN is {block.role}, and cluster {seen.name} was made with {seen.role}. {NEW_MEMBER}"
        found.append(Finding(reason="ImmutableRole", message=message, field=f"{FIELD}.roleARN"))
    if wanted.service_cidr and seen.service_cidr and wanted.service_cidr != seen.service_cidr:
        message = f"the services of {seen.name} have {seen.service_cidr}, not {wanted.service_cidr}. {NEW_MEMBER}"
        found.append(Finding(reason="ImmutableServiceCIDR", message=message, field="spec.network"))
    for group in block.groups:
        there = seen.group(group.name)
        if there is None:
            continue
        field = f"{FIELD}.nodeGroups[{group.name}]"
        remedy = "A node group never changes that: declare a group of another name, and Atoll removes this one last"
        if there.instance_types and there.instance_types != group.instance_types:
            said, has = ", ".join(group.instance_types), ", ".join(there.instance_types)
            message = f"{field}.instanceTypes is {said}, and the group was made with {has}. {remedy}"
            found.append(Finding(reason="ImmutableNodeGroup", message=message, field=f"{field}.instanceTypes"))
        if there.role and there.role != group.role:
            message = f"{field}.nodeRoleARN is {group.role}, and the group was made with {there.role}. {remedy}"
            found.append(Finding(reason="ImmutableNodeGroup", message=message, field=f"{field}.nodeRoleARN"))
    return found


def _check_others(wanted: WantedCluster, block: Block, seen: SeenCluster, target: str) -> list[Finding]:
    """Name node groups of others that EKS wants at the control plane's version before it goes on."""
    if target == seen.version:
        return []
    return [
        Finding(
            reason="NodeGroupBehind",
            message=f"node group {group.name} of {seen.name} runs {group.version} and is not Atoll's: bring it to "
            f"{seen.version} first, because EKS upgrades no control plane with older node groups",
            field="spec.version",
        )
        for group in seen.groups
        if number(group.version) < number(seen.version)
        and group.tags.get(ID) != wanted.ref.id
        and block.group(group.name) is None
    ]
