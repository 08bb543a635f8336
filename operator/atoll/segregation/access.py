"""Who may do what in a tenant's namespaces: one ServiceAccount per role, and bindings to the fixed roles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.names import SYSTEM_NAMESPACE
from atoll.fleet.spec import TenantMember

from .metadata import ROLES, Labels, build_metadata
from .roles import role_name

_RBAC = "rbac.authorization.k8s.io"


def account_name(tenant: str, role: str) -> str:
    """Return the name of the ServiceAccount that plays a role of a tenant."""
    return f"{tenant}--{role}"


def build_accounts(tenant: str, labels: Labels | None = None) -> list[dict[str, Any]]:
    """Build a tenant's ServiceAccounts. They live beside Atoll, where no tenant can mint tokens for them."""
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": build_metadata(account_name(tenant, role), SYSTEM_NAMESPACE, tenant=tenant, labels=labels),
            "automountServiceAccountToken": False,
        }
        for role in ROLES
    ]


def build_bindings(
    placement: Placement, members: Iterable[TenantMember], labels: Labels | None = None
) -> list[dict[str, Any]]:
    """Build one binding per role in the namespace: to its members, and to the role's ServiceAccount."""
    members = tuple(members)
    return [_build_binding(placement, role, [item for item in members if item.role == role], labels) for role in ROLES]


def _build_binding(
    placement: Placement, role: str, members: list[TenantMember], labels: Labels | None
) -> dict[str, Any]:
    account = {
        "kind": "ServiceAccount",
        "name": account_name(placement.tenant, role),
        "namespace": SYSTEM_NAMESPACE,
    }
    # Admission refuses names that belong to Kubernetes; whatever slipped past it gets nothing here.
    people = sorted((item.kind, item.name) for item in members if not item.name.startswith("system:"))
    subjects = [{"kind": kind, "apiGroup": _RBAC, "name": name} for kind, name in people if kind in {"Group", "User"}]
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "RoleBinding",
        "metadata": build_metadata(
            role_name(role),
            placement.namespace,
            tenant=placement.tenant,
            environment=placement.environment,
            labels=labels,
        ),
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role_name(role)},
        "subjects": [account, *subjects],
    }
