"""The same small steps for every contender: defined once as data, rendered for each, compared by what they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from atoll.hosts.command import Action, Command, WriteFile

_APPEND: Final = 'grep -qxF -e "$2" -- "$1" 2>/dev/null || printf "%s\\n" "$2" >> "$1"'


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder with a mode."""

    path: str
    mode: int


@dataclass(frozen=True, slots=True)
class File:
    """A file with a content and a mode."""

    path: str
    mode: int
    content: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line in a file, at its end if it is not there yet."""

    path: str
    line: str


@dataclass(frozen=True, slots=True)
class Run:
    """A program to its end."""

    argv: tuple[str, ...]


Step: TypeAlias = Folder | File | Line | Run


def build_steps(count: int) -> tuple[Step, ...]:
    """Take turns: a folder, a file in it, a line in a common file, a program that does nothing. Paths are relative."""
    steps: list[Step] = []
    for number in range(count // 4):
        steps += [
            Folder(f"part-{number}", 0o750),
            File(f"part-{number}/settings", 0o640, "".join(f"key-{number}-{line} = value\n" for line in range(16))),
            Line("lines", f"part-{number} is there"),
            Run(("true",)),
        ]
    return tuple(steps)


def render_action(step: Step, root: str) -> Action:
    """Return what Atoll's executor does."""
    match step:
        case Folder(path, mode):
            why = f"have the folder {path}"
            return Command(argv=("install", "--directory", f"--mode={mode:04o}", f"{root}/{path}"), why=why)
        case File(path, mode, content):
            return WriteFile(path=f"{root}/{path}", content=content, mode=mode, why=f"write {path}")
        case Line(path, line):
            return Command(argv=("sh", "-c", _APPEND, "sh", f"{root}/{path}", line), why=f"have a line in {path}")
        case Run(argv):
            return Command(argv=argv, why="run a program")


def render_task(step: Step, root: str) -> dict[str, Any]:
    """Return what Ansible does, with the module that is meant for it."""
    match step:
        case Folder(path, mode):
            return {"ansible.builtin.file": {"path": f"{root}/{path}", "state": "directory", "mode": f"{mode:04o}"}}
        case File(path, mode, content):
            return {"ansible.builtin.copy": {"dest": f"{root}/{path}", "content": content, "mode": f"{mode:04o}"}}
        case Line(path, line):
            return {"ansible.builtin.lineinfile": {"path": f"{root}/{path}", "line": line, "create": True}}
        case Run(argv):
            return {"ansible.builtin.command": {"argv": list(argv)}}
