"""What a managed cluster carries of ours: whose it is, and which operation was the last. Pure.

Names and values are of the least that tags of all clouds allow: lower case letters, digits and dashes, 63 characters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from atoll.ports import ClusterRef, Operation, OperationProgress, OperationState, OperationType

ID: Final = "atoll-id"
"""The ChildCluster's `spec.id`: what does not carry it is not ours, whatever its name."""
OPERATION: Final = "atoll-operation"
STATE: Final = "atoll-state"
MARKS: Final = frozenset({ID, OPERATION, STATE})
_WORDS: Final = {kind.value.lower(): kind for kind in OperationType}


def build_name(ref: ClusterRef) -> str:
    """Return the name of a cluster in its cloud."""
    return f"atoll-{ref.id}"


def build_marks(ref: ClusterRef, operation: Operation, *, total: int = 0, finished: bool = False) -> dict[str, str]:
    """Return the tags that say whose a cluster is, and how far its latest operation has come."""
    state = f"{operation.type.value.lower()}-succeeded-{total}" if finished else f"{operation.type.value.lower()}-begun"
    return {ID: ref.id, OPERATION: operation.id, STATE: state}


def is_finished(tags: Mapping[str, str], operation: Operation) -> bool:
    """Say whether the marks tell of this operation's success."""
    told = read_marks(tags)
    return told is not None and told.id == operation.id and told.state is OperationState.SUCCEEDED


def is_unfinished(tags: Mapping[str, str], *kinds: OperationType) -> bool:
    """Say whether the marks tell of an operation of one of these types that has not come to its end."""
    told = read_marks(tags)
    return told is not None and told.is_open and told.type in kinds


def read_marks(tags: Mapping[str, str]) -> OperationProgress | None:
    """Read which operation was the last, and whether it has succeeded; nobody works on one that has not."""
    word, _, rest = tags.get(STATE, "").partition("-")
    kind, operation_id = _WORDS.get(word), tags.get(OPERATION, "")
    if kind is None or not operation_id:
        return None
    state, _, total = rest.partition("-")
    if state != "succeeded":
        return OperationProgress(id=operation_id, type=kind, state=OperationState.INTERRUPTED)
    return build_success(operation_id, kind, int(total) if total.isdigit() else 0)


def build_success(operation_id: str, kind: OperationType, total: int, message: str = "") -> OperationProgress:
    """Return the progress of an operation that is over."""
    return OperationProgress(
        id=operation_id,
        type=kind,
        state=OperationState.SUCCEEDED,
        steps_done=total,
        steps_total=total,
        message=message,
    )
