"""What a fault is, what became of it, and how clusters share the way there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.hosts.rig import RigHost

from .scene import Scene

Json = dict[str, Any]


class FaultFailed(AssertionError):
    """Something did not hold."""


def leave_it(host: RigHost, body: Mapping[str, Any]) -> None:
    """Look at nothing more."""
    del host, body


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFault:
    """What is wrong with a machine before it is in a pool. Its name is the name of the host that has it."""

    name: str
    broken: str
    undone: str
    """What the outside world does to mend it; Atoll is not told."""
    strike: Callable[[RigHost], None]
    heal: Callable[[RigHost], None]
    state: str
    """Of the Host, while it is broken."""
    reason: str
    """Of its condition Ready."""
    says: str
    """Part of its message."""
    look: Callable[[RigHost, Json], None] = leave_it
    """What else must hold while it is broken; `body` is the Host."""
    look_after: Callable[[RigHost, Json], None] = leave_it
    """What else must hold when it is mended."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFault:
    """What happens to a cluster that is being made or changed."""

    name: str
    broken: str
    when: str
    meanwhile: str
    undone: str
    strike: Callable[[Scene], None]
    """Waits for the moment, breaks, sees what must hold meanwhile, and mends."""
    in_upgrade: bool = False
    inits: int = 0
    """How many `kubeadm init` more than one there are for a good reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """One cluster from its creation to its deletion, with faults on the way."""

    name: str
    workers: int
    faults: tuple[ClusterFault, ...] = ()

    @property
    def has_upgrade(self) -> bool:
        """Whether it changes its version."""
        return any(fault.in_upgrade for fault in self.faults)


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of one scenario."""

    name: str
    seconds: float
    wrong: str = ""
    """Empty: all held."""
    notes: Mapping[str, str] = field(default_factory=dict)
