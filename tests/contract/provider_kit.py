"""The providers that keep the contract, each with the means to hurt what it made."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import psutil

from atoll.planes.planes import Planes
from atoll.planes.values import Role
from atoll.ports import ClusterRef, Operation, Provider, ProviderInfo, WantedCluster
from atoll.providers.fake import FakeProvider, FakeWorld
from atoll.providers.local import LocalProvider
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets


class Kit(Protocol):
    """A world and its providers."""

    limit_seconds: float
    """Within which every operation ends."""
    poll_seconds: float
    old: str
    new: str
    info: ProviderInfo
    endpoint: str
    """How the address of every API server begins."""
    parts: int
    """How many things a CREATE begins."""
    shows_certificates: bool
    hurt_word: str
    """What is told to be broken after `hurt`."""
    unknown: str
    """A version that nobody has."""

    def provider(self) -> Provider: ...
    def wanted(self, version: str, cluster_id: str) -> WantedCluster: ...
    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        """Begin, and close the provider once that is under way, has left a trace, and is far from its end."""
        ...

    async def hurt(self, cluster_id: str) -> None: ...
    def begun(self, cluster_id: str) -> tuple[object, ...]: ...
    def standing(self, cluster_id: str) -> tuple[object, ...]:
        """All that is there of a cluster, whoever made it: what a drill must leave as it is."""
        ...

    async def clean(self) -> None: ...


LOCAL = ProviderInfo(name="local", has_nodes=False, can_revert=True, can_drill=True, usual_seconds=15.0)


def build_wanted(version: str, cluster_id: str) -> WantedCluster:
    """Return a cluster that needs nothing but its networks."""
    return WantedCluster(
        ref=ClusterRef(fleet="fleet", name=f"web--{cluster_id}", id=cluster_id),
        version=version,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
    )


async def cut_short(provider: Provider, wanted: WantedCluster, operation: Operation, seconds: float = 0.1) -> None:
    """Begin, and close the provider after some time."""
    await provider.start(wanted, operation)
    await asyncio.sleep(seconds)
    await provider.close()


class FakeKit:
    """Clusters in memory."""

    limit_seconds = 5.0
    poll_seconds = 0.02
    old, new = "v1.35.8", "v1.36.4"
    info = LOCAL
    endpoint = "https://127.0.0.1:"
    parts = 3
    shows_certificates = True
    hurt_word = "kube-apiserver"
    unknown = "v1.99.0"

    def __init__(self) -> None:
        self.world = FakeWorld(seconds=0.15)

    def provider(self) -> Provider:
        return FakeProvider(self.world)

    def wanted(self, version: str, cluster_id: str) -> WantedCluster:
        return build_wanted(version, cluster_id)

    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        await cut_short(provider, wanted, operation)

    async def hurt(self, cluster_id: str) -> None:
        cluster = self.world.clusters[cluster_id]
        self.world.clusters[cluster_id] = replace(cluster, broken="kube-apiserver is not running: repair it")

    def begun(self, cluster_id: str) -> tuple[object, ...]:
        return tuple(entry for entry in self.world.begun if entry[0] == cluster_id)

    def standing(self, cluster_id: str) -> tuple[object, ...]:
        return (replace(self.world.clusters[cluster_id], operation=None), *sorted(self.world.clusters))

    async def clean(self) -> None:
        self.world.clusters.clear()


class LocalKit:
    """Real control planes as processes."""

    limit_seconds = 120.0
    poll_seconds = 0.02
    old, new = "v1.35.8", "v1.36.4"
    info = LOCAL
    endpoint = "https://127.0.0.1:"
    parts = 3
    shows_certificates = True
    hurt_word = "kube-apiserver"
    unknown = "v1.99.0"

    def __init__(self, home: Path) -> None:
        self.home = home

    def planes(self) -> Planes:
        return Planes(self.home, Assets(), clock=SystemClock())

    def provider(self) -> Provider:
        return LocalProvider(self.planes())

    def wanted(self, version: str, cluster_id: str) -> WantedCluster:
        return build_wanted(version, cluster_id)

    async def cut_short(self, provider: Provider, wanted: WantedCluster, operation: Operation) -> None:
        await cut_short(provider, wanted, operation)

    async def hurt(self, cluster_id: str) -> None:
        for process in self.planes().processes(cluster_id):
            if process.role is Role.API_SERVER:
                os.kill(process.pid, signal.SIGKILL)
        await asyncio.sleep(0.3)

    def begun(self, cluster_id: str) -> tuple[object, ...]:
        return tuple(process.pid for process in self.planes().processes(cluster_id))

    def standing(self, cluster_id: str) -> tuple[object, ...]:
        """Files but for those that etcd turns over by itself, and every process that names the home."""
        paths = (path.relative_to(self.home) for path in self.home.rglob("*"))
        files = sorted(str(path) for path in paths if "etcd" not in path.parts[:-1])
        named = (process for process in psutil.process_iter(["cmdline"]) if process.pid != os.getpid())
        pids = sorted(
            process.pid for process in named if any(str(self.home) in part for part in process.info["cmdline"] or ())
        )
        return (*files, *pids, self.planes().read(cluster_id))

    async def clean(self) -> None:
        for path in (self.home / "planes").glob("[a-z]*"):
            await self.planes().remove(path.name)
