"""Who uses APIs that go, as a plane's audit log tells it."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.planes.audit_use import Use, find_tenant, gather_uses, list_files, parse_use, read_uses
from atoll.providers.local import judge_uses, measure_folder

TIME = datetime(2026, 11, 21, 20, 30, 1, 462959, tzinfo=UTC)
RECORDED: dict[str, Any] = {
    "kind": "Event",
    "apiVersion": "audit.k8s.io/v1",
    "level": "Metadata",
    "auditID": "8e24c620-62dd-485f-b249-c12f2030af7b",
    "stage": "ResponseComplete",
    "requestURI": "/apis/resource.k8s.io/v1beta1/namespaces/payments--prod/resourceclaims",
    "verb": "list",
    "user": {
        "username": "system:serviceaccount:atoll-system:payments--developer",
        "groups": ["system:serviceaccounts", "system:authenticated"],
    },
    "sourceIPs": ["127.0.0.1"],
    "userAgent": "payments-controller/1.4",
    "objectRef": {
        "resource": "resourceclaims",
        "namespace": "payments--prod",
        "apiGroup": "resource.k8s.io",
        "apiVersion": "v1beta1",
    },
    "responseStatus": {"metadata": {}, "code": 200},
    "requestReceivedTimestamp": "2026-11-21T20:30:01.461323Z",
    "stageTimestamp": "2026-11-21T20:30:01.462959Z",
    "annotations": {
        "authorization.k8s.io/decision": "allow",
        "k8s.io/deprecated": "true",
        "k8s.io/removed-release": "1.38",
    },
}
USE = Use(
    group="resource.k8s.io",
    version="v1beta1",
    resource="resourceclaims",
    removed="1.38",
    user="system:serviceaccount:atoll-system:payments--developer",
    agent="payments-controller/1.4",
    namespace="payments--prod",
    tenant="payments",
    environment="prod",
    time=TIME,
)
CONTROLLER = {
    "user": {"username": "system:serviceaccount:kube-system:namespace-controller"},
    "userAgent": "kube-controller-manager/v1.36.4 (linux/amd64) kubernetes/unknown/system:serviceaccount:kube-system",
}


def line(**changes: Any) -> bytes:
    return json.dumps({**RECORDED, **changes}).encode()


def at(time: datetime, **changes: Any) -> bytes:
    return line(stageTimestamp=time.isoformat(), **changes)


def test_a_recorded_entry_names_client_tenant_and_api() -> None:
    assert parse_use(line()) == USE
    assert USE.describe() == (
        "tenant payments (prod), user system:serviceaccount:atoll-system:payments--developer with "
        "payments-controller/1.4 in namespace payments--prod, last at 2026-11-21T20:30:01Z"
    )


@pytest.mark.parametrize(
    ("user", "namespace", "expected"),
    [
        ("jane", "payments--prod", ("payments", "prod")),
        ("jane", "payments--prod--batch", ("payments", "prod")),
        ("system:serviceaccount:payments--prod:app", "", ("payments", "prod")),
        ("system:serviceaccount:atoll-system:payments--viewer", "", ("payments", "")),
        ("system:serviceaccount:other:payments--viewer", "", ("", "")),
        ("jane", "default", ("", "")),
        ("payments--prod", "", ("", "")),
        ("jane", "--x", ("", "")),
    ],
)
def test_tenants_are_known_by_the_names_that_atoll_gives(user: str, namespace: str, expected: tuple[str, str]) -> None:
    assert find_tenant(user, namespace) == expected


def test_a_request_in_somebody_elses_name_is_theirs() -> None:
    use = parse_use(line(user={"username": "proxy"}, impersonatedUser={"username": "jane"}))
    assert use == replace(USE, user="jane")


def test_only_the_parts_of_kubernetes_are_its_own() -> None:
    own = parse_use(line(**CONTROLLER))
    addon = parse_use(line(user=CONTROLLER["user"], userAgent="metrics-server/0.8"))
    liar = parse_use(line(user={"username": "jane"}, userAgent=CONTROLLER["userAgent"]))
    assert [use.is_own for use in (own, addon, liar) if use] == [True, False, False]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'"k8s.io/removed-release"',
        b'["k8s.io/removed-release"]',
        b'{"annotations": {"k8s.io/removed-release": 1}}',
        line(objectRef=None),
        line(stageTimestamp="yesterday"),
        line(stageTimestamp=7),
        line(user={"username": ["jane"]}),
        line(annotations={"k8s.io/deprecated": "true"}),
        line(requestURI="x" * 70_000),
    ],
)
def test_an_entry_that_makes_no_sense_is_no_use(text: bytes) -> None:
    assert parse_use(text) is None


@given(st.binary(), st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner), max_leaves=5))
def test_nothing_in_a_log_breaks_the_parser(junk: bytes, value: Any) -> None:
    parse_use(junk + b'"k8s.io/removed-release"' + junk)
    for field in RECORDED:
        parse_use(line(**{field: value}))
    for part in ("user", "objectRef", "annotations"):
        for field in RECORDED[part]:
            use = parse_use(line(**{part: {**RECORDED[part], field: value}}))
            assert use is None or use.describe().isprintable()


def test_the_latest_use_of_each_client_is_kept_and_old_ones_are_not() -> None:
    since = TIME - timedelta(days=1)
    other = at(TIME - timedelta(hours=2), userAgent="other/1")
    lines = [at(TIME - timedelta(hours=1)), line(), at(since - timedelta(seconds=1), userAgent="mended/2"), other]
    assert gather_uses(lines, since=since) == (
        USE,
        replace(USE, agent="other/1", time=TIME - timedelta(hours=2)),
    )


def test_a_client_with_ever_new_names_fills_no_memory() -> None:
    assert len(gather_uses((line(userAgent=f"a/{number}") for number in range(1000)), since=TIME)) == 200


def test_the_newest_bytes_are_read_and_no_more(tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    old, older = tmp_path / "audit-2026-11-21T19-00-00.000.log", tmp_path / "audit-2026-11-20T19-00-00.000.log"
    log.write_bytes(line(userAgent="new/1") + b"\n")
    old.write_bytes(line(userAgent="lost/1") + b"\n" + line(userAgent="old/1") + b"\n")
    older.write_bytes(line(userAgent="older/1") + b"\n")
    os.utime(log, (TIME.timestamp(), TIME.timestamp()))
    assert list_files(log) == (log, old, older)
    assert {use.agent for use in read_uses(log)} == {"new/1", "lost/1", "old/1", "older/1"}
    bound = log.stat().st_size + len(line(userAgent="old/1")) + 10
    assert {use.agent for use in read_uses(log, bound)} == {"new/1", "old/1"}
    os.utime(log, (TIME.timestamp() + 100_000, TIME.timestamp() + 100_000))
    assert read_uses(log) == ()


def test_without_a_log_nobody_is_known(tmp_path: Path) -> None:
    assert read_uses(tmp_path / "log" / "audit.log") == ()


def test_a_change_is_held_up_by_what_it_takes_from_people_alone() -> None:
    own = parse_use(line(**CONTROLLER, objectRef={**RECORDED["objectRef"], "resource": "resourceslices"}))
    assert own is not None
    gone = replace(USE, resource="servicecidrs", removed="1.36")
    later = replace(USE, resource="devicetaintrules", removed="1.39")
    twice = replace(USE, agent="other/1")
    (finding,) = judge_uses([USE, own, gone, later, twice], "v1.36.4", "v1.38.0")
    assert finding.field == "api:resource.k8s.io/v1beta1/resourceclaims"
    assert f"used by {USE.describe()}; {twice.describe()}. Let" in finding.message
    assert judge_uses([USE], "v1.36.4", "v1.37.2") == ()
    assert judge_uses([USE], "", "v1.38.0") == ()


def test_a_folder_is_as_large_as_its_files(tmp_path: Path) -> None:
    (tmp_path / "member").mkdir()
    (tmp_path / "member" / "db").write_bytes(b"x" * 1000)
    (tmp_path / "wal").write_bytes(b"x" * 24)
    assert measure_folder(tmp_path) == 1024
    assert measure_folder(tmp_path / "absent") == 0
