"""Before anything is destroyed, the definitions are asked whether anybody named it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.fleet.spec import DeletionPolicy
from atoll.kube.kinds import Kind
from atoll.shell.cache import Cache
from atoll.shell.context import Context, Settings
from atoll.shell.gather import Gatherer

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
GOING = {"metadata": {"deletionTimestamp": "2026-11-21T12:00:00Z"}}
THERE: dict[str, Any] = {"metadata": {}}


class Definitions:
    """A management plane that has nothing but definitions, and remembers who was asked for."""

    def __init__(self, going: dict[str, Any]) -> None:
        self.going = going
        self.asked: list[str] = []

    async def get(self, kind: Kind, namespace: str | None, name: str) -> dict[str, Any] | None:
        assert (kind.kind, namespace) == ("CustomResourceDefinition", None)
        self.asked.append(name)
        return self.going.get(name, THERE)


def body(kind: str, name: str, spec: dict[str, Any], *, deleting: bool) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "fleet", "uid": f"u-{name}", "resourceVersion": "1", "generation": 1}
    if deleting:
        metadata |= {"deletionTimestamp": "2026-11-21T12:00:00Z", "finalizers": ["atoll.dev/finalizer"]}
    return {"apiVersion": "atoll.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec}


SET = {"version": "v1.36.4", "provider": {"local": {}}, "clusters": [{"name": "a"}]}
TENANT = {
    "deletionPolicy": "Delete",
    "environments": [{"name": "dev", "resources": {"cpu": "1", "memory": "1Gi", "pods": "10"}}],
}


async def gather(going: dict[str, Any], *bodies: dict[str, Any]) -> tuple[Any, list[str]]:
    cache = Cache()
    for entry in bodies:
        cache.put(entry, NOW)
    store: Any = Definitions(going)
    recorder: Any = None
    connect: Any = None
    context = Context(settings=Settings(), store=store, providers={}, connect=connect, recorder=recorder, hub_uid="hub")
    return await Gatherer(context, cache, "fleet").build({}, {}, {}), store.asked


async def test_where_nothing_is_deleted_nobody_is_asked():
    bodies = (body("ClusterSet", "eu", SET, deleting=False), body("Tenant", "shop", TENANT, deleting=False))
    fleet, asked = await gather({}, *bodies)

    assert (fleet.terminating_kinds, asked) == ((), [])


@pytest.mark.parametrize("answer", [GOING, None], ids=["going", "gone"])
async def test_a_set_that_is_deleted_has_its_definition_asked_and_that_of_its_children(answer):
    fleet, asked = await gather({"clustersets.atoll.dev": answer}, body("ClusterSet", "eu", SET, deleting=True))

    assert fleet.terminating_kinds == ("ClusterSet",)
    assert asked == ["childclusters.atoll.dev", "clustersets.atoll.dev"]


@pytest.mark.parametrize(
    ("answer", "policy"),
    [(THERE, DeletionPolicy.DELETE), (GOING, DeletionPolicy.ORPHAN), (None, DeletionPolicy.ORPHAN)],
)
async def test_a_tenant_that_goes_with_its_definition_keeps_its_namespaces(answer, policy):
    fleet, asked = await gather({"tenants.atoll.dev": answer}, body("Tenant", "shop", TENANT, deleting=True))

    assert [tenant.deletion_policy for tenant in fleet.tenants] == [policy]
    assert asked == ["tenants.atoll.dev"]


async def test_a_tenant_keeps_its_namespaces_when_clusters_go_with_their_definition():
    bodies = (body("ClusterSet", "eu", SET, deleting=True), body("Tenant", "shop", TENANT, deleting=False))
    fleet, _ = await gather({"clustersets.atoll.dev": GOING}, *bodies)

    assert [tenant.deletion_policy for tenant in fleet.tenants] == [DeletionPolicy.ORPHAN]
