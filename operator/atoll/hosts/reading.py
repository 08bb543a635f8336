"""What the journal's answers mean: pure parsing of what the scripts of `journal.py` print."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .command import Result
from .jobs import JobState, JobStatus
from .render import CODE_KILLED, CODE_TIMED_OUT

_VERDICTS: Final = {"succeeded": JobState.SUCCEEDED, "failed": JobState.FAILED, "late": JobState.FAILED}


class Verdict(StrEnum):
    """What the host said to the wish to begin a job."""

    BEGUN = "begun"
    KNOWN = "known"
    """Running, succeeded, or has left the host: the status follows."""
    LEFT = "left"
    """It was to leave the host, and the host belongs to nobody already."""
    FREE = "free"
    """Nobody owns the host, and the job does not take it."""
    TAKEN = "taken"
    """The line of its owner follows."""
    BUSY = "busy"
    """Somebody else has been beginning a job for a long time."""
    NOT_LAUNCHED = "not-launched"
    """The service manager did not take it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Answer of the host to the wish to begin a job."""

    verdict: Verdict
    owner: str = ""
    """Of a taken host: `<fleet>/<cluster>`, or what stands in its owner.json."""
    status: JobStatus | None = None


def read_begin(job_id: str, answer: Result) -> Begun:
    """Read the answer to `journal.render_begin`; ValueError when it is none."""
    first, _, rest = answer.out.partition("\n")
    word, _, words = first.partition(" ")
    verdict = Verdict(word)
    status = read_status(job_id, Result(code=0, out=rest, err=answer.err)) if verdict is Verdict.KNOWN else None
    return Begun(verdict=verdict, owner=_name_owner(words) if verdict is Verdict.TAKEN else "", status=status)


def read_status(job_id: str, answer: Result) -> JobStatus:
    """Read the answer to `journal.render_look`; ValueError when it is none."""
    head, _, rest = answer.out.partition("\n")
    facts = dict(word.partition("=")[::2] for word in head.split(" "))
    if "running" not in facts:
        raise ValueError(f"no status of a job: {head[:200]!r}")
    if facts["left"]:
        total = int(facts["left"])
        return JobStatus(id=job_id, state=JobState.SUCCEEDED, steps_done=total, steps_total=total)
    alive = facts["running"] == "1" or facts["fresh"] == "1"
    if facts["known"] != "1" and not alive:
        return JobStatus(id=job_id, state=JobState.UNKNOWN)
    if alive and not rest:
        # It is giving the host back, its journal first.
        return JobStatus(id=job_id, state=JobState.RUNNING)
    text, _, out = rest.partition("\n\n")
    journal = _read_journal(text)
    state = JobState.RUNNING if alive else _VERDICTS.get(journal.verdict, JobState.PARTIAL)
    finished = state in (JobState.SUCCEEDED, JobState.FAILED)
    why = journal.why
    if state is JobState.FAILED and journal.verdict == "late":
        why = f"took longer than the job may; then under way: {why}"
    return JobStatus(
        id=job_id,
        state=state,
        steps_done=journal.done,
        steps_total=journal.total,
        why="" if state is JobState.SUCCEEDED else why,
        result=_last_result(journal, out, answer.err) if finished else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Journal:
    total: int
    mark: str
    verdict: str = ""
    begun: int = 0
    done: int = 0
    why: str = ""
    code: int | None = None
    """Of the last action that has ended."""
    late: bool = False
    """That action was ended for its time budget."""


def _read_journal(text: str) -> _Journal:
    """Read the lines of a journal; a last line that was cut off says nothing."""
    lines = text.split("\n")
    first = lines[0].split(" ")
    if len(first) != 6 or first[0] != "job":
        raise ValueError(f"no journal: {lines[0][:200]!r}")
    verdict, why, code, begun, done, late = "", "", None, 0, 0, False
    since, seconds = 0.0, 0.0
    for line in lines[1:]:
        match line.split(" ", 3):
            case [number, up, budget, words] if number[:1] == "+" and number[1:].isdecimal():
                begun, why, code = int(number[1:]), words, None
                since, seconds = float(up), float(budget)
            case [number, ended, up] if number == f"-{begun}" and ended.isdecimal():
                code, done = int(ended), begun
                late = code in (CODE_TIMED_OUT, CODE_KILLED) and 0 < seconds <= float(up) - since + 0.1
            case ["done", word]:
                verdict = word
            case _:
                pass
    if verdict == "failed" and code is not None:
        done -= 1
    return _Journal(
        total=int(first[2]), mark=first[3], verdict=verdict, begun=begun, done=done, why=why, code=code, late=late
    )


def _last_result(journal: _Journal, out: str, err: str) -> Result:
    own_out, cut_out = _since_mark(out, journal)
    own_err, cut_err = _since_mark(err, journal)
    late = journal.verdict == "late" or (journal.verdict == "failed" and journal.late)
    code = CODE_TIMED_OUT if journal.code is None and late else journal.code or 0
    return Result(code=code, out=own_out, err=own_err, truncated=cut_out or cut_err, timed_out=late)


def _since_mark(text: str, journal: _Journal) -> tuple[str, bool]:
    """Return what the last action printed, and whether its beginning was dropped."""
    if journal.begun == 0:
        return text, False
    _, found, own = text.rpartition(f"\n{journal.mark} {journal.begun}\n")
    return (own, False) if found else (text, bool(text))


def _name_owner(line: str) -> str:
    try:
        owner = json.loads(line)
        name = "/".join(part for part in (owner.get("fleet"), owner.get("cluster")) if part)
        return name or str(owner["clusterID"])
    except (ValueError, KeyError, AttributeError, TypeError):
        return line[:200]
