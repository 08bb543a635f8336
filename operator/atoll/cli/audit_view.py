"""Records of rollouts as people read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text

from atoll.rollout.audit import read

from .audit_model import Chain, Checked

_DIGEST: Final = 12
"""Characters of a digest that people are shown."""
_GREY: Final = "bright_black"


def render_checked(checked: Sequence[Checked]) -> list[Text]:
    """Write one line for each chain that is whole, and what is wrong below each that is not."""
    width = max((len(item.chain.name) for item in checked), default=0)
    lines: list[Text] = []
    for item in checked:
        verdict = item.verdict
        name = (item.chain.name.ljust(width), "bold")
        records = f"{verdict.records} record{'' if verdict.records == 1 else 's'}"
        if not verdict.intact:
            lines.append(Text.assemble(("✗", "red"), " ", name, f"  {records}, broken"))
        elif not verdict.records:
            lines.append(Text.assemble(("·", _GREY), " ", name, ("  no records", _GREY)))
        else:
            lines.append(Text.assemble(("✓", "green"), " ", name, f"  {records}, {describe_head(item.chain.head)}"))
        for finding in verdict.findings:
            place = item.chain.place(finding.line)
            where = f" ({place})" if place else ""
            lines.append(Text.assemble("    ", (finding.kind, "red"), f"  {finding.message}{where}"))
        remedies = dict.fromkeys(finding.remedy for finding in verdict.findings)
        lines += [Text(f"    → {remedy}.") for remedy in remedies]
        if verdict.unacknowledged:
            count = verdict.unacknowledged
            what = "record stands" if count == 1 else "records stand"
            told = f"{count} {what} after the head: the operator was stopped between two writes, and goes on from there"
            lines.append(Text.assemble("    ", ("!", "yellow"), f" {told}."))
    return lines


def describe_head(head: str) -> str:
    """Shorten a head for people."""
    number, _, digest = head.partition(":")
    return f"head {number}:{digest[:_DIGEST]}" if digest else "no head"


def render_records(chain: Chain) -> list[Text]:
    """Write one line for each record: number, time, event, where, what, and who made it so."""
    records = [read(line) for line in chain.lines]
    places = ["/".join(part for part in (r.entry.wave, r.entry.cluster) if part) if r else "" for r in records]
    width = max((len(place) for place in places), default=0)
    digits = len(str(len(records)))
    lines: list[Text] = []
    for number, (record, place) in enumerate(zip(records, places, strict=True), start=1):
        if record is None:
            # Whatever was written there is not for a terminal to obey.
            lines.append(Text.assemble((f"{number:>{digits}}  ✗ this line is no record as Atoll writes it", "red")))
            continue
        entry = record.entry
        by = f"  (by {entry.by})" if entry.by else ""
        lines.append(
            Text.assemble(
                (f"{record.seq:>{digits}}", _GREY),
                f"  {entry.time:%Y-%m-%d %H:%M:%S}  ",
                (f"{_plain(entry.event):<14}", "cyan"),
                f"  {_plain(place):<{width}}  {_plain(entry.message)}{_plain(by)}",
            )
        )
    return lines


def _plain(text: str) -> str:
    return "".join(char if char.isprintable() else "�" for char in text)
