"""Who asks: service accounts with real keys, the OAuth2 token endpoint, and the metadata server of workload identity.

google-auth shows two kinds of tokens. With plain service-account credentials the SDK's client signs a token by itself
(`always_use_jwt_access`), and nobody is asked for one; `Credentials.refresh()` posts a signed assertion to the key
file's `token_uri` and gets an opaque token. The API takes both, a cluster's API server takes only the opaque one.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from .core import Answer, Ask

GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
TOKEN_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
"""google-auth names this audience whatever the token endpoint."""
API_AUDIENCE: Final = "https://container.googleapis.com/"
CLOUD: Final = "https://www.googleapis.com/auth/cloud-platform"
EMAIL: Final = "https://www.googleapis.com/auth/userinfo.email"
HOUR: Final = 3600
METADATA: Final = "/computeMetadata/v1/"


@dataclass(frozen=True, kw_only=True)
class Account:
    """One service account."""

    email: str
    unique_id: str
    key_id: str
    key: rsa.RSAPrivateKey = field(repr=False)

    def key_file(self, token_uri: str, project: str) -> str:
        """Return the JSON file that Google hands out for a key of the account: secret."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        content = {
            "type": "service_account",
            "project_id": project,
            "private_key_id": self.key_id,
            "private_key": pem.decode(),
            "client_email": self.email,
            "client_id": self.unique_id,
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
        return json.dumps(content, indent=2)


def new_account(email: str) -> Account:
    """Make an account with a key of its own."""
    return Account(
        email=email,
        unique_id=str(10**20 + secrets.randbelow(10**20)),
        key_id=secrets.token_hex(20),
        key=rsa.generate_private_key(public_exponent=65537, key_size=2048),
    )


@dataclass(frozen=True, kw_only=True)
class Grant:
    """What a good token says."""

    account: Account
    scopes: frozenset[str]
    opaque: bool


class BadToken(Exception):
    """A signed token is not good; says why."""


@dataclass(kw_only=True)
class Tokens:
    """Accounts and the tokens that are out."""

    clock: Callable[[], float]
    """The cloud's clock: opaque tokens expire by it. Signed tokens are judged by the machine's, as the client's are."""
    life_seconds: float = HOUR - 1
    accounts: dict[str, Account] = field(default_factory=dict)
    project: str = ""
    workload: str = ""
    """Email of the account that the metadata server speaks for; empty: there is none."""
    _out: dict[str, tuple[Grant, float]] = field(default_factory=dict, repr=False)

    def issue(self, account: Account, scopes: frozenset[str]) -> dict[str, Any]:
        """Hand out an opaque token."""
        token = f"ya29.c.{secrets.token_urlsafe(96)}"
        self._out[token] = (Grant(account=account, scopes=scopes, opaque=True), self.clock() + self.life_seconds)
        return {"access_token": token, "expires_in": int(self.life_seconds), "token_type": "Bearer"}

    def expire(self) -> None:
        """Let all opaque tokens expire now."""
        self._out = {token: (grant, self.clock()) for token, (grant, _) in self._out.items()}

    def judge(self, token: str) -> Grant | str:
        """Return what a bearer token grants, or the reason why it is refused."""
        if found := self._out.get(token):
            grant, end = found
            return grant if self.clock() < end else "ACCESS_TOKEN_EXPIRED"
        if token.count(".") == 2 and not token.startswith("ya29."):
            try:
                return self._judge_signed(token)
            except BadToken:
                return "ACCESS_TOKEN_TYPE_UNSUPPORTED"
        return "ACCESS_TOKEN_TYPE_UNSUPPORTED"

    def _judge_signed(self, token: str) -> Grant:
        """Take a token that a service account signed by itself for this API."""
        account, claims = self._verify(token)
        scopes = frozenset(str(claims.get("scope") or "").split())
        if claims.get("sub") != account.email or not (claims.get("aud") == API_AUDIENCE or CLOUD in scopes):
            raise BadToken("It is for somebody else.")
        return Grant(account=account, scopes=scopes or frozenset({CLOUD}), opaque=False)

    def _verify(self, token: str) -> tuple[Account, Mapping[str, Any]]:
        """Check key, signature and times of a signed token. Raises BadToken with the words of the token endpoint."""
        try:
            header, claims = (json.loads(_decode(part)) for part in token.split(".")[:2])
            signature = _decode(token.split(".")[2])
            account = self.accounts.get(str(claims["iss"]))
            begin, end = float(claims["iat"]), float(claims["exp"])
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise BadToken("Invalid JWT: Failed to parse it.") from error
        if account is None:
            raise BadToken("Invalid grant: account not found")
        if header.get("alg") != "RS256" or header.get("kid") != account.key_id:
            raise BadToken("Invalid JWT Signature.")
        signed = token.rsplit(".", 1)[0].encode()
        try:
            account.key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature as error:
            raise BadToken("Invalid JWT Signature.") from error
        now = time.time()
        if not (begin - 300 <= now < end and end - begin <= HOUR + 300):
            raise BadToken(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. Check your "
                "iat and exp values in the JWT claim."
            )
        return account, claims

    def answer_grant(self, ask: Ask, token_uri: str) -> Answer:
        """Answer the token endpoint."""
        form = dict(parse_qsl(ask.body.decode("utf-8", "replace")))
        if form.get("grant_type") != GRANT:
            return refuse_grant("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        try:
            account, claims = self._verify(form.get("assertion", ""))
        except BadToken as error:
            return refuse_grant("invalid_grant", str(error))
        if claims.get("aud") not in (TOKEN_AUDIENCE, token_uri):
            return refuse_grant("invalid_grant", "Invalid JWT: Failed audience check.")
        scopes = frozenset(str(claims.get("scope") or "").split())
        if not scopes:
            return refuse_grant("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        return Answer(body=self.issue(account, scopes))

    def answer_metadata(self, ask: Ask) -> Answer:
        """Answer the metadata server, as a pod with workload identity sees it."""
        flavour = {"Metadata-Flavor": "Google", "Server": "GKE Metadata Server"}
        if ask.headers.get("Metadata-Flavor") != "Google":
            return Answer(status=403, body=b"Missing required header Metadata-Flavor: Google", headers=flavour)
        account = self.accounts.get(self.workload)
        what = ask.path.removeprefix(METADATA)
        text = {**flavour, "Content-Type": "application/text"}
        if ask.path == "/":
            return Answer(body=b"computeMetadata/\n", headers=text)
        if account is None:
            return Answer(status=404, body=b"not found", headers=text)
        scopes = dict(ask.query).get("scopes", "")
        here = "instance/service-accounts/"
        for name in ("default", account.email):
            if what == f"{here}{name}/token":
                granted = frozenset(scopes.split(",")) if scopes else frozenset({CLOUD, EMAIL})
                return Answer(body=self.issue(account, granted), headers=flavour)
            if what == f"{here}{name}/email":
                return Answer(body=account.email.encode(), headers=text)
            if what == f"{here}{name}/":
                described = {"aliases": ["default"], "email": account.email, "scopes": [CLOUD, EMAIL]}
                return Answer(body=described, headers=flavour)
        for name, value in (("universe/universe-domain", "googleapis.com"), ("project/project-id", self.project)):
            if what == name:
                return Answer(body=value.encode(), headers=text)
        return Answer(status=404, body=b"not found", headers=text)


def refuse_grant(error: str, description: str, status: int = 400) -> Answer:
    """Say no as the token endpoint does."""
    return Answer(status=status, body={"error": error, "error_description": description})


def _decode(part: str) -> bytes:
    """Undo base64url without padding."""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
