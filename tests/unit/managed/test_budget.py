"""How often an account is asked: at once after a rest, less when the cloud has had enough, and never all together."""

from __future__ import annotations

import threading
import time

import pytest

from atoll.errors import Refused, Throttled, Unreachable
from atoll.providers.managed.budget import BURST, Budget
from atoll.providers.managed.calling import Caller


def test_after_a_rest_a_burst_goes_at_once_and_the_rest_at_the_rate() -> None:
    budget = Budget(rate=100.0, least=1.0)
    began = time.monotonic()
    for _ in range(BURST):
        budget.take()
    assert time.monotonic() - began < 0.1
    for _ in range(10):
        budget.take()
    assert time.monotonic() - began >= 0.09


def test_a_refusal_halves_the_rate_once_and_holds_everybody_up() -> None:
    budget = Budget(rate=100.0, least=2.0)
    budget.slow_down(0.1)
    budget.slow_down(0.1)
    assert budget.rate == 50.0
    began = time.monotonic()
    budget.take()
    assert time.monotonic() - began >= 0.1
    end = time.monotonic() + 10
    while budget.rate > 2.0 and time.monotonic() < end:
        budget.slow_down(0)
        time.sleep(0.001)
    budget.slow_down(0)
    assert budget.rate == 2.0


def test_answers_let_it_grow_again() -> None:
    budget = Budget(rate=10.0, least=1.0)
    for _ in range(20):
        budget.praise()
    assert budget.rate == 20.0


def test_who_waits_is_let_go_when_it_closes() -> None:
    budget = Budget(rate=100.0, least=1.0)
    budget.slow_down(60)
    ended: list[Exception] = []

    def wait() -> None:
        try:
            budget.take()
        except Unreachable as error:
            ended.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    budget.close()
    thread.join(5)
    assert [str(error) for error in ended] == ["the operator is ending"]


class Answers:
    """Gives its answers one after another."""

    def __init__(self, *answers: Exception | str) -> None:
        self.answers = list(answers)
        self.asked = 0

    def __call__(self) -> str:
        self.asked += 1
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def translate(error: Exception, call: str, subject: str) -> Refused:
    return Refused(f"{call} of {subject} was refused: {error}")


def test_a_read_is_repeated_and_a_write_only_when_nobody_listened() -> None:
    counted: list[tuple[str, str]] = []
    caller = Caller(
        Budget(rate=1000.0, least=1.0), translate, count=lambda call, result: counted.append((call, result))
    )
    reading = Answers(Unreachable("503"), Throttled("later", delay=0.01), "there")
    assert caller.read("describe", "c1", reading) == "there"
    writing = Answers(Throttled("later", delay=0.01), Unreachable("cut"), "made")
    with pytest.raises(Unreachable, match="cut"):
        caller.write("create", "c1", writing)
    assert writing.asked == 2
    assert counted == [
        ("describe", "Unreachable"),
        ("describe", "Throttled"),
        ("describe", "ok"),
        ("create", "Throttled"),
        ("create", "Unreachable"),
    ]


def test_errors_of_the_sdk_are_told_in_our_words_and_carry_nothing_with_them() -> None:
    caller = Caller(Budget(least=1.0), translate)
    with pytest.raises(Refused, match="create of c1 was refused: no") as caught:
        caller.write("create", "c1", Answers(ValueError("no")))
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
