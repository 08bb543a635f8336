"""How GKE says no: google.rpc errors in JSON, with the texts that the real service is known to send.

Texts that no public report shows are marked as ours in a comment; providers must not take them apart.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

from .core import Answer

SERVICE: Final = "container.googleapis.com"
HTTP_OF: Final[Mapping[str, int]] = MappingProxyType(
    {
        "INVALID_ARGUMENT": 400,
        "FAILED_PRECONDITION": 400,
        "UNAUTHENTICATED": 401,
        "PERMISSION_DENIED": 403,
        "NOT_FOUND": 404,
        "ABORTED": 409,
        "ALREADY_EXISTS": 409,
        "RESOURCE_EXHAUSTED": 429,
        "INTERNAL": 500,
        "UNIMPLEMENTED": 501,
        "UNAVAILABLE": 503,
    }
)
RPC: Final = "type.googleapis.com/google.rpc."


@dataclass(kw_only=True, eq=False)
class Refusal(Exception):
    """The cloud says no; `wrong`: no correct client would have asked so."""

    status: str
    message: str
    details: tuple[Mapping[str, Any], ...] = ()
    wrong: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)

    def answer(self) -> Answer:
        """Return what travels."""
        code = HTTP_OF[self.status]
        request = {"@type": f"{RPC}RequestInfo", "requestId": f"0x{secrets.token_hex(8)}"}
        details = [*self.details, request]
        body = {"error": {"code": code, "message": self.message, "status": self.status, "details": details}}
        return Answer(status=code, body=body, headers=self.headers)


def invalid(message: str, *, wrong: bool = False) -> Refusal:
    """Refuse what cannot be."""
    return Refusal(status="INVALID_ARGUMENT", message=message, wrong=wrong)


def misshapen(violations: list[tuple[str, str]]) -> Refusal:
    """Refuse a request that is not of the API's shape: field and what is wrong with it."""
    message = "Invalid JSON payload received. " + " ".join(text for _, text in violations)
    named = [{"field": path, "description": text} for path, text in violations]
    details = ({"@type": f"{RPC}BadRequest", "fieldViolations": named},)
    return Refusal(status="INVALID_ARGUMENT", message=message, details=details, wrong=True)


def impossible(message: str) -> Refusal:
    """Refuse what cannot be now."""
    return Refusal(status="FAILED_PRECONDITION", message=message)


def busy(operation: str) -> Refusal:
    """Refuse because another operation works on the cluster. The real service says 400, not 409."""
    info = {
        "@type": f"{RPC}ErrorInfo",
        "reason": "CLUSTER_ALREADY_HAS_OPERATION",
        "domain": SERVICE,
    }
    message = f"Cluster is running incompatible operation {operation}."
    return Refusal(status="FAILED_PRECONDITION", message=message, details=(info,))


def stale(what: str) -> Refusal:
    """Refuse a wrong etag: the reference says ABORTED, the words are ours."""
    return Refusal(status="ABORTED", message=f"The etag of {what} does not match its current etag.")


def not_found(path: str) -> Refusal:
    """Say that it is not there."""
    return Refusal(status="NOT_FOUND", message=f"Not found: {path}.")


def already_exists(path: str) -> Refusal:
    """Say that the name is taken."""
    return Refusal(status="ALREADY_EXISTS", message=f"Already exists: {path}.")


def denied(permission: str, resource: str) -> Refusal:
    """Name the permission and the resource, as IAM's check inside GKE does."""
    message = f'Required "{permission}" permission(s) for "{resource}".'
    return Refusal(status="PERMISSION_DENIED", message=message)


def strange_project(project: str) -> Refusal:
    """Refuse a project that does not exist or that the caller may not see."""
    metadata = {"service": SERVICE, "consumer": f"projects/{project}"}
    info = {"@type": f"{RPC}ErrorInfo", "reason": "CONSUMER_INVALID", "domain": "googleapis.com", "metadata": metadata}
    message = f"Permission denied on resource project {project}."
    return Refusal(status="PERMISSION_DENIED", message=message, details=(info,))


def strange_location(location: str) -> Refusal:
    """Refuse a region or zone that does not exist."""
    message = f"Permission denied on 'locations/{location}' (or it may not exist)."
    return Refusal(status="PERMISSION_DENIED", message=message)


def throttled(kind: str, project: str, delay: float) -> Refusal:
    """Tell to come back later; `kind` is `Cluster write` or `Cluster read`."""
    limit = f"{kind} requests per minute"
    message = (
        f"Quota exceeded for quota metric '{kind} requests' and limit '{limit}' of service '{SERVICE}' for consumer "
        f"'projects/{project}'."
    )
    metadata = {"service": SERVICE, "consumer": f"projects/{project}", "quota_limit": limit.replace(" ", "")}
    details = (
        {
            "@type": f"{RPC}ErrorInfo",
            "reason": "RATE_LIMIT_EXCEEDED",
            "domain": "googleapis.com",
            "metadata": metadata,
        },
        {"@type": f"{RPC}QuotaFailure", "violations": [{"subject": f"project:{project}", "description": message}]},
        {"@type": f"{RPC}RetryInfo", "retryDelay": f"{delay:g}s"},
    )
    headers = {"Retry-After": f"{delay:g}"}
    return Refusal(status="RESOURCE_EXHAUSTED", message=message, details=details, headers=headers)


def over_quota(project: str) -> Refusal:
    """Say that Compute Engine's quota is used up. The real service says 403 PERMISSION_DENIED: only the words tell."""
    message = (
        "Insufficient regional quota to satisfy request: resource \"CPUS\": request requires '12.0' and is short "
        "'4.0'. project has a quota of '8.0' with '8.0' available. View and manage quotas at "
        f"https://console.cloud.google.com/iam-admin/quotas?usage=USED&project={project}."
    )
    return Refusal(status="PERMISSION_DENIED", message=message)


def unauthenticated(reason: str, method: str) -> Refusal:
    """Refuse a call without a good token."""
    missing = reason == "CREDENTIALS_MISSING"
    start = (
        "Request is missing required authentication credential."
        if missing
        else "Request had invalid authentication credentials."
    )
    message = (
        f"{start} Expected OAuth 2 access token, login cookie or other valid authentication credential. See "
        "https://developers.google.com/identity/sign-in/web/devconsole-project."
    )
    metadata = {"service": SERVICE, "method": f"google.container.v1.ClusterManager.{method}"}
    info = {"@type": f"{RPC}ErrorInfo", "reason": reason, "domain": "googleapis.com", "metadata": metadata}
    challenge = 'Bearer realm="https://accounts.google.com/"' + ("" if missing else ', error="invalid_token"')
    return Refusal(status="UNAUTHENTICATED", message=message, details=(info,), headers={"WWW-Authenticate": challenge})


def unimplemented(name: str) -> Refusal:
    """Say that this stand-in does not do the call, though the SDK has it."""
    return Refusal(status="UNIMPLEMENTED", message=f"{name} is not in this stand-in.", wrong=True)
