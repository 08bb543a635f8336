"""Appending to a record: nothing twice, nothing lost, nothing taken away, whoever is stopped or writes beside us."""

import json
import ssl
from copy import deepcopy
from datetime import UTC, datetime

import pytest

from atoll.api.rights import build_fleet_rules
from atoll.errors import Conflict, Refused, Unreachable
from atoll.kube.connect import Connection
from atoll.kube.credentials import Login, StaticCredentials
from atoll.kube.store import Store
from atoll.kube.transport import Response
from atoll.rollout.audit import AuditEntry, link, parse_head, verify_chain
from atoll.rollout.audit_pages import PAGE_BYTES, join, read_pages
from atoll.shell.audit import append

NOW = datetime(2026, 11, 21, 20, 0, 0, tzinfo=UTC)
ROLLOUT = {
    "apiVersion": "atoll.dev/v1alpha1",
    "kind": "Rollout",
    "metadata": {"name": "web-1", "namespace": "fleet", "uid": "6a1b"},
}
PATH = "/api/v1/namespaces/fleet/configmaps"


class Server:
    """ConfigMaps of one namespace, as an API server keeps them; `before` may get in the way of each request."""

    def __init__(self):
        self.objects = {}
        self.version = 0
        self.asked = []
        self.before = lambda _request: None
        self.after = lambda _request: None

    async def send(self, request):
        self.before(request)
        answer = self.answer(request)
        self.asked.append((request.method, request.path.removeprefix(PATH)))
        self.after(request)
        return answer

    def answer(self, request):
        name = request.path.removeprefix(PATH).removeprefix("/")
        body = json.loads(request.body) if request.body else {}
        there = self.objects.get(name or body.get("metadata", {}).get("name"))
        if request.method == "GET" and not name:
            wanted = dict(request.query)["labelSelector"].split("=")
            items = [item for item in self.objects.values() if item["metadata"]["labels"].get(wanted[0]) == wanted[1]]
            return say(200, {"kind": "ConfigMapList", "metadata": {}, "items": items})
        if request.method == "GET":
            return say(200, there) if there else say(404, {"kind": "Status", "code": 404})
        if request.method == "POST":
            return say(409, {"kind": "Status", "code": 409}) if there else say(201, self.put(body))
        assert request.method == "PATCH", request.method
        if there is None or body["metadata"].get("resourceVersion") != there["metadata"]["resourceVersion"]:
            return say(409, {"kind": "Status", "code": 409})
        assert there.get("immutable") is not True
        return say(200, self.put(body))

    def put(self, body):
        self.version += 1
        kept = deepcopy(body)
        kept["metadata"]["resourceVersion"] = str(self.version)
        self.objects[kept["metadata"]["name"]] = kept
        return kept

    @property
    def lines(self):
        return join(read_pages("web-1", "6a1b", self.objects.values()))


def say(status, body):
    return Response(status=status, body=json.dumps(body).encode())


@pytest.fixture
def server():
    return Server()


@pytest.fixture
async def store(server):
    credentials = StaticCredentials(login=Login(tls=ssl.create_default_context()))
    connection = Connection(server="https://127.0.0.1:1", ca="", credentials=credentials)
    async with Store(connection, transport=server, backoff_seconds=0.0) as opened:
        yield opened


def told(*names, message="to v1.36.4"):
    return [AuditEntry(time=NOW, event="MemberTold", message=message, wave="all", cluster=name) for name in names]


def clusters(server):
    return [json.loads(line)["cluster"] for line in server.lines]


async def write(store, entries, head):
    return await append(store, "fleet", ROLLOUT, entries, head)


async def test_records_go_on_from_the_head(store, server):
    head = await write(store, told("a", "b"), "")
    assert server.asked == [("GET", "/web-1-audit-1"), ("POST", "")]
    head = await write(store, told("c"), head)

    assert clusters(server) == ["a", "b", "c"]
    assert verify_chain("6a1b", server.lines, head).intact
    assert head.startswith("3:")


async def test_what_is_asked_is_granted_and_nothing_else(store, server):
    head = await write(store, told("a"), "")
    await write(store, told("b"), head)
    server.objects.clear()
    await write(store, told("c"), head)

    (granted,) = [set(rule["verbs"]) for rule in build_fleet_rules() if rule["resources"] == ["configmaps"]]
    verbs = {("GET", True): "get", ("GET", False): "list", ("POST", False): "create", ("PATCH", True): "patch"}
    assert {verbs[method, bool(name)] for method, name in server.asked} == granted - {"watch"}


async def test_nothing_new_asks_nothing(store, server):
    head = await write(store, told("a"), "")
    server.asked.clear()

    assert await write(store, [], head) == head
    assert server.asked == []


async def test_what_no_status_has_acknowledged_is_not_written_twice(store, server):
    head = await write(store, told("a"), "")
    lost = await write(store, told("b", "c"), head)
    server.asked.clear()

    again = await write(store, told("b", "c"), head)

    assert again == lost
    assert server.asked == [("GET", "/web-1-audit-1")]
    assert await write(store, told("b", "c", "d"), head) != lost
    assert clusters(server) == ["a", "b", "c", "d"]


async def test_an_order_that_is_given_again_after_a_stop_stands_there_once(store, server):
    head = await write(store, told("a", "b"), "")

    assert await write(store, told("a", "b"), head) == head
    assert await write(store, told("b", message="to v1.37.0"), head) != head
    assert clusters(server) == ["a", "b", "b"]


async def test_a_second_writer_is_seen_and_its_records_are_kept(store, server):
    head = await write(store, told("a"), "")

    def meddle(request):
        server.before = lambda _request: None
        if request.method != "PATCH":
            server.before = meddle
            return
        other = deepcopy(server.objects["web-1-audit-1"])
        line, _ = link(told("x")[0], parse_head("6a1b", head))
        other["data"]["records"] += f"{line}\n"
        server.put(other)

    server.before = meddle
    after = await write(store, told("b", "x"), head)

    assert clusters(server) == ["a", "x", "b"]
    assert verify_chain("6a1b", server.lines, after).intact


async def test_a_writer_that_is_always_faster_is_given_way_to(store, server):
    head = await write(store, told("a"), "")
    server.asked.clear()

    def touch(request):
        if request.method == "PATCH":
            server.put(server.objects["web-1-audit-1"])

    server.before = touch
    with pytest.raises(Conflict):
        await write(store, told("b"), head)

    assert clusters(server) == ["a"]
    assert [method for method, _ in server.asked] == ["GET", "PATCH"] * 3


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_an_answer_that_is_lost_is_looked_for(store, server, method):
    head = await write(store, told("a"), "") if method == "PATCH" else ""

    def lose(request):
        if request.method == method:
            server.after = lambda _request: None
            raise Unreachable("cut off")

    server.after = lose
    head = await write(store, told("b", "c"), head)

    assert clusters(server)[-2:] == ["b", "c"]
    assert len(set(clusters(server))) == len(clusters(server))
    assert verify_chain("6a1b", server.lines, head).intact


async def test_a_server_that_never_answers_is_not_asked_for_ever(store, server):
    def lose(_request):
        raise Unreachable("cut off")

    server.after = lose
    with pytest.raises(Unreachable):
        await write(store, told("a"), "")
    assert server.objects == {}


def number(first, last):
    return [f"c{n}" for n in range(first, last + 1)]


async def test_a_full_page_is_closed_and_the_next_begun(store, server):
    head = ""
    for first, last in ((1, 998), (999, 999), (1000, 1001), (1002, 3000), (3001, 3001)):
        head = await write(store, told(*number(first, last)), head)

    assert clusters(server) == number(1, 3001)
    assert verify_chain("6a1b", server.lines, head).intact
    # A record takes some 290 bytes, so that a page is full by its bytes before it has a thousand.
    assert [body.get("immutable", False) for body in server.objects.values()] == [True] * (len(server.objects) - 1) + [
        False
    ]
    assert set(server.objects) == {f"web-1-audit-{n}" for n in range(1, len(server.objects) + 1)}
    assert all(len(body["data"]["records"]) <= PAGE_BYTES for body in server.objects.values())


async def test_a_stop_between_two_pages_loses_and_repeats_nothing(store, server):
    room = 600
    head = await write(store, told(*number(1, room)), "")

    def stop(request):
        if request.method == "POST":
            raise Refused("stopped here")

    server.before = stop
    with pytest.raises(Refused):
        await write(store, told(*number(room + 1, 1200)), head)
    server.before = lambda _request: None
    assert room < len(clusters(server)) < 1200

    head = await write(store, told(*number(room + 1, 1200)), head)
    assert clusters(server) == number(1, 1200)
    assert verify_chain("6a1b", server.lines, head).intact


async def test_a_break_stays_and_records_go_on_from_the_head_of_the_status(store, server):
    head = await write(store, told("a", "b", "c"), "")
    page = server.objects["web-1-audit-1"]
    page["data"]["records"] = page["data"]["records"].replace('"c"', '"x"')

    after = await write(store, told("d"), head)

    verdict = verify_chain("6a1b", server.lines, after)
    assert [(finding.kind, finding.seq) for finding in verdict.findings] == [("Changed", 3)]
    assert after.startswith("4:")


async def test_a_tail_that_was_cut_off_stays_missing(store, server):
    head = await write(store, told("a", "b", "c"), "")
    page = server.objects["web-1-audit-1"]
    page["data"]["records"] = page["data"]["records"].splitlines(keepends=True)[0]

    after = await write(store, told("d"), head)

    (finding,) = verify_chain("6a1b", server.lines, after).findings
    assert (finding.kind, finding.message) == ("Missing", "records 2 to 3 are missing")


async def test_a_page_that_was_deleted_stays_missing(store, server):
    head = await write(store, told("a", "b"), "")
    server.objects.clear()

    after = await write(store, told("c"), head)

    (finding,) = verify_chain("6a1b", server.lines, after).findings
    assert (finding.kind, finding.message) == ("Missing", "records 1 to 2 are missing")


async def test_a_page_of_an_earlier_rollout_of_the_same_name_is_left_alone(store, server):
    await append(store, "fleet", {**ROLLOUT, "metadata": {**ROLLOUT["metadata"], "uid": "old"}}, told("z"), "")
    before = deepcopy(server.objects["web-1-audit-1"])

    head = await write(store, told("a"), "")

    assert server.objects["web-1-audit-1"] == before
    assert clusters(server) == ["a"]
    assert verify_chain("6a1b", server.lines, head).intact


async def test_a_head_that_cannot_be_read_is_refused_before_anything_is_written(store, server):
    with pytest.raises(Refused, match=r"status.auditHead of Rollout fleet/web-1 is not"):
        await write(store, told("a"), "nonsense")
    assert server.asked == []
