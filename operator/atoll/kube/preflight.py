"""What stands in the way of a change, asked of the child itself before anything moves. Nothing is changed by it.

Findings hold up that one cluster; warnings hold up nothing. A check that cannot be made is never read as "in order":

* etcd that nobody can tell about is a finding: without it there is no change and no way back.
* All else is a warning. A cluster that is not ours may refuse its metrics to us for ever; if that held it up, it would
  never be changed again. The warning says which right is missing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from atoll.errors import AtollError, Refused, Unreachable
from atoll.fleet.cluster import Finding
from atoll.fleet.preflight import PreflightRun
from atoll.fleet.values import Version
from atoll.ports import Body

from .answers import clean_text
from .deprecated import (
    DeprecatedApi,
    build_gone,
    build_later,
    build_unclear,
    is_taken_away,
    merge_findings,
)
from .deprecated_metrics import parse_uses
from .discovery import read_versions
from .kinds import NODE, Kind
from .member import MemberClient
from .preflight_extensions import Told, check_api_services, check_webhooks
from .transport import HttpTransport, Request, Transport

CHECK_SECONDS: Final = 10.0
METRICS_LIMIT_BYTES: Final = 8 * 1024 * 1024
"""A plane that was asked for everything once tells 2 MB."""
EXPIRES_NOW: Final = timedelta(hours=1)
"""A change makes new certificates, so it is held up only where they may end in the middle of it."""
EXPIRES_SOON: Final = timedelta(days=14)
SKEW_MINORS: Final = 3
"""https://kubernetes.io/releases/version-skew-policy/: kubelets may be three minors older, never newer."""
SKEW_MINORS_BEFORE_1_28: Final = 2
NAMED_NODES: Final = 5
NOT_CHECKED: Final = "NotChecked"
_NOTHING: Final[Told] = ((), ())
_READ_RIGHT: Final = "bind ClusterRole system:monitoring to the user that Atoll uses there"


async def run_preflight(
    client: MemberClient,
    *,
    served: Version,
    target: Version,
    rollout: str,
    certificates_expire_time: datetime | None,
    now: datetime,
    provider_findings: Sequence[Finding] = (),
    check_seconds: float = CHECK_SECONDS,
) -> PreflightRun:
    """Ask a child about everything that may stand in the way of a change to `target`; never raises for its answers.

    `provider_findings` come first, and win where both tell of one deprecated API: they know who uses it.
    `check_seconds` is the time-out of each check; they run beside each other.
    """
    known = frozenset(finding.field for finding in provider_findings)
    # A connection of its own for metrics: the client's transport takes answers that are four times as long.
    metrics = HttpTransport(client.connection, answer_limit=METRICS_LIMIT_BYTES)
    try:
        etcd, *others = await asyncio.gather(
            _run("etcd", lambda: check_etcd(client), check_seconds, blocks=True),
            _run("skew of kubelets", lambda: check_skew(client, target), check_seconds),
            _run("use of deprecated APIs", lambda: check_use(client, metrics, served, target, known), check_seconds),
            _run("webhooks", lambda: check_webhooks(client), check_seconds),
            _run("aggregated APIs", lambda: check_api_services(client), check_seconds),
        )
    finally:
        await metrics.close()
    told: list[Told] = [etcd, check_certificates(certificates_expire_time, now), *others]
    findings = merge_findings([*provider_findings, *(finding for part, _ in told for finding in part)])
    named = frozenset(finding.field for finding in findings if finding.field)
    return PreflightRun(
        rollout=rollout,
        version=target,
        time=now,
        findings=findings,
        warnings=tuple(warning for _, part in told for warning in part if warning.field not in named),
    )


async def check_etcd(client: MemberClient) -> Told:
    """Check that the API server is ready, and its etcd with it.

    It asks etcd at most once a second and repeats its last answer meanwhile: an etcd that went a moment ago passes.
    """
    status, text = await client.store.raw_get("/readyz?verbose")
    if status in {401, 403}:
        raise Refused(f"GET /readyz was answered {status}: {_READ_RIGHT}")
    lines = [clean_text(line, 200) for line in text.split("\n")]
    failing = [line.removeprefix("[-]") for line in lines if line.startswith("[-]")]
    if status == 200 and "[+]etcd ok" not in lines:
        # Some clouds shorten the list, and serve the single check all the same.
        status, text = await client.store.raw_get("/readyz/etcd")
        if status == 404:
            status, text = await client.store.raw_get("/livez/etcd")
        if status in {401, 403, 404}:
            raise Refused(f"GET /readyz/etcd was answered {status}: {_READ_RIGHT}")
        if status == 200 and text.strip() != "ok":
            raise Unreachable("GET /readyz/etcd was answered 200, and not with ok; is that an API server?")
        failing = [f"etcd: {clean_text(text, 200)}"]
    if status == 200:
        return _NOTHING
    if status not in {500, 503}:
        raise Unreachable(f"GET /readyz was answered {status}, with no verdict")
    etcd = any(line.startswith("etcd") for line in failing)
    what = "etcd is not healthy" if etcd else "the API server is not ready"
    remedy = "look at etcd's log and disk" if etcd else "look at the log of the API server"
    return (
        Finding(
            reason="EtcdNotReady" if etcd else "NotReady",
            message=f"{what}, as its API server tells: {'; '.join(failing[:5]) or f'GET /readyz was answered {status}'}"
            f"; {remedy}, and wait until `kubectl get --raw /readyz/etcd` says ok",
            field="etcd" if etcd else "readyz",
        ),
    ), ()


def check_certificates(expire_time: datetime | None, now: datetime) -> Told:
    """Check how long the certificates still live; nobody can tell for clusters that somebody else makes."""
    if expire_time is None or expire_time - now > EXPIRES_SOON:
        return _NOTHING
    when = expire_time.strftime("%Y-%m-%dT%H:%M:%SZ")
    left = expire_time - now
    said = f"the first of its certificates {'ended' if left <= timedelta(0) else 'ends'} at {when}"
    remedy = (
        "renew them first: `kubeadm certs renew all` on its control-plane nodes, or what its installer offers; "
        "a local cluster gets new ones by `atoll down` and `atoll up`"
    )
    if left > EXPIRES_NOW:
        return (), (Finding(reason="CertificatesExpire", message=f"{said}: {remedy}", field="certificates"),)
    return (Finding(reason="CertificatesExpire", message=f"{said}: {remedy}", field="certificates"),), ()


async def check_skew(client: MemberClient, target: Version) -> Told:
    """Check that the API server of the target may work with the kubelets that are there."""
    return judge_skew(await client.store.list(NODE), target)


def judge_skew(nodes: Sequence[Body], target: Version) -> Told:
    """Say which nodes an API server of the target could not work with."""
    allowed = SKEW_MINORS if target.minor >= 28 else SKEW_MINORS_BEFORE_1_28
    oldest = Version(target.major, max(target.minor - allowed, 0))
    old: list[str] = []
    new: list[str] = []
    unknown: list[str] = []
    for node in nodes:
        name = clean_text(str(node["metadata"].get("name")), 253)
        text = str(((node.get("status") or {}).get("nodeInfo") or {}).get("kubeletVersion") or "")
        try:
            kubelet = Version.parse(text)
        except ValueError:
            unknown.append(name)
            continue
        if (kubelet.major, kubelet.minor) > (target.major, target.minor):
            new.append(f"{name} ({kubelet})")
        elif (kubelet.major, kubelet.minor) < (oldest.major, oldest.minor):
            old.append(f"{name} ({kubelet})")
    findings = [
        *([f"older than {oldest}: {_name(old)}; upgrade these nodes to {oldest} or newer first"] if old else []),
        *([f"newer than {target}: {_name(new)}; set them back, or ask for a newer version"] if new else []),
    ]
    rule = f"an API server of {target} works with kubelets from {oldest} on and none that is newer than itself"
    message = f"{rule}, and nobody can tell the version of {_name(unknown)}"
    return (
        tuple(
            Finding(reason="VersionSkew", message=f"{rule}, and some are {text}", field="nodes") for text in findings
        ),
        (Finding(reason="VersionSkew", message=message, field=""),) if unknown else (),
    )


async def check_use(
    client: MemberClient, metrics: Transport, served: Version, target: Version, known: frozenset[str] = frozenset()
) -> Told:
    """Check whether deprecated APIs are in use that the target has no more; `known`: fields that are told already."""
    uses, unreadable = parse_uses(await read_metrics(metrics))
    findings: list[Finding] = []
    warnings: list[Finding] = []
    for api in uses:
        if api.field in known:
            continue
        if not is_taken_away(api.removed, served=served, target=target):
            warnings.append(build_later(api))
            continue
        mine, clear = await _judge_use(client, api, target)
        (findings if clear else warnings).append(mine)
    if unreadable:
        message = f"{unreadable} lines of its metrics about deprecated APIs make no sense; look at GET /metrics"
        warnings.append(Finding(reason=NOT_CHECKED, message=message))
    return tuple(findings), tuple(warnings)


async def read_metrics(transport: Transport) -> str:
    """Read the metrics of an API server; raises Refused when they are not for us, or too long."""
    request = Request(method="GET", path="/metrics", headers={"Accept": "text/plain"}, seconds=CHECK_SECONDS)
    response = await transport.send(request)
    if response.status in {401, 403}:
        raise Refused(f"GET /metrics was answered {response.status}: {_READ_RIGHT}")
    text = response.body.decode("utf-8", "replace")
    if response.status != 200 or "\napiserver_" not in text:
        raise Unreachable(f"GET /metrics was answered {response.status}, and not with metrics of an API server")
    return text


async def _judge_use(client: MemberClient, api: DeprecatedApi, target: Version) -> tuple[Finding, bool]:
    """Say whether somebody is to blame for a use.

    Kubernetes' own controllers list, watch and empty every resource in the version that its server prefers. Where that
    is the deprecated one, its metrics have an entry in every cluster: only what is stored tells whether anybody cares.
    """
    try:
        versions = await read_versions(client, api.group, api.resource)
        mine = not versions or versions[0] != api.version or await _count(client, api) > 0
    except (AtollError, AttributeError, LookupError, TypeError):
        versions, mine = (), True
    if not mine:
        return build_unclear(api, target=target), False
    other = next((version for version in versions if version != api.version), "")
    return build_gone(api, (), target=target, replacement=f"{api.group}/{other}" if other else ""), True


async def _count(client: MemberClient, api: DeprecatedApi) -> int:
    kind = Kind(group=api.group, version=api.version, kind="", plural=api.resource, namespaced=False)
    return await client.store.count(kind)


async def _run(what: str, ask: Callable[[], Awaitable[Told]], seconds: float, *, blocks: bool = False) -> Told:
    try:
        async with asyncio.timeout(seconds):
            return await ask()
    except TimeoutError:
        why = f"no answer within {seconds:g} s"
    except (AtollError, AttributeError, LookupError, TypeError, ValueError) as error:
        why = str(error) if isinstance(error, AtollError) else f"odd answer ({type(error).__name__})"
    told = (Finding(reason=NOT_CHECKED, message=f"{what} could not be checked: {why}"),)
    return (told, ()) if blocks else ((), told)


def _name(nodes: Sequence[str]) -> str:
    more = f" and {len(nodes) - NAMED_NODES} more" if len(nodes) > NAMED_NODES else ""
    return f"{', '.join(sorted(nodes)[:NAMED_NODES])}{more}"
