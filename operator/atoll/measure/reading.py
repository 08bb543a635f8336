"""What a Prometheus-compatible server answered, and whether it opens a gate. Computes only.

Doubt keeps a gate closed. `warnings` and VictoriaMetrics' `isPartial` mean that the server answers without some of the
data: Thanos left out a store that it could not reach, a remote read failed, a histogram lacks buckets. A sum of errors
over fewer series is smaller, so such an answer would open gates exactly when something is broken. `infos` are hints on
how the query is written, false alarms among them, and change nothing.

**Stale.** Two ages are judged, each against three intervals of asking and at least 60 s:

* that of the answer: an instant query carries the time at which the server evaluated it. An old one comes out of a
  cache, or from a server whose clock is wrong.
* that of the sample: the value of a plain selector (`slo:errors:ratio5m{job="web"}`, the usual form of a gate) may be
  as old as the server's lookback, five minutes, and is still shown with the time of evaluation. `timestamp(<query>)`,
  asked for the same moment, tells its real time. This finds exporters that set timestamps of their own, remote writers
  that have fallen silent, and a server that scrapes no more.

What this cannot see: of anything but a plain selector (`sum(…)`, `a / b`) `timestamp` tells the time of evaluation. A
target that cannot be scraped needs none of it: Prometheus ends its series at the next scrape, and the query yields
nothing. Neither helps a range, though: `rate(x[5m])` goes on for up to five minutes after its target has gone, and a
Pushgateway repeats its last value for ever. So a gate is best asked of a recording rule, or the query also asks
whether its targets are up. A shorter lookback (`lookback_delta`) for the query itself would look into expressions, and
would change their meaning: a sum that finds fewer series gets smaller and opens the gate.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from atoll.fleet.gates import GateReading, MetricQuestion

BELOW: Final = "Below"
ABOVE: Final = "Above"
EMPTY: Final = "Empty"
NOT_A_NUMBER: Final = "NotANumber"
SEVERAL: Final = "Several"
STALE: Final = "Stale"
ERROR: Final = "Error"

_INTERVALS: Final = 3
_LEAST_SECONDS: Final = 60
_FARTHEST: Final = 1e11
"""Seconds since 1970 that no honest clock shows; also keeps out what is no number, and what no float can hold."""
_WORDS: Final = 200
"""Characters of the server's own words that a message repeats."""
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400})(?:[eE][+-]?[0-9]{1,3})?")
_NO_FINITE: Final = ("NaN", "+Inf", "-Inf")
_NOT_PROMETHEUS: Final = (
    "what came back is not an answer of Prometheus; is url the address below which /api/v1/query lies?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgeQuestion:
    """What to ask next, to learn how old the sample is that an answer was made of."""

    query: str
    time: float
    """Moment of the first answer, in seconds since 1970: the second must be about the same sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Number:
    value: Decimal
    evaluated: float
    """Seconds since 1970, by the server's clock."""
    is_series: bool


class _Doubt(Exception):
    """An answer that does not hold one number."""

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(message)
        self.cause = cause


def judge_answer(question: MetricQuestion, status: int, body: bytes, *, now: datetime, secret: str = "") -> GateReading:
    """Judge the answer to `question`: open only for exactly one number, finite, not stale, and at most its `max`.

    `secret` is blotted out wherever the server repeats it.
    """
    limit = parse_decimal(question.max)
    if limit is None:
        return build_closed("max is not a decimal number; write it like 0.01", now=now)
    try:
        number = _parse_number(question, status, body, secret)
    except _Doubt as doubt:
        return build_closed(str(doubt), now=now, cause=doubt.cause)
    allowed = allow_seconds(question)
    age = now.timestamp() - number.evaluated
    if abs(age) > allowed:
        where = "before" if age > 0 else "after"
        return build_closed(
            f"the server evaluated the query {abs(age):.0f} s {where} now, and at most {allowed} s are trusted; set "
            "the clocks of the server and of Atoll, and let no cache answer",
            now=now,
            cause=STALE,
        )
    shown = show_number(number.value, limit)
    if number.value <= limit:
        return GateReading(time=now, open=True, cause=BELOW, message=f"{shown} is within {question.max}")
    return build_closed(f"{shown} is above {question.max}", now=now, cause=ABOVE)


def build_age_question(question: MetricQuestion, body: bytes) -> AgeQuestion | None:
    """Build the question after an answer that would open the gate; None where the number belongs to no sample."""
    number = _parse_number(question, 200, body, "")
    if not number.is_series:
        return None
    # On lines of its own, because a query may end with a comment.
    return AgeQuestion(query=f"timestamp(\n{question.query}\n)", time=number.evaluated)


def judge_age(
    question: MetricQuestion, reading: GateReading, status: int, body: bytes, *, secret: str = ""
) -> GateReading:
    """Judge the answer to an AgeQuestion: `reading` as it is, or a closed one."""
    try:
        number = _parse_number(question, status, body, secret)
    except _Doubt as doubt:
        return build_closed(f"the age of the sample cannot be told: {doubt}", now=reading.time)
    # Both times are the server's, so that its clock does not matter.
    age = number.evaluated - float(number.value)
    allowed = allow_seconds(question)
    if abs(age) <= allowed:
        return reading
    return build_closed(
        f"the newest sample is {age:.0f} s old, and at most {allowed} s are trusted; is its source still there, and "
        "still scraped? Where samples come more seldom by intent, raise intervalSeconds",
        now=reading.time,
        cause=STALE,
    )


def allow_seconds(question: MetricQuestion) -> int:
    """Return how old an answer and a sample may be."""
    return max(_INTERVALS * question.interval_seconds, _LEAST_SECONDS)


def build_closed(message: str, *, now: datetime, cause: str = ERROR) -> GateReading:
    """Build a reading that keeps the gate closed."""
    return GateReading(time=now, open=False, cause=cause, message=message)


def parse_decimal(text: str) -> Decimal | None:
    """Read a finite number as Prometheus and the spec write them; None for anything else."""
    return Decimal(text) if _DECIMAL.fullmatch(text) else None


def show_number(value: Decimal, limit: Decimal) -> str:
    """Show a number with six digits, or with all of them where six would tell another story beside `limit`."""
    short = f"{float(value):.6g}"
    return short if (Decimal(short) <= limit) == (value <= limit) else str(value)


def clean_words(text: str, secret: str, *, most: int = _WORDS) -> str:
    """Return words from elsewhere fit for a message: one short line, nothing invisible in it, and no secret."""
    hidden = text.replace(secret, "…") if secret else text
    line = " ".join("".join(char if char.isprintable() else " " for char in hidden).split())
    return line if len(line) <= most else f"{line[:most]}…"


def _parse_number(question: MetricQuestion, status: int, body: bytes, secret: str) -> _Number:
    answer = _parse_json(body)
    if not 200 <= status < 300:
        raise _Doubt(ERROR, _explain_status(question, status, _read_complaint(answer, secret)))
    data = answer.get("data")
    if answer.get("status") != "success" or not isinstance(data, dict):
        complaint = _read_complaint(answer, secret)
        raise _Doubt(
            ERROR, f"the server failed{complaint}; see to the query and to it" if complaint else _NOT_PROMETHEUS
        )
    _check_whole(answer, secret)
    result = data.get("result")
    match data.get("resultType"):
        case "vector" if isinstance(result, list):
            return _read_point(_read_series(result), is_series=True)
        case "scalar":
            return _read_point(result, is_series=False)
        case "matrix":
            remedy = "drop the [range], or put a function such as avg_over_time(...) around it"
            raise _Doubt(NOT_A_NUMBER, f"the query yields values over a time, not one number; {remedy}")
        case "string":
            raise _Doubt(NOT_A_NUMBER, "the query yields text; a gate needs a number")
        case _:
            raise _Doubt(ERROR, _NOT_PROMETHEUS)


def _parse_json(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):  # also for bytes that are no UTF-8, and for thousands of brackets
        return {}
    return answer if isinstance(answer, dict) else {}


def _read_complaint(answer: dict[str, Any], secret: str) -> str:
    """Return what the server says of its failure, with the punctuation to append it; empty when it says nothing."""
    kind, words = answer.get("errorType"), answer.get("error")
    said = clean_words(words, secret) if isinstance(words, str) else ""
    named = f" ({clean_words(kind, secret)})" if isinstance(kind, str) and kind else ""
    return f"{named}: {said}" if said else named


def _explain_status(question: MetricQuestion, status: int, complaint: str) -> str:
    said = f"the server answered {status}{complaint}"
    if 300 <= status < 400:
        return f"{said} and wants to send us elsewhere; redirects are not followed: put the final address into url"
    match status:
        case 400 | 422:
            return f"{said}; correct the query"
        case 401 | 403 if question.secret_name:
            return f"{said}; put a bearer token that may query into Secret {question.secret_name}, under the key token"
        case 401 | 403:
            return f"{said}; name a Secret with a bearer token in secretRef"
        case 404 | 405:
            return f"{said}; url must be the address below which /api/v1/query lies, without that path"
        case 429 | 503:
            return f"{said}; it is busy or the query takes too long: narrow it, or let a recording rule compute it"
        case _:
            return f"{said}; see to the server, it is asked again every {question.interval_seconds} s"


def _check_whole(answer: dict[str, Any], secret: str) -> None:
    warnings = answer.get("warnings")
    if warnings:
        first = warnings[0] if isinstance(warnings, list) else warnings
        said = clean_words(first, secret) if isinstance(first, str) else "it does not say which"
        raise _Doubt(
            ERROR, f"the server warns that the answer may lack data: {said}; see to that, or rewrite the query"
        )
    if answer.get("isPartial"):
        raise _Doubt(ERROR, "the server says that the answer lacks data; see which of its storage nodes are down")


def _read_series(result: list[Any]) -> object:
    """Return the point of the only series."""
    if not result:
        raise _Doubt(EMPTY, "the query yields nothing; a gate that measures nothing stays closed")
    if len(result) > 1:
        remedy = "aggregate them to one, for example with sum(...) or max(...)"
        raise _Doubt(SEVERAL, f"the query yields {len(result)} series; {remedy}")
    if not isinstance(result[0], dict):
        raise _Doubt(ERROR, _NOT_PROMETHEUS)
    if "value" not in result[0] and "histogram" in result[0]:
        remedy = "take a number out of it, for example with histogram_quantile(...)"
        raise _Doubt(NOT_A_NUMBER, f"the query yields a histogram; {remedy}")
    return result[0].get("value")


def _read_point(point: object, *, is_series: bool) -> _Number:
    match point:
        case [int() | float() as time, str() as text] if not isinstance(time, bool):
            pass
        case _:
            raise _Doubt(ERROR, _NOT_PROMETHEUS)
    if not -_FARTHEST < time < _FARTHEST:
        raise _Doubt(ERROR, _NOT_PROMETHEUS)
    value = parse_decimal(text)
    if value is None:
        if text not in _NO_FINITE:
            raise _Doubt(ERROR, _NOT_PROMETHEUS)
        hint = "a division by zero yields that, for example where nothing was counted yet"
        raise _Doubt(NOT_A_NUMBER, f"the query yields {text}, and a gate needs a finite number; {hint}")
    return _Number(value=value, evaluated=float(time), is_series=is_series)
