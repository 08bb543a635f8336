"""The fixed roles that tenants get in their namespaces.

| may                                                   | admin | developer | viewer |
|-------------------------------------------------------|-------|-----------|--------|
| workloads, Services, Ingresses, scaling, disruption   | write | write     | read   |
| ConfigMaps, PersistentVolumeClaims, Leases            | write | write     | read   |
| Secrets                                               | write | read      | none   |
| ServiceAccounts                                       | write | read      | read   |
| exec, attach, port-forward, ephemeral containers      | yes   | yes       | no     |
| logs, events, metrics, endpoints                      | read  | read      | read   |
| ResourceQuota, LimitRange, NetworkPolicy              | read  | read      | read   |
| Roles, RoleBindings, tokens, nodes, anything cluster-wide | no | no        | no     |

Nobody writes what keeps tenants apart, nobody hands rights on, and no rule has a wildcard: what a later Kubernetes
adds is not granted by accident. Endpoints are not written by tenants, because they reach into other namespaces
(CVE-2021-25740). A developer reads Secrets because anyone who starts a pod can mount them anyway.
"""

from __future__ import annotations

from typing import Any

from .metadata import ROLES, build_metadata

_READ = ("get", "list", "watch")
_WRITE = ("create", "delete", "deletecollection", "patch", "update")

_WORKLOADS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("configmaps", "persistentvolumeclaims", "pods", "replicationcontrollers", "services")),
    ("", ("replicationcontrollers/scale",)),
    ("apps", ("daemonsets", "deployments", "replicasets", "statefulsets")),
    ("apps", ("deployments/scale", "replicasets/scale", "statefulsets/scale")),
    ("autoscaling", ("horizontalpodautoscalers",)),
    ("batch", ("cronjobs", "jobs")),
    ("coordination.k8s.io", ("leases",)),
    ("networking.k8s.io", ("ingresses",)),
    ("policy", ("poddisruptionbudgets",)),
)
_READ_ONLY: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("endpoints", "events", "limitranges", "pods/log", "pods/status", "resourcequotas")),
    ("discovery.k8s.io", ("endpointslices",)),
    ("events.k8s.io", ("events",)),
    ("metrics.k8s.io", ("pods",)),
    ("networking.k8s.io", ("networkpolicies",)),
)


def role_name(role: str) -> str:
    """Return the name of a role's ClusterRole, and of its bindings."""
    return f"atoll:{role}"


def build_cluster_roles() -> list[dict[str, Any]]:
    """Build the three roles."""
    return [
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": build_metadata(role_name(role)),
            "rules": _build_rules(role),
        }
        for role in ROLES
    ]


def _build_rules(role: str) -> list[dict[str, Any]]:
    works = role in {"admin", "developer"}
    rules = [_rule(group, resources, (*_READ, *_WRITE) if works else _READ) for group, resources in _WORKLOADS]
    rules += [_rule(group, resources, _READ) for group, resources in _READ_ONLY]
    rules.append(_rule("", ("serviceaccounts",), (*_READ, *_WRITE) if role == "admin" else _READ))
    if works:
        rules.append(_rule("", ("secrets",), (*_READ, *_WRITE) if role == "admin" else _READ))
        # A WebSocket to these begins with GET, and Kubernetes checks the verb `create` for it as well.
        rules.append(_rule("", ("pods/attach", "pods/exec", "pods/portforward"), ("create", "get")))
        rules.append(_rule("", ("pods/ephemeralcontainers",), ("patch", "update")))
        rules.append(_rule("", ("pods/eviction",), ("create",)))
    return rules


def _rule(group: str, resources: tuple[str, ...], verbs: tuple[str, ...]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": sorted(verbs)}
