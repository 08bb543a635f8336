"""Each class of error of AWS in our words: what to do, and never a secret."""

from __future__ import annotations

import pytest
from botocore import exceptions as sdk

from atoll.errors import (
    AtollError,
    BadInput,
    Conflict,
    PermissionDenied,
    QuotaExceeded,
    Refused,
    Throttled,
    Unreachable,
)
from atoll.providers.eks.errors import is_gone, translate


def answer(code: str, message: str = "words", status: int = 400, **headers: str) -> sdk.ClientError:
    about = {"HTTPStatusCode": status, "HTTPHeaders": {key.replace("_", "-"): value for key, value in headers.items()}}
    return sdk.ClientError({"Error": {"Code": code, "Message": message}, "ResponseMetadata": about}, "CreateCluster")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (answer("ThrottlingException", status=429), Throttled),
        (answer("TooManyRequestsException"), Throttled),
        (answer("Whatever", status=429), Throttled),
        (answer("AccessDeniedException", status=403), PermissionDenied),
        (answer("UnrecognizedClientException", status=403), PermissionDenied),
        (answer("ExpiredTokenException", status=403), PermissionDenied),
        (answer("InvalidSignatureException", status=403), PermissionDenied),
        (answer("ResourceLimitExceededException"), QuotaExceeded),
        (answer("ResourceInUseException", status=409), Conflict),
        (answer("InvalidRequestException", "Cluster 'a' is not in ACTIVE status: it is UPDATING"), Conflict),
        (answer("InvalidRequestException", "Private and public endpoint access cannot be false"), Refused),
        (answer("InvalidStateException", "Amazon EKS detected readiness issues"), Refused),
        (answer("InvalidParameterException"), Refused),
        (answer("ResourceNotFoundException", status=404), Conflict),
        (answer("ServerException", status=500), Unreachable),
        (answer("ServiceUnavailableException", status=503), Unreachable),
        (answer("502", status=502), Unreachable),
        (sdk.EndpointConnectionError(endpoint_url="https://eks"), Unreachable),
        (sdk.ReadTimeoutError(endpoint_url="https://eks"), Unreachable),
        (sdk.ConnectTimeoutError(endpoint_url="https://eks"), Unreachable),
        (sdk.ConnectionClosedError(endpoint_url="https://eks"), Unreachable),
        (sdk.SSLError(endpoint_url="https://eks", error="certificate verify failed"), Unreachable),
        (sdk.NoCredentialsError(), BadInput),
        (sdk.CredentialRetrievalError(provider="assume-role", error_msg="no"), BadInput),
        (sdk.ParamValidationError(report="Invalid length"), Refused),
    ],
)
def test_each_error_has_its_class(error: Exception, kind: type[AtollError]) -> None:
    told = translate(error, "CreateCluster", "atoll-c1")
    assert type(told) is kind
    assert "CreateCluster" in str(told) or "atoll-c1" in str(told)


def test_who_is_throttled_waits_as_long_as_aws_asks() -> None:
    told = translate(answer("ThrottlingException", retry_after="7.5"), "ListUpdates", "atoll-c1")
    assert isinstance(told, Throttled)
    assert told.delay == 7.5
    told = translate(answer("ThrottlingException", retry_after="Wed, 21 Oct 2026 07:28:00 GMT"), "ListUpdates", "a")
    assert isinstance(told, Throttled)
    assert told.delay == 1.0


def test_a_missing_permission_names_action_and_resource_as_aws_does_or_else_as_we_know_them() -> None:
    words = (
        "User: arn:aws:iam::111122223333:user/atoll is not authorized to perform: iam:PassRole on resource: "
        "arn:aws:iam::111122223333:role/cluster because no identity-based policy allows the iam:PassRole action"
    )
    told = str(translate(answer("AccessDeniedException", words), "CreateCluster", "atoll-c1"))
    assert "does not allow us iam:PassRole on arn:aws:iam::111122223333:role/cluster:" in told
    told = str(translate(answer("AccessDeniedException", "no"), "CreateCluster", "atoll-c1"))
    assert "does not allow us eks:CreateCluster on atoll-c1:" in told


def test_only_eks_itself_can_say_that_there_is_nothing() -> None:
    assert is_gone(answer("ResourceNotFoundException", status=404))
    assert not is_gone(answer("404", status=404)), "a proxy on the way knows nothing of clusters"
    assert not is_gone(ValueError("x"))


def test_bugs_stay_what_they_are() -> None:
    with pytest.raises(KeyError):
        translate(KeyError("x"), "CreateCluster", "atoll-c1")
