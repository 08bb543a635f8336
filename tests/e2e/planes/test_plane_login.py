"""People log in with tokens of an issuer of their own: they get what bindings give them, and never anybody else's name.

The issuer is the test's: a TLS server on loopback whose key signs the tokens.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from plane_kit import NEW, OLD, CallLoop, Plane

from atoll.fleet.authentication import (
    build_authentication_configuration,
    digest_authentication,
    digest_file,
    render_authentication,
)
from atoll.planes import pki
from atoll.planes.commands import find_authentication
from atoll.planes.planes import Planes
from atoll.planes.values import Role
from atoll.ports import OperationType
from tests.support.issuer import Issuer, make_key

pytestmark = pytest.mark.e2e

ROLE = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "readers", "namespace": "payments"},
    "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"]}],
}
BINDING = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "RoleBinding",
    "metadata": {"name": "readers", "namespace": "payments"},
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "readers"},
    "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "payments-devs"}],
}
CONFIG_MAPS = "/api/v1/namespaces/payments/configmaps"
WHO_AM_I = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Issuer]:
    with Issuer(tmp_path_factory.mktemp("issuer")) as issuer:
        yield issuer


@pytest.fixture(scope="module", params=[OLD, NEW])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def plane(planes: Planes, issuer: Issuer, version: str) -> Iterator[Plane]:
    plane = Plane(planes, f"login-{version.split('.')[1]}")
    text = render_authentication(issuer.authentication())
    asyncio.run(plane.run(OperationType.CREATE, version, authentication=text))
    plane.kubectl("create", "namespace", "payments")
    plane.kubectl("apply", "--filename=-", text="\n---\n".join(json.dumps(body) for body in (ROLE, BINDING)))
    plane.kubectl("create", "configmap", "kept", "--from-literal=a=1")
    yield plane
    asyncio.run(planes.remove(plane.id))


def ask(plane: Plane, token: str, path: str, body: Any = None) -> tuple[int, dict[str, Any]]:
    """Make one call with a token and nothing else."""
    context = ssl.create_default_context(cafile=str(plane.layout.authority(pki.CLUSTER_AUTHORITY)))
    connection = http.client.HTTPSConnection("127.0.0.1", plane.state.ports.api, context=context, timeout=10)
    try:
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def read(plane: Plane, token: str) -> int:
    return ask(plane, token, CONFIG_MAPS)[0]


def wait_until(check: Callable[[], bool], *, seconds: float = 30.0) -> float:
    """Wait for what an API server does in its own time; return how long it took."""
    start = time.monotonic()
    while not check():
        assert time.monotonic() - start < seconds, "it did not come about in time"
        time.sleep(0.1)
    return time.monotonic() - start


def test_a_member_of_a_group_can_do_what_the_groups_binding_says_and_nothing_else(plane: Plane, issuer: Issuer) -> None:
    token = issuer.token("ada@example.test", "payments-devs", "everybody")
    wait_until(lambda: read(plane, token) == 200)
    status, body = ask(plane, token, WHO_AM_I, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    assert status == 201
    who = body["status"]["userInfo"]
    assert (who["username"], set(who["groups"])) == (
        "ada@example.test",
        {"payments-devs", "everybody", "system:authenticated"},
    )
    assert ask(plane, token, CONFIG_MAPS, {"metadata": {"name": "mine"}})[0] == 403
    assert ask(plane, token, "/api/v1/namespaces/payments/secrets")[0] == 403
    assert ask(plane, token, "/api/v1/namespaces/default/configmaps")[0] == 403
    assert read(plane, issuer.token("ada@example.test", "others")) == 403
    assert read(plane, issuer.token("payments-devs")) == 403, "a user of a group's name is not the group"
    assert read(plane, issuer.token("ada@example.test", groups="payments-devs")) == 200, "one group may be a plain text"


def test_nobody_gets_in_whose_token_is_not_good(plane: Plane, issuer: Issuer) -> None:
    wait_until(lambda: read(plane, issuer.token("ada", "payments-devs")) == 200)
    now = int(time.time())
    bad = {
        "another audience": issuer.token("ada", "payments-devs", aud="somebody-else"),
        "no audience": issuer.token("ada", "payments-devs", aud=None),
        "expired": issuer.token("ada", "payments-devs", exp=now - 60),
        "no end": issuer.token("ada", "payments-devs", exp=None),
        "not yet": issuer.token("ada", "payments-devs", nbf=now + 3600),
        "another signer": issuer.token("ada", "payments-devs", signer=make_key()),
        "another issuer": issuer.token("ada", "payments-devs", iss="https://issuer.example.test"),
        "no user": issuer.token(None, "payments-devs"),
        "an empty user": issuer.token("", "payments-devs"),
        "no token": "",
        "nonsense": "a.b.c",
    }
    assert {why: read(plane, token) for why, token in bad.items()} == dict.fromkeys(bad, 401)


@pytest.mark.parametrize(
    "user",
    [
        "system:admin",
        "system:kube-controller-manager",
        "system:apiserver",
        "system:serviceaccount:atoll-system:payments-admin",
        "system:node:h1",
        "system:",
        "atoll",
        "atoll-bootstrap",
        "atoll.dev:operators",
        "kubernetes-admin",
        "kubernetes-super-admin",
        "kubeadm:anything",
    ],
)
def test_no_token_can_bear_a_name_of_kubernetes_or_of_atoll(plane: Plane, issuer: Issuer, user: str) -> None:
    assert read(plane, issuer.token(user, "payments-devs")) == 401


@pytest.mark.parametrize(
    "group",
    [
        "system:masters",
        "system:nodes",
        "system:serviceaccounts",
        "system:authenticated",
        pki.OPERATORS_GROUP,
        "kubeadm:cluster-admins",
    ],
)
def test_no_token_can_bear_a_group_of_kubernetes_or_of_atoll(plane: Plane, issuer: Issuer, group: str) -> None:
    assert read(plane, issuer.token("ada", group)) == 401
    assert read(plane, issuer.token("ada", "payments-devs", group)) == 401, "nor beside a good one"
    assert read(plane, issuer.token("ada", groups=group)) == 401, "nor as a plain text"


def test_names_that_only_look_reserved_are_people(plane: Plane, issuer: Issuer) -> None:
    wait_until(lambda: read(plane, issuer.token("ada", "payments-devs")) == 200)
    for user in ("atoll2", "Atoll", "my:system:x", "system"):
        assert read(plane, issuer.token(user, "payments-devs")) == 200


async def test_what_is_in_force_is_told_and_readable_by_its_owner_alone(plane: Plane, issuer: Issuer) -> None:
    observed = await plane.planes.observe(plane.id)
    assert (observed.authentication, observed.drift) == (digest_authentication(issuer.authentication()), ())
    path = find_authentication(plane.process(Role.API_SERVER).argv)
    assert path is not None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_file_changed_by_hand_is_seen_and_written_again(plane: Plane, issuer: Issuer) -> None:
    path = find_authentication(plane.process(Role.API_SERVER).argv)
    assert path is not None
    before = plane.process(Role.API_SERVER).pid
    token = issuer.token("mallory", "system:masters")
    unguarded = build_authentication_configuration(issuer.authentication())
    del unguarded["jwt"][0]["userValidationRules"]
    path.write_text(json.dumps(unguarded))
    seconds = await asyncio.to_thread(wait_until, lambda: read(plane, token) == 200, seconds=90)
    print(f"\nan API server takes a changed file within {seconds:.1f} s, and without our rules masters are masters")
    observed = await plane.planes.observe(plane.id)
    assert observed.authentication == digest_file(json.dumps(unguarded))
    assert [f"{path} was changed by hand: a change writes it again"] == list(observed.drift)

    text = render_authentication(issuer.authentication())
    await plane.run(OperationType.CHANGE, plane.state.spec.version, "mend", authentication=text)
    await asyncio.to_thread(wait_until, lambda: read(plane, token) == 401, seconds=90)
    assert (await plane.planes.observe(plane.id)).drift == ()
    assert plane.process(Role.API_SERVER).pid == before


async def test_the_issuer_is_changed_and_withdrawn_without_a_failed_call(
    plane: Plane, issuer: Issuer, tmp_path: Path
) -> None:
    served = plane.state.spec.version
    old = issuer.token("ada", "payments-devs")
    with Issuer(tmp_path / "other") as other:
        new = other.token("bob", "payments-devs")
        assert (read(plane, old), read(plane, new)) == (200, 401)
        with CallLoop(plane) as loop:
            wish = other.authentication()
            seconds = await plane.run(OperationType.CHANGE, served, "other", authentication=render_authentication(wish))
            took = await asyncio.to_thread(wait_until, lambda: read(plane, new) == 200)
        print(f"\nanother issuer: {seconds:.1f} s, its tokens {took:.1f} s later; {len(loop.seconds)} calls")
        assert loop.failures == []
        assert read(plane, old) == 401
        assert (await plane.planes.observe(plane.id)).authentication == digest_authentication(wish)
        assert len(list(plane.layout.pki.glob("authentication-*"))) == 1

        with CallLoop(plane) as loop:
            await plane.run(OperationType.CHANGE, served, "none")
        assert loop.failures == []
        assert (read(plane, old), read(plane, new)) == (401, 401)
        assert (await plane.planes.observe(plane.id)).authentication == ""
        assert list(plane.layout.pki.glob("authentication-*")) == []
    assert find_authentication(plane.process(Role.API_SERVER).argv) is None


async def test_an_issuer_that_is_down_harms_nobody_else(plane: Plane, tmp_path: Path) -> None:
    """It is down when the API server starts, comes, and goes again."""
    served = plane.state.spec.version
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    issuer = Issuer(tmp_path / "late", port=port)
    token = issuer.token("ada", "payments-devs")
    text = render_authentication(issuer.authentication())
    with CallLoop(plane) as loop:
        await plane.run(OperationType.CHANGE, served, "late", authentication=text)
        assert read(plane, token) == 401
        with issuer:
            took = await asyncio.to_thread(wait_until, lambda: read(plane, token) == 200, seconds=60)
        print(f"\nan issuer that comes late is known {took:.1f} s later")
        await asyncio.sleep(1)
    assert loop.failures == []
    assert (await plane.planes.observe(plane.id)).ready
    assert read(plane, issuer.token("bob", "payments-devs")) == 200, "its key is known already"


async def test_a_configuration_that_no_api_server_takes_fails_and_leaves_the_old_one_serving(plane: Plane) -> None:
    before = plane.process(Role.API_SERVER)
    wish = {"oidc": {"issuerURL": "http://issuer.example.test", "clientID": "x"}}
    with CallLoop(plane) as loop, pytest.raises(Exception, match="URL scheme must be https"):
        await plane.run(
            OperationType.CHANGE, plane.state.spec.version, "bad", authentication=render_authentication(wish)
        )
    assert loop.failures == []
    assert plane.process(Role.API_SERVER) == before


async def test_a_revert_brings_back_how_people_logged_in_before(planes: Planes, issuer: Issuer) -> None:
    plane = Plane(planes, "login-back")
    first = issuer.authentication()
    await plane.run(OperationType.CREATE, OLD, authentication=render_authentication(first))
    try:
        await plane.run(OperationType.CHANGE, NEW)
        assert (await planes.observe(plane.id)).authentication == ""
        await plane.run(OperationType.REVERT, OLD)
        observed = await planes.observe(plane.id)
        assert (observed.version, observed.authentication, observed.ready) == (OLD, digest_authentication(first), True)
    finally:
        await planes.remove(plane.id)
