"""A snapshot is believed only if its seal, its pages and its figures are in order."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.planes.etcd import PAGE_BYTES, SnapshotStatus, check_seal, check_snapshot_status, parse_snapshot_status
from atoll.planes.operations import begin_journal, plan_steps, resume_journal
from atoll.ports import Operation, OperationType

STATUS = SnapshotStatus(hash=5, revision=40, total_keys=30, size_bytes=4096)
PAGES = b"etcd" * (PAGE_BYTES // 2)
SEALED = PAGES + hashlib.sha256(PAGES).digest()


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("snapshots") / "one.db"


@given(st.integers(0, len(SEALED) * 8 - 1))
def test_a_single_flipped_bit_breaks_the_seal(path: Path, bit: int) -> None:
    path.write_bytes(SEALED)
    assert check_seal(path) == ""
    flipped = bytearray(SEALED)
    flipped[bit // 8] ^= 1 << bit % 8
    path.write_bytes(flipped)
    assert check_seal(path) == "its content does not match the checksum that etcd wrote behind it"


@given(st.integers(1, len(SEALED) - 1))
def test_a_snapshot_that_was_cut_off_is_none(path: Path, length: int) -> None:
    path.write_bytes(SEALED[:length])
    assert check_seal(path) != ""


def test_an_empty_or_missing_snapshot_is_none(path: Path) -> None:
    path.write_bytes(b"")
    assert check_seal(path) == "it is empty"
    assert check_seal(path.with_name("none.db")) == "it cannot be read: No such file or directory"


def test_what_etcdutl_says_is_read() -> None:
    text = b'{"hash":5,"revision":40,"totalKey":30,"totalSize":4096,"version":"3.6.0"}\n'
    assert parse_snapshot_status(text) == STATUS
    for other in (b"", b"{}", b"[]", b'{"hash": null, "revision": 1, "totalKey": 1, "totalSize": 1}'):
        with pytest.raises(ValueError, match=r"."):
            parse_snapshot_status(other)


@pytest.mark.parametrize(
    ("status", "before", "expected"),
    [
        (STATUS, 40, ""),
        (STATUS, 39, ""),
        (STATUS, 41, "it is of revision 40, and etcd had 41 before it was taken"),
        (replace(STATUS, total_keys=0), 0, "its total keys is 0"),
        (replace(STATUS, revision=0), 0, "its revision is 0"),
        (replace(STATUS, hash=0), 0, "its hash is 0"),
    ],
)
def test_a_snapshot_without_content_or_older_than_the_question_is_none(
    status: SnapshotStatus, before: int, expected: str
) -> None:
    assert check_snapshot_status(status, before) == expected


@pytest.mark.parametrize(
    ("kind", "done", "expected"),
    [
        (OperationType.DRILL, 0, "take a snapshot of etcd"),
        (OperationType.DRILL, 4, "take a snapshot of etcd"),
        (OperationType.DRILL, 5, "remove the restored plane"),
        (OperationType.CHANGE, 3, "take a snapshot of etcd"),
        (OperationType.CHANGE, 4, "verify the snapshot"),
        (OperationType.CHANGE, 7, "verify the snapshot"),
        (OperationType.CHANGE, 8, "remove the restored plane"),
        (OperationType.CHANGE, 9, "keep the snapshot"),
        (OperationType.CHANGE, 11, "hand over"),
    ],
)
def test_a_drill_that_was_cut_short_begins_again_and_nothing_else_does(
    kind: OperationType, done: int, expected: str
) -> None:
    journal = begin_journal(Operation(id="one", type=kind, to_version="v1.36.4"), drills=True)
    plan = plan_steps(kind, drills=True)
    resumed = resume_journal(replace(journal, steps_done=done, step=plan[done].name))
    assert (resumed.step, plan[resumed.steps_done].name) == (expected, expected)


def test_only_a_change_that_asks_for_it_drills() -> None:
    """A snapshot becomes the one that a revert brings back only after it has proved itself, and before the hop."""
    names = [step.name for step in plan_steps(OperationType.CHANGE, drills=True)]
    plain = [step.name for step in plan_steps(OperationType.CHANGE, drills=False)]
    order = [
        "prove the restored plane",
        "remove the restored plane",
        "keep the snapshot",
        "start the new kube-apiserver",
    ]
    assert [name for name in names if name in order] == order
    assert [name for name in plain if name not in names] == []
    assert not set(order[:3]) & set(plain)
    assert plan_steps(OperationType.REVERT, drills=True) == plan_steps(OperationType.REVERT, drills=False)
