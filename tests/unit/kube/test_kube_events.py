from __future__ import annotations

import datetime

from atoll.kube.connect import Connection
from atoll.kube.events import BURST, EventRecorder
from atoll.kube.store import Store

from .server import answer, hang, refuse

NOW = datetime.datetime(2026, 11, 21, 9, 0, tzinfo=datetime.UTC)
TENANT = {
    "apiVersion": "atoll.dev/v1alpha1",
    "kind": "Tenant",
    "metadata": {"name": "a", "namespace": "fleet", "uid": "u-1", "resourceVersion": "7"},
}
WRITTEN = {"metadata": {"name": "x"}}


def after(**passed: float) -> datetime.datetime:
    return NOW + datetime.timedelta(**passed)


async def test_an_event_says_what_about_whom_and_by_whom(store, server):
    server.answers(answer(WRITTEN))
    recorder = EventRecorder(store, instance="host-1")

    assert await recorder.record(
        TENANT, reason="Placed", note="a stands\non b", now=NOW, action="Place", type="Warning"
    )

    (asked,) = server.asked
    assert asked.path == "/apis/events.k8s.io/v1/namespaces/fleet/events"
    assert asked.body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"generateName": "a-", "namespace": "fleet"},
        "regarding": {
            "apiVersion": "atoll.dev/v1alpha1",
            "kind": "Tenant",
            "name": "a",
            "namespace": "fleet",
            "uid": "u-1",
            "resourceVersion": "7",
        },
        "reason": "Placed",
        "note": "a stands on b",
        "type": "Warning",
        "action": "Place",
        "eventTime": "2026-11-21T09:00:00.000000Z",
        "reportingController": "atoll.dev/operator",
        "reportingInstance": "host-1",
    }


async def test_the_same_event_is_written_once_in_ten_minutes(store, server):
    server.answers(answer(WRITTEN))
    recorder = EventRecorder(store, instance="i")

    async def record(moment, note="n"):
        return await recorder.record(TENANT, reason="R", note=note, now=moment)

    written = [await record(NOW), await record(after(minutes=9)), await record(after(minutes=9), "other")]
    assert [*written, await record(after(minutes=10))] == [True, False, True, True]
    assert len(server.asked) == 3


async def test_one_object_cannot_flood_and_does_not_silence_others(store, server):
    server.answers(answer(WRITTEN))
    recorder = EventRecorder(store, instance="i")
    other = {**TENANT, "metadata": {**TENANT["metadata"], "uid": "u-2"}}

    written = [await recorder.record(TENANT, reason="R", note=str(number), now=NOW) for number in range(BURST + 5)]
    assert written == [True] * BURST + [False] * 5
    assert await recorder.record(other, reason="R", note="n", now=NOW)
    assert await recorder.record(TENANT, reason="R", note="later", now=after(seconds=61))
    assert not await recorder.record(TENANT, reason="R", note="too soon", now=after(seconds=62))


async def test_an_event_that_cannot_be_written_is_logged_and_hurts_nobody(server, caplog):
    async with Store(Connection.from_kubeconfig(server.kubeconfig()), seconds=0.1) as store:
        recorder = EventRecorder(store, instance="i")
        for number, script in enumerate((refuse(403, "no rights"), hang)):
            server.answers(script)
            assert not await recorder.record(TENANT, reason="R", note=str(number), now=NOW)
    assert ["no rights" in caplog.text, "no answer within" in caplog.text] == [True, True]


async def test_long_notes_and_odd_names_fit_into_the_limits_of_the_server(store, server):
    server.answers(answer(WRITTEN))
    about = {"kind": "ClusterRole", "metadata": {"name": "system:" + "x" * 240}}
    await EventRecorder(store, instance="i" * 300).record(about, reason="R", note="ä" * 5000, now=NOW)
    body = server.asked[0].body
    assert len(body["note"].encode()) <= 1024
    assert len(body["reportingInstance"]) == 128
    assert body["metadata"]["generateName"].startswith("system-xxx")
    assert body["metadata"]["namespace"] == "default"
