"""The control plane: reachable as declared, in the declared subnets, at the wanted minor version. Pure."""

from __future__ import annotations

from atoll.providers.managed.moves import Call, Fail, Move, Wait

from .seen import describe_issues
from .task import Task, with_token
from .versions import number, step


def plan_rest(task: Task) -> Move | None:
    """Wait until EKS is not at work on the control plane."""
    seen = task.seen
    if seen.status in {"CREATING", "PENDING"}:
        return Wait(step="EKS makes the control plane")
    if seen.status == "UPDATING":
        return Wait(step="EKS changes the control plane")
    if seen.status == "DELETING":
        return Wait(step="EKS deletes the cluster", message="somebody has told EKS to delete it")
    if seen.status != "ACTIVE":
        return Fail(
            message=f"EKS says that cluster {seen.name} is {seen.status}: {describe_issues(seen.issues)}. "
            "Mend that in AWS, or delete the member"
        )
    return None


def plan_endpoint(task: Task) -> Move | None:
    """Make the API server reachable as declared."""
    seen, block = task.seen, task.block
    if (seen.public, seen.private) == (block.public, block.private):
        return None
    access = {"endpointPublicAccess": block.public, "endpointPrivateAccess": block.private}
    call = with_token(
        task.operation,
        "update_cluster_config",
        "change where the API server answers",
        {"name": seen.name, "resourcesVpcConfig": access},
    )
    return _unless_failed(task, call, "EndpointAccessUpdate", "VpcConfigUpdate", "ConfigUpdate")


def plan_subnets(task: Task) -> Move | None:
    """Put the control plane into the declared subnets."""
    seen, block = task.seen, task.block
    if set(seen.subnets) == set(block.subnets):
        return None
    call = with_token(
        task.operation,
        "update_cluster_config",
        "change the subnets of the control plane",
        {"name": seen.name, "resourcesVpcConfig": {"subnetIds": list(block.subnets)}},
    )
    return _unless_failed(task, call, "VpcConfigUpdate", "ConfigUpdate")


def plan_hop(task: Task) -> Move | None:
    """Bring the control plane to the next minor version, if that is the wanted one."""
    seen = task.seen
    if seen.version == task.target:
        return None
    if step(seen.version, 1) != task.target:
        way = "down" if number(task.target) < number(seen.version) else "up"
        return Fail(
            message=f"EKS brings a control plane one minor version up at a time, and {seen.name} would go {way} from "
            f"{seen.version} to {task.target}. Go by single versions"
        )
    call = with_token(
        task.operation,
        "update_cluster_version",
        f"upgrade the control plane to {task.target}",
        {"name": seen.name, "version": task.target},
    )
    return _unless_failed(task, call, "VersionUpdate")


def plan_return(task: Task) -> Move | None:
    """Take the control plane back to the minor version that it had."""
    seen = task.seen
    if seen.version == task.target:
        return None
    call = with_token(
        task.operation,
        "update_cluster_version",
        f"take the control plane back to {task.target}",
        {"name": seen.name, "version": task.target},
    )
    return _unless_failed(task, call, "VersionRollback")


def _unless_failed(task: Task, call: Call, *kinds: str) -> Move:
    """Return the call, or the end of the operation where EKS has tried it already and failed."""
    own = [one for one in task.seen.updates if one.has_failed and one.kind in kinds and task.is_own(one.created)]
    if not own:
        return call
    last = own[-1]
    return Fail(
        message=f"EKS tried to {call.step} and ended with {last.status}: {last.words or 'it says no more'}. "
        "Mend what it names, and try again"
    )
