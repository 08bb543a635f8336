"""How the core compares: as our field managers would apply."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.fleet.values import thaw
from atoll.kube import compare

from .context import FIELD_MANAGER


def covers(wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
    """Say whether applying `wanted` over `observed` would change nothing."""
    return compare.covers(thaw(wanted), observed, manager=FIELD_MANAGER)
