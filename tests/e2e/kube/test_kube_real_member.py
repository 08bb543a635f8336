"""A child as its API server shows it, and the verification checks: passed on a sound plane, failed on each fault."""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import time
import uuid
from collections.abc import Iterator

import pytest
from kube_plane import Authority, Plane, end, free_port

from atoll.errors import Conflict, IdentityMismatch, Refused, Unreachable
from atoll.fleet.values import Version
from atoll.kube.credentials import TlsContexts
from atoll.kube.kinds import NAMESPACE, NODE, kind_of
from atoll.kube.member import MemberClient
from atoll.kube.trial import VERIFICATION_LABEL
from atoll.kube.verify import (
    check_anonymous,
    check_identity,
    check_namespaces,
    check_version,
    check_wrong_certificate,
    run_checks,
)

pytestmark = pytest.mark.e2e

LABELS = {"app.kubernetes.io/managed-by": "atoll"}
CHECKS = (
    "version-served",
    "healthy",
    "identity",
    "anonymous-refused",
    "wrong-certificate-refused",
    "namespace-lifecycle",
)


@pytest.fixture(scope="module")
def exposed_url(kube_plane: Plane) -> Iterator[str]:
    """A second API server of the same plane that lets anonymous requests in."""
    url, process = asyncio.run(kube_plane.start_api_server("--anonymous-auth=true"))
    yield url
    end(process)


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


async def test_a_child_is_observed_whole(member: MemberClient):
    name = f"observed-{uuid.uuid4().hex[:6]}"
    ours = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": LABELS}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "mine", "namespace": name, "labels": LABELS}},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRole",
            "metadata": {"name": name, "labels": LABELS},
            "rules": [],
        },
        {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name},
            "spec": {"taints": []},
        },
    ]
    for body in ours:
        await member.store.apply(body)
    foreign = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": name}}
    await member.store.apply(foreign)
    node = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name},
        "status": {
            "allocatable": {"cpu": "1500m", "memory": "1Gi", "pods": "110"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }
    await member.store.apply(node, subresource="status")

    seen = await member.observe()

    assert seen.version == Version.parse("v1.36.4")
    assert seen.ready is True
    assert seen.cluster_uid == await member.identity()
    mine = {key for key in seen.objects if name in key[1:]}
    assert mine == {("Namespace", "", name), ("ConfigMap", name, "mine"), ("ClusterRole", "", name)}
    assert seen.objects["ConfigMap", name, "mine"]["kind"] == "ConfigMap"
    assert {"kube-system", "default", name} <= set(seen.namespaces)
    assert seen.namespaces[name]["app.kubernetes.io/managed-by"] == "atoll"
    assert (seen.nodes_total, seen.nodes_ready) == (1, 1)
    assert seen.allocatable == {"cpu": "1500m", "memory": "1Gi", "pods": "110"}

    for body in (ours[0], *ours[2:]):
        found = await member.store.get(kind_of(body), None, name)
        assert found is not None
        await member.store.delete(kind_of(body), None, name, uid=found["metadata"]["uid"])
    assert await member.store.list(NODE) == ()


async def test_a_child_of_another_identity_is_told_apart(member: MemberClient):
    await member.require_identity(await member.identity())
    with pytest.raises(IdentityMismatch, match=r"atoll\.dev/take-over"):
        await member.require_identity("0000-other")


async def test_a_child_that_is_down_is_unreachable_soon(kube_plane: Plane):
    async with MemberClient(kube_plane.kubeconfig(url=f"https://127.0.0.1:{free_port()}")) as gone:
        started = time.monotonic()
        with pytest.raises(Unreachable):
            await gone.observe()
        assert time.monotonic() - started < 5


async def test_a_child_that_hangs_is_given_up_at_the_deadline(kube_plane: Plane):
    """A listener that accepts and says nothing: worse than one that is down."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        async with MemberClient(kube_plane.kubeconfig(url=f"https://127.0.0.1:{listener.getsockname()[1]}")) as hanging:
            started = time.monotonic()
            with pytest.raises(Unreachable, match="not seen whole"):
                await hanging.observe(seconds=0.5)
            assert time.monotonic() - started < 1.5


async def test_an_identity_that_may_not_look_is_refused(kube_plane: Plane):
    async with MemberClient(kube_plane.kubeconfig("nobody")) as nobody:
        with pytest.raises(Refused, match="nobody"):
            await nobody.observe()


async def test_a_token_is_short_lived_and_works(kube_plane: Plane, member: MemberClient):
    body = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "viewer", "namespace": "default"}}
    await member.store.apply(body)
    token, expiration = await member.token("default", "viewer", 600)
    left = datetime.datetime.fromisoformat(expiration) - now()
    assert datetime.timedelta(minutes=5) < left <= datetime.timedelta(minutes=11)
    config = json.loads(kube_plane.kubeconfig())
    config["users"][0]["user"] = {"token": token}
    async with MemberClient(json.dumps(config), contexts=TlsContexts()) as viewer:
        assert await viewer.version() == Version.parse("v1.36.4")
        with pytest.raises(Refused, match="system:serviceaccount:default:viewer"):
            await viewer.identity()


async def checks(plane: Plane, client: MemberClient, *, endpoint: str = "", uid: str | None = None):
    results = await run_checks(
        client,
        wanted_version="v1.36.4",
        wanted_uid=await client.identity() if uid is None else uid,
        endpoint=endpoint or plane.url,
        ca=plane.ca,
        suffix=uuid.uuid4().hex[:8],
        now=now(),
    )
    assert tuple(result.check for result in results) == CHECKS
    assert all(result.message and result.seconds >= 0 for result in results)
    return {result.check: result.result for result in results}


async def test_all_checks_pass_on_a_sound_plane(kube_plane: Plane, member: MemberClient):
    assert await checks(kube_plane, member) == dict.fromkeys(CHECKS, "Passed")
    assert await member.store.list(NAMESPACE, labels=VERIFICATION_LABEL) == ()


async def test_a_child_that_is_down_makes_every_check_unknown(kube_plane: Plane):
    url = f"https://127.0.0.1:{free_port()}"
    async with MemberClient(kube_plane.kubeconfig(url=url)) as gone:
        found = await checks(kube_plane, gone, endpoint=url, uid="some")
    assert found == dict.fromkeys(CHECKS, "Unknown")


async def test_an_identity_without_rights_fails_what_it_cannot_see(kube_plane: Plane):
    async with MemberClient(kube_plane.kubeconfig("nobody")) as nobody:
        found = await checks(kube_plane, nobody, uid="some")
    assert (found["identity"], found["namespace-lifecycle"]) == ("Failed", "Failed")


async def test_the_served_version_is_compared_at_a_component_boundary(member: MemberClient):
    assert (await check_version(member, "v1.36"))[0] == "Passed"
    result, message = await check_version(member, "v1.35")
    assert (result, "serves v1.36.4 and not v1.35" in message) == ("Failed", True)
    assert (await check_version(member, "v1.36.5"))[0] == "Failed"


async def test_another_identity_fails_and_none_pinned_is_unknown(member: MemberClient):
    result, message = await check_identity(member, "0000-other")
    assert (result, "0000-other" in message) == ("Failed", True)
    assert (await check_identity(member, ""))[0] == "Unknown"


@pytest.mark.parametrize(
    ("grant", "seen"),
    [
        ({"nonResourceURLs": ["/api", "/apis"], "verbs": ["get"]}, "GET /api 200"),
        ({"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}, "GET /api/v1/secrets?limit=1 200"),
    ],
)
async def test_a_plane_that_answers_strangers_fails(
    exposed_url: str, kube_plane: Plane, member: MemberClient, grant, seen
):
    # Anonymous requests are let in, and RBAC gives them nothing: as managed clusters do it.
    assert (await check_anonymous(exposed_url, kube_plane.ca))[0] == "Passed"
    rbac = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{rbac}/v1", "metadata": {"name": "strangers"}}
    made = [
        await member.store.apply({**head, "kind": "ClusterRole", "rules": [grant]}),
        await member.store.apply(
            {
                **head,
                "kind": "ClusterRoleBinding",
                "roleRef": {"apiGroup": rbac, "kind": "ClusterRole", "name": "strangers"},
                "subjects": [{"apiGroup": rbac, "kind": "Group", "name": "system:unauthenticated"}],
            }
        ),
    ]
    try:
        for _ in range(50):  # The authoriser of the second API server learns of it by watching.
            result, message = await check_anonymous(exposed_url, kube_plane.ca)
            if result == "Failed":
                break
            await asyncio.sleep(0.1)
        assert result == "Failed"
        assert seen in message
        assert (await check_wrong_certificate(exposed_url, kube_plane.ca))[0] == "Passed"
    finally:
        for body in made:
            await member.store.delete(kind_of(body), None, "strangers", uid=body["metadata"]["uid"])
        for _ in range(50):
            if (await check_anonymous(exposed_url, kube_plane.ca))[0] == "Passed":
                break
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("check", [check_anonymous, check_wrong_certificate])
async def test_nobody_at_the_endpoint_and_a_stranger_there_are_no_refusal(kube_plane: Plane, check):
    """A failed connection proves nothing, and a failed handshake neither when it is we who do not know the server."""
    with pytest.raises(Unreachable, match="cannot be reached"):
        await check(f"https://127.0.0.1:{free_port()}", kube_plane.ca)
    with pytest.raises(Unreachable, match="pinned authority"):
        await check(kube_plane.url, Authority().pem)


async def test_what_a_crashed_run_left_behind_is_removed_and_what_is_not_ours_is_not(member: MemberClient):
    left = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": "atoll-verify-left", "labels": {VERIFICATION_LABEL: "true"}},
    }
    other = {**left, "metadata": {**left["metadata"], "name": "atoll-verify-other"}}
    young = await member.store.create(left)
    await member.store.create(other)

    result, message = await check_namespaces(member, "left", now())
    assert result == "Passed", message
    assert (await member.store.get(NAMESPACE, None, "atoll-verify-left")) is None
    assert (await member.store.get(NAMESPACE, None, "atoll-verify-other")) is not None

    later = now() + datetime.timedelta(minutes=10)
    assert (await check_namespaces(member, "third", later))[0] == "Passed"
    for _ in range(100):
        if await member.store.get(NAMESPACE, None, "atoll-verify-other") is None:
            break
        await asyncio.sleep(0.1)
    assert await member.store.list(NAMESPACE, labels=VERIFICATION_LABEL) == ()

    theirs = await member.store.create({**left, "metadata": {"name": "atoll-verify-theirs"}})
    result, message = await check_namespaces(member, "theirs", later)
    assert result == "Unknown"
    assert "is not ours" in message
    assert await member.store.get(NAMESPACE, None, "atoll-verify-theirs") is not None
    await member.store.delete(NAMESPACE, None, "atoll-verify-theirs", uid=theirs["metadata"]["uid"])
    with pytest.raises(Conflict):
        await member.store.delete(NAMESPACE, None, "kube-system", uid=young["metadata"]["uid"])
