"""What Atoll may do in its management cluster, and what people may: the one source for `atoll up` and the chart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from .kinds import KINDS
from .meta import GROUP

Body = dict[str, Any]

RBAC: Final = "rbac.authorization.k8s.io"
LABELS: Final = {"app.kubernetes.io/name": "atoll", "app.kubernetes.io/component": "rights"}
READ: Final = ("get", "list", "watch")
MADE_BY_ATOLL: Final = ("childclusters", "hosts", "rollouts")
WRITTEN_BY_PEOPLE: Final = ("clustersets", "hostpools", "environments", "tenants", "regimes")


def build_fleet_rules() -> tuple[Body, ...]:
    """Build what the operator needs inside of each fleet's namespace, and nothing that it does not use."""
    kinds = tuple(kind.plural for kind in KINDS if kind.has_status)
    return (
        _rule(GROUP, kinds, *READ, "update", "patch"),
        _rule(GROUP, ("approvals",), *READ),
        _rule(GROUP, tuple(f"{plural}/status" for plural in kinds), "get", "update", "patch"),
        _rule(GROUP, tuple(f"{plural}/finalizers" for plural in kinds), "update"),
        _rule(GROUP, MADE_BY_ATOLL, "create", "delete"),
        _rule("", ("secrets",), *READ, "create", "patch", "delete"),
        # Written: the records of rollouts.
        _rule("", ("configmaps",), *READ, "create", "patch"),
        _rule("events.k8s.io", ("events",), "create", "patch"),
        _rule("coordination.k8s.io", ("leases",), *READ, "create", "update", "patch"),
    )


def build_cluster_rules() -> tuple[Body, ...]:
    """Build what the operator needs beside its fleets."""
    return (
        _rule("", ("namespaces",), *READ),
        _rule("apiextensions.k8s.io", ("customresourcedefinitions",), *READ),
    )


def build_cluster_role(name: str, rules: Sequence[Body], labels: dict[str, str] | None = None) -> Body:
    """Build a ClusterRole."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name, "labels": {**LABELS, **(labels or {})}},
        "rules": list(rules),
    }


def build_cluster_role_binding(name: str, role: str, subject: Body) -> Body:
    """Build a ClusterRoleBinding; `subject` as RBAC wants it."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name, "labels": dict(LABELS)},
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def build_operator_rights(subject: Body) -> tuple[Body, ...]:
    """Build the operator's role and its binding, for all fleets of a management cluster."""
    rules = (*build_fleet_rules(), *build_cluster_rules())
    return (
        build_cluster_role("atoll-operator", rules),
        build_cluster_role_binding("atoll-operator", "atoll-operator", subject),
    )


def build_people_roles() -> tuple[Body, ...]:
    """Build roles that add our kinds to the built-in view, edit and admin."""
    every = tuple(kind.plural for kind in KINDS)
    return (
        build_cluster_role("atoll-view", (_rule(GROUP, every, *READ),), _aggregate("view", "edit", "admin")),
        build_cluster_role(
            "atoll-edit",
            (
                _rule(GROUP, WRITTEN_BY_PEOPLE, "create", "update", "patch", "delete", "deletecollection"),
                _rule(GROUP, ("rollouts",), "update", "patch"),
            ),
            _aggregate("edit", "admin"),
        ),
        build_cluster_role(
            "atoll-admin",
            (
                _rule(GROUP, ("approvals",), "create", "delete"),
                # For the annotations abandon and take-over; policy keeps the rest.
                _rule(GROUP, ("childclusters",), "update", "patch"),
            ),
            _aggregate("admin"),
        ),
    )


def _aggregate(*roles: str) -> dict[str, str]:
    return {f"{RBAC}/aggregate-to-{role}": "true" for role in roles}


def _rule(group: str, resources: Sequence[str], *verbs: str) -> Body:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
