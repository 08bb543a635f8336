"""The steps that bring a plane up. Each looks at the world first and does what is missing; each may be repeated."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from atoll.errors import Refused, Unreachable
from atoll.fleet.names import OPERATORS_GROUP

from . import pki
from .addresses import choose_ports, describe_holder, is_port_free
from .binaries import find_all_programs
from .commands import AUDIT_POLICY
from .etcd import Etcd
from .health import GOOD_ANSWERS, connect_as_atoll, is_process_ready, wait_for
from .kubeconfig import build_file_kubeconfig
from .layout import Layout
from .locks import hold_lock
from .probe import Connection, build_tls_context
from .store import list_plane_ids, read_plane
from .values import PlaneState, Ports, Role, RunningProcess, Wanted
from .work import Work

START_LIMIT_SECONDS: Final = 180.0
"""A busy machine is no reason to give up early."""
STOP_LIMIT_SECONDS: Final = 10.0

OPERATORS_BINDING: Final[dict[str, Any]] = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRoleBinding",
    "metadata": {"name": OPERATORS_GROUP},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": OPERATORS_GROUP}],
}


async def check_binaries(work: Work) -> None:
    """Find everything that the target version needs before anything moves."""
    # Whoever implements Binaries may read the disk at length.
    await asyncio.to_thread(find_all_programs, work.binaries, work.spec.version)


async def prepare_folder(work: Work) -> None:
    """Choose ports and write plane.json; a plane that has been created keeps both."""
    await check_binaries(work)
    work.effects.make_folder(work.layout.root)
    async with hold_lock(work.home / "planes" / ".ports.lock", "the ports of the planes", patience_seconds=10.0):
        state = read_plane(work.layout)
        if state is not None and state.created:
            work.save(replace(state, wanted=Wanted.RUNNING))
            return
        ports = state.ports if state else None
        if ports is None or not (work.processes.all() or are_free(ports)):
            # Nobody has seen this plane yet, so nothing is lost with what an earlier attempt may have left.
            work.effects.remove_tree(work.layout.etcd)
            ports = choose_ports(work.spec.id, read_taken_ports(work.home, work.spec.id), is_port_free)
        work.save(PlaneState(spec=work.spec, ports=ports))


def are_free(ports: Ports) -> bool:
    """Tell whether nobody listens on any of a plane's ports."""
    return all(is_port_free(port) for port in (ports.api, ports.etcd, ports.etcd_peer))


def read_taken_ports(home: Path, plane_id: str) -> frozenset[int]:
    """Return the ports that other planes of this home, and all drills, have written down."""
    layouts = {other: Layout(home / "planes" / other) for other in list_plane_ids(home)}
    states = (
        *(read_plane(layout) for other, layout in layouts.items() if other != plane_id),
        *(read_plane(layout.drill) for layout in layouts.values()),
    )
    return frozenset(
        port for state in states if state for port in (state.ports.api, state.ports.etcd, state.ports.etcd_peer)
    )


async def issue_certificates(work: Work) -> None:
    """Write keys, certificates and what else the processes read, where missing or about to end."""
    state = work.state()
    layout = work.layout
    pki.ensure_certificates(layout, state.spec, work.effects, work.clock.now(), new=not state.created)
    kubeconfig = build_file_kubeconfig(
        name=state.spec.name,
        endpoint=state.endpoint,
        authority=layout.authority(pki.CLUSTER_AUTHORITY),
        identity=layout.identity(pki.CONTROLLER_MANAGER),
    )
    files = ((layout.controller_manager_kubeconfig, kubeconfig.encode()), (layout.audit_policy, AUDIT_POLICY))
    for path, content in files:
        if not path.exists() or path.read_bytes() != content:
            work.effects.write_file(path, content)
    write_authentication(work, state)


def write_authentication(work: Work, state: PlaneState) -> None:
    """Write the file by which an API server of a plane in this state knows people; one that runs sees a new text."""
    text = state.spec.authentication
    if not text:
        return
    path = work.layout.authentication(text)
    if not path.exists() or path.read_bytes() != text.encode():
        work.effects.write_file(path, text.encode())


async def want_running(work: Work) -> None:
    """Write down that the processes shall run."""
    work.save(replace(work.state(), wanted=Wanted.RUNNING))


async def start_etcd(work: Work) -> None:
    """Start etcd unless it runs, and wait until it serves."""
    state = work.state()
    running = work.processes.of_role(Role.ETCD)
    if running:
        process = running[0]
        work.processes.record(process)
    else:
        require_free(state.ports.etcd, Role.ETCD)
        require_free(state.ports.etcd_peer, Role.ETCD)
        process = await work.processes.start(Role.ETCD, work.command(Role.ETCD, state))
    etcd = Etcd(work.layout, state.ports)

    async def is_healthy() -> bool:
        work.processes.require_alive(process)
        await etcd.require_healthy()
        return True

    await wait_for(is_healthy, "etcd did not become healthy", limit_seconds=START_LIMIT_SECONDS)


async def start_api_server(work: Work) -> None:
    """Start the API server of the recorded version unless it runs, end any other, and wait until it is ready."""
    state = work.state()
    running = work.processes.of_role(Role.API_SERVER)
    right = [process for process in running if process.version == state.spec.version]
    await work.processes.stop(
        [process for process in running if process not in right[:1]], limit_seconds=STOP_LIMIT_SECONDS
    )
    if right:
        process = right[0]
        work.processes.record(process)
    else:
        require_free(state.ports.api, Role.API_SERVER)
        process = await work.processes.start(Role.API_SERVER, work.command(Role.API_SERVER, state))
    await wait_api_server_ready(work, state, process, good_answers=1)
    # Only while it is our child may we always do this, and a later change of version relies on it.
    work.effects.steer(process, state.ports.api, clients=0, probes=0)


async def wait_api_server_ready(
    work: Work, state: PlaneState, process: RunningProcess, *, good_answers: int = GOOD_ANSWERS
) -> None:
    """Wait until this very API server is ready."""

    async def is_ready() -> bool:
        work.processes.require_alive(process)
        return await is_process_ready(work.layout, state.ports.api, process)

    what = f"kube-apiserver {process.version} did not become ready"
    await wait_for(is_ready, what, limit_seconds=START_LIMIT_SECONDS, good_answers=good_answers)


async def start_controller_manager(work: Work) -> None:
    """Start the controller manager of the recorded version unless it runs, and end any other."""
    state = work.state()
    command = work.command(Role.CONTROLLER_MANAGER, state)
    running = work.processes.of_role(Role.CONTROLLER_MANAGER)
    right = [process for process in running if process.version == state.spec.version]
    await work.processes.stop(
        [process for process in running if process not in right[:1]], limit_seconds=STOP_LIMIT_SECONDS
    )
    if right:
        work.processes.record(right[0])
    else:
        await work.processes.start(Role.CONTROLLER_MANAGER, command)


async def grant_access(work: Work) -> None:
    """Make Atoll's group an administrator, with an identity of system:masters that is forgotten at once."""
    state, layout = work.state(), work.layout
    # ssl reads client keys from files alone; this one is ours to read, and lives for the time of one call.
    secret = layout.pki / "bootstrap.pem"
    try:
        work.effects.write_file(secret, pki.issue_bootstrap_identity(layout, work.clock.now()))
        context = build_tls_context(layout.authority(pki.CLUSTER_AUTHORITY), secret)
    finally:
        work.effects.remove_tree(secret)

    async def is_granted() -> bool:
        async with Connection(state.ports.api, context) as connection:
            path = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
            answer = await connection.ask(path, method="POST", body=OPERATORS_BINDING)
        if answer.status not in {201, 409}:
            raise Unreachable(f"{path} answered {answer.status}: {answer.body.decode(errors='replace')[:300]}")
        return True

    await wait_for(is_granted, "the API server did not take Atoll's role binding", limit_seconds=30.0)


async def wait_healthy(work: Work) -> None:
    """Wait until all three processes run, the API server is ready and the controller manager has done some work."""
    state = work.state()

    async def is_healthy() -> bool:
        processes = {process.role: process for process in work.processes.all()}
        for role in Role:
            if role not in processes:
                raise work.processes.failure(role, (role.value,), None)
        if not await is_process_ready(work.layout, state.ports.api, processes[Role.API_SERVER]):
            return False
        async with connect_as_atoll(work.layout, state.ports.api) as connection:
            answer = await connection.ask("/api/v1/namespaces/default/serviceaccounts/default")
        return answer.ok

    await wait_for(
        is_healthy, "the plane did not become healthy", limit_seconds=START_LIMIT_SECONDS, good_answers=GOOD_ANSWERS
    )


async def record_created(work: Work) -> None:
    """Write down that the plane exists."""
    work.save(replace(work.state(), created=True, wanted=Wanted.RUNNING))


def require_free(port: int, role: Role) -> None:
    """Refuse to start a process on a port that a stranger holds."""
    if not is_port_free(port):
        raise Refused(f"port {port} of {role} is taken by {describe_holder(port)}: end it, then repair the plane")


async def stop_role(work: Work, role: Role, *, limit_seconds: float = STOP_LIMIT_SECONDS) -> None:
    """End every process of one role."""
    await work.processes.stop(work.processes.of_role(role), limit_seconds=limit_seconds)


async def stop_api_server(work: Work) -> None:
    """End the API server; it must go first, because without etcd it waits long."""
    await stop_role(work, Role.API_SERVER)


async def stop_controller_manager(work: Work) -> None:
    """End the controller manager."""
    await stop_role(work, Role.CONTROLLER_MANAGER)


async def stop_etcd(work: Work) -> None:
    """End etcd."""
    await stop_role(work, Role.ETCD)


async def remove_data(work: Work) -> None:
    """Remove what is large or secret; plane.json and the journal go last: a crash leaves something to resume."""
    layout = work.layout
    keep = {layout.plane, layout.journal, layout.lock}
    with contextlib.suppress(FileNotFoundError):
        for path in sorted(layout.root.iterdir()):
            if path not in keep:
                work.effects.remove_tree(path)


async def remove_folder(work: Work) -> None:
    """Remove the folder itself."""
    work.effects.remove_tree(work.layout.root)
