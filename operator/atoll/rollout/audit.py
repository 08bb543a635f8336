"""The chain of records: each names the digest of the one before, so that none can be changed, left out or put in.

A record is one line of canonical JSON (keys sorted, no spaces, UTF-8). Its digest is the SHA-256 of the digest before,
a line feed, and the line without its `digest`; before the first stands the SHA-256 of the Rollout's UID. `sha256sum`
and `jq -cS 'del(.digest)'` can check it without Atoll. The digest stands in the line too: so a changed record is told
from a missing one, and the last one is protected even before the Rollout's status names it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from atoll.fleet.audit import AuditEntry
from atoll.fleet.conditions import format_time, parse_time

__all__ = [
    "AuditEntry",
    "Finding",
    "Link",
    "Record",
    "Verdict",
    "begin",
    "link",
    "list_tail",
    "parse_head",
    "read",
    "settle",
    "verify_chain",
]

MESSAGE_LENGTH: Final = 1024
WORD_LENGTH: Final = 256
"""Characters that are kept of the other texts."""
FINDINGS_LIMIT: Final = 20
"""After so many nobody learns more from the next."""

_TEXTS: Final = ("time", "event", "wave", "cluster", "by", "message", "previous", "digest")
_FIELDS: Final = frozenset({"seq", *_TEXTS})
_HEAD: Final = re.compile(r"([1-9][0-9]{0,15}):([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Link:
    """Where a chain stands: the number of its last record, and its digest."""

    seq: int
    digest: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.digest}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line that is whole in itself: written as Atoll writes, with the digest that belongs to it."""

    seq: int
    previous: str
    digest: str
    entry: AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with a chain."""

    kind: str
    """Changed | Missing | OutOfOrder | Inserted | WrongRollout | Truncated | Rewritten | BadHead."""
    seq: int
    """Number of the first record that is concerned."""
    message: str
    remedy: str
    line: int = 0
    """Which line shows it, from 1; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a chain is worth."""

    records: int
    """Lines, good and bad."""
    head: str
    """What the status named."""
    findings: tuple[Finding, ...] = ()
    unacknowledged: int = 0
    """Records after the head: the operator was stopped between two writes, and goes on from there."""

    @property
    def intact(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def begin(uid: str) -> Link:
    """Return where the chain of the Rollout with this UID begins."""
    return Link(0, hashlib.sha256(uid.encode()).hexdigest())


def parse_head(uid: str, head: str) -> Link | None:
    """Read `status.auditHead`; empty: where the chain begins; None: it cannot be read."""
    if not head:
        return begin(uid)
    match = _HEAD.fullmatch(head)
    return Link(int(match.group(1)), match.group(2)) if match else None


def link(entry: AuditEntry, previous: Link) -> tuple[str, Link]:
    """Write the record that follows, as one line; return it with where the chain stands then."""
    fields = {
        "seq": previous.seq + 1,
        "time": format_time(entry.time),
        "event": entry.event,
        "wave": _clean(entry.wave, WORD_LENGTH),
        "cluster": _clean(entry.cluster, WORD_LENGTH),
        "by": _clean(entry.by, WORD_LENGTH),
        "message": _clean(entry.message, MESSAGE_LENGTH),
        "previous": previous.digest,
    }
    digest = _digest(fields)
    return _write({**fields, "digest": digest}), Link(previous.seq + 1, digest)


def settle(entry: AuditEntry) -> AuditEntry:
    """Return an entry as it reads once it has been written."""
    record = read(link(entry, Link(0, ""))[0])
    assert record is not None, "what Atoll writes, it can read"
    return record.entry


def read(line: str) -> Record | None:
    """Read one record; None where a single byte is not as Atoll writes it, or the digest is another's."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(fields, dict) or fields.keys() != _FIELDS or type(fields["seq"]) is not int:
        return None
    if not all(isinstance(fields[name], str) for name in _TEXTS) or _write(fields) != line:
        return None
    time = _read_time(fields["time"])
    digest = fields.pop("digest")
    if time is None or _digest(fields) != digest:
        return None
    words = {name: fields[name] for name in ("event", "message", "wave", "cluster", "by")}
    entry = AuditEntry(time=time, **words)
    return Record(seq=fields["seq"], previous=fields["previous"], digest=digest, entry=entry)


def verify_chain(uid: str, lines: Sequence[str], head: str) -> Verdict:
    """Check the chain of the Rollout with this UID against what its status names as the head."""
    records = [read(line) for line in lines]
    end = parse_head(uid, head)
    findings, last = _follow(uid, records)
    if end is None:
        findings.append(
            Finding(
                kind="BadHead",
                seq=0,
                message="status.auditHead is not `<number>:<SHA-256 in hex>`",
                remedy="Restore the Rollout's status from a backup of etcd; nobody but Atoll writes there",
            )
        )
        return Verdict(records=len(lines), head=head, findings=tuple(findings[:FINDINGS_LIMIT]))
    findings += _meet(records, last, end, damaged=bool(findings))
    return Verdict(
        records=len(lines),
        head=head,
        findings=tuple(findings[:FINDINGS_LIMIT]),
        unacknowledged=max(0, last - end.seq),
    )


def list_tail(lines: Sequence[str], head: Link) -> tuple[Record, ...]:
    """Return the records after `head` that follow from it: written, and not named by any status yet."""
    after = {(record.seq, record.previous): record for record in map(read, lines) if record is not None}
    tail: list[Record] = []
    digest = head.digest
    while (following := after.get((head.seq + 1 + len(tail), digest))) is not None:
        tail.append(following)
        digest = following.digest
    return tuple(tail)


def _follow(uid: str, records: Sequence[Record | None]) -> tuple[list[Finding], int]:
    """Go along the lines; each must have the next number, and name the digest of the one before.

    Return also the number that the last line has, or would have.
    """
    findings: list[Finding] = []
    there = {record.seq for record in records if record is not None}
    expected, before = 1, begin(uid).digest
    damaged = 0
    """Lines since the last good one: each may stand where a record stood, or have been put in beside them."""
    for line, record in enumerate(records, start=1):
        if record is None:
            findings.append(_changed(expected + damaged, line))
            damaged += 1
            continue
        skipped = record.seq - expected
        if skipped < 0:
            findings.append(_out_of_order(record.seq, expected, line))
            continue
        if skipped == 0 and record.previous != before:
            findings.append(_wrong_rollout(line) if record.seq == 1 else _inserted(record.seq, line))
        elif skipped > damaged:
            first = expected + damaged
            gone = next((seq for seq in range(first, min(record.seq, first + len(records))) if seq not in there), 0)
            findings.append(_missing(gone, record.seq, line) if gone else _out_of_order(record.seq, first, line))
        expected, before, damaged = record.seq + 1, record.digest, 0
    return findings, expected - 1 + damaged


def _meet(records: Sequence[Record | None], last: int, head: Link, *, damaged: bool) -> list[Finding]:
    """Check that the chain reaches the head, and is the one that the head was taken from."""
    at_head = {record.digest for record in records if record is not None and record.seq == head.seq}
    if not head.seq or head.digest in at_head:
        return []
    if at_head:
        message = f"record {head.seq} is not the one that status.auditHead names: the records were written anew"
        return [Finding(kind="Rewritten", seq=head.seq, message=message, remedy=_REMEDY)]
    if head.seq > last:
        count = head.seq - last
        what = "the last record is" if count == 1 else f"the last {count} records are"
        message = f"{what} missing: they end with {last}, and status.auditHead names {head.seq}"
        return [Finding(kind="Truncated", seq=last + 1, message=message, remedy=_REMEDY)]
    assert damaged, "a chain without a gap has the record that the head names"
    return []


_REMEDY: Final = (
    "Find out who wrote to it (audit log of the management cluster), and restore it from a backup; until then the "
    "records from there on prove nothing"
)


def _changed(seq: int, line: int) -> Finding:
    message = f"record {seq} was changed after it was written, or is none of Atoll's"
    return Finding(kind="Changed", seq=seq, message=message, remedy=_REMEDY, line=line)


def _missing(seq: int, next_seq: int, line: int) -> Finding:
    what = f"record {seq} is" if next_seq == seq + 1 else f"records {seq} to {next_seq - 1} are"
    return Finding(kind="Missing", seq=seq, message=f"{what} missing", remedy=_REMEDY, line=line)


def _out_of_order(seq: int, expected: int, line: int) -> Finding:
    message = f"record {seq} stands where record {expected} belongs"
    return Finding(kind="OutOfOrder", seq=min(seq, expected), message=message, remedy=_REMEDY, line=line)


def _inserted(seq: int, line: int) -> Finding:
    message = f"record {seq} does not follow from record {seq - 1}: one of them was put in later"
    return Finding(kind="Inserted", seq=seq, message=message, remedy=_REMEDY, line=line)


def _wrong_rollout(line: int) -> Finding:
    message = "the records are of another Rollout: the first does not begin with this one's UID"
    remedy = "Check that they were read from the Rollout that is meant: a later one of the same name is another"
    return Finding(kind="WrongRollout", seq=1, message=message, remedy=remedy, line=line)


def _write(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _digest(fields: Mapping[str, Any]) -> str:
    text = f"{fields['previous']}\n{_write(fields)}"
    # Lone surrogates are in no text of ours; somebody who put them in shall meet a wrong digest, not an error.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _clean(text: str, length: int) -> str:
    """Make one line of a text that UTF-8 can hold, without control characters, no longer than `length`."""
    whole = text.encode("utf-8", "replace").decode()
    line = " ".join("".join(char if char.isprintable() else " " for char in whole).split())
    return line if len(line) <= length else f"{line[: length - 1]}…"


def _read_time(text: str) -> datetime | None:
    try:
        time = parse_time(text)
        return time if format_time(time) == text else None
    except (ValueError, OverflowError):
        return None
