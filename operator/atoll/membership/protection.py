"""Deletion protection, checked again before each destructive step: policies can be gone past by deleting a CRD."""

from __future__ import annotations

from atoll.fleet.names import CONFIRM_DELETION
from atoll.fleet.spec import Meta


def is_protected(meta: Meta, *, protected: bool) -> bool:
    """Say whether protection still forbids destroying what this object stands for."""
    return protected and meta.annotations.get(CONFIRM_DELETION) != meta.name
