"""What is asked at a border, and how the answers are judged."""

from __future__ import annotations

import pytest
from aiohttp import web

from atoll.fleet.borders import OWN_ATTEMPTS, PAIR_ATTEMPTS, BorderPlan, BorderSide
from atoll.kube.border_tries import judge, list_tries
from atoll.kube.borders import try_borders
from atoll.kube.member import MemberClient, digest_rights, list_bound_accounts

from .server import FakeServer, Handler, answer, drop, refuse, say

PLAN = BorderPlan(
    digest="d",
    sides={
        "a": BorderSide(tenant="a", namespaces=("a--dev", "a--prod"), accounts=("a--admin",)),
        "b": BorderSide(tenant="b", namespaces=("b--dev",), accounts=("b--admin",)),
    },
    pairs=(("a", "a"), ("b", "b"), ("a", "b"), ("b", "a")),
    quotas={"a--dev": "atoll"},
)
POLICY = "namespaces \"x\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'p' denied request: no"


@pytest.mark.parametrize(
    ("status", "message", "expected"),
    [
        (200, "", "Failed"),
        (201, "", "Failed"),
        (403, 'pods is forbidden: User "x" cannot list resource "pods"', "Passed"),
        (403, "exceeded quota: full, requested: 1, used: 0, limited: 0", "Unknown"),
        (403, "unable to create new content in namespace x because it is being terminated", "Unknown"),
        (422, POLICY, "Passed"),
        (422, "ConfigMap is invalid: data: Too long", "Unknown"),
        (401, "Unauthorized", "Unknown"),
        (404, "resourcequotas not found", "Unknown"),
        (409, "already exists", "Unknown"),
        (429, "too many requests", "Unknown"),
        (500, "etcdserver: request timed out", "Unknown"),
        (302, "", "Unknown"),
    ],
)
def test_only_rights_and_policies_make_a_border_green(status: int, message: str, expected: str) -> None:
    assert judge(status, message)[0] == expected


def test_every_request_is_harmless_should_it_succeed() -> None:
    tries = [
        item
        for subject, target in PLAN.pairs
        for attempt in (OWN_ATTEMPTS if subject == target else PAIR_ATTEMPTS)
        for item in list_tries(PLAN, subject, target, attempt)
    ]
    assert tries
    for item in tries:
        harmless = ("limit", "1") in item.query if item.method == "GET" else ("dryRun", "All") in item.query
        assert harmless, item


def test_a_pair_is_tried_in_all_namespaces_of_the_target() -> None:
    reads = [item.path for item in list_tries(PLAN, "b", "a", "reads")]
    assert reads == [
        f"/api/v1/namespaces/{place}/{what}"
        for place in ("a--dev", "a--prod")
        for what in ("configmaps", "secrets", "pods")
    ]


def test_an_own_quota_is_raised_and_deleted_by_its_name() -> None:
    tries = [(item.method, item.path) for item in list_tries(PLAN, "a", "a", "quota")]
    assert tries[:2] == [
        ("PATCH", "/api/v1/namespaces/a--dev/resourcequotas/atoll"),
        ("DELETE", "/api/v1/namespaces/a--dev/resourcequotas/atoll"),
    ]


def binding(**more: object) -> dict:
    subjects = [{"kind": "ServiceAccount", "name": "a--admin", "namespace": "atoll-system"}]
    return {
        "kind": "RoleBinding",
        "metadata": {"name": "x", "uid": "u", "resourceVersion": "1"},
        "subjects": subjects,
        **more,
    }


def test_rights_have_another_name_when_a_binding_changes_and_the_same_when_pods_come_and_go() -> None:
    quota = {"kind": "ResourceQuota", "metadata": {"name": "q", "uid": "q", "resourceVersion": "1"}}
    busy = {"kind": "ResourceQuota", "metadata": {"name": "q", "uid": "q", "resourceVersion": "9"}}
    changed = binding(metadata={"name": "x", "uid": "u", "resourceVersion": "2"})

    assert digest_rights([binding(), quota]) == digest_rights([busy, binding()])
    assert digest_rights([binding(), quota]) != digest_rights([changed, quota])
    assert digest_rights([binding(), quota]) != digest_rights([quota])


def test_accounts_that_others_bind_are_found_by_either_of_their_names() -> None:
    by_user = {"kind": "User", "name": "system:serviceaccount:atoll-system:b--viewer"}
    elsewhere = {"kind": "ServiceAccount", "name": "default", "namespace": "a--dev"}
    person = {"kind": "User", "name": "jo"}

    assert list_bound_accounts([binding(), binding(subjects=[by_user, elsewhere, person]), binding(subjects=None)]) == (
        "a--admin",
        "b--viewer",
    )


class Scene:
    """An API server that gives tokens to Atoll, and answers their bearers as it was told."""

    def __init__(self, *, own: Handler, others: Handler) -> None:
        self._own, self._others = own, others
        self.bearers: set[str] = set()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        bearer = request.headers["Authorization"].removeprefix("Bearer ")
        if bearer == "canary-token":
            assert request.path.startswith("/api/v1/namespaces/atoll-system/serviceaccounts/"), request.path
            account = request.path.split("/")[-2]
            return await answer({"metadata": {"name": account}, "status": {"token": f"token-of-{account}"}})(request)
        self.bearers.add(bearer)
        home = "/api/v1/namespaces/" + ("a--dev" if bearer == "token-of-a--admin" else "b--dev") + "/configmaps"
        first = request.path == home and request.method == "GET" and "Impersonate-User" not in request.headers
        return await (self._own if first else self._others)(request)


REFUSED = refuse(403, 'User "x" cannot list resource')
BROKEN = say("broken", status=503)


@pytest.mark.parametrize(
    ("own", "others", "expected"),
    [
        pytest.param(answer(), REFUSED, {"Passed"}, id="it lets in who lives there, and nobody else"),
        pytest.param(
            refuse(
                403,
                'configmaps is forbidden: User "system:serviceaccount:atoll-system:a--admin" cannot list, '
                'nor User "system:serviceaccount:atoll-system:b--admin"',
            ),
            REFUSED,
            {"Passed"},
            id="who may not even read its own is known by name all the same",
        ),
        pytest.param(
            refuse(
                403,
                'users "system:serviceaccount:atoll-system:a--admin", "system:serviceaccount:atoll-system:b--admin" '
                'are forbidden: User "atoll" cannot impersonate',
            ),
            REFUSED,
            {"Unknown"},
            id="it refuses us, and not them",
        ),
        pytest.param(answer(), answer(status=201), {"Failed"}, id="it lets everybody in"),
        pytest.param(refuse(401, "Unauthorized"), refuse(401, "Unauthorized"), {"Unknown"}, id="it knows no token"),
        pytest.param(REFUSED, REFUSED, {"Unknown"}, id="it refuses somebody else: the token was not looked at"),
        pytest.param(answer(), refuse(401, "Unauthorized"), {"Unknown"}, id="it forgets the token"),
        pytest.param(answer(), BROKEN, {"Unknown"}, id="it breaks"),
        pytest.param(BROKEN, BROKEN, {"Unknown"}, id="it is broken"),
        pytest.param(answer(), drop, {"Unknown"}, id="it hangs up"),
        pytest.param(answer(), say("", status=302), {"Unknown"}, id="it sends us elsewhere"),
    ],
)
async def test_only_a_token_that_is_known_and_refused_makes_a_border_green(
    server: FakeServer, own: Handler, others: Handler, expected: set[str]
) -> None:
    scene = Scene(own=own, others=others)
    server.answers(scene)

    async with MemberClient(server.kubeconfig()) as member:
        cells = await try_borders(member, PLAN)

    assert {cell.result for cell in cells if cell.attempt != "network"} == expected
    assert {cell.result for cell in cells if cell.attempt == "network"} == {"Unknown"}
    assert scene.bearers == {"token-of-a--admin", "token-of-b--admin"}, "each tries as itself, nobody as Atoll"
    assert all("token-of" not in cell.message for cell in cells), "no token in any message"
