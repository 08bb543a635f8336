"""Up and down: what `atoll up`, `atoll demo` and `atoll down` do, told step by step to whoever shows it."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

from atoll.errors import Refused
from atoll.kube.kinds import ATOLL_KINDS, kind_of
from atoll.kube.management import install
from atoll.kube.store import Store
from atoll.planes.planes import Planes
from atoll.ports import Body, Clock
from atoll.toolchain import ETCD, PLANE_BINARIES, Toolchain

from .home import MANAGEMENT_ID, Home
from .management import MANAGEMENT_VERSION, connect, ensure_plane, furnish, write_kubeconfigs
from .operator_process import find_operator, read_log_tail, start_operator, stop_operator
from .waiting import Awaited, judge

ETCD_BINARIES: Final = ("etcd", "etcdctl", "etcdutl")
APPLY_MANAGER: Final = "atoll-up"
POLL_SECONDS: Final = 0.5


class Teller(Protocol):
    """Shows people what goes on."""

    def begin(self, name: str, text: str) -> None:
        """A step begins."""
        ...

    def done(self, name: str, text: str) -> None:
        """The step that was begun is done."""
        ...


def get_binaries(toolchain: Toolchain, versions: Sequence[str], tell: Teller) -> None:
    """Get everything that planes of these versions need."""
    wanted = sorted({MANAGEMENT_VERSION, *versions})
    tell.begin("toolchain", ", ".join([*wanted, ETCD]))
    sources = set()
    for version, binaries in ((ETCD, ETCD_BINARIES), *((version, PLANE_BINARIES) for version in wanted)):
        toolchain.get(version, binaries)
        sources |= {found.source for name in binaries if (found := toolchain.find(version, name)) is not None}
    tell.done("toolchain", f"{', '.join(wanted)}, {ETCD.replace('-', ' ')} ({', '.join(sorted(sources))})")


async def bring_up(home: Home, planes: Planes, clock: Clock, tell: Teller, *, resync: float, audit: bool) -> None:
    """Start management plane and operator, whatever of it runs already."""
    tell.begin("management", "starting API server, etcd and controller manager")
    version = await ensure_plane(planes, clock, audit=audit)
    state = planes.read(MANAGEMENT_ID)
    tell.done("management", f"API server {version} on {state.endpoint.removeprefix('https://') if state else '?'}")
    tell.begin("atoll", "installing kinds, policies and rights")
    store = connect(planes.kubeconfig(MANAGEMENT_ID))
    try:
        kinds, policies = await furnish(store)
        await write_kubeconfigs(planes, store, home)
    finally:
        await store.close()
    already = find_operator(home) is not None
    process = start_operator(home, ["--resync", str(resync), *(["--audit"] if audit else [])], os.environ)
    await asyncio.sleep(0)
    if not process.is_running():
        raise Refused(f"the operator did not start:\n{read_log_tail(home)}")
    word = "runs already" if already else "started"
    tell.done("atoll", f"{kinds} kinds, {policies} policies, operator {word} (process {process.pid})")


@asynccontextmanager
async def open_management(home: Home) -> AsyncIterator[Store]:
    """Open the management plane as people do."""
    store = connect(home.management_kubeconfig.read_text(encoding="utf-8"))
    try:
        yield store
    finally:
        await store.close()


async def apply_manifests(store: Store, bodies: Iterable[Mapping[str, Any]]) -> int:
    """Apply manifests, namespaces first; raises Refused with the API server's words about the first bad one."""
    return await install(store, bodies, manager=APPLY_MANAGER)


async def watch_until_ready(
    store: Store, applied: Sequence[Mapping[str, Any]], home: Home, *, seconds: float
) -> AsyncIterator[list[Awaited]]:
    """Yield how the applied objects stand, twice a second, until all are ready or the time is up."""
    ours = [body for body in applied if kind_of(body) in ATOLL_KINDS and kind_of(body).kind != "Approval"]
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        found = []
        for body in ours:
            metadata = body["metadata"]
            there = await store.get(kind_of(body), metadata["namespace"], metadata["name"])
            found.append(judge(there if there is not None else dict(body)))
        yield found
        if all(item.ready for item in found) or asyncio.get_running_loop().time() >= deadline:
            return
        if find_operator(home) is None:
            raise Refused(f"the operator has ended:\n{read_log_tail(home)}")
        await asyncio.sleep(POLL_SECONDS)


async def bring_down(home: Home, planes: Planes, tell: Teller, *, purge: bool) -> list[str]:
    """Stop every process of this home: operator first, then children, then the management plane; say what was left.

    With `purge` the state goes too; returned are the names of what was removed.
    """
    tell.begin("operator", "stopping")
    tell.done("operator", "stopped" if stop_operator(home) else "did not run")
    ids = [state.spec.id for state in planes.list()]
    for plane_id in sorted(ids, key=lambda name: name == MANAGEMENT_ID):
        state = planes.read(plane_id)
        name = state.spec.name if state is not None else plane_id
        tell.begin(name, "stopping")
        await planes.stop(plane_id)
        tell.done(name, "stopped")
    if not purge:
        return []
    removed = []
    for plane_id in ids:
        await planes.remove(plane_id)
    for path in sorted(home.root.iterdir()):
        removed.append(str(path))
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    home.root.rmdir()
    return removed


def list_versions(bodies: Iterable[Body]) -> list[str]:
    """List the Kubernetes versions that manifests name for local planes."""
    versions = set()
    for body in bodies:
        spec = body.get("spec", {})
        if body.get("kind") == "ClusterSet" and "local" in (spec.get("provider") or {}):
            text = str(spec.get("version", ""))
            if text.count(".") == 2:
                versions.add(text)
    return sorted(versions)
