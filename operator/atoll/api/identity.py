"""Who Atoll is towards its management cluster, and which annotations people steer it with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

FLEET_LABEL: Final = "atoll.dev/fleet"
"""On a namespace, with the value "true": the namespace is a fleet."""
CONFIRM_DELETION: Final = "atoll.dev/confirm-deletion"
"""On a protected object, with its own name as value: it may be deleted."""
ABANDON: Final = "atoll.dev/abandon"
"""On a ChildCluster: skip what an unreachable cluster holds up."""
TAKE_OVER: Final = "atoll.dev/take-over"
"""On a ChildCluster: take the cluster from another hub or fleet."""
REQUESTED_BY: Final = "atoll.dev/requested-by"
"""On a ClusterSet or Rollout, set by policy: who changed its spec last."""

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
