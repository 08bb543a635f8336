"""How to reach one host. The host key is pinned by people, never learned."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Jump:
    """A host to go through; the login key is the pool's."""

    address: str
    user: str
    host_key: str
    """Pinned public key: `ssh-ed25519 AAAA…`."""
    port: int = 22


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAccess:
    """Everything that a connection needs. Two equal values may share one connection."""

    name: str
    """Name of the Host object, for messages: `<pool>--<host>`."""
    address: str
    host_key: str
    """Pinned public key: `ssh-ed25519 AAAA…`."""
    private_key: str = field(repr=False)
    """OpenSSH or PEM text of the login key. Secret: stays in memory."""
    user: str = "root"
    port: int = 22
    sudo: bool = False
    """Run everything by `sudo -n`."""
    jump: Jump | None = None
