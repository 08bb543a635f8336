"""Node groups: those that are declared, at the control plane's version and in the declared size. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from atoll.providers.managed.marks import ID
from atoll.providers.managed.moves import Call, Fail, Move, Wait

from .seen import SeenCluster, SeenGroup, describe_issues
from .settings import WantedGroup
from .task import Task, with_token
from .versions import number

CANNOT_HEAL: Final = frozenset(
    {
        "AutoScalingGroupNotFound",
        "Ec2LaunchTemplateNotFound",
        "Ec2SecurityGroupNotFound",
        "IamInstanceProfileNotFound",
        "Ec2SubnetNotFound",
    }
)
"""What EKS made for a group is gone: only a new group has it again."""
AGAIN: Final = timedelta(seconds=60)
"""How long after a failed deletion it is tried again."""


def plan_presence(task: Task, wanted: WantedGroup) -> Move | None:
    """Make a group that is missing, and make one anew that has failed."""
    group = task.seen.group(wanted.name)
    if group is None:
        return with_token(
            task.operation,
            "create_nodegroup",
            f"make node group {wanted.name}",
            {
                "clusterName": task.seen.name,
                "nodegroupName": wanted.name,
                "version": task.seen.version,
                "scalingConfig": {
                    "minSize": wanted.min_size,
                    "maxSize": wanted.max_size,
                    # A group may shrink to nothing, but the first add-ons need a node to run on.
                    "desiredSize": max(1, wanted.min_size),
                },
                "subnets": list(task.block.subnets),
                "instanceTypes": list(wanted.instance_types),
                "nodeRole": wanted.role,
                "tags": dict(task.tags),
            },
        )
    match group.status:
        case "CREATING":
            return Wait(step=f"EKS makes node group {group.name}")
        case "UPDATING":
            return Wait(step=f"EKS changes node group {group.name}")
        case "DELETING":
            return Wait(step=f"EKS deletes node group {group.name}, which is made anew then")
        case "CREATE_FAILED":
            if task.is_own(group.created):
                return Fail(
                    message=f"EKS could not make node group {group.name}: {describe_issues(group.issues)}. Mend what "
                    "it names; the next try deletes the group and makes it anew"
                )
            return plan_removal(task.seen, group)
        case "DELETE_FAILED":
            return plan_removal(task.seen, group)
        case "DEGRADED" if is_beyond_healing(group):
            return plan_removal(task.seen, group)
        case "DEGRADED":
            return Fail(
                message=f"node group {group.name} is DEGRADED: {describe_issues(group.issues)}. Mend what EKS names in "
                "AWS: it notices by itself"
            )
        case _:
            return None


def plan_version(task: Task, name: str, version: str) -> Move | None:
    """Bring the nodes of a group to a minor version."""
    group = task.seen.group(name)
    if group is None or group.version == version:
        return None
    if group.status in {"UPDATING", "CREATING"}:
        return Wait(step=f"EKS changes node group {name}")
    if group.status not in {"ACTIVE", "DEGRADED"}:
        return None
    return _unless_failed(task, group, "update_nodegroup_version", f"bring node group {name} to {version}", version)


def plan_size(task: Task, wanted: WantedGroup) -> Move | None:
    """Bring the limits of a group to what is declared; the number of nodes stays where it may be."""
    group = task.seen.group(wanted.name)
    if group is None or (group.min_size, group.max_size) == (wanted.min_size, wanted.max_size):
        return None
    if group.status != "ACTIVE":
        return Wait(step=f"EKS changes node group {wanted.name}") if group.status == "UPDATING" else None
    return with_token(
        task.operation,
        "update_nodegroup_config",
        f"change the size of node group {wanted.name}",
        {
            "clusterName": task.seen.name,
            "nodegroupName": wanted.name,
            "scalingConfig": {
                "minSize": wanted.min_size,
                "maxSize": wanted.max_size,
                "desiredSize": wanted.fit(group.desired_size),
            },
        },
    )


def plan_removal(seen: SeenCluster, group: SeenGroup, now: datetime | None = None) -> Move:
    """Delete a group; with `now`, a deletion that has failed is tried again only after a while."""
    if group.status in {"CREATING", "UPDATING", "DELETING"}:
        doing = {"CREATING": "makes", "UPDATING": "changes", "DELETING": "deletes"}[group.status]
        return Wait(step=f"EKS {doing} node group {group.name}, which is to go")
    step = f"delete node group {group.name}"
    if group.status == "DELETE_FAILED" and now is not None and now - group.modified < AGAIN:
        return Wait(step=step, message=f"EKS could not {step}: {describe_issues(group.issues)}. It is tried again")
    return Call(name="delete_nodegroup", arguments={"clusterName": seen.name, "nodegroupName": group.name}, step=step)


def is_beyond_healing(group: SeenGroup) -> bool:
    """Say whether only a new group can help."""
    return any(code in CANNOT_HEAL for code, _ in group.issues)


def find_late(task: Task) -> tuple[str, ...]:
    """Return our groups that are older than the control plane: EKS upgrades none that has such groups."""
    return tuple(
        group.name
        for group in task.seen.groups
        if number(group.version) < number(task.seen.version)
        and (group.tags.get(ID) == task.ref.id or task.block.group(group.name) is not None)
    )


def find_surplus(task: Task) -> tuple[SeenGroup, ...]:
    """Return the groups that we have made and that nobody declares any more; others' groups stay."""
    return tuple(
        group
        for group in task.seen.groups
        if group.tags.get(ID) == task.ref.id and task.block.group(group.name) is None
    )


def _unless_failed(task: Task, group: SeenGroup, name: str, step: str, version: str) -> Move:
    failure = group.failure
    if failure is not None and failure.has_failed and task.is_own(failure.created):
        return Fail(
            message=f"EKS tried to {step} and ended with {failure.status}: {failure.words or 'it says no more'}. "
            "Mend what it names, and try again"
        )
    arguments = {"clusterName": task.seen.name, "nodegroupName": group.name, "version": version}
    return with_token(task.operation, name, step, arguments)
