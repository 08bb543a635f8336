"""What an attempt to escape is: a request that a tenant must not get through, and what it is that stops it.

An attempt is data. It names who asks (see `conftest.py` for the fleet), what is asked, and its guards in the order in
which a server comes to them. The first guard must be the one that refuses, recognised by status, reason and words, so
that a mistyped URL cannot pass as a refusal. Then each guard is lifted in turn: while one is left it must refuse, and
with the last one gone the very same request must be accepted. An attempt whose control is refused proves nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from tests.e2e.tenancy.escapes_client import Call, Json


class Guard(Enum):
    """What may stop a request."""

    AUTHENTICATION = "Authentication"
    RBAC = "Rbac"
    ACCOUNT = "ServiceAccount"
    POD_SECURITY = "PodSecurity"
    POLICY = "Policy"
    QUOTA = "Quota"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One attempt."""

    group: str
    """Class of reliability.md, row 7: E1 to E18."""
    name: str
    who: str
    """Key of a login."""
    call: Call
    guards: tuple[Guard, ...]
    at: str = ""
    """Server that is asked; absent: the one that the login is for."""
    control: str = ""
    """Key of the login that succeeds, where the guard is the login itself."""
    control_status: tuple[int, ...] = ()
    """What else than success tells that the request came through, e.g. 404 for an object that need not be there."""

    @property
    def title(self) -> str:
        """Return the class and the name."""
        return f"{self.group}: {self.name}"

    @property
    def namespace(self) -> str:
        """Return the namespace that is asked about; empty for none."""
        parts = self.call.path.split("/")
        return parts[parts.index("namespaces") + 1] if "namespaces" in parts[:-1] else ""


RBAC: Final = (Guard.RBAC,)
RBAC_POLICY: Final = (Guard.RBAC, Guard.POLICY)
POLICY: Final = (Guard.POLICY,)
QUOTA: Final = (Guard.QUOTA,)
POLICY_QUOTA: Final = (Guard.POLICY, Guard.QUOTA)
POD_SECURITY: Final = (Guard.POD_SECURITY,)
POD_SECURITY_POLICY: Final = (Guard.POD_SECURITY, Guard.POLICY)
AUTHENTICATION: Final = (Guard.AUTHENTICATION,)

ADMIN: Final = "shop admin"
DEVELOPER: Final = "shop developer"
VIEWER: Final = "shop viewer"
OTHER: Final = "shop-x admin"
INSIDE: Final = "robot in shop--dev"
VAULT: Final = "vault admin"
OWN: Final = "shop--dev"
OTHERS: Final = "shop-x--dev"
SYSTEM: Final = "atoll-system"

_GROUPS: Final = {
    "apps": "apps/v1",
    "autoscaling": "autoscaling/v2",
    "batch": "batch/v1",
    "coordination": "coordination.k8s.io/v1",
    "discovery": "discovery.k8s.io/v1",
    "networking": "networking.k8s.io/v1",
    "policy": "policy/v1",
    "rbac": "rbac.authorization.k8s.io/v1",
}


def path(namespace: str, resource: str, name: str = "", subresource: str = "", *, group: str = "") -> str:
    """Return the path of an object or a collection; `group` is short for a group of `_GROUPS`, or itself."""
    root = f"/apis/{_GROUPS.get(group, group)}" if group else "/api/v1"
    place = f"/namespaces/{namespace}" if namespace else ""
    return "/".join(part for part in (f"{root}{place}/{resource}", name, subresource) if part)


def body(kind: str, name: str, *, group: str = "", labels: Mapping[str, str] | None = None, **rest: Any) -> Json:
    """Return an object."""
    metadata: Json = {"name": name}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": _GROUPS.get(group, group) or "v1", "kind": kind, "metadata": metadata, **rest}


def config_map(name: str = "planted") -> Json:
    """Return a ConfigMap."""
    return body("ConfigMap", name, data={"planted": "yes"})


def pod(name: str = "planted", *, container: Mapping[str, Any] | None = None, safe: bool = False, **spec: Any) -> Json:
    """Return a small pod; `safe` meets the restricted standard."""
    inside: Json = {"name": "main", "image": "registry.k8s.io/pause:3.10"}
    if safe:
        inside["securityContext"] = {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "runAsNonRoot": True,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
    inside.update(container or {})
    return body("Pod", name, spec={"containers": [inside], **spec})


def service(name: str = "planted", **spec: Any) -> Json:
    """Return a Service."""
    return body("Service", name, spec={"selector": {"app": "web"}, "ports": [{"port": 80}], **spec})


def deployment(name: str = "planted", **template: Any) -> Json:
    """Return a Deployment without replicas; `template` goes into its pods' spec."""
    labels = {"app": name}
    spec = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}], **template}
    return body(
        "Deployment",
        name,
        group="apps",
        spec={
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    )


def token_request() -> Json:
    """Return a TokenRequest."""
    return {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}


def attempt(group: str, name: str, who: str, call: Call, guards: tuple[Guard, ...] = RBAC, **more: Any) -> Attempt:
    """Return an attempt; the tables read better without names of fields."""
    return Attempt(group=group, name=name, who=who, call=call, guards=guards, **more)


def patch_labels(labels: Mapping[str, str | None]) -> Json:
    """Return a merge patch of labels; None takes one away."""
    return {"metadata": {"labels": dict(labels)}}


def get(where: str, headers: Mapping[str, str] | None = None, **query: str) -> Call:
    """Read."""
    return Call(method="GET", path=where, query=query, headers=headers or {})


def post(where: str, what: Json, **query: str) -> Call:
    """Create."""
    return Call(method="POST", path=where, body=what, query=query)


def put(where: str, what: Json) -> Call:
    """Replace."""
    return Call(method="PUT", path=where, body=what)


def patch(where: str, what: Json | Sequence[Any], content_type: str = "", **query: str) -> Call:
    """Patch."""
    return Call(method="PATCH", path=where, body=what, content_type=content_type, query=query)


def delete(where: str) -> Call:
    """Delete."""
    return Call(method="DELETE", path=where)
