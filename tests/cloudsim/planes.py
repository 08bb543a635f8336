"""Real control planes behind managed clusters.

All their work runs in one loop in a thread of its own, one piece at a time for each cluster, so that the cloud answers
meanwhile. The API server of each asks the cloud about bearer tokens (`--authentication-token-webhook-config-file`).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from atoll.errors import AtollError, VersionUnavailable
from atoll.planes import pki
from atoll.planes.binaries import Binaries
from atoll.planes.layout import build_layout
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec, Role
from atoll.ports import Operation, OperationType
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

SMALL: Final[Mapping[Role, Mapping[str, str]]] = {
    Role.ETCD: {"GOMEMLIMIT": "128MiB"},
    Role.API_SERVER: {"GOMEMLIMIT": "512MiB"},
    Role.CONTROLLER_MANAGER: {"GOMEMLIMIT": "128MiB"},
}
"""Several clouds' clusters share the machine."""
TOKEN_CACHE: Final = "1s"
"""How long an API server believes what it was told of a token."""
CLOSE_SECONDS: Final = 120.0


class PlaneBacking:
    """One real plane for each cluster, below `folder`. `close` removes them, also half-made ones."""

    def __init__(self, folder: Path, binaries: Binaries | None = None) -> None:
        self._planes = Planes(folder, binaries or Assets(), clock=SystemClock(), environment=SMALL)
        self._folder = folder
        self._webhook = ""
        self._webhook_ca = ""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="planes of a cloud", daemon=True)
        self._thread.start()
        self._lock = threading.Lock()
        self._order: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._open: dict[str, int] = defaultdict(int)
        """Key → pieces of work that have not ended."""
        self._failures: dict[str, str] = {}
        self._versions: dict[str, str] = {}
        self._endpoints: dict[str, tuple[str, str]] = {}
        self._numbers = iter(range(1, 1_000_000))

    @property
    def planes(self) -> Planes:
        """The planes themselves, for tests that look behind the cloud."""
        return self._planes

    def open(self, webhook_url: str, ca_pem: str) -> None:
        """Learn where tokens are asked about."""
        self._webhook, self._webhook_ca = webhook_url, ca_pem

    def begin(self, key: str, version: str) -> None:
        """Begin a plane."""
        with self._lock:
            if key in self._versions:
                return
            self._versions[key] = version
        self._start(key, lambda: self._run(key, OperationType.CREATE, version))

    def endpoint(self, key: str) -> tuple[str, str] | None:
        """Return URL and authority once it has been created."""
        with self._lock:
            return self._endpoints.get(key)

    def change(self, key: str, version: str) -> None:
        """Begin to bring a plane to another version."""
        with self._lock:
            self._versions[key] = version
        self._start(key, lambda: self._run(key, OperationType.CHANGE, version))

    def end(self, key: str) -> None:
        """Begin to remove a plane."""
        with self._lock:
            if key not in self._versions:
                return
            del self._versions[key]
            self._endpoints.pop(key, None)
        self._start(key, lambda: self._planes.remove(key))

    def is_settled(self, key: str) -> bool:
        """Say whether nothing is under way."""
        with self._lock:
            return self._open[key] == 0

    def failure(self, key: str) -> str:
        """Say why the latest work on a plane failed."""
        with self._lock:
            return self._failures.get(key, "")

    def close(self) -> None:
        """Remove all planes, whatever state they are in; raises the first failure after having tried all."""
        if self._loop.is_closed():
            return
        try:
            asyncio.run_coroutine_threadsafe(self._remove_all(), self._loop).result(CLOSE_SECONDS)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(10)
            self._loop.close()

    async def _remove_all(self) -> None:
        keys = {state.spec.id for state in self._planes.list()} | set(self._order)
        found = await asyncio.gather(*(self._remove_after(key) for key in keys), return_exceptions=True)
        for failure in found:
            if failure is not None:
                raise failure

    async def _remove_after(self, key: str) -> None:
        async with self._order[key]:
            await self._planes.remove(key)

    def _start(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        with self._lock:
            self._open[key] += 1
        asyncio.run_coroutine_threadsafe(self._in_turn(key, work), self._loop)

    async def _in_turn(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        with self._count_down(key):
            async with self._order[key]:
                failure = ""
                try:
                    await work()
                except (AtollError, OSError) as error:
                    failure = f"{type(error).__name__}: {error}"
                with self._lock:
                    self._failures[key] = failure

    @contextlib.contextmanager
    def _count_down(self, key: str) -> Iterator[None]:
        try:
            yield
        finally:
            with self._lock:
                self._open[key] -= 1

    async def _run(self, key: str, kind: OperationType, minor: str) -> None:
        version = self._find_version(minor)
        operation = Operation(id=f"{kind.value.lower()}-{next(self._numbers)}", type=kind, to_version=version)
        await self._planes.run_operation(key, self._spec(key, version), operation)
        state = self._planes.read(key)
        assert state is not None
        authority = build_layout(self._planes.home, key).authority(pki.CLUSTER_AUTHORITY).read_text()
        with self._lock:
            if key in self._versions:
                self._endpoints[key] = state.endpoint, authority

    def _find_version(self, minor: str) -> str:
        """Return the newest patch of a minor version that can be had."""
        found = [version for version in self._planes.binaries.versions() if version.startswith(f"v{minor}.")]
        if not found:
            raise VersionUnavailable(f"there are no programs for Kubernetes {minor}")
        return found[-1]

    def _spec(self, key: str, version: str) -> PlaneSpec:
        config = self._write_webhook(key)
        return PlaneSpec(
            id=key,
            name=key,
            version=version,
            pod_cidr="10.128.0.0/16",
            service_cidr="10.100.0.0/16",
            api_args=(
                f"--authentication-token-webhook-config-file={config}",
                "--authentication-token-webhook-version=v1",
                f"--authentication-token-webhook-cache-ttl={TOKEN_CACHE}",
            ),
        )

    def _write_webhook(self, key: str) -> Path:
        """Tell an API server where to ask, in the form of a kubeconfig."""
        cluster: dict[str, Any] = {"server": f"{self._webhook}{key}"}
        path = self._folder / "webhooks" / f"{key}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        if self._webhook_ca:
            authority = path.with_suffix(".pem")
            authority.write_text(self._webhook_ca)
            cluster["certificate-authority"] = str(authority)
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "cloud", "cluster": cluster}],
            "users": [{"name": "api-server", "user": {}}],
            "contexts": [{"name": "cloud", "context": {"cluster": "cloud", "user": "api-server"}}],
            "current-context": "cloud",
        }
        path.write_text(json.dumps(config))
        return path
