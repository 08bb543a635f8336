"""Real planes: three processes each."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from atoll.planes import pki
from atoll.planes.layout import Layout
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec, PlaneState, Role, RunningProcess
from atoll.ports import Operation, OperationType

OLD = "v1.35.8"
NEW = "v1.36.4"


def spec_of(plane_id: str, version: str, **more: Any) -> PlaneSpec:
    """A plane with small networks."""
    return PlaneSpec(
        id=plane_id,
        name=f"test-{plane_id}",
        version=version,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
        **more,
    )


@dataclass
class Plane:
    """One plane and its folder."""

    planes: Planes
    id: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def layout(self) -> Layout:
        return Layout(self.planes.home / "planes" / self.id)

    @property
    def state(self) -> PlaneState:
        state = self.planes.read(self.id)
        assert state is not None
        return state

    async def run(self, kind: OperationType, version: str, operation_id: str = "", **more: Any) -> float:
        """Run an operation and return how many seconds it took."""
        start = time.monotonic()
        operation = Operation(
            id=operation_id or f"{kind.value.lower()}-{next(self.numbers)}", type=kind, to_version=version
        )
        await self.planes.run_operation(self.id, spec_of(self.id, version, **more), operation)
        return time.monotonic() - start

    def process(self, role: Role) -> RunningProcess:
        (found,) = (process for process in self.planes.processes(self.id) if process.role is role)
        return found

    def kubectl(self, *argv: str, check: bool = True, text: str = "") -> str:
        """Run kubectl with the plane's own kubeconfig and nothing else."""
        kubeconfig = self.planes.home / f"{self.id}.kubeconfig"
        kubeconfig.write_text(self.planes.kubeconfig(self.id))
        kubeconfig.chmod(0o600)
        kubectl = self.planes.binaries.path(NEW, "kubectl")
        done = subprocess.run(
            [kubectl, f"--kubeconfig={kubeconfig}", f"--cache-dir={self.planes.home}/kubectl", *argv],
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"kubectl {argv}: {done.stderr}")
        return done.stdout + (done.stderr if not check else "")

    def context(self, identity: Path | None = None) -> ssl.SSLContext:
        """Trust the plane's authority; show Atoll's identity, or another."""
        context = ssl.create_default_context(cafile=str(self.layout.authority(pki.CLUSTER_AUTHORITY)))
        context.load_cert_chain(identity or self.layout.identity(pki.ATOLL))
        return context

    def call(self, path: str, context: ssl.SSLContext, *, body: Any = None, timeout: float = 10) -> tuple[int, bytes]:
        """Make one call on a connection of its own."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.state.ports.api, context=context, timeout=timeout)
        try:
            content = None if body is None else json.dumps(body)
            connection.request("POST" if body else "GET", path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


@dataclass
class CallLoop:
    """Calls a plane every 25 ms, each time on a new connection, from threads of its own."""

    plane: Plane
    interval: float = 0.025
    failures: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    created: list[str] = field(default_factory=list)

    def __enter__(self) -> CallLoop:
        self._port = self.plane.state.ports.api
        self._context = self.plane.context()
        self._begin = time.monotonic()
        self._end = threading.Event()
        self._pool = ThreadPoolExecutor(max_workers=64)
        self._thread = threading.Thread(target=self._loop)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        self._pool.shutdown()

    def _loop(self) -> None:
        due = time.monotonic()
        for number in itertools.count():
            if self._end.is_set():
                return
            self._pool.submit(self._call, number)
            due += self.interval
            time.sleep(max(0, due - time.monotonic()))

    def _call(self, number: int) -> None:
        path, body, name = "/api/v1/namespaces/default/configmaps/kept", None, f"loop-{id(self)}-{number}"
        if number % 4 == 0:
            path, body = "/api/v1/namespaces/default/configmaps", {"metadata": {"name": name}}
        start = time.monotonic()
        try:
            status, text = self.plane.call(path, self._context, body=body, timeout=20)
            if status not in {200, 201}:
                self.failures.append(f"{start - self._begin:.2f} s: {status} {text[:160]!r}")
            elif body:
                self.created.append(name)
        except OSError as error:
            self.failures.append(f"{start - self._begin:.2f} s: {type(error).__name__} {error}")
        self.seconds.append(time.monotonic() - start)


def list_leftovers(home: Path) -> list[str]:
    """Find processes of any plane of this home."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(home) in argument for argument in process.cmdline()) and process.pid != os.getpid():
                found.append(f"{process.pid} {process.name()} {process.status()}")
        except psutil.Error:
            continue
    return found
