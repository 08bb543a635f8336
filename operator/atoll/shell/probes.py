"""/healthz, /readyz and /metrics, on the loop that does the work: a loop that hangs answers none of them."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from .metrics import Metrics


class Probes:
    """A small HTTP server. `trouble` says what is wrong, or nothing."""

    def __init__(self, metrics: Metrics, trouble: Callable[[], str]) -> None:
        self._metrics = metrics
        self._trouble = trouble
        self._runner: web.AppRunner | None = None

    async def start(self, address: str, port: int) -> None:
        """Listen, unless the port is 0."""
        if not port:
            return
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._health)
        app.router.add_get("/metrics", self._show_metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, address, port).start()

    async def stop(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        del request
        trouble = self._trouble()
        return web.Response(text=trouble or "ok", status=500 if trouble else 200)

    async def _show_metrics(self, request: web.Request) -> web.Response:
        del request
        return web.Response(body=self._metrics.render(), content_type="text/plain")
