"""Printing: results on stdout, everything said to people beside them on stderr."""

from __future__ import annotations

import json
import sys
from typing import Any, Final, TextIO

import yaml
from rich.console import Console
from rich.text import Text

WIDTH: Final = 100
"""What a table may take where nobody says how wide the window is."""


def open_console(stream: TextIO | None = None, *, width: int | None = None) -> Console:
    """Return a console for tables; rich itself honours NO_COLOR and drops colour where nobody looks."""
    stream = stream or sys.stdout
    wide = width or (None if stream.isatty() else WIDTH)
    return Console(file=stream, width=wide, highlight=False, markup=False, emoji=False)


def print_data(data: Any, form: str) -> None:
    """Print JSON or YAML on stdout."""
    if form == "json":
        text = json.dumps(data, indent=2, ensure_ascii=False)
    else:
        text = yaml.safe_dump(data, sort_keys=False, allow_unicode=True).rstrip("\n")
    print(text)


def print_lines(lines: list[Text]) -> None:
    """Print lines of text; one too long is folded in a window and left whole in a pipe, never cut off."""
    console = open_console()
    if not console.is_terminal:
        # Text alone: rich takes 70 µs for each line, and a large plan has thousands.
        print("".join(f"{line.plain}\n" for line in lines), end="")
        return
    for line in lines:
        console.print(line)


def print_next(commands: list[str], form: str = "table") -> None:
    """Tell which commands to copy next: on stderr, and only where people read."""
    if form in {"table", "wide"} or sys.stderr.isatty():
        separator = "\n      " if sum(map(len, commands)) > WIDTH - 20 else "          "
        print(f"\nNext: {separator.join(commands)}", file=sys.stderr)
