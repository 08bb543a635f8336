"""The borders between tenants on a real API server: green as they are built, red exactly where somebody opens one."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from atoll.fleet.borders import sum_up
from atoll.kube.borders import AGENT, try_borders
from atoll.kube.credentials import Login, StaticCredentials, build_context
from atoll.kube.kinds import CONFIG_MAP, LEASE, RESOURCE_QUOTA, ROLE_BINDING
from atoll.kube.member import MemberClient
from atoll.planes.planes import Planes
from atoll.planes.values import Role
from tests.support.audit import AuditLog

from .border_kit import binding, binding_of_people, plan, red, remove, role, try_all, unknown
from .conftest import PLANE

pytestmark = pytest.mark.e2e
Json = dict[str, Any]


async def test_all_borders_of_three_tenants_hold_and_the_network_is_unknown(member: MemberClient) -> None:
    began = time.monotonic()
    cells = await try_all(member)
    took = time.monotonic() - began

    assert red(cells) == []
    assert unknown(cells) == {"network"}
    assert len(cells) == 6 * 6 + 3 * 3
    assert sum(cell.result == "Passed" for cell in cells) == 6 * 5 + 3 * 3
    network = [cell for cell in cells if cell.attempt == "network"]
    assert len(network) == 6
    assert all("no nodes" in cell.message for cell in network)
    print(f"\n{len(cells)} cells in {took:.2f} s")
    assert took < 15


OPENED = [
    pytest.param(
        [binding("foreign", "shop--dev", "web--admin", "view")],
        [("web", "shop", "reads")],
        id="a foreign binding in one namespace opens its reads",
    ),
    pytest.param(
        [binding_of_people("foreign", "shop--dev", "view", ("Group", "web-devs"))],
        [("web", "shop", "reads")],
        id="a foreign binding of a group opens what it opens for its people",
    ),
    pytest.param(
        [binding_of_people("foreign", "pay--prod", "view", ("User", "web-ann"), ("Group", "nobody-we-know"))],
        [("web", "pay", "reads")],
        id="a foreign binding of a user does, too",
    ),
    pytest.param(
        [binding_of_people("foreign", "shop--dev", "view", ("Group", "everybodys-sre"))],
        [],
        id="who is a member of both may look at both",
    ),
    pytest.param(
        [binding("foreign", "pay--prod", "web--admin", "view")],
        [("web", "pay", "reads")],
        id="the second namespace of a tenant counts as much",
    ),
    pytest.param(
        [binding("foreign", "shop--dev", "web--viewer", "view")],
        [("web", "shop", "reads")],
        id="an account that has nothing else is tried once somebody binds it",
    ),
    pytest.param(
        [
            role("secret-reader", ("", "secrets", "list")),
            binding("foreign", "shop--dev", "pay--admin", "secret-reader"),
        ],
        [("pay", "shop", "reads")],
        id="secrets alone are enough",
    ),
    pytest.param(
        [role("writer", ("", "configmaps", "create")), binding("foreign", "", "web--admin", "writer")],
        [("web", "pay", "writes"), ("web", "shop", "writes")],
        id="a binding for the whole cluster opens writes to all others",
    ),
    pytest.param(
        [role("quotas", ("", "resourcequotas", "get patch")), binding("foreign", "web--dev", "web--admin", "quotas")],
        [("web", "web", "quota")],
        id="who may patch its own quota has none",
    ),
    pytest.param(
        [role("labels", ("", "namespaces", "get patch")), binding("foreign", "shop--dev", "shop--admin", "labels")],
        [("shop", "shop", "labels")],
        id="who may label its own namespace chooses its pod security",
    ),
    pytest.param(
        [role("labels", ("", "namespaces", "get patch")), binding("foreign", "pay--dev", "shop--admin", "labels")],
        [("shop", "pay", "labels")],
        id="and labels of others are their own",
    ),
    pytest.param(
        [
            role(
                "grants",
                (f"{ROLE_BINDING.group}", "rolebindings", "create"),
                (ROLE_BINDING.group, "clusterroles", "bind"),
            ),
            binding("foreign", "web--dev", "web--admin", "grants"),
        ],
        [("web", "web", "escalation")],
        id="who may bind becomes more than it is",
    ),
    pytest.param(
        [
            role("minter", ("", "serviceaccounts/token", "create")),
            binding("foreign", "atoll-system", "web--admin", "minter"),
        ],
        [("web", "pay", "escalation"), ("web", "shop", "escalation")],
        id="who may mint tokens in atoll-system becomes anybody",
    ),
    pytest.param(
        [
            role("mask", ("", "users", "impersonate"), ("", "groups", "impersonate")),
            binding("foreign", "", "web--admin", "mask"),
        ],
        [
            ("web", "web", "escalation"),
        ],
        id="who may wear another's name becomes the master",
    ),
]


@pytest.mark.parametrize(("opened", "expected"), OPENED)
async def test_one_opened_border_turns_exactly_its_cell_red_until_it_is_closed(
    member: MemberClient, opened: list[Json], expected: list[tuple[str, str, str]]
) -> None:
    digest = (await member.observe()).rights
    for body in opened:
        await member.store.apply(body)
    try:
        seen = await member.observe()
        assert seen.rights != digest, "a change of rights is seen, whoever made it"
        cells = await _try_until(member, expected)
        assert sorted(red(cells)) == sorted(expected)
        assert unknown(cells) == {"network"}
    finally:
        await remove(member, *opened)
    assert red(await _try_until(member, [])) == []


async def _try_until(member: MemberClient, expected: list[tuple[str, str, str]]) -> Any:
    """Try, once more where the API server learned of new rights a moment late."""
    for _ in range(5):
        cells = await try_all(member)
        if sorted(red(cells)) == sorted(expected):
            break
        await asyncio.sleep(0.3)
    return cells


async def test_a_write_that_only_a_full_quota_stops_is_not_green(member: MemberClient) -> None:
    opened = [role("writer", ("", "configmaps", "create")), binding("foreign", "shop--dev", "web--admin", "writer")]
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full", "namespace": "shop--dev"}}
    full = {**quota, "spec": {"hard": {"count/configmaps": "0"}}}
    for body in (*opened, full):
        await member.store.apply(body)
    try:
        for _ in range(50):
            there = await member.store.get(RESOURCE_QUOTA, "shop--dev", "full")
            if there and (there.get("status") or {}).get("hard"):
                break
            await asyncio.sleep(0.2)
        cells = await try_all(member)
        (cell,) = [cell for cell in cells if (cell.subject, cell.target, cell.attempt) == ("web", "shop", "writes")]
        assert (cell.result, "by chance alone" in cell.message) == ("Unknown", True)
    finally:
        await remove(member, *opened, full)


async def test_the_tries_change_nothing_and_are_told_from_writes(member: MemberClient, planes: Planes) -> None:
    log = AuditLog(planes.home / "planes" / PLANE)
    before = await _count(member)
    opened = [binding("foreign", "", "web--admin", "cluster-admin")]
    for body in opened:
        await member.store.apply(body)
    try:
        log.mark()
        cells = await _try_until(member, [])
        assert {(cell.target, cell.attempt) for cell in cells if cell.result == "Failed"} >= {
            ("pay", "reads"),
            ("pay", "writes"),
            ("pay", "labels"),
            ("pay", "quota"),
            ("pay", "escalation"),
            ("web", "quota"),
        }, "even a master changes nothing by trying"
    finally:
        await remove(member, *opened)

    assert await _count(member) == before
    assert await member.store.get(RESOURCE_QUOTA, "pay--dev", "atoll") is not None
    assert {write.agent for write in log.writes(ours=False) if write.user.endswith("web--admin")} <= {AGENT}
    deletes = [write for write in log.writes() if write.verb == "delete"]
    assert [write.resource for write in deletes] == ["clusterrolebindings"], "ours: what the test itself removed"


async def _count(member: MemberClient) -> list[int]:
    return [await member.store.count(kind) for kind in (CONFIG_MAP, ROLE_BINDING, RESOURCE_QUOTA, LEASE)]


async def test_a_token_that_nobody_accepts_makes_nothing_green(member: MemberClient) -> None:
    """All requests would be answered 401, and a naive test would be happy."""
    wanted = await plan(member)
    stolen = replace(wanted, sides={name: replace(side, accounts=("nobody",)) for name, side in wanted.sides.items()})

    cells = await try_borders(member, stolen)

    assert {cell.result for cell in cells} == {"Unknown"}
    assert all("got no login" in cell.message for cell in cells if cell.attempt != "network")


async def test_a_server_that_is_down_makes_nothing_green(member: MemberClient, planes: Planes) -> None:
    """It goes away between the look and the tries, and it goes away in the middle."""
    wanted = await plan(member)
    (server,) = [process for process in planes.processes(PLANE) if process.role is Role.API_SERVER]
    os.kill(server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        cells = await try_borders(member, wanted, seconds=4)
        assert time.monotonic() - began < 8
    finally:
        os.kill(server.pid, signal.SIGCONT)

    assert {cell.result for cell in cells} == {"Unknown"}
    run = sum_up(wanted, cells, datetime.now(UTC), before=None)
    assert (run.tried, run.red, run.unknown, run.doubts) == (0, (), len(cells), len(cells) - 6)
    assert "not tried within 4 s" in run.doubt
    assert red(await try_all(member)) == [], "and it is green again once it answers"


async def test_a_server_elsewhere_makes_nothing_green(member: MemberClient) -> None:
    wanted = await plan(member)
    login = Login(tls=build_context(ca=member.connection.ca))
    kept = member.connection
    member.connection = replace(kept, server="https://127.0.0.1:1", credentials=StaticCredentials(login=login))
    try:
        cells = await try_borders(member, wanted)
    finally:
        member.connection = kept

    assert {cell.result for cell in cells} == {"Unknown"}
