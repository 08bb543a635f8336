"""Operations played through against the tiny Azure, written down call by call."""

from __future__ import annotations

from datetime import UTC, datetime

from atoll.ports import Operation, WantedCluster
from atoll.providers.aks.plan import plan
from atoll.providers.managed.moves import Call, Done, Fail, Move

from .azure import Azure

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def play(azure: Azure, wanted: WantedCluster, operation: Operation, *, most: int = 60) -> Move:
    """Look, plan and call until the plan ends; each call's work ends before the look after the next one."""
    for _ in range(most):
        move = plan(wanted, operation, azure.look(), NOW)
        if isinstance(move, (Done, Fail)):
            return move
        if isinstance(move, Call):
            azure.apply(move)
        else:
            azure.settle()
    raise AssertionError(f"no end after {azure.calls}")


def step(azure: Azure, wanted: WantedCluster, operation: Operation) -> Move:
    """Take one move, and do it."""
    move = plan(wanted, operation, azure.look(), NOW)
    if isinstance(move, Call):
        azure.apply(move)
    return move
