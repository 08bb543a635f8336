"""Kubeconfigs for child clusters: as Atoll publishes them, or around a tenant's short-lived token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import yaml

from atoll.errors import BadInput, Refused
from atoll.fleet.names import SYSTEM_NAMESPACE
from atoll.kube.kinds import CHILD_CLUSTER, SECRET, TENANT
from atoll.kube.kubeconfigs import read_secret, secret_name
from atoll.kube.member import MemberClient
from atoll.kube.store import Store
from atoll.segregation import account_name

from .durations import parse_seconds
from .live import open_store
from .options import Target

SHORTEST: Final = 600
"""Seconds; API servers refuse tokens of a shorter life."""
LONGEST: Final = 24 * 3600


def parse_lifetime(text: str) -> int:
    """Read how long a token shall live, in seconds; raises BadInput outside of ten minutes to a day."""
    seconds = int(parse_seconds(text))
    if not SHORTEST <= seconds <= LONGEST:
        raise BadInput(f"--duration {text}: write a time between 10m and 24h, like 1h or 90m")
    return seconds


def list_namespaces(tenant: Mapping[str, Any], child: str) -> list[str]:
    """List a tenant's namespaces on a child, in the order of its status."""
    places = (tenant.get("status") or {}).get("placements", ())
    return [place["namespace"] for place in places if place["cluster"] == child]


def build_tenant_kubeconfig(child_kubeconfig: str, *, child: str, user: str, token: str, namespace: str) -> str:
    """Build a kubeconfig (secret) that reaches the same server with a token alone: nothing of our own login is kept."""
    source = yaml.safe_load(child_kubeconfig)
    clusters: list[dict[str, Any]] = source.get("clusters") or []
    current = source.get("current-context")
    wanted = next((item for item in source.get("contexts") or () if item["name"] == current), None)
    name = wanted["context"]["cluster"] if wanted else clusters[0]["name"]
    cluster = next(item["cluster"] for item in clusters if item["name"] == name)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": child, "cluster": cluster}],
        "users": [{"name": user, "user": {"token": token}}],
        "contexts": [{"name": child, "context": {"cluster": child, "user": user, "namespace": namespace}}],
        "current-context": child,
    }
    return yaml.safe_dump(config, sort_keys=False)


async def read_child_kubeconfig(target: Target, child: str) -> str:
    """Read the kubeconfig (secret) that Atoll published for a child."""
    async with open_store(target) as store:
        return await _read_published(store, target.namespace, child)


async def read_tenant_kubeconfig(target: Target, child: str, tenant: str, role: str, seconds: int) -> str:
    """Ask the child for a token of a tenant's role, and return a kubeconfig (secret) around it."""
    async with open_store(target) as store:
        published = await _read_published(store, target.namespace, child)
        found = await store.get(TENANT, target.namespace, tenant)
        owner = await store.get(CHILD_CLUSTER, target.namespace, child)
    pinned = ((owner or {}).get("spec") or {}).get("clusterUID", "")
    if not pinned:
        raise BadInput(f"the identity of {child} is not pinned yet; `atoll why child/{child}` tells how far it is")
    if found is None:
        raise BadInput(f"there is no Tenant {tenant} in fleet {target.namespace}")
    namespaces = list_namespaces(found, child)
    if not namespaces:
        raise BadInput(f"Tenant {tenant} has nothing on {child}; see `atoll why tenant/{tenant}` for where it is")
    account = account_name(tenant, role)
    member = MemberClient(published, people=True)
    try:
        await member.require_identity(pinned)
        token, _ = await member.store.create_token(SYSTEM_NAMESPACE, account, seconds=seconds)
    except Refused as error:
        raise Refused(
            f"{child} gives no token to {account}: {error}. Has the tenant a member of role {role}?"
        ) from error
    finally:
        await member.close()
    return build_tenant_kubeconfig(published, child=child, user=account, token=token, namespace=namespaces[0])


async def _read_published(store: Store, fleet: str, child: str) -> str:
    secret = await store.get(SECRET, fleet, secret_name(child))
    if secret is not None:
        return read_secret(secret)
    if await store.get(CHILD_CLUSTER, fleet, child) is None:
        there = ", ".join(body["metadata"]["name"] for body in await store.list(CHILD_CLUSTER, fleet)) or "none"
        raise BadInput(f"there is no ChildCluster {child} in fleet {fleet}; there is: {there}")
    raise BadInput(f"ChildCluster {child} has no kubeconfig yet; `atoll why child/{child}` tells how far it is")
