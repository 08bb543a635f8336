"""The steps of a hop to another version, and of a repair; each repeatable."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Final

from atoll.errors import Retryable, Terminal
from atoll.hosts.command import Action, Command, RemovePath
from atoll.hosts.jobs import Host

from . import facts, paths
from .act_create import build_images
from .bundle import short_name
from .installing import install_programs, remove_images
from .renewing import are_old, renew_certificates
from .repairing import start_services
from .steps import Step
from .upgrading import (
    APPLY_SECONDS,
    apply_upgrade,
    describe_blockers,
    drain_node,
    evict_pods,
    plan_upgrade,
    save_snapshot,
    swap_kubelet,
    uncordon_node,
    upgrade_node,
)
from .values import CONTROL_PLANE, Node
from .work import StepFailed, Work

NODE_SECONDS: Final = 300.0
STEADY_ANSWERS: Final = 8
"""Good answers in a row. Swapping a kubelet over a minor restarts all static pods, some seconds after the node says
that it is ready; who drains the next node in that gap fails."""
STEADY_PAUSE: Final = 0.7
SERVICE_SECONDS: Final = 180.0
METRICS_PORT: Final = 9153
"""Of CoreDNS, by the Service kube-dns: the only Service that every cluster has whose pods are ordinary ones."""


async def load(work: Work, step: Step) -> None:
    """Load the new images and the new kubeadm; nothing that runs is touched."""
    bundle = work.require_bundle()

    async def build(host: Host) -> Iterable[Action]:
        return (*install_programs(bundle.version, ("kubeadm",)), *await build_images(work, host))

    await work.on_each(work.nodes(step.nodes), lambda node: work.carry(node, step.kind, build, seconds=900))


async def plan(work: Work, step: Step) -> None:
    """Let kubeadm say whether it would do it."""

    async def build(host: Host) -> Iterable[Action]:
        del host
        return plan_upgrade(work.cluster)

    await work.carry(work.cluster.control_plane, step.kind, build, seconds=300)


async def snapshot(work: Work, step: Step) -> None:
    """Take a snapshot of etcd as it is before the hop, once."""
    name = f"{work.operation.id}-{work.operation.from_version}.db"
    version = work.require_bundle().version

    async def build(host: Host) -> Iterable[Action]:
        there = await work.ask(host, facts.SNAPSHOTS)
        # Once the new version has written to it, this would be a snapshot of something else.
        is_late = await work.ask(host, facts.API_VERSION) == work.cluster.version
        return () if is_late or name in there else save_snapshot(version, name, there)

    await work.carry(work.cluster.control_plane, step.kind, build, seconds=600)


async def apply(work: Work, step: Step) -> None:
    """Bring the control plane to the version."""

    async def build(host: Host) -> Iterable[Action]:
        del host
        return apply_upgrade(work.cluster)

    await work.carry(work.cluster.control_plane, step.kind, build, seconds=APPLY_SECONDS + 120)
    await wait_steady(work)


async def configure(work: Work, step: Step) -> None:
    """Bring a worker's configuration to the version."""
    (node,) = work.nodes(step.nodes)

    async def build(host: Host) -> Iterable[Action]:
        del host
        return upgrade_node(work.cluster)

    await work.carry(node, f"{step.kind}-{node.name}", build, seconds=700)


async def drain(work: Work, step: Step) -> None:
    """Send a node's pods away; who stands in the way is named, and the node opened again."""
    (node,) = work.nodes(step.nodes)
    seconds = work.drain_seconds

    async def build(host: Host) -> Iterable[Action]:
        del host
        view = await _view(work, node)
        if view.version == work.cluster.version:
            return ()  # Its kubelet has been swapped already.
        if view.unschedulable and not view.cordoned_by:
            # People have cordoned it; it stays so.
            return evict_pods(node.name, seconds=seconds)
        return drain_node(node.name, work.operation.id, seconds=seconds)

    try:
        await work.carry(work.cluster.control_plane, f"{step.kind}-{node.name}", build, seconds=seconds + 120)
    except StepFailed as error:
        blockers = describe_blockers(error.result) if error.result is not None else ""
        await _uncordon(work, node, f"undrain-{node.name}")
        if not blockers:
            raise
        raise Terminal(
            f"{node.name} could not be drained within {seconds} s: {blockers}. It takes pods again; make "
            "room for these pods elsewhere, or loosen their disruption budget"
        ) from error


async def swap(work: Work, step: Step) -> None:
    """Replace a node's kubelet, and wait until the node is ready with it and the API is steady."""
    (node,) = work.nodes(step.nodes)
    version = work.require_bundle().version

    async def build(host: Host) -> Iterable[Action]:
        running = await work.ask(host, facts.KUBELET_VERSION)
        return () if running == version and (await _view(work, node)).version == version else swap_kubelet(version)

    await work.carry(node, f"{step.kind}-{node.name}", build, seconds=300)

    async def look() -> str:
        view = await _view(work, node)
        return "" if view.ready and view.version == version else f"it says {view.version}, ready: {view.ready}"

    await work.until(look, seconds=NODE_SECONDS, pause=0.7, what=f"{node.name} is ready with {version}")
    await wait_steady(work)


async def uncordon(work: Work, step: Step) -> None:
    """Let pods come back to a node, unless it was people who cordoned it."""
    (node,) = work.nodes(step.nodes)
    await _uncordon(work, node, f"{step.kind}-{node.name}")


async def _uncordon(work: Work, node: Node, key: str) -> None:
    async def build(host: Host) -> Iterable[Action]:
        del host
        return uncordon_node(node.name) if (await _view(work, node)).cordoned_by else ()

    await work.carry(work.cluster.control_plane, key, build, seconds=150)


async def wait_steady(work: Work) -> None:
    """Wait for several good answers of the API in a row."""
    good = 0

    async def look() -> str:
        nonlocal good
        good = good + 1 if await work.ask(work.first, facts.ANSWERS) else 0
        return "" if good >= STEADY_ANSWERS else f"{good} of {STEADY_ANSWERS} good answers in a row"

    await work.until(look, seconds=NODE_SECONDS, pause=STEADY_PAUSE, what="the API is steady")


async def check_services(work: Work, step: Step) -> None:
    """Reach a Service with ordinary pods, and the API's own, from each host: by what kube-proxy has set up there."""
    network = ipaddress.ip_network(work.cluster.service_cidr)
    commands = (
        _reach(f"https://{_bracket(network[1])}:443", "/livez", "the API server", with_login=True),
        _reach(f"http://{_bracket(network[10])}:{METRICS_PORT}", "/metrics", "CoreDNS", with_login=False),
    )

    async def reach(node: Node) -> None:
        host = work.hosts[node.name]

        async def look() -> str:
            for command in commands:
                answer = await host.run(command)
                if answer.code != 0:
                    return f"{command.why}: {(answer.err or answer.out).strip()[-300:]}"
            return ""

        what = f"Services can be reached from {node.name}"
        await work.until(look, seconds=SERVICE_SECONDS, pause=1.0, what=what)

    await work.on_each(work.nodes(step.nodes), reach)


def _reach(server: str, path: str, what: str, *, with_login: bool) -> Command:
    login = ("--kubeconfig", paths.KUBELET_KUBECONFIG) if with_login else ("--kubeconfig", "/dev/null")
    return Command(
        argv=(
            "kubectl",
            "--cache-dir",
            f"{paths.ATOLL}/cache",
            *login,
            "--server",
            server,
            "--request-timeout=3s",
            "get",
            "--raw",
            path,
        ),
        why=f"reach {what} by its Service",
        seconds=10,
        ok=facts.ANY_CODE,
    )


def _bracket(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    return f"[{address}]" if address.version == 6 else str(address)


async def tidy(work: Work, step: Step) -> None:
    """Remove what the old version brought and nobody uses any more."""
    bundle = work.require_bundle()
    wanted = {name for archive in bundle.archives for name in archive.names}
    ours = {short_name(name) for name in wanted}

    async def clean(node: Node) -> None:
        async def build(host: Host) -> Iterable[Action]:
            before = await work.ask(host, facts.BEFORE)
            kept = set(before.images if before is not None else ()) | wanted | {await work.ask(host, facts.SANDBOX)}
            old = [
                name
                for name in await work.ask(host, facts.IMAGES)
                if name not in kept and short_name(name) in ours and "@" not in name and not name.startswith("sha256:")
            ]
            folders = [
                entry for entry in await work.ask(host, facts.list_folder(paths.BUNDLE)) if entry != bundle.version
            ]
            return (
                *remove_images(old, f"{bundle.version} does not use it"),
                *(RemovePath(path=f"{paths.BUNDLE}/{entry}", why="that version is gone") for entry in folders),
            )

        await work.carry(node, step.kind, build, seconds=300)

    await work.on_each(work.nodes(step.nodes), clean)


async def renew(work: Work, step: Step) -> None:
    """Renew certificates that have lived most of their life."""

    async def build(host: Host) -> Iterable[Action]:
        found = await work.ask(host, facts.CERTIFICATES)
        return renew_certificates() if found is not None and are_old(found, work.clock.now()) else ()

    if await work.carry(work.cluster.control_plane, step.kind, build, seconds=400) is not None:
        await wait_steady(work)


async def start(work: Work, step: Step) -> None:
    """Start what is missing on each host."""
    bridge = not work.manifests

    async def build(host: Host) -> Iterable[Action]:
        is_node = await work.ask(host, facts.MARK) is not None
        has_routes = paths.ROUTES_UNIT in await work.ask(host, facts.which_are_there(paths.ROUTES_UNIT))
        return start_services(with_routes=bridge and has_routes) if is_node else ()

    await work.on_each(work.nodes(step.nodes), lambda node: work.carry(node, step.kind, build, seconds=200))
    if any(node.role == CONTROL_PLANE for node in work.nodes(step.nodes)):
        await wait_steady(work)


async def _view(work: Work, node: Node) -> facts.NodeView:
    for view in await work.ask(work.first, facts.NODES):
        if view.name == node.name:
            return view
    raise Retryable(f"the API server knows no node {node.name}")
