"""What comes next in each operation. Pure: everything follows from what is seen.

A plan is a row of stages; each stage holds what it still needs, or nothing. The first stage that needs something says
the next move, and how many of all need nothing is how far the operation has come.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from atoll.ports import Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import ID, OPERATION, build_marks, build_name
from atoll.providers.managed.moves import Call, Done, Fail, Move, Wait

from . import addons, control_plane, node_groups
from .seen import SeenCluster, describe_issues
from .settings import parse_block
from .tags import build_tags, find_missing, find_stale
from .task import Task, build_begin, build_finish, build_task, is_unfinished_create, with_token
from .versions import number, parse_minor

RETURN_WINDOW: Final = timedelta(days=7)
"""How long after an upgrade EKS takes a control plane back."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Parts of a plan that need each other not, or one after the other."""

    moves: tuple[Move | None, ...]
    at_once: bool = True


def plan(wanted: WantedCluster, operation: Operation, seen: SeenCluster | None, now: datetime) -> Move:
    """Decide what comes next."""
    if operation.type is OperationType.DELETE:
        return plan_delete(seen, now)
    if operation.type is OperationType.DRILL:
        return Fail(message="EKS keeps its backups to itself, so there is nothing to drill")
    if seen is None:
        if operation.type is OperationType.CREATE:
            return build_create(wanted, operation)
        return Fail(
            message=f"EKS has no cluster {build_name(wanted.ref)} any more, and Atoll puts no empty one in its place: "
            "take the member out with confirmRemoval, and add it again"
        )
    if operation.type is OperationType.CREATE and seen.status == "FAILED":
        return _clean_up(operation, seen)
    task = build_task(wanted, operation, seen)
    resting = control_plane.plan_rest(task)
    if operation.type is OperationType.REVERT:
        refused = None if resting else check_return(task, now)
        return refused or _next(task, (Stage((resting,)), *_return_stages(task)))
    return _next(task, (Stage((resting,)), *_stages(task)))


def build_create(wanted: WantedCluster, operation: Operation) -> Call:
    """Return the call that makes a cluster."""
    block = parse_block(wanted.settings)
    network = {"kubernetesNetworkConfig": {"serviceIpv4Cidr": wanted.service_cidr}} if wanted.service_cidr else {}
    marks = build_marks(wanted.ref, operation)
    call = with_token(
        operation,
        "create_cluster",
        "make the control plane",
        {
            "name": build_name(wanted.ref),
            "version": parse_minor(operation.to_version),
            "roleArn": block.role,
            "resourcesVpcConfig": {
                "subnetIds": list(block.subnets),
                "endpointPublicAccess": block.public,
                "endpointPrivateAccess": block.private,
            },
            **network,
            # Who makes the cluster is its administrator: that is how Atoll gets in.
            "accessConfig": {"authenticationMode": "API", "bootstrapClusterCreatorAdminPermissions": True},
            "tags": {**build_tags(wanted.ref, wanted.labels), **marks},
        },
    )
    return replace(call, total=len(block.groups) + len(block.addons) + 2)


def plan_delete(seen: SeenCluster | None, now: datetime) -> Move:
    """Delete all node groups, then the cluster; its add-ons go with it."""
    if seen is None:
        return Done()
    total = len(seen.groups) + 1
    if seen.status in {"CREATING", "PENDING", "UPDATING"}:
        return Wait(step="wait until EKS lets the cluster be deleted", total=total)
    if seen.status == "DELETING":
        return Wait(step="EKS deletes the control plane", total=total)
    if seen.deletion_protection:
        return Fail(
            message=f"somebody has switched on deletion protection for cluster {seen.name} in AWS, and Atoll does not "
            "switch it off: do that, and it is deleted"
        )
    if seen.groups:
        removals = tuple(node_groups.plan_removal(seen, group, now) for group in seen.groups)
        return _count(_choose(Stage(removals)) or removals[0], done=0, total=total)
    said = f" (EKS says: {describe_issues(seen.issues)})" if seen.status == "FAILED" and seen.issues else ""
    return Call(name="delete_cluster", arguments={"name": seen.name}, step=f"delete the control plane{said}", total=1)


def find_last_upgrade(seen: SeenCluster) -> datetime | None:
    """Return when the upgrade began that brought the present version; None: EKS would not take it back."""
    moved = [one for one in seen.updates if one.status == "Successful" and one.kind.startswith("Version")]
    if not moved or moved[-1].kind != "VersionUpdate" or moved[-1].version != seen.version:
        return None
    return moved[-1].created


def check_return(task: Task, now: datetime) -> Fail | None:
    """Say why EKS would not take a control plane back; None: nothing is known that it would mind."""
    seen = task.seen
    if seen.version == task.target:
        return None
    upgraded = find_last_upgrade(seen)
    if number(seen.version) - number(task.target) != 1 or upgraded is None:
        return Fail(
            message=f"EKS takes a control plane back by one minor version, after an upgrade in place: {seen.name} at "
            f"{seen.version} has none from {task.target}. Go on with {seen.version}"
        )
    if now - upgraded > RETURN_WINDOW:
        return Fail(
            message=f"EKS takes a control plane back within 7 days of its upgrade, and {seen.name} was upgraded at "
            f"{upgraded:%Y-%m-%d %H:%M} UTC. Go on with {seen.version}"
        )
    others = find_newer_of_others(seen, task.ref.id, task.target)
    if others and not set(others) <= {group.name for group in task.block.groups}:
        return Fail(
            message=f"node groups {', '.join(others)} are not Atoll's and newer than {task.target}: bring them back to "
            f"{task.target} first, because nodes must not be newer than their control plane"
        )
    return None


def find_newer_of_others(seen: SeenCluster, cluster_id: str, minor: str) -> tuple[str, ...]:
    """Return the node groups that we have not made and that are newer than a minor version."""
    return tuple(
        group.name
        for group in seen.groups
        if number(group.version) > number(minor) and group.tags.get(ID) != cluster_id
    )


def _clean_up(operation: Operation, seen: SeenCluster) -> Move:
    """Delete a cluster that EKS could not make, so that the next look finds none and makes it anew."""
    words = describe_issues(seen.issues)
    if not is_unfinished_create(seen.tags):
        return Fail(message=f"EKS says that cluster {seen.name} is FAILED: {words}. Mend that in AWS")
    if seen.tags.get(OPERATION) == operation.id:
        return Fail(
            message=f"EKS could not make cluster {seen.name}: {words}. Mend what it names; then it is made anew"
        )
    return Call(name="delete_cluster", arguments={"name": seen.name}, step=f"delete what EKS could not make ({words})")


def _stages(task: Task) -> tuple[Stage, ...]:
    """Return what a cluster needs to be as it is wanted: the way of CREATE, CHANGE and REPAIR."""
    seen, block = task.seen, task.block
    ordered = addons.order_addons(block.addons)
    early = tuple(addons.plan_addon(task, one) for one in ordered if one.name in addons.BEFORE_NODES)
    late = tuple(addons.plan_addon(task, one) for one in ordered if one.name not in addons.BEFORE_NODES)
    presence = Stage(tuple(node_groups.plan_presence(task, group) for group in block.groups))
    if task.operation.type is OperationType.REPAIR:
        return (Stage(early, at_once=False), presence, Stage(late, at_once=False))
    catching_up = node_groups.find_late(task) if seen.version != task.target else ()
    return (
        Stage((control_plane.plan_endpoint(task),)),
        Stage((control_plane.plan_subnets(task),)),
        Stage(tuple(node_groups.plan_version(task, name, seen.version) for name in catching_up), at_once=False),
        Stage((control_plane.plan_hop(task),)),
        Stage(early, at_once=False),
        presence,
        Stage(tuple(node_groups.plan_version(task, group.name, seen.version) for group in block.groups), at_once=False),
        Stage(tuple(node_groups.plan_size(task, group) for group in block.groups)),
        Stage(late, at_once=False),
        Stage(tuple(node_groups.plan_removal(seen, group) for group in node_groups.find_surplus(task))),
        Stage(tuple(addons.plan_removal(task, addon) for addon in addons.find_surplus(task))),
        Stage(tuple(_plan_tags(task))),
    )


def _return_stages(task: Task) -> tuple[Stage, ...]:
    """Return what has to be before, and then the return itself: nodes, add-ons, control plane."""
    newer = [group.name for group in task.seen.groups if number(group.version) > number(task.target)]
    return (
        Stage(tuple(node_groups.plan_version(task, name, task.target) for name in newer), at_once=False),
        Stage(tuple(addons.plan_before_return(task, addon) for addon in task.seen.addons), at_once=False),
        Stage((control_plane.plan_return(task),)),
    )


def _plan_tags(task: Task) -> Iterable[Move | None]:
    declared = [task.seen.group(group.name) for group in task.block.groups]
    installed = [task.seen.addon(addon.name) for addon in task.block.addons]
    for what in (task.seen, *declared, *installed):
        if what is None or not what.arn:
            yield None
            continue
        missing, stale = find_missing(what.tags, task.tags), find_stale(what.tags, task.tags)
        # Which keys are ours is read out of a tag that the other call would write anew: what is stale goes first.
        if stale:
            yield Call(
                name="untag_resource",
                arguments={"resourceArn": what.arn, "tagKeys": list(stale)},
                step=f"take tags off {what.name}",
            )
        elif missing:
            yield Call(
                name="tag_resource", arguments={"resourceArn": what.arn, "tags": missing}, step=f"tag {what.name}"
            )
        else:
            yield None


def _next(task: Task, stages: tuple[Stage, ...]) -> Move:
    moves = [move for stage in stages for move in stage.moves]
    total = len(moves) + 1
    chosen = next((move for move in map(_choose, stages) if move is not None), None)
    if chosen is None:
        return build_finish(task, total)
    if isinstance(chosen, Call) and not task.is_begun:
        chosen = build_begin(task)
    return _count(chosen, done=sum(move is None for move in moves), total=total)


def _count(move: Move, *, done: int, total: int) -> Move:
    """Say with a move how far the operation is."""
    return replace(move, done=done, total=total) if isinstance(move, Call | Wait) else move


def _choose(stage: Stage) -> Move | None:
    """Return what a stage needs first: what can be begun beside others is begun before anything is waited for."""
    needs = [move for move in stage.moves if move is not None]
    if not needs or not stage.at_once:
        return needs[0] if needs else None
    return next((move for kind in (Fail, Call, Wait) for move in needs if isinstance(move, kind)), needs[0])
