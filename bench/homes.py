"""A management plane with the operator for a benchmark, a fast writer, and what its API server was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from atoll.embedded.home import MANAGEMENT_ID
from atoll.errors import Conflict
from atoll.kube.connect import Connection
from atoll.kube.kinds import Kind, kind_of
from atoll.kube.store import Store
from tests.support.home import TestHome, open_home
from tests.support.manifests import Json, fleet_namespace, tenant

WRITERS: Final = 8
WRITER: Final = "bench"
TENANT: Final[Kind] = kind_of(tenant("any"))
WRITES: Final = frozenset({"create", "update", "patch", "delete", "deletecollection"})
QUIET: Final = "3600"
"""Seconds between looks at children: a look must not fall into a measurement."""


@contextlib.contextmanager
def open_bench_home(*arguments: str) -> Iterator[TestHome]:
    """Bring up a home with an empty fleet, and down again."""
    with (
        tempfile.TemporaryDirectory(prefix="atoll-bench-") as folder,
        open_home(Path(folder) / "home", "--audit", *arguments) as home,
    ):
        home.apply(fleet_namespace())
        yield home


def write_all(home: TestHome, calls: Iterable[tuple[Kind, str, Mapping[str, Any]]], *, writers: int = WRITERS) -> None:
    """Merge-patch many objects of the fleet, some at a time."""
    asyncio.run(_write_all(home, [("patch", *call) for call in calls], writers))


def create_all(home: TestHome, bodies: Iterable[Json]) -> None:
    """Create many objects, some at a time."""
    asyncio.run(
        _write_all(home, [("create", kind_of(body), body["metadata"]["name"], body) for body in bodies], WRITERS)
    )


async def _write_all(home: TestHome, calls: list[tuple[str, Kind, str, Mapping[str, Any]]], writers: int) -> None:
    waiting = iter(calls)
    async with Store(Connection.from_kubeconfig(home.kubeconfig.read_text()), concurrency=writers) as store:

        async def write() -> None:
            for verb, kind, name, body in waiting:
                if verb == "patch":
                    await store.patch_merge(kind, "fleet", name, dict(body), WRITER)
                else:
                    with contextlib.suppress(Conflict):
                        await store.create(dict(body), manager=WRITER)

        async with asyncio.TaskGroup() as group:
            for _ in range(writers):
                group.create_task(write())


class Audit:
    """The management plane's audit log from one moment on."""

    def __init__(self, home: TestHome) -> None:
        self._folder = home.root / "planes" / MANAGEMENT_ID
        self._seen = {entry["auditID"] + entry["stage"] for entry in self._read()}

    def requests(self) -> list[Json]:
        """Return what the operator has asked for since, watches and its own leases aside."""
        return [
            entry
            for entry in self._read()
            if entry["auditID"] + entry["stage"] not in self._seen
            and entry["stage"] == "ResponseComplete"
            and entry["verb"] != "watch"
            and entry["user"]["username"].startswith("system:serviceaccount:atoll-system:")
        ]

    def _read(self) -> Iterator[Json]:
        for path in sorted(self._folder.rglob("audit*.log")):
            with path.open(encoding="utf-8") as lines:
                for line in lines:
                    with contextlib.suppress(json.JSONDecodeError):
                        yield json.loads(line)


def count_writes(requests: Iterable[Json]) -> int:
    """Count the requests that change something, events aside: those have a budget of their own."""
    return sum(item["verb"] in WRITES and item["objectRef"].get("resource") != "events" for item in requests)


def environment_of(home: TestHome) -> dict[str, str]:
    """Return an environment in which other programs find the management plane."""
    return {**os.environ, "KUBECONFIG": str(home.kubeconfig)}
