"""Workload identity: AssumeRoleWithWebIdentity, which trades a token of an OpenID Connect issuer for short-lived keys.

The call bears no AWS signature: the token is the proof. It is checked for real: RS256 by the issuer's key, audience,
expiry, and a role that trusts this subject.
"""

from __future__ import annotations

import base64
import binascii
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .core import Answer
from .sts import Identity, SignatureRefused, answer_xml

AUDIENCE: Final = "sts.amazonaws.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """One role, and whose tokens may have it."""

    role_arn: str
    issuer: str
    subject: str
    key: rsa.RSAPublicKey


def verify_web_token(token: str, trust: Trust) -> None:
    """Check a JSON Web Token against what a role trusts; SignatureRefused says what is wrong."""
    try:
        head, body, signature = token.split(".")
        claims: Mapping[str, Any] = json.loads(_decode(body))
        algorithm = json.loads(_decode(head)).get("alg")
        trust.key.verify(_decode(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256())
    except (ValueError, binascii.Error, InvalidSignature, AttributeError) as error:
        raise SignatureRefused("InvalidIdentityToken", "Couldn't verify the web identity token") from error
    audience = claims.get("aud")
    if algorithm != "RS256" or AUDIENCE not in (audience if isinstance(audience, list) else [audience]):
        raise SignatureRefused("InvalidIdentityToken", "Incorrect token audience")
    if claims.get("exp", 0) < time.time():
        raise SignatureRefused("ExpiredTokenException", "Token expired")
    if (claims.get("iss"), claims.get("sub")) != (trust.issuer, trust.subject):
        message = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
        raise SignatureRefused("AccessDenied", message)


def _decode(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def assume_role(params: Mapping[str, str], trusts: Mapping[str, Trust]) -> tuple[Identity, Answer]:
    """Return new keys of a role, and the answer that hands them out."""
    trust = trusts.get(params.get("RoleArn", ""))
    if trust is None:
        raise SignatureRefused("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    verify_web_token(params.get("WebIdentityToken", ""), trust)
    session = params.get("RoleSessionName", "")
    account, role = trust.role_arn.split(":")[4], trust.role_arn.rpartition("/")[2]
    seconds = int(params.get("DurationSeconds", "3600"))
    role_id = f"AROA{secrets.token_hex(8).upper()}"
    identity = Identity(
        access_key=f"ASIA{secrets.token_hex(8).upper()}",
        secret_key=secrets.token_urlsafe(30),
        session_token=secrets.token_urlsafe(90),
        arn=f"arn:aws:sts::{account}:assumed-role/{role}/{session}",
        user_id=f"{role_id}:{session}",
        expire_time=time.time() + seconds,
    )
    expiration = datetime.fromtimestamp(identity.expire_time or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    result = {
        "Credentials": {
            "AccessKeyId": identity.access_key,
            "SecretAccessKey": identity.secret_key,
            "SessionToken": identity.session_token,
            "Expiration": expiration,
        },
        "SubjectFromWebIdentityToken": trust.subject,
        "AssumedRoleUser": {"AssumedRoleId": identity.user_id, "Arn": identity.arn},
        "Provider": trust.issuer,
        "Audience": AUDIENCE,
    }
    return identity, answer_xml("AssumeRoleWithWebIdentity", result)
