"""Asks a Prometheus-compatible server for the number of a metric gate.

The address is what the author of a ClusterSet wrote, so this is a way to make the operator send requests: it sends
nothing but queries, follows no redirect, and connects to no address where cloud metadata services answer. That is
checked on the address of each single connection, after the name was resolved, so that no change of DNS in between gets
past it. Private and loopback addresses are allowed: that is where Prometheus lives.

The query is sent as a form by POST: proxies do not keep the answers to those, and long queries fit.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import aiohttp
import tenacity
from aiohttp.abc import AbstractResolver
from aiohttp.connector import NEEDS_CLEANUP_CLOSED
from yarl import URL

from atoll.errors import Refused, Unreachable
from atoll.fleet.gates import GateReading, MetricQuestion
from atoll.kube.connect import is_forbidden_address
from atoll.kube.transport import describe_tls, user_agent
from atoll.ports import Clock

from .reading import build_age_question, build_closed, clean_words, judge_age, judge_answer

_PATH: Final = "api/v1/query"
_SECONDS_TO_ANSWER: Final = 0.5
"""How much sooner the server shall give up than we do, so that it can still say so."""
_SECONDS_TO_TRY_AGAIN: Final = 2.0
"""With less time left a second try would only hide what the first one found."""
_EXAMPLE: Final = "https://prometheus.example.com:9090"
_MESSAGE: Final = 600
_REACH: Final = "check url, and whether the network lets Atoll reach it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much patience there is for one question."""

    seconds: float = 10.0
    """For all of it: tries, answers, and the question how old the sample is."""
    connect_seconds: float = 4.0
    answer_bytes: int = 1 << 20
    tries: int = 2
    pause_seconds: float = 0.2


class Prometheus:
    """Asks servers over connections that it keeps. Close it."""

    def __init__(
        self,
        clock: Clock,
        *,
        limits: Limits | None = None,
        trust: ssl.SSLContext | None = None,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._resolver = resolver
        self._trust: ssl.SSLContext | bool = True if trust is None else trust
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, question: MetricQuestion, *, token: str = "") -> GateReading:
        """Ask once and judge the answer. Never raises for trouble: that is a closed reading which says what to do."""
        now = self._clock.now()
        secret = token.strip()
        try:
            url = _check_url(question.url, has_token=bool(secret))
            async with asyncio.timeout(self._limits.seconds):
                return await self._ask(question, url, _build_headers(question, secret), secret, now)
        except TimeoutError:
            remedy = "narrow the query, or let a recording rule compute it"
            message = f"no answer within {self._limits.seconds:g} s; {_REACH}, or {remedy}"
        except (Refused, Unreachable) as error:
            message = str(error)
        return build_closed(clean_words(message, secret, most=_MESSAGE), now=now)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
            await asyncio.sleep(0)  # aborted transports let go of their sockets in the next turn of the loop

    async def _ask(
        self, question: MetricQuestion, url: URL, headers: Mapping[str, str], secret: str, now: datetime
    ) -> GateReading:
        deadline = asyncio.get_running_loop().time() + self._limits.seconds
        status, body = await self._send(url, headers, {"query": question.query}, deadline)
        reading = judge_answer(question, status, body, now=now, secret=secret)
        age_question = build_age_question(question, body) if reading.open else None
        if age_question is None:
            return reading
        form = {"query": age_question.query, "time": repr(age_question.time)}
        status, body = await self._send(url, headers, form, deadline)
        return judge_age(question, reading, status, body, secret=secret)

    async def _send(
        self, url: URL, headers: Mapping[str, str], form: Mapping[str, str], deadline: float
    ) -> tuple[int, bytes]:
        """Send a form, a second time where that may help; returns the last answer or raises for the last failure."""
        loop = asyncio.get_running_loop()

        def is_over(state: tenacity.RetryCallState) -> bool:
            late = loop.time() > deadline - _SECONDS_TO_TRY_AGAIN
            return late or state.attempt_number >= self._limits.tries

        retrying = tenacity.AsyncRetrying(
            stop=is_over,
            wait=tenacity.wait_fixed(self._limits.pause_seconds),
            retry=tenacity.retry_any(
                tenacity.retry_if_exception_type(Unreachable), tenacity.retry_if_result(lambda answer: answer[0] >= 500)
            ),
            retry_error_callback=_give_last,
        )
        return await retrying(self._send_once, url, headers, form, deadline)

    async def _send_once(
        self, url: URL, headers: Mapping[str, str], form: Mapping[str, str], deadline: float
    ) -> tuple[int, bytes]:
        left = deadline - asyncio.get_running_loop().time()
        patience = max(left - _SECONDS_TO_ANSWER, left / 2, 0.001)
        try:
            async with self._open().post(
                url,
                data={**form, "timeout": f"{patience * 1000:.0f}ms"},
                headers=headers,
                ssl=self._trust,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._limits.connect_seconds),
            ) as answer:
                return answer.status, await self._read(answer)
        except (
            aiohttp.InvalidURL,
            UnicodeError,
        ) as error:  # a host that aiohttp or the encoding of names does not take
            raise Refused(f"{url.authority} cannot be asked; write url like {_EXAMPLE}") from error
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable(f"nobody answers at {url.authority}; {_REACH}") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise Refused(
                f"{url.authority} shows a certificate that this machine's authorities do not vouch for "
                f"({error.certificate_error}); give the server one of theirs, or add its authority to them"
            ) from error
        except (aiohttp.ClientSSLError, ssl.SSLError) as error:
            raise Refused(
                f"{url.authority}: TLS failed ({describe_tls(error)}); does url have the right port?"
            ) from error
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, _ForbiddenAddress):
                raise Refused(str(error.os_error)) from error
            what = error.os_error.strerror or error.os_error
            raise Unreachable(f"{url.authority} cannot be reached ({what}); {_REACH}") from error
        except aiohttp.ClientPayloadError as error:
            raise Unreachable(f"{url.authority} cut off its answer; see to the server") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: what no parser foresaw
            raise Unreachable(f"{url.authority} gave no answer of HTTP ({type(error).__name__}); {_REACH}") from error

    async def _read(self, answer: aiohttp.ClientResponse) -> bytes:
        if answer.headers.get("Content-Encoding", "identity") != "identity":
            raise Refused("the server sent a compressed answer that nobody asked for; see what stands before it")
        body = bytearray()
        async for part in answer.content.iter_chunked(1 << 16):
            body += part
            if len(body) > self._limits.answer_bytes:
                raise Refused(
                    f"the server answered more than {self._limits.answer_bytes} bytes; does the query yield very many "
                    "series? Aggregate them to one, for example with sum(...) or max(...)"
                )
        return bytes(body)

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    socket_factory=_open_socket,
                    resolver=self._resolver,
                    use_dns_cache=False,
                    # Older Pythons lose TLS connections whose peer says no goodbye; newer ones warn of this setting.
                    enable_cleanup_closed=NEEDS_CLEANUP_CLOSED,
                ),
                cookie_jar=aiohttp.DummyCookieJar(),
                # Compressed answers could be small on the wire and huge in memory.
                headers={"User-Agent": user_agent(), "Accept": "application/json", "Accept-Encoding": "identity"},
                auto_decompress=False,
                trust_env=False,
            )
        return self._session


class _ForbiddenAddress(OSError):
    """We do not connect to that address."""


def _open_socket(info: tuple[Any, Any, int, str, tuple[Any, ...]]) -> socket.socket:
    """Open the socket for one address, the very one that will be connected to; raises for a forbidden one."""
    family, kind, protocol, _, address = info
    if is_forbidden_address(ipaddress.ip_address(str(address[0]).partition("%")[0])):
        raise _ForbiddenAddress(
            f"url leads to {address[0]}, and nothing is sent there: such link-local and special addresses are those of "
            "clouds' metadata services; put the address of the Prometheus server into url"
        )
    return socket.socket(family=family, type=kind, proto=protocol)


def _check_url(text: str, *, has_token: bool) -> URL:
    """Return the address to query; raises Refused where nothing can or should be sent."""
    try:
        url = URL(text)
        host, port = url.host or "", url.port
    except ValueError:
        host, port = "", None
        url = URL()
    if url.scheme not in ("http", "https") or not host or not port:
        raise Refused(f"url is no address of a server; write it like {_EXAMPLE}")
    if url.user is not None or url.password is not None or url.query_string or url.fragment:
        raise Refused(
            "url must hold no user, password, query or fragment; a bearer token goes into the Secret of secretRef"
        )
    if has_token and url.scheme != "https" and not _is_loopback(host):
        raise Refused(
            "the token is not sent over http, where everybody on the way can read it; use https, or no secretRef"
        )
    return url / _PATH


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _build_headers(question: MetricQuestion, secret: str) -> dict[str, str]:
    if not secret:
        return {}
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise Refused(f"the token in Secret {question.secret_name} is not one word of plain characters; correct it")
    return {"Authorization": f"Bearer {secret}"}


def _give_last(state: tenacity.RetryCallState) -> tuple[int, bytes]:
    assert state.outcome is not None
    answer: tuple[int, bytes] = state.outcome.result()
    return answer
