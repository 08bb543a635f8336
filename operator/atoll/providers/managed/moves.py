"""What comes next in an operation on a managed cluster: one call, a wait, or its end. Values only.

An operation has no list of steps that could be half done. It is planned anew after every look at what is there: the
same plan finishes a cluster that somebody else half made, and a call whose answer was lost is not made twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that changes something."""

    name: str
    """Operation of the cloud's API, as its SDK spells it: `create_cluster`."""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """What the SDK is given; plain JSON types."""
    step: str
    """What it is for, in words."""
    done: int = 0
    """How many steps of the operation are behind us."""
    total: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """The cloud is at work; look again in a moment."""

    step: str
    done: int = 0
    total: int = 0
    message: str = ""
    """What it waits for, where that is not the cloud's own work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What was asked for holds."""

    total: int = 0
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fail:
    """It cannot be done so; `message` says why, and the remedy."""

    message: str


Move = Call | Wait | Done | Fail
