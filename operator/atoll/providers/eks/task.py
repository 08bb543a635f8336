"""What one plan is about: what is wanted, what is seen, and which failures are this operation's own. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from atoll.ports import ClusterRef, Operation, OperationType, WantedCluster
from atoll.providers.managed.marks import OPERATION, build_marks, is_unfinished
from atoll.providers.managed.moves import Call

from .seen import SeenCluster
from .settings import Block, parse_block
from .tags import AFTER, build_tags
from .versions import parse_minor


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One operation on one cluster that is there."""

    ref: ClusterRef
    operation: Operation
    block: Block
    tags: Mapping[str, str]
    """What each resource of the cluster shall carry, without marks."""
    target: str
    """Minor version that the control plane shall have in the end."""
    seen: SeenCluster

    def is_own(self, failed: datetime) -> bool:
        """Say whether a failure of that moment is one of this operation's own calls, and no older one."""
        if self.seen.tags.get(OPERATION) != self.operation.id:
            return False
        after = self.seen.tags.get(AFTER, "")
        return not after or failed > datetime.fromisoformat(after)

    @property
    def is_begun(self) -> bool:
        """Whether the cluster carries the mark of this operation."""
        return self.seen.tags.get(OPERATION) == self.operation.id


def build_task(wanted: WantedCluster, operation: Operation, seen: SeenCluster) -> Task:
    """Read what is declared; BadInput where that cannot be used."""
    # A repair changes no version, whatever the spec says by now.
    target = seen.version if operation.type is OperationType.REPAIR else parse_minor(operation.to_version)
    return Task(
        ref=wanted.ref,
        operation=operation,
        block=parse_block(wanted.settings),
        tags=build_tags(wanted.ref, wanted.labels),
        target=target,
        seen=seen,
    )


def build_begin(task: Task) -> Call:
    """Return the call that puts this operation's mark on the cluster, before it changes anything."""
    marks = {**build_marks(task.ref, task.operation), AFTER: task.seen.latest.isoformat()}
    return Call(
        name="tag_resource",
        arguments={"resourceArn": task.seen.arn, "tags": marks},
        step="mark the cluster with this operation",
    )


def build_finish(task: Task, total: int) -> Call:
    """Return the last call of an operation."""
    marks = build_marks(task.ref, task.operation, total=total, finished=True)
    return Call(
        name="tag_resource",
        arguments={"resourceArn": task.seen.arn, "tags": marks},
        step="mark the cluster as done",
        done=total - 1,
        total=total,
    )


def with_token(operation: Operation, name: str, step: str, arguments: Mapping[str, Any]) -> Call:
    """Return a call with a token that is the same for the same call of the same operation, so EKS makes it once."""
    said = json.dumps([operation.id, name, dict(arguments)], sort_keys=True, separators=(",", ":"))
    token = sha256(said.encode()).hexdigest()
    return Call(name=name, arguments={**arguments, "clientRequestToken": token}, step=step)


def is_unfinished_create(tags: Mapping[str, str]) -> bool:
    """Say whether a cluster's marks tell of a create that has not come to its end."""
    return is_unfinished(tags, OperationType.CREATE)
