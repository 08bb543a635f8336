"""What an account remembers of its own calls."""

from __future__ import annotations

import pytest

from atoll.errors import AtollError, Unreachable
from atoll.providers.managed.budget import Budget
from atoll.providers.managed.calling import CHANGES_KNOWN, Caller


def translate(error: Exception, call: str, subject: str) -> AtollError:
    return Unreachable(f"{call} of {subject}: {error}")


def write(caller: Caller, subject: str) -> None:
    caller.write("Change", subject, lambda: None)


def test_it_is_known_what_has_been_changed_since() -> None:
    caller = Caller(Budget(rate=1e9, least=1.0), translate)
    write(caller, "atoll-a")
    since = caller.changes
    assert not caller.has_changed("atoll-a", since)
    caller.read("Describe", "atoll-a", lambda: None)
    write(caller, "atoll-b/nodes")
    write(caller, "arn:aws:eks:eu-west-1:1:nodegroup/atoll-c/nodes/7")
    assert not caller.has_changed("atoll-a", since)
    assert caller.has_changed("atoll-b", since)
    assert caller.has_changed("atoll-c", since)
    assert not caller.has_changed("atoll-b", since + 1)
    assert not caller.has_changed("nobody", since)


def test_a_change_that_failed_counts_and_too_many_are_told_as_a_change() -> None:
    caller = Caller(Budget(rate=1e9, least=1.0), translate)

    def fail() -> None:
        raise OSError

    with pytest.raises(Unreachable):
        caller.write("Change", "atoll-a", fail)
    assert caller.has_changed("atoll-a", 0)
    for _ in range(CHANGES_KNOWN):
        write(caller, "atoll-b")
    assert caller.has_changed("nobody", 0)
    assert not caller.has_changed("nobody", 1)
