"""The words for how far a row of a rollout is, as far as they are told apart in more than one place."""

from __future__ import annotations

from typing import Final

FINISHED: Final = frozenset({"Done", "Failed", "Reverted", "Skipped"})
"""A row holds up its wave no longer."""
MOVING: Final = frozenset({"Changing", "Verifying"})
"""The cluster has been told, and is not verified yet."""
BUSY: Final = MOVING | {"Preflight"}
"""Somebody is at work on it."""
