"""Raising a tenant's isolation moves it to a cluster of its own, lowering it moves it back, and its rights stay."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.tenancy.escapes_client import Caller, read_login
from tests.e2e.tenancy.matrix_ask import ask, list_cells
from tests.e2e.tenancy.matrix_expected import list_subjects
from tests.support.home import TestHome
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

ROOM, MOVER, STAYER = "lab", "mover", "stayer"
HOME = f"{MOVER}--{ROOM}"


@pytest.fixture(scope="module")
def shared(home: TestHome) -> TestHome:
    """Two tenants on one of two clusters; the other is empty."""
    home.apply(fleet_namespace())
    home.apply(cluster_set("eu", member("a", ROOM)), environment(ROOM), tenant(STAYER, ROOM), tenant(MOVER, ROOM))
    for name in (STAYER, MOVER):
        home.wait_ready("tenant", name, seconds=120)
    home.apply(cluster_set("eu", member("a", ROOM), member("b", ROOM)))
    home.wait_ready("clusterset", "eu", seconds=120)
    return home


def places(home: TestHome, name: str) -> dict[str, str]:
    """Return a tenant's clusters, and the state of its placement on each."""
    status: Mapping[str, Any] = home.get("tenant", name).get("status", {})
    return {place["cluster"]: place["state"] for place in status.get("placements", ())}


def demand(home: TestHome, isolation: str) -> None:
    """Ask for a tier of isolation."""
    manifest = tenant(MOVER, ROOM)
    manifest["spec"]["environments"][0]["isolation"] = isolation
    home.apply(manifest)


def wait_alone(home: TestHome, wanted: bool) -> str:
    """Wait until the tenant has one place, with its neighbour or without; return its cluster."""

    def look() -> tuple[dict[str, str], dict[str, str]]:
        return places(home, MOVER), places(home, STAYER)

    def good(seen: tuple[dict[str, str], dict[str, str]]) -> bool:
        mine, others = seen
        return list(mine.values()) == ["Placed"] and (mine.keys().isdisjoint(others) is wanted)

    mine, _ = home.wait(look, good, f"{MOVER} to be {'alone' if wanted else 'in company'}", seconds=90)
    (cluster,) = mine
    return str(cluster)


def rights(home: TestHome, cluster: str) -> Mapping[tuple[str, str], bool]:
    """Return what each of the tenant's subjects may do in its namespace, and in the whole cluster."""
    admin = read_login(home.child_kubeconfig(cluster))

    async def look() -> Mapping[tuple[str, str], bool]:
        async with Caller() as caller:
            cells = await list_cells(caller, admin, [HOME])
            subjects = list_subjects([tenant(MOVER, ROOM)])
            answers = await ask(caller, admin, [(subject, cell) for subject in subjects for cell in cells])
            return {(subject.user, str(cell)): allowed for (subject, cell), allowed in answers.items()}

    return asyncio.run(look())


def test_the_tier_moves_the_tenant_and_leaves_its_rights(shared: TestHome) -> None:
    shared_cluster = wait_alone(shared, wanted=False)
    before = rights(shared, shared_cluster)

    demand(shared, "Cluster")
    own_cluster = wait_alone(shared, wanted=True)
    raised = rights(shared, own_cluster)
    left = rights(shared, shared_cluster)

    assert own_cluster != shared_cluster
    assert raised == before
    assert not any(allowed for (_, cell), allowed in left.items() if HOME in cell), "the old place is closed"

    demand(shared, "Namespace")
    back = wait_alone(shared, wanted=False)
    assert back == shared_cluster
    assert rights(shared, back) == before
