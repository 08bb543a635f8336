"""A small TLS server that stands for an API server: it answers from a script and writes down what it was asked."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import yaml
from aiohttp import web

from .authority import Authority, Pair


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class FakeServer:
    """Answers with the next scripted answer; the last one is repeated."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.asked: list[Asked] = []
        self.script: list[Handler] = []
        self.url = ""
        self.context: ssl.SSLContext | None = None

    def answers(self, *script: Handler) -> None:
        """Set what is answered from now on."""
        self.script = list(script)
        self.asked.clear()

    def kubeconfig(self, *, token: str = "canary-token", server: str = "", ca: str = "") -> str:
        """Return a self-contained kubeconfig for this server."""
        return kubeconfig(server=server or self.url, ca=ca or self.authority.pem, user={"token": token})

    def believe_everybody(self) -> None:
        """Let any client certificate through the handshake, as a load balancer that ends TLS may do."""
        assert self.context is not None
        self.context.verify_mode = ssl.CERT_NONE

    async def handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        self.asked.append(
            Asked(
                method=request.method,
                path=request.raw_path.partition("?")[0],
                query=dict(request.query),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=json.loads(text) if text else None,
            )
        )
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await handler(request)


def server_context(authority: Authority, pair: Pair) -> ssl.SSLContext:
    """Return the TLS context of a server that asks for client certificates, as an API server does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
        file.write(pair.certificate + pair.key)
        file.flush()
        context.load_cert_chain(file.name)
    context.load_verify_locations(cadata=authority.pem)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


@asynccontextmanager
async def running_server():
    """Run a fake server on a free loopback port."""
    server = FakeServer()
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{tail:.*}", server.handle)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=0.1)
    await runner.setup()
    context = server.context = server_context(server.authority, server.authority.server())
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.url = f"https://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()


def kubeconfig(*, server: str, ca: str, user: dict[str, Any], cluster: dict[str, Any] | None = None) -> str:
    """Write a kubeconfig with one context."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [
                {
                    "name": "c",
                    "cluster": {"server": server, "certificate-authority-data": encode(ca), **(cluster or {})},
                }
            ],
            "users": [{"name": "u", "user": user}],
        }
    )


def encode(text: str) -> str:
    """Encode in base64."""
    return base64.b64encode(text.encode()).decode()


def answer(body: Any = None, status: int = 200, **headers: str) -> Handler:
    """Answer with a JSON object."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.json_response(
            body or {}, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    return handle


def refuse(status: int, message: str, reason: str = "", causes: list[dict[str, str]] | None = None, **headers: str):
    """Answer with a Status, as API servers refuse."""
    body = {"kind": "Status", "message": message, "reason": reason, "details": {"causes": causes or []}}
    return answer(body, status, **headers)


def say(text: str, status: int = 200) -> Handler:
    """Answer with plain text."""

    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(text=text, status=status)

    return handle


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.sleep(60)
    raise AssertionError("the client waited for a minute")


async def cut(request: web.Request) -> web.StreamResponse:
    """Promise a body and close the connection in the middle of it."""
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"kind": ')
    assert request.transport is not None
    request.transport.abort()
    return response


async def drop(request: web.Request) -> web.StreamResponse:
    """Close the connection without a word."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def flood(request: web.Request) -> web.StreamResponse:
    """Send for as long as somebody listens."""
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(4096):
        await response.write(os.urandom(1 << 16))
    return response


async def redirect(_: web.Request) -> web.StreamResponse:
    """Point to somewhere else."""
    return web.Response(status=302, headers={"Location": "https://169.254.169.254/latest/meta-data"})


async def bomb(_: web.Request) -> web.StreamResponse:
    """Send compressed what nobody asked to be compressed."""
    response = web.Response(body=b"{}" * 100_000)
    response.enable_compression(web.ContentCoding.gzip)
    return response
