"""What `atoll demo` does: grow a fleet, then change it under load, and say what its tenants noticed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from atoll.embedded.callers import Caller
from atoll.embedded.home import Home
from atoll.embedded.lifecycle import apply_manifests, open_management
from atoll.embedded.operator_process import find_operator, read_log_tail
from atoll.errors import Refused
from atoll.kube.credentials import TlsContexts
from atoll.kube.kinds import CHILD_CLUSTER, CLUSTER_SET, ROLLOUT, TENANT
from atoll.kube.store import Store
from atoll.ports import Body

from .credentials import read_tenant_kubeconfig
from .documents import read_documents
from .growing import grow
from .options import Target
from .output import open_console, print_next
from .rollout_view import render_rollout

TOKEN_SECONDS = 3600
ROLE = "viewer"


async def demonstrate(home: Home, path: str, target: str, *, seconds: float) -> int:
    """Run the whole demo; return the exit code."""
    began = time.monotonic()
    documents = read_documents([path], namespace="fleet")
    sets = [document.body for document in documents.items if document.body["kind"] == "ClusterSet"]
    if len(sets) != 1:
        raise Refused(f"{path} must hold exactly one ClusterSet for the demo; it has {len(sets)}")
    (cluster_set,) = sets
    await _refuse_second_demo(home, cluster_set, target)
    code = await grow(
        home,
        [path],
        wait=True,
        seconds=seconds,
        namespace="fleet",
        resync=10.0,
        audit=False,
        title="Atoll demo",
        more_versions=[target],
    )
    if code:
        return code
    console = open_console()
    async with open_management(home) as store:
        served = await change_under_load(console, store, home, cluster_set, target, seconds=seconds)
    minutes, rest = divmod(round(time.monotonic() - began), 60)
    console.print(f"\n{'Done' if served else 'Not done'} in {minutes} min {rest} s.", highlight=False)
    tenant = next((d.body["metadata"]["name"] for d in documents.items if d.body["kind"] == "Tenant"), "")
    print_next(
        [
            f"export KUBECONFIG={home.management_kubeconfig}",
            "kubectl get atoll -n fleet",
            "atoll tree",
            f"atoll why tenant/{tenant}",
            "make down",
        ]
    )
    return 0 if served else 1


async def _refuse_second_demo(home: Home, cluster_set: Body, target: str) -> None:
    """A fleet that was changed already would have to go back, which Atoll refuses: say so at once."""
    if not home.management_kubeconfig.is_file() or find_operator(home) is None:
        return
    metadata = cluster_set["metadata"]
    async with open_management(home) as store:
        there = await store.get(CLUSTER_SET, metadata["namespace"], metadata["name"])
    if there is not None and there["spec"]["version"] == target:
        raise Refused(
            f"the demo's fleet is there already, at {target}; look at it with `atoll tree`, or run `make down` and "
            "then the demo again"
        )


async def change_under_load(
    console: Console, store: Store, home: Home, cluster_set: Body, target: str, *, seconds: float
) -> bool:
    """Change the set's version while tenants call their clusters; say whether all went well."""
    metadata = cluster_set["metadata"]
    namespace = metadata["namespace"]
    before = {body["metadata"]["name"] for body in await store.list(ROLLOUT, namespace)}
    async with AsyncExitStack() as stack:
        callers = await _start_callers(stack, store, home, namespace)
        changed = {**cluster_set, "spec": {**cluster_set["spec"], "version": target}}
        await apply_manifests(store, [changed])
        began = time.monotonic()
        done = False
        rollout: Body | None = None
        forecast: int | None = None
        with Live(console=console, auto_refresh=False) as live:
            while time.monotonic() - began < seconds and not done:
                found = [b for b in await store.list(ROLLOUT, namespace) if b["metadata"]["name"] not in before]
                rollout = found[-1] if found else None
                children = await store.list(CHILD_CLUSTER, namespace)
                state = str((rollout or {}).get("status", {}).get("state", ""))
                done = state in {"Done", "Halted", "Aborted", "Reverted"}
                if forecast is None:
                    # The first word counts: what was forecast before anything moved.
                    forecast = (rollout or {}).get("status", {}).get("forecast", {}).get("seconds")
                view = render_rollout(rollout, children, target, took=time.monotonic() - began, forecast=forecast)
                if console.is_terminal or done:
                    live.update(Group(*view, Text()), refresh=True)
                if find_operator(home) is None:
                    raise Refused(f"the operator has ended:\n{read_log_tail(home)}")
                await asyncio.sleep(0.5)
    ok = rollout is not None and rollout.get("status", {}).get("state") == "Done"
    failed = sum(caller.count.failed for _, caller in callers)
    told = _sum_up(callers)
    console.print(
        f" tenants served all the time: {told}" if not failed else f" tenants noticed: {told}", highlight=False
    )
    return ok and not failed


async def _start_callers(
    stack: AsyncExitStack, store: Store, home: Home, namespace: str
) -> Sequence[tuple[str, Caller]]:
    """Start one caller for each place of each tenant, with that tenant's own credentials there."""
    contexts = TlsContexts()
    target = Target(kubeconfig=home.management_kubeconfig, context="", namespace=namespace)
    callers = []
    for tenant in await store.list(TENANT, namespace):
        name = tenant["metadata"]["name"]
        places: Sequence[Mapping[str, Any]] = tenant.get("status", {}).get("placements", ())
        for place in places:
            config = await read_tenant_kubeconfig(target, place["cluster"], name, ROLE, TOKEN_SECONDS)
            caller = await stack.enter_async_context(Caller(config, place["namespace"], contexts))
            callers.append((name, caller))
    return callers


def _sum_up(callers: Sequence[tuple[str, Caller]]) -> str:
    parts = []
    for name in dict.fromkeys(name for name, _ in callers):
        counts = [caller.count for tenant, caller in callers if tenant == name]
        failed, calls = sum(count.failed for count in counts), sum(count.calls for count in counts)
        why = next((f" ({count.first_failure})" for count in counts if count.first_failure), "")
        parts.append(f"{name} {failed} failed calls of {calls}{why}")
    return ", ".join(parts)
