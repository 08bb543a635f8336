"""What preflight makes of nodes, certificates, webhooks and aggregated APIs, and of servers that do not play along."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from atoll.errors import Refused
from atoll.fleet.cluster import Finding
from atoll.fleet.values import Version
from atoll.kube.connect import Connection
from atoll.kube.member import MemberClient
from atoll.kube.preflight import check_certificates, check_etcd, judge_skew, read_metrics, run_preflight
from atoll.kube.preflight_extensions import find_needed, is_dead, is_ready, list_hooks
from atoll.kube.transport import HttpTransport

from .server import FakeServer, answer, cut, drop, hang, redirect, refuse, say

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
SYSTEM = {"kubernetes.io/metadata.name": "kube-system"}
EXEMPT = {
    "matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": ["kube-system"]}],
}
ALL = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}


def node(name: str, version: str) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": {"nodeInfo": {"kubeletVersion": version}}}


def rule(group: str, resource: str, *operations: str, **more: str) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": [resource], "operations": list(operations or ("CREATE",)), **more}


@pytest.mark.parametrize(
    ("kubelet", "target", "found"),
    [
        ("v1.36.4", "v1.36.4", ""),
        ("v1.36.9", "v1.36.4", ""),
        ("v1.33.0", "v1.36.4", ""),
        ("v1.32.9", "v1.36.4", "older than v1.33"),
        ("v1.37.0", "v1.36.4", "newer than v1.36.4"),
        ("v1.32.9-eks-1-32-5", "v1.36.4", "older than v1.33"),
        # Until 1.27 the policy allowed two minors.
        ("v1.25.0", "v1.27.0", ""),
        ("v1.24.0", "v1.27.0", "older than v1.25"),
        ("v1.25.0", "v1.28.0", ""),
    ],
)
def test_kubelets_may_be_three_minors_older_and_never_newer(kubelet: str, target: str, found: str) -> None:
    findings, warnings = judge_skew([node("a", kubelet)], Version.parse(target))
    assert (bool(findings), warnings) == (bool(found), ())
    assert all(f"{found}: a ({kubelet});" in finding.message for finding in findings)


def test_nodes_are_named_with_the_remedy_and_unknown_ones_are_a_warning() -> None:
    nodes = [node(f"w{number}", "v1.30.1") for number in range(7)]
    findings, warnings = judge_skew([*nodes, node("new", "v1.38.0"), node("odd", "?")], Version.parse("v1.36.4"))
    rule = "an API server of v1.36.4 works with kubelets from v1.33 on and none that is newer than itself"
    assert [finding.message for finding in findings] == [
        f"{rule}, and some are older than v1.33: w0 (v1.30.1), w1 (v1.30.1), w2 (v1.30.1), w3 (v1.30.1), "
        "w4 (v1.30.1) and 2 more; upgrade these nodes to v1.33 or newer first",
        f"{rule}, and some are newer than v1.36.4: new (v1.38.0); set them back, or ask for a newer version",
    ]
    assert [warning.message for warning in warnings] == [f"{rule}, and nobody can tell the version of odd"]


@pytest.mark.parametrize(
    ("left", "finds", "warns"),
    [
        (None, 0, 0),
        (timedelta(days=15), 0, 0),
        (timedelta(days=14), 0, 1),
        (timedelta(minutes=61), 0, 1),
        (timedelta(minutes=60), 1, 0),
        (timedelta(0), 1, 0),
        (timedelta(days=-1), 1, 0),
    ],
)
def test_certificates_hold_up_in_their_last_hour_and_warn_for_two_weeks(
    left: timedelta | None, finds: int, warns: int
) -> None:
    findings, warnings = check_certificates(None if left is None else NOW + left, NOW)
    assert (len(findings), len(warnings)) == (finds, warns)


@pytest.mark.parametrize(
    ("webhook", "needed"),
    [
        ({"rules": [ALL]}, "pods in kube-system"),
        ({"rules": [rule("", "pods")]}, "pods in kube-system"),
        ({"rules": [rule("", "pods")], "namespaceSelector": EXEMPT}, ""),
        ({"rules": [ALL], "namespaceSelector": EXEMPT}, "nodes"),
        ({"rules": [rule("", "namespaces")], "namespaceSelector": EXEMPT}, "namespaces"),
        ({"rules": [rule("", "configmaps")], "namespaceSelector": EXEMPT}, "configmaps in new namespaces"),
        ({"rules": [rule("", "configmaps")], "namespaceSelector": {"matchLabels": {"inject": "yes"}}}, ""),
        ({"rules": [rule("coordination.k8s.io", "*")]}, "leases in kube-system"),
        ({"rules": [rule("rbac.authorization.k8s.io", "*/*", "UPDATE", scope="Cluster")]}, "clusterroles"),
        ({"rules": [rule("rbac.authorization.k8s.io", "clusterroles", scope="Namespaced")]}, ""),
        ({"rules": [rule("", "pods/exec")]}, ""),
        ({"rules": [rule("", "pods", "CONNECT")]}, ""),
        ({"rules": [rule("apps", "deployments")]}, ""),
        ({"rules": [ALL], "objectSelector": {"matchLabels": {"inject": "yes"}}}, ""),
        ({"rules": [ALL], "matchConditions": [{"name": "x", "expression": "false"}]}, ""),
        ({"rules": []}, ""),
        ({}, ""),
    ],
)
def test_a_webhook_holds_up_what_a_change_must_ask_it_about(webhook: dict[str, Any], needed: str) -> None:
    assert find_needed(webhook, SYSTEM) == needed


def test_only_webhooks_that_must_be_asked_and_have_a_service_are_looked_at() -> None:
    service = {"clientConfig": {"service": {"namespace": "policy", "name": "server"}}}
    configuration = {
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "policy"},
        "webhooks": [
            {"name": "must", "failurePolicy": "Fail", **service},
            {"name": "by-default", **service},
            {"name": "may", "failurePolicy": "Ignore", **service},
            {"name": "elsewhere", "failurePolicy": "Fail", "clientConfig": {"url": "https://example.com"}},
        ],
    }
    assert [hook.name for hook in list_hooks([configuration])] == ["by-default", "must"]


def test_an_endpoint_that_does_not_say_whether_it_is_ready_is() -> None:
    assert is_ready({"addresses": ["10.0.0.1"]})
    assert is_ready({"addresses": ["10.0.0.1"], "conditions": {"ready": None}})
    assert not is_ready({"addresses": ["10.0.0.1"], "conditions": {"ready": False}})
    assert not is_ready({"addresses": [], "conditions": {"ready": True}})


def test_an_aggregated_api_is_dead_unless_it_says_that_it_is_available() -> None:
    remote = {"spec": {"service": {"namespace": "a", "name": "b"}}}
    available = {"status": {"conditions": [{"type": "Available", "status": "True"}]}}
    assert is_dead(remote)
    assert is_dead({**remote, "status": {"conditions": [{"type": "Available", "status": "Unknown"}]}})
    assert not is_dead({**remote, **available})
    assert not is_dead({"spec": {}})


async def ask(server: FakeServer, **more: Any) -> Any:
    async with MemberClient(server.kubeconfig(), seconds=0.2) as client:
        return await run_preflight(
            client,
            served=Version.parse("v1.36.4"),
            target=Version.parse("v1.37.0"),
            rollout="next",
            certificates_expire_time=None,
            now=NOW,
            check_seconds=1.0,
            **more,
        )


@pytest.mark.parametrize(
    "script",
    [hang, drop, cut, redirect, say("junk"), answer({"items": "odd"}), refuse(401, "no"), refuse(403, "no")],
    ids=["hang", "drop", "cut", "redirect", "junk", "odd", "401", "403"],
)
async def test_whatever_a_server_answers_only_an_etcd_that_nobody_can_tell_about_holds_up(
    server: FakeServer, script: Any
) -> None:
    server.answers(script)
    run = await ask(server)
    if run.findings:
        (finding,) = run.findings
        assert (finding.reason, finding.message.partition(":")[0]) == ("NotChecked", "etcd could not be checked")
    assert {warning.reason for warning in run.warnings} <= {"NotChecked"}
    assert len(run.findings) + len(run.warnings) >= 4


async def test_what_the_provider_found_comes_first_and_stays(server: FakeServer) -> None:
    server.answers(refuse(403, "no"))
    full = Finding(reason="DiskFull", message="no room")
    run = await ask(server, provider_findings=(full,))
    assert run.findings[0] == full
    assert [finding.reason for finding in run.findings] == ["DiskFull", "NotChecked"]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ([say("[+]ping ok\n[+]etcd ok\nreadyz check passed\n")], []),
        # A cloud that keeps its list to itself, and its single checks not.
        ([say("ok"), say("ok")], []),
        ([say("ok"), say("not found", 404), say("ok")], []),
        ([say("ok"), say("internal server error: no leader", 500)], ["EtcdNotReady"]),
        ([say("[-]etcd failed: reason withheld\n[-]etcd-readiness failed: reason withheld\n", 500)], ["EtcdNotReady"]),
        ([say("[+]etcd ok\n[-]poststarthook/rbac/bootstrap-roles failed: not finished\n", 500)], ["NotReady"]),
        ([say("no", 503)], ["NotReady"]),
    ],
)
async def test_etcd_is_believed_to_be_well_only_when_somebody_says_so(
    server: FakeServer, script: list[Any], expected: list[str]
) -> None:
    server.answers(*script)
    async with MemberClient(server.kubeconfig(), seconds=1.0) as client:
        findings, warnings = await check_etcd(client)
    assert ([finding.reason for finding in findings], warnings) == (expected, ())


async def test_metrics_are_read_to_a_bound_and_asked_for_as_text(server: FakeServer) -> None:
    async def tell(request: web.Request) -> web.StreamResponse:
        return web.Response(text=f"# {request.path} {request.headers['Accept']}\napiserver_x 1\n" + "x" * 1000)

    server.answers(tell)
    connection = Connection.from_kubeconfig(server.kubeconfig())
    for limit, words in ((4096, "# /metrics text/plain\napiserver_x 1"), (1000, "more than 1000 bytes")):
        transport = HttpTransport(connection, answer_limit=limit)
        try:
            told = await read_metrics(transport)
        except Refused as error:
            told = str(error)
        finally:
            await transport.close()
        assert words in told
