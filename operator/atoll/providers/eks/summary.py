"""What is told of a cluster that was seen: whether it is there, what differs from what is declared. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from atoll.errors import BadInput
from atoll.ports import ClusterRef, ObservedCluster, Presence, RevertPoint
from atoll.providers.managed.marks import ID
from atoll.providers.managed.surroundings import Declared

from . import addons, node_groups
from .plan import RETURN_WINDOW, find_last_upgrade, find_newer_of_others
from .seen import Offer, SeenCluster, describe_issues
from .settings import Block, parse_block
from .tags import build_tags, find_missing, find_stale
from .task import is_unfinished_create
from .versions import number, step


def summarise(declared: Declared, seen: SeenCluster, now: datetime) -> ObservedCluster:
    """Say what is there, drift included, and leave the operation out."""
    if seen.status == "DELETING" and not is_unfinished_create(seen.tags):
        return ObservedCluster(presence=Presence.UNKNOWN, message="EKS is deleting the cluster; soon it is gone")
    half = seen.status in {"CREATING", "PENDING", "DELETING"} or is_unfinished_create(seen.tags)
    presence = Presence.PARTIAL if half else Presence.PRESENT
    told = ObservedCluster(presence=presence, version=f"v{seen.version}", endpoint=seen.server)
    if half:
        return told
    return ObservedCluster(
        presence=presence,
        version=told.version,
        endpoint=told.endpoint,
        needs_repair=find_damage(declared, seen),
        drift=find_drift(declared, seen) if seen.status == "ACTIVE" else (),
        revert_point=find_revert_point(seen, now),
    )


def find_damage(declared: Declared, seen: SeenCluster) -> str:
    """Say what is broken and what a REPAIR would do; empty: nothing is."""
    damage = []
    if seen.status == "FAILED":
        damage.append(f"EKS says that the cluster is FAILED: {describe_issues(seen.issues)}; a repair tells what to do")
    try:
        block = parse_block(declared.settings)
    except BadInput:
        return "; ".join(damage)
    for group in seen.groups:
        if block.group(group.name) is None or group.status not in {"CREATE_FAILED", "DELETE_FAILED", "DEGRADED"}:
            continue
        heals = group.status == "DEGRADED" and not node_groups.is_beyond_healing(group)
        remedy = "EKS mends it by itself once its cause is gone" if heals else "a repair makes it anew"
        damage.append(f"node group {group.name} is {group.status}: {describe_issues(group.issues)}; {remedy}")
    for addon in seen.addons:
        if block.addon(addon.name) is None:
            continue
        if addon.status in {"CREATE_FAILED", "UPDATE_FAILED", "DELETE_FAILED"} or addons.is_mendable(addon):
            damage.append(
                f"add-on {addon.name} is {addon.status}: {describe_issues(addon.issues)}; a repair installs it again"
            )
    return "; ".join(damage)


def find_drift(declared: Declared, seen: SeenCluster) -> tuple[str, ...]:
    """Name every owned field that differs in EKS, one sentence each; only what a CHANGE mends."""
    try:
        block = parse_block(declared.settings)
        ref = ClusterRef(fleet="", name="", id=seen.tags.get(ID, ""))
        tags = build_tags(ref, declared.labels)
    except BadInput:
        # Nothing can be compared with what cannot be read; preflight says what is wrong with it.
        return ()
    return (
        *_compare_control_plane(block, seen),
        *_compare_groups(block, seen),
        *_compare_addons(block, seen),
        *_compare_tags(block, seen, tags),
    )


def find_revert_point(seen: SeenCluster, now: datetime) -> RevertPoint | None:
    """Say what EKS would bring back; None where it would not."""
    upgraded = find_last_upgrade(seen)
    if seen.status != "ACTIVE" or upgraded is None or now - upgraded > RETURN_WINDOW:
        return None
    before = step(seen.version, -1)
    if find_newer_of_others(seen, seen.tags.get(ID, ""), before):
        return None
    until = upgraded + RETURN_WINDOW
    return RevertPoint(
        version=f"v{before}",
        taken_time=upgraded,
        message=f"no writes are lost: EKS takes the control plane back to {before} and keeps its data, after the node "
        f"groups and add-ons that are too new for it. Possible until {until:%Y-%m-%d %H:%M} UTC",
    )


def _compare_control_plane(block: Block, seen: SeenCluster) -> Iterable[str]:
    if (seen.public, seen.private) != (block.public, block.private):
        yield (
            f"endpointAccess is public {_word(seen.public)}, private {_word(seen.private)} in EKS, and declared public "
            f"{_word(block.public)}, private {_word(block.private)}"
        )
    if set(seen.subnets) != set(block.subnets):
        yield f"subnetIDs are {', '.join(seen.subnets)} in EKS, and declared {', '.join(block.subnets)}"


def _compare_groups(block: Block, seen: SeenCluster) -> Iterable[str]:
    for wanted in block.groups:
        group = seen.group(wanted.name)
        if group is None:
            yield f"node group {wanted.name} is declared, and not there"
        elif group.status in {"ACTIVE", "UPDATING"}:
            if (group.min_size, group.max_size) != (wanted.min_size, wanted.max_size):
                yield (
                    f"node group {wanted.name} has {group.min_size} to {group.max_size} nodes in EKS, and is declared "
                    f"with {wanted.min_size} to {wanted.max_size}"
                )
            if group.status == "ACTIVE" and number(group.version) < number(seen.version):
                yield f"node group {wanted.name} runs {group.version}, and the control plane {seen.version}"
    for group in seen.groups:
        if group.tags.get(ID) == seen.tags.get(ID) and block.group(group.name) is None:
            yield f"node group {group.name} is there, and not declared any more"


def _compare_addons(block: Block, seen: SeenCluster) -> Iterable[str]:
    for wanted in block.addons:
        addon = seen.addon(wanted.name)
        if addon is None:
            yield f"add-on {wanted.name} is declared, and not there"
        elif wanted.version and addon.version != wanted.version:
            yield f"add-on {wanted.name} is {addon.version} in EKS, and declared as {wanted.version}"
        elif not wanted.version and not _fits(addon.version, seen.offers.get((wanted.name, seen.version))):
            # A newer default alone is no drift: AWS publishes one when it likes, and fleets move in rollouts.
            yield f"add-on {wanted.name} {addon.version} does not fit Kubernetes {seen.version}"
    for addon in seen.addons:
        if addon.tags.get(ID) == seen.tags.get(ID) and block.addon(addon.name) is None:
            yield f"add-on {addon.name} is there, and not declared any more"


def _compare_tags(block: Block, seen: SeenCluster, tags: Mapping[str, str]) -> Iterable[str]:
    groups = [("node group", seen.group(wanted.name)) for wanted in block.groups]
    installed = [("add-on", seen.addon(wanted.name)) for wanted in block.addons]
    for kind, what in (("cluster", seen), *groups, *installed):
        if what is None or not what.arn:
            continue
        missing, stale = find_missing(what.tags, tags), find_stale(what.tags, tags)
        keys = sorted({*missing, *stale})
        if keys:
            yield f"tags of {kind} {what.name} differ from the governance labels: {', '.join(keys)}"


def _fits(version: str, offer: Offer | None) -> bool:
    return offer is None or not offer.versions or version in offer.versions


def _word(value: Any) -> str:
    return "true" if value else "false"
