"""The seams between deciding and doing: what the shell needs from the world, as Protocols.

A provider makes, changes and removes one real cluster. Long work is split in two: `start` returns as soon as the work
is under way and may be repeated with the same operation id at any time (after a crash, after a lost reply) without
doing anything twice; `observe` tells what is there and how far the operation with that id has come. Providers know
nothing of sets, waves, tenants or statuses. `tests/contract` holds the suite that every provider must pass. FROZEN:
see docs/explanation/architecture.md before changing a signature. The values that cross the seam are in
`atoll.fleet.cluster`, so that the core can read them too.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from atoll.fleet.cluster import (
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    ProviderInfo,
    RevertPoint,
    WantedCluster,
)

__all__ = [
    "Body",
    "Clock",
    "ClusterRef",
    "Finding",
    "ObservedCluster",
    "Operation",
    "OperationProgress",
    "OperationState",
    "OperationType",
    "Presence",
    "Provider",
    "ProviderInfo",
    "RevertPoint",
    "WantedCluster",
]

Body = dict[str, Any]
"""One Kubernetes object as it travels: plain JSON types."""


class Provider(Protocol):
    """Makes, changes and removes real clusters of one kind. At most eight methods, none optional."""

    def info(self) -> ProviderInfo:
        """Say what this provider can do. No I/O."""
        ...

    async def versions(self) -> tuple[str, ...]:
        """List the Kubernetes versions that can be had now, oldest first; empty when any may be asked for."""
        ...

    async def preflight(self, wanted: WantedCluster, operation: Operation) -> tuple[Finding, ...]:
        """Find what would stop `operation`, changing nothing."""
        ...

    async def observe(self, ref: ClusterRef) -> ObservedCluster:
        """See what is there. Never raises for "cannot ask": that is `Presence.UNKNOWN` with a message."""
        ...

    async def start(self, wanted: WantedCluster, operation: Operation) -> None:
        """Begin or resume `operation` and return at once. A finished operation of the same id is not begun again."""
        ...

    async def kubeconfig(self, ref: ClusterRef) -> str:
        """Return a self-contained kubeconfig (YAML, secret) for Atoll's own identity in the cluster."""
        ...

    async def forget(self, ref: ClusterRef) -> None:
        """Stop looking after the cluster and leave it running (deletion policy Orphan)."""
        ...

    async def close(self) -> None:
        """Let go of connections and tasks; work under way becomes INTERRUPTED."""
        ...


class Clock(Protocol):
    """Where `now` comes from: read once per reconcile, at the edge."""

    def now(self) -> datetime:
        """Return the current time, in UTC, with its zone."""
        ...
