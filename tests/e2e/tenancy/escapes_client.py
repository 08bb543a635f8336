"""A small client of a real API server: a token or a certificate, a request, and what the server says to it."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml
from yarl import URL

Json = dict[str, Any]
MERGE: Final = "application/merge-patch+json"
JSON_PATCH: Final = "application/json-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_SECONDS: Final = 20
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request. `path` is sent as it is, so that encoded and odd paths stay what they are."""

    method: str
    path: str
    body: Json | Sequence[Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = ""
    """Absent: JSON, or for PATCH what fits the body (a list is a JSON patch)."""

    def as_dry_run(self) -> Call:
        """Return the same request with the server told to store nothing."""
        if self.method == "GET":
            return self
        return replace(self, query={**self.query, "dryRun": "All"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server said."""

    status: int
    reason: str = ""
    message: str = ""
    body: Json = field(default_factory=dict, repr=False)

    @property
    def accepted(self) -> bool:
        """Whether the server did what was asked."""
        return 200 <= self.status < 300

    def __str__(self) -> str:
        return f"{self.status} {self.reason}: {self.message}" if self.message else f"{self.status}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """An API server, and who we are there."""

    server: str
    tls: ssl.SSLContext = field(repr=False)
    token: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


def read_login(kubeconfig: Path, *, bare: bool = False) -> Login:
    """Read a kubeconfig with one cluster and one user; `bare` leaves the user's certificate out."""
    config = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    context = ssl.create_default_context(cadata=base64.b64decode(cluster["certificate-authority-data"]).decode())
    if "client-certificate-data" in user and not bare:
        with tempfile.NamedTemporaryFile(dir=kubeconfig.parent) as pair:  # Made readable by its owner alone.
            pair.write(base64.b64decode(user["client-certificate-data"]) + b"\n")
            pair.write(base64.b64decode(user["client-key-data"]))
            pair.flush()
            context.load_cert_chain(pair.name)
    return Login(server=cluster["server"], tls=context, token="" if bare else user.get("token", ""))


class Caller:
    """Sends requests over kept connections. Use as an asynchronous context manager."""

    def __init__(self, connections: int = 32) -> None:
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Caller:
        connector = aiohttp.TCPConnector(limit=self._connections)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()
        await asyncio.sleep(0.2)  # TLS connections need a moment to close.

    async def send(self, login: Login, call: Call) -> Answer:
        """Send a request and return the answer, whatever it is; of a watch or a stream only that it began."""
        assert self._session is not None
        headers = {"Accept": "application/json", **login.headers, **call.headers}
        if login.token:
            headers["Authorization"] = f"Bearer {login.token}"
        data = None
        if call.body is not None:
            data = json.dumps(call.body).encode()
            headers["Content-Type"] = call.content_type or _content_type(call)
        query = "&".join(f"{key}={value}" for key, value in call.query.items())
        url = URL(f"{login.server}{call.path}{'?' if query else ''}{query}", encoded=True)
        for attempt in range(_ATTEMPTS):
            try:
                async with self._session.request(
                    call.method, url, data=data, headers=headers, ssl=login.tls, allow_redirects=False
                ) as response:
                    if response.status == 200 and call.query.get("watch"):
                        return Answer(status=200)
                    return _read(response.status, await response.read())
            except aiohttp.ServerDisconnectedError:  # A kept connection that the server has just let go of.
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("unreachable")


def _content_type(call: Call) -> str:
    if call.method != "PATCH":
        return "application/json"
    return JSON_PATCH if isinstance(call.body, list) else MERGE


def _read(status: int, data: bytes) -> Answer:
    try:
        body = json.loads(data)
    except ValueError:
        return Answer(status=status, message=data[:300].decode(errors="replace"))
    if not isinstance(body, dict):
        return Answer(status=status, message=str(body)[:300])
    if body.get("kind") == "Status" and status >= 300:
        return Answer(status=status, reason=body.get("reason", ""), message=body.get("message", ""), body=body)
    return Answer(status=status, body=body)
