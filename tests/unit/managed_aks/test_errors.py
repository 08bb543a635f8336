"""Azure's errors in our words: real errors of its SDK, made from answers as they travel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from azure.core import exceptions
from azure.mgmt.core.exceptions import ARMErrorFormat

from atoll.errors import (
    AtollError,
    Conflict,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Throttled,
    Unreachable,
)
from atoll.providers.aks.errors import is_absent, translate

PUT = "managed_clusters.begin_create_or_update"


class Answer:
    """As much of an answer as the SDK's errors look at."""

    def __init__(self, status: int, body: Any, headers: Mapping[str, str]) -> None:
        self.status_code = status
        self.reason = "Because"
        self.headers = headers
        self._body = body

    def text(self, encoding: str = "") -> str:
        return self._body if isinstance(self._body, str) else json.dumps(self._body)


def fail(
    status: int,
    code: str = "",
    message: str = "no",
    *,
    kind: type[exceptions.HttpResponseError] = exceptions.HttpResponseError,
    details: Any = (),
    bare: bool = False,
    **headers: str,
) -> exceptions.HttpResponseError:
    error = {"code": code, "message": message, "details": list(details)}
    body = error if bare else {"error": error}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return kind(response=Answer(status, body if code else "<html>", named), error_format=ARMErrorFormat)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (fail(429, "SubscriptionRequestsThrottled"), Throttled),
        (fail(500, "InternalServerError"), Unreachable),
        (fail(503), Unreachable),
        (fail(408), Unreachable),
        (fail(409, "OperationNotAllowed", bare=True), Conflict),
        (fail(412, "PreconditionFailed", kind=exceptions.ResourceModifiedError), Conflict),
        (fail(412, "PreconditionFailed", kind=exceptions.ResourceExistsError), Conflict),
        (fail(400, "QuotaExceeded"), QuotaExceeded),
        (fail(400, "ErrCode_InsufficientVCPUQuota", bare=True), QuotaExceeded),
        (fail(409, "OperationNotAllowed", "exceeding approved Total Regional Cores quota"), QuotaExceeded),
        (fail(403, "AuthorizationFailed"), PermissionDenied),
        (fail(403, "LinkedAuthorizationFailed"), PermissionDenied),
        (fail(403, "RequestDisallowedByPolicy"), Refused),
        (fail(409, "ScopeLocked"), Refused),
        (fail(409, "MissingSubscriptionRegistration"), Refused),
        (fail(400, "InvalidParameter", bare=True), Refused),
        (fail(404, "SubscriptionNotFound"), Refused),
        (fail(401, "InvalidAuthenticationToken", kind=exceptions.ClientAuthenticationError), Refused),
        (exceptions.ServiceRequestError("no route"), Unreachable),
        (exceptions.ServiceResponseError("cut"), Unreachable),
        (exceptions.DecodeError("half a body"), Unreachable),
        (ConnectionResetError(), Unreachable),
        (exceptions.ClientAuthenticationError("Authentication failed: AADSTS7000215: Invalid client secret"), Refused),
        (exceptions.ClientAuthenticationError("Authentication failed: AADSTS90033: transient"), Unreachable),
        (exceptions.ClientAuthenticationError("Authentication failed: AADSTS50196: loop"), Unreachable),
        (exceptions.ClientAuthenticationError("no credential in the chain"), Unreachable),
    ],
)
def test_each_error_is_one_of_ours(error: Exception, expected: type[AtollError]) -> None:
    assert type(translate(error, PUT, "atoll-x")) is expected


def test_a_refusal_names_action_and_resource_and_the_remedy() -> None:
    message = "The client 'x' does not have authorization to perform action 'a/write' over scope '/subscriptions/s'"
    told = str(translate(fail(403, "AuthorizationFailed", message), PUT, "atoll-x"))
    for words in ("Microsoft.ContainerService/managedClusters/write", "atoll-x", message, "role"):
        assert words in told


@pytest.mark.parametrize(("header", "delay"), [("17", 17.0), ("0.2", 0.2), ("", 5.0), ("soon", 5.0)])
def test_throttling_says_how_long(header: str, delay: float) -> None:
    told = translate(fail(429, "TooManyRequests", Retry_After=header), PUT, "x")
    assert isinstance(told, Throttled)
    assert told.delay == delay


def test_the_innermost_words_are_told() -> None:
    details = [{"code": "SubnetIsFull", "message": "10.0.0.0/24 has no address left"}]
    assert "SubnetIsFull: 10.0.0.0/24" in str(translate(fail(400, "Bad", details=details), PUT, "x"))


def test_only_azures_own_word_makes_something_absent() -> None:
    assert is_absent(fail(404, "ResourceNotFound", kind=exceptions.ResourceNotFoundError))
    assert is_absent(fail(404, "ResourceGroupNotFound"))
    assert not is_absent(fail(404, "SubscriptionNotFound"))
    assert not is_absent(fail(404))
    assert not is_absent(fail(403, "ResourceNotFound"))


def test_a_bug_of_ours_stays_one() -> None:
    with pytest.raises(KeyError):
        translate(KeyError("x"), PUT, "x")
