"""Tenants try to get out, with their own credentials, while Atoll is stopped: the clusters themselves must hold."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.e2e.tenancy.conftest import Ground
from tests.e2e.tenancy.escapes import Attempt
from tests.e2e.tenancy.escapes_bounds import BOUNDS
from tests.e2e.tenancy.escapes_guards import recognise
from tests.e2e.tenancy.escapes_identity import IDENTITY
from tests.e2e.tenancy.escapes_prepare import prepare
from tests.e2e.tenancy.escapes_rights import RIGHTS
from tests.e2e.tenancy.escapes_run import Outcome, comes_through, run_attempts

pytestmark = pytest.mark.e2e

ATTEMPTS = (*RIGHTS, *IDENTITY, *BOUNDS)
GROUPS = ("E1", "E2", "E3", "E4", "E5", "E6", "E7", "E9", "E10", "E11", "E12", "E14", "E15", "E16", "E17", "E18")
each = pytest.mark.parametrize("attempt", ATTEMPTS, ids=lambda attempt: attempt.title)


@pytest.fixture(scope="module")
def outcome(ground: Ground) -> Iterator[Outcome]:
    """Run all attempts while Atoll is stopped, so that nothing it repairs hides an escape."""
    people = prepare(ground)
    operator = ground.home.operator()
    operator.suspend()
    try:
        done = asyncio.run(run_attempts(ground.servers, people, ATTEMPTS))
        yield done
    finally:
        operator.resume()


def test_there_are_enough_of_each_class() -> None:
    counts = Counter(attempt.group for attempt in ATTEMPTS)

    assert len({attempt.title for attempt in ATTEMPTS}) == len(ATTEMPTS)
    assert set(counts) == set(GROUPS)
    assert len(ATTEMPTS) >= 120
    assert min(counts.values()) >= 6


@each
def test_an_attempt_is_refused_by_its_guard(outcome: Outcome, attempt: Attempt) -> None:
    answer = outcome.attempts[attempt.title].answer

    assert recognise(answer) is attempt.guards[0], f"{attempt.call.method} {attempt.call.path}: {answer}"


@each
def test_the_next_guard_holds_where_one_is_gone(outcome: Outcome, attempt: Attempt) -> None:
    held = outcome.attempts[attempt.title].held

    assert [recognise(answer) for answer in held] == list(attempt.guards[1:]), [str(answer) for answer in held]


@each
def test_it_succeeds_once_its_guards_are_gone(outcome: Outcome, attempt: Attempt) -> None:
    control = outcome.attempts[attempt.title].control

    assert control is not None
    assert comes_through(attempt, control), f"{attempt.call.method} {attempt.call.path}: {control}"


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_has_changed_anywhere(outcome: Outcome, group: str) -> None:
    assert outcome.changes[group] == []


def test_the_count_is_told(outcome: Outcome, capsys: pytest.CaptureFixture[str]) -> None:
    """Say for each class how many were tried, how many escaped, and how many controls succeeded."""
    rows: dict[str, list[int]] = {}
    for attempt in ATTEMPTS:
        seen = outcome.attempts[attempt.title]
        row = rows.setdefault(attempt.group, [0, 0, 0])
        row[0] += 1
        row[1] += seen.answer.accepted
        row[2] += seen.control is not None and comes_through(attempt, seen.control)
    took = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in outcome.seconds.items())
    told = (f"{group}: {row[0]} attempts, {row[1]} escapes, {row[2]} controls" for group, row in rows.items())
    with capsys.disabled():
        print("", *told, took, sep="\n")

    assert sum(row[1] for row in rows.values()) == 0
    assert sum(outcome.seconds.values()) < 60


def test_the_guards_are_back(outcome: Outcome) -> None:
    guards = {attempt.title: attempt.guards[0] for attempt in ATTEMPTS}

    assert {title: recognise(answer) for title, answer in outcome.put_back.items()} == {
        title: guards[title] for title in outcome.put_back
    }
