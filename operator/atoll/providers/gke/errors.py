"""Errors of Google's SDK in our words: what the cloud says is kept, and nothing of the request."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
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

from .permissions import NEEDS

_BUSY: Final = re.compile(
    r"incompatible operation|is currently \w+ing (the )?(cluster|node ?pool)|fingerprint mismatch|"
    r"please wait and try again once",
    re.IGNORECASE,
)
"""How GKE says that somebody else works on the cluster, or wrote first; the status is the one of bad requests."""
_QUOTA: Final = re.compile(r"insufficient \w+ quota|quota '?\w+'? exceeded|exceeded quota", re.IGNORECASE)
_BUSY_REASONS: Final = frozenset({"CLUSTER_ALREADY_HAS_OPERATION"})
_RATE_REASONS: Final = frozenset({"RATE_LIMIT_EXCEEDED", "rateLimitExceeded"})
_TIMES: Final = frozenset({408, 500, 502, 503, 504})


def translate(error: Exception, call: str, subject: str) -> AtollError:
    """Return an error of the SDK in our words; a bug of ours is raised as it is."""
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from google.protobuf import json_format

    if isinstance(error, api.GoogleAPICallError):
        return _translate_answer(error, call, subject)
    if isinstance(error, auth.RefreshError) and not error.retryable:
        return PermissionDenied(
            f"Google does not take Atoll's login for {call}{_read_grant_error(error)}: renew service_account.json in "
            "the Secret of credentialsSecretRef, or bind the workload identity"
        )
    if isinstance(
        error, auth.GoogleAuthError | requests.exceptions.RequestException | json_format.ParseError | OSError
    ):
        return Unreachable(f"GKE gave no answer to {call} of {subject} ({type(error).__name__})")
    raise error


def _translate_answer(error: Any, call: str, subject: str) -> AtollError:
    code, words, reason = int(error.code or 0), read_words(error), str(error.reason or "")
    about = f"GKE, {call} of {subject}: {words}"
    if code in {403, 429} and _QUOTA.search(words):
        return QuotaExceeded(f"{about} Ask for more quota, or declare less")
    if code == 429 or reason in _RATE_REASONS:
        return Throttled(about, delay=_find_delay(error))
    if code == 409 or code == 412 or reason in _BUSY_REASONS or _BUSY.search(words):
        return Conflict(about)
    if code in _TIMES or code < 400:
        return Unreachable(about)
    if code == 401:
        return PermissionDenied(f"{about} Renew service_account.json in the Secret of credentialsSecretRef")
    if code == 403:
        need = NEEDS.get(call)
        grant = f" Grant Atoll's account {need.permission} there, {need.why}" if need else ""
        return PermissionDenied(f"{about}{grant}")
    return Refused(about)


def read_words(error: Any) -> str:
    """Return what the cloud says, without method and address of the request."""
    text = str(error.message)
    method, separator, words = text.partition(": ")
    told = words if separator and "://" in method else text
    return told if told.endswith((".", "!", "?")) else f"{told}."


def _find_delay(error: Any) -> float:
    headers: Mapping[str, str] = getattr(error.response, "headers", None) or {}
    details: Sequence[Mapping[str, Any]] = error.details or ()
    said = (headers.get("Retry-After"), *(detail.get("retryDelay") for detail in details))
    return read_delay(*(str(text).removesuffix("s") for text in said))


def _read_grant_error(error: Exception) -> str:
    """Return the token endpoint's error code, and none of its text: it may hold what was sent to it."""
    match = re.match(
        r"(invalid_grant|invalid_client|unauthorized_client|invalid_scope)\b", str(error.args[0] if error.args else "")
    )
    return f" ({match[1]})" if match else ""
