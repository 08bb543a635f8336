"""`atoll audit`: what is whole is said in a line, what is not with the number of the record and what to do."""

import io
import json
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from atoll.cli.audit_model import Chain, build_chain, check, read_export, write_checked, write_export, write_records
from atoll.cli.audit_view import render_checked, render_records
from atoll.cli.main import main
from atoll.errors import BadInput
from atoll.rollout.audit import AuditEntry, begin, link
from atoll.rollout.audit_pages import Page, build_page

UID = "6a1b"
NOW = datetime(2026, 11, 21, 20, 0, 0, tzinfo=UTC)


def write(count):
    end, lines = begin(UID), []
    for number in range(1, count + 1):
        entry = AuditEntry(
            time=NOW, event="MemberTold", message=f"to v1.36.{number}", wave="canary", cluster=f"c{number}", by="anna"
        )
        line, end = link(entry, end)
        lines.append(line)
    return lines, str(end) if count else ""


def rollout(head, name="web-1"):
    return {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": name, "namespace": "fleet", "uid": UID},
        "status": {"auditHead": head},
    }


def build(lines, head, split=3):
    parts = [lines[:split], lines[split:]]
    bodies = [
        build_page(Page(name=f"web-1-audit-{n}", number=n, lines=tuple(part)), rollout(head))
        for n, part in enumerate(parts, start=1)
        if part
    ]
    return build_chain(rollout(head), reversed(bodies))


def texts(lines):
    return [line.plain for line in lines]


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as ended:
        main(["audit", *arguments])
    out, err = capsys.readouterr()
    return ended.value.code, out, err


def test_a_whole_record_is_one_line():
    lines, head = write(5)

    assert texts(render_checked([check(build(lines, head))])) == [f"✓ web-1  5 records, head 5:{head[2:14]}"]


def test_a_break_is_told_with_its_number_its_configmap_and_what_to_do():
    lines, head = write(5)
    lines[3] = lines[3].replace("c4", "c9")

    told = texts(render_checked([check(build(lines, head))]))

    assert told[:2] == [
        "✗ web-1  5 records, broken",
        "    Changed  record 4 was changed after it was written, or is none of Atoll's (ConfigMap web-1-audit-2)",
    ]
    assert told[2].startswith("    → Find out who wrote to it")


def test_a_configmap_that_was_taken_away_leaves_a_gap():
    lines, head = write(5)
    chain = build(lines, head)
    without = Chain(fleet="fleet", name="web-1", uid=UID, head=head, lines=chain.lines[3:], places=chain.places[1:])

    assert texts(render_checked([check(without)]))[1] == (
        "    Missing  records 1 to 3 are missing (ConfigMap web-1-audit-2)"
    )


def test_records_after_the_head_are_a_remark_and_no_break():
    lines, _ = write(5)
    _, head = write(4)
    checked = check(build(lines, head))

    assert checked.verdict.intact
    assert texts(render_checked([checked]))[1] == (
        "    ! 1 record stands after the head: the operator was stopped between two writes, and goes on from there."
    )


def test_a_head_that_was_taken_away_is_told():
    lines, _ = write(3)
    chain = replace(build(lines, ""), state="Running")

    assert [finding.kind for finding in check(chain).verdict.findings] == ["BadHead"]
    assert check(replace(chain, state="")).verdict.intact
    assert check(replace(chain, lines=())).verdict.intact


def test_a_rollout_without_records_is_told_as_such():
    assert texts(render_checked([check(build([], ""))])) == ["· web-1  no records"]


def test_programs_get_the_same_in_json():
    lines, head = write(4)
    whole, cut = check(build(lines, head)), check(build(lines[:2], head))

    assert write_checked([whole, cut])["rollouts"] == [
        {
            "fleet": "fleet",
            "rollout": "web-1",
            "uid": UID,
            "result": "Intact",
            "records": 4,
            "head": head,
            "unacknowledged": 0,
            "findings": [],
        },
        {
            "fleet": "fleet",
            "rollout": "web-1",
            "uid": UID,
            "result": "Broken",
            "records": 2,
            "head": head,
            "unacknowledged": 0,
            "findings": [
                {
                    "kind": "Truncated",
                    "seq": 3,
                    "place": "",
                    "message": "the last 2 records are missing: they end with 2, and status.auditHead names 4",
                    "remedy": cut.verdict.findings[0].remedy,
                }
            ],
        },
    ]


def test_records_are_shown_one_a_line_and_obeyed_by_no_terminal():
    lines, head = write(2)
    lines.append("\x1b[2J nonsense")

    assert texts(render_records(build(lines, head))) == [
        "1  2026-11-21 20:00:00  MemberTold      canary/c1  to v1.36.1  (by anna)",
        "2  2026-11-21 20:00:00  MemberTold      canary/c2  to v1.36.2  (by anna)",
        "3  ✗ this line is no record as Atoll writes it",
    ]
    assert write_records(build(lines, head))[2] == {"unreadable": "\x1b[2J nonsense"}


@given(st.integers(0, 8))
def test_an_export_reads_back_as_what_it_was(count):
    lines, head = write(count)
    chain = build(lines, head)

    again = read_export("kept.jsonl", write_export(chain).encode())

    assert (again.fleet, again.name, again.uid, again.head, again.lines) == ("fleet", "web-1", UID, head, chain.lines)
    assert check(again).verdict == check(chain).verdict


def test_a_kept_file_is_checked_without_a_cluster(capsys, tmp_path, monkeypatch):
    lines, head = write(5)
    kept = tmp_path / "web-1.jsonl"
    kept.write_text(write_export(build(lines, head)))
    broken = tmp_path / "broken.jsonl"
    content = bytearray(kept.read_bytes())
    content[-20] ^= 0x80
    broken.write_bytes(content)

    assert run(capsys, "verify", "-f", str(kept)) == (0, f"✓ web-1  5 records, head 5:{head[2:14]}\n", "")
    code, out, _ = run(capsys, "verify", "-f", str(kept), "-f", str(broken), "-o", "json")
    assert code == 1
    assert [item["result"] for item in json.loads(out)["rollouts"]] == ["Intact", "Broken"]
    (finding,) = json.loads(out)["rollouts"][1]["findings"]
    assert (finding["kind"], finding["seq"], finding["place"]) == ("Changed", 5, str(broken))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(kept.read_bytes())))
    assert run(capsys, "verify", "-f", "-")[0] == 0


@pytest.mark.parametrize("content", [b"", b"{}\n", b"[]", b"\xff\xfe", b'{"format": "atoll.dev/audit/v1", "uid": 3}'])
def test_a_file_of_another_kind_is_refused_with_what_it_should_be(content):
    with pytest.raises(BadInput, match="does not begin as `atoll audit export` writes it"):
        read_export("some.txt", content)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["verify", "-f", "does/not/exist"], "error: does/not/exist cannot be read: No such file or directory"),
        (["verify", "web-1", "--all"], "Give either one rollout or --all."),
        (["verify", "web-1", "-f", "x"], "Give either files or a rollout of the cluster."),
        (["verify", "--kubeconfig", "/does/not/exist"], "error: no kubeconfig can be read at /does/not/exist"),
    ],
)
def test_what_cannot_be_done_is_said_and_ends_with_two(capsys, arguments, told):
    code, _, err = run(capsys, *arguments)

    assert code == 2
    assert told in err
