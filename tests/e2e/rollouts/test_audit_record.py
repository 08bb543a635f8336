"""The record of a rollout on a real API server: kept whole by us, and found broken when anybody else touches it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from atoll.fleet.audit import AuditEntry
from atoll.kube.connect import Connection
from atoll.kube.store import Store
from atoll.shell.audit import append
from tests.e2e.api.conftest import NEWEST, Server, install_crds, serving

pytestmark = pytest.mark.e2e

NOW = datetime(2026, 11, 21, 20, 0, 0, tzinfo=UTC)
NUMBERS = count(1)


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An API server with our kinds, and nobody who writes but the tests."""
    with serving(NEWEST, tmp_path_factory.mktemp("audit")) as server:
        install_crds(server)
        server.must("create", "namespace", "fleet")
        yield server


@pytest.fixture
async def store(plane: Server) -> AsyncIterator[Store]:
    async with Store(Connection.from_kubeconfig(plane.kubeconfig.read_text(), trusted=True)) as opened:
        yield opened


class Record:
    """One Rollout of the test, its record, and what people do to it."""

    def __init__(self, plane: Server, store: Store) -> None:
        self.plane = plane
        self.store = store
        self.name = f"web-{next(NUMBERS)}"
        self.head = ""
        body = {
            "apiVersion": "atoll.dev/v1alpha1",
            "kind": "Rollout",
            "metadata": {"name": self.name, "namespace": "fleet"},
            "spec": {
                "setName": "web",
                "target": {"version": "v1.36.4", "revision": "r1"},
                "waves": [{"name": "canary", "clusters": ["dev"]}],
            },
        }
        self.body = json.loads(plane.must("create", "-o", "json", "-f", "-", body=body))

    async def write(self, entries: Sequence[AuditEntry], *, acknowledge: bool = True) -> None:
        """Append, and let the status say so, as the operator does."""
        head = await append(self.store, "fleet", self.body, entries, self.head)
        if acknowledge:
            self.set_head(head)

    def set_head(self, head: str) -> None:
        patch = json.dumps({"status": {"auditHead": head}})
        self.plane.must(
            "patch", "rollout", self.name, "-n", "fleet", "--subresource=status", "--type=merge", "-p", patch
        )
        self.head = head

    def page(self, number: int = 1) -> Any:
        return self.plane.get("configmap", f"{self.name}-audit-{number}", "-n", "fleet")

    def tamper(self, old: str, new: str, number: int = 1) -> None:
        """Change what a ConfigMap says, as anybody can who may edit ConfigMaps."""
        text = self.page(number)["data"]["records"]
        assert old in text
        patch = json.dumps({"data": {"records": text.replace(old, new)}})
        self.plane.must("patch", "configmap", f"{self.name}-audit-{number}", "-n", "fleet", "--type=merge", "-p", patch)

    def audit(self, verb: str, *arguments: str, named: bool = True) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-P", "-m", "atoll.cli.main", "audit", verb, *([self.name] if named else [])]
        return subprocess.run(
            [*argv, *arguments, "--kubeconfig", str(self.plane.kubeconfig), "-n", "fleet"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def find(self) -> list[tuple[str, int, str]]:
        """Return what `atoll audit verify` finds: kind, number and place."""
        done = self.audit("verify", "-o", "json")
        (found,) = json.loads(done.stdout)["rollouts"]
        assert done.returncode == (0 if found["result"] == "Intact" else 1), done.stderr
        return [(finding["kind"], finding["seq"], finding["place"]) for finding in found["findings"]]


@pytest.fixture
def record(plane: Server, store: Store) -> Record:
    return Record(plane, store)


def told(*names: str, **more: str) -> list[AuditEntry]:
    values = {"message": "to v1.36.4", **more}
    return [AuditEntry(time=NOW, event="MemberTold", wave="canary", cluster=name, **values) for name in names]


async def test_a_record_is_kept_shown_and_checked_also_far_from_its_cluster(record: Record, tmp_path: Path) -> None:
    await record.write(told("a", "b"))
    await record.write(told("c", by="anna"))

    assert record.audit("verify").stdout == f"✓ {record.name}  3 records, head {record.head[:14]}\n"
    shown = record.audit("show")
    assert shown.stdout.splitlines()[2] == "3  2026-11-21 20:00:00  MemberTold      canary/c  to v1.36.4  (by anna)"
    assert record.page()["metadata"]["labels"] == {
        "app.kubernetes.io/managed-by": "atoll",
        "atoll.dev/audit": record.name,
    }
    (owner,) = record.page()["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Rollout", record.name, record.body["metadata"]["uid"])
    kept = tmp_path / "kept.jsonl"
    kept.write_text(record.audit("export").stdout)
    record.tamper('"b"', '"x"')
    assert record.audit("verify", "-f", str(kept), named=False).returncode == 0
    assert record.audit("verify").returncode == 1


async def test_two_writers_at_once_lose_nothing_and_repeat_nothing(record: Record) -> None:
    await record.write(told("a"))

    async with Store(Connection.from_kubeconfig(record.plane.kubeconfig.read_text(), trusted=True)) as other:
        heads = await asyncio.gather(
            append(record.store, "fleet", record.body, told("b", "both"), record.head),
            append(other, "fleet", record.body, told("c", "both"), record.head),
        )
    record.set_head(max(heads, key=lambda head: int(head.partition(":")[0])))

    lines = record.page()["data"]["records"].splitlines()
    assert sorted(json.loads(line)["cluster"] for line in lines) == ["a", "b", "both", "c"]
    assert record.find() == []


async def test_an_operator_that_was_stopped_before_the_status_goes_on_where_it_was(record: Record) -> None:
    await record.write(told("a"))
    await record.write(told("b", "c"), acknowledge=False)

    stopped = record.audit("verify")
    assert (stopped.returncode, "2 records stand after the head" in stopped.stdout) == (0, True)
    await record.write(told("b", "c"))

    assert record.audit("verify").stdout == f"✓ {record.name}  3 records, head {record.head[:14]}\n"


async def test_a_flipped_byte_is_found(record: Record) -> None:
    await record.write(told("a", "b", "c"))
    record.tamper('"cluster":"b"', '"cluster":"c"')

    assert record.find() == [("Changed", 2, f"ConfigMap {record.name}-audit-1")]
    done = record.audit("verify")
    assert f"record 2 was changed after it was written, or is none of Atoll's (ConfigMap {record.name}-audit-1)" in (
        done.stdout
    )
    # What comes after does not cover it up.
    await record.write(told("d"))
    assert record.find() == [("Changed", 2, f"ConfigMap {record.name}-audit-1")]


async def test_a_dropped_record_is_found(record: Record) -> None:
    await record.write(told("a", "b", "c"))
    line = record.page()["data"]["records"].splitlines(keepends=True)[1]
    record.tamper(line, "")

    assert record.find() == [("Missing", 2, f"ConfigMap {record.name}-audit-1")]


async def test_a_truncated_record_is_found(record: Record) -> None:
    await record.write(told("a", "b", "c"))
    record.tamper("".join(record.page()["data"]["records"].splitlines(keepends=True)[1:]), "")

    assert record.find() == [("Truncated", 2, "")]


async def test_a_configmap_that_was_deleted_is_found(record: Record) -> None:
    await record.write(told("a", "b", "c"))
    record.plane.must("delete", "configmap", f"{record.name}-audit-1", "-n", "fleet")

    assert record.find() == [("Truncated", 1, "")]


async def test_a_head_that_was_changed_is_found(record: Record) -> None:
    await record.write(told("a", "b", "c"))
    good = record.head
    record.set_head("3:" + "0" * 64)
    assert record.find() == [("Rewritten", 3, "")]
    record.set_head("three")
    assert record.find() == [("BadHead", 0, "")]
    record.set_head(good)
    assert record.find() == []


async def test_a_full_configmap_lets_nobody_change_it_and_the_next_goes_on(record: Record) -> None:
    names = [f"c{number}" for number in range(1, 401)]
    await record.write(told(*names[:150]))
    await record.write(told(*names[150:]))

    first, second = record.page(1), record.page(2)
    assert (first.get("immutable"), second.get("immutable")) == (True, None)
    assert len(first["data"]["records"]) <= 64 * 1024
    lines = [*first["data"]["records"].splitlines(), *second["data"]["records"].splitlines()]
    assert [json.loads(line)["cluster"] for line in lines] == names
    patch = json.dumps({"data": {"records": "nothing"}})
    refused = record.plane.kubectl(
        "patch", "configmap", f"{record.name}-audit-1", "-n", "fleet", "--type=merge", "-p", patch
    )
    assert "field is immutable when `immutable` is set" in refused.err
    assert record.find() == []


async def test_all_rollouts_of_a_fleet_are_checked_together(plane: Server, store: Store) -> None:
    whole, broken, empty = Record(plane, store), Record(plane, store), Record(plane, store)
    await whole.write(told("a"))
    await broken.write(told("a"))
    broken.tamper("1.36.4", "1.36.5")

    done = whole.audit("verify", "--all", named=False)

    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith(f"✓ {whole.name} ") and "  1 record, head 1:" in line for line in lines)
    assert any(line.startswith(f"✗ {broken.name} ") and line.endswith("  1 record, broken") for line in lines)
    assert any(line.startswith(f"· {empty.name} ") and line.endswith("  no records") for line in lines)
    missing = whole.audit("verify", "web-0", named=False)
    assert (missing.returncode, "there is no Rollout web-0 in fleet fleet; there is: web-" in missing.stderr) == (
        2,
        True,
    )
