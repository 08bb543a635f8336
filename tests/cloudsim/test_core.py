"""The core of the stand-ins: a small cloud that keeps words, seen through plain HTTP."""

from __future__ import annotations

import http.client
import json
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from urllib.error import HTTPError

import pytest

from .backing import LightBacking, Person
from .core import Answer, Ask, Faults, How, StandIn, page, run_cloud


class Words(StandIn):
    """Keeps words: PUT /words/<word>, GET /words."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []

    def recognise(self, ask: Ask) -> Ask | None:
        if not ask.path.startswith("/words"):
            return None
        word = ask.path.removeprefix("/words").lstrip("/")
        return replace(ask, name="PutWord" if ask.method == "PUT" else "ListWords", subject=word)

    def admit(self, ask: Ask) -> Answer | None:
        return None if ask.headers.get("Authorization") == "friend" else Answer(status=401, body={"who": "are you?"})

    def perform(self, ask: Ask) -> Answer:
        if ask.name == "PutWord":
            self.words.append(ask.subject + (" (broken)" if ask.broken else ""))
            return Answer(status=201)
        words, following = page([(word, word) for word in self.words], dict(ask.query).get("page", ""), 2)
        return Answer(body={"words": words, "next": following})

    def explain(self, how: How, ask: Ask) -> Answer:
        headers = {"Retry-After": f"{self.faults.retry_after_seconds:g}"} if how == "throttled" else {}
        return Answer(status=429 if how == "throttled" else 503, body={"how": how}, headers=headers)

    def unknown(self, ask: Ask) -> Answer:
        return Answer(status=404, body={})

    def authenticate(self, key: str, token: str) -> Person | None:
        return Person(name="ann", groups=("staff",)) if (key, token) == ("one", "good") else None


@pytest.fixture
def cloud() -> Iterator[Words]:
    with run_cloud(Words()) as cloud:
        yield cloud


def ask(cloud: Words, method: str, path: str, *, who: str = "friend", body: Any = None) -> tuple[int, Any]:
    content = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(cloud.url + path, content, {"Authorization": who}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"null")


def test_calls_are_done_and_remembered(cloud: Words) -> None:
    assert ask(cloud, "PUT", "/words/fish") == (201, None)
    assert ask(cloud, "GET", "/words", who="stranger") == (401, {"who": "are you?"})
    assert [(call.name, call.subject, call.status) for call in cloud.calls] == [
        ("PutWord", "fish", 201),
        ("ListWords", "", 401),
    ]
    assert (cloud.count("PutWord"), cloud.count("ListWords", good=True)) == (1, 0)
    assert cloud.protests == []


def test_a_call_that_the_cloud_does_not_have_is_protested(cloud: Words) -> None:
    assert ask(cloud, "PATCH", "/deeds")[0] == 404
    assert cloud.protests == ["there is no call PATCH /deeds"]


def test_lists_come_in_pages_that_stand_still_when_things_come_and_go(cloud: Words) -> None:
    cloud.words = ["eel", "cod", "ant", "bee"]
    status, first = ask(cloud, "GET", "/words")
    assert (status, first["words"]) == (200, ["ant", "bee"])
    cloud.words = ["aaa", "eel", "cod", "bee"]
    assert ask(cloud, "GET", f"/words?page={first['next']}") == (200, {"words": ["cod", "eel"], "next": ""})


def test_a_strange_page_token_is_refused() -> None:
    for token in ("%", "bm9uZQ=="):
        with pytest.raises(ValueError, match="no token of ours"):
            page([("a", 1)], token, 2)


def test_a_lost_call_does_nothing_and_a_cut_one_does_its_work(cloud: Words) -> None:
    for how, word in (("lost", "one"), ("cut", "two")):
        cloud.faults.fail("PutWord", how)  # type: ignore[arg-type]
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            ask(cloud, "PUT", f"/words/{word}")
    assert cloud.words == ["two"]
    assert [call.status for call in cloud.calls] == [0, 0]


def test_planned_faults_come_as_often_as_planned_and_broken_ones_are_accepted(cloud: Words) -> None:
    cloud.faults.fail("PutWord", "unavailable", times=2)
    cloud.faults.fail("*", "broken")
    assert [ask(cloud, "PUT", "/words/a")[0] for _ in range(3)] == [503, 503, 201]
    assert cloud.words == ["a (broken)"]
    assert cloud.faults.pending == {}


def test_every_second_call_is_throttled(cloud: Words) -> None:
    cloud.faults.throttle_every = 2
    assert [ask(cloud, "GET", "/words")[0] for _ in range(6)] == [200, 429] * 3


def test_a_call_that_hangs_holds_up_no_other_and_ends_with_its_connection(cloud: Words) -> None:
    cloud.faults.fail("PutWord", "hang")
    hanging = http.client.HTTPConnection(cloud.url.removeprefix("http://"), timeout=0.2)
    hanging.request("PUT", "/words/never", headers={"Authorization": "friend"})
    with pytest.raises(TimeoutError):
        hanging.getresponse()
    assert ask(cloud, "GET", "/words") == (200, {"words": [], "next": ""})
    hanging.close()
    assert cloud.words == []


def test_latency_is_that_of_each_call_and_calls_run_side_by_side(cloud: Words) -> None:
    cloud.faults.latency_seconds = 0.3
    start = time.monotonic()
    threads = [threading.Thread(target=ask, args=(cloud, "PUT", f"/words/{n}")) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0.3 <= time.monotonic() - start < 8 * 0.3
    assert len(cloud.words) == 8


def test_an_unknown_kind_of_fault_is_refused() -> None:
    with pytest.raises(ValueError, match="none of throttled"):
        Faults().fail("PutWord", "explodes")  # type: ignore[arg-type]


def test_tokens_are_reviewed_beside_the_api_without_faults(cloud: Words) -> None:
    cloud.faults.fail("*", "error")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "good"}}
    status, good = ask(cloud, "POST", "/_token-review/one", body=review)
    assert (status, good["status"]) == (
        200,
        {"authenticated": True, "user": {"username": "ann", "uid": "", "groups": ["staff"]}},
    )
    assert not ask(cloud, "POST", "/_token-review/two", body=review)[1]["status"]["authenticated"]
    assert cloud.calls == []


def test_light_clusters_have_an_address_each_and_no_process() -> None:
    backing = LightBacking()
    assert backing.endpoint("a") is None
    backing.begin("a", "1.35")
    backing.begin("b", "1.36")
    first = backing.endpoint("a")
    backing.begin("a", "1.36")
    assert first is not None
    assert first == backing.endpoint("a") != backing.endpoint("b")
    assert backing.versions == {"a": "1.35", "b": "1.36"}
    backing.end("a")
    assert (backing.endpoint("a"), backing.is_settled("a")) == (None, True)
