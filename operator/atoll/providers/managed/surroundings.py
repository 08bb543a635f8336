"""What a provider of managed clusters asks of the management plane: what is declared, and the login to its cloud."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from atoll.ports import ClusterRef

AUTHORITY: Final = "endpoint_ca"
"""Key of the Secret with the PEM to trust, where the address is not one that everybody trusts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """What is declared of one cluster now."""

    settings: Mapping[str, Any]
    """The member's merged provider block. Where the cluster is (region, …) stays as it was when it was made."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Governance labels, for tags."""
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Content of the Secret that the block names; empty: workload identity. Secret."""
    endpoint: str = ""
    """Address to use instead of the cloud's own, where the operator allows any; providers only pass it on."""


class Surroundings(Protocol):
    """Implemented by the shell from its cache and store."""

    async def declared(self, ref: ClusterRef) -> Declared:
        """Read what is declared of a cluster; BadInput where a Secret is missing, Unreachable where nobody can tell."""
        ...
