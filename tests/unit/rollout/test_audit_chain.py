"""The chain of records: whatever is done to it is found, and nothing is found in one that nobody touched."""

import hashlib
import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atoll.rollout import audit
from atoll.rollout.audit import AuditEntry, Link, begin, link, list_tail, parse_head, read, verify_chain
from atoll.rollout.audit_pages import (
    PAGE_BYTES,
    Page,
    build_page,
    fill,
    first_number,
    join,
    page_name,
    read_page,
    read_pages,
)

from .builders import START

UID = "3f0c7f5e-6d0f-4a52-9f3e-0d8f5d1c2a11"
ROLLOUT = {"metadata": {"name": "s-1", "namespace": "fleet", "uid": UID}}


def entry(number=1, **more):
    values = {"time": START + timedelta(seconds=number), "event": "MemberTold", "message": f"to v1.36.{number}", **more}
    return AuditEntry(**values)


def write(entries, start=None):
    """Write entries as one chain; return its lines and its head."""
    end = start or begin(UID)
    lines = []
    for item in entries:
        line, end = link(item, end)
        lines.append(line)
    return lines, str(end)


def chain(length):
    return write([entry(number, cluster=f"c{number}", wave="prod") for number in range(1, length + 1)])


TEXTS = st.text(max_size=40)
ENTRIES = st.lists(
    st.builds(
        AuditEntry,
        time=st.integers(0, 10**8).map(lambda seconds: START + timedelta(seconds=seconds)),
        event=st.sampled_from(["Began", "MemberTold", "WaveDone"]),
        message=TEXTS,
        wave=TEXTS,
        cluster=TEXTS,
        by=TEXTS,
    ),
    min_size=1,
    max_size=12,
)


@given(ENTRIES)
def test_nothing_is_found_in_a_chain_that_nobody_touched(entries):
    lines, head = write(entries)

    verdict = verify_chain(UID, lines, head)

    assert verdict == audit.Verdict(records=len(entries), head=head)
    assert verdict.intact
    assert all("\n" not in line for line in lines)


@given(ENTRIES, st.data())
def test_any_changed_byte_is_found(entries, data):
    lines, head = write(entries)
    text = bytearray("".join(f"{line}\n" for line in lines).encode())
    where = data.draw(st.integers(0, len(text) - 2), label="position")
    text[where] ^= data.draw(st.integers(1, 255), label="flip")
    page = Page(name="s-1-audit-1", number=1)
    body = build_page(page, ROLLOUT)
    body["data"]["records"] = text.decode("utf-8", "surrogateescape")

    verdict = verify_chain(UID, read_page("s-1", body).lines, head)

    assert not verdict.intact


@given(ENTRIES, st.data())
def test_any_changed_byte_is_found_even_before_a_status_names_the_record(entries, data):
    lines, _ = write(entries)
    where = data.draw(st.integers(0, len(lines) - 1), label="line")
    text = bytearray(lines[where].encode())
    text[data.draw(st.integers(0, len(text) - 1), label="position")] ^= data.draw(st.integers(1, 255), label="flip")
    lines[where] = text.decode("utf-8", "surrogateescape")

    assert not verify_chain(UID, lines, "").intact


@given(st.integers(1, 12), st.data())
def test_any_dropped_record_is_found_by_its_number(length, data):
    lines, head = chain(length)
    where = data.draw(st.integers(0, length - 1))
    del lines[where]

    (finding,) = verify_chain(UID, lines, head).findings

    assert (finding.kind, finding.seq) == ("Truncated" if where == length - 1 else "Missing", where + 1)


@given(st.integers(2, 12), st.data())
def test_any_two_swapped_records_are_found(length, data):
    lines, head = chain(length)
    first, second = data.draw(st.lists(st.integers(0, length - 1), min_size=2, max_size=2, unique=True))
    lines[first], lines[second] = lines[second], lines[first]

    findings = verify_chain(UID, lines, head).findings

    assert findings
    assert {finding.kind for finding in findings} == {"OutOfOrder"}
    assert min(finding.seq for finding in findings) == min(first, second) + 1


@given(st.integers(1, 12), st.data())
def test_any_truncated_tail_is_found_with_what_is_missing(length, data):
    lines, head = chain(length)
    kept = data.draw(st.integers(0, length - 1))

    (finding,) = verify_chain(UID, lines[:kept], head).findings

    assert (finding.kind, finding.seq) == ("Truncated", kept + 1)
    assert f"they end with {kept}, and status.auditHead names {length}" in finding.message


@given(st.integers(1, 12), st.data())
def test_any_inserted_line_is_found(length, data):
    lines, head = chain(length)
    where = data.draw(st.integers(0, length - 1))
    before = read(lines[where - 1]) if where else None
    start = Link(before.seq, before.digest) if before else begin(UID)
    forged, _ = link(entry(message="approved by nobody", event="GateOpened"), start)
    extra = data.draw(st.sampled_from([forged, lines[where], "", "{}", "[" * 5000, '{"seq":' + "9" * 5000 + "}"]))
    lines.insert(where, extra)

    assert not verify_chain(UID, lines, head).intact


@given(st.integers(1, 12), st.data())
def test_any_record_that_another_took_the_place_of_is_found(length, data):
    lines, head = chain(length)
    where = data.draw(st.integers(0, length - 1))
    before = read(lines[where - 1]) if where else None
    start = Link(before.seq, before.digest) if before else begin(UID)
    lines[where], _ = link(entry(message="approved by nobody", event="GateOpened"), start)

    (finding,) = verify_chain(UID, lines, head).findings

    last = where == length - 1
    assert (finding.kind, finding.seq) == (("Rewritten", length) if last else ("Inserted", where + 2))


@given(st.integers(1, 12), st.data())
def test_records_written_anew_from_one_on_are_found_at_the_head(length, data):
    lines, head = chain(length)
    where = data.draw(st.integers(0, length - 1))
    before = read(lines[where - 1]) if where else None
    start = Link(before.seq, before.digest) if before else begin(UID)
    forged, _ = write([entry(number, message="nothing happened") for number in range(length - where)], start)

    (finding,) = verify_chain(UID, lines[:where] + forged, head).findings

    assert (finding.kind, finding.seq) == ("Rewritten", length)


def test_records_after_the_head_are_told_and_are_no_break():
    lines, _ = chain(5)
    _, head = chain(3)

    verdict = verify_chain(UID, lines, head)

    assert (verdict.intact, verdict.unacknowledged) == (True, 2)
    assert verify_chain(UID, lines, "").unacknowledged == 5


def test_the_records_of_another_rollout_are_told_as_such():
    lines, head = chain(3)

    (finding,) = verify_chain("another-uid", lines, head).findings

    assert (finding.kind, finding.seq, finding.line) == ("WrongRollout", 1, 1)


@pytest.mark.parametrize(
    "head",
    ["3", "3:", ":", "three:" + "0" * 64, "03:" + "0" * 64, "0:" + "0" * 64, "3:" + "0" * 63, "3:" + "A" * 64, " "],
)
def test_a_head_that_cannot_be_read_is_a_break(head):
    lines, _ = chain(3)

    assert [finding.kind for finding in verify_chain(UID, lines, head).findings] == ["BadHead"]
    assert parse_head(UID, head) is None


def test_no_records_and_no_head_is_a_rollout_that_has_none():
    assert verify_chain(UID, (), "") == audit.Verdict(records=0, head="")


def test_one_broken_line_is_told_once_and_named_by_its_number():
    lines, head = chain(6)
    lines[2] = lines[2].replace("v1.36.3", "v1.36.9")

    (finding,) = verify_chain(UID, lines, head).findings

    assert (finding.kind, finding.seq, finding.line) == ("Changed", 3, 3)
    assert finding.message == "record 3 was changed after it was written, or is none of Atoll's"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"seq":2', '"seq": 2'),
        ('"wave":"prod"}', '"wave":"prod" }'),
        ('"wave":"prod"', '"wave":"\\u0070rod"'),
        ('{"by":""', '{"by":"anna","by":""'),
    ],
)
def test_a_record_that_says_the_same_in_other_bytes_is_no_record_of_ours(old, new):
    lines, head = chain(3)
    assert old in lines[1]
    lines[1] = lines[1].replace(old, new)

    assert [(finding.kind, finding.seq) for finding in verify_chain(UID, lines, head).findings] == [("Changed", 2)]


def test_a_line_of_nonsense_between_records_does_not_blame_those_after_it():
    lines, head = chain(6)
    lines.insert(3, "nonsense")

    (finding,) = verify_chain(UID, lines, head).findings

    assert (finding.kind, finding.line) == ("Changed", 4)


def test_a_changed_record_and_a_truncated_tail_are_both_told():
    lines, head = chain(6)
    lines[1] = lines[1].replace("prod", "live")

    assert [finding.kind for finding in verify_chain(UID, lines[:-1], head).findings] == ["Changed", "Truncated"]


def test_of_many_breaks_the_first_are_told():
    lines, head = chain(60)

    assert len(verify_chain(UID, lines[::-1], head).findings) == audit.FINDINGS_LIMIT


def test_anybody_can_check_a_record_with_the_standard_library():
    (line,), head = write([entry(by="anna", cluster="dev", wave="canary", message="naïve")])
    fields = json.loads(line)
    digest = fields.pop("digest")
    text = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    assert fields["previous"] == hashlib.sha256(UID.encode()).hexdigest()
    assert digest == hashlib.sha256(f"{fields['previous']}\n{text}".encode()).hexdigest()
    assert head == f"1:{digest}"
    assert sorted(fields) == ["by", "cluster", "event", "message", "previous", "seq", "time", "wave"]


def test_texts_become_one_line_of_bounded_length_without_control_characters():
    wild = entry(message="a\nb\x1b[31m\u2028c\ud800" + "x" * 5000, by="y" * 500)

    record = read(link(wild, begin(UID))[0])

    assert record is not None
    assert record.entry.message.startswith("a b [31m c?xx")
    assert (len(record.entry.message), len(record.entry.by)) == (1024, 256)
    assert record.entry.message.endswith("…")
    assert audit.settle(wild) == record.entry


@given(st.integers(0, 8), st.integers(0, 8))
def test_the_tail_is_what_follows_from_the_head_and_nothing_else(acknowledged, more):
    lines, _ = chain(acknowledged + more)
    _, head = chain(acknowledged)
    start = parse_head(UID, head if acknowledged else "")
    strange, _ = link(entry(), Link(acknowledged, "0" * 64))

    tail = list_tail([strange, "nonsense", *lines], start)

    assert [record.seq for record in tail] == list(range(acknowledged + 1, acknowledged + more + 1))


@settings(max_examples=30)
@given(st.lists(st.integers(1, 9), max_size=12), st.integers(1, 5), st.integers(600, 3000))
def test_pages_roll_over_and_together_hold_the_chain(batches, page_lines, page_bytes):
    pages, head = write_batches(batches, most_lines=page_lines, most_bytes=page_bytes)

    assert verify_chain(UID, join(pages), head).intact
    assert len(join(pages)) == sum(batches)
    assert all(len(page.lines) <= page_lines for page in pages)
    assert all(sum(len(f"{line}\n".encode()) for line in page.lines) <= page_bytes for page in pages)
    assert [page.full for page in pages[:-1]] == [True] * len(pages[:-1])
    assert [page.name for page in pages] == [page_name("s-1", number) for number in range(1, len(pages) + 1)]


def write_batches(batches, **limits):
    bodies = {}
    end = begin(UID)
    count = 0
    for size in batches:
        lines = []
        for _ in range(size):
            count += 1
            line, end = link(entry(count), end)
            lines.append(line)
        rest = tuple(lines)
        while rest:
            there = read_pages("s-1", UID, bodies.values())
            page = there[-1] if there else Page(name=page_name("s-1", 1), number=1)
            if page.full:
                page = Page(name=page_name("s-1", page.number + 1), number=page.number + 1)
            page, rest = fill(page, rest, **limits)
            bodies[page.name] = build_page(page, ROLLOUT)
    return read_pages("s-1", UID, bodies.values()), str(end) if count else ""


def test_a_page_is_owned_labelled_and_closed_when_full():
    lines, _ = chain(3)
    page = Page(name="s-1-audit-2", number=2, lines=tuple(lines), full=True, resource_version="7")

    assert build_page(page, ROLLOUT) == {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": "s-1-audit-2",
            "namespace": "fleet",
            "labels": {"app.kubernetes.io/managed-by": "atoll", "atoll.dev/audit": "s-1"},
            "ownerReferences": [
                {
                    "apiVersion": "atoll.dev/v1alpha1",
                    "kind": "Rollout",
                    "name": "s-1",
                    "uid": UID,
                    "controller": True,
                }
            ],
            "resourceVersion": "7",
        },
        "data": {"records": "".join(f"{line}\n" for line in lines)},
        "immutable": True,
    }
    assert read_page("s-1", build_page(page, ROLLOUT)) == replace(page, owner_uid=UID)


@pytest.mark.parametrize("name", ["s-1-audit-0", "s-1-audit-01", "s-1-audit-x", "s-11-audit-1", "s-1-audit-1-x"])
def test_a_configmap_of_another_name_is_no_page(name):
    assert read_page("s-1", {"metadata": {"name": name}, "data": {"records": "x"}}) is None


def test_pages_come_in_the_order_of_their_numbers_without_those_of_an_earlier_rollout():
    pages = [Page(name=page_name("s-1", number), number=number) for number in (10, 2, 1)]
    bodies = [build_page(page, ROLLOUT) for page in pages]
    bodies[2]["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    del bodies[1]["metadata"]["ownerReferences"]

    assert [page.number for page in read_pages("s-1", UID, bodies)] == [2, 10]


def test_a_page_has_room_for_a_thousand_records_of_full_length_only_by_its_bytes():
    lines, _ = write([entry(number, message="x" * 1024) for number in range(1000)])
    page, rest = fill(Page(name="s-1-audit-1", number=1), lines)
    short, none_left = fill(Page(name="s-1-audit-1", number=1), chain(150)[0])

    assert sum(len(line) + 1 for line in page.lines) <= PAGE_BYTES < sum(len(line) + 1 for line in lines)
    assert (page.full, len(page.lines) + len(rest)) == (True, 1000)
    assert (short.full, none_left) == (False, ())


def test_the_first_page_that_can_hold_a_record():
    assert [first_number(seq) for seq in (0, 1, 1000, 1001, 2500)] == [1, 1, 1, 2, 3]
