"""Deletion protection, checked again before each destructive step: policies can be gone past by deleting a CRD."""

from __future__ import annotations

from typing import Final

from atoll.fleet.spec import Meta

FINALIZER: Final = "atoll.dev/finalizer"
"""On every object that we must clean up after."""

CONFIRM_DELETION: Final = "atoll.dev/confirm-deletion"
"""Annotation that must hold the object's own name before a protected one may go."""


def is_protected(meta: Meta, *, protected: bool) -> bool:
    """Say whether protection still forbids destroying what this object stands for."""
    return protected and meta.annotations.get(CONFIRM_DELETION) != meta.name
