"""Fetch files over HTTPS: TLS verified, redirects only to HTTPS, every wait bounded.

What went wrong decides what the caller may do. `Unreachable`, `Throttled` and `VersionUnavailable` mean "not to be had
here, look elsewhere", and their message is the few words that say why. `ToolchainError` means that a file began to come
and then went wrong, which a person should hear of.
"""

from __future__ import annotations

import hashlib
import http.client
import socket
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import tenacity

from atoll.errors import Retryable, Throttled, ToolchainError, Unreachable, VersionUnavailable

from .sources import Limits

_CHUNK: Final = 1 << 18
_MOST_TEXT: Final = 1 << 20
_MOST_FILE: Final = 1 << 30
"""No release is near; a server that sends without end must not fill the disk."""
_BUSY: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Interrupted(Retryable):
    """A connection that stood was lost, or fell silent."""


class Downloads:
    """Fetches files; remembers which hosts nobody answered at, so that each is waited for only once."""

    def __init__(self, limits: Limits, *, trust: ssl.SSLContext | None, stop: threading.Event) -> None:
        self._limits = limits
        self._trust = trust
        self._stop = stop
        self._opener: urllib.request.OpenerDirector | None = None
        self._reached: set[str] = set()
        self._unreachable: dict[str, tuple[float, str]] = {}
        """Host → when it was tried, and what came of it."""

    def fetch_text(self, url: str) -> str:
        """Fetch a small text, such as a published digest."""
        chunks: list[bytes] = []

        def begin() -> Callable[[bytes], object]:
            chunks.clear()
            return chunks.append

        self._fetch(url, begin, most=_MOST_TEXT, advance=lambda done, total: None)
        return b"".join(chunks).decode("utf-8", "replace")

    def fetch_file(self, url: str, path: Path, advance: Callable[[int, int | None], None]) -> str:
        """Fetch `url` into the new file `path`; returns the SHA-256 of what came."""
        with path.open("wb") as file:
            digest = hashlib.sha256()

            def begin() -> Callable[[bytes], object]:
                nonlocal digest
                digest = hashlib.sha256()
                file.seek(0)
                file.truncate()
                return write

            def write(chunk: bytes) -> None:
                digest.update(chunk)
                file.write(chunk)

            self._fetch(url, begin, most=_MOST_FILE, advance=advance)
        return digest.hexdigest()

    def _fetch(
        self,
        url: str,
        begin: Callable[[], Callable[[bytes], object]],
        *,
        most: int,
        advance: Callable[[int, int | None], None],
    ) -> None:
        retrying = tenacity.Retrying(
            stop=tenacity.stop_after_attempt(self._limits.attempts),
            wait=tenacity.wait_exponential(multiplier=self._limits.pause, max=10),
            retry=tenacity.retry_if_exception_type((_Interrupted, Throttled)),
            sleep=tenacity.sleep_using_event(self._stop),
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    self._transfer(url, begin(), most=most, advance=advance)
        except _Interrupted as error:
            raise ToolchainError(
                f"{url}: {error} (tried {self._limits.attempts} times). Nothing was kept. "
                "Try again, or point ATOLL_DOWNLOAD_MIRROR to a mirror."
            ) from error

    def _transfer(
        self, url: str, write: Callable[[bytes], object], *, most: int, advance: Callable[[int, int | None], None]
    ) -> None:
        deadline = time.monotonic() + self._limits.download
        done = 0
        with self._open(url) as response:
            stated = response.headers.get("Content-Length", "")
            total = int(stated) if stated.isdecimal() else None
            while chunk := self._read(response, done):
                write(chunk)
                done += len(chunk)
                advance(done, total)
                self._check_pace(url, done, most=most, deadline=deadline)
        if total is not None and done != total:
            raise _Interrupted(f"truncated: {done} of {total} bytes came")

    def _read(self, response: Any, done: int) -> bytes:
        """Read what has come, without waiting for a whole chunk: a trickle must not outlast the limit unseen."""
        try:
            chunk: bytes = response.read1(_CHUNK)
        except TimeoutError as error:
            raise _Interrupted(f"nothing more came for {self._limits.silence:g} s after {done} bytes") from error
        except (http.client.HTTPException, OSError) as error:
            raise _Interrupted(f"the connection was cut after {done} bytes ({_name(error)})") from error
        return chunk

    def _check_pace(self, url: str, done: int, *, most: int, deadline: float) -> None:
        if self._stop.is_set():
            raise ToolchainError(f"{url}: stopped. Nothing was kept.")
        if done > most:
            raise ToolchainError(
                f"{url}: more than {most} bytes came, so this is not what we asked for. Check the mirror."
            )
        if time.monotonic() > deadline:
            raise ToolchainError(
                f"{url}: not done after {self._limits.download:g} s ({done} bytes came). Nothing was kept. "
                "Point ATOLL_DOWNLOAD_MIRROR to a faster mirror, or put the binaries into $ATOLL_ASSETS."
            )

    def _open(self, url: str) -> Any:
        parts = urlsplit(url)
        host = parts.hostname or ""
        self._check_host(host, parts.port or 443)
        request = urllib.request.Request(url, headers={"User-Agent": "atoll-toolchain"})  # noqa: S310 - the opener knows https alone
        try:
            response = self._director().open(request, timeout=self._limits.connect)
        except urllib.error.HTTPError as error:
            error.close()
            self._reached.add(host)
            if error.code in _BUSY:
                raise Throttled(f"answered {error.code}") from error
            raise VersionUnavailable("not there" if error.code == 404 else f"answered {error.code}") from error
        except urllib.error.URLError as error:
            if host in self._reached and not isinstance(error.reason, ssl.SSLCertVerificationError):
                raise _Interrupted(f"the connection failed ({_name(error.reason)})") from error
            raise self._give_up(host, _explain(error.reason)) from error
        except TimeoutError as error:
            raise _Interrupted(f"no answer came for {self._limits.silence:g} s") from error
        except (http.client.HTTPException, OSError) as error:
            raise _Interrupted(f"the connection was cut before an answer came ({_name(error)})") from error
        self._reached.add(host)
        return response

    def _check_host(self, host: str, port: int) -> None:
        """Raise Unreachable for a host that did not answer lately, and find that out once, in `connect` seconds."""
        if host in self._reached:
            return
        if host in self._unreachable:
            tried, why = self._unreachable[host]
            if time.monotonic() - tried < self._limits.forget_unreachable:
                raise Unreachable(why)
        if not _is_proxied(host) and not _answers(host, port, self._limits.connect):
            raise self._give_up(host, "unreachable")

    def _give_up(self, host: str, why: str) -> Unreachable:
        self._unreachable[host] = (time.monotonic(), why)
        return Unreachable(why)

    def _director(self) -> urllib.request.OpenerDirector:
        """Build an opener that knows no scheme but https, so that no redirect leads out of TLS."""
        if self._opener is None:
            opener = urllib.request.OpenerDirector()
            for handler in (
                urllib.request.ProxyHandler(),
                _Https(self._trust or ssl.create_default_context(), self._limits.silence),
                urllib.request.HTTPRedirectHandler(),
                urllib.request.HTTPDefaultErrorHandler(),
                urllib.request.HTTPErrorProcessor(),
                urllib.request.UnknownHandler(),
            ):
                opener.add_handler(handler)
            self._opener = opener
        return self._opener


class _Https(urllib.request.HTTPSHandler):
    """Opens connections that are impatient while connecting and patient afterwards."""

    def __init__(self, trust: ssl.SSLContext, silence: float) -> None:
        super().__init__(context=trust)
        self._trust = trust
        self._silence = silence

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        def connection(host: str, /, **settings: Any) -> _Connection:
            return _Connection(host, context=self._trust, silence=self._silence, **settings)

        return self.do_open(connection, req)


class _Connection(http.client.HTTPSConnection):
    def __init__(self, host: str, *, silence: float, **settings: Any) -> None:
        super().__init__(host, **settings)
        self._silence = silence

    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(self._silence)


def _answers(host: str, port: int, seconds: float) -> bool:
    """Tell whether anybody accepts a connection, within `seconds` in all.

    In a thread, because name resolution has no time limit of its own and a host may have many addresses.
    """
    answered = threading.Event()

    def connect() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
        except OSError:
            return
        answered.set()

    thread = threading.Thread(target=connect, name="atoll-toolchain-probe", daemon=True)
    thread.start()
    thread.join(seconds)
    return answered.is_set()


def _is_proxied(host: str) -> bool:
    return "https" in urllib.request.getproxies() and not urllib.request.proxy_bypass(host)


def _explain(reason: str | BaseException) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, str):  # urllib's own words, such as a redirect to a scheme that we do not know
        return reason
    return "unreachable"


def _name(error: str | BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
