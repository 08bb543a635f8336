"""What the provider asks of the management plane: where a member's kubeconfig stands, and which cluster it must be."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from atoll.ports import ClusterRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A kubeconfig as its owner wrote it."""

    text: str = field(repr=False)
    """Secret, and not checked yet."""
    where: str
    """Where it stands, for messages."""


class Surroundings(Protocol):
    """Implemented by the shell from its cache and store."""

    def pinned(self, ref: ClusterRef) -> str | None:
        """Return the UID that the cluster is pinned to, "" while nobody has been there; None: no such ChildCluster."""
        ...

    async def kubeconfig(self, ref: ClusterRef) -> Source:
        """Read the member's kubeconfig; BadInput where there is none, Unreachable where nobody can tell."""
        ...
