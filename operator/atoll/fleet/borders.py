"""The borders between tenants on one cluster: what is tried, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

READS: Final = "reads"
WRITES: Final = "writes"
LABELS: Final = "labels"
QUOTA: Final = "quota"
ESCALATION: Final = "escalation"
NETWORK: Final = "network"

PAIR_ATTEMPTS: Final = (READS, WRITES, LABELS, QUOTA, ESCALATION)
"""What a tenant tries on another one, by the API."""
OWN_ATTEMPTS: Final = (LABELS, QUOTA, ESCALATION)
"""What a tenant tries on its own bounds: the wall around it holds from the inside, too."""

BORDER_CHECK: Final = "tenant-borders"
"""The check of a child's verification that sums up all borders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderCell:
    """One border, tried in one way."""

    subject: str
    """Tenant whose identity tried."""
    target: str
    """Tenant whose border was tried; the same as `subject` for its own bounds."""
    attempt: str
    """reads | writes | labels | quota | escalation | network."""
    result: str
    """Passed: refused by the API server. Failed: let through. Unknown: nobody can tell."""
    message: str = ""


Person = tuple[str, str]
"""Kind (User | Group) and name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderSide:
    """One tenant on one cluster."""

    tenant: str
    namespaces: tuple[str, ...] = ()
    accounts: tuple[str, ...] = ()
    """ServiceAccounts in `atoll-system` that are tried; none: the tenant has no access there, and is a target alone."""
    people: tuple[Person, ...] = ()
    """Members that bindings name which are not Atoll's: they are tried, too."""
    members: frozenset[Person] = frozenset()
    """All that Atoll lets in."""

    @property
    def identities(self) -> tuple[str | Person, ...]:
        """All who are tried: accounts by name, and people."""
        return (*self.accounts, *self.people)

    def list_identities(self, target: BorderSide) -> tuple[str | Person, ...]:
        """List who is tried on a tenant: not those whom it lets in itself."""
        return (*self.accounts, *(person for person in self.people if self == target or person not in target.members))


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderPlan:
    """Which borders are tried in one run."""

    digest: str
    """Of what grants rights in the cluster, as it was seen when this was planned."""
    sides: Mapping[str, BorderSide] = field(default_factory=dict)
    """By tenant."""
    pairs: tuple[tuple[str, str], ...] = ()
    """(subject, target): those first that matter most."""
    waiting: int = 0
    """Cells that are left to later runs, because there are too many pairs."""
    quotas: Mapping[str, str] = field(default_factory=dict)
    """Name of the ResourceQuota of each namespace that has one."""
    network: str = ""
    """Why nobody can tell whether traffic between tenants is refused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BorderRun:
    """What one run has found; of the cells that passed only the number is kept."""

    time: datetime
    digest: str
    tried: int
    """Cells that were told: refused, or let through."""
    red: tuple[BorderCell, ...] = ()
    unknown: int = 0
    """Cells of which nobody can tell, those of the network included."""
    doubt: str = ""
    """Why the first cell could not be told that should have been; empty: all that could be told were."""
    doubts: int = 0
    """How many such cells there are: they are tried again soon."""
    doubtful_runs: int = 0
    """How many runs in a row left doubts: the pause before the next one grows with them."""
    waiting: int = 0
    network: str = ""
    confirmed: bool = False
    """An earlier run has seen the same rights: what a server learned late is known by now."""


def sum_up(plan: BorderPlan, cells: tuple[BorderCell, ...], now: datetime, *, before: BorderRun | None) -> BorderRun:
    """Sum up the cells of one run; `before`: the run before it."""
    doubts = [cell for cell in cells if cell.result == "Unknown" and cell.attempt != NETWORK]
    first = doubts[0] if doubts else None
    doubtful_before = before.doubtful_runs if before is not None else 0
    return BorderRun(
        time=now,
        digest=plan.digest,
        tried=sum(cell.result != "Unknown" for cell in cells),
        red=tuple(cell for cell in cells if cell.result == "Failed"),
        unknown=sum(cell.result == "Unknown" for cell in cells),
        doubt=f"{name_cell(first)}: {first.message}" if first is not None else "",
        doubts=len(doubts),
        doubtful_runs=doubtful_before + 1 if doubts else 0,
        waiting=plan.waiting,
        network=plan.network if any(cell.attempt == NETWORK for cell in cells) else "",
        confirmed=before is not None and before.digest == plan.digest,
    )


def name_cell(cell: BorderCell) -> str:
    """Name a cell for people: who, whose, what."""
    whose = "its own bounds" if cell.subject == cell.target else f"tenant {cell.target}"
    return f"tenant {cell.subject} on {whose} ({cell.attempt})"
