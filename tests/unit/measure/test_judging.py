"""Which answers of a Prometheus open a gate: one finite number, fresh, not above the greatest. Nothing else does."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from atoll.fleet.gates import GateReading
from atoll.measure.reading import AgeQuestion, build_age_question, judge_age, judge_answer

from .questions import EPOCH, NOW, answer, ask, complaint, one

NOT_PROMETHEUS = "what came back is not an answer of Prometheus; is url the address below which /api/v1/query lies?"


def judge(body: bytes, status: int = 200, **changes: Any) -> GateReading:
    return judge_answer(ask(**changes), status, body, now=NOW)


def closed(cause: str, message: str) -> GateReading:
    return GateReading(time=NOW, open=False, cause=cause, message=message)


@pytest.mark.parametrize(
    ("value", "most", "message"),
    [
        ("0.004", "0.01", "0.004 is within 0.01"),
        ("0.01", "0.01", "0.01 is within 0.01"),
        ("0", "0", "0 is within 0"),
        ("-3", "0", "-3 is within 0"),
        ("4e-05", "0.01", "4e-05 is within 0.01"),
        ("-1.5", "-1", "-1.5 is within -1"),
        ("0.0033333333333333335", "0.01", "0.00333333 is within 0.01"),
    ],
)
def test_a_number_that_is_not_above_the_greatest_opens_the_gate(value: str, most: str, message: str) -> None:
    assert judge(one(value), most=most) == GateReading(time=NOW, open=True, cause="Below", message=message)


@pytest.mark.parametrize(
    ("value", "most", "message"),
    [
        ("0.024", "0.01", "0.024 is above 0.01"),
        ("1e+06", "999999", "1e+06 is above 999999"),
        # Shortened to six digits this would read "0.01 is above 0.01".
        ("0.010000000000000002", "0.01", "0.010000000000000002 is above 0.01"),
        ("0", "-1", "0 is above -1"),
    ],
)
def test_a_greater_number_keeps_it_closed(value: str, most: str, message: str) -> None:
    assert judge(one(value), most=most) == closed("Above", message)


def test_numbers_are_compared_as_decimals_not_as_floats() -> None:
    """As floats 0.1 + 0.2 is 0.30000000000000004, and it is that number that the server sent."""
    assert not judge(one(str(0.1 + 0.2)), most="0.3").open
    assert judge(one("0.3"), most="0.3").open


def test_a_scalar_counts_like_a_series() -> None:
    assert judge(answer([EPOCH, "0.004"], "scalar")).message == "0.004 is within 0.01"


@pytest.mark.parametrize(
    ("body", "cause", "message"),
    [
        (answer([]), "Empty", "the query yields nothing; a gate that measures nothing stays closed"),
        (
            answer([{"metric": {"pod": name}, "value": [EPOCH, "0"]} for name in "abc"]),
            "Several",
            "the query yields 3 series; aggregate them to one, for example with sum(...) or max(...)",
        ),
        (
            one("NaN"),
            "NotANumber",
            "the query yields NaN, and a gate needs a finite number; a division by zero yields that, for example "
            "where nothing was counted yet",
        ),
        (
            one("-Inf"),
            "NotANumber",
            "the query yields -Inf, and a gate needs a finite number; a division by zero yields that, for example "
            "where nothing was counted yet",
        ),
        (
            answer([{"metric": {}, "values": [[EPOCH, "0"]]}], "matrix"),
            "NotANumber",
            "the query yields values over a time, not one number; drop the [range], or put a function such as "
            "avg_over_time(...) around it",
        ),
        (answer([EPOCH, "ok"], "string"), "NotANumber", "the query yields text; a gate needs a number"),
        (
            answer([{"metric": {}, "histogram": [EPOCH, {"count": "1", "sum": "0"}]}]),
            "NotANumber",
            "the query yields a histogram; take a number out of it, for example with histogram_quantile(...)",
        ),
        (
            answer([{"metric": {}, "value": [EPOCH, "0"]}], warnings=["store-2: connection refused", "more"]),
            "Error",
            "the server warns that the answer may lack data: store-2: connection refused; see to that, or rewrite the "
            "query",
        ),
        (
            answer([{"metric": {}, "value": [EPOCH, "0"]}], isPartial=True),
            "Error",
            "the server says that the answer lacks data; see which of its storage nodes are down",
        ),
        (b"<html>Log in</html>", "Error", NOT_PROMETHEUS),
        (b"", "Error", NOT_PROMETHEUS),
        (b"[" * 100_000, "Error", NOT_PROMETHEUS),
        (b"\xff\xfe", "Error", NOT_PROMETHEUS),
        (b"9" * 5000, "Error", NOT_PROMETHEUS),
        (one(0), "Error", NOT_PROMETHEUS),
        (one("1_0"), "Error", NOT_PROMETHEUS),
        (one(" 0"), "Error", NOT_PROMETHEUS),
        (one("٣"), "Error", NOT_PROMETHEUS),
        (one("0", time=True), "Error", NOT_PROMETHEUS),
        (one("0", time=10**400), "Error", NOT_PROMETHEUS),
        (one("0", time=float("nan")), "Error", NOT_PROMETHEUS),
        (answer({"0": "0"}), "Error", NOT_PROMETHEUS),
        (answer(["0"]), "Error", NOT_PROMETHEUS),
        (b'{"status": "success"}', "Error", NOT_PROMETHEUS),
        (
            answer([EPOCH, "0"], "scalar", status="error"),
            "Error",
            NOT_PROMETHEUS,
        ),
        (complaint("execution", "no"), "Error", "the server failed (execution): no; see to the query and to it"),
    ],
)
def test_every_other_answer_keeps_it_closed_and_says_what_to_do(body: bytes, cause: str, message: str) -> None:
    assert judge(body) == closed(cause, message)


@pytest.mark.parametrize(
    ("status", "body", "secret_name", "message"),
    [
        (
            400,
            complaint("bad_data", 'invalid parameter "query": 1:5: parse error:\nunexpected end of input'),
            "",
            'the server answered 400 (bad_data): invalid parameter "query": 1:5: parse error: unexpected end of input; '
            "correct the query",
        ),
        (
            422,
            complaint("execution", "many-to-many"),
            "",
            "the server answered 422 (execution): many-to-many; correct the query",
        ),
        (401, b"no", "", "the server answered 401; name a Secret with a bearer token in secretRef"),
        (
            403,
            b"no",
            "prometheus",
            "the server answered 403; put a bearer token that may query into Secret prometheus, under the key token",
        ),
        (
            404,
            b"",
            "",
            "the server answered 404; url must be the address below which /api/v1/query lies, without that path",
        ),
        (
            503,
            complaint("timeout", "query timed out in expression evaluation"),
            "",
            "the server answered 503 (timeout): query timed out in expression evaluation; it is busy or the query "
            "takes too long: narrow it, or let a recording rule compute it",
        ),
        (500, one("0"), "", "the server answered 500; see to the server, it is asked again every 30 s"),
        (
            302,
            one("0"),
            "",
            "the server answered 302 and wants to send us elsewhere; redirects are not followed: put the final address "
            "into url",
        ),
        (100, one("0"), "", "the server answered 100; see to the server, it is asked again every 30 s"),
    ],
)
def test_a_refusal_keeps_it_closed_whatever_stands_in_its_body(
    status: int, body: bytes, secret_name: str, message: str
) -> None:
    assert judge(body, status, secret_name=secret_name) == closed("Error", message)


@pytest.mark.parametrize(
    ("interval", "seconds", "is_open"),
    [(5, 60, True), (5, 61, False), (30, 90, True), (30, 91, False), (30, -90, True), (30, -91, False)],
)
def test_an_answer_is_trusted_for_three_intervals_and_at_least_a_minute(
    interval: int, seconds: int, is_open: bool
) -> None:
    reading = judge(one("0", time=EPOCH - seconds), interval=interval)
    assert (reading.open, reading.cause) == ((True, "Below") if is_open else (False, "Stale"))


def test_an_old_answer_tells_both_reasons_that_there_may_be() -> None:
    assert judge(one("0", time=EPOCH - 400.4)) == closed(
        "Stale",
        "the server evaluated the query 400 s before now, and at most 90 s are trusted; set the clocks of the server "
        "and of Atoll, and let no cache answer",
    )


def test_the_age_of_the_sample_is_asked_for_the_moment_of_the_answer() -> None:
    question = ask("slo:errors:ratio5m # as agreed")
    assert build_age_question(question, one("0.004", time=EPOCH + 0.781)) == AgeQuestion(
        query="timestamp(\nslo:errors:ratio5m # as agreed\n)", time=EPOCH + 0.781
    )


def test_a_scalar_has_no_sample_whose_age_could_be_asked() -> None:
    assert build_age_question(ask("0.004"), answer([EPOCH, "0.004"], "scalar")) is None


@pytest.mark.parametrize(
    ("sample", "evaluated", "cause"),
    [
        (EPOCH - 90, EPOCH, "Below"),
        (EPOCH - 91, EPOCH, "Stale"),
        (EPOCH + 91, EPOCH, "Stale"),
        # Both are the server's times: that its clock is wrong says nothing of the sample.
        (EPOCH - 5000, EPOCH - 5000, "Below"),
    ],
)
def test_a_sample_is_trusted_as_long_as_an_answer(sample: float, evaluated: float, cause: str) -> None:
    question, opened = ask(), judge(one("0.004"))
    reading = judge_age(question, opened, 200, one(str(sample), time=evaluated))
    assert reading.cause == cause
    assert (reading == opened) == (cause == "Below")


def test_an_old_sample_says_how_old_and_what_to_do() -> None:
    reading = judge_age(ask(), judge(one("0.004")), 200, one(str(EPOCH - 240)))
    assert reading == closed(
        "Stale",
        "the newest sample is 240 s old, and at most 90 s are trusted; is its source still there, and still scraped? "
        "Where samples come more seldom by intent, raise intervalSeconds",
    )


@pytest.mark.parametrize(
    ("status", "body"), [(200, answer([])), (503, b""), (200, one("NaN")), (200, b"?"), (200, one("1e999"))]
)
def test_an_age_that_cannot_be_told_keeps_the_gate_closed(status: int, body: bytes) -> None:
    assert not judge_age(ask(), judge(one("0.004")), status, body).open


def test_a_server_that_repeats_the_token_does_not_get_it_into_the_message() -> None:
    """Also where the words are cut off: the token goes before that, or half of it would stay."""
    token = "s3cr3t" * 20
    for body in (
        complaint("bad_data", f"no {token}"),
        complaint("bad_data", "x" * 150 + token),
        complaint(token, "no"),
    ):
        reading = judge_answer(ask(), 400, body, now=NOW, secret=token)
        assert "s3cr3t" not in repr(reading)
    warned = answer([], warnings=[f"who is {token}?"])
    assert "s3cr3t" not in repr(judge_answer(ask(), 200, warned, now=NOW, secret=token))


def test_words_of_the_server_cannot_move_a_reader_s_cursor_or_fill_a_screen() -> None:
    reading = judge(complaint("bad_data", "\x1b[2Jgone‮txet\n\n" + "x" * 5000), 400)
    assert reading.message == f"the server answered 400 (bad_data): [2Jgone txet {'x' * 187}…; correct the query"


@pytest.mark.parametrize("most", ["", "NaN", "Infinity", "0,01", "1_0", "-", "0x1"])
def test_a_greatest_that_is_no_number_opens_nothing(most: str) -> None:
    assert judge(one("-1e9"), most=most) == closed("Error", "max is not a decimal number; write it like 0.01")


# Laws


def mostly(usual: Any, *others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Usually what belongs there: answers that are wrong in one place only are the ones that could slip through."""
    return st.integers(0, 9).flatmap(lambda die: st.just(usual) if die else st.one_of(*others))


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
numbers = mostly(
    "0.01",
    st.one_of(st.floats(), st.decimals(allow_nan=True), st.integers(-(10**30), 10**30)).map(str),
    st.sampled_from(["NaN", "+Inf", "-Inf", "1e999999999", "0.010000000000000001", "sNaN", "０", "0.01 "]),
    anything,
)
times = mostly(EPOCH, st.floats(EPOCH - 300, EPOCH + 300), anything)
points = mostly(0, anything).flatmap(
    lambda usual: st.tuples(times, numbers).map(list) if usual == 0 else st.just(usual)
)
series = st.fixed_dictionaries({"metric": st.just({})}, optional={"histogram": anything}).flatmap(
    lambda one: points.map(lambda point: {**one, "value": point})
)
results = st.one_of(
    st.tuples(st.just("vector"), series.map(lambda only: [only])),
    st.tuples(st.just("vector"), st.lists(series, max_size=3)),
    st.tuples(st.just("scalar"), points),
    st.tuples(st.sampled_from(["vector", "scalar", "matrix", "string", None]), st.one_of(points, series, anything)),
)
envelopes = st.builds(
    lambda status, result, more: {"status": status, "data": {"resultType": result[0], "result": result[1]}, **more},
    mostly("success", st.sampled_from(["error", "Success", "", None]), anything),
    results,
    st.one_of(
        st.just({}),
        st.fixed_dictionaries(
            {}, optional={"warnings": anything, "infos": anything, "isPartial": st.booleans(), "error": anything}
        ),
    ),
)
bodies = st.one_of(
    envelopes.map(lambda value: json.dumps(value).encode()),
    envelopes.map(lambda value: json.dumps(value).encode()[:-1]),
    anything.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=50),
)


def may_open(status: int, body: bytes, most: str, allowed: int) -> bool:
    """Say what the law says, in other words than the code's."""
    content = json.loads(body)
    if status != 200 or content["status"] != "success" or content.get("warnings") or content.get("isPartial"):
        return False
    result = content["data"]["result"]
    if content["data"]["resultType"] == "vector":
        (only,) = result
        result = only["value"]
    elif content["data"]["resultType"] != "scalar":
        return False
    time, value = result
    number = Decimal(value)
    return number.is_finite() and number <= Decimal(most) and abs(NOW.timestamp() - time) <= allowed


@given(
    status=st.one_of(st.just(200), st.integers(-1, 999)),
    body=bodies,
    most=st.sampled_from(["0", "0.01", "-5", "1000000"]),
    interval=st.integers(5, 120),
)
@example(status=200, body=one("0.01"), most="0.01", interval=5)
@example(status=200, body=one("0.01", time=EPOCH - 60.5), most="0.01", interval=5)
def test_no_answer_raises_and_only_one_fresh_finite_number_within_the_greatest_opens(
    status: int, body: bytes, most: str, interval: int
) -> None:
    reading = judge_answer(ask(most=most, interval=interval), status, body, now=NOW)
    assert reading.time == NOW
    assert reading.open == (reading.cause == "Below")
    assert reading.message
    assert reading.message.isprintable()
    if reading.open:
        assert may_open(status, body, most, max(3 * interval, 60))


@given(value=st.floats(allow_nan=False, allow_infinity=False), most=st.integers(-(10**6), 10**6))
def test_every_finite_number_is_judged_and_its_message_is_true(value: float, most: int) -> None:
    reading = judge_answer(ask(most=str(most)), 200, one(repr(value)), now=NOW)
    assert reading.open == (Decimal(repr(value)) <= most)
    shown, _, limit = reading.message.replace(" is within ", "|").replace(" is above ", "|").partition("|")
    assert (Decimal(shown) <= Decimal(limit)) == reading.open


@given(status=st.one_of(st.just(200), st.integers(100, 599)), body=bodies)
def test_asking_the_age_never_opens_what_was_closed_and_never_raises(status: int, body: bytes) -> None:
    opened = GateReading(time=NOW, open=True, cause="Below", message="0 is within 0.01")
    reading = judge_age(ask(), opened, status, body)
    assert reading == opened or not reading.open
    assert reading.time == NOW


def test_time_is_that_of_asking() -> None:
    later = NOW + timedelta(seconds=30)
    assert judge_answer(ask(), 200, one("0"), now=later).time == later
