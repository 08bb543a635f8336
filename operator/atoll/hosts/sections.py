"""Parts of one long answer: many things to know about a host, asked in one round trip.

A section is a few lines of shell that print something and change nothing, and a parser of what they print. One section
is a fact; several together are one fact too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic

from .command import Command, Fact, Result, T

_HEAD: Final = "@@ "
_NAME: Final = re.compile(r"[a-z][a-z-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Section(Generic[T]):
    """One thing to know. Its script runs in a shell of its own, without standard error."""

    name: str
    script: str
    parse: Callable[[str], T]
    """Gets what the script printed, without white space around it; raises ValueError."""

    def fact(self) -> Fact[T]:
        """Return it as a fact of its own."""
        return Fact(command=build_command((self,), f"look at {self.name}"), parse=self._parse_alone)

    def read(self, answers: Mapping[str, str]) -> T:
        """Parse it out of an answer to several sections; ValueError names the section."""
        if self.name not in answers:
            raise ValueError(f"the host did not answer about {self.name}")
        try:
            return self.parse(answers[self.name])
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"{self.name}: {error} (in {answers[self.name][:100]!r})") from error

    def _parse_alone(self, result: Result) -> T:
        return self.read(split_answer(result))


def build_command(sections: tuple[Section[Any], ...], why: str, seconds: float = 30.0) -> Command:
    """Return the command that asks about all of them."""
    parts = [f"echo; echo '{_HEAD}{_check(section.name)}'\n(\n{section.script}\n) 2>/dev/null" for section in sections]
    script = "\n".join([*parts, f"echo; echo '{_HEAD}end'"])
    return Command(argv=("/bin/sh", "-c", script), why=why, seconds=seconds, ok=frozenset(range(256)))


def split_answer(result: Result) -> Mapping[str, str]:
    """Return what each section printed; ValueError when the answer is not whole."""
    answers: dict[str, str] = {}
    for part in ("\n" + result.out).split(f"\n{_HEAD}")[1:]:
        name, _, text = part.partition("\n")
        answers.setdefault(name, text.strip())
    if "end" not in answers or result.truncated:
        why = "it took too long" if result.timed_out else "it is not whole"
        raise ValueError(f"no answer of a host: {why} {result.err.strip()[-200:]}".strip())
    return answers


def _check(name: str) -> str:
    if not _NAME.fullmatch(name) or name == "end":
        raise ValueError(f"{name!r} cannot name a section")
    return name
