"""Who calls: AWS Signature Version 4 as the service checks it, and the tokens of EKS that are made of it.

A token is `k8s-aws-v1.` and a presigned URL of GetCallerIdentity (base64url, no padding). The rules are those of the
authenticator that runs in real clusters: nothing but the known query parameters, each once; the header with the
cluster's name is signed; fifteen minutes after its date it is over, whatever X-Amz-Expires says.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit
from xml.sax.saxutils import escape

from .core import Answer, Ask

ALGORITHM: Final = "AWS4-HMAC-SHA256"
TOKEN_PREFIX: Final = "k8s-aws-v1."
TOKEN_SECONDS: Final = 900.0
CLUSTER_HEADER: Final = "x-k8s-aws-id"
SIGNED_NOW_SECONDS: Final = 300
"""By how much the date of a signature may be off."""
TOKEN_PARAMETERS: Final = frozenset(
    {
        "action",
        "version",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "x-amz-expires",
        "x-amz-security-token",
        "x-amz-signature",
        "x-amz-signedheaders",
    }
)
XML_NAMESPACE: Final = "https://sts.amazonaws.com/doc/2011-06-15/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """One access key, and whose it is."""

    access_key: str
    secret_key: str
    arn: str
    user_id: str
    session_token: str = ""
    expire_time: float | None = None
    """Seconds since the epoch; None: a long-lived key."""

    @property
    def account(self) -> str:
        """The account that the ARN names."""
        return self.arn.split(":")[4]

    @property
    def principal(self) -> str:
        """Who that is for good: of a session, its role."""
        if ":assumed-role/" not in self.arn:
            return self.arn
        return f"arn:aws:iam::{self.account}:role/{self.arn.split('/')[1]}"


class SignatureRefused(Exception):
    """The far side does not believe who calls; `code` is the error code on the wire."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a signature covers, and the signature."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    headers: Mapping[str, str]
    signed_headers: tuple[str, ...]
    payload_digest: str
    credential: str
    """access key/date/region/service/aws4_request"""
    date: str
    signature: str


def compute_signature(signed: Signed, secret_key: str) -> str:
    """Sign again what was signed."""
    pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in signed.query)
    canonical = "\n".join(
        (
            signed.method,
            quote(signed.path, safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{' '.join(signed.headers.get(name, '').split())}" for name in signed.signed_headers),
            "",
            ";".join(signed.signed_headers),
            signed.payload_digest,
        )
    )
    _, *scope = signed.credential.split("/")
    text = "\n".join((ALGORITHM, signed.date, "/".join(scope), hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"AWS4{secret_key}".encode()
    for part in scope:
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def verify_request(ask: Ask, identities: Iterable[Identity], services: Iterable[str]) -> Identity:
    """Return who signed a request in its Authorization header; SignatureRefused says why nobody is believed."""
    kind, _, rest = ask.headers.get("Authorization", "").partition(" ")
    if kind != ALGORITHM:
        raise SignatureRefused("MissingAuthenticationTokenException", "Missing Authentication Token")
    fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    headers = {name.lower(): value for name, value in ask.headers.items()}
    signed = Signed(
        method=ask.method,
        path=ask.path,
        query=ask.query,
        headers=headers,
        signed_headers=tuple(fields.get("SignedHeaders", "").split(";")),
        payload_digest=hashlib.sha256(ask.body).hexdigest(),
        credential=fields.get("Credential", ""),
        date=headers.get("x-amz-date", ""),
        signature=fields.get("Signature", ""),
    )
    if not {"host", "x-amz-date"} <= set(signed.signed_headers):
        raise SignatureRefused("IncompleteSignatureException", "Host and X-Amz-Date must be signed headers")
    if abs(time.time() - parse_date(signed.date)) > SIGNED_NOW_SECONDS:
        raise SignatureRefused("InvalidSignatureException", f"Signature not yet current or expired: {signed.date}")
    return verify(signed, identities, services, headers.get("x-amz-security-token", ""))


def verify(signed: Signed, identities: Iterable[Identity], services: Iterable[str], session_token: str) -> Identity:
    """Check key, scope, session token and signature."""
    access_key, _, scope = signed.credential.partition("/")
    identity = next((one for one in identities if one.access_key == access_key), None)
    if identity is None or identity.session_token != session_token:
        raise SignatureRefused("UnrecognizedClientException", "The security token included in the request is invalid.")
    if identity.expire_time is not None and time.time() > identity.expire_time:
        raise SignatureRefused("ExpiredTokenException", "The security token included in the request is expired")
    parts = scope.split("/")
    if len(parts) != 4 or parts[0] != signed.date[:8] or parts[2] not in services or parts[3] != "aws4_request":
        raise SignatureRefused("InvalidSignatureException", f"Credential scope {scope} is not that of this request")
    if not hmac.compare_digest(compute_signature(signed, identity.secret_key), signed.signature):
        message = "The request signature we calculated does not match the signature you provided."
        raise SignatureRefused("InvalidSignatureException", message)
    return identity


def parse_date(text: str) -> float:
    """Read X-Amz-Date."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise SignatureRefused("IncompleteSignatureException", f"{text!r} is no X-Amz-Date") from error


def verify_presigned(ask: Ask, identities: Iterable[Identity], life_seconds: float) -> Identity:
    """Return who presigned a GET; STS takes them for fifteen minutes, whatever X-Amz-Expires says."""
    headers = {name.lower(): value for name, value in ask.headers.items()}
    signed, session_token = read_presigned(ask.query, headers, life_seconds)
    return verify(signed, identities, ("sts",), session_token)


def read_presigned(
    query: Sequence[tuple[str, str]], headers: Mapping[str, str], life_seconds: float
) -> tuple[Signed, str]:
    """Return what the query of a presigned GET says was signed, and the session token; refuses what is over."""
    found = {name.lower(): value for name, value in query}
    if found.get("x-amz-algorithm") != ALGORITHM:
        raise SignatureRefused("MissingAuthenticationTokenException", "Request is missing Authentication Token")
    date = found.get("x-amz-date", "")
    age = time.time() - parse_date(date)
    if not -SIGNED_NOW_SECONDS <= age < life_seconds:
        raise SignatureRefused("ExpiredTokenException", f"Signature expired: it is of {date}, {age:.0f} s ago")
    signed = Signed(
        method="GET",
        path="/",
        query=[(name, value) for name, value in query if name.lower() != "x-amz-signature"],
        headers=headers,
        signed_headers=tuple(found.get("x-amz-signedheaders", "").split(";")),
        payload_digest=hashlib.sha256(b"").hexdigest(),
        credential=found.get("x-amz-credential", ""),
        date=date,
        signature=found.get("x-amz-signature", ""),
    )
    return signed, found.get("x-amz-security-token", "")


def verify_token(
    token: str, cluster: str, identities: Iterable[Identity], hosts: Mapping[str, str], life_seconds: float
) -> Identity:
    """Return whose token of a cluster this is. `hosts`: where STS is, host (with port) → scheme."""
    if not token.startswith(TOKEN_PREFIX):
        raise SignatureRefused("NotAToken", f"it does not begin with {TOKEN_PREFIX}")
    try:
        raw = token.removeprefix(TOKEN_PREFIX)
        url = urlsplit(base64.b64decode(raw + "=" * (-len(raw) % 4), altchars=b"-_", validate=True).decode())
    except (binascii.Error, ValueError) as error:
        raise SignatureRefused("NotAToken", "it holds no URL") from error
    if hosts.get(url.netloc) != url.scheme or url.path not in ("", "/"):
        raise SignatureRefused("NotAToken", f"{url.scheme}://{url.netloc}{url.path} is not STS")
    query = parse_qsl(url.query, keep_blank_values=True)
    found = {name.lower(): value for name, value in query}
    if len(found) != len(query) or not set(found) <= TOKEN_PARAMETERS:
        raise SignatureRefused("NotAToken", f"strange or repeated parameters: {sorted(name for name, _ in query)}")
    if found.get("action") != "GetCallerIdentity":
        raise SignatureRefused("NotAToken", "it is no GetCallerIdentity")
    if not found.get("x-amz-expires", "").isdecimal() or not 0 <= int(found["x-amz-expires"]) <= TOKEN_SECONDS:
        raise SignatureRefused("NotAToken", "X-Amz-Expires is not between 0 and 900")
    headers = {"host": url.netloc, CLUSTER_HEADER: cluster}
    signed, session_token = read_presigned(query, headers, life_seconds)
    if CLUSTER_HEADER not in signed.signed_headers:
        raise SignatureRefused("NotAToken", f"{CLUSTER_HEADER} is not signed")
    return verify(signed, identities, ("sts",), session_token)


def answer_identity(identity: Identity) -> Answer:
    """Answer GetCallerIdentity."""
    members = {"Arn": identity.arn, "UserId": identity.user_id, "Account": identity.account}
    return answer_xml("GetCallerIdentity", members)


def answer_xml(action: str, result: Mapping[str, Any]) -> Answer:
    """Answer a call of the query protocol; members that are mappings are nested."""
    body = (
        f'<{action}Response xmlns="{XML_NAMESPACE}"><{action}Result>{render_xml(result)}</{action}Result>'
        f"<ResponseMetadata><RequestId>{REQUEST_ID}</RequestId></ResponseMetadata></{action}Response>"
    )
    return Answer(body=body.encode(), headers={"Content-Type": "text/xml"})


def answer_xml_error(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Answer with an error of the query protocol."""
    kind = "Sender" if status < 500 else "Receiver"
    error = render_xml({"Error": {"Type": kind, "Code": code, "Message": message}, "RequestId": REQUEST_ID})
    body = f'<ErrorResponse xmlns="{XML_NAMESPACE}">{error}</ErrorResponse>'
    return Answer(status=status, body=body.encode(), headers={"Content-Type": "text/xml", **(headers or {})})


REQUEST_ID: Final = "01234567-89ab-cdef-0123-456789abcdef"


def render_xml(members: Mapping[str, Any]) -> str:
    """Return members as elements."""
    return "".join(
        f"<{name}>{render_xml(value) if isinstance(value, Mapping) else escape(str(value))}</{name}>"
        for name, value in members.items()
    )
