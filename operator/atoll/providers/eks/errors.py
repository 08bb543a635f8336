"""The SDK's errors in our words.

What AWS says is passed on, because it names what is wrong better than we could; what was sent is not, because it may
hold a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

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
from atoll.providers.managed.calling import read_delay

from .settings import FIELD

THROTTLED: Final = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
    }
)
THROTTLED_SECONDS: Final = 1.0
"""How long to wait where AWS names no time; the budget of the account halves beside."""
DENIED: Final = frozenset({"AccessDeniedException", "AccessDenied", "UnauthorizedOperation", "UnauthorizedException"})
NOT_BELIEVED: Final = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "IncompleteSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "OptInRequired",
    }
)
QUOTA: Final = frozenset({"ResourceLimitExceededException", "LimitExceededException", "ServiceQuotaExceededException"})
BUSY: Final = frozenset({"ResourceInUseException", "ConflictException", "ResourcePropagationDelayException"})
GONE: Final = frozenset({"ResourceNotFoundException", "NotFoundException"})
UNAVAILABLE: Final = frozenset(
    {"ServerException", "ServiceUnavailableException", "ServiceUnavailable", "InternalFailure", "InternalServerError"}
)
_BUSY_WORDS: Final = re.compile(
    r"not (?:currently )?(?:in )?(?:an? )?active|in progress|is currently|while it is|is being", re.IGNORECASE
)
_NAMES: Final = re.compile(r"not authorized to perform: (?P<action>[\w:*-]+)(?: on resource: (?P<resource>\S+))?")


def is_gone(error: Exception) -> bool:
    """Say whether EKS knows nothing by that name; a 404 from anybody else on the way says nothing."""
    return read_code(error) in GONE


def read_code(error: Exception) -> str:
    """Return the code of an error that AWS answered; empty for any other."""
    response = getattr(error, "response", None)
    return str(response.get("Error", {}).get("Code", "")) if isinstance(response, Mapping) else ""


def translate(error: Exception, call: str, subject: str) -> AtollError:
    """Turn an error of boto3 into ours; raises it as it is where it is none of boto3's."""
    from botocore import exceptions as sdk

    if isinstance(error, sdk.ClientError):
        return _translate_answer(error.response, call, subject)
    if isinstance(error, sdk.NoCredentialsError | sdk.PartialCredentialsError | sdk.CredentialRetrievalError):
        return BadInput(
            f"AWS cannot be asked for {subject}, because nobody is logged in: name a Secret in "
            f"{FIELD}.credentialsSecretRef, or give the operator's service account a role of IAM",
            field=f"{FIELD}.credentialsSecretRef",
        )
    if isinstance(error, sdk.ParamValidationError):
        return Refused(f"{call} of {subject} cannot be asked like this: {error}")
    if isinstance(error, sdk.NoRegionError | sdk.InvalidRegionError):
        return BadInput(f"{FIELD}.region is no region of AWS: write one such as eu-west-1", field=f"{FIELD}.region")
    if isinstance(error, sdk.BotoCoreError):
        return Unreachable(f"AWS did not answer {call} of {subject}: {_shorten(str(error))}")
    raise error


def _translate_answer(response: Mapping[str, Any], call: str, subject: str) -> AtollError:
    said, about = response.get("Error", {}), response.get("ResponseMetadata", {})
    code, words = str(said.get("Code", "")), _shorten(str(said.get("Message", "")))
    status = int(about.get("HTTPStatusCode", 0))
    told = f"{call} of {subject}: {code}: {words}"
    if code in THROTTLED or status == 429:
        return Throttled(f"AWS has heard enough for a moment; {told}", delay=_read_delay(about))
    if code in NOT_BELIEVED:
        return PermissionDenied(
            f"AWS does not believe who we are; {told}. Check the Secret of {FIELD}.credentialsSecretRef (or the role "
            "of the operator's pod), and the operator's clock"
        )
    if code in DENIED:
        return PermissionDenied(_describe_denial(words, call, subject))
    if code in QUOTA:
        return QuotaExceeded(f"the AWS account has no room left; {told}. Ask AWS for a higher quota, or make room")
    if code in BUSY or (code == "InvalidRequestException" and _BUSY_WORDS.search(words)):
        return Conflict(f"EKS is busy; {told}")
    if code in GONE:
        return Conflict(f"what was there a moment ago is gone; {told}")
    if code in UNAVAILABLE or status >= 500:
        return Unreachable(f"AWS has trouble of its own; {told}")
    return Refused(f"AWS refuses {told}")


def _describe_denial(words: str, call: str, subject: str) -> str:
    named = _NAMES.search(words)
    action = named["action"] if named else f"eks:{call}"
    resource = (named["resource"] or "").rstrip(".,") if named else ""
    return (
        f"AWS does not allow us {action} on {resource or subject}: add it to the IAM policy of Atoll's identity "
        f"(docs/reference/clouds/eks.md has one). AWS says: {words}"
    )


def _read_delay(about: Mapping[str, Any]) -> float:
    return read_delay(about.get("HTTPHeaders", {}).get("retry-after"), otherwise=THROTTLED_SECONDS)


def _shorten(words: str) -> str:
    return words if len(words) <= 600 else f"{words[:600]}…"
