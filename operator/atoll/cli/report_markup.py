"""HTML out of values: every text is escaped on its way in, so that no name can break a page. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --quiet: #5b6675; --paper: #ffffff; --panel: #f4f6f9;
  --line: #d7dde5; --good: #146c3a; --bad: #b3261e; --unknown: #8a5a00; --accent: #1f5fa8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e9f0; --quiet: #9aa6b5; --paper: #12161c; --panel: #1b212a;
  --line: #333d4a; --good: #5fd08c; --bad: #ff8a80; --unknown: #f0b955; --accent: #7db7f5; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2rem 1.5rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; }
h3 { font-size: 1.02rem; margin: 0 0 .5rem; } h4 { font-size: .85rem; margin: .9rem 0 .2rem; color: var(--quiet); }
p { margin: .3rem 0; } a { color: var(--accent); }
code, .digest { font: .88em/1.45 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace; }
.digest, .wrap { overflow-wrap: anywhere; } .quiet { color: var(--quiet); }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0 0; }
.tile { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .5rem .9rem; }
.tile b { display: block; font-size: 1.35rem; line-height: 1.3; } .tile.bad b { color: var(--bad); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--line); }
th { color: var(--quiet); font-weight: 600; font-size: .82rem; white-space: nowrap; }
td.short { white-space: nowrap; width: 1%; padding-right: 1.6rem; }
article { background: var(--panel); border: 1px solid var(--line); border-radius: .5rem; padding: .9rem 1.1rem;
  margin: 0 0 .8rem; }
.good { color: var(--good); } .bad { color: var(--bad); } .unknown { color: var(--unknown); }
.state { font-weight: 600; white-space: nowrap; }
footer { margin-top: 3rem; border-top: 2px solid var(--line); padding-top: .8rem; font-size: .9rem; }
@media print {
  :root { --ink: #000; --quiet: #444; --paper: #fff; --panel: #fff; --line: #bbb; --good: #14532d; --bad: #8b1a12;
    --unknown: #6b4600; --accent: #000; }
  body { max-width: none; padding: 0; font-size: 10pt; } .scroll { overflow: visible; }
  article, tr { break-inside: avoid; } h2, h3, h4 { break-after: avoid; }
}
"""
SIGNS: Final = {"good": "✓", "bad": "✗", "unknown": "?", "": "·"}
"""Beside the colour, so that a reader without colours loses nothing."""


@dataclass(frozen=True, slots=True)
class Html:
    """Text that is markup already."""

    text: str


Content = Html | str | int | None


def tag(name: str, *content: Content, cls: str = "", ident: str = "") -> Html:
    """Build one element; plain texts in it are escaped."""
    attributes = f' id="{escape(ident)}"' if ident else ""
    attributes += f' class="{escape(cls)}"' if cls else ""
    return Html(f"<{name}{attributes}>{join(content).text}</{name}>")


def join(content: Iterable[Content], separator: str = "") -> Html:
    """Put pieces one after the other."""
    return Html(escape(separator).join(_write(piece) for piece in content if piece is not None))


def state(word: str, tone: str) -> Html:
    """Write a state with its sign."""
    return tag("span", f"{SIGNS[tone]} {word}", cls=f"state {tone}".strip())


def table(heads: Sequence[str], rows: Sequence[Sequence[Content]], *, short: frozenset[int] = frozenset()) -> Html:
    """Build a table; the columns in `short` are never broken."""
    body = [
        tag("tr", *(tag("td", cell, cls="short" if index in short else "wrap") for index, cell in enumerate(row)))
        for row in rows
    ]
    return tag(
        "div",
        tag("table", tag("thead", tag("tr", *(tag("th", head) for head in heads))), tag("tbody", *body)),
        cls="scroll",
    )


def titled_table(
    title: str, heads: Sequence[str], rows: Sequence[Sequence[Content]], *, short: frozenset[int] = frozenset()
) -> Html | None:
    """Build a table below a small heading; nothing when it has no rows."""
    return join([tag("h4", title), table(heads, rows, short=short)]) if rows else None


def titled_text(title: str, text: Content) -> Html | None:
    """Build a line below a small heading; nothing when there is no text."""
    return join([tag("h4", title), tag("p", text, cls="wrap")]) if text else None


def page(title: str, *content: Content) -> str:
    """Build a whole page that loads nothing from anywhere."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(policy)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"{tag('title', title).text}\n<style>{STYLE}</style>\n</head>\n<body>\n"
        f"{join(content, chr(10)).text}\n</body>\n</html>\n"
    )


def _write(piece: Content) -> str:
    return piece.text if isinstance(piece, Html) else escape(str(piece))
