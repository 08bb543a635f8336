"""A stand-in for EKS with light clusters behind it, each in a process of its own: their CPU is not the operator's."""

from __future__ import annotations

import contextlib
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Final

from tests.cloudsim.backing import LightBacking
from tests.cloudsim.core import Call, run_cloud
from tests.cloudsim.eks import EksStandIn
from tests.cloudsim.faults import Faults

from .light_api import serve

PAGE_SIZE: Final = 100
"""As in EKS."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the cloud has been asked since the last question, and what it has now."""

    calls: tuple[Call, ...]
    protests: tuple[str, ...]
    versions: tuple[tuple[str, str], ...]
    """Of each cluster that is ACTIVE: its version, and the oldest of its ACTIVE node groups' (empty: none)."""


@dataclass(frozen=True, slots=True)
class LightCloud:
    """The stand-in and its clusters, from outside."""

    url: str
    cloud: BaseProcess
    api: BaseProcess
    _cloud_control: Connection
    _api_control: Connection

    def look(self) -> Shown:
        """Ask the stand-in what it has seen since the last time."""
        self._cloud_control.send("look")
        shown: Shown = self._cloud_control.recv()
        return shown

    def count_requests(self) -> tuple[int, list[str]]:
        """Return how many requests the light clusters have had, and those that they did not know."""
        self._api_control.send("look")
        found: tuple[int, list[str]] = self._api_control.recv()
        return found


class _Backing(LightBacking):
    """Gives each cluster the next light API server, and tells that server which version it is."""

    def __init__(self, servers: list[tuple[str, str]], orders: Connection, seconds: float) -> None:
        self._servers = iter(servers)
        self._orders = orders
        self._seconds = seconds
        super().__init__(lambda _: next(self._servers))

    def begin(self, key: str, version: str) -> None:
        super().begin(key, version)
        self._order(key, version)

    def change(self, key: str, version: str) -> None:
        super().change(key, version)
        self._order(key, version)

    def _order(self, key: str, version: str) -> None:
        url, _ = self._found[key]
        self._orders.send((int(url.rpartition(":")[2]), version, self._seconds))


@contextlib.contextmanager
def open_light_cloud(count: int, *, latency: float, seconds: float) -> Iterator[LightCloud]:
    """Run a stand-in with room for so many clusters; `seconds` is what creates and updates take."""
    spawn = multiprocessing.get_context("spawn")
    api_control, api_end = spawn.Pipe()
    cloud_control, cloud_end = spawn.Pipe()
    orders_end, orders = spawn.Pipe(duplex=False)
    api = spawn.Process(target=serve, args=(count, api_end, orders_end), name="light clusters", daemon=True)
    api.start()
    servers = list(api_control.recv())
    cloud = spawn.Process(
        target=_serve_cloud, args=(servers, cloud_end, orders, latency, seconds), name="stand-in", daemon=True
    )
    cloud.start()
    url = cloud_control.recv()
    try:
        yield LightCloud(url=url, cloud=cloud, api=api, _cloud_control=cloud_control, _api_control=api_control)
    finally:
        for control, process in ((cloud_control, cloud), (api_control, api)):
            control.send(None)
            process.join(20)


def _serve_cloud(
    servers: list[tuple[str, str]], control: Connection, orders: Connection, latency: float, seconds: float
) -> None:
    faults = Faults(latency_seconds=latency, seconds=seconds, page_size=PAGE_SIZE)
    with run_cloud(EksStandIn(_Backing(servers, orders, seconds), faults)) as standin:
        control.send(standin.url)
        told = 0
        while control.recv() is not None:
            calls = tuple(standin.calls[told:])
            told += len(calls)
            with standin.lock:
                versions = tuple(_read_versions(cluster) for cluster in standin.account.visible())
            control.send(Shown(calls=calls, protests=tuple(standin.protests), versions=versions))


def _read_versions(cluster: Any) -> tuple[str, str]:
    groups = [part.body["version"] for part in cluster.nodegroups.values() if part.body["status"] == "ACTIVE"]
    return cluster.body["version"] if cluster.status == "ACTIVE" else "", min(groups, default="")
