"""Which steps each operation has, and the engine that runs them.

The journal holds how many steps are done. A finished step is never begun again; the one that a crash cut short is, and
looks at the world first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final

from atoll.errors import AtollError
from atoll.ports import Operation, OperationState, OperationType

from . import change, drill, steps
from .store import read_journal, write_journal
from .values import Journal
from .work import Work


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name for people, and what it does; a text that it returns stays in the journal."""

    name: str
    run: Callable[[Work], Awaitable[str | None]]
    fleeting: bool = False
    """What it makes is not to be relied on after a crash: then it is done again, and so are such ones before it."""


_START: Final = (
    Step("start etcd", steps.start_etcd),
    Step("start kube-apiserver", steps.start_api_server),
)

_CHANGE_BEGIN: Final = (
    Step("check binaries", steps.check_binaries),
    Step("issue certificates", steps.issue_certificates),
    Step("start etcd", steps.start_etcd),
)
_CHANGE_REST: Final = (
    Step("start the new kube-apiserver", change.start_new_api_server),
    Step("hand over", change.hand_over),
    # A controller manager must not be newer than the API server that it may meet, so the old one goes before
    # the old API server, whose end its watches would delay, and the new one comes after it.
    Step("stop the old kube-controller-manager", steps.stop_controller_manager),
    Step("stop the old kube-apiserver", change.stop_old_api_server),
    Step("start kube-controller-manager", steps.start_controller_manager),
    Step("wait until healthy", steps.wait_healthy),
)
_DRILL: Final = (
    Step("verify the snapshot", drill.verify, fleeting=True),
    Step("restore the snapshot beside the plane", drill.restore, fleeting=True),
    Step("start the restored plane", drill.start, fleeting=True),
    Step("prove the restored plane", drill.prove, fleeting=True),
    Step("remove the restored plane", drill.remove),
)

DRILLED_CHANGE: Final = (
    *_CHANGE_BEGIN,
    Step("take a snapshot of etcd", drill.take_to_change),
    *_DRILL,
    Step("keep the snapshot", change.save_snapshot),
    *_CHANGE_REST,
)
"""A change that drills its snapshot before anything moves."""

STEPS: Final[Mapping[OperationType, tuple[Step, ...]]] = MappingProxyType(
    {
        OperationType.CREATE: (
            Step("prepare the folder", steps.prepare_folder),
            Step("issue certificates", steps.issue_certificates),
            *_START,
            Step("grant access", steps.grant_access),
            Step("start kube-controller-manager", steps.start_controller_manager),
            Step("wait until healthy", steps.wait_healthy),
            Step("record", steps.record_created),
        ),
        OperationType.CHANGE: (
            *_CHANGE_BEGIN,
            Step("take a snapshot of etcd", change.save_snapshot),
            *_CHANGE_REST,
        ),
        OperationType.REVERT: (
            Step("check the snapshot", change.check_revert),
            Step("check binaries", steps.check_binaries),
            Step("start etcd", steps.start_etcd),
            Step("measure what is lost", change.measure_loss),
            Step("stop all processes", change.stop_everything),
            Step("unpack the snapshot", change.unpack_snapshot),
            Step("swap the data", change.swap_data),
            Step("issue certificates", steps.issue_certificates),
            *_START,
            Step("start kube-controller-manager", steps.start_controller_manager),
            Step("wait until healthy", steps.wait_healthy),
            Step("tidy up", change.forget_snapshot),
        ),
        OperationType.REPAIR: (
            Step("want it running", steps.want_running),
            Step("issue certificates", steps.issue_certificates),
            *_START,
            Step("grant access", steps.grant_access),
            Step("start kube-controller-manager", steps.start_controller_manager),
            Step("wait until healthy", steps.wait_healthy),
        ),
        OperationType.DELETE: (
            Step("stop kube-apiserver", steps.stop_api_server),
            Step("stop kube-controller-manager", steps.stop_controller_manager),
            Step("stop etcd", steps.stop_etcd),
            Step("remove the data", steps.remove_data),
            Step("remove the folder", steps.remove_folder),
        ),
        OperationType.DRILL: (
            Step("take a snapshot of etcd", drill.take_to_drill, fleeting=True),
            *_DRILL,
        ),
    }
)


def plan_steps(kind: OperationType, *, drills: bool) -> tuple[Step, ...]:
    """Return the steps of an operation."""
    return DRILLED_CHANGE if drills and kind is OperationType.CHANGE else STEPS[kind]


def begin_journal(operation: Operation, *, drills: bool = False) -> Journal:
    """Return the journal of an operation that has not begun."""
    plan = plan_steps(operation.type, drills=drills)
    return Journal(
        id=operation.id,
        type=operation.type,
        from_version=operation.from_version,
        to_version=operation.to_version,
        step=plan[0].name,
        steps_done=0,
        steps_total=len(plan),
        state=OperationState.RUNNING,
        drills=drills,
    )


def resume_journal(journal: Journal) -> Journal:
    """Return where to go on with an operation that was cut short."""
    plan = plan_steps(journal.type, drills=journal.drills)
    done = journal.steps_done
    while 0 < done < len(plan) and plan[done].fleeting and plan[done - 1].fleeting:
        done -= 1
    return journal if done == journal.steps_done else replace(journal, steps_done=done, step=plan[done].name)


async def run_steps(work: Work) -> None:
    """Run what is left of an operation; raises what stopped it, after writing it down."""
    layout, effects, operation = work.layout, work.effects, work.operation
    journal = read_journal(layout)
    if journal is None or journal.id != operation.id:
        # The operation before this one may have been cut short in the middle of a drill.
        await drill.remove_drill(work)
        journal = begin_journal(operation, drills=work.drills)
    if journal.state in {OperationState.SUCCEEDED, OperationState.FAILED}:
        return
    journal = resume_journal(journal)
    plan = plan_steps(journal.type, drills=journal.drills)
    write_journal(layout, journal, effects)
    for index in range(journal.steps_done, len(plan)):
        try:
            note = await plan[index].run(work)
        except Exception as error:
            failed = replace(journal, state=OperationState.FAILED, message=describe_failure(plan[index], error))
            write_journal(layout, failed, effects)
            raise
        if index + 1 < len(plan):
            journal = replace(journal, step=plan[index + 1].name, steps_done=index + 1, message=note or journal.message)
        else:
            journal = replace(
                journal, steps_done=len(plan), state=OperationState.SUCCEEDED, message=note or journal.message
            )
        if operation.type is OperationType.DELETE and not layout.root.exists():
            return
        write_journal(layout, journal, effects)


def describe_failure(step: Step, error: Exception) -> str:
    """Say which step failed and why."""
    why = str(error) if isinstance(error, AtollError) else f"{type(error).__name__}: {error}"
    return f"could not {step.name}: {why}"
