"""Faults that a real API server cannot be brought to: see tests/e2e/kube for the others."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import threading

import pytest

from atoll.errors import Unreachable
from atoll.kube.member import MemberClient
from atoll.kube.verify import check_anonymous, check_health, check_namespaces, check_wrong_certificate, run_checks

from .authority import Authority
from .server import answer, drop, hang, redirect, refuse, say, server_context

NOW = datetime.datetime(2026, 11, 21, 9, 0, tzinfo=datetime.UTC)


async def test_a_server_that_takes_any_certificate_fails(server):
    # The fake server's TLS refuses foreign certificates itself; a balancer that ends TLS and forwards does not.
    server.believe_everybody()
    server.answers(answer({"kind": "APIVersions"}))
    result, message = await check_wrong_certificate(server.url, server.authority.pem)
    assert result == "Failed"
    assert "O=system:masters" in message
    assert "--client-ca-file" in message


@pytest.mark.parametrize(
    ("version", "check"),
    [
        (ssl.TLSVersion.TLSv1_3, check_anonymous),
        (ssl.TLSVersion.TLSv1_3, check_wrong_certificate),
        (ssl.TLSVersion.TLSv1_2, check_wrong_certificate),
    ],
)
async def test_a_server_that_wants_its_own_certificates_refuses_in_the_handshake(version, check):
    """Some load balancers check client certificates before any request. With TLS 1.3 we hear of it only afterwards."""
    authority = Authority()
    context = server_context(authority, authority.server())
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = version
    with refusing_server(context) as url:
        result, message = await check(url, authority.pem)
    assert (result, "in the handshake" in message) == ("Passed", True), message


@contextlib.contextmanager
def refusing_server(context: ssl.SSLContext):
    """A server of threads: one of asyncio would drop the connection without sending the alert."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                context.wrap_socket(connection, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


async def test_strangers_carry_no_credentials_of_ours(server):
    server.answers(refuse(401, "Unauthorized"))
    assert (await check_anonymous(server.url, server.authority.pem))[0] == "Passed"
    assert [asked.path for asked in server.asked] == ["/api", "/apis", "/api/v1/namespaces", "/api/v1/secrets"]
    assert all("authorization" not in asked.headers for asked in server.asked)


@pytest.mark.parametrize("status", [404, 500, 503])
async def test_an_answer_that_neither_serves_nor_refuses_proves_nothing(server, status):
    server.answers(refuse(status, "hm"))
    assert (await check_anonymous(server.url, server.authority.pem))[0] == "Unknown"


async def test_one_path_that_is_open_is_enough_to_fail(server):
    server.answers(*[refuse(403, "no")] * 3, answer({"kind": "SecretList"}))
    result, message = await check_anonymous(server.url, server.authority.pem)
    assert (result, "GET /api/v1/secrets?limit=1 200" in message) == ("Failed", True)


async def test_a_server_that_is_not_ready_fails_naming_what_is_not(server):
    server.answers(say("[+]ping ok\n[-]etcd failed: reason withheld\n", status=500))
    async with MemberClient(server.kubeconfig()) as member:
        result, message = await check_health(member)
    assert (result, message) == ("Failed", "GET /readyz was answered 500: [-]etcd failed: reason withheld")


async def test_no_check_raises_whatever_the_server_does(server):
    for script in (hang, redirect, say("junk"), answer({"metadata": "odd"}), refuse(401, "no"), refuse(429, "no")):
        server.answers(script)
        member = MemberClient(server.kubeconfig(), seconds=0.2)
        results = await run_checks(
            member,
            wanted_version="v1.36.4",
            wanted_uid="u",
            endpoint=server.url,
            ca=server.authority.pem,
            suffix="x",
            now=NOW,
            probe_seconds=0.2,
        )
        assert len(results) == 6
        by_name = {result.check: result.result for result in results}
        assert {by_name["version-served"], by_name["identity"], by_name["namespace-lifecycle"]} <= {"Failed", "Unknown"}
        await member.close()


async def test_a_namespace_without_a_controller_manager_fails_after_the_limit(server):
    created = answer({"metadata": {"name": "atoll-verify-x", "uid": "u"}})
    missing = refuse(404, "not found")
    server.answers(missing, answer({"items": []}), created, missing)
    async with MemberClient(server.kubeconfig()) as member:
        result, message = await check_namespaces(member, "x", NOW, seconds=0.5)
    assert result == "Failed"
    assert "until namespace atoll-verify-x has its ServiceAccount" in message
    assert "controller manager" in message


@pytest.mark.parametrize("check", [check_anonymous, check_wrong_certificate])
async def test_a_connection_that_fails_is_no_refusal(server, check):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unreachable, match="cannot be reached"):
        await check(f"https://127.0.0.1:{port}", server.authority.pem)
    server.answers(drop)
    with pytest.raises(Unreachable):
        await check_anonymous(server.url, server.authority.pem, 0.3)
    with pytest.raises(Unreachable, match="pinned authority"):
        await check(server.url, Authority("other").pem)
