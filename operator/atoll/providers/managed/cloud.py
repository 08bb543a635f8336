"""What the engine needs to know of a cloud: a pure part that decides, and a part that calls its SDK.

SDKs block, so everything in `Connection` runs in threads; each of its calls goes through a `Caller`, which knows the
account's budget. `look` is the only source of truth: nothing is remembered that the cloud does not say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from atoll.ports import ClusterRef, Finding, ObservedCluster, Operation, OperationType, ProviderInfo, WantedCluster

from .calling import Caller
from .moves import Call, Move
from .surroundings import Declared


class Seen(Protocol):
    """What one look has found; each cloud has its own."""

    @property
    def tags(self) -> Mapping[str, str]:
        """Tags or labels of the cluster itself, in the cloud's own spelling."""
        ...

    @property
    def server(self) -> str:
        """URL of its API server; empty while there is none."""
        ...

    @property
    def authority(self) -> str:
        """PEM of the authority of its API server."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A short-lived login to an API server. Secret."""

    text: str = field(repr=False)
    expires: datetime


SeenT = TypeVar("SeenT", bound=Seen)


class Connection(Protocol[SeenT]):
    """One account of a cloud. Its methods block, and raise only errors of `atoll.errors`."""

    def look(self, ref: ClusterRef) -> SeenT | None:
        """See what is there of a cluster; None: nothing."""
        ...

    def act(self, call: Call) -> None:
        """Make one call. Conflict where the cloud is busy with this cluster, or has made it already."""
        ...

    def inspect(self, wanted: WantedCluster, operation: Operation, seen: SeenT | None) -> tuple[Finding, ...]:
        """Ask the cloud what would be in the way of an operation."""
        ...

    def log_in(self, seen: SeenT) -> Token:
        """Get a token for the cluster's API server."""
        ...

    def close(self) -> None:
        """Let go of sockets and files; a call under way may fail."""
        ...


class Cloud(Protocol[SeenT]):
    """One cloud in its own vocabulary."""

    info: ProviderInfo
    success: Mapping[OperationType, str]
    """What people are told when an operation of a type has succeeded, where there is more to say than that."""

    def connect(self, declared: Declared, caller: Caller) -> Connection[SeenT]:
        """Open an account; makes no call. BadInput names what is missing in the Secret or the block."""
        ...

    def identify(self, declared: Declared) -> str:
        """Name the account and place whose calls are counted together (`eks/eu-west-1`); no secret. Pure."""
        ...

    def check(self, wanted: WantedCluster, operation: Operation, seen: SeenT | None) -> tuple[Finding, ...]:
        """Find what can be told without asking: fields that are missing, hops that cannot be. Pure."""
        ...

    def plan(self, wanted: WantedCluster, operation: Operation, seen: SeenT | None, now: datetime) -> Move:
        """Decide what comes next. Pure; `seen` is None where there is no cluster."""
        ...

    def summarise(self, declared: Declared, seen: SeenT, now: datetime) -> ObservedCluster:
        """Say what is there, drift included, and leave the operation out. Pure."""
        ...

    def login_command(self, declared: Declared, seen: SeenT) -> Mapping[str, Any]:
        """Return the `exec` block with which people log in with their own identity. Pure."""
        ...
