"""Who may do what in a child, computed from Tenants' manifests and from what the documents promise.

This is written beside the product, from docs/how-to/tenants.md, design.md (section 2, Tenant) and the documents of
Kubernetes, and imports nothing of it: a right that both sides get wrong in the same way would have to be misread twice.

| what                                                              | admin | developer | viewer |
|-------------------------------------------------------------------|-------|-----------|--------|
| what runs, how it is reached, scaled and kept up; its settings    | write | write     | read   |
| Secrets                                                           | write | read      | -      |
| accounts of the namespace                                         | write | read      | read   |
| into a pod, beside it, out of the node                            | yes   | yes       | -      |
| logs, events, addresses, measurements, and Atoll's bounds         | read  | read      | read   |
| rights, tokens, other namespaces, the cluster                     | -     | -         | -      |
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

READ: Final = frozenset({"get", "list", "watch"})
WRITE: Final = READ | {"create", "update", "patch", "delete", "deletecollection"}
VERBS: Final = (*sorted(WRITE), "*")
_NONE: Final[frozenset[str]] = frozenset()
_ROLES: Final = ("admin", "developer", "viewer")

_WORK: Final = {
    "": "pods services configmaps persistentvolumeclaims replicationcontrollers replicationcontrollers/scale",
    "apps": "deployments deployments/scale replicasets replicasets/scale statefulsets statefulsets/scale daemonsets",
    "autoscaling": "horizontalpodautoscalers",
    "batch": "jobs cronjobs",
    "coordination.k8s.io": "leases",
    "networking.k8s.io": "ingresses",
    "policy": "poddisruptionbudgets",
}
_LOOK: Final = {
    "": "events endpoints limitranges resourcequotas pods/log pods/status",
    "events.k8s.io": "events",
    "discovery.k8s.io": "endpointslices",
    "networking.k8s.io": "networkpolicies",
    "metrics.k8s.io": "pods",
}
_INTO: Final = {
    "pods/exec": {"create", "get"},
    "pods/attach": {"create", "get"},
    "pods/portforward": {"create", "get"},
    "pods/ephemeralcontainers": {"patch", "update"},
    "pods/eviction": {"create"},
}
_OF_EVERYBODY: Final = frozenset(
    {
        ("authorization.k8s.io", "selfsubjectaccessreviews"),
        ("authorization.k8s.io", "selfsubjectrulesreviews"),
        ("authentication.k8s.io", "selfsubjectreviews"),
    }
)
"""What Kubernetes lets whoever has logged in create: questions about oneself."""
_DISCOVERY: Final = frozenset({"/api", "/apis", "/apis/apps/v1", "/openapi/v2", "/openapi/v3"})
_HEALTH: Final = frozenset({"/healthz", "/livez", "/readyz", "/version"})
_KEYS: Final = frozenset({"/.well-known/openid-configuration", "/openid/v1/jwks"})
PATHS: Final = (*sorted(_DISCOVERY | _HEALTH | _KEYS), "/", "/metrics", "/logs", "/debug/pprof", "/configz", "/statusz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Somebody, and the role that he has in the namespaces of one tenant."""

    user: str
    groups: tuple[str, ...]
    tenant: str = ""
    role: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One question. Without a namespace it is about all of them, or about what has none."""

    verb: str
    group: str = ""
    resource: str = ""
    namespace: str = ""
    path: str = ""


def list_namespaces(tenant: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the namespaces that a Tenant's manifest asks for."""
    name = tenant["metadata"]["name"]
    found = []
    for environment in tenant["spec"]["environments"]:
        own = f"{name}--{environment['name']}"
        parts = [part["name"] for part in environment.get("namespaces", ())]
        found += [f"{own}--{part}" for part in parts] or [own]
    return tuple(found)


def list_subjects(tenants: Iterable[Mapping[str, Any]]) -> tuple[Subject, ...]:
    """Return everybody whom the manifests name, and some whom they do not."""
    subjects = [
        Subject(user="somebody", groups=("system:authenticated",)),
        Subject(user="system:anonymous", groups=("system:unauthenticated",)),
    ]
    for tenant in tenants:
        name = tenant["metadata"]["name"]
        subjects += [_account("atoll-system", f"{name}--{role}", name, role) for role in _ROLES]
        subjects += [_account(list_namespaces(tenant)[0], account, "", "") for account in ("default", f"{name}--admin")]
        for person in tenant["spec"]["members"]:
            is_group = person["kind"] == "Group"
            groups = ("system:authenticated", *((person["name"],) if is_group else ()))
            user = f"somebody of {person['name']}" if is_group else person["name"]
            subjects.append(Subject(user=user, groups=groups, tenant=name, role=person["role"]))
    return tuple(subjects)


def is_allowed(subject: Subject, cell: Cell, tenants: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether somebody may do something."""
    known = "system:authenticated" in subject.groups
    if cell.path:
        keys = "system:serviceaccounts" in subject.groups and cell.path in _KEYS
        return cell.verb == "get" and (cell.path in _HEALTH or keys or (known and cell.path in _DISCOVERY))
    if not cell.namespace:
        return known and cell.verb == "create" and (cell.group, cell.resource) in _OF_EVERYBODY
    own = [list_namespaces(tenant) for tenant in tenants if tenant["metadata"]["name"] == subject.tenant]
    if not any(cell.namespace in namespaces for namespaces in own):
        return False
    return cell.verb in _verbs(subject.role, cell.group, cell.resource)


def list_creatable() -> tuple[tuple[str, str], ...]:
    """Return group and resource of all that some role may create and that stays: what a quota has to count."""
    found = [(group, name) for group, names in _WORK.items() for name in names.split() if "/" not in name]
    return (*found, ("", "secrets"), ("", "serviceaccounts"))


def _verbs(role: str, group: str, resource: str) -> frozenset[str]:
    if resource in _WORK.get(group, "").split():
        return READ if role == "viewer" else WRITE
    if resource in _LOOK.get(group, "").split():
        return READ
    if (group, resource) == ("", "secrets"):
        return {"admin": WRITE, "developer": READ}.get(role, _NONE)
    if (group, resource) == ("", "serviceaccounts"):
        return WRITE if role == "admin" else READ
    if group == "" and role != "viewer":
        return frozenset(_INTO.get(resource, _NONE))
    return _NONE


def _account(namespace: str, name: str, tenant: str, role: str) -> Subject:
    groups = ("system:serviceaccounts", f"system:serviceaccounts:{namespace}", "system:authenticated")
    return Subject(user=f"system:serviceaccount:{namespace}:{name}", groups=groups, tenant=tenant, role=role)
