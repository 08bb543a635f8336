"""Metric gates on a real Prometheus: what opens them, and everything that must not.

Where the server itself is at fault (it cuts off answers, sends us elsewhere, wants a token) a small server of the test
stands in, or stands between.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from atoll.fleet.gates import GateKey, GateReading, MetricQuestion
from atoll.measure.prometheus import Limits, Prometheus
from tests.e2e.ssh.sshd_kit import free_port
from tests.support.issuer import Issuer

from .prometheus_kit import RealPrometheus, run_prometheus

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]  # the first one may have to get Prometheus

TOKEN = "s3cr3t-t0ken"
GOOD = b'{"status":"success","data":{"resultType":"scalar","result":[%d,"0"]}}'
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class SystemClock:
    """The machine's clock, or one that is wrong."""

    def __init__(self, wrong: timedelta = timedelta()) -> None:
        self._wrong = wrong

    def now(self) -> datetime:
        """Return the current time."""
        return datetime.now(UTC) + self._wrong


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealPrometheus]:
    with run_prometheus(tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture
async def asking() -> AsyncIterator[Prometheus]:
    prometheus = Prometheus(SystemClock())
    yield prometheus
    await prometheus.close()


def ask(url: str, query: str = "x", *, most: str = "0.01", secret_name: str = "") -> MetricQuestion:
    key = GateKey("uid-1", "canary", "slo")
    return MetricQuestion(key=key, url=url, query=query, max=most, interval_seconds=5, secret_name=secret_name)


def tell(reading: GateReading) -> tuple[bool, str, str]:
    return reading.open, reading.cause, reading.message


@asynccontextmanager
async def serve(handler: Handler) -> AsyncIterator[str]:
    """Serve the query API with a handler of the test; yields the address."""
    app = web.Application()
    app.router.add_post("/api/v1/query", handler)
    server = TestServer(app)
    await server.start_server()
    try:
        yield str(server.make_url("/")).rstrip("/")
    finally:
        await server.close()


# On the real Prometheus


async def test_the_gate_follows_the_number(real: RealPrometheus, asking: Prometheus) -> None:
    for value, expected in (
        ("0.004", (True, "Below", "0.004 is within 0.01")),
        ("0.01", (True, "Below", "0.01 is within 0.01")),
        ("0.024", (False, "Above", "0.024 is above 0.01")),
        ("0.0001", (True, "Below", "0.0001 is within 0.01")),
    ):
        await real.show(errors_ratio=value)
        assert tell(await asking.ask(ask(real.url, "errors_ratio"))) == expected


async def test_a_query_over_many_series_a_comment_and_an_address_with_a_slash(
    real: RealPrometheus, asking: Prometheus
) -> None:
    await real.show(**{'load{pod="a"}': 0.25, 'load{pod="b"}': 0.5})
    query = 'sum by () (load{pod=~"a|b"}) # both, ≤ 1'
    assert tell(await asking.ask(ask(f"{real.url}/", query, most="1"))) == (True, "Below", "0.75 is within 1")
    assert tell(await asking.ask(ask(real.url, "scalar(sum(load))", most="0.5"))) == (
        False,
        "Above",
        "0.75 is above 0.5",
    )
    assert tell(await asking.ask(ask(real.url, "load"))) == (
        False,
        "Several",
        "the query yields 2 series; aggregate them to one, for example with sum(...) or max(...)",
    )


@pytest.mark.parametrize(
    ("query", "cause", "message"),
    [
        ("no_such_series", "Empty", "the query yields nothing; a gate that measures nothing stays closed"),
        ("sum(no_such_series)", "Empty", "the query yields nothing; a gate that measures nothing stays closed"),
        ("vector(0) / vector(0)", "NotANumber", "the query yields NaN, and a gate needs a finite number; "),
        ("vector(1) / vector(0)", "NotANumber", "the query yields +Inf, and a gate needs a finite number; "),
        ("vector(-1) / vector(0)", "NotANumber", "the query yields -Inf, and a gate needs a finite number; "),
        ("-1 / 0", "NotANumber", "the query yields -Inf, and a gate needs a finite number; "),
        ("up[1m]", "NotANumber", "the query yields values over a time, not one number; drop the [range], "),
        ("'healthy'", "NotANumber", "the query yields text; a gate needs a number"),
        ("up{", "Error", "the server answered 400 (bad_data): "),
        ("timestamp(1)", "Error", "the server answered 400 (bad_data): "),
        # A vector is matched with one of several: found only when it is executed.
        (
            'vector(1) * on() label_replace(vector(1), "a", "b", "", "") * on() {__name__=~"scrape_.+"}',
            "Error",
            "the server answered 422 (execution): ",
        ),
    ],
)
async def test_what_is_no_number_opens_nothing(
    real: RealPrometheus, asking: Prometheus, query: str, cause: str, message: str
) -> None:
    await real.scraped()
    reading = await asking.ask(ask(real.url, query))
    assert (reading.open, reading.cause) == (False, cause), reading
    assert reading.message.startswith(message)
    if cause == "Error":
        assert reading.message.endswith("; correct the query")


async def test_a_target_that_stops_being_scraped_ends_its_series_at_once(
    real: RealPrometheus, asking: Prometheus
) -> None:
    """What staleness is in Prometheus: no old sample, but none. Ranges look past that; the last lines pin it down."""
    await real.show(leaving=0.004)
    assert (await asking.ask(ask(real.url, "leaving"))).open
    real.page.status = 500
    try:
        await real.until('up{job="page"}', "0")
        for query in ("leaving", "max(leaving)", "leaving / 1"):
            assert (await asking.ask(ask(real.url, query))).cause == "Empty", query
        # Known and documented: a range goes on with what it has, and `or` puts a number in place of none.
        assert (await asking.ask(ask(real.url, "max_over_time(leaving[5m])"))).open
        assert (await asking.ask(ask(real.url, "leaving or vector(0)"))).open
        # The remedy that the documentation names.
        assert (
            await asking.ask(ask(real.url, 'max_over_time(leaving[5m]) and on(job) up{job="page"} == 1'))
        ).cause == ("Empty")
    finally:
        real.page.status = 200
        await real.scraped()


async def test_an_old_sample_is_found_behind_a_fresh_answer(real: RealPrometheus, asking: Prometheus) -> None:
    """Exporters that set times themselves, and remote writers, leave no mark when they fall silent."""
    await real.show(itself=f"0.004 {(time.time() - 120) * 1000:.0f}", fresh=f"0.004 {time.time() * 1000:.0f}")
    assert (await asking.ask(ask(real.url, "fresh"))).open

    reading = await asking.ask(ask(real.url, "itself"))
    assert (reading.open, reading.cause) == (False, "Stale"), reading
    assert re.match(r"the newest sample is 12\d s old, and at most 60 s are trusted; is its source", reading.message)
    assert (await asking.ask(ask(real.url, "(itself) # in brackets"))).cause == "Stale"
    assert (await asking.ask(ask(real.url, f"fresh @ {time.time() - 100:.0f}"))).cause != "Below"
    # Known and documented: what a function makes of a sample is as old as its evaluation.
    assert (await asking.ask(ask(real.url, "max(itself)"))).open


@pytest.mark.parametrize("wrong", [timedelta(minutes=10), -timedelta(minutes=10)])
async def test_clocks_that_disagree_open_nothing(real: RealPrometheus, wrong: timedelta) -> None:
    await real.show(agreed=0.004)
    asking = Prometheus(SystemClock(wrong))
    try:
        reading = await asking.ask(ask(real.url, "agreed"))
    finally:
        await asking.close()
    assert (reading.open, reading.cause) == (False, "Stale")
    assert "and at most 60 s are trusted; set the clocks of the server and of Atoll" in reading.message


async def test_a_query_that_takes_too_long_is_ended_by_the_server_which_says_so(real: RealPrometheus) -> None:
    asking = Prometheus(SystemClock(), limits=Limits(seconds=1.5))
    try:
        started = time.monotonic()
        slow = " + ".join(["quantile_over_time(0.5, vector(1)[20000s:1s])"] * 2000)
        reading = await asking.ask(ask(real.url, slow))
        took = time.monotonic() - started
    finally:
        await asking.close()
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("the server answered 503 (timeout): query timed out"), reading.message
    assert reading.message.endswith("narrow it, or let a recording rule compute it")
    assert took < 2


async def test_a_real_answer_that_is_too_big_is_not_read_to_its_end(real: RealPrometheus) -> None:
    asking = Prometheus(SystemClock(), limits=Limits(answer_bytes=300))
    try:
        reading = await asking.ask(ask(real.url, '{job="page"}'))
    finally:
        await asking.close()
    assert tell(reading) == (
        False,
        "Error",
        "the server answered more than 300 bytes; does the query yield very many series? Aggregate them to one, for "
        "example with sum(...) or max(...)",
    )


async def test_tls_is_verified(tmp_path_factory: pytest.TempPathFactory, asking: Prometheus) -> None:
    folder = tmp_path_factory.mktemp("tls")
    issuer = Issuer(folder)
    files = {"cert_file": str(folder / "issuer.crt"), "key_file": str(folder / "issuer.key")}
    trusting = Prometheus(SystemClock(), trust=ssl.create_default_context(cadata=issuer.authority))
    with run_prometheus(folder / "server", web={"tls_server_config": files}) as real:
        try:
            reading = await trusting.ask(ask(real.url, "vector(0)"), token=TOKEN)
            assert tell(reading) == (True, "Below", "0 is within 0.01")
        finally:
            await trusting.close()
        reading = await asking.ask(ask(real.url, "vector(0)"), token=TOKEN)
        assert (reading.open, reading.cause) == (False, "Error")
        assert "shows a certificate that this machine's authorities do not vouch for" in reading.message
        plain = await asking.ask(ask(real.url.replace("https", "http"), "vector(0)"))
        assert plain.message.startswith("the server answered 400")


async def test_a_server_behind_a_guard_is_asked_with_the_token(
    real: RealPrometheus, asking: Prometheus, caplog: pytest.LogCaptureFixture
) -> None:
    """Prometheus knows no bearer tokens, so a proxy asks for them, as in most installations."""
    await real.show(guarded=0.004)

    async def guard(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return web.Response(status=401, text=f"not with {request.headers.get('Authorization')}")
        form = await request.post()
        async with aiohttp.ClientSession() as session, session.post(f"{real.url}/api/v1/query", data=form) as answer:
            return web.Response(status=answer.status, body=await answer.read())

    caplog.set_level(logging.DEBUG)
    async with serve(guard) as url:
        question = ask(url, "guarded", secret_name="prometheus")
        assert tell(await asking.ask(question, token=f"{TOKEN}\n")) == (True, "Below", "0.004 is within 0.01")
        wrong = await asking.ask(question, token="wr0ng-t0ken")
        missing = await asking.ask(ask(url, "guarded"))
    assert tell(wrong) == (
        False,
        "Error",
        "the server answered 401; put a bearer token that may query into Secret prometheus, under the key token",
    )
    assert tell(missing) == (False, "Error", "the server answered 401; name a Secret with a bearer token in secretRef")
    assert "t0ken" not in caplog.text + repr(asking) + repr(vars(asking)) + repr(vars(asking._session)), (
        "a token was kept"
    )


# On servers that misbehave


async def test_nobody_listens(asking: Prometheus) -> None:
    port = free_port()
    reading = await asking.ask(ask(f"http://127.0.0.1:{port}"))
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith(f"127.0.0.1:{port} cannot be reached (")
    assert reading.message.endswith("); check url, and whether the network lets Atoll reach it")


async def test_a_name_that_nobody_has(asking: Prometheus) -> None:
    reading = await asking.ask(ask("http://prometheus.invalid:9090"))
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("prometheus.invalid:9090 cannot be reached (")


@pytest.mark.parametrize(("failures", "is_open"), [(1, True), (2, False), (9, False)])
async def test_a_server_error_is_tried_once_more(asking: Prometheus, failures: int, is_open: bool) -> None:
    asked = 0

    async def fail(request: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.Response(status=500, text="oh") if asked <= failures else web.Response(body=GOOD % time.time())

    async with serve(fail) as url:
        reading = await asking.ask(ask(url))
    assert (reading.open, asked) == (is_open, 2)
    if not is_open:
        assert reading.message == "the server answered 500; see to the server, it is asked again every 5 s"


async def test_an_answer_that_is_cut_off_is_tried_once_more_and_never_believed(asking: Prometheus) -> None:
    """Its beginning alone is a whole answer: only the length that was announced gives it away."""
    connections = 0

    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        body = GOOD % time.time()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body) + 10, body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(cut, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reading = await asking.ask(ask(f"http://127.0.0.1:{port}"))
    assert tell(reading) == (False, "Error", f"127.0.0.1:{port} cut off its answer; see to the server")
    assert connections == 2


@pytest.mark.parametrize(
    "words",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"",
        b"\x00" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: \xff\r\nContent-Length: 2\r\n\r\n{}",
    ],
)
async def test_a_server_that_speaks_something_else(asking: Prometheus, words: bytes) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(words)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reading = await asking.ask(ask(f"http://127.0.0.1:{port}"))
    assert (reading.open, reading.cause) == (False, "Error")
    assert re.match(
        r"127.0.0.1:\d+ (gave no answer of HTTP|cut off its answer)|the server sent a compressed", reading.message
    )


@pytest.mark.parametrize("trickle", [True, False])
async def test_a_server_that_never_ends_costs_only_so_long(trickle: bool) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if trickle:
            await answer.prepare(request)
        while True:
            if trickle:
                await answer.write(b" ")
            await asyncio.sleep(0.05)

    asking = Prometheus(SystemClock(), limits=Limits(seconds=0.6))
    async with serve(hang) as url:
        started = time.monotonic()
        reading = await asking.ask(ask(url))
        took = time.monotonic() - started
        await asking.close()
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("no answer within 0.6 s; check url, ")
    assert 0.5 < took < 2


async def test_an_answer_of_megabytes_is_dropped_on_the_way(asking: Prometheus) -> None:
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse()
        await answer.prepare(request)
        for _ in range(1000):
            await answer.write(b" " * (1 << 16))
            sent += 1 << 16
        return answer

    async with serve(flood) as url:
        reading = await asking.ask(ask(url))
        await asking.close()
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("the server answered more than 1048576 bytes; ")
    assert sent < 20 << 20


async def test_an_answer_that_would_unpack_to_gigabytes_is_not_unpacked(asking: Prometheus) -> None:
    async def bomb(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    async with serve(bomb) as url:
        reading = await asking.ask(ask(url))
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("the server sent a compressed answer")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_leads_nowhere_and_the_token_stays(asking: Prometheus, status: int) -> None:
    heard: list[str] = []

    async def thief(request: web.Request) -> web.Response:
        heard.append(request.headers.get("Authorization", "nothing"))
        return web.Response(body=GOOD % time.time())

    async with serve(thief) as other:

        async def send_away(request: web.Request) -> web.Response:
            assert request.headers["Authorization"] == f"Bearer {TOKEN}"
            return web.Response(status=status, headers={"Location": f"{other}/api/v1/query"})

        async with serve(send_away) as url:
            reading = await asking.ask(ask(url, secret_name="prometheus"), token=TOKEN)
    assert heard == []
    assert tell(reading) == (
        False,
        "Error",
        f"the server answered {status} and wants to send us elsewhere; redirects are not followed: put the final "
        "address into url",
    )


async def test_a_server_that_repeats_the_token_does_not_get_it_shown(asking: Prometheus) -> None:
    async def repeat(request: web.Request) -> web.Response:
        told = {"status": "error", "errorType": "bad_data", "error": f"no {request.headers['Authorization']}"}
        return web.json_response(told, status=400)

    async with serve(repeat) as url:
        reading = await asking.ask(ask(url), token=TOKEN)
    assert tell(reading) == (False, "Error", "the server answered 400 (bad_data): no Bearer …; correct the query")


async def test_it_sends_what_prometheus_reads_and_the_age_of_the_same_moment(asking: Prometheus) -> None:
    forms: list[dict[str, Any]] = []
    at = round(time.time(), 3)

    async def note(request: web.Request) -> web.Response:
        forms.append(dict(await request.post()))
        value = "0.004" if len(forms) == 1 else str(at - 1)
        result = [{"metric": {}, "value": [at, value]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": result}})

    async with serve(note) as url:
        assert (await asking.ask(ask(url, "a&b=c é"))).open
    patience = [form.pop("timeout") for form in forms]
    assert forms == [{"query": "a&b=c é"}, {"query": "timestamp(\na&b=c é\n)", "time": str(at)}]
    assert all(9_000 < int(text.removesuffix("ms")) <= 9_500 for text in patience)


# Addresses that are not connected to


class Told(AbstractResolver):
    """Resolves every name to what it was told, the next answer each time: DNS in somebody else's hands."""

    def __init__(self, *answers: tuple[str, ...]) -> None:
        self._answers = list(answers)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the next answer."""
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self._answers.pop(0)
        ]

    async def close(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "0xa9fea9fe",  # the same
        "[::ffff:169.254.169.254]",
        "[64:ff9b::a9fe:a9fe]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "0.0.0.0",
    ],
)
async def test_metadata_services_are_not_asked(asking: Prometheus, host: str) -> None:
    reading = await asking.ask(ask(f"http://{host}:80"))
    assert (reading.open, reading.cause) == (False, "Error")
    assert reading.message.startswith("url leads to "), reading.message
    assert reading.message.endswith("metadata services; put the address of the Prometheus server into url")


async def test_an_address_written_as_one_number_is_not_taken(asking: Prometheus) -> None:
    reading = await asking.ask(ask("http://2852039166:80"))
    assert tell(reading) == (
        False,
        "Error",
        "2852039166:80 cannot be asked; write url like https://prometheus.example.com:9090",
    )


async def test_a_name_that_changes_between_two_looks_leads_to_no_forbidden_address() -> None:
    async def good(request: web.Request) -> web.Response:
        return web.Response(body=GOOD % time.time(), headers={"Connection": "close"})

    async with serve(good) as url:
        port = url.rpartition(":")[2]
        names = Told(("127.0.0.1",), ("169.254.169.254",), ("169.254.169.254", "127.0.0.1"))
        asking = Prometheus(SystemClock(), resolver=names)
        try:
            readings = [await asking.ask(ask(f"http://prometheus.example.com:{port}")) for _ in range(3)]
        finally:
            await asking.close()
    first, rebound, both = readings
    assert first.open
    assert rebound.message.startswith("url leads to 169.254.169.254, and nothing is sent there")
    assert both.open, "the honest address of the two was not tried"
