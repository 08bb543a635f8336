"""An explanation as people read it."""

from __future__ import annotations

from typing import Final

from rich.text import Text

from .why_model import Why

_WIDTH: Final = 100
_SHOWN: Final = 5


def render_why(why: Why) -> list[Text]:
    """Write an explanation: title and reason, labelled sentences, then who refused and what would help."""
    colour = {True: "green", False: "red", None: "yellow"}[why.ready]
    gap = max(2, _WIDTH - len(why.title) - len(why.reason))
    lines = [Text.assemble((why.title, "bold"), " " * gap, (why.reason, colour))]
    width = max([9, *(len(label) for label, _ in why.lines)])
    told = [line for line in why.lines if line[0] != "since"]
    end = [line for line in why.lines if line[0] == "since"]
    lines += [_line(label, text, width) for label, text in told]
    label = "elsewhere" if why.ready else "nearest"
    several = len({near.environment for near in why.nearest}) > 1
    for index, near in enumerate(why.nearest[:_SHOWN]):
        where = f" for {near.environment}" if several else ""
        words = f"{near.cluster + where:<22} {near.rule:<12} {near.message}"
        lines.append(_line(label if index == 0 else "", f"{words}  → {near.remedy}" if near.remedy else words, width))
    if len(why.nearest) > _SHOWN:
        lines.append(_line("", f"and {len(why.nearest) - _SHOWN} more; `-o json` lists them all", width))
    return lines + [_line(label, text, width) for label, text in end]


def _line(label: str, text: str, width: int) -> Text:
    return Text.assemble("  ", (label.ljust(width), "cyan"), " ", text)
