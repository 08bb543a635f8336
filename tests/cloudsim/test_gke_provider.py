"""The provider for GKE against its stand-in, with the unmodified SDK: whole operations, and how they fail."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml
from google.cloud.container_v1 import types

from atoll.ports import (
    ClusterRef,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.gke.cloud import GkeCloud
from atoll.providers.gke.errors import translate
from atoll.providers.gke.permissions import NEEDS
from atoll.providers.managed.provider import ManagedProvider, Pace
from atoll.providers.managed.surroundings import Declared
from atoll.shell.context import SystemClock

from .core import How, run_cloud
from .gke import PROJECT, Gke

REF = ClusterRef(fleet="fleet", name="shops--berlin", id="k7f2m9")
NAME = f"atoll-{REF.id}"
OLD, NEW = "v1.35", "v1.36"
PACE = Pace(work=0.02, rest=0.05, settle=1.0, patience=20)
LIMIT_SECONDS = 60.0
FRONT = {"name": "front", "machineType": "e2-standard-4", "minSize": 1, "maxSize": 3}
BATCH = {"name": "batch", "machineType": "c3-standard-8", "minSize": 0, "maxSize": 10}
SETTINGS: dict[str, Any] = {"project": PROJECT, "location": "europe-west1", "nodePools": [FRONT, BATCH]}
LABELS = {"cost-centre": "42", "governance.atoll.dev/compliance": "PCI"}


@dataclass
class World:
    """What the management plane declares, and the cloud."""

    cloud: Gke
    settings: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))
    labels: dict[str, str] = field(default_factory=lambda: dict(LABELS))
    credentials: dict[str, str] = field(default_factory=dict)
    counted: list[tuple[str, str]] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    async def declared(self, ref: ClusterRef) -> Declared:
        return Declared(
            settings=self.settings, labels=self.labels, credentials=self.credentials, endpoint=self.cloud.url
        )

    def provider(self) -> ManagedProvider[Any]:
        return ManagedProvider(GkeCloud(), self, translate, clock=SystemClock(), pace=PACE, count=self.count)

    def count(self, call: str, result: str) -> None:
        self.counted.append((call, result))
        self.threads.add(threading.current_thread().name)

    def wanted(self, version: str = OLD) -> WantedCluster:
        return WantedCluster(
            ref=REF,
            version=version,
            pod_cidr="10.128.0.0/16",
            service_cidr="10.129.0.0/20",
            settings=self.settings,
            labels=self.labels,
        )

    def cluster(self) -> Any:
        """What the cloud would show of our cluster."""
        with self.cloud.lock:
            return self.cloud.book.show(self.cloud.cluster(NAME))

    def begun(self, call: str) -> int:
        """How often a call was taken."""
        return self.cloud.count(call, good=True)

    def cut(self, call: str) -> int:
        """How often a call had no answer."""
        return sum(done.name == call and done.status == 0 for done in self.cloud.calls)


@pytest.fixture
def world() -> Iterator[World]:
    with run_cloud(Gke()) as cloud:
        cloud.faults.seconds = 0.1
        cloud.faults.retry_after_seconds = 0.01
        world = World(cloud=cloud, credentials={"service_account.json": cloud.key_file()})
        yield world
        assert cloud.protests == []


@asynccontextmanager
async def running(world: World) -> AsyncIterator[ManagedProvider[Any]]:
    provider = world.provider()
    try:
        yield provider
    finally:
        await provider.close()


async def finish(provider: ManagedProvider[Any], operation: Operation) -> OperationProgress | None:
    """Wait for the end of an operation; None: the cluster is gone."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            seen = await provider.observe(REF)
            told = seen.operation
            if told is not None and told.id == operation.id and not told.is_open:
                return told
            if told is None and seen.presence is Presence.ABSENT:
                return None
            await asyncio.sleep(0.02)


async def carry_out(
    world: World, kind: OperationType, version: str = OLD, number: str = ""
) -> OperationProgress | None:
    """Run one operation from its start to its end by a provider of its own."""
    operation = Operation(id=f"op-{kind.lower()}-{number or version.replace('.', '-')}", type=kind, to_version=version)
    async with running(world) as provider:
        await provider.start(world.wanted(version), operation)
        return await finish(provider, operation)


async def look(world: World) -> ObservedCluster:
    async with running(world) as provider:
        return await provider.observe(REF)


def check_success(told: OperationProgress | None) -> None:
    assert told is not None
    assert (told.state, told.message, told.steps_done) == (OperationState.SUCCEEDED, "", told.steps_total)


async def create(world: World, version: str = OLD) -> None:
    check_success(await carry_out(world, OperationType.CREATE, version))


async def test_a_cluster_is_made_changed_and_removed(world: World) -> None:
    assert (await look(world)).presence is Presence.ABSENT
    await create(world)
    made = world.cluster()
    assert made.current_master_version.startswith("1.35.8-gke.")
    assert {pool.name: (pool.version, pool.config.machine_type) for pool in made.node_pools} == {
        "front": (made.current_master_version, "e2-standard-4"),
        "batch": (made.current_master_version, "c3-standard-8"),
    }
    assert made.release_channel.channel == 0
    assert not any(pool.management.auto_upgrade for pool in made.node_pools)
    assert all(pool.management.auto_repair for pool in made.node_pools)
    assert made.ip_allocation_policy.cluster_ipv4_cidr_block == "10.128.0.0/16"
    assert made.workload_identity_config.workload_pool == f"{PROJECT}.svc.id.goog"
    assert not made.control_plane_endpoints_config.ip_endpoints_config.enable_public_endpoint
    labels = dict(made.resource_labels)
    assert (labels["cost-centre"], labels["governance_atoll_dev_compliance"]) == ("42", "pci")
    assert labels["atoll-id"] == REF.id

    seen = await look(world)
    assert (seen.presence, seen.version, seen.drift, seen.needs_repair) == (
        Presence.PRESENT,
        f"v{made.current_master_version}",
        (),
        "",
    )
    assert seen.endpoint.startswith("https://127.0.0.1:")

    check_success(await carry_out(world, OperationType.CHANGE, NEW))
    changed = world.cluster()
    assert changed.current_master_version.startswith("1.36.4-gke.")
    assert {pool.version for pool in changed.node_pools} == {changed.current_master_version}

    assert await carry_out(world, OperationType.DELETE, NEW) is None
    assert world.cloud.clusters() == ()
    assert (await look(world)).presence is Presence.ABSENT
    taken = {call: world.begun(call) for call in ("CreateCluster", "UpdateMaster", "UpdateNodePool", "DeleteCluster")}
    assert taken == {"CreateCluster": 1, "UpdateMaster": 1, "UpdateNodePool": 2, "DeleteCluster": 1}
    assert {call for call, _ in world.counted} <= {*NEEDS, "get_token"}


async def test_at_rest_one_call_a_look_is_made_and_nothing_is_written(world: World) -> None:
    await create(world)
    before = len(world.cloud.calls)
    async with running(world) as provider:
        for _ in range(3):
            await provider.observe(REF)
            await asyncio.sleep(0.07)
    names = [call.name for call in world.cloud.calls[before:]]
    assert sorted(names) == ["GetCluster", "GetCluster", "GetCluster", "GetToken"]


async def test_the_kubeconfig_holds_a_token_of_the_account_and_a_command_for_people(world: World) -> None:
    await create(world)
    async with running(world) as provider:
        text = await provider.kubeconfig(REF)
        assert await provider.kubeconfig(REF) == text
    user = yaml.safe_load(text)["users"][0]["user"]
    person = world.cloud.authenticate(world.cloud.cluster(NAME).key, user["token"])
    assert person is not None
    assert person.name == f"atoll@{PROJECT}.iam.gserviceaccount.com"
    assert user["extensions"][0]["extension"]["command"] == "gke-gcloud-auth-plugin"
    assert world.begun("GetToken") == 2  # one of each of the two providers: API and API servers share it


async def test_a_cluster_is_made_with_workload_identity(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    host = world.cloud.url.removeprefix("http://")
    monkeypatch.setenv("GCE_METADATA_HOST", host)
    monkeypatch.setenv("GCE_METADATA_IP", host)
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS", raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nonexistent")
    world.cloud.give_workload_identity()
    world.credentials = {}
    await create(world)
    async with running(world) as provider:
        assert "token" in await provider.kubeconfig(REF)


DRIFTS: dict[str, tuple[Callable[[Any], None], str]] = {
    "a pool deleted": (lambda it: it.node_pools.remove(it.node_pools[1]), "node pool batch is missing"),
    "a pool's size": (
        lambda it: set_on(it.node_pools[0].autoscaling, total_max_node_count=9),
        "1 to 9 nodes, not 1 to 3",
    ),
    "autoscaling off": (lambda it: it.node_pools[0].autoscaling.Clear(), "no autoscaling, not 1 to 3"),
    "auto-upgrade": (lambda it: set_on(it.node_pools[0].management, auto_upgrade=True), "auto-upgrade on"),
    "auto-repair": (lambda it: set_on(it.node_pools[0].management, auto_repair=False), "auto-repair off"),
    "surge": (lambda it: set_on(it.node_pools[0].upgrade_settings, max_surge=0, max_unavailable=2), "surge 0 and 2"),
    "machines": (lambda it: set_on(it.node_pools[0].config, machine_type="e2-micro"), "of type e2-micro, not e2-stand"),
    "a pool behind": (lambda it: set_on(it.node_pools[0], version="1.34.9-gke.1103000"), "front runs v1.34.9-gke"),
    "channel": (lambda it: set_on(it.release_channel, channel=2), "release channel is REGULAR, not none"),
    "endpoint": (
        lambda it: set_on(it.control_plane_endpoints_config.ip_endpoints_config, enable_public_endpoint=True),
        "API server is public, not private",
    ),
    "identity": (lambda it: it.workload_identity_config.Clear(), "identities of its pods are in no pool"),
    "exclusion": (
        lambda it: it.maintenance_policy.window.maintenance_exclusions.clear(),
        "the maintenance exclusion atoll is missing",
    ),
    "a label": (lambda it: it.resource_labels.update({"cost-centre": "7"}), "its labels cost-centre are not"),
    "a label gone": (lambda it: it.resource_labels.pop("cost-centre"), "its labels cost-centre are not"),
}


def set_on(message: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(message, name, value)


async def test_drift_of_every_owned_field_is_named_and_mended(world: World) -> None:
    """Each alone costs a look and a change; the cluster is made once."""
    await create(world)
    for number, (name, (disturb, sentence)) in enumerate(DRIFTS.items()):
        with world.cloud.lock:
            disturb(world.cloud.cluster(NAME).message)
        seen = await look(world)
        assert [told for told in seen.drift if sentence in told], (name, seen.drift)
        check_success(await carry_out(world, OperationType.CHANGE, number=str(number)))
        mended = await look(world)
        assert (name, mended.drift, mended.needs_repair) == (name, (), "")


async def test_what_is_of_others_is_left_alone(world: World) -> None:
    await create(world)
    with world.cloud.lock:
        message = world.cloud.cluster(NAME).message
        message.resource_labels["team"] = "search"
        theirs = message.node_pools.add()
        theirs.CopyFrom(message.node_pools[0])
        theirs.name = "theirs"
        theirs.config.resource_labels.clear()
        message.maintenance_policy.window.maintenance_exclusions["sale"].start_time.FromSeconds(1795305600)
        message.maintenance_policy.window.maintenance_exclusions["sale"].end_time.FromSeconds(1795737600)
        message.maintenance_policy.window.maintenance_exclusions.pop("atoll")
    world.labels = {"regime.atoll.dev/gdpr": "true"}
    check_success(await carry_out(world, OperationType.CHANGE))
    left = world.cluster()
    assert set(left.maintenance_policy.window.maintenance_exclusions) == {"sale", "atoll"}
    assert {pool.name for pool in left.node_pools} == {"front", "batch", "theirs"}
    labels = {key: value for key, value in left.resource_labels.items() if not key.startswith("atoll-")}
    assert labels == {"team": "search", "regime_atoll_dev_gdpr": "true"}
    assert (await look(world)).drift == ()


async def test_a_pool_that_is_not_declared_any_more_goes_last_and_a_new_one_comes(world: World) -> None:
    await create(world)
    world.settings["nodePools"] = [FRONT, {**BATCH, "name": "gpu"}]
    assert set((await look(world)).drift) == {
        "node pool gpu is missing",
        "node pool batch is not declared any more",
    }
    check_success(await carry_out(world, OperationType.CHANGE, NEW))
    assert {pool.name for pool in world.cluster().node_pools} == {"front", "gpu"}
    writes = [
        call.name for call in world.cloud.calls if call.name in {"UpdateMaster", "CreateNodePool", "DeleteNodePool"}
    ]
    assert writes == ["UpdateMaster", "CreateNodePool", "DeleteNodePool"]


async def test_a_cluster_of_our_name_that_is_not_ours_is_not_touched(world: World) -> None:
    await create(world)
    with world.cloud.lock:
        world.cloud.cluster(NAME).message.resource_labels["atoll-id"] = "another"
    before = world.begun("DeleteCluster")
    told = await look(world)
    assert told.presence is Presence.UNKNOWN
    operation = Operation(id="op-delete", type=OperationType.DELETE, to_version=OLD)
    async with running(world) as provider:
        await provider.start(world.wanted(), operation)
        await asyncio.sleep(0.3)
    assert world.begun("DeleteCluster") == before
    assert world.cloud.clusters() == (NAME,)


OPERATIONS = (
    (OperationType.CREATE, OLD, ("GetServerConfig", "CreateCluster", "GetCluster", "ListOperations", "SetLabels")),
    (
        OperationType.CHANGE,
        NEW,
        (
            "CreateNodePool",
            "DeleteNodePool",
            "GetCluster",
            "ListOperations",
            "SetLabels",
            "SetMaintenancePolicy",
            "SetNodePoolAutoscaling",
            "SetNodePoolManagement",
            "UpdateCluster",
            "UpdateMaster",
            "UpdateNodePool",
        ),
    ),
    (OperationType.DELETE, NEW, ("DeleteCluster", "GetCluster", "ListOperations")),
)
WRITES = frozenset(
    {
        "CreateCluster",
        "CreateNodePool",
        "DeleteCluster",
        "DeleteNodePool",
        "SetLabels",
        "SetMaintenancePolicy",
        "SetNodePoolAutoscaling",
        "SetNodePoolManagement",
        "UpdateCluster",
        "UpdateMaster",
        "UpdateNodePool",
    }
)


def disturb_everything(world: World) -> None:
    """Let a CHANGE have something to do for each call that it knows."""
    world.settings["nodePools"] = [{**FRONT, "maxSize": 5}, {**BATCH, "name": "gpu"}]
    with world.cloud.lock:
        message = world.cloud.cluster(NAME).message
        message.node_pools[0].management.auto_repair = False
        message.workload_identity_config.Clear()
        message.maintenance_policy.window.maintenance_exclusions.clear()


async def test_a_lost_answer_to_a_call_that_does_not_show_is_waited_out(world: World) -> None:
    await create(world)
    with world.cloud.lock:
        world.cloud.cluster(NAME).message.maintenance_policy.window.maintenance_exclusions.clear()
    world.cloud.faults.fail("SetMaintenancePolicy", "cut")
    check_success(await carry_out(world, OperationType.CHANGE))
    assert world.cut("SetMaintenancePolicy") == 1
    assert world.begun("SetMaintenancePolicy") <= 1, "at most once more, which sets what stands there already"
    assert (await look(world)).drift == ()


@pytest.mark.parametrize(
    ("kind", "call"), [(kind, call) for kind, _, calls in OPERATIONS for call in calls if call in WRITES]
)
async def test_an_operation_of_the_cloud_that_ends_badly_is_begun_again(
    world: World, kind: OperationType, call: str
) -> None:
    if kind is not OperationType.CREATE:
        await create(world)
        disturb_everything(world)
    world.cloud.faults.fail(call, "broken")
    told = await carry_out(world, kind, OLD if kind is OperationType.CREATE else NEW)
    assert world.cloud.faults.pending == {}
    if kind is OperationType.DELETE:
        assert (told, world.cloud.clusters()) == (None, ())
        return
    check_success(told)
    seen = await look(world)
    assert (seen.drift, seen.needs_repair) == ((), "")
    assert world.cloud.clusters() == (NAME,)


REFUSALS: dict[How, tuple[str, str]] = {
    "denied": ("PermissionDenied", "Grant Atoll's account container.clusters.create there"),
    "quota": ("QuotaExceeded", "Insufficient regional quota"),
    "invalid": ("Refused", "Request contains an invalid argument"),
}


@pytest.mark.parametrize("how", list(REFUSALS))
async def test_what_will_not_pass_ends_the_operation_in_the_clouds_words(world: World, how: How) -> None:
    world.cloud.faults.fail("CreateCluster", how)
    told = await carry_out(world, OperationType.CREATE)
    assert told is not None
    reason, words = REFUSALS[how]
    assert (told.state, words in told.message) == (OperationState.FAILED, True), told.message
    assert ("create_cluster", reason) in world.counted
    assert world.cloud.clusters() == ()
    check_success(await carry_out(world, OperationType.CREATE, number="again"))


async def test_a_cluster_that_can_never_be_made_is_given_up_and_leaves_nothing(world: World) -> None:
    world.cloud.faults.fail("CreateCluster", "broken", times=3)
    told = await carry_out(world, OperationType.CREATE)
    assert told is not None
    assert told.state is OperationState.FAILED
    assert "does not have enough resources available" in told.message
    assert world.begun("CreateCluster") == 3
    assert world.cloud.clusters() == ()


async def test_what_holds_up_a_deletion_is_named(world: World) -> None:
    await create(world)
    world.cloud.hold_up(NAME, f"projects/{PROJECT}/global/backendServices/web")
    told = await carry_out(world, OperationType.DELETE)
    assert told is not None
    assert told.state is OperationState.FAILED
    assert f"projects/{PROJECT}/global/backendServices/web" in told.message
    assert world.begun("DeleteCluster") == 3


async def test_what_only_a_person_can_mend_is_told_and_a_repair_says_so(world: World) -> None:
    await create(world)
    world.cloud.degrade(NAME, "The service account of the nodes was deleted.")
    assert "The service account of the nodes was deleted." in (await look(world)).needs_repair
    told = await carry_out(world, OperationType.REPAIR)
    assert told is not None
    assert (told.state, "Atoll has nothing more to try" in told.message) == (OperationState.FAILED, True)
    world.cloud.degrade(NAME, "")
    assert (await look(world)).needs_repair == ""


async def test_a_pool_that_cannot_be_used_is_made_anew_by_a_repair(world: World) -> None:
    await create(world)
    with world.cloud.lock:
        pool = world.cloud.cluster(NAME).message.node_pools[0]
        pool.status, pool.status_message = types.NodePool.Status.ERROR, "Its machines are gone."
    assert "Its machines are gone." in (await look(world)).needs_repair
    check_success(await carry_out(world, OperationType.REPAIR))
    assert (await look(world)).needs_repair == ""
    assert {pool.name for pool in world.cluster().node_pools} == {"front", "batch"}


async def test_a_channel_is_entered_and_left_in_the_order_that_gke_demands(world: World) -> None:
    await create(world, "v1.34")
    world.settings["releaseChannel"] = "Stable"
    check_success(await carry_out(world, OperationType.CHANGE, "v1.34", number="in"))
    inside = world.cluster()
    exclusion = inside.maintenance_policy.window.maintenance_exclusions["atoll"]
    assert inside.release_channel.channel == types.ReleaseChannel.Channel.STABLE
    assert all(pool.management.auto_upgrade for pool in inside.node_pools)
    assert exclusion.maintenance_exclusion_options.scope == 2
    assert (await look(world)).drift == ()
    del world.settings["releaseChannel"]
    check_success(await carry_out(world, OperationType.CHANGE, "v1.34", number="out"))
    outside = world.cluster()
    exclusion = outside.maintenance_policy.window.maintenance_exclusions["atoll"]
    assert outside.release_channel.channel == 0
    assert not any(pool.management.auto_upgrade for pool in outside.node_pools)
    assert exclusion.maintenance_exclusion_options.scope == 0
    assert (await look(world)).drift == ()


async def test_versions_are_looked_for_in_the_channel_that_a_cluster_has_now(world: World) -> None:
    # One connection serves all clusters of a place, and lives longer than what is declared for one of them.
    async with running(world) as provider:
        made = Operation(id="op-make", type=OperationType.CREATE, to_version="v1.34")
        await provider.start(world.wanted("v1.34"), made)
        check_success(await finish(provider, made))
        world.settings["releaseChannel"] = "Stable"
        hop = Operation(id="op-hop", type=OperationType.CHANGE, to_version="v1.35", from_version="v1.34")
        await provider.start(world.wanted("v1.35"), hop)
        told = await finish(provider, hop)
    assert told is not None
    assert told.state is OperationState.FAILED
    assert "no 1.35 here in release channel STABLE" in told.message


async def test_preflight_names_what_is_in_the_way_before_anything_moves(world: World) -> None:
    async def find(version: str, kind: OperationType = OperationType.CREATE) -> list[tuple[str, str]]:
        operation = Operation(id="op", type=kind, to_version=version)
        async with running(world) as provider:
            return [(it.reason, it.field) for it in await provider.preflight(world.wanted(version), operation)]

    assert await find(OLD) == []
    assert await find("v1.29") == [("VersionUnavailable", "spec.version")]
    assert await find("v1.36.3") == [("VersionUnavailable", "spec.version")]
    world.settings["nodePools"] = []
    assert await find(OLD) == [("InvalidSpec", "spec.provider.gke.nodePools")]
    world.settings = {**SETTINGS, "project": "another"}
    assert await find(OLD) == [("PermissionDenied", "")]
    world.settings = {**SETTINGS, "location": "mars-1"}
    assert await find(OLD) == [("PermissionDenied", "")]
    world.settings = dict(SETTINGS)
    await create(world, "v1.34")
    assert await find(NEW, OperationType.CHANGE) == [("SkippedMinor", "spec.version")]
    assert await find("v1.33", OperationType.CHANGE) == [("Downgrade", "spec.version")]
    world.settings["network"] = "projects/fleet-1/global/networks/other"
    assert await find(OLD, OperationType.CHANGE) == [("ImmutableNetwork", "spec.provider.gke.network")]


async def test_a_login_that_google_does_not_take_is_told_without_a_word_of_it(world: World) -> None:
    key = json.loads(world.credentials["service_account.json"])
    other = json.loads(world.cloud.key_file("other"))
    world.credentials = {"service_account.json": json.dumps({**key, "private_key": other["private_key"]})}
    told = await look(world)
    assert told.presence is Presence.UNKNOWN
    assert "Google does not take Atoll's login" in told.message
    assert "PRIVATE KEY" not in told.message
    world.credentials = {"service_account.json": "{"}
    assert "is not JSON" in (await look(world)).message


async def test_tokens_that_expire_in_the_middle_are_renewed(world: World) -> None:
    async with running(world) as provider:
        operation = Operation(id="op-expiry", type=OperationType.CREATE, to_version=OLD)
        await provider.start(world.wanted(), operation)
        await asyncio.sleep(0.1)
        world.cloud.expire_tokens()
        check_success(await finish(provider, operation))
    assert world.begun("CreateCluster") == 1
