"""Tenants on a real plane, written down by hand: the self-test is not measured against our own builders."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from atoll.decision.borders import plan_borders
from atoll.fleet.borders import BorderCell, BorderPlan
from atoll.kube.borders import try_borders
from atoll.kube.kinds import kind_of
from atoll.kube.member import MemberClient

Json = dict[str, Any]
RBAC = "rbac.authorization.k8s.io"
SYSTEM = "atoll-system"
TENANTS = ("pay", "shop", "web")


def labels(tenant: str = "") -> Json:
    """The labels of what Atoll makes for a tenant."""
    return {"app.kubernetes.io/managed-by": "atoll"} | ({"atoll.dev/tenant": tenant} if tenant else {})


def namespace(name: str, tenant: str = "") -> Json:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels(tenant)}}


def account(name: str, tenant: str) -> Json:
    metadata = {"name": name, "namespace": SYSTEM, "labels": labels(tenant)}
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}


def role(name: str, *rules: tuple[str, str, str]) -> Json:
    """A ClusterRole of (group, resource, verbs)."""
    return {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": name},
        "rules": [{"apiGroups": [group], "resources": [what], "verbs": verbs.split()} for group, what, verbs in rules],
    }


def binding(name: str, where: str, who: str, to: str, *, tenant: str = "") -> Json:
    """A binding of an account in atoll-system; without a namespace for the whole cluster."""
    body: Json = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "RoleBinding" if where else "ClusterRoleBinding",
        "metadata": {"name": name} | ({"namespace": where} if where else {}),
        "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": to},
        "subjects": [{"kind": "ServiceAccount", "name": who, "namespace": SYSTEM}],
    }
    if tenant:
        body["metadata"]["labels"] = labels(tenant)
    return body


def tenants() -> list[Json]:
    """Three tenants with a namespace and a quota each, `pay` with two."""
    works = ("", "configmaps", "get list watch create delete"), ("", "secrets", "get list"), ("", "pods", "get list")
    bodies = [namespace(SYSTEM), role("tenant-admin", *works)]
    for tenant in TENANTS:
        bodies += [account(f"{tenant}--{part}", tenant) for part in ("admin", "viewer")]
        for place in (f"{tenant}--dev", *([f"{tenant}--prod"] if tenant == "pay" else [])):
            hard = {"pods": "5", "count/configmaps": "10"}
            metadata = {"name": "atoll", "namespace": place, "labels": labels(tenant)}
            bodies += [
                namespace(place, tenant),
                {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard}},
                with_people(
                    binding("atoll:admin", place, f"{tenant}--admin", "tenant-admin", tenant=tenant),
                    ("Group", f"{tenant}-devs"),
                    ("User", f"{tenant}-ann"),
                    ("Group", "everybodys-sre"),
                ),
            ]
    return bodies


def with_people(binding_body: Json, *people: tuple[str, str]) -> Json:
    """Let people in, too."""
    subjects = [{"kind": kind, "apiGroup": RBAC, "name": name} for kind, name in people]
    return {**binding_body, "subjects": [*binding_body["subjects"], *subjects]}


def binding_of_people(name: str, where: str, to: str, *people: tuple[str, str]) -> Json:
    """A binding of people alone."""
    return with_people({**binding(name, where, "", to), "subjects": []}, *people)


async def plan(member: MemberClient) -> BorderPlan:
    """Plan as the operator would, from what is seen now."""
    found = plan_borders(await member.observe(), now=datetime.now(UTC))
    assert found is not None
    return found


async def try_all(member: MemberClient) -> tuple[BorderCell, ...]:
    """Look, plan and try."""
    return await try_borders(member, await plan(member))


async def remove(member: MemberClient, *bodies: Json) -> None:
    """Delete objects."""
    for body in bodies:
        kind, where, name = kind_of(body), body["metadata"].get("namespace"), body["metadata"]["name"]
        there = await member.store.get(kind, where, name)
        if there is not None:
            await member.store.delete(kind, where, name, uid=there["metadata"]["uid"])


def red(cells: tuple[BorderCell, ...]) -> list[tuple[str, str, str]]:
    """The red cells: who, whose, what."""
    return [(cell.subject, cell.target, cell.attempt) for cell in cells if cell.result == "Failed"]


def unknown(cells: tuple[BorderCell, ...]) -> set[str]:
    """The attempts of which nobody can tell."""
    return {cell.attempt for cell in cells if cell.result == "Unknown"}
