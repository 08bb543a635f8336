"""Checks that prove what a child cluster really does, run against the live cluster.

A check that could not be made is Unknown and never Passed. Checks run beside each other and none of them raises.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from yarl import URL

from atoll.errors import Conflict, Unreachable
from atoll.fleet.values import Version
from atoll.ports import Body

from .connect import Connection
from .credentials import Login, StaticCredentials, build_context
from .kinds import NAMESPACE, SERVICE_ACCOUNT
from .member import MemberClient
from .strangers import build_stranger
from .transport import CONNECT_SECONDS, TOTAL_SECONDS, HttpTransport, Request, describe_tls
from .trial import VERIFICATION_LABEL, remove_leftover, wait_until, wait_until_gone
from .verdicts import FAILED, PASSED, UNKNOWN, CheckResult, Verdict, time_check

LIFECYCLE_SECONDS: Final = 60.0
LEFTOVER_AGE: Final = timedelta(minutes=3)
"""Older namespaces with our label belong to a run that died; younger ones may belong to one that lives."""
LOCKED_PATHS: Final = ("/api", "/apis", "/api/v1/namespaces", "/api/v1/secrets?limit=1")
"""What nobody may read without credentials. /version, /livez and /readyz are public on many clusters, and harmless."""


_CERTIFICATE_ALERT: Final = re.compile(r"ALERT_\w*(CERTIFICATE|UNKNOWN_CA|ACCESS_DENIED)")


async def run_checks(
    member: MemberClient,
    *,
    wanted_version: str,
    wanted_uid: str,
    endpoint: str,
    ca: str,
    suffix: str,
    now: datetime,
    probe_seconds: float = TOTAL_SECONDS,
) -> tuple[CheckResult, ...]:
    """Run all checks and return their results in a fixed order.

    `endpoint` and `ca` (PEM) are what the world would connect to; `suffix` names the test namespace and should be the
    child's id, so that a run after a crash finds what the crashed one left.
    """
    return tuple(
        await asyncio.gather(
            time_check("version-served", lambda: check_version(member, wanted_version)),
            time_check("healthy", lambda: check_health(member)),
            time_check("identity", lambda: check_identity(member, wanted_uid)),
            time_check("anonymous-refused", lambda: check_anonymous(endpoint, ca, probe_seconds)),
            time_check("wrong-certificate-refused", lambda: check_wrong_certificate(endpoint, ca, probe_seconds)),
            time_check("namespace-lifecycle", lambda: check_namespaces(member, suffix, now)),
        )
    )


async def check_version(member: MemberClient, wanted: str) -> Verdict:
    """Check that the served version is the wanted one."""
    served = await member.version()
    if Version.parse(wanted).is_satisfied_by(served):
        return PASSED, f"serves {served}"
    return FAILED, f"serves {served} and not {wanted}; look at the operation of this ChildCluster"


async def check_health(member: MemberClient) -> Verdict:
    """Check /readyz and /livez."""
    for path in ("/readyz", "/livez"):
        status, text = await member.store.raw_get(f"{path}?verbose")
        if status != 200:
            failing = [line.strip() for line in text.splitlines() if line.startswith("[-]")]
            return FAILED, f"GET {path} was answered {status}: {'; '.join(failing)[:300] or 'no details'}"
    return PASSED, "/readyz and /livez were answered 200"


async def check_identity(member: MemberClient, wanted_uid: str) -> Verdict:
    """Check that this is the pinned cluster."""
    uid = await member.identity()
    if not wanted_uid:
        return UNKNOWN, f"the cluster is {uid}, and no identity is pinned in spec.clusterUID to compare it with"
    if uid == wanted_uid:
        return PASSED, f"namespace kube-system has the pinned UID {uid}"
    return FAILED, (
        f"namespace kube-system has UID {uid} and not the pinned {wanted_uid}: this is another cluster; correct the "
        "kubeconfig, or annotate the ChildCluster with atoll.dev/take-over"
    )


async def check_anonymous(endpoint: str, ca: str, seconds: float = TOTAL_SECONDS) -> Verdict:
    """Check that a stranger without credentials can read nothing."""
    try:
        answers = [await _ask_as(endpoint, ca, path, seconds=seconds) for path in LOCKED_PATHS]
    except Unreachable as error:
        return await _judge_handshake(error, "a connection without a certificate", endpoint, ca, seconds=seconds)
    return _judge(answers, "without credentials", "set --anonymous-auth=false or remove bindings of system:anonymous")


async def check_wrong_certificate(endpoint: str, ca: str, seconds: float = TOTAL_SECONDS) -> Verdict:
    """Check that a certificate of a foreign authority is worth nothing, whatever groups it claims."""
    certificate, key = await asyncio.to_thread(build_stranger)
    try:
        answer = await _ask_as(endpoint, ca, LOCKED_PATHS[0], certificate, key, seconds=seconds)
    except Unreachable as error:
        who = "a certificate of a foreign authority"
        return await _judge_handshake(error, who, endpoint, ca, certificate, key, seconds=seconds)
    return _judge(
        [answer],
        "with a certificate of a foreign authority that claims O=system:masters",
        "check --client-ca-file and the load balancer before the API server",
    )


async def check_namespaces(
    member: MemberClient, suffix: str, now: datetime, seconds: float = LIFECYCLE_SECONDS
) -> Verdict:
    """Check that a namespace comes to life, gets its ServiceAccount, and goes away for good."""
    name = f"atoll-verify-{suffix}"
    started = time.monotonic()
    step = "a leftover of an earlier run is deleted"
    try:
        async with asyncio.timeout(seconds):
            await remove_leftover(member, name)
            await _remove_old(member, now)
            step = f"namespace {name} has its ServiceAccount `default`"
            created = await member.store.create(_build_namespace(name))
            uid = str(created["metadata"]["uid"])
            await wait_until(lambda: _has_account(member, name))
            step = f"namespace {name} is gone after its deletion"
            await member.store.delete(NAMESPACE, None, name, uid=uid)
            await wait_until_gone(member, name)
    except TimeoutError:
        return FAILED, (
            f"waited {seconds:g} s in vain until {step}; look at the controller manager of the cluster, and "
            "at `kubectl get namespace -o yaml` for content that cannot be deleted"
        )
    except Conflict as error:
        return UNKNOWN, f"another verification may be at work in namespace {name}: {error}"
    return PASSED, f"namespace {name} came and went in {time.monotonic() - started:.1f} s"


async def _remove_old(member: MemberClient, now: datetime) -> None:
    """Delete what verifications under other names have left; nobody waits for it."""
    for body in await member.store.list(NAMESPACE, labels=VERIFICATION_LABEL):
        if _is_old(body, now):
            await member.store.delete(NAMESPACE, None, body["metadata"]["name"], uid=body["metadata"]["uid"])


async def _has_account(member: MemberClient, namespace: str) -> bool:
    return await member.store.get(SERVICE_ACCOUNT, namespace, "default") is not None


async def _ask_as(
    endpoint: str, ca: str, path: str, certificate: str = "", key: str = "", *, seconds: float
) -> tuple[str, int]:
    """Ask over a TLS connection of its own: a reused one would carry our own identity."""
    tls = build_context(ca=ca, certificate=certificate, key=key)
    connection = Connection(server=endpoint, ca=ca, credentials=StaticCredentials(login=Login(tls=tls)))
    transport = HttpTransport(connection)
    try:
        bare, _, query = path.partition("?")
        pairs = tuple((name, value) for name, _, value in (pair.partition("=") for pair in query.split("&")) if name)
        return path, (await transport.send(Request(method="GET", path=bare, query=pairs, seconds=seconds))).status
    finally:
        await transport.close()


async def _judge_handshake(
    error: Unreachable, who: str, endpoint: str, ca: str, certificate: str = "", key: str = "", *, seconds: float
) -> Verdict:
    """Tell "your certificate is not welcome" from "nobody answers"; the latter is raised again."""
    words = str(error)
    if not _CERTIFICATE_ALERT.search(words):
        words = await _hear_alert(endpoint, build_context(ca=ca, certificate=certificate, key=key), seconds)
    if _CERTIFICATE_ALERT.search(words):
        return PASSED, f"{who} was refused in the handshake: {words}"
    raise error


async def _hear_alert(endpoint: str, tls: ssl.SSLContext, seconds: float) -> str:
    """Connect and only listen: with TLS 1.3 a request that is under way can drown the alert in a reset connection."""
    url = URL(endpoint)
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(min(seconds, CONNECT_SECONDS)):
            reader, writer = await asyncio.open_connection(url.host, url.port, ssl=tls)
            await reader.read(1)
    except OSError as error:  # TimeoutError and SSLError are OSErrors, too.
        return describe_tls(error)
    finally:
        if writer is not None:
            writer.transport.abort()  # A goodbye would wait for a peer that has just shown that it does not want us.
            await asyncio.sleep(0)
    return "no alert"


def _judge(answers: list[tuple[str, int]], who: str, remedy: str) -> Verdict:
    seen = ", ".join(f"GET {path} {status}" for path, status in answers)
    if any(200 <= status < 300 for _, status in answers):
        return FAILED, f"the API server answers {who}: {seen}; {remedy}"
    if all(status in {401, 403} for _, status in answers):
        return PASSED, f"refused {who}: {seen}"
    return UNKNOWN, f"neither refused nor served {who}: {seen}"


def _build_namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {VERIFICATION_LABEL: "true"}}}


def _is_old(body: Body, now: datetime) -> bool:
    try:
        born = datetime.fromisoformat(str(body["metadata"].get("creationTimestamp")))
    except ValueError:
        return False
    return now - born.astimezone(UTC) > LEFTOVER_AGE
