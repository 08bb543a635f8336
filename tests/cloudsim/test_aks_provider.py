"""The provider of AKS against the stand-in: the SDK is the real one, and so are all plans and calls.

Throttling at half of all calls is in `tests/contract`, for all clouds alike.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from atoll.errors import Conflict
from atoll.ports import (
    ClusterRef,
    ObservedCluster,
    Operation,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.aks.cloud import AksCloud
from atoll.providers.aks.errors import translate
from atoll.providers.aks.seen import SeenCluster
from atoll.providers.managed.budget import Budget
from atoll.providers.managed.calling import Caller
from atoll.providers.managed.moves import Call, Move, Wait
from atoll.providers.managed.provider import ManagedProvider, Pace
from atoll.providers.managed.surroundings import Declared
from atoll.shell.context import SystemClock

from .aks import AksStandIn
from .aks_tokens import Signer
from .core import run_cloud
from .faults import How
from .planes import PlaneBacking

PACE = Pace(work=0.02, rest=0.05, settle=1.0, patience=20)
REF = ClusterRef(fleet="eu", name="shops--berlin", id="c-4711")
NAME = "atoll-c-4711"
POOLS = (
    {"name": "system", "vmSize": "Standard_D4s_v5", "minSize": 1, "maxSize": 3},
    {"name": "work", "vmSize": "Standard_D8s_v5", "mode": "User", "minSize": 0, "maxSize": 5},
)
CHANGES = frozenset(
    {
        "ManagedClusters_CreateOrUpdate",
        "ManagedClusters_UpdateTags",
        "ManagedClusters_Delete",
        "AgentPools_CreateOrUpdate",
        "AgentPools_Delete",
    }
)


@dataclass
class Land:
    """What the management plane would tell the provider, and the cloud."""

    cloud: AksStandIn
    settings: dict[str, Any]
    labels: dict[str, str] = field(default_factory=lambda: {"cost-centre": "42", "regime.atoll.dev/gdpr": "true"})
    secret: str = "a-secret~of.the-operator"

    async def declared(self, ref: ClusterRef) -> Declared:
        login = {
            "tenant_id": self.cloud.tenant,
            "client_id": self.cloud.application.client_id,
            "client_secret": self.secret,
            "endpoint_ca": self.cloud.ca_pem,
        }
        credentials = {key: value for key, value in login.items() if value}
        return Declared(settings=self.settings, labels=self.labels, credentials=credentials, endpoint=self.cloud.url)

    def wanted(self, version: str = "v1.35") -> WantedCluster:
        return WantedCluster(
            ref=REF,
            version=version,
            pod_cidr="10.128.0.0/16",
            service_cidr="10.250.0.0/20",
            settings=self.settings,
            labels=self.labels,
        )

    @asynccontextmanager
    async def provider(self, pace: Pace = PACE) -> AsyncIterator[ManagedProvider[SeenCluster]]:
        provider = ManagedProvider(AksCloud(), self, translate, clock=SystemClock(), pace=pace)
        try:
            yield provider
        finally:
            await provider.close()


@pytest.fixture
def land() -> Iterator[Land]:
    with run_cloud(AksStandIn()) as cloud:
        cloud.faults.seconds = 0.1
        cloud.faults.retry_after_seconds = 0.05
        settings = {
            "subscriptionID": cloud.subscription,
            "resourceGroup": cloud.group,
            "location": cloud.location,
            "agentPools": POOLS,
        }
        land = Land(cloud=cloud, settings=settings)
        yield land
        assert cloud.protests == []


async def until_over(
    provider: ManagedProvider[SeenCluster], operation: Operation, seconds: float = 40
) -> ObservedCluster:
    """Wait until an operation is over."""
    end = time.monotonic() + seconds
    while True:
        seen = await provider.observe(REF)
        told = seen.operation
        gone = operation.type is OperationType.DELETE and seen.presence is Presence.ABSENT
        if gone or (told is not None and told.id == operation.id and not told.is_open):
            return seen
        assert time.monotonic() < end, f"{operation} is not over: {seen}"
        await asyncio.sleep(0.02)


async def run(provider: ManagedProvider[SeenCluster], wanted: WantedCluster, operation: Operation) -> ObservedCluster:
    await provider.start(wanted, operation)
    return await until_over(provider, operation)


def create(version: str = "v1.35", number: int = 1) -> Operation:
    return Operation(id=f"create-{number}", type=OperationType.CREATE, to_version=version)


def change(version: str = "v1.36", number: int = 1) -> Operation:
    return Operation(id=f"change-{number}", type=OperationType.CHANGE, to_version=version, from_version="v1.35")


DELETE = Operation(id="delete-1", type=OperationType.DELETE, to_version="v1.35")


def state(seen: ObservedCluster) -> tuple[OperationState, str]:
    assert seen.operation is not None
    return seen.operation.state, seen.operation.message


async def test_a_cluster_lives_its_whole_life(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        assert await provider.preflight(land.wanted(), create()) == ()
        seen = await run(provider, land.wanted(), create())
        assert state(seen) == (OperationState.SUCCEEDED, "")
        assert (seen.presence, seen.version, seen.drift, seen.needs_repair) == (Presence.PRESENT, "v1.35.8", (), "")
        assert seen.endpoint == cloud.backing.endpoint(cloud.cluster(NAME).uid)[0]  # type: ignore[index]
        tags = cloud.cluster(NAME).body["tags"]
        assert tags == {
            "cost-centre": "42",
            "regime.atoll.dev_gdpr": "true",
            "atoll-id": "c-4711",
            "atoll-operation": "create-1",
            "atoll-state": "create-succeeded-6",
        }
        assert await provider.preflight(land.wanted("v1.36"), change()) == ()
        seen = await run(provider, land.wanted("v1.36"), change())
        assert state(seen) == (OperationState.SUCCEEDED, "")
        assert seen.version == "v1.36.4"
        assert {pool.version for pool in cloud.cluster(NAME).pools.values()} == {"1.36.4"}
        await run(provider, land.wanted("v1.36"), DELETE)
        assert cloud.names() == []
        assert [call.name for call in cloud.calls if call.name in CHANGES] == [
            "ManagedClusters_CreateOrUpdate",
            "ManagedClusters_UpdateTags",
            "ManagedClusters_CreateOrUpdate",
            "AgentPools_CreateOrUpdate",
            "AgentPools_CreateOrUpdate",
            "ManagedClusters_UpdateTags",
            "ManagedClusters_Delete",
        ]


async def test_people_and_atoll_log_in_with_entra_and_no_stored_login(land: Land) -> None:
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        kubeconfig = yaml.safe_load(await provider.kubeconfig(REF))
    token = kubeconfig["users"][0]["user"]["token"]
    key = land.cloud.cluster(NAME).uid
    person = land.cloud.authenticate(key, token)
    assert person is not None
    assert person.name == land.cloud.application.object_id
    assert land.cloud.authenticate(key, f"{token[:-8]}AAAAAAAA") is None
    command = kubeconfig["users"][0]["user"]["extensions"][0]["extension"]
    assert (command["command"], command["args"][-1]) == ("kubelogin", land.cloud.tenant)
    assert land.cloud.count("ManagedClusters_ListClusterAdminCredentials") == 0


async def test_without_a_secret_the_operators_workload_identity_speaks_for_the_application(
    land: Land, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = Signer()
    land.cloud.application.federated["https://issuer", "system:serviceaccount:atoll:atoll"] = cluster.public_key
    claims = {"iss": "https://issuer", "sub": "system:serviceaccount:atoll:atoll", "exp": time.time() + 600}
    (tmp_path / "token").write_text(cluster.sign({**claims, "aud": ["api://AzureADTokenExchange"]}))
    land.secret = ""
    async with land.provider() as provider:
        assert "has no client_secret" in (await provider.observe(REF)).message
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    async with land.provider() as provider:
        assert state(await run(provider, land.wanted(), create()))[0] is OperationState.SUCCEEDED


async def test_drift_is_told_field_by_field_and_one_change_mends_it(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        with cloud.lock:
            cluster = cloud.cluster(NAME)
            cluster.properties["autoUpgradeProfile"]["upgradeChannel"] = "stable"
            cluster.properties["networkProfile"]["networkPolicy"] = "none"
            cluster.body["tags"] |= {"cost-centre": "7", "regime.atoll.dev_pci": "true", "theirs": "stays"}
            cluster.pools["work"].properties["maxCount"] = 50
            cluster.etag = "another"
        await asyncio.sleep(PACE.rest * 2)
        seen = await provider.observe(REF)
        assert seen.drift == (
            "autoUpgradeProfile.upgradeChannel of the cluster is stable and shall be none",
            "networkProfile.networkPolicy of the cluster is none and shall be cilium",
            "tag cost-centre is '7' and shall be '42'",
            "tag regime.atoll.dev_pci is there, and its regime binds no more",
            "maxCount of agent pool work is 50 and shall be 5",
        )
        seen = await run(provider, land.wanted(), change("v1.35"))
        assert (state(seen), seen.drift) == ((OperationState.SUCCEEDED, ""), ())
    tags = cloud.cluster(NAME).body["tags"]
    assert (tags["theirs"], tags["cost-centre"], "regime.atoll.dev_pci" in tags) == ("stays", "42", False)


async def test_pools_come_and_go_and_one_that_was_deleted_by_hand_is_made_again(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        land.settings["agentPools"] = (
            {"name": "fresh", "vmSize": "Standard_D4s_v5", "minSize": 2, "maxSize": 3},
            {"name": "work", "vmSize": "Standard_D8s_v5", "mode": "User", "minSize": 0, "maxSize": 5},
        )
        assert await provider.preflight(land.wanted(), change("v1.35")) == ()
        await run(provider, land.wanted(), change("v1.35"))
        assert {name: pool.properties["mode"] for name, pool in cloud.cluster(NAME).pools.items()} == {
            "fresh": "System",
            "work": "User",
        }
        with cloud.lock:
            cloud.cluster(NAME).pools.pop("work")
        await asyncio.sleep(PACE.rest * 2)
        assert (await provider.observe(REF)).drift == ("agent pool work is missing",)
        seen = await run(provider, land.wanted(), change("v1.35", 2))
        assert (state(seen)[0], seen.drift) == (OperationState.SUCCEEDED, ())


async def test_nodes_that_the_autoscaler_made_are_no_drift_and_stay(land: Land) -> None:
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        land.cloud.scale(NAME, "work", 4)
        land.labels["cost-centre"] = "43"
        await run(provider, land.wanted("v1.36"), change())
    assert land.cloud.cluster(NAME).pools["work"].properties["count"] == 4


async def test_what_somebody_else_changes_meanwhile_is_never_overwritten(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        connection = AksCloud().connect(await land.declared(REF), Caller(Budget(least=1.0), translate))
        move: Move = Wait(step="")
        while not isinstance(move, Call):
            move = AksCloud().plan(land.wanted("v1.36"), change(), connection.look(REF), datetime.now(UTC))
        with cloud.lock:
            cloud.cluster(NAME).body["tags"]["theirs"] = "new"
            cloud.cluster(NAME).etag = "moved-on"
        with pytest.raises(Conflict):
            connection.act(move)
        connection.close()
        assert state(await run(provider, land.wanted("v1.36"), change()))[0] is OperationState.SUCCEEDED
    assert cloud.cluster(NAME).body["tags"]["theirs"] == "new"


async def test_a_create_whose_answer_was_cut_is_found_again_and_made_once(land: Land) -> None:
    land.cloud.faults.fail("ManagedClusters_CreateOrUpdate", "cut")
    land.cloud.faults.hidden_seconds = 0.3
    async with land.provider() as provider:
        seen = await run(provider, land.wanted(), create())
    assert state(seen)[0] is OperationState.SUCCEEDED
    assert land.cloud.names() == [NAME]
    assert land.cloud.count("ManagedClusters_CreateOrUpdate", good=True) <= 1


# Entra knows no conflict.


@pytest.mark.parametrize(
    ("call", "how", "word"),
    [
        ("ManagedClusters_CreateOrUpdate", "denied", "Microsoft.ContainerService/managedClusters/write"),
        ("ManagedClusters_CreateOrUpdate", "quota", "vcpu quota"),
        ("ManagedClusters_CreateOrUpdate", "invalid", "InvalidParameter"),
        ("ManagedClusters_Get", "denied", "Microsoft.ContainerService/managedClusters/read"),
    ],
)
async def test_a_refusal_ends_the_operation_with_what_to_do_and_the_next_one_succeeds(
    land: Land, call: str, how: How, word: str
) -> None:
    land.cloud.faults.fail(call, how)
    async with land.provider() as provider:
        failed = await run(provider, land.wanted(), create())
        assert state(failed)[0] is OperationState.FAILED
        assert word in state(failed)[1]
        assert state(await run(provider, land.wanted(), create(number=2)))[0] is OperationState.SUCCEEDED
    assert land.cloud.names() == [NAME]


async def test_a_creation_that_fails_is_sent_again_once_then_given_up_then_made_anew(land: Land) -> None:
    cloud = land.cloud
    cloud.faults.fail("ManagedClusters_CreateOrUpdate", "broken", times=2)
    async with land.provider() as provider:
        failed = await run(provider, land.wanted(), create())
        assert state(failed)[0] is OperationState.FAILED
        assert "InternalOperationError" in state(failed)[1]
        assert failed.presence is Presence.PARTIAL
        seen = await run(provider, land.wanted(), create(number=2))
        assert state(seen)[0] is OperationState.SUCCEEDED
        assert "atoll-attempt" not in cloud.cluster(NAME).body["tags"]
        assert (cloud.count("ManagedClusters_CreateOrUpdate"), cloud.count("ManagedClusters_Delete")) == (3, 1)


async def test_an_upgrade_that_fails_once_is_sent_again_and_one_that_keeps_failing_is_given_up(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        cloud.faults.fail("ManagedClusters_CreateOrUpdate", "broken")
        cloud.faults.fail("AgentPools_CreateOrUpdate", "broken")
        seen = await run(provider, land.wanted("v1.36"), change())
        assert (state(seen)[0], seen.version) == (OperationState.SUCCEEDED, "v1.36.4")
        assert {pool.version for pool in cloud.cluster(NAME).pools.values()} == {"1.36.4"}
        land.settings["agentPools"] = ({**POOLS[0], "maxSize": 4}, POOLS[1])
        cloud.faults.fail("AgentPools_CreateOrUpdate", "broken", times=2)
        failed = await run(provider, land.wanted("v1.36"), change(number=2))
        assert state(failed)[0] is OperationState.FAILED
        assert "agent pool system" in state(failed)[1]
        await asyncio.sleep(PACE.rest * 2)
        assert "agent pool system is Failed" in (await provider.observe(REF)).needs_repair
        repair = Operation(id="repair-1", type=OperationType.REPAIR, to_version="v1.36")
        mended = await run(provider, land.wanted("v1.36"), repair)
        assert (state(mended)[0], mended.needs_repair) == (OperationState.SUCCEEDED, "")


async def test_what_others_left_in_the_node_resource_group_holds_up_deletion_and_is_named(land: Land) -> None:
    cloud = land.cloud
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        resource = cloud.leave_behind(NAME, "someones-address")
        await provider.start(land.wanted(), DELETE)
        steps: set[str] = set()
        for _ in range(200):
            seen = await provider.observe(REF)
            steps.add(f"{seen.operation.step} {seen.operation.message}" if seen.operation else "")
            if any(resource in step for step in steps):
                break
            await asyncio.sleep(0.02)
        told = next(step for step in steps if resource in step)
        assert "MC_fleet_atoll-c-4711_westeurope" in told
        assert "tried again" in told
        cloud.take_away(NAME)
        await until_over(provider, DELETE)
    assert cloud.names() == []


async def test_deleting_what_is_gone_succeeds(land: Land) -> None:
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        with land.cloud.lock:
            land.cloud.store._clusters.clear()
        assert (await run(provider, land.wanted(), DELETE)).presence is Presence.ABSENT


async def test_preflight_names_what_is_in_the_way(land: Land) -> None:
    async def find(version: str, operation: Operation, **settings: Any) -> tuple[tuple[str, str], ...]:
        async with land.provider() as provider:
            before = dict(land.settings)
            land.settings.update(settings)
            try:
                found = await provider.preflight(land.wanted(version), operation)
            finally:
                land.settings.clear()
                land.settings.update(before)
        return tuple((finding.reason, finding.field) for finding in found)

    assert await find("v1.35.7", create()) == (("VersionUnavailable", "spec.version"),)
    assert await find("v1.35", create(), resourceGroup="nowhere") == (
        ("ResourceGroupMissing", "spec.provider.aks.resourceGroup"),
    )
    assert await find("v1.35", create(), resourceGroup="", location="") == (
        ("InvalidSpec", "spec.provider.aks.resourceGroup"),
    )
    async with land.provider() as provider:
        await run(provider, land.wanted("v1.34"), create("v1.34"))
    assert await find("v1.35.7", change("v1.35.7")) == (("VersionUnavailable", "spec.version"),)
    assert await find("v1.36", change("v1.36")) == (("VersionSkipped", "spec.version"),)
    assert await find("v1.34", change("v1.34"), endpointAccess={"public": True}) == (
        ("ImmutableField", "spec.provider.aks.endpointAccess"),
    )
    land.secret = "wrong"
    assert await find("v1.35", change("v1.35")) == (("Refused", ""),)


async def test_a_wrong_secret_is_told_without_the_secret(land: Land) -> None:
    land.secret = "canary~in.the-coal-mine"
    async with land.provider() as provider:
        seen = await provider.observe(REF)
    assert seen.presence is Presence.UNKNOWN
    assert "client_secret" in seen.message
    assert land.secret not in seen.message


async def test_a_cluster_of_somebody_else_under_our_name_is_not_touched(land: Land) -> None:
    async with land.provider() as provider:
        await run(provider, land.wanted(), create())
        with land.cloud.lock:
            land.cloud.cluster(NAME).body["tags"]["atoll-id"] = "somebody-else"
        count = len([call for call in land.cloud.calls if call.name in CHANGES])
        failed = await run(provider, land.wanted(), replace(DELETE, id="delete-2"))
        assert state(failed)[0] is OperationState.FAILED
    assert land.cloud.names() == [NAME]
    assert len([call for call in land.cloud.calls if call.name in CHANGES]) == count


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_the_kubeconfig_opens_a_real_api_server_and_a_changed_token_does_not(tmp_path: Path) -> None:
    with run_cloud(AksStandIn(PlaneBacking(tmp_path))) as cloud:
        settings = {
            "subscriptionID": cloud.subscription,
            "resourceGroup": cloud.group,
            "location": cloud.location,
            "agentPools": POOLS,
        }
        land = Land(cloud=cloud, settings=settings)
        async with land.provider(replace(PACE, work=0.2)) as provider:
            made = create()
            await provider.start(land.wanted(), made)
            assert state(await until_over(provider, made, 120))[0] is OperationState.SUCCEEDED
            kubeconfig = yaml.safe_load(await provider.kubeconfig(REF))
            path = "/api/v1/namespaces/kube-system/secrets"
            assert await asyncio.to_thread(ask_server, kubeconfig, path) == 200
            kubeconfig["users"][0]["user"]["token"] += "x"
            assert await asyncio.to_thread(ask_server, kubeconfig, path) == 401
            await provider.start(land.wanted(), DELETE)
            await until_over(provider, DELETE, 120)
        assert (cloud.names(), cloud.protests) == ([], [])


def ask_server(kubeconfig: Any, path: str) -> int:
    """Ask an API server as whoever holds the kubeconfig, and return the status."""
    cluster, token = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]["token"]
    authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
    request = urllib.request.Request(cluster["server"] + path, headers={"Authorization": f"Bearer {token}"})
    try:
        context = ssl.create_default_context(cadata=authority)
        with urllib.request.urlopen(request, timeout=20, context=context) as answer:
            return int(answer.status)
    except HTTPError as error:
        with error:
            return error.code
