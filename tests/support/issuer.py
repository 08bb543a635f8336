"""An OpenID Connect issuer of the test's own: a TLS server on loopback, and tokens signed by hand."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

CLIENT = "atoll-test"


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def encode_number(number: int) -> str:
    return encode(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def make_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class Issuer:
    """Serves its discovery document and its key as long as the block lasts."""

    def __init__(self, folder: Path, *, port: int = 0, key: rsa.RSAPrivateKey | None = None) -> None:
        self.key = key or make_key()
        self.asked = 0
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._make_certificate()
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Issuer:
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.asked += 1
                body = issuer.answer(self.path)
                self.send_response(200 if body is not None else 404)
                content = json.dumps(body or {}).encode()
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / "issuer.crt", self._folder / "issuer.key")
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        self._port, self._server = server.server_port, server
        self._thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self._port}"

    @property
    def authority(self) -> str:
        return (self._folder / "issuer.crt").read_text()

    def authentication(self, **more: str) -> dict[str, Any]:
        """`spec.authentication` of a ClusterSet that trusts this issuer."""
        oidc = {
            "issuerURL": self.url,
            "clientID": CLIENT,
            "usernameClaim": "sub",
            "groupsClaim": "groups",
            "certificateAuthority": self.authority,
        }
        return {"oidc": {**oidc, **more}}

    def answer(self, path: str) -> dict[str, Any] | None:
        if path == "/.well-known/openid-configuration":
            return {
                "issuer": self.url,
                "jwks_uri": f"{self.url}/keys",
                "response_types_supported": ["id_token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        if path == "/keys":
            numbers = self.key.public_key().public_numbers()
            key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "test"}
            return {"keys": [{**key, "n": encode_number(numbers.n), "e": encode_number(numbers.e)}]}
        return None

    def token(self, user: object, *groups: str, signer: rsa.RSAPrivateKey | None = None, **claims: Any) -> str:
        """Return a signed token; `claims` replace what it would say, None leaves a claim out."""
        now = int(time.time())
        said = {"iss": self.url, "aud": CLIENT, "sub": user, "groups": list(groups), "iat": now, "exp": now + 600}
        said = {name: value for name, value in {**said, **claims}.items() if value is not None}
        head = {"alg": "RS256", "typ": "JWT", "kid": "test"}
        text = ".".join(encode(json.dumps(part).encode()) for part in (head, said))
        signature = (signer or self.key).sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{encode(signature)}"

    def _make_certificate(self) -> None:
        key = make_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "issuer of a test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False
            )
            .sign(key, hashes.SHA256())
        )
        (self._folder / "issuer.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        (self._folder / "issuer.key").touch(mode=0o600)
        (self._folder / "issuer.key").write_bytes(secret)
