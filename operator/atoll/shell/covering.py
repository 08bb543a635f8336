"""How the core compares: as our field managers would apply. What was found to agree is not compared again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.fleet.values import thaw
from atoll.kube import compare

from .context import FIELD_MANAGER


class Covering:
    """Compares for one fleet; a decision about a settled fleet then costs a third of what it would."""

    def __init__(self) -> None:
        self._before: dict[int, tuple[Mapping[str, Any], int]] = {}
        self._agreed: dict[int, tuple[Mapping[str, Any], int]] = {}
        """By identity of the observed object, which is held so that it stays one: that object, hash of the wanted."""

    def begin(self) -> None:
        """Begin a decision: what the last one did not ask about any more is forgotten."""
        self._before, self._agreed = self._agreed, {}

    def __call__(self, wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
        """Say whether applying `wanted` over `observed` would change nothing."""
        # Wanted objects are built anew for each decision, always in the same order of keys.
        mark = (observed, hash(repr(wanted)))
        known = self._before.get(id(observed))
        same = known is not None and known[0] is observed and known[1] == mark[1]
        if not same and not compare.covers(thaw(wanted), observed, manager=FIELD_MANAGER):
            return False
        self._agreed[id(observed)] = mark
        return True
