"""Logins to Google Cloud: the SDK's client of one account, and access tokens for API servers.

Google's libraries read credentials of many kinds, and some of them run programs or fetch files. A Secret of a fleet may
hold the key of a service account and nothing else.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import ssl
import threading
from collections.abc import Mapping
from datetime import UTC
from typing import Any, Final

from atoll.errors import BadInput
from atoll.providers.managed.calling import THREADS
from atoll.providers.managed.cloud import Token
from atoll.providers.managed.surroundings import AUTHORITY, Declared

from .settings import BLOCK

KEY: Final = "service_account.json"
FIELD: Final = f"{BLOCK}.credentialsSecretRef"
_HEAD: Final = "https://www.googleapis.com/auth/"
SCOPES: Final = (f"{_HEAD}cloud-platform", f"{_HEAD}userinfo.email")
"""The second tells API servers who we are by name."""
TOKEN_SECONDS: Final = 30.0


class Login:
    """One account: opened at first use, once. Used from threads."""

    def __init__(self, declared: Declared) -> None:
        """Look at the login without using it; BadInput names what is wrong in the Secret."""
        if importlib.util.find_spec("google.cloud.container_v1") is None:
            raise BadInput("the SDK for GKE is missing where the operator runs: install atoll[gke]", field=BLOCK)
        self._key = parse_key(declared.credentials)
        self._authority = declared.credentials.get(AUTHORITY, "")
        self._endpoint = declared.endpoint
        self._lock = threading.Lock()
        self._client: Any = None
        self._credentials: Any = None

    def client(self) -> Any:
        """Return the SDK's client."""
        with self._lock:
            if self._client is None:
                self._client = self._open()
            return self._client

    def close(self) -> None:
        """Give the account's connections back."""
        with self._lock:
            if self._client is not None:
                self._client.transport.close()

    def token(self) -> Token:
        """Return an access token, the same one while it is good for minutes to come."""
        with self._lock:
            login = self._get_credentials()
        if not login.valid:
            login.refresh(None)
        return Token(text=login.token, expires=login.expiry.replace(tzinfo=UTC))

    def _open(self) -> Any:
        from google.api_core.client_options import ClientOptions
        from google.cloud.container_v1 import ClusterManagerClient

        options = ClientOptions(api_endpoint=self._endpoint) if self._endpoint else ClientOptions()
        client: Any = ClusterManagerClient(
            credentials=self._get_credentials(), transport="rest", client_options=options
        )
        # The SDK has no option for an authority, nor for how many threads share its connections.
        self._mount(client.transport._session)
        return client

    def _get_credentials(self) -> Any:
        if self._credentials is None:
            self._credentials = _wrap(self._load(), self._build_request())
        return self._credentials

    def _load(self) -> Any:
        import google.auth
        from google.auth.exceptions import DefaultCredentialsError
        from google.oauth2 import service_account

        if self._key is None:
            try:
                return google.auth.default(scopes=list(SCOPES))[0]
            except DefaultCredentialsError:
                raise BadInput(
                    f"{FIELD} is not set, and there is no workload identity where the operator runs: name a Secret "
                    f"with the key {KEY}, or bind the operator's ServiceAccount to one of Google Cloud",
                    field=FIELD,
                ) from None
        try:
            kind: Any = service_account.Credentials
            return kind.from_service_account_info(dict(self._key), scopes=list(SCOPES))
        except ValueError:
            # The SDK's words may hold a part of the key.
            raise _refuse_key("holds a private key that cannot be read") from None

    def _build_request(self) -> Any:
        import requests
        from google.auth.transport.requests import Request

        session = requests.Session()
        self._mount(session)
        return functools.partial(Request(session), timeout=TOKEN_SECONDS)

    def _mount(self, session: Any) -> None:
        from requests.adapters import HTTPAdapter

        session.mount("http://", HTTPAdapter(pool_maxsize=THREADS))
        session.mount(
            "https://", _build_adapter(self._authority) if self._authority else HTTPAdapter(pool_maxsize=THREADS)
        )


def parse_key(credentials: Mapping[str, str]) -> Mapping[str, Any] | None:
    """Read the key of a service account; None: workload identity. BadInput names the Secret."""
    text = credentials.get(KEY)
    if text is None:
        return None
    try:
        key = json.loads(text)
    except ValueError:
        raise _refuse_key("is not JSON") from None
    if not isinstance(key, dict) or key.get("type") != "service_account":
        raise _refuse_key("is not the key of a service account (its type is not service_account)")
    missing = [name for name in ("client_email", "private_key", "token_uri") if not isinstance(key.get(name), str)]
    if missing:
        raise _refuse_key(f"has no {', '.join(missing)}")
    if not key["token_uri"].startswith(("https://", "http://")):
        raise _refuse_key("has a token_uri that is no web address")
    return key


def _refuse_key(what: str) -> BadInput:
    return BadInput(
        f"{KEY} in the Secret of {FIELD} {what}: put in the key file as Google Cloud hands it out", field=FIELD
    )


def _wrap(inner: Any, request: Any) -> Any:
    """Return credentials that take their tokens from others.

    Plain ones would sign tokens for the API by themselves, which API servers do not take, and would ask Google about
    regions behind our back, whatever the endpoint.
    """
    from google.auth.credentials import Credentials

    lock = threading.Lock()

    class Delegating(Credentials):
        """Asks with timeouts, one thread at a time."""

        def refresh(self, _: Any) -> None:
            with lock:
                inner.refresh(request)
                self.token, self.expiry = inner.token, inner.expiry

    build: Any = Delegating
    return build()


def _build_adapter(authority: str) -> Any:
    """Return what makes connections that trust one authority alone."""
    from requests.adapters import HTTPAdapter

    try:
        context = ssl.create_default_context(cadata=authority)
    except ssl.SSLError:
        raise BadInput(f"{AUTHORITY} in the Secret of {FIELD} is no PEM certificate: put one in", field=FIELD) from None

    class TrustingAdapter(HTTPAdapter):
        """Hands the context to the pool of connections."""

        def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
            super().init_poolmanager(*arguments, **{**options, "ssl_context": context})

        def cert_verify(self, connection: Any, url: str, verify: Any, cert: Any) -> None:
            """Leave what to trust to the context: the SDK's own list of authorities is not asked."""

    return TrustingAdapter(pool_maxsize=THREADS)
