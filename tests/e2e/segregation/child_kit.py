"""A real child: its plane, what Atoll wants in it, and requests in the name of anybody."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from atoll.fleet.decisions import Placement
from atoll.fleet.observed import ChildCluster, MemberView
from atoll.fleet.plan import ApplyMemberObject, ChildStep, DeleteMemberObject
from atoll.fleet.snapshot import Fleet
from atoll.fleet.spec import Meta, Tenant, TenantEnvironment, TenantMember, TenantNamespace
from atoll.fleet.values import Resources, Version, freeze, thaw
from atoll.kube import compare
from atoll.kube.kinds import KINDS
from atoll.kube.member import MemberClient
from atoll.planes import pki
from atoll.planes.layout import Layout
from atoll.planes.planes import Planes
from atoll.planes.values import PlaneSpec
from atoll.ports import Operation, OperationType
from atoll.segregation import find_operators, plan_member_objects, wanted_objects

MANAGER = "atoll"
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def build_tenant(name: str, environment: str, network: Mapping[str, Any]) -> Tenant:
    amounts = Resources.parse({"cpu": "4", "memory": "8Gi", "pods": "40", "storage": "10Gi"})
    return Tenant(
        meta=Meta(name=name, namespace="fleet", uid=f"uid-{name}"),
        members=(TenantMember(kind="Group", name=f"{name}-devs", role="developer"),),
        environments=(TenantEnvironment(name=environment, namespaces=(TenantNamespace(resources=amounts),)),),
        network=freeze(network),
    )


TENANTS = (
    build_tenant(
        "pay",
        "prod",
        {
            "allowFrom": [{"tenant": "web", "environment": "prod"}],
            "allowTo": [{"cidr": "10.0.0.0/8", "ports": [{"port": 5432, "protocol": "TCP"}]}, {"cidr": "0.0.0.0/0"}],
        },
    ),
    build_tenant("web", "prod", {"allowTo": [{"tenant": "pay", "environment": "prod", "ports": [{"port": 8443}]}]}),
    build_tenant("ops", "dev", {}),
)
LABELS = {
    ("pay", "prod"): {"stage": "prod", "governance.atoll.dev/compliance": "pci", "regime.atoll.dev/pci": "true"},
    ("web", "prod"): {"stage": "prod"},
    ("ops", "dev"): {},
}
PLACEMENTS = tuple(
    Placement(
        tenant=tenant, environment=environment, namespace=f"{tenant}--{environment}", cluster="eu--a", state="Placed"
    )
    for tenant, environment in LABELS
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the API server said."""

    status: int
    message: str
    body: Any

    @property
    def ok(self) -> bool:
        return self.status < 300


class Child:
    """One plane, seen as a child of the fleet."""

    def __init__(self, planes: Planes, version: str) -> None:
        self.id = "child"
        self.version = version
        self.fleet = Fleet(name="fleet", tenants=TENANTS, hub_uid="hub-1")
        self._planes = planes
        self._contexts: dict[tuple[str, str], ssl.SSLContext] = {}

    async def create(self) -> None:
        spec = PlaneSpec(
            id=self.id,
            name="eu--a",
            version=self.version,
            pod_cidr="10.128.0.0/16",
            service_cidr="10.129.0.0/20",
        )
        operation = Operation(id="create-1", type=OperationType.CREATE, to_version=self.version)
        await self._planes.run_operation(self.id, spec, operation)

    @property
    def cluster(self) -> ChildCluster:
        """The ChildCluster as the management cluster would hold it."""
        return ChildCluster(
            meta=Meta(name="eu--a", namespace="fleet"),
            id="c-1234",
            set_name="eu",
            member_name="a",
            provider="local",
            version=Version.parse(self.version),
            revision="r1",
            pod_cidr="10.128.0.0/16",
            service_cidr="10.129.0.0/20",
            status={"endpoint": self.endpoint},
        )

    @property
    def endpoint(self) -> str:
        state = self._planes.read(self.id)
        assert state is not None
        return state.endpoint

    def member(self) -> MemberClient:
        return MemberClient(self._planes.kubeconfig(self.id))

    def want(self, view: MemberView, placements: tuple[Placement, ...] = PLACEMENTS) -> tuple[Mapping[str, Any], ...]:
        return wanted_objects(
            self.fleet,
            self.cluster,
            placements,
            "hub-1",
            labels_for=LABELS,
            operators=find_operators(view.username, view.groups),
            served=view.version,
        )

    async def plan(self, placements: tuple[Placement, ...] = PLACEMENTS) -> tuple[ChildStep, ...]:
        """Look, and say what would be done."""
        async with self.member() as member:
            view = await member.observe()
        return plan_member_objects("eu--a", self.want(view, placements), view, covers=covers)

    async def settle(self, placements: tuple[Placement, ...] = PLACEMENTS) -> tuple[ChildStep, ...]:
        """Look, and do what is to be done; return the steps."""
        async with self.member() as member:
            view = await member.observe()
            steps = plan_member_objects("eu--a", self.want(view, placements), view, covers=covers)
            for step in steps:
                if isinstance(step, ApplyMemberObject):
                    body = thaw(step.body)
                    await (member.store.create(body) if step.must_be_new else member.store.apply(body, MANAGER))
                elif isinstance(step, DeleteMemberObject):
                    kind = next(kind for kind in KINDS.values() if kind.kind == step.kind)
                    await member.store.delete(kind, step.namespace or None, step.name, uid=step.uid)
        return steps

    async def token(self, tenant: str, role: str) -> str:
        async with self.member() as member:
            return (await member.token("atoll-system", f"{tenant}--{role}"))[0]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        user: str = "atoll",
        group: str = pki.OPERATORS_GROUP,
        token: str = "",
        dry_run: bool = True,
    ) -> Answer:
        """Make one request: as Atoll, as somebody with a certificate of the child's authority, or with a token."""
        state = self._planes.read(self.id)
        assert state is not None
        content_type = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {"Content-Type": content_type, **({"Authorization": f"Bearer {token}"} if token else {})}
        context = self._context("" if token else user, group)
        connection = http.client.HTTPSConnection("127.0.0.1", state.ports.api, context=context, timeout=30)
        try:
            query = "?dryRun=All&fieldManager=somebody" if dry_run and method != "GET" else ""
            connection.request(method, f"{path}{query}", None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            found = json.loads(answer.read() or b"{}")
            return Answer(answer.status, str(found.get("message", "")), found)
        finally:
            connection.close()

    def wait_until_policies_hold(self) -> None:
        """An API server takes a moment to compile policies; it must be the last one that was applied."""
        deadline = time.monotonic() + 30
        names = sorted({body["metadata"]["name"] for body in self._policies()})
        assert names
        while time.monotonic() < deadline:
            if not self.create_as_owner("/api/v1/namespaces/pay--prod/services", NODE_PORT).ok and not (
                self.create_as_owner("/api/v1/namespaces/pay--prod/secrets", LASTING_TOKEN).ok
                or self.create_as_owner("/api/v1/namespaces/default/configmaps", CLAIMS_TO_BE_OURS).ok
            ):
                return
            time.sleep(0.1)
        raise AssertionError("the policies did not begin to hold within 30 s")

    def create_as_owner(self, path: str, body: Any) -> Answer:
        """Try as the administrator of the child's own people."""
        return self.call("POST", path, body, user="owner", group="system:masters")

    def _policies(self) -> list[Any]:
        answer = self.call("GET", "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")
        assert answer.ok, answer.message
        return list(answer.body["items"])

    def _context(self, user: str, group: str) -> ssl.SSLContext:
        if (user, group) not in self._contexts:
            layout = Layout(self._planes.home / "planes" / self.id)
            context = ssl.create_default_context(cafile=str(layout.authority(pki.CLUSTER_AUTHORITY)))
            if user:
                leaf = pki.Leaf(
                    name="", authority=pki.CLUSTER_AUTHORITY, common_name=user, organization=group, client=True
                )
                authority = pki.read_pair(layout, pki.CLUSTER_AUTHORITY)
                identity = self._planes.home / f"{len(self._contexts)}.pem"
                identity.touch(mode=0o600)
                identity.write_bytes(pki.issue_leaf(leaf, authority, datetime.now(UTC), timedelta(hours=1)).pem)
                context.load_cert_chain(identity)
            self._contexts[user, group] = context
        return self._contexts[user, group]


def covers(wanted: Mapping[str, Any], observed: Mapping[str, Any]) -> bool:
    """Compare as the operator does."""
    return compare.covers(thaw(wanted), observed, manager=MANAGER)


def named(kind: str, api_version: str = "v1", /, name: str = "it", **content: Any) -> dict[str, Any]:
    labels = content.pop("labels", {})
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "labels": labels}, **content}


NODE_PORT = named("Service", spec={"type": "NodePort", "ports": [{"port": 80}]})
LASTING_TOKEN = {
    **named("Secret", type="kubernetes.io/service-account-token"),
    "metadata": {"name": "it", "annotations": {"kubernetes.io/service-account.name": "default"}},
}
CLAIMS_TO_BE_OURS = named("ConfigMap", labels={"app.kubernetes.io/managed-by": "atoll"})
