"""A cluster that somebody else runs, as a small server plays it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
import yaml
from aiohttp import web

from atoll.errors import BadInput, Conflict, Refused, Unreachable
from atoll.fleet.known import EXISTING
from atoll.kube.member import MemberClient
from atoll.ports import (
    ClusterRef,
    Finding,
    ObservedCluster,
    Operation,
    OperationProgress,
    OperationState,
    OperationType,
    Presence,
    WantedCluster,
)
from atoll.providers.existing.provider import ExistingProvider
from atoll.providers.existing.surroundings import Source
from tests.unit.kube.server import FakeServer

REF = ClusterRef(fleet="fleet", name="eu--a", id="c1")
WANTED = WantedCluster(ref=REF, version="v1.35.8", pod_cidr="10.128.0.0/16", service_cidr="10.129.0.0/20")
CANARY = "canary-token"
MANAGED = {"app.kubernetes.io/managed-by": "atoll"}


class Plane:
    """What the management plane knows of one member."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.uid: str | None = ""
        self.trouble: Exception | None = None

    def pinned(self, ref: ClusterRef) -> str | None:
        return self.uid if ref == REF else None

    async def kubeconfig(self, ref: ClusterRef) -> Source:
        assert ref == REF
        if self.trouble is not None:
            raise self.trouble
        return Source(text=self.text, where="Secret x (existing.kubeconfigSecretRef of member a)")


class Owner:
    """Somebody's cluster: a version, an identity, and objects by path."""

    def __init__(self) -> None:
        self.version = "v1.35.8"
        self.status = 200
        self.objects: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.put("/api/v1/namespaces", "Namespace", "kube-system", uid="u-1")

    def put(self, collection: str, kind: str, name: str, *, uid: str = "", ours: bool = False, **more: Any) -> None:
        metadata = {"name": name, "uid": uid or f"uid-{name}", "labels": dict(MANAGED) if ours else {}}
        if "/namespaces/" in collection:
            metadata["namespace"] = collection.split("/")[4]
        self.objects[f"{collection}/{name}"] = {"kind": kind, "metadata": metadata, **more}

    def install(self, *, hub: str = "hub", owner: str = "c1") -> None:
        """Put in what Atoll puts into a cluster, and things that only look like it."""
        admission, rbac = "/apis/admissionregistration.k8s.io/v1", "/apis/rbac.authorization.k8s.io/v1"
        for plural, kind in (("validatingadmissionpolicies", ""), ("validatingadmissionpolicybindings", "Binding")):
            for name in ("atoll-own-objects", "atoll-tenant-pods", "somebody-elses"):
                self.put(f"{admission}/{plural}", f"ValidatingAdmissionPolicy{kind}", name, ours=True)
        self.put(f"{rbac}/clusterroles", "ClusterRole", "atoll:admin", ours=True)
        self.put(f"{rbac}/clusterroles", "ClusterRole", "atoll:developer")
        self.put("/api/v1/namespaces", "Namespace", "atoll-system", ours=True)
        self.put("/api/v1/namespaces", "Namespace", "shop--dev", ours=True)
        self.put(
            "/api/v1/namespaces/atoll-system/configmaps",
            "ConfigMap",
            "atoll-owner",
            ours=True,
            data={"hubUID": hub, "fleet": "fleet", "clusterID": owner},
        )

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        await self.gate.wait()
        if self.status != 200:
            return web.json_response({"kind": "Status", "message": CANARY}, status=self.status)
        if request.path == "/version":
            return web.json_response({"gitVersion": self.version})
        if request.method == "DELETE":
            self.deleted.append(request.path.rpartition("/")[2])
            found = self.objects.pop(request.path, None)
            assert (await request.json())["preconditions"]["uid"]
            return web.json_response(found or {"kind": "Status"}, status=200 if found else 404)
        if request.path in self.objects:
            return web.json_response(self.objects[request.path])
        if request.path.rpartition("/")[2] in {"atoll-system", "atoll-owner", "kube-system"}:
            return web.json_response({"kind": "Status"}, status=404)
        bodies = [body for path, body in self.objects.items() if path.rpartition("/")[0] == request.path]
        labelled = [body for body in bodies if body["metadata"]["labels"]]
        kept = labelled if request.query.get("labelSelector") else bodies
        return web.json_response({"kind": "List", "metadata": {"resourceVersion": "1"}, "items": kept})


class Scene:
    """A provider, a plane and a cluster."""

    def __init__(self, server: FakeServer) -> None:
        self.owner = Owner()
        server.answers(self.owner)
        self.server = server
        self.plane = Plane(server.kubeconfig(token=CANARY))
        self.opened: list[MemberClient] = []

    def provider(self, **more: Any) -> ExistingProvider:
        return ExistingProvider(self.plane, self.connect, **more)

    def connect(self, text: str) -> MemberClient:
        self.opened.append(MemberClient(text))
        return self.opened[-1]


@pytest.fixture
async def scene(server: FakeServer) -> Scene:
    return Scene(server)


def operation(kind: OperationType, version: str = "v1.35.8", number: int = 1) -> Operation:
    return Operation(id=f"{kind.lower()}-{number}", type=kind, to_version=version, from_version="v1.35.8")


async def over(provider: ExistingProvider) -> ObservedCluster:
    """Wait until nothing runs."""
    async with asyncio.timeout(5):
        while True:
            seen = await provider.observe(REF)
            if seen.operation is None or seen.operation.state is not OperationState.RUNNING:
                return seen
            await asyncio.sleep(0.01)


async def test_a_cluster_that_answers_is_present_with_its_version_and_address(scene: Scene) -> None:
    provider = scene.provider()
    seen = await provider.observe(REF)
    assert seen == ObservedCluster(presence=Presence.PRESENT, version="v1.35.8", endpoint=scene.server.url)
    scene.owner.version = "v1.36.4-eks-1234"
    assert (await provider.observe(REF)).version == "v1.36.4-eks-1234"
    assert yaml.safe_load(await provider.kubeconfig(REF))["current-context"] == REF.name
    assert len(scene.opened) == 1, "one connection serves all looks"
    await provider.close()


async def test_what_can_be_done_is_said_without_looking(scene: Scene) -> None:
    provider = scene.provider()
    assert (provider.info(), await provider.versions()) == (EXISTING, ())
    assert not EXISTING.upgrades
    assert scene.server.asked == []


@pytest.mark.parametrize("status", [401, 403, 500, 503])
async def test_who_answers_without_telling_is_unknown_and_never_absent(scene: Scene, status: int) -> None:
    scene.owner.status = status
    provider = scene.provider()
    for uid in ("", "u-1"):
        scene.plane.uid = uid
        seen = await provider.observe(REF)
        assert seen.presence is Presence.UNKNOWN
        assert scene.server.url in seen.message
        assert CANARY not in seen.message
    await provider.close()


async def test_silence_is_unknown_within_the_time_that_a_look_may_take(scene: Scene) -> None:
    scene.owner.gate.clear()
    provider = scene.provider(look_seconds=0.1)
    seen = await provider.observe(REF)
    assert (seen.presence, seen.endpoint) == (Presence.UNKNOWN, "")
    assert "did not answer within 0.1 s" in seen.message
    scene.owner.gate.set()
    await provider.close()


async def test_a_refused_kubeconfig_is_told_where_it_stands_and_what_to_do(scene: Scene) -> None:
    provider = scene.provider()
    config = yaml.safe_load(scene.plane.text)
    config["users"][0]["user"]["exec"] = {"apiVersion": "v1", "command": CANARY}
    scene.plane.text = yaml.safe_dump(config)

    first = await provider.observe(REF)
    (finding,) = await provider.preflight(WANTED, operation(OperationType.CREATE))

    assert first.presence is Presence.PARTIAL, "nobody has been there: it can be let go of"
    assert first.message == finding.message
    assert finding.message.startswith("Secret x (existing.kubeconfigSecretRef of member a): users[u].user.exec")
    assert (finding.reason, finding.field) == ("InvalidSpec", "existing.kubeconfigSecretRef")
    assert CANARY not in first.message
    scene.plane.uid = "u-1"
    assert (await provider.observe(REF)).presence is Presence.UNKNOWN, "something of ours may be in it"
    with pytest.raises(BadInput):
        await provider.kubeconfig(REF)
    assert (scene.opened, scene.server.asked) == ([], [])


async def test_a_secret_that_is_not_there_is_found_before_anything_begins(scene: Scene) -> None:
    scene.plane.trouble = BadInput("Secret x is not there. Make it.", field="kubeconfigSecretRef")
    provider = scene.provider()
    assert (await provider.observe(REF)).presence is Presence.PARTIAL
    (finding,) = await provider.preflight(WANTED, operation(OperationType.CREATE))
    assert finding.message == "Secret x is not there. Make it."
    scene.plane.trouble = Unreachable("the management plane is away")
    assert (await provider.observe(REF)).presence is Presence.UNKNOWN


async def test_a_kubeconfig_that_rotates_is_used_from_the_next_look_on(scene: Scene) -> None:
    provider = scene.provider()
    await provider.observe(REF)
    scene.plane.text = scene.server.kubeconfig(token="canary-second")
    await provider.observe(REF)
    assert [asked.headers["authorization"] for asked in scene.server.asked] == [
        "Bearer canary-token",
        "Bearer canary-second",
    ]
    assert "canary-second" in await provider.kubeconfig(REF)
    await provider.close()


async def test_creating_is_finding_that_it_is_there(scene: Scene) -> None:
    provider, todo = scene.provider(), operation(OperationType.CREATE)
    assert await provider.preflight(WANTED, todo) == ()
    await provider.start(WANTED, todo)
    await provider.start(WANTED, todo)
    seen = await provider.observe(REF)
    assert seen.operation == OperationProgress(
        id="create-1", type=OperationType.CREATE, state=OperationState.SUCCEEDED, steps_done=1, steps_total=1
    )
    scene.owner.status = 503
    told = (await provider.observe(REF)).operation
    assert told is not None
    assert (told.state, told.step) == (OperationState.RUNNING, "wait for the cluster to answer")
    assert all(asked.method == "GET" for asked in scene.server.asked), "nothing was written"
    await provider.close()


async def test_a_change_waits_until_its_owner_has_made_it(scene: Scene) -> None:
    provider, todo = scene.provider(), operation(OperationType.CHANGE, "v1.36.4")
    wanted = replace(WANTED, version="v1.36.4")
    words = "its owner has to bring it from v1.35.8 to v1.36.4; Atoll does not change it"
    assert await provider.preflight(wanted, todo) == (Finding(reason="Refused", message=words, field="spec.version"),)
    await provider.start(wanted, todo)
    waiting = (await provider.observe(REF)).operation
    assert waiting is not None
    assert (waiting.state, waiting.step, waiting.message) == (OperationState.RUNNING, "wait for its owner", words)

    again = scene.provider()
    assert (await again.observe(REF)).operation is None, "nothing is remembered anywhere"
    await again.start(wanted, todo)
    scene.owner.version = "v1.36.4-gke.100"
    done = (await again.observe(REF)).operation
    assert done is not None
    assert done.state is OperationState.SUCCEEDED
    assert await again.preflight(wanted, todo) == ()
    await provider.close()
    await again.close()


@pytest.mark.parametrize("kind", [OperationType.REVERT, OperationType.DRILL])
async def test_what_only_its_owner_can_do_is_refused(scene: Scene, kind: OperationType) -> None:
    provider = scene.provider()
    (finding,) = await provider.preflight(WANTED, operation(kind))
    assert "ask its owner" in finding.message
    with pytest.raises(Refused, match="ask its owner"):
        await provider.start(WANTED, operation(kind))
    assert scene.server.asked == []


async def test_giving_it_back_takes_out_what_atoll_has_put_in_for_itself_and_nothing_else(scene: Scene) -> None:
    scene.owner.install()
    scene.plane.uid = "u-1"
    provider, todo = scene.provider(), operation(OperationType.DELETE)
    assert await provider.preflight(WANTED, todo) == ()
    await provider.start(WANTED, todo)
    assert await over(provider) == ObservedCluster(presence=Presence.ABSENT)
    assert scene.owner.deleted == [
        "atoll-own-objects",
        "atoll-tenant-pods",
        "atoll-own-objects",
        "atoll-tenant-pods",
        "atoll:admin",
        "atoll-system",
    ]
    assert "/api/v1/namespaces/shop--dev" in scene.owner.objects
    assert any("somebody-elses" in path for path in scene.owner.objects)
    await provider.start(WANTED, todo)
    await asyncio.sleep(0.05)
    assert len(scene.owner.deleted) == 6, "a finished operation is not begun again"
    assert await provider.observe(REF) == ObservedCluster(presence=Presence.ABSENT)
    await provider.close()


@pytest.mark.parametrize(
    ("pinned", "owner", "hub", "deleted"),
    [
        ("u-1", "another", "hub", 0),
        ("", "c1", "hub", 0),
        ("u-1", "c1", "u-1", 6),
    ],
    ids=["another fleet has taken it over", "nobody has ever been there", "it is the management cluster itself"],
)
async def test_giving_it_back_touches_nothing_that_is_not_surely_ours(
    scene: Scene, pinned: str, owner: str, hub: str, deleted: int
) -> None:
    scene.owner.install(owner=owner, hub=hub)
    scene.plane.uid = pinned
    provider = scene.provider()
    await provider.start(WANTED, operation(OperationType.DELETE))
    assert await over(provider) == ObservedCluster(presence=Presence.ABSENT)
    assert len(scene.owner.deleted) == deleted
    assert "atoll-system" not in scene.owner.deleted
    assert ("atoll-owner" in scene.owner.deleted) is bool(deleted)
    await provider.close()


async def test_a_stranger_behind_the_secret_is_left_alone(scene: Scene) -> None:
    scene.owner.install()
    scene.plane.uid = "u-2"
    provider = scene.provider()
    await provider.start(WANTED, operation(OperationType.DELETE))
    seen = await over(provider)
    assert seen.presence is Presence.PARTIAL
    assert seen.operation is not None
    assert seen.operation.state is OperationState.FAILED
    assert "u-1 and not the pinned u-2" in seen.operation.message
    assert "atoll.dev/abandon" in seen.operation.message
    assert scene.owner.deleted == []
    await provider.start(WANTED, operation(OperationType.DELETE))
    assert (await provider.observe(REF)).operation == seen.operation, "a finished operation is not begun again"
    await provider.close()


async def test_giving_it_back_goes_on_where_it_was_cut_off(scene: Scene) -> None:
    scene.owner.install()
    scene.plane.uid = "u-1"
    provider, todo = scene.provider(), operation(OperationType.DELETE)
    scene.owner.status = 503
    await provider.start(WANTED, todo)
    cut = await over(provider)
    assert cut.operation is not None
    assert (cut.presence, cut.operation.state) == (Presence.PARTIAL, OperationState.INTERRUPTED)
    scene.owner.status = 200
    scene.owner.gate.clear()
    await provider.start(WANTED, todo)
    running = await provider.observe(REF)
    assert running.operation is not None
    assert (running.presence, running.endpoint) == (Presence.PARTIAL, ""), "nobody puts anything in meanwhile"
    with pytest.raises(Conflict, match="delete-1"):
        await provider.start(WANTED, operation(OperationType.DELETE, number=2))
    await provider.close()

    scene.owner.gate.set()
    second = scene.provider()
    assert (await second.observe(REF)).presence is Presence.PRESENT
    await second.start(WANTED, todo)
    assert await over(second) == ObservedCluster(presence=Presence.ABSENT)
    assert scene.owner.deleted.count("atoll-system") == 1
    await second.close()


async def test_a_wait_holds_up_no_deletion(scene: Scene) -> None:
    provider = scene.provider()
    await provider.start(WANTED, operation(OperationType.CHANGE, "v1.36.4"))
    await provider.start(WANTED, operation(OperationType.DELETE))
    assert await over(provider) == ObservedCluster(presence=Presence.ABSENT)


async def test_what_nobody_asks_for_is_absent_and_forgetting_closes_the_connection(scene: Scene) -> None:
    provider = scene.provider()
    other = replace(REF, id="c2")
    assert await provider.observe(other) == ObservedCluster(presence=Presence.ABSENT)
    with pytest.raises(Refused, match="no ChildCluster"):
        await provider.kubeconfig(other)
    await provider.observe(REF)
    await provider.forget(REF)
    assert (await provider.observe(REF)).presence is Presence.PRESENT
    assert len(scene.opened) == 2
    await provider.close()
