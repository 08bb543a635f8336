"""One child cluster, as its own API server shows it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Self

from atoll.errors import Conflict, IdentityMismatch, Refused, Unreachable
from atoll.fleet.names import BEING_LEFT, PLACEMENT_LABEL, SYSTEM_NAMESPACE
from atoll.fleet.observed import MemberView, ObjectKey
from atoll.fleet.values import Version, format_quantity, parse_quantity
from atoll.ports import Body

from .connect import Connection
from .credentials import TlsContexts
from .kinds import (
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    LIMIT_RANGE,
    NAMESPACE,
    NETWORK_POLICY,
    NODE,
    PERSISTENT_VOLUME_CLAIM,
    POD,
    RESOURCE_QUOTA,
    ROLE_BINDING,
    SERVICE_ACCOUNT,
    VALIDATING_POLICY,
    VALIDATING_POLICY_BINDING,
    Kind,
)
from .kubeconfigs import digest
from .store import Store
from .together import Together
from .transport import Transport

MemberObservation = MemberView
"""The core's own type: nothing would be gained by a twin of it here."""

CONTROL_PLANE_TAINT: Final = "node-role.kubernetes.io/control-plane"
MANAGED_SELECTOR: Final = "app.kubernetes.io/managed-by=atoll"
OBSERVE_SECONDS: Final = 8.0
LEFT_LIMIT: Final = 20
"""How many namespaces that tenants move out of are looked into at a time: the rest wait for their turn."""
MANAGED_KINDS: Final[tuple[Kind, ...]] = (
    SERVICE_ACCOUNT,
    ROLE_BINDING,
    RESOURCE_QUOTA,
    LIMIT_RANGE,
    NETWORK_POLICY,
    CLUSTER_ROLE,
    CLUSTER_ROLE_BINDING,
    CONFIG_MAP,
    VALIDATING_POLICY,
    VALIDATING_POLICY_BINDING,
)
"""Kinds that we put into children, beside Namespace."""
GRANTS: Final = frozenset({ROLE_BINDING, CLUSTER_ROLE_BINDING})
"""Of these everybody's are looked at: what somebody else grants can break the border between tenants."""
NOT_BUILT_IN: Final = "kubernetes.io/bootstrapping!=rbac-defaults"
"""Sixty bindings of Kubernetes itself are the same everywhere."""
PEOPLE: Final = frozenset({"User", "Group"})
_GRANT_KINDS: Final = frozenset(kind.kind for kind in GRANTS)
_NO_RIGHTS: Final = frozenset({CONFIG_MAP.kind, LIMIT_RANGE.kind})
_OFTEN_MISSING: Final = frozenset({VALIDATING_POLICY, VALIDATING_POLICY_BINDING})
"""Served from Kubernetes 1.30 on; where they are not served there are none."""


class MemberClient:
    """One child cluster. `store` writes to it. Close it."""

    def __init__(
        self,
        kubeconfig: str,
        *,
        people: bool = False,
        contexts: TlsContexts | None = None,
        transport: Callable[[Connection], Transport | None] = lambda _: None,
        concurrency: int = 6,
        seconds: float = OBSERVE_SECONDS,
    ) -> None:
        """Read the kubeconfig (secret, self-contained); raises BadInput naming the field that cannot be used.

        `people`: somebody at a terminal asks, and the clouds' own programs may log in as them. `seconds` is the
        time-out of each request.
        """
        self.digest = digest(kubeconfig)
        """Of the kubeconfig that it was opened with."""
        self.connection = Connection.from_kubeconfig(kubeconfig, people=people, contexts=contexts)
        # One slow child holds its own slots and nobody else's.
        self.store = Store(
            self.connection, transport=transport(self.connection), concurrency=concurrency, seconds=seconds
        )
        self._user: tuple[str, tuple[str, ...]] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to the child."""
        await self.store.close()

    async def identity(self) -> str:
        """Return the UID of namespace kube-system, which names the cluster for life."""
        found = await self.store.get(NAMESPACE, None, "kube-system")
        uid = ((found or {}).get("metadata") or {}).get("uid")
        if not uid:
            raise Unreachable(f"{self.connection.server} has no namespace kube-system yet")
        return str(uid)

    async def require_identity(self, wanted_uid: str) -> None:
        """Raise IdentityMismatch when this is another cluster than the pinned one."""
        uid = await self.identity()
        if uid != wanted_uid:
            raise IdentityMismatch(
                f"{self.connection.server} is cluster {uid} and not the pinned {wanted_uid}; nothing was written: "
                "correct the kubeconfig, or annotate the ChildCluster with atoll.dev/take-over"
            )

    async def version(self) -> Version:
        """Return the version that the API server reports."""
        status, text = await self.store.raw_get("/version")
        if status in {401, 403}:
            raise Refused(f"{self.connection.server} answered {status} to GET /version: renew the credentials")
        try:
            return Version.parse(str(json.loads(text)["gitVersion"])) if status == 200 else _unreadable(status)
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Unreachable(f"{self.connection.server} answered {status} to GET /version, with no version") from None

    async def ready(self) -> bool:
        """Return whether the API server calls itself ready."""
        status, _ = await self.store.raw_get("/readyz")
        return status == 200

    async def observe(self, labels: str = MANAGED_SELECTOR, *, seconds: float = OBSERVE_SECONDS) -> MemberObservation:
        """See everything of ours, all namespaces and the nodes, within one deadline; raises Unreachable, Refused."""
        try:
            async with asyncio.timeout(seconds):
                return await self._observe(labels)
        except TimeoutError:
            raise Unreachable(f"{self.connection.server} was not seen whole within {seconds:g} s") from None

    async def user(self) -> tuple[str, tuple[str, ...]]:
        """Return our user name and groups there, asked once; nothing where the server does not tell (before 1.28)."""
        if self._user is None:
            try:
                self._user = await self.store.who_am_i()
            except (Refused, Conflict):
                return "", ()
        return self._user

    async def token(
        self, namespace: str, service_account: str, seconds: int = 3600, audiences: Sequence[str] = ()
    ) -> tuple[str, str]:
        """Return a short-lived token of a ServiceAccount (secret) and its expiration time."""
        return await self.store.create_token(namespace, service_account, seconds=seconds, audiences=audiences)

    async def _describe_content(self, namespace: str) -> str:
        """Say what of a tenant still stands in a namespace: pods that have not ended, and volume claims."""
        pods = await self.store.list(POD, namespace)
        ended = {"Succeeded", "Failed"}
        counts = {
            "pod": sum((pod.get("status") or {}).get("phase") not in ended for pod in pods),
            "volume claim": len(await self.store.list(PERSISTENT_VOLUME_CLAIM, namespace)),
        }
        return " and ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items() if count)

    async def _observe(self, labels: str) -> MemberObservation:
        # The cheap question comes first: a server that is down is then asked once and not fifteen times.
        version = await self.version()
        selectors = {kind: labels if kind not in GRANTS else NOT_BUILT_IN for kind in MANAGED_KINDS}
        async with Together() as together:
            uid = together.start(self.identity())
            ready = together.start(self.ready())
            user = together.start(self.user())
            namespaces = together.start(self.store.list(NAMESPACE))
            nodes = together.start(self.store.list(NODE))
            lists = [
                together.start(self.store.list(kind, labels=selector, missing_ok=kind in _OFTEN_MISSING))
                for kind, selector in selectors.items()
            ]
        seen = [*namespaces.result(), *(body for found in lists for body in found.result())]
        left = [key_of(body)[2] for body in namespaces.result() if _is_selected(body, labels) and is_left(body)]
        occupancy = {name: await self._describe_content(name) for name in left[:LEFT_LIMIT]}
        try:
            bodies = [body for body in seen if _is_selected(body, labels)]
            foreign = [body for body in seen if body["kind"] in _GRANT_KINDS and not _is_selected(body, labels)]
            takers = [node for node in nodes.result() if takes_tenants(node)]
            return MemberObservation(
                version=version,
                cluster_uid=uid.result(),
                ready=ready.result(),
                objects=MappingProxyType({key_of(body): body for body in bodies}),
                namespaces=MappingProxyType({key_of(body)[2]: _labels(body) for body in namespaces.result()}),
                allocatable=sum_allocatable(takers),
                nodes_for_tenants=len(takers),
                nodes_total=len(nodes.result()),
                nodes_ready=sum(is_node_ready(node) for node in nodes.result()),
                username=user.result()[0],
                groups=user.result()[1],
                occupancy=MappingProxyType(occupancy),
                rights=digest_rights([*bodies, *foreign]),
                bound_elsewhere=list_bound_accounts(foreign),
                bound_people=list_bound_people(foreign),
            )
        except (AttributeError, TypeError, ValueError) as error:
            # No API server stores such objects: something else answers.
            raise Unreachable(f"{self.connection.server} answered with objects of odd shape") from error


def is_left(namespace: Body) -> bool:
    """Say whether a tenant is moving out of a namespace."""
    return _labels(namespace).get(PLACEMENT_LABEL) in BEING_LEFT


def key_of(body: Mapping[str, Any]) -> ObjectKey:
    """Return kind, namespace ("" when cluster-scoped) and name."""
    metadata = body["metadata"]
    return str(body["kind"]), str(metadata.get("namespace") or ""), str(metadata.get("name") or "")


def is_node_ready(node: Mapping[str, Any]) -> bool:
    """Say whether a Node reports Ready and takes new pods."""
    conditions = (node.get("status") or {}).get("conditions") or ()
    ready = any(item.get("type") == "Ready" and item.get("status") == "True" for item in conditions)
    return ready and not (node.get("spec") or {}).get("unschedulable")


def takes_tenants(node: Body) -> bool:
    """Say whether tenants' pods may run on a node; a cordon is passing, the taint of a control plane is not."""
    taints = (node.get("spec") or {}).get("taints") or ()
    own = [taint for taint in taints if taint.get("key") == CONTROL_PLANE_TAINT]
    return all(taint.get("effect") == "PreferNoSchedule" for taint in own)


def sum_allocatable(nodes: Sequence[Body]) -> Mapping[str, str] | None:
    """Add up what the nodes offer, in canonical amounts; None when there are no nodes. Unreadable counts as 0."""
    if not nodes:
        return None
    totals: dict[str, Any] = {}
    for node in nodes:
        for name, text in ((node.get("status") or {}).get("allocatable") or {}).items():
            try:
                totals[name] = totals.get(name, 0) + parse_quantity(text)
            except ValueError:
                continue
    return MappingProxyType({name: format_quantity(amount) for name, amount in sorted(totals.items())})


def digest_rights(bodies: Sequence[Body]) -> str:
    """Name the state of what grants and bounds rights: another name, other rights."""
    stamps = sorted(f"{key_of(body)} {_stamp(body)}" for body in bodies if body["kind"] not in _NO_RIGHTS)
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


def _stamp(body: Body) -> str:
    metadata = body["metadata"]
    if body["kind"] == RESOURCE_QUOTA.kind:
        # Its status changes with each pod.
        return str(metadata.get("uid"))
    return f"{metadata.get('uid')} {metadata.get('generation') or metadata.get('resourceVersion')}"


def list_bound_accounts(bindings: Sequence[Body]) -> tuple[str, ...]:
    """List the accounts in our namespace that these bindings name, in order."""
    found = [_account_of(subject) for binding in bindings for subject in binding.get("subjects") or ()]
    return tuple(sorted({name for name in found if name}))


def list_bound_people(bindings: Sequence[Body]) -> tuple[tuple[str, str], ...]:
    """List the users and groups that these bindings name, in order; Kubernetes' own are left out."""
    subjects = [subject for binding in bindings for subject in binding.get("subjects") or ()]
    found = {(str(item.get("kind")), str(item.get("name", ""))) for item in subjects}
    return tuple(sorted((kind, name) for kind, name in found if kind in PEOPLE and not name.startswith("system:")))


def _account_of(subject: Mapping[str, Any]) -> str:
    name = str(subject.get("name", ""))
    if subject.get("kind") == SERVICE_ACCOUNT.kind:
        return name if subject.get("namespace") == SYSTEM_NAMESPACE else ""
    before, found, account = name.partition(f"system:serviceaccount:{SYSTEM_NAMESPACE}:")
    return account if subject.get("kind") == "User" and found and not before else ""


def _labels(body: Mapping[str, Any]) -> Mapping[str, str]:
    labels = body["metadata"].get("labels")
    return MappingProxyType(labels if isinstance(labels, dict) else {})


def _is_selected(body: Mapping[str, Any], selector: str) -> bool:
    """Match equality terms, as `observe` uses them."""
    labels = _labels(body)
    return all(labels.get(key) == value for key, _, value in (term.partition("=") for term in selector.split(",")))


def _unreadable(status: int) -> Version:
    raise ValueError(f"status {status}")
