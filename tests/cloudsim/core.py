"""What all stand-in clouds share: the way of a call, faults on that way, and the server.

A cloud declares four things: `recognise` names the call, `admit` checks who asks, `perform` does the work in memory and
answers, `explain` says how a fault looks on its wire. All four are quick and synchronous: they run under `lock` in the
server's own loop. What takes time in a real cloud takes it by the clock: a resource remembers when it will be ready
(`later()`), and reads compare. The webhook that real planes ask about tokens is served beside: see `backing`.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import ssl
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from multidict import CIMultiDict, CIMultiDictProxy

from atoll.planes import pki

from .backing import WEBHOOK_PATH, Backing, LightBacking, Person, review_token
from .faults import Faults, How

__all__ = ["Answer", "Ask", "Call", "Faults", "How", "Person", "StandIn", "page", "run_cloud"]

MAX_BODY: Final = 8 * 1024 * 1024
TLS_LIFE: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that was answered, or cut (status 0)."""

    name: str
    """As the SDK or the REST reference names it, such as `CreateCluster`."""
    subject: str
    """Name of the cluster, or the path."""
    status: int
    time: float
    """Monotonic, at the arrival."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request, as it came in; `recognise` fills in the rest."""

    method: str
    path: str
    """Still percent-encoded, without the query."""
    query_string: str
    query: tuple[tuple[str, str], ...]
    headers: CIMultiDictProxy[str]
    body: bytes
    name: str = ""
    subject: str = ""
    parts: Mapping[str, str] = field(default_factory=dict)
    """What the path names, decoded."""
    broken: bool = False
    """What this call begins shall be accepted and end in failure."""

    def json(self) -> Any:
        """Return the body; None when empty. Raises ValueError."""
        return json.loads(self.body) if self.body else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One answer; `body` is JSON unless it is bytes, None is an empty body."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class StandIn(ABC):
    """One cloud: holds state as long as it lives, and is served by `run_cloud`."""

    tls: ClassVar[bool] = False
    """True where the SDK refuses plain HTTP; `ca_pem` then says whom to trust."""

    def __init__(self, backing: Backing | None = None, faults: Faults | None = None) -> None:
        self.backing: Backing = backing or LightBacking()
        self.faults = faults or Faults()
        self.calls: list[Call] = []
        self.protests: list[str] = []
        """What no correct client would have sent; tests assert that it is empty."""
        self.url = ""
        self.ca_pem = ""
        self.lock = threading.RLock()
        self.at_end = contextlib.ExitStack()
        """Closed when the cloud is not served any more: the place for clients of tests."""
        self._skew = 0.0

    @abstractmethod
    def recognise(self, ask: Ask) -> Ask | None:
        """Return the ask with `name`, `subject` and `parts` filled in; None when there is no such call."""

    @abstractmethod
    def admit(self, ask: Ask) -> Answer | None:
        """Check who asks; an answer is a refusal."""

    @abstractmethod
    def perform(self, ask: Ask) -> Answer:
        """Do the work and answer, with the cloud's own errors too."""

    @abstractmethod
    def explain(self, how: How, ask: Ask) -> Answer:
        """Answer as the cloud does when it fails so: for all but "cut", "lost", "hang" and "broken"."""

    @abstractmethod
    def unknown(self, ask: Ask) -> Answer:
        """Answer as the cloud does to a call that it does not have."""

    @abstractmethod
    def authenticate(self, key: str, token: str) -> Person | None:
        """Say who shows this token to the cluster `key`; None when it is not good. Asked by real planes."""

    def protest(self, message: str) -> None:
        """Remember what no correct client would have sent."""
        self.protests.append(message)

    def now(self) -> float:
        """Seconds since the epoch, by this cloud's clock."""
        return time.time() + self._skew

    def wall(self) -> datetime:
        """Return `now` as a time."""
        return datetime.fromtimestamp(self.now(), UTC)

    def later(self) -> float:
        """Return when what begins now will be done."""
        return self.now() + self.faults.seconds

    def advance(self, seconds: float) -> None:
        """Let time pass for this cloud alone."""
        self._skew += seconds

    def count(self, name: str, *, good: bool = False) -> int:
        """Count the calls of a name; `good`: only those that were answered below 400."""
        return sum(call.name == name and (not good or 0 < call.status < 400) for call in list(self.calls))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Take one request its whole way."""
        ask = read_ask(request, await request.read())
        if request.method == "POST" and ask.path.startswith(WEBHOOK_PATH):
            return render(Answer(body=review_token(ask.path.removeprefix(WEBHOOK_PATH), ask.body, self.authenticate)))
        arrival = time.monotonic()
        with self.lock:
            known = self.recognise(ask)
            if known is None:
                self.protest(f"there is no call {ask.method} {ask.path}")
        name, subject = (known.name, known.subject) if known else (f"{ask.method} {ask.path}", ask.path)
        answer = await self._answer_faulty(known) if known else self.unknown(ask)
        self.calls.append(Call(name=name, subject=subject, status=answer.status if answer else 0, time=arrival))
        return render(answer) if answer else cut(request)

    async def _answer_faulty(self, ask: Ask) -> Answer | None:
        """Answer, or fail as was planned; None: the connection is cut."""
        how = self.faults.take(ask.name)
        if self.faults.latency_seconds:
            await asyncio.sleep(self.faults.latency_seconds)
        if how == "hang":
            await asyncio.sleep(self.faults.hang_seconds)
        if how in ("lost", "hang"):
            return None
        if how not in (None, "cut", "broken"):
            with self.lock:
                return self.explain(how, ask)
        with self.lock:
            try:
                answer = self.admit(ask) or self.perform(replace(ask, broken=how == "broken"))
            except Exception as error:
                # A mistake of the stand-in must fail the test that met it, and not only be an error 500 to be retried.
                self.protest(f"{ask.name} broke the stand-in: {error!r}")
                raise
        return None if how == "cut" else answer


def read_ask(request: web.Request, body: bytes) -> Ask:
    """Take over what matters of a request."""
    return Ask(
        method=request.method,
        path=request.rel_url.raw_path,
        query_string=request.rel_url.raw_query_string,
        query=tuple(parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)),
        headers=CIMultiDictProxy(CIMultiDict(request.headers)),
        body=body,
    )


def render(answer: Answer) -> web.Response:
    """Return an answer as it travels."""
    headers = {"Content-Type": "application/json", **answer.headers}
    raw = answer.body if isinstance(answer.body, bytes) else b""
    body = raw if answer.body is None or raw else json.dumps(answer.body, ensure_ascii=False).encode()
    return web.Response(status=answer.status, body=body, headers=headers)


def cut(request: web.Request) -> web.Response:
    """Close the connection without a word."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


T = TypeVar("T")


def page(items: Sequence[tuple[str, T]], token: str, size: int) -> tuple[list[T], str]:
    """Return one page of named things, and the token of the next, empty at the end. ValueError: a strange token.

    A token says after which name the page begins, so that what comes or goes between two pages moves no other.
    """
    try:
        after = base64.urlsafe_b64decode(token.encode()).decode() if token else ""
    except (binascii.Error, UnicodeError) as error:
        raise ValueError(f"{token!r} is no token of ours") from error
    if token and not after.startswith("after:"):
        raise ValueError(f"{token!r} is no token of ours")
    left = sorted((item for item in items if not after or item[0] > after.removeprefix("after:")), key=lambda i: i[0])
    shown = left[:size]
    more = len(left) > size
    following = base64.urlsafe_b64encode(f"after:{shown[-1][0]}".encode()).decode() if more and shown else ""
    return [item for _, item in shown], following


S = TypeVar("S", bound=StandIn)


@contextlib.contextmanager
def run_cloud(standin: S, *, port: int = 0) -> Iterator[S]:
    """Serve a cloud on loopback while the block lasts, in a thread of its own; its backing is closed in the end."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name=f"{type(standin).__name__} on loopback", daemon=True)
    thread.start()
    try:
        runner = asyncio.run_coroutine_threadsafe(_serve(standin, port), loop).result(30)
        try:
            standin.backing.open(f"{standin.url}{WEBHOOK_PATH}", standin.ca_pem)
            with standin.at_end:
                yield standin
        finally:
            try:
                # The planes end first: they may ask about tokens to their last moment.
                standin.backing.close()
            finally:
                asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _serve(standin: StandIn, port: int) -> web.AppRunner:
    """Listen, and write down where."""
    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", standin.answer)
    # A handler that hangs ends with its connection.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    context = _build_tls(standin) if standin.tls else None
    site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=context)
    await site.start()
    found = runner.addresses[0][1]
    standin.url = f"{'https' if standin.tls else 'http'}://127.0.0.1:{found}"
    return runner


def _build_tls(standin: StandIn) -> ssl.SSLContext:
    """Make a throw-away authority and a certificate of loopback; the key leaves no file behind."""
    now = datetime.now(UTC)
    authority = pki.issue_authority("stand-in cloud", now)
    leaf = pki.Leaf(name="", authority="", common_name="127.0.0.1", hosts=("127.0.0.1", "localhost"), server=True)
    standin.ca_pem = pki.certificate_pem(authority.certificate).decode()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "server.pem"
        path.touch(mode=0o600)
        path.write_bytes(pki.issue_leaf(leaf, authority, now, TLS_LIFE).pem)
        context.load_cert_chain(path)
    return context
