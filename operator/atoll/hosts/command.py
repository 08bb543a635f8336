"""What is done on a host, as values: quoted and masked here, so that no shell text is ever put together elsewhere.

An operation is a generator that yields actions. It gets nothing back, so it can be listed without touching a host; what
it depends on are facts, which are read before.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Generic, TypeAlias, TypeVar

T = TypeVar("T")

MASK: Final = "•••"
DEFAULT_SECONDS: Final = 30.0
OUTPUT_LIMIT_BYTES: Final = 256 * 1024
"""Kept of each stream of one command; what is beyond is dropped at the host, and said."""


@dataclass(frozen=True, slots=True)
class Secret:
    """Text that no message, log, listing or process argument may show."""

    value: str = field(repr=False)

    def __str__(self) -> str:
        return MASK


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program with its arguments. Secrets go in by `stdin`, never by argument: others on the host see those."""

    argv: tuple[str, ...]
    why: str
    """One sentence for people: what it is for."""
    stdin: str | Secret = ""
    seconds: float = DEFAULT_SECONDS
    """Time budget; the program is ended after it."""
    ok: frozenset[int] = frozenset({0})
    """Exit codes that mean success."""
    environment: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteFile:
    """A file with that content, written beside and moved into place; its folder is made."""

    path: str
    content: str | Secret
    why: str
    mode: int = 0o644
    new: bool = False
    """Refuse (exit code 17) when it exists already with another content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePath:
    """A file or folder that shall not be there (any more).

    While something is mounted below it, nothing is removed (exit code 16); what is itself a mount point is emptied.
    """

    path: str
    why: str


Action: TypeAlias = Command | WriteFile | RemovePath
Operation: TypeAlias = Iterator[Action]


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one command."""

    code: int
    out: str = ""
    err: str = ""
    truncated: bool = False
    """More came than OUTPUT_LIMIT_BYTES."""
    timed_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact(Generic[T]):
    """Something to know about a host: a command that changes nothing, and what its answer means."""

    command: Command
    parse: Callable[[Result], T]
    """Raises ValueError on an answer that it does not understand."""


def show_action(action: Action) -> str:
    """Return an action as one line for people, secrets masked."""
    match action:
        case Command():
            prefix = "".join(f"{name}={shlex.quote(value)} " for name, value in action.environment)
            hint = f" < {MASK}" if isinstance(action.stdin, Secret) else " < (input)" if action.stdin else ""
            return f"{prefix}{shlex.join(action.argv)}{hint}"
        case WriteFile():
            content = MASK if isinstance(action.content, Secret) else f"{len(action.content.encode())} bytes"
            return f"write {action.path} ({action.mode:04o}, {content})"
        case RemovePath():
            return f"remove {action.path}"
