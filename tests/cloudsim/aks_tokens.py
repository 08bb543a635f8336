"""JSON web tokens, signed and checked with nothing but `cryptography`: what Entra issues, and what it is shown."""

from __future__ import annotations

import base64
import binascii
import json
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class TokenRefused(Exception):
    """The token is not good; the message never holds it."""


class Signer:
    """One key that signs (RS256)."""

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.key_id = secrets.token_urlsafe(20)

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        """What its tokens are checked with."""
        return self._key.public_key()

    def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a token."""
        header = {"typ": "JWT", "alg": "RS256", "kid": self.key_id}
        text = f"{_encode(json.dumps(header).encode())}.{_encode(json.dumps(dict(claims)).encode())}"
        return f"{text}.{_encode(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def build_key_set(self) -> dict[str, Any]:
        """Return the public key as a JSON web key set."""
        numbers = self.public_key.public_numbers()
        size = (numbers.n.bit_length() + 7) // 8
        return {
            "keys": [
                {
                    "kty": "RSA",
                    "use": "sig",
                    "kid": self.key_id,
                    "n": _encode(numbers.n.to_bytes(size, "big")),
                    "e": _encode(numbers.e.to_bytes(3, "big")),
                }
            ]
        }


def read_token(token: str, key: PublicKey, now: float) -> dict[str, Any]:
    """Return the claims of a token with a good signature (RS256 or ES256) that is valid now. Raises TokenRefused."""
    parts = token.split(".")
    if len(parts) != 3:
        raise TokenRefused("The token is malformed: it has not three parts.")
    try:
        header, claims = (json.loads(_decode(part)) for part in parts[:2])
        _check_signature(f"{parts[0]}.{parts[1]}".encode(), _decode(parts[2]), str(header.get("alg")), key)
    except (ValueError, binascii.Error, AttributeError) as error:
        raise TokenRefused("The token is malformed.") from error
    except InvalidSignature as error:
        raise TokenRefused("The signature is invalid.") from error
    if not isinstance(claims, dict) or not isinstance(claims.get("exp"), (int, float)):
        raise TokenRefused("The token says not when it expires.")
    if claims["exp"] <= now:
        raise TokenRefused("The token has expired.")
    return claims


def read_claims_unchecked(token: str) -> dict[str, Any]:
    """Return what a token says of itself: good for finding the key that it must be checked with, for nothing else."""
    try:
        claims = json.loads(_decode(token.split(".")[1]))
    except (ValueError, IndexError, binascii.Error) as error:
        raise TokenRefused("The token is malformed.") from error
    if not isinstance(claims, dict):
        raise TokenRefused("The token is malformed.")
    return claims


def _check_signature(text: bytes, signature: bytes, algorithm: str, key: PublicKey) -> None:
    if isinstance(key, rsa.RSAPublicKey) and algorithm == "RS256":
        key.verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
    elif isinstance(key, ec.EllipticCurvePublicKey) and algorithm == "ES256" and len(signature) == 64:
        whole = encode_dss_signature(int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big"))
        key.verify(whole, text, ec.ECDSA(hashes.SHA256()))
    else:
        raise InvalidSignature


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
