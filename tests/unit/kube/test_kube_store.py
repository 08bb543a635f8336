from __future__ import annotations

import asyncio
import gc
import json
import socket
import threading
import time
from types import MappingProxyType

import pytest

from atoll.errors import AtollError, BadInput, Conflict, Refused, Retryable, Throttled, Unreachable
from atoll.kube.connect import Connection
from atoll.kube.kinds import CONFIG_MAP, NAMESPACE, SECRET, TENANT
from atoll.kube.store import Store
from atoll.kube.transport import HttpTransport, Request, Response

from .authority import Authority
from .server import answer, bomb, cut, drop, flood, hang, redirect, refuse, say

SETTINGS = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "it", "namespace": "here"},
    "data": {"a": "1"},
}


async def test_a_request_names_us_and_carries_the_token_and_no_wish_for_compression(store, server):
    server.answers(answer(SETTINGS))

    assert await store.get(CONFIG_MAP, "here", "it") == SETTINGS

    (asked,) = server.asked
    assert (asked.method, asked.path) == ("GET", "/api/v1/namespaces/here/configmaps/it")
    assert asked.headers["authorization"] == "Bearer canary-token"
    assert asked.headers["user-agent"] == "atoll/0.1.0"
    assert asked.headers["accept-encoding"] == "identity"


async def test_an_object_that_is_not_there_reads_as_none(store, server):
    server.answers(refuse(404, "not found"))
    assert await store.get(CONFIG_MAP, "here", "it") is None


async def test_apply_is_a_server_side_apply_with_manager_and_force(store, server):
    server.answers(answer(SETTINGS))
    frozen = MappingProxyType({**SETTINGS, "data": MappingProxyType({"a": "1"})})

    await store.apply(frozen, "atoll-tenants")

    (asked,) = server.asked
    assert (asked.method, asked.path) == ("PATCH", "/api/v1/namespaces/here/configmaps/it")
    assert asked.query == {"fieldManager": "atoll-tenants", "force": "true"}
    assert asked.headers["content-type"] == "application/apply-patch+yaml"
    assert asked.body == SETTINGS


async def test_apply_of_a_status_goes_to_the_subresource(store, server):
    server.answers(answer(SETTINGS))
    body = {"apiVersion": "atoll.dev/v1alpha1", "kind": "Tenant", "metadata": {"name": "a", "namespace": "fleet"}}
    await store.apply(body, "atoll-status", subresource="status", force=False)
    assert server.asked[0].path == "/apis/atoll.dev/v1alpha1/namespaces/fleet/tenants/a/status"
    assert server.asked[0].query["force"] == "false"


async def test_apply_if_changed_writes_only_when_something_changes(store, server):
    server.answers(answer(SETTINGS))
    owned = {"manager": "atoll", "operation": "Apply", "fieldsV1": {"f:data": {"f:a": {}}}}
    observed = {**SETTINGS, "metadata": {**SETTINGS["metadata"], "managedFields": [owned]}}

    assert await store.apply_if_changed(SETTINGS, observed) is None
    assert server.asked == []
    assert await store.apply_if_changed({**SETTINGS, "data": {"a": "2"}}, observed) == SETTINGS
    assert await store.apply_if_changed(SETTINGS, None) == SETTINGS
    assert [asked.method for asked in server.asked] == ["PATCH", "PATCH"]


async def test_a_delete_always_names_the_uid(store, server):
    server.answers(answer({"kind": "Status"}))

    assert await store.delete(NAMESPACE, None, "a", uid="u-1", resource_version="7", propagation="Foreground")

    assert server.asked[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u-1", "resourceVersion": "7"},
        "propagationPolicy": "Foreground",
    }
    with pytest.raises(Refused, match="without its UID"):
        await store.delete(NAMESPACE, None, "a", uid="")
    assert len(server.asked) == 1


async def test_deleting_what_is_gone_is_no_failure_and_another_of_its_name_is_a_conflict(store, server):
    server.answers(refuse(404, "gone"))
    assert await store.delete(NAMESPACE, None, "a", uid="u-1") is False
    server.answers(refuse(409, "Precondition failed: UID in precondition: u-1, UID in object meta: u-2", "Conflict"))
    with pytest.raises(Conflict, match="UID in precondition"):
        await store.delete(NAMESPACE, None, "a", uid="u-1")
    assert len(server.asked) == 1


async def test_a_delete_whose_answer_was_lost_is_asked_again(store, server):
    server.answers(drop, refuse(404, "gone"))
    assert await store.delete(NAMESPACE, None, "a", uid="u-1") is False


async def test_a_list_reads_all_pages_and_names_the_kind_of_each_item(store, server):
    def page(name: str, token: str):
        return answer({"metadata": {"continue": token}, "items": [{"metadata": {"name": name}}]})

    server.answers(page("a", "next"), page("b", ""))

    found = await store.list(SECRET, "here", "app=x")

    assert found == tuple({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}} for name in "ab")
    assert [asked.query for asked in server.asked] == [
        {"limit": "500", "labelSelector": "app=x"},
        {"limit": "500", "labelSelector": "app=x", "continue": "next"},
    ]


async def test_a_list_whose_snapshot_expired_starts_over(store, server):
    first = answer({"metadata": {"continue": "old"}, "items": [{"metadata": {"name": "a"}}]})
    whole = answer({"items": [{"metadata": {"name": "b"}}]})
    server.answers(first, refuse(410, "too old", "Expired"), whole)
    assert [item["metadata"]["name"] for item in await store.list(SECRET)] == ["b"]


async def test_a_kind_that_the_server_does_not_know_is_no_empty_list(store, server):
    server.answers(refuse(404, "the server could not find the requested resource"))
    with pytest.raises(Refused, match="does not know tenants"):
        await store.list(TENANT)
    assert await store.list(TENANT, missing_ok=True) == ()
    with pytest.raises(Refused, match="does not know tenants"):
        await store.count(TENANT)


async def test_counting_fetches_one_object(store, server):
    server.answers(answer({"metadata": {"remainingItemCount": 41, "continue": "x"}, "items": [{"metadata": {}}]}))
    assert await store.count(CONFIG_MAP, "here") == 42
    assert server.asked[0].query == {"limit": "1"}


async def test_a_list_of_odd_things_is_no_list(store, server):
    server.answers(answer({"items": [{"metadata": "x"}]}))
    with pytest.raises(Unreachable, match="is no object"):
        await store.list(SECRET)


async def test_a_token_is_asked_for_by_token_request(store, server):
    server.answers(answer({"metadata": {}, "status": {"token": "t-1", "expirationTimestamp": "2026-11-21T10:00:00Z"}}))
    got = await store.create_token("atoll-system", "viewer", seconds=600, audiences=("api",))
    assert got == ("t-1", "2026-11-21T10:00:00Z")
    assert server.asked[0].path == "/api/v1/namespaces/atoll-system/serviceaccounts/viewer/token"
    assert server.asked[0].body["spec"] == {"expirationSeconds": 600, "audiences": ["api"]}


@pytest.mark.parametrize(
    ("script", "error", "message"),
    [
        (refuse(400, "bad"), Refused, "answered 400: bad"),
        (refuse(401, "Unauthorized"), Refused, "answered 401: Unauthorized"),
        (refuse(403, "forbidden: needs a role"), Refused, "answered 403: forbidden: needs a role"),
        (refuse(403, "unable", causes=[{"reason": "NamespaceTerminating"}]), Conflict, "answered 403: unable"),
        (refuse(404, "namespaces here not found"), Conflict, "not there"),
        (refuse(409, "conflict"), Conflict, "answered 409"),
        (refuse(422, "spec.x: Invalid value"), Refused, "spec.x: Invalid value"),
        (refuse(429, "slow down", Retry_After="7"), Throttled, "slow down"),
        (refuse(503, "starting", Retry_After="7"), Throttled, "starting"),
        (refuse(500, "etcdserver: request timed out"), Unreachable, "request timed out"),
        (refuse(500, "failed to create typed patch object (x): .foo: field not declared"), Refused, "not declared"),
        (refuse(503, "no Retry-After"), Unreachable, "answered 503"),
        (say("<html>Welcome"), Unreachable, "no JSON object"),
        (say("[1]"), Unreachable, "no JSON object"),
        (say("[" * 100_000), Unreachable, "no JSON object"),
        (cut, Unreachable, "cut off its answer"),
        (drop, Unreachable, "did not answer"),
        (redirect, Refused, "redirects are not followed"),
        (bomb, Refused, "compressed"),
        (flood, Refused, "more than"),
    ],
)
async def test_each_fault_of_a_server_becomes_one_of_our_errors(server, script, error, message):
    connection = Connection.from_kubeconfig(server.kubeconfig())
    transport = HttpTransport(connection, answer_limit=1 << 20)
    store = Store(connection, transport=transport, seconds=2.0, backoff_seconds=0.001)
    server.answers(script)
    with pytest.raises(error, match=message) as caught:
        await store.apply(SETTINGS)
    assert type(caught.value) is error
    if isinstance(caught.value, Throttled):
        assert caught.value.delay == 7.0
    await transport.close()


async def test_a_server_that_never_answers_costs_the_time_out_and_no_more(server):
    store = Store(Connection.from_kubeconfig(server.kubeconfig()), seconds=0.2, backoff_seconds=0.001)
    server.answers(hang)
    started = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.2 s"):
        await store.create(SETTINGS)
    assert time.monotonic() - started < 1.0
    await store.close()


async def test_nobody_at_the_port_is_unreachable(server):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    connection = Connection.from_kubeconfig(server.kubeconfig(server=f"https://127.0.0.1:{port}"))
    store = Store(connection, backoff_seconds=0.001)
    with pytest.raises(Unreachable, match=r"Connect call failed|refused"):
        await store.get(CONFIG_MAP, "here", "it")
    await store.close()


async def test_a_server_of_another_authority_gets_no_request(server):
    store = Store(Connection.from_kubeconfig(server.kubeconfig(ca=Authority("other").pem)), backoff_seconds=0.001)
    server.answers(answer(SETTINGS))
    with pytest.raises(Unreachable, match="pinned authority"):
        await store.get(CONFIG_MAP, "here", "it")
    assert server.asked == []
    await store.close()


async def test_reads_are_tried_again_and_refusals_are_not(store, server):
    server.answers(cut, refuse(500, "hm"), answer(SETTINGS))
    assert await store.get(CONFIG_MAP, "here", "it") == SETTINGS
    server.answers(refuse(429, "soon", Retry_After="0"), answer(SETTINGS))
    assert await store.get(CONFIG_MAP, "here", "it") == SETTINGS
    server.answers(refuse(403, "no"))
    with pytest.raises(Refused):
        await store.get(CONFIG_MAP, "here", "it")
    assert len(server.asked) == 1


async def test_a_read_that_is_told_to_wait_long_hands_that_to_the_caller(store, server):
    server.answers(refuse(429, "later", Retry_After="3600"))
    with pytest.raises(Throttled) as caught:
        await store.get(CONFIG_MAP, "here", "it")
    assert caught.value.delay == 300.0
    assert len(server.asked) == 1


async def test_applies_are_repeated_after_no_answer_and_creates_are_not(store, server):
    server.answers(cut, drop, answer(SETTINGS))
    assert await store.apply(SETTINGS) == SETTINGS
    assert len(server.asked) == 3
    server.answers(cut, answer(SETTINGS))
    with pytest.raises(Unreachable):
        await store.create(SETTINGS)
    assert len(server.asked) == 1


async def test_writes_that_are_told_to_wait_are_not_repeated(store, server):
    server.answers(refuse(429, "soon", Retry_After="0"), answer(SETTINGS))
    with pytest.raises(Throttled):
        await store.apply(SETTINGS)
    assert len(server.asked) == 1


async def test_a_raw_get_returns_whatever_was_answered(store, server):
    server.answers(say("[-]etcd failed", status=500))
    assert await store.raw_get("/readyz") == (500, "[-]etcd failed")
    assert len(server.asked) == 1


async def test_no_more_requests_are_in_flight_than_allowed(server):
    class Counting:
        def __init__(self) -> None:
            self.now = self.most = 0

        async def send(self, request: Request) -> Response:
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.005)
            self.now -= 1
            return Response(status=200, body=b'{"metadata": {}}')

    transport = Counting()
    store = Store(Connection.from_kubeconfig(server.kubeconfig()), transport=transport, concurrency=3)
    await asyncio.gather(*(store.get(CONFIG_MAP, "here", str(number)) for number in range(20)))
    assert transport.most == 3


async def test_no_secret_appears_in_an_error_about_a_secret(store, server):
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "x", "namespace": "here"},
        "stringData": {"k": "canary"},
    }
    causes = [{"field": "data[k]", "message": "Invalid value: canary"}]
    server.answers(refuse(422, 'Secret "x" is invalid: data[k]: Invalid value: "canary"', "Invalid", causes))
    with pytest.raises(Refused, match=r"Invalid data\[k\]") as caught:
        await store.apply(body)
    assert "canary" not in str(caught.value) + repr(caught.value.__cause__)
    assert "canary" not in repr(store.connection)


async def test_words_of_a_server_come_as_one_bounded_printable_line(store, server):
    server.answers(refuse(400, "a\x1b[31m\nb" + "x" * 10_000))
    with pytest.raises(Refused) as caught:
        await store.apply(SETTINGS)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 800


async def test_a_name_cannot_lead_to_another_path(store):
    for name in ("..", ".", "a/b", "a%2fb", "a\nb"):
        with pytest.raises(BadInput):
            await store.get(NAMESPACE, None, name)


async def test_every_fault_leaves_no_connection_behind(server):
    connection = Connection.from_kubeconfig(server.kubeconfig())
    before = threading.active_count()
    for script in (cut, drop, hang, redirect, flood, say("no json")):
        transport = HttpTransport(connection, answer_limit=1 << 16)
        store = Store(connection, transport=transport, seconds=0.2, backoff_seconds=0.001)
        server.answers(script)
        with pytest.raises(AtollError):
            await store.get(CONFIG_MAP, "here", "it")
        await transport.close()
    await asyncio.sleep(0)
    gc.collect()  # filterwarnings turn an unclosed session or socket into a failure
    assert threading.active_count() <= before + 1


def test_every_error_that_may_help_to_ask_again_says_when():
    assert json.dumps(Unreachable("x").delay) == "5.0"
    assert issubclass(Throttled, Retryable)
