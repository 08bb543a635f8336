"""One plane: made, used, hurt, repaired, stopped and removed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from plane_kit import NEW, Plane, list_leftovers, spec_of

from atoll.errors import Conflict, Refused
from atoll.planes import pki
from atoll.planes.documents import ProcessRecord, render_process
from atoll.planes.locks import hold_lock
from atoll.planes.planes import Planes
from atoll.planes.values import Role
from atoll.ports import Operation, OperationState, OperationType
from atoll.shell.context import SystemClock

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def plane(planes: Planes) -> Plane:
    plane = Plane(planes, "one")
    seconds = asyncio.run(plane.run(OperationType.CREATE, NEW, "create"))
    used = [psutil.Process(process.pid) for process in planes.processes("one")]
    cpu = sum(sum(process.cpu_times()[:2]) for process in used)
    memory = sum(process.memory_info().rss for process in used) >> 20
    print(f"\nplane {NEW} ready after {seconds:.1f} s; {cpu:.1f} CPU-seconds; {memory} MiB")
    assert seconds < 60
    return plane


@pytest.fixture(autouse=True)
def healthy(plane: Plane) -> Iterator[None]:
    """Whatever a test did, the next one begins with a plane in order."""
    yield
    if plane.layout.root.exists():
        asyncio.run(plane.run(OperationType.REPAIR, NEW))


async def test_a_new_plane_says_what_it_is(plane: Plane) -> None:
    observed = await plane.planes.observe("one")

    assert (observed.version, observed.ready, observed.missing, observed.message) == (NEW, True, (), "")
    assert observed.journal is not None
    assert (observed.journal.state, observed.journal.steps_done) == (OperationState.SUCCEEDED, 8)
    assert observed.certificates_expire_time is not None
    days = (observed.certificates_expire_time - SystemClock().now()).days
    assert 360 <= days <= 365
    assert [process.executable for process in observed.processes if process.role is Role.API_SERVER] == [
        str(plane.planes.binaries.path(NEW, "kube-apiserver").resolve())
    ]


async def test_the_kubeconfig_needs_nothing_else_and_makes_an_administrator(plane: Plane) -> None:
    config = json.loads(plane.kubectl("config", "view", "--raw", "-o", "json"))
    assert config["current-context"] == "test-one"
    assert plane.kubectl("auth", "can-i", "*", "*", "--all-namespaces").strip() == "yes"
    review = json.loads(plane.kubectl("auth", "whoami", "-o", "json"))
    assert review["status"]["userInfo"]["username"] == "atoll"
    assert "system:masters" not in review["status"]["userInfo"]["groups"]


async def test_a_deleted_namespace_really_goes(plane: Plane) -> None:
    plane.kubectl("create", "namespace", "gone")
    plane.kubectl("create", "configmap", "inside", "-n", "gone")
    plane.kubectl("delete", "namespace", "gone", "--timeout=30s")
    assert "NotFound" in plane.kubectl("get", "namespace", "gone", check=False)


async def test_nobody_gets_in_without_an_identity_of_this_plane(plane: Plane, tmp_path: Path) -> None:
    trust = ssl.create_default_context(cafile=str(plane.layout.authority(pki.CLUSTER_AUTHORITY)))
    for path in ("/api", "/version", "/readyz", "/metrics"):
        assert plane.call(path, trust)[0] == 401

    stranger = pki.issue_authority("stranger", SystemClock().now())
    leaf = pki.Leaf(name="", authority="", common_name="x", organization="system:masters", client=True)
    forged = tmp_path / "forged.pem"
    forged.write_bytes(pki.issue_leaf(leaf, stranger, SystemClock().now(), pki.LEAF_LIFE).pem)
    assert plane.call("/api", plane.context(forged))[0] == 401


def ask_in_tls(port: int, trust: ssl.SSLContext) -> None:
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as raw,
        trust.wrap_socket(raw, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        secure.recv(1)


async def test_etcd_and_its_peers_port_refuse_whoever_has_no_certificate(plane: Plane) -> None:
    trust = ssl.create_default_context(cafile=str(plane.layout.authority(pki.ETCD_AUTHORITY)))
    for port in (plane.state.ports.etcd, plane.state.ports.etcd_peer):
        with pytest.raises(OSError, match=r"certificate required|bad certificate|reset"):
            ask_in_tls(port, trust)


async def test_everything_listens_on_loopback_alone(plane: Plane) -> None:
    ports = plane.state.ports
    listening = {
        (entry.laddr.ip, entry.laddr.port)
        for process in plane.planes.processes("one")
        for entry in psutil.Process(process.pid).net_connections("inet")
        if entry.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", port) for port in (ports.api, ports.etcd, ports.etcd_peer)}


async def test_nobody_else_can_read_a_file_and_no_administrator_key_is_left(plane: Plane) -> None:
    readable = [
        str(path)
        for path in (plane.layout.root, *plane.layout.root.rglob("*"))
        if stat.S_IMODE(path.lstat().st_mode) & 0o077 and plane.layout.etcd not in path.parents
    ]
    assert readable == []
    assert not list(plane.layout.pki.glob("*bootstrap*"))
    arguments = [argument for process in plane.planes.processes("one") for argument in process.argv]
    assert not [argument for argument in arguments if "PRIVATE" in argument]


async def test_tokens_of_service_accounts_are_signed_with_the_elliptic_key(plane: Plane) -> None:
    token = plane.kubectl("create", "token", "default", "-n", "kube-system").strip()
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
    _, text = plane.call("/apis/authentication.k8s.io/v1/tokenreviews", plane.context(), body=body)
    assert json.loads(text)["status"]["user"]["username"] == "system:serviceaccount:kube-system:default"


@pytest.mark.parametrize("role", list(Role))
async def test_a_killed_process_is_named_and_a_repair_starts_it_alone(plane: Plane, role: Role) -> None:
    before = {process.role: process.pid for process in plane.planes.processes("one")}
    os.kill(before[role], signal.SIGKILL)
    await asyncio.sleep(0.2)
    assert (await plane.planes.observe("one")).missing == (role,)

    await plane.run(OperationType.REPAIR, NEW)

    observed = await plane.planes.observe("one")
    after = {process.role: process.pid for process in observed.processes}
    assert (observed.missing, observed.ready) == ((), True)
    assert {other for other in Role if before[other] != after[other]} == {role}


async def test_lost_process_files_start_nothing_twice(plane: Plane) -> None:
    before = plane.planes.processes("one")
    for path in plane.layout.run.glob("*.json"):
        path.unlink()

    await plane.run(OperationType.REPAIR, NEW)

    assert plane.planes.processes("one") == before
    assert len(list(plane.layout.run.glob("*.json"))) == 3


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    yield process
    process.kill()
    process.wait()


async def test_a_stranger_with_a_number_of_ours_is_left_alone(plane: Plane, stranger: subprocess.Popen[bytes]) -> None:
    path = next(plane.layout.run.glob("etcd*.json"))
    created = psutil.Process(stranger.pid).create_time()
    path.write_bytes(render_process(ProcessRecord(pid=stranger.pid, create_time=created, executable="etcd")))
    assert stranger.pid not in {process.pid for process in (await plane.planes.observe("one")).processes}

    await plane.planes.stop("one")

    assert stranger.poll() is None
    assert plane.planes.processes("one") == ()


async def test_a_frozen_api_server_is_slow_and_not_dead(plane: Plane) -> None:
    frozen = plane.process(Role.API_SERVER)
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        observed = await plane.planes.observe("one")
        assert time.monotonic() - start < 5
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert (observed.missing, observed.ready) == ((), False)
    assert "does not answer" in observed.message


async def test_two_do_not_work_on_one_plane(plane: Plane) -> None:
    async with hold_lock(plane.layout.lock, "plane one"):
        with pytest.raises(Conflict, match="somebody else is working on plane one"):
            await plane.run(OperationType.REPAIR, NEW)


async def test_a_finished_operation_is_not_begun_again(plane: Plane) -> None:
    await plane.run(OperationType.REPAIR, NEW, "same")
    os.kill(plane.process(Role.CONTROLLER_MANAGER).pid, signal.SIGKILL)
    await asyncio.sleep(0.2)
    await plane.run(OperationType.REPAIR, NEW, "same")
    assert Role.CONTROLLER_MANAGER in (await plane.planes.observe("one")).missing


async def test_a_stopped_plane_keeps_its_data_and_says_who_took_its_port(plane: Plane) -> None:
    plane.kubectl("create", "configmap", "kept")
    await plane.planes.stop("one")
    with socket.socket() as thief:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind(("127.0.0.1", plane.state.ports.api))
        thief.listen()
        with pytest.raises(
            Refused, match=rf"port {plane.state.ports.api} of kube-apiserver is taken by .*{os.getpid()}"
        ):
            await plane.run(OperationType.REPAIR, NEW)
        observed = await plane.planes.observe("one")
        assert observed.journal is not None
        assert observed.journal.state is OperationState.FAILED
        assert "start kube-apiserver" in observed.journal.message

    await plane.run(OperationType.REPAIR, NEW)

    assert "kept" in plane.kubectl("get", "configmap", "-o", "name")


async def test_a_process_that_dies_at_once_is_reported_with_the_end_of_its_log(planes: Planes) -> None:
    broken = spec_of("broken", NEW, api_args=("--no-such-flag=1",))
    operation = Operation(id="op", type=OperationType.CREATE, to_version=NEW)
    with pytest.raises(Exception, match="unknown flag: --no-such-flag"):
        await planes.run_operation("broken", broken, operation)
    observed = await planes.observe("broken")
    assert observed.journal is not None
    assert observed.journal.state is OperationState.FAILED
    assert "unknown flag: --no-such-flag" in observed.journal.message
    await planes.remove("broken")
    assert list_leftovers(planes.home / "planes" / "broken") == []


async def test_near_their_end_certificates_are_renewed_under_running_servers(plane: Plane) -> None:
    layout, spec = plane.layout, plane.state.spec
    authority = pki.read_pair(layout, pki.CLUSTER_AUTHORITY)
    leaf = next(leaf for leaf in pki.build_leaves(spec) if leaf.name == pki.ATOLL)
    short = pki.issue_leaf(leaf, authority, SystemClock().now(), pki.RENEW_BEFORE / 2)
    plane.planes._effects.write_file(layout.identity(pki.ATOLL), short.pem)

    assert await plane.planes.renew_certificates("one") == (pki.ATOLL,)
    assert await plane.planes.renew_certificates("one") == ()
    assert "yes" in plane.kubectl("auth", "can-i", "*", "*")


async def test_a_removed_plane_leaves_nothing(plane: Plane) -> None:
    ports = plane.state.ports
    await plane.run(OperationType.DELETE, NEW)

    assert not plane.layout.root.exists()
    assert list_leftovers(plane.layout.root) == []
    for port in (ports.api, ports.etcd, ports.etcd_peer):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=1)
    assert not (await plane.planes.observe("one")).exists
    await plane.run(OperationType.DELETE, NEW)
    assert not plane.layout.root.exists()
