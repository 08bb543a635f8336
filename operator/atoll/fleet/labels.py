"""Label keys: which are not for people to set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

RESERVED_DOMAINS: Final = ("kubernetes.io", "k8s.io", "atoll.dev")
"""Label keys under these are not for people to set: Kubernetes and Atoll act on them."""


def is_reserved(key: str) -> bool:
    """Say whether a label key belongs to Kubernetes or to Atoll."""
    prefix, slash, _ = key.rpartition("/")
    return bool(slash) and any(prefix == domain or prefix.endswith(f".{domain}") for domain in RESERVED_DOMAINS)


def protected_keys(labels: Iterable[str]) -> tuple[str, ...]:
    """Return the copied keys for annotation `atoll.dev/protected-labels`: sorted, without those that a prefix protects.

    Join them with commas.
    """
    return tuple(sorted(key for key in labels if not is_reserved(key)))
