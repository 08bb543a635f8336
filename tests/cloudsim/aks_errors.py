"""How Azure says no.

Two shapes meet on one wire: the resource manager wraps its errors in `error`, the AKS resource provider behind it does
not.
"""

from __future__ import annotations

from typing import Any

from .core import Answer


class Refused(Exception):
    """The call ends with this answer."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(str(answer.body))
        self.answer = answer


def manager_error(status: int, code: str, message: str, **headers: str) -> Refused:
    """Return a refusal of the resource manager. `headers` with underscores for dashes."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Refused(Answer(status=status, body={"error": {"code": code, "message": message}}, headers=named))


def provider_error(status: int, code: str, message: str, target: str = "") -> Refused:
    """Return a refusal of the AKS resource provider."""
    body: dict[str, Any] = {"code": code, "details": None, "message": message, "subcode": ""}
    if target:
        body["target"] = target
    return Refused(Answer(status=status, body=body))


def invalid_parameter(target: str, message: str) -> Refused:
    """Return a refusal of one value."""
    return provider_error(400, "InvalidParameter", message, target)


def not_allowed(message: str, status: int = 409) -> Refused:
    """Return OperationNotAllowed: 409 while something else is under way, 400 when the change itself is wrong."""
    return provider_error(status, "OperationNotAllowed", message)


def precondition_failed(what: str) -> Refused:
    """Return a refusal because of If-Match or If-None-Match."""
    return provider_error(412, "PreconditionFailed", what)


def resource_missing(kind: str, name: str, group: str) -> Refused:
    """Return the resource manager's 404 of one resource."""
    return manager_error(
        404,
        "ResourceNotFound",
        f"The Resource 'Microsoft.ContainerService/{kind}/{name}' under resource group '{group}' was not found. "
        "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
    )


def authorization_failed(client: str, action: str, scope: str) -> Refused:
    """Return the resource manager's 403; `client` is its application and object id in words."""
    return manager_error(
        403,
        "AuthorizationFailed",
        f"The client {client} does not have authorization to perform action '{action}' over scope '{scope}' or the "
        "scope is invalid. If access was recently granted, please refresh your credentials.",
    )
