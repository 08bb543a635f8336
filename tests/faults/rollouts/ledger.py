"""What the lane has shown, as a table for the terminal and as a row and a table of docs/reliability.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .explore import Found

LEDGER: Final = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
ROWS_MARK: Final = "<!-- rollout rows: written by `python -m tests.faults.rollouts --write-ledger` -->"
TABLE_START: Final = "<!-- rollout table: written by `python -m tests.faults.rollouts --write-ledger` -->"
TABLE_END: Final = "<!-- end of rollout table -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequences:
    """What random sequences have shown."""

    asked: int = 0
    done: int = 0
    broken: tuple[str, ...] = ()
    seconds: float = 0.0


def build_table(found: Sequence[Found]) -> list[str]:
    """Return every scene that was explored, as Markdown."""
    lines = [
        "| scene | states | seen, waiting | edges | let run to the end | all there are | broken | CPU seconds |",
        "|---|---:|---:|---:|---:|---|---|---:|",
    ]
    for item in found:
        broken = f"**{item.broken[0]}**" if item.broken else "nothing"
        whole = "yes" if item.complete else "no"
        lines.append(
            f"| {item.scene} | {item.states} | {item.seen - item.states} | {item.edges} | {item.endings} | {whole} | "
            f"{broken} | {item.seconds:.0f} |"
        )
    return lines


def build_summary(found: Sequence[Found], sequences: Sequences, seconds: float) -> str:
    """Say in one sentence what was shown."""
    states, cpu = sum(item.states for item in found), sum(item.seconds for item in found)
    failed = sum(bool(item.broken) for item in found) + bool(sequences.broken)
    rate = f" ({states / cpu:.0f} a second of one core)" if cpu else ""
    return (
        f"{states} states{rate} and {sequences.done} sequences in {seconds / 60:.0f} min: "
        f"{'nothing is broken' if not failed else f'{failed} searches found something broken'}"
    )


def write_ledger(
    found: Sequence[Found], sequences: Sequences, *, commit: str, day: str, what: str, seconds: float
) -> None:
    """Add a row to the ledger and replace its table."""
    text = LEDGER.read_text(encoding="utf-8")
    assert ROWS_MARK in text, f"{LEDGER.name} has no place for this lane"
    states, edges = sum(item.states for item in found), sum(item.edges for item in found)
    failed = sum(bool(item.broken) for item in found) + bool(sequences.broken)
    row = f"| {day} | `{commit}` | {what} | {states} | {edges} | {sequences.done} | {failed} | {seconds / 60:.0f} min |"
    text = text.replace(ROWS_MARK, f"{row}\n{ROWS_MARK}")
    head, _, rest = text.partition(TABLE_START)
    _, _, tail = rest.partition(TABLE_END)
    table = "\n".join(build_table(found))
    LEDGER.write_text(f"{head}{TABLE_START}\n\n{table}\n\n{TABLE_END}{tail}", encoding="utf-8")
