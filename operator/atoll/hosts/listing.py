"""An operation, for people, without a host."""

from __future__ import annotations

from .command import Operation, show_action


def list_actions(operation: Operation) -> tuple[str, ...]:
    """Return one line per action: its number, why, and what is done; secrets masked."""
    return tuple(f"{number}. {action.why}: {show_action(action)}" for number, action in enumerate(operation, start=1))
