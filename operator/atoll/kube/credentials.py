"""How we prove who we are, and whom we believe: TLS contexts, tokens, and credential plugins."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import ssl
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from atoll.errors import BadInput, Refused

TOKEN_FILE_SECONDS: Final = 60.0
"""Tokens in files rotate; kubelet replaces them long before they expire."""
PLUGIN_SECONDS: Final = 60.0
"""How long a credential plugin may take."""
PLUGIN_MAX_AGE_SECONDS: Final = 300.0
"""How long a plugin's answer without an expiry is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """What one request is sent with."""

    tls: ssl.SSLContext = field(repr=False)
    token: str = field(default="", repr=False)


class Credentials(Protocol):
    """Where a login comes from."""

    @property
    def renewable(self) -> bool:
        """Whether asking again with `renew` can help after a 401."""
        ...

    async def current(self, *, renew: bool = False) -> Login:
        """Return the login to use now; raises Refused when there is none."""
        ...


class TlsContexts:
    """Shares TLS contexts between clients: one per authority and client certificate, for as long as somebody uses it.

    Building one costs 25 to 45 ms when the system's authorities are loaded, and memory in any case.
    """

    def __init__(self) -> None:
        self._contexts: WeakValueDictionary[bytes, ssl.SSLContext] = WeakValueDictionary()

    def get(self, *, ca: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
        """Return the context for PEM texts; an empty `ca` means the authorities of the system. Raises BadInput."""
        # Lengths keep ("ab", "c") apart from ("a", "bc").
        parts = "\0".join(f"{len(text)}:{text}" for text in (ca, certificate, key))
        digest = hashlib.sha256(parts.encode()).digest()
        context = self._contexts.get(digest)
        if context is None:
            context = build_context(ca=ca, certificate=certificate, key=key)
            self._contexts[digest] = context
        return context


def build_context(*, ca: str, certificate: str = "", key: str = "") -> ssl.SSLContext:
    """Make a client's TLS context that believes only `ca`; raises BadInput naming the kubeconfig field."""
    if ca:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        try:
            context.load_verify_locations(cadata=ca)
        except (ssl.SSLError, ValueError):
            raise BadInput(
                "certificate-authority-data holds no usable certificate; it must be PEM, encoded in base64",
                field="clusters[].cluster.certificate-authority-data",
            ) from None
    else:
        context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if certificate or key:
        _load_client_certificate(context, certificate, key)
    return context


def _load_client_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Load a key pair through a file that only we can read and that is gone when this returns.

    Python's ssl takes file names only. `kubernetes.aio` leaves such files behind until the process ends.
    """
    folder = tempfile.mkdtemp(prefix="atoll-")  # mode 0700
    try:
        path = Path(folder, "client.pem")
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{certificate}\n{key}\n")
        # Without a password OpenSSL would ask for one on the terminal when the key is encrypted.
        context.load_cert_chain(path, password="")
    except (ssl.SSLError, ValueError) as error:
        reason = getattr(error, "reason", None) or "not PEM"
        raise BadInput(
            f"client-certificate-data and client-key-data are no usable pair ({reason}); both must be PEM, encoded in "
            "base64, the key without a passphrase and belonging to the certificate",
            field="users[].user.client-key-data",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def check_token(token: str, where: str) -> str:
    """Return a bearer token fit for a header; raises BadInput naming `where`, never the token."""
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise BadInput(
            f"{where} holds no usable bearer token; it must be one line of printable characters", field=where
        )
    return token


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticCredentials:
    """A certificate or a token that stays as it is."""

    login: Login

    @property
    def renewable(self) -> bool:
        """Whether asking again can help: no."""
        return False

    async def current(self, *, renew: bool = False) -> Login:
        """Return the one login."""
        return self.login


class TokenFileCredentials:
    """A token in a file that somebody else keeps fresh, as in a pod."""

    def __init__(self, tls: ssl.SSLContext, path: Path) -> None:
        self._tls = tls
        self._path = path
        self._login: Login | None = None
        self._read_at = 0.0

    @property
    def renewable(self) -> bool:
        """Whether asking again can help: yes, the file may be newer."""
        return True

    async def current(self, *, renew: bool = False) -> Login:
        """Return the token, read again when it was read a minute ago."""
        now = time.monotonic()
        if self._login is None or renew or now - self._read_at > TOKEN_FILE_SECONDS:
            try:
                text = self._path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise Refused(f"token file {self._path} cannot be read: {type(error).__name__}") from error
            self._login = Login(tls=self._tls, token=check_token(text, str(self._path)))
            self._read_at = now
        return self._login


class PluginCredentials:
    """Credentials from an exec plugin, for the operator's own management kubeconfig only.

    Runs `kubernetes.aio`'s plugin runner and not its kubeconfig loader: the loader only logs failures and goes on
    without credentials, and keeps client keys in files.
    """

    def __init__(self, contexts: TlsContexts, ca: str, plugin: Mapping[str, Any]) -> None:
        self._contexts = contexts
        self._ca = ca
        self._plugin = dict(plugin)
        self._login: Login | None = None
        self._good_until = 0.0
        self._lock = asyncio.Lock()

    @property
    def renewable(self) -> bool:
        """Whether asking again can help: yes."""
        return True

    async def current(self, *, renew: bool = False) -> Login:
        """Return the login, running the plugin when the last answer is about to expire; raises Refused."""
        stale = self._login
        async with self._lock:
            if self._login is not None and renew and self._login is not stale:
                return self._login  # Somebody else renewed it while we waited.
            if self._login is None or renew or time.monotonic() >= self._good_until:
                self._login = await self._run()
            return self._login

    async def _run(self) -> Login:
        # Imported here because it costs 0.8 s, and only people with cloud logins need it.
        from kubernetes.aio.config.exec_provider import ExecProvider
        from kubernetes.aio.config.kube_config import ConfigNode

        command = str(self._plugin.get("command", ""))
        try:
            async with asyncio.timeout(PLUGIN_SECONDS):
                provider: Any = ExecProvider
                node: Any = ConfigNode
                status: dict[str, Any] = await provider(node("users[].user.exec", self._plugin)).run()
        except Exception as error:  # noqa: BLE001 - the runner raises bare exceptions of several libraries
            # What the plugin printed may hold a secret.
            remedy = "run it by hand to see why"
            if isinstance(error, FileNotFoundError):
                remedy = str(self._plugin.get("installHint") or "install it")
            raise Refused(f"credential plugin `{command}` failed ({type(error).__name__}); {remedy}") from None
        token, certificate, key = (
            str(status.get(name) or "") for name in ("token", "clientCertificateData", "clientKeyData")
        )
        if not token and not (certificate and key):
            raise Refused(f"credential plugin `{command}` returned neither a token nor a certificate with its key")
        self._good_until = time.monotonic() + _seconds_left(str(status.get("expirationTimestamp") or ""))
        tls = self._contexts.get(ca=self._ca, certificate=certificate, key=key)
        return Login(tls=tls, token=check_token(token, "the plugin's answer") if token else "")


def _seconds_left(expiration: str) -> float:
    try:
        left = (datetime.fromisoformat(expiration) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):
        return PLUGIN_MAX_AGE_SECONDS
    return max(0.0, left - 60)
