"""Labels, annotations and names that several rooms share, and that people and other programs read."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

API_VERSION: Final = "atoll.dev/v1alpha1"
"""Of all our kinds."""

MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "atoll"
MANAGED_LABELS: Final[Mapping[str, str]] = MappingProxyType({MANAGED_BY: MANAGER})
"""On everything that Atoll makes."""

SYSTEM_NAMESPACE: Final = "atoll-system"
"""Atoll's own namespace: in each child for tenants' accounts, on the management cluster for the operator."""

OPERATORS_GROUP: Final = "atoll.dev:operators"
"""In the certificates that Atoll issues for itself, and in the policies that let it through."""

FLEET_LABEL: Final = "atoll.dev/fleet"
"""On a namespace, with the value "true": the namespace is a fleet."""
SET_LABEL: Final = "atoll.dev/cluster-set"
MEMBER_LABEL: Final = "atoll.dev/member"
TENANT_LABEL: Final = "atoll.dev/tenant"
ENVIRONMENT_LABEL: Final = "atoll.dev/environment"

PLACEMENT_LABEL: Final = "atoll.dev/placement"
"""On a tenant's namespace in a child: placed; leaving (its tenant moves out), emptied (nobody gets in any more, it goes
next), released (kept for its data alone)."""
BEING_LEFT: Final = frozenset({"leaving", "emptied"})
"""Values of PLACEMENT_LABEL with which it matters what still stands in the namespace."""
TENANT_UID: Final = "atoll.dev/tenant-uid"
"""Annotation on a tenant's namespace: UID of the Tenant; a later one of the same name does not inherit it."""
ADOPT: Final = "atoll.dev/adopt"
"""On a Tenant: `<cluster>/<namespace>`, comma-separated: take over these namespaces, whoever left them."""
RELEASE: Final = "atoll.dev/release"
"""On a Tenant: `<cluster>/<namespace>`, comma-separated: let go of these, although they are not empty."""

POOL_LABEL: Final = "atoll.dev/host-pool"

FINALIZER: Final = "atoll.dev/finalizer"
"""On every object that we must clean up after."""

CONFIRM_DELETION: Final = "atoll.dev/confirm-deletion"
"""On a protected object, with its own name as value: it may be deleted."""
ABANDON: Final = "atoll.dev/abandon"
"""On a ChildCluster: skip what an unreachable cluster holds up."""
TAKE_OVER: Final = "atoll.dev/take-over"
"""On a ChildCluster: take the cluster from another hub or fleet."""
HOLD: Final = "atoll.dev/hold"
"""On a Rollout: labels (`region=us`), comma-separated; members that have one are not begun."""
REQUESTED_BY: Final = "atoll.dev/requested-by"
"""On a ClusterSet or Rollout, set by policy: who changed its spec last."""
ROLLOUT_ANNOTATION: Final = "atoll.dev/rollout"
"""On a ChildCluster: the rollout that moved it last."""
PROTECTED_ANNOTATION: Final = "atoll.dev/protected-labels"
"""On a tenant's namespace in a child: which label keys are governance's."""
