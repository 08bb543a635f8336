"""Bugs planted on purpose: a lane that does not see them proves nothing.

Each is one that operators have had. It is put into the process under test alone, by name, and harms nothing until the
operator is killed at the right place.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from atoll.kube import verify
from atoll.planes import change, operations, processes
from atoll.planes.layout import Layout
from atoll.planes.values import RunningProcess

from .sites import Plan, Side, Site


@dataclass(frozen=True, slots=True, kw_only=True)
class Plant:
    """One planted bug, and where a kill must show it."""

    about: str
    put: Callable[[], None]
    phase: str
    signature: str
    """A regular expression."""
    side: Side


def trust_process_files() -> None:
    """Know processes by their files alone."""

    def find(layout: Layout, *, thorough: bool) -> tuple[RunningProcess, ...]:
        del thorough
        return tuple(processes.find_recorded(layout))

    processes.find_processes = find


def ignore_journal() -> None:
    """Begin each operation at its first step."""
    operations.read_journal = lambda layout: None  # type: ignore[attr-defined]


def name_snapshots_anew() -> None:
    """Give each attempt a snapshot of its own."""
    take = change.take_snapshot  # type: ignore[attr-defined]

    async def take_another(*arguments: Any, operation_id: str, **named: Any) -> Any:
        return await take(*arguments, operation_id=f"{operation_id[:-8]}{secrets.token_hex(4)}", **named)

    change.take_snapshot = take_another  # type: ignore[attr-defined]


def leave_leftovers() -> None:
    """Do not clean up after a verification that was cut short."""

    async def remove_nothing(*_: Any) -> None:
        return None

    verify._remove_leftovers = remove_nothing  # type: ignore[assignment]


PLANTS: Final[Mapping[str, Plant]] = MappingProxyType(
    {
        "trust-process-files": Plant(
            about="processes are known by their files alone",
            put=trust_process_files,
            phase="create",
            signature=r"effect spawn .*/etcd",
            side=Side.LOST,
        ),
        "ignore-journal": Plant(
            about="an operation that was cut short begins at its first step",
            put=ignore_journal,
            phase="create",
            signature=r"effect spawn .*/kube-apiserver",
            side=Side.BEFORE,
        ),
        "name-snapshots-anew": Plant(
            about="each attempt takes a snapshot of its own",
            put=name_snapshots_anew,
            phase="upgrade",
            signature=r"effect rename .*\.part .*\.db",
            side=Side.LOST,
        ),
        "leave-leftovers": Plant(
            about="a verification that was cut short leaves its namespace",
            put=leave_leftovers,
            phase="create",
            signature=r"child DELETE namespaces/atoll-verify.*",
            side=Side.BEFORE,
        ),
    }
)


def choose_kill(plant: Plant, sites: Sequence[Site]) -> Plan:
    """Return the kill that must show a plant."""
    for site in sites:
        if site.phase == plant.phase and re.fullmatch(plant.signature, site.signature):
            return Plan(site, plant.side)
    raise LookupError(f"no site in {plant.phase} is named {plant.signature}")
