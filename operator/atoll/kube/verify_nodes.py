"""Checks of a child that has nodes: they serve, an application runs on them, strangers are refused, walls hold.

Like those in `verify`, they prove and never raise; what could not be asked is Unknown and never Passed.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from typing import Any, Final

from atoll.errors import Conflict, Refused, Unreachable
from atoll.fleet.observed import NETWORK_POLICY_CHECK
from atoll.fleet.values import Version
from atoll.ports import Body

from .kinds import DAEMON_SET, DEPLOYMENT, NAMESPACE, NODE, POD, SERVICE
from .member import MemberClient, is_node_ready
from .sample import (
    CALLER,
    PORT,
    SERVER,
    build_callers,
    build_sample,
    build_server,
    build_service,
    build_settings,
    build_wall,
)
from .transport import CONNECT_SECONDS
from .trial import VERIFICATION_LABEL, remove_leftover, wait_until, wait_until_gone
from .verdicts import FAILED, PASSED, SKIPPED, UNKNOWN, CheckResult, Verdict, time_check

SAMPLE_SECONDS: Final = 120.0
WALL_SECONDS: Final = 5.0
"""How long a network add-on may take to raise a wall."""
KUBELET_PORT: Final = 10250
ETCD_PORT: Final = 2379
ASKED_NODES: Final = 5


async def run_node_checks(
    member: MemberClient, *, wanted_version: str, suffix: str, sample: bool
) -> tuple[CheckResult, ...]:
    """Run the checks that need nodes; `sample`: deploy the sample application, too."""
    results = [
        await time_check("nodes-ready", lambda: check_nodes(member, wanted_version)),
        await time_check("node-ports-locked", lambda: check_locked_ports(member)),
    ]
    if sample:
        wall: list[Verdict] = [(UNKNOWN, "the sample application could not be deployed")]

        async def run() -> Verdict:
            verdict, wall[0] = await check_sample(member, suffix)
            return verdict

        results.append(await time_check("sample-application", run))
        result, message = wall[0]
        told = SKIPPED if result == UNKNOWN else result
        results.append(CheckResult(check=NETWORK_POLICY_CHECK, result=told, message=message, seconds=0.0))
    return tuple(results)


async def check_nodes(member: MemberClient, wanted: str) -> Verdict:
    """Check that every node is Ready, and that its kubelet is at the wanted version."""
    nodes = await member.store.list(NODE)
    down = sorted(_name(node) for node in nodes if not is_node_ready(node))
    if down:
        return FAILED, f"not Ready: {', '.join(down)}; look at `kubectl describe node {down[0]}`"
    target = Version.parse(wanted)
    other = sorted(
        f"{_name(node)} ({served})"
        for node in nodes
        if not target.is_satisfied_by(Version.parse(served := node["status"]["nodeInfo"]["kubeletVersion"]))
    )
    if other:
        return FAILED, f"kubelets of another version than {wanted}: {', '.join(other)}"
    return PASSED, f"{len(nodes)} nodes are Ready at {wanted}"


async def check_sample(member: MemberClient, suffix: str, seconds: float = SAMPLE_SECONDS) -> tuple[Verdict, Verdict]:
    """Deploy the sample application, reach it from every node, raise a wall, and take everything away again.

    Returns the verdicts about the application and about NetworkPolicies.
    """
    other = await _find_other_dns(member)
    if other:
        # Managed clusters have DNS servers of their clouds: nothing is wrong with that.
        message = (
            f"its DNS server is {other} and not CoreDNS, whose image the sample application uses: nothing was tried"
        )
        return (SKIPPED, message), (SKIPPED, message)
    name = f"atoll-sample-{suffix}"
    started = time.monotonic()
    step = [f"namespace {name} of an earlier run is gone"]
    wall: Verdict = SKIPPED, "the sample application did not come up"
    try:
        async with asyncio.timeout(seconds):
            await remove_leftover(member, name)
            created = await member.store.create(build_sample(name, {VERIFICATION_LABEL: "true"}))
            try:
                nodes = await _deploy(member, name, step)
                wall = await _try_wall(member, name)
            finally:
                step[0] = f"namespace {name} is gone after its deletion" if wall[0] != SKIPPED else step[0]
                await asyncio.shield(member.store.delete(NAMESPACE, None, name, uid=str(created["metadata"]["uid"])))
            await wait_until_gone(member, name)
    except TimeoutError:
        return (FAILED, f"waited {seconds:g} s in vain until {step[0]}{await _describe_pods(member, name)}"), wall
    except Conflict as error:
        return (UNKNOWN, f"another verification may be at work in namespace {name}: {error}"), wall
    took = time.monotonic() - started
    return (PASSED, f"reached through its Service from {nodes} node(s), and removed, in {took:.1f} s"), wall


async def _deploy(member: MemberClient, name: str, step: list[str]) -> int:
    """Deploy server and callers and wait until each node has reached the server; return the number of nodes."""
    image = await _find_image(member)
    for body in (build_settings(name), build_service(name), build_server(name, image)):
        await member.store.create(body)
    service = await member.store.get(SERVICE, name, SERVER)
    address = str((service or {})["spec"]["clusterIP"])
    step[0] = "the server of the sample application is available"
    await wait_until(lambda: _is_served(member, name))
    await member.store.create(build_callers(name, image, address))
    step[0] = f"the server is reached through its Service {address} from every node"
    await wait_until(lambda: _is_reached(member, name))
    found = await member.store.get(DAEMON_SET, name, CALLER)
    return int((found or {})["status"]["numberReady"])


async def _try_wall(member: MemberClient, name: str) -> Verdict:
    """Forbid all traffic to the server and try to reach it from the API server: a wall that lets us in is none."""
    pods = await member.store.list(POD, name, labels=f"app={SERVER}")
    path = f"/api/v1/namespaces/{name}/pods/{pods[0]['metadata']['name']}:{PORT}/proxy/health"
    control_planes = {
        _name(node)
        for node in await member.store.list(NODE)
        if "node-role.kubernetes.io/control-plane" in (node["metadata"].get("labels") or {})
    }
    if pods[0]["spec"].get("nodeName") in control_planes:
        return SKIPPED, "the server runs beside the API server, and traffic within a node is never walled off"
    if (await member.store.raw_get(path))[0] != 200:
        return SKIPPED, "the API server does not reach pods, so it cannot try the wall"
    await member.store.create(build_wall(name))
    deadline = time.monotonic() + WALL_SECONDS
    while time.monotonic() < deadline:
        try:
            status, _ = await member.store.raw_get(path)
        except Unreachable:
            return PASSED, "a NetworkPolicy that forbids all traffic keeps the API server from a pod"
        if status != 200:
            return PASSED, "a NetworkPolicy that forbids all traffic keeps the API server from a pod"
        await asyncio.sleep(0.5)
    return SKIPPED, (
        "NetworkPolicies are not enforced: a pod that one of them walls off is reached all the same. Use a pod network "
        "that enforces them (spec.provider.kubeadm.podNetwork.manifestsRef) for tenants that need the border."
    )


async def check_locked_ports(member: MemberClient) -> Verdict:
    """Check that kubelets answer nobody without credentials, and etcd nobody without a certificate."""
    told = []
    for node in (await member.store.list(NODE))[:ASKED_NODES]:
        address = next((item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP"), "")
        status = await _ask_kubelet(address)
        if status is not None and status not in {401, 403}:
            remedy = "set authentication.anonymous.enabled: false in its KubeletConfiguration"
            return FAILED, f"the kubelet of {_name(node)} answers {status} without credentials; {remedy}"
        told.append(f"kubelet of {_name(node)} {status or 'out of reach from here'}")
        if "node-role.kubernetes.io/control-plane" in (node["metadata"].get("labels") or {}):
            open_ = await _is_etcd_open(address)
            if open_:
                return FAILED, f"etcd of {_name(node)} lets in whoever comes without a certificate"
            told.append(f"etcd of {_name(node)} {'out of reach from here' if open_ is None else 'refused'}")
    return PASSED, f"without credentials: {', '.join(told)}"


async def _ask_kubelet(address: str) -> int | None:
    """Ask a kubelet for its pods as a stranger; None: it is out of reach."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # Its serving certificate is its own; nothing is told to it, and nothing that it says is believed.
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    request = f"GET /pods HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode()
    answer = await _talk(address, KUBELET_PORT, context, request)
    parts = (answer or b"").split(b" ", 2)
    return int(parts[1]) if len(parts) > 1 and parts[1].isdigit() else None


async def _is_etcd_open(address: str) -> bool | None:
    """Ask etcd for its version as a stranger; None: it is out of reach."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        answer = await _talk(address, ETCD_PORT, context, b"GET /version HTTP/1.1\r\nHost: etcd\r\n\r\n", strict=True)
    except ssl.SSLError:
        return False
    return None if answer is None else b"etcdserver" in answer


async def _talk(
    address: str, port: int, context: ssl.SSLContext, request: bytes, *, strict: bool = False
) -> bytes | None:
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await asyncio.open_connection(address, port, ssl=context)
            writer.write(request)
            return await reader.read(65536)
    except ssl.SSLError:
        if strict:
            raise
        return None
    except OSError:  # TimeoutError is one, too.
        return None
    finally:
        if writer is not None:
            writer.transport.abort()
            await asyncio.sleep(0)


async def _find_other_dns(member: MemberClient) -> str:
    """Return the name of a DNS server that is not CoreDNS; empty when it is, or when there is none."""
    if await member.store.get(DEPLOYMENT, "kube-system", "coredns") is not None:
        return ""
    found = await member.store.list(DEPLOYMENT, "kube-system", labels="k8s-app=kube-dns")
    return _name(found[0]) if found else ""


async def _find_image(member: MemberClient) -> str:
    """Return the image of the cluster's DNS server, which every node has or can get."""
    body = await member.store.get(DEPLOYMENT, "kube-system", "coredns")
    containers: Sequence[Any] = (body or {}).get("spec", {}).get("template", {}).get("spec", {}).get("containers", ())
    if not containers:
        raise Refused(
            "the cluster has no Deployment kube-system/coredns, whose image the sample application uses; set "
            "spec.verification.sampleApplication of the ClusterSet to false"
        )
    return str(containers[0]["image"])


async def _is_served(member: MemberClient, name: str) -> bool:
    body = await member.store.get(DEPLOYMENT, name, SERVER)
    return bool(body and (body.get("status") or {}).get("availableReplicas"))


async def _is_reached(member: MemberClient, name: str) -> bool:
    status = (await member.store.get(DAEMON_SET, name, CALLER) or {}).get("status") or {}
    wanted = status.get("desiredNumberScheduled", 0)
    return bool(wanted) and status.get("numberReady", 0) == wanted


async def _describe_pods(member: MemberClient, name: str) -> str:
    """Say what keeps the pods from running, for the message of a failure."""
    try:
        pods = await member.store.list(POD, name)
    except (Unreachable, Refused):
        return ""
    told = [f"{_name(pod)}: {why}" for pod in pods if (why := _why_waiting(pod))]
    return f"; {'; '.join(told[:3])}" if told else ""


def _why_waiting(pod: Body) -> str:
    status = pod.get("status") or {}
    for container in status.get("containerStatuses", ()):
        waiting = (container.get("state") or {}).get("waiting")
        if waiting:
            return f"{waiting.get('reason', 'waiting')} {waiting.get('message', '')}".strip()[:200]
    for condition in status.get("conditions", ()):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return str(condition.get("message", "not scheduled"))[:200]
    return "" if status.get("phase") == "Running" else str(status.get("phase", ""))


def _name(body: Body) -> str:
    return str(body["metadata"]["name"])
