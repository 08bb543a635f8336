"""Azure's errors in our words. What is no error of Azure's SDK stays as it is: it is a bug.

Only code and message of an error travel on: requests and responses hold tokens.
"""

from __future__ import annotations

import re
from typing import Any, Final

from atoll.errors import (
    AtollError,
    Conflict,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Throttled,
    Unreachable,
)
from atoll.providers.managed.calling import read_delay

from .permissions import PERMISSIONS

ABSENT: Final = frozenset({"ResourceNotFound", "NotFound", "ResourceGroupNotFound", "ParentResourceNotFound"})
"""Codes with which Azure says that something is not there; another 404 may come from anything on the way."""
GROUP_ABSENT: Final = "ResourceGroupNotFound"
LONGEST_MESSAGE: Final = 1000
_REFERENCE: Final = "spec.provider.aks.credentialsSecretRef"
_NO_GOOD: Final = re.compile(r"AADSTS(7\d{5,6}|90002|900144|500011|5\d{4}|1002012)\b(?<!50196)")
"""Entra's codes for a login that stays wrong: applications, secrets, tenants, policies. 50196: too often."""
_QUOTA: Final = ("quota", "limitexceeded", "maximumnumberof")
_LASTING_CONFLICTS: Final = frozenset(
    {"ScopeLocked", "MissingSubscriptionRegistration", "ReadOnlyDisabledSubscription", "DisallowedOperation"}
)
"""409s that no waiting mends."""
_REMEDIES: Final = {
    "ScopeLocked": "Remove the lock",
    "MissingSubscriptionRegistration": "Register it: az provider register --namespace Microsoft.ContainerService",
    "SubscriptionNotFound": "Check spec.provider.aks.subscriptionID",
    "RequestDisallowedByPolicy": "Ask for an exemption from the policy, or declare what it allows",
}


def translate(error: Exception, call: str, subject: str) -> AtollError:
    """Return our error for one of Azure's SDK."""
    from azure.core import exceptions

    if isinstance(error, exceptions.HttpResponseError):
        return _translate_answer(error, call, subject)
    if isinstance(error, (exceptions.AzureError, OSError)):
        return Unreachable(f"Azure did not answer {call} of {subject}: {type(error).__name__}")
    raise error


def read_code(error: Any) -> str:
    """Return Azure's code of an error, or nothing."""
    return str(getattr(getattr(error, "error", None), "code", "") or "")


def is_absent(error: Any) -> bool:
    """Say whether Azure says that what was asked about is not there."""
    return getattr(error, "status_code", None) == 404 and read_code(error) in ABSENT


def _translate_answer(error: Any, call: str, subject: str) -> AtollError:
    from azure.core import exceptions

    status, code = int(error.status_code or 0), read_code(error)
    words = _read_words(error, code)
    what = f"{call} of {subject}: {words}"
    if status == 429 or code in {"TooManyRequests", "Throttled"}:
        return Throttled(what, delay=_read_delay(error))
    if status >= 500 or status == 408 or isinstance(error, exceptions.DecodeError):
        return Unreachable(f"Azure failed at {what}")
    if isinstance(error, exceptions.ClientAuthenticationError):
        return _translate_login(status, words, what)
    if status == 403 and code not in _REMEDIES:
        return _deny(call, subject, words)
    if any(word in f"{code} {words}".lower().replace(" ", "") for word in _QUOTA):
        return QuotaExceeded(f"{what}. Ask Azure for more quota in this location, or declare fewer or smaller nodes")
    if status == 412 or (status == 409 and code not in _LASTING_CONFLICTS):
        return Conflict(f"Azure is busy, or somebody else changed it: {what}")
    remedy = _REMEDIES.get(code, "Change what it names")
    return Refused(f"Azure refused {what}. {remedy}")


def _translate_login(status: int, words: str, what: str) -> AtollError:
    """Tell a login that is no good from one that nobody could judge: the answer of Entra is not always there."""
    if not status and not _NO_GOOD.search(words):
        return Unreachable(
            f"nobody logs us in to Azure: {what}. Where that lasts, check the Secret of {_REFERENCE}, or the workload "
            "identity of the operator"
        )
    return Refused(
        f"Azure does not know our login: {what}. Check tenant_id, client_id and client_secret in the Secret of "
        f"{_REFERENCE}, or the workload identity of the operator"
    )


def _deny(call: str, subject: str, words: str) -> AtollError:
    permission = PERMISSIONS.get(call)
    action = permission.action if permission is not None else ""
    need = f"action {action}" if action else call
    return PermissionDenied(
        f"Azure does not allow {need} on {subject}: {words}. Give our identity a role with this action at the resource "
        "group of spec.provider.aks.resourceGroup (docs/reference/clouds/aks.md has one)"
    )


def _read_words(error: Any, code: str) -> str:
    """Return code and message, innermost details included, and never what came with them."""
    told = getattr(error, "error", None)
    parts = [str(getattr(told, "message", "") or "")]
    parts += [f"{detail.code}: {detail.message}" for detail in getattr(told, "details", None) or ()]
    words = " ".join(part for part in parts if part)
    if not words:
        words = str(getattr(error, "message", "") or type(error).__name__)
    return (f"{code}: {words}" if code else words)[:LONGEST_MESSAGE]


def _read_delay(error: Any) -> float:
    """Return the seconds of Retry-After, or ours where there are none."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return read_delay(headers.get("Retry-After"))
