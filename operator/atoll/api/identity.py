"""Who Atoll is towards its management cluster, and which annotations people steer it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

GARBAGE_COLLECTOR: Final = "system:serviceaccount:kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER: Final = "system:serviceaccount:kube-system:namespace-controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """User names and groups that are Atoll itself, as the management cluster reports them."""

    usernames: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


def build_service_account_username(namespace: str, name: str) -> str:
    """Return the user name of a service account."""
    return f"system:serviceaccount:{namespace}:{name}"
