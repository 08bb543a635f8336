"""What the kubeadm provider asks of the management plane: who its hosts are, and what ConfigMaps say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from atoll.hosts.access import HostAccess
from atoll.ports import ClusterRef


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedHost:
    """A host that a cluster has claimed."""

    node_name: str
    """Name of its node: the host's name in its pool."""
    role: str
    """ControlPlane | Worker."""
    access: HostAccess
    paused: bool = False


class Surroundings(Protocol):
    """Implemented by the shell from its cache and store."""

    async def hosts(self, ref: ClusterRef) -> tuple[ClaimedHost, ...]:
        """Return the hosts that `ref.id` has claimed, control plane first, then by name."""
        ...

    async def config_map(self, fleet: str, name: str) -> Mapping[str, str]:
        """Return the data of a ConfigMap of the fleet; Refused where there is none."""
        ...
