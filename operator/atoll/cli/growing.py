"""A fleet that grows before people's eyes: the steps of `up`, then the tree until all is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from atoll.embedded.home import Home
from atoll.embedded.lifecycle import (
    apply_manifests,
    bring_up,
    get_binaries,
    list_versions,
    open_management,
    watch_until_ready,
)
from atoll.embedded.waiting import Awaited
from atoll.errors import BadInput
from atoll.kube.store import Store
from atoll.ports import Body
from atoll.shell.context import SystemClock
from atoll.toolchain import Sources, Toolchain

from .documents import Documents, read_documents
from .live import read_bodies
from .output import open_console, print_next
from .providers import build_planes
from .telling import Steps
from .toolchain import open_display
from .tree_model import build_fleet
from .tree_view import render_fleet


async def grow(
    home: Home,
    paths: Sequence[str],
    *,
    wait: bool,
    seconds: float,
    namespace: str,
    resync: float,
    audit: bool,
    title: str = "",
    more_versions: Sequence[str] = (),
) -> int:
    """Bring all up, apply, and wait; return the exit code."""
    documents = read_documents(paths, namespace=namespace) if paths else Documents()
    if documents.faults:
        first = documents.faults[0]
        raise BadInput(f"{first.object}: {first.message}", field=first.field)
    bodies: list[Body] = [document.body for document in documents.items]
    console = open_console()
    if title:
        console.print(f"{title:<60} state: {home.root}\n", highlight=False)
    steps = Steps(console)
    clock = SystemClock()
    with open_display() as progress:
        toolchain = Toolchain(Sources.from_environ(os.environ), progress=progress)
        get_binaries(toolchain, [*list_versions(bodies), *more_versions], steps)
    planes = build_planes(home, clock)
    try:
        await bring_up(home, planes, clock, steps, resync=resync, audit=audit)
    finally:
        steps.stop()
    if not bodies:
        _say_next(home, namespace)
        return 0
    async with open_management(home) as store:
        steps.begin("applied", "")
        await apply_manifests(store, bodies)
        steps.done("applied", f"{', '.join(paths)}  ({count_kinds(bodies)})")
        console.print()
        if not wait:
            _say_next(home, namespace)
            return 0
        last = await show_until_ready(console, store, bodies, home, seconds=seconds)
    missing = [item for item in last if not item.ready]
    for item in missing:
        name = f"{item.kind}/{item.name}"
        print(f"error: {name} in {item.namespace} is not Ready: {item.message} ({item.reason})", file=sys.stderr)
    if not missing and not title:
        _say_next(home, namespace)
    return 1 if missing else 0


async def show_until_ready(
    console: Console, store: Store, bodies: Sequence[Body], home: Home, *, seconds: float
) -> list[Awaited]:
    """Show the tree while it grows; return how the objects stood at the end."""
    namespaces = sorted({body["metadata"]["namespace"] for body in bodies if body["metadata"].get("namespace")})
    last: list[Awaited] = []
    said = ""
    with Live(console=console, auto_refresh=False, transient=False) as live:
        async for last in watch_until_ready(store, bodies, home, seconds=seconds):
            if console.is_terminal:
                trees = [render_fleet(build_fleet(name, await read_bodies(store, name))) for name in namespaces]
                live.update(Group(*trees, Text()), refresh=True)
                continue
            waiting = next((f"{item.kind}/{item.name}: {item.message}" for item in last if not item.ready), "")
            if waiting and waiting != said:
                console.print(f"   … {waiting}", highlight=False, markup=False)
                said = waiting
    if not console.is_terminal:
        for name in namespaces:
            console.print(render_fleet(build_fleet(name, await read_bodies(store, name))))
    return last


def count_kinds(bodies: Sequence[Body]) -> str:
    """Say how many objects of which kind there are."""
    kinds = [body["kind"] for body in bodies if body["kind"] != "Namespace"]
    return ", ".join(
        f"{kinds.count(kind)} {kind}{'s' if kinds.count(kind) > 1 else ''}" for kind in dict.fromkeys(kinds)
    )


def _say_next(home: Home, namespace: str) -> None:
    print_next(
        [
            f"export KUBECONFIG={home.management_kubeconfig}",
            f"kubectl get atoll -n {namespace}",
            "atoll tree",
            "atoll down",
        ]
    )
