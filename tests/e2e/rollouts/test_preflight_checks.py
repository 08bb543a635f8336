"""What preflight finds in a real child: uses of APIs that go and whose they are, etcd, webhooks, aggregated APIs."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from atoll.fleet.cluster import ClusterRef, Finding
from atoll.fleet.preflight import PreflightRun
from atoll.fleet.values import Version
from atoll.kube.connect import Connection
from atoll.kube.credentials import Login, StaticCredentials, build_context
from atoll.kube.kinds import NAMESPACE, Kind, url_path
from atoll.kube.member import MemberClient
from atoll.kube.preflight import run_preflight
from atoll.kube.preflight_extensions import API_SERVICE, VALIDATING_WEBHOOKS
from atoll.kube.transport import HttpTransport, Request
from atoll.kube.trial import wait_until
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec, Role
from atoll.ports import Operation, OperationType, WantedCluster
from atoll.providers.local import LocalProvider
from atoll.shell.context import SystemClock
from tests.support.binaries import Assets

PLANE = "asked"
SERVED = "v1.36.4"
AGENT = "payments-controller/1.4"
CLAIMS = "api:resource.k8s.io/v1beta1/resourceclaims"
"""Deprecated since 1.35, gone with 1.38: the API server says so itself."""
CANDIDATES = "api:coordination.k8s.io/v1beta1/leasecandidates"
"""Deprecated since 1.36, gone with 1.39, and served in no better version."""


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Planes]:
    """A plane that serves two deprecated APIs and keeps an audit log; a tenant has used one of them."""
    planes = Planes(tmp_path_factory.mktemp("home"), Assets(), clock=SystemClock())
    spec = PlaneSpec(
        id=PLANE,
        name=PLANE,
        version=SERVED,
        pod_cidr="10.128.0.0/16",
        service_cidr="10.129.0.0/20",
        audit_log=True,
        api_args=("--runtime-config=resource.k8s.io/v1beta1=true,coordination.k8s.io/v1beta1=true",),
    )
    create = Operation(id="create", type=OperationType.CREATE, to_version=SERVED)
    try:
        asyncio.run(planes.run_operation(PLANE, spec, create))
        asyncio.run(use_what_goes(planes.kubeconfig(PLANE)))
        yield planes
    finally:
        asyncio.run(planes.remove(PLANE))


@pytest.fixture
async def member(planes: Planes) -> AsyncIterator[MemberClient]:
    """Atoll's own client of the plane."""
    async with MemberClient(planes.kubeconfig(PLANE)) as client:
        yield client


async def use_what_goes(kubeconfig: str) -> None:
    """List ResourceClaims as a tenant's account, with a client that can be told by its name."""
    async with MemberClient(kubeconfig) as client:
        for body in tenant_objects():
            await client.store.apply(body)
        async with tenant_transport(client) as transport:
            path = "/apis/resource.k8s.io/v1beta1/namespaces/payments--prod/resourceclaims"
            answer = await transport.send(Request(method="GET", path=path, headers={"User-Agent": AGENT}))
            assert (answer.status, "unavailable in v1.38+" in answer.headers["warning"]) == (200, True)


def tenant_objects() -> list[dict[str, Any]]:
    """A tenant's namespace, its account beside Atoll, and its rights there."""
    account = {"name": "payments--developer", "namespace": "atoll-system"}
    rbac = "rbac.authorization.k8s.io"
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "atoll-system"}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "payments--prod"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": "developers", "namespace": "payments--prod"},
            "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
    ]


@asynccontextmanager
async def tenant_transport(client: MemberClient) -> AsyncIterator[HttpTransport]:
    """Talk to the plane as the tenant's account."""
    token, _ = await client.token("atoll-system", "payments--developer")
    login = Login(tls=build_context(ca=client.connection.ca), token=token)
    transport = HttpTransport(replace(client.connection, credentials=StaticCredentials(login=login)))
    try:
        yield transport
    finally:
        await transport.close()


async def ask_provider(planes: Planes, target: str) -> tuple[Finding, ...]:
    """What the provider finds before a change, as far as it is about APIs."""
    provider = LocalProvider(planes, audit_log=True)
    wanted = WantedCluster(
        ref=ClusterRef(fleet="fleet", name="web", id=PLANE), version=target, pod_cidr="", service_cidr=""
    )
    operation = Operation(id="hop", type=OperationType.CHANGE, to_version=target)
    found = await provider.preflight(wanted, operation)
    return tuple(finding for finding in found if finding.field.startswith("api:"))


async def ask(member: MemberClient, target: str = "v1.36.5", **more: Any) -> PreflightRun:
    """Run preflight."""
    settings = {"certificates_expire_time": None, "now": datetime.now(UTC), **more}
    return await run_preflight(
        member, served=Version.parse(SERVED), target=Version.parse(target), rollout="to-next", **settings
    )


async def until(look: Callable[[], Awaitable[bool]], seconds: float = 20) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(seconds):
        await wait_until(look)


async def make_and_delete(member: MemberClient, name: str) -> None:
    """Make a namespace and ask for its deletion."""
    made = await member.store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    await member.store.delete(NAMESPACE, None, name, uid=made["metadata"]["uid"])


async def test_a_use_of_what_goes_names_the_resource_the_client_and_the_tenant(
    planes: Planes, member: MemberClient
) -> None:
    of_provider = await ask_provider(planes, "v1.38.0")
    run = await ask(member, "v1.38.0", provider_findings=of_provider)
    assert [finding.field for finding in run.findings] == [CLAIMS]
    message = run.findings[0].message
    assert "resourceclaims of resource.k8s.io/v1beta1 go with v1.38" in message
    assert "tenant payments (prod), user system:serviceaccount:atoll-system:payments--developer" in message
    assert f"with {AGENT} in namespace payments--prod, last at " in message


async def test_without_an_audit_log_the_same_use_is_found_and_the_way_to_its_client_told(member: MemberClient) -> None:
    (finding,) = (await ask(member, "v1.38.0")).findings
    assert finding.field == CLAIMS
    assert "the operator runs with --audit" in finding.message
    assert "Let its clients use resource.k8s.io/v1;" in finding.message


async def test_what_goes_later_is_a_warning_and_a_change_within_the_minor_finds_nothing(
    planes: Planes, member: MemberClient
) -> None:
    for target in ("v1.36.5", "v1.37.0"):
        run = await ask(member, target, provider_findings=await ask_provider(planes, target))
        assert run.findings == ()
        assert CLAIMS in [warning.field for warning in run.warnings]


async def test_what_kubernetes_asks_for_by_itself_blames_nobody(planes: Planes, member: MemberClient) -> None:
    await make_and_delete(member, "passing")
    await until(lambda: is_gone(member, "passing"))
    run = await ask(member, "v1.39.0", provider_findings=await ask_provider(planes, "v1.39.0"))
    assert [finding.field for finding in run.findings] == [CLAIMS]
    assert "Kubernetes' own controllers" in next(item.message for item in run.warnings if item.field == CANDIDATES)


async def test_a_resource_that_is_stored_is_not_kubernetes_own_doing(member: MemberClient) -> None:
    kind = Kind(
        group="coordination.k8s.io", version="v1beta1", kind="LeaseCandidate", plural="leasecandidates", namespaced=True
    )
    path = url_path(kind, "payments--prod")
    body = (
        b'{"metadata": {"name": "it"}, "spec": {"leaseName": "it", "binaryVersion": "1.0.0", "emulationVersion": '
        b'"1.0.0", "strategy": "OldestEmulationVersion"}}'
    )
    transport = HttpTransport(member.connection)
    try:
        headers = {"Content-Type": "application/json"}
        made = await transport.send(Request(method="POST", path=path, headers=headers, body=body))
        assert made.status == 201, made.body
        fields = [finding.field for finding in (await ask(member, "v1.39.0")).findings]
        assert fields == [CLAIMS, CANDIDATES]
        await transport.send(Request(method="DELETE", path=f"{path}/it"))
    finally:
        await transport.close()


async def test_a_stopped_etcd_is_found_and_nothing_hangs(planes: Planes, member: MemberClient) -> None:
    (etcd,) = (process for process in planes.processes(PLANE) if process.role is Role.ETCD)
    os.kill(etcd.pid, signal.SIGSTOP)
    try:
        await until(lambda: is_not_ready(member))
        async with asyncio.timeout(15):
            run = await ask(member)
    finally:
        os.kill(etcd.pid, signal.SIGCONT)
    assert [(finding.reason, finding.field) for finding in run.findings] == [("EtcdNotReady", "etcd")]
    await until(lambda: member.ready())
    assert (await ask(member)).findings == ()


async def test_certificates_near_their_end_hold_up_and_later_ones_warn(member: MemberClient) -> None:
    now = datetime.now(UTC)
    soon = await ask(member, now=now, certificates_expire_time=now + timedelta(minutes=50))
    assert [finding.field for finding in soon.findings] == ["certificates"]
    later = await ask(member, now=now, certificates_expire_time=now + timedelta(days=13))
    assert (later.findings, [item.field for item in later.warnings][:1]) == ((), ["certificates"])


async def test_an_aggregated_api_without_a_server_is_found_because_namespaces_cannot_go(member: MemberClient) -> None:
    name = "v1.absent.example.com"
    await send(member, "POST", url_path(API_SERVICE), api_service(name))
    try:
        await until(lambda: is_judged(member, name))
        (finding,) = (await ask(member)).findings
        assert (finding.reason, finding.field) == ("APIServiceUnavailable", f"apiservice:{name}")
        await make_and_delete(member, "held")
        await asyncio.sleep(5)
        assert not await is_gone(member, "held"), "such an API holds nothing up: it should only be warned of"
    finally:
        await send(member, "DELETE", url_path(API_SERVICE, None, name), None)
    await until(lambda: is_gone(member, "held"), 60)
    assert (await ask(member)).findings == ()


async def test_a_dead_webhook_holds_up_only_where_a_change_must_ask_it(member: MemberClient) -> None:
    for name, rule, held in (
        ("orders.example.com", {"apiGroups": ["example.com"], "resources": ["orders"]}, False),
        ("leases.example.com", {"apiGroups": ["coordination.k8s.io"], "resources": ["*"]}, True),
    ):
        await send(member, "POST", url_path(VALIDATING_WEBHOOKS), webhook(name, rule))
        try:
            run = await ask(member)
        finally:
            await send(member, "DELETE", url_path(VALIDATING_WEBHOOKS, None, name), None)
        told = run.findings if held else run.warnings
        assert [item.field for item in told if item.field.startswith("webhook:")] == [f"webhook:{name}/{name}"]
        assert bool(run.findings) is held


async def test_a_cluster_that_refuses_its_metrics_to_us_is_not_held_up_for_ever(member: MemberClient) -> None:
    token, _ = await member.token("atoll-system", "payments--developer")
    connection = member.connection
    async with MemberClient(token_kubeconfig(connection, token)) as stranger:
        run = await ask(stranger, "v1.38.0")
    assert run.findings == ()
    told = {warning.message.partition(" could not be checked")[0] for warning in run.warnings}
    assert told == {"skew of kubelets", "use of deprecated APIs", "webhooks", "aggregated APIs"}
    assert any("GET /metrics was answered 403: bind ClusterRole system:monitoring" in w.message for w in run.warnings)


async def test_etcd_that_needs_more_disk_than_there_is_holds_the_change_up(planes: Planes) -> None:
    wanted = WantedCluster(
        ref=ClusterRef(fleet="fleet", name="web", id=PLANE), version=SERVED, pod_cidr="", service_cidr=""
    )
    operation = Operation(id="hop", type=OperationType.CHANGE, to_version=SERVED)
    assert await LocalProvider(planes).preflight(wanted, operation) == ()
    with half_of_the_disk(planes.home / "planes" / PLANE / "etcd" / "filler"):
        (finding,) = await LocalProvider(planes).preflight(wanted, operation)
    assert finding.reason == "DiskFull"
    assert "once more as a snapshot" in finding.message


@contextmanager
def half_of_the_disk(path: Path) -> Iterator[None]:
    """A file without content that says it is as large as half of what is free: twice of it does not fit."""
    found = os.statvfs(path.parent)
    with path.open("wb") as file:
        os.truncate(file.fileno(), found.f_bavail * found.f_frsize // 2)
    try:
        yield
    finally:
        path.unlink()


async def is_not_ready(member: MemberClient) -> bool:
    """Say whether the API server has noticed: for some seconds it repeats what it has seen before."""
    return not await member.ready()


async def is_gone(member: MemberClient, name: str) -> bool:
    return await member.store.get(NAMESPACE, None, name) is None


async def is_judged(member: MemberClient, name: str) -> bool:
    body = await member.store.get(API_SERVICE, None, name)
    return bool(((body or {}).get("status") or {}).get("conditions"))


async def send(member: MemberClient, method: str, path: str, body: str | None) -> None:
    transport = HttpTransport(member.connection)
    try:
        request = Request(
            method=method, path=path, headers={"Content-Type": "application/json"}, body=(body or "").encode()
        )
        answer = await transport.send(request)
        assert answer.status in {200, 201}, answer.body
    finally:
        await transport.close()


def api_service(name: str) -> str:
    spec = {
        "group": "absent.example.com",
        "version": "v1",
        "groupPriorityMinimum": 100,
        "versionPriority": 10,
        "insecureSkipTLSVerify": True,
        "service": {"name": "nobody", "namespace": "payments--prod"},
    }
    return json.dumps({"kind": "APIService", "metadata": {"name": name}, "spec": spec})


def webhook(name: str, rule: dict[str, Any]) -> str:
    """One that must be asked and whose Service is not there."""
    entry = {
        "name": name,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 1,
        "clientConfig": {"service": {"namespace": "payments--prod", "name": "nobody"}},
        "rules": [{"apiVersions": ["*"], "operations": ["*"], **rule}],
    }
    return json.dumps({"metadata": {"name": name}, "webhooks": [entry]})


def token_kubeconfig(connection: Connection, token: str) -> str:
    """A kubeconfig of somebody with few rights."""
    authority = base64.b64encode(connection.ca.encode()).decode()
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "it",
            "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
            "clusters": [
                {"name": "it", "cluster": {"server": connection.server, "certificate-authority-data": authority}}
            ],
            "users": [{"name": "it", "user": {"token": token}}],
        }
    )
