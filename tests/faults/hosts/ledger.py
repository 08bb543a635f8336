"""What the lane has shown, as a row and a table of docs/reliability.md, beside those of the crash lane."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from .clusters import STORIES
from .probes import PROBE_FAULTS
from .scenario import Outcome

LEDGER: Final = Path(__file__).resolve().parents[3] / "docs" / "reliability.md"
ROWS_MARK: Final = "<!-- host rows: written by `python -m tests.faults.hosts --write-ledger` -->"
TABLE_START: Final = "<!-- host table: written by `python -m tests.faults.hosts --write-ledger` -->"
TABLE_END: Final = "<!-- end of host table -->"
_CLUSTER_TABLE: Final = "| scenario | broken | when | meanwhile | mended by | held | seconds |"


def build_table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return every scenario that was run, as Markdown."""
    lines = [_CLUSTER_TABLE, "|---|---|---|---|---|---|---:|"]
    described = describe_all()
    for outcome in outcomes:
        cells = described.get(outcome.name, describe_kills(outcome))
        held = "**no**" if outcome.wrong else "yes"
        lines.append(f"| {outcome.name} | {' | '.join(cells)} | {held} | {outcome.seconds:.0f} |")
    return lines


def describe_all() -> dict[str, tuple[str, str, str, str]]:
    """Return (broken, when, meanwhile, mended by) of every fault, by name."""
    probes = {
        fault.name: (fault.broken, "before the pool lists it", f"`{fault.state}`, `{fault.reason}`", fault.undone)
        for fault in PROBE_FAULTS
    }
    clusters = {
        fault.name: (fault.broken, fault.when, fault.meanwhile, fault.undone)
        for story in STORIES
        for fault in story.faults
    }
    return probes | clusters


def describe_kills(outcome: Outcome) -> tuple[str, str, str, str]:
    """Return the same of what is no single fault: kills all along, and the end of a story."""
    if outcome.notes:
        counts = ", ".join(f"{count} {what}" for what, count in outcome.notes.items())
        return "the operator is killed", counts, "(hosts work on)", "it is started"
    holds = (
        "hosts are clean" if outcome.name.endswith("deleted") else "one identity, one API server, nothing done twice"
    )
    return "(nothing more)", "at the end", holds, ""


def build_summary(outcomes: Sequence[Outcome], seconds: float) -> str:
    """Say in one sentence what was shown."""
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    return f"{len(outcomes)} scenarios on hosts in {seconds / 60:.0f} min: {failed} failed"


def write_ledger(outcomes: Sequence[Outcome], *, commit: str, day: str, what: str, seconds: float) -> None:
    """Add a row to the ledger and replace its table."""
    text = LEDGER.read_text(encoding="utf-8")
    failed = sum(bool(outcome.wrong) for outcome in outcomes)
    row = f"| {day} | `{commit}` | {what} | {len(outcomes)} | {failed} | {seconds / 60:.0f} min |"
    text = text.replace(ROWS_MARK, f"{row}\n{ROWS_MARK}")
    head, _, rest = text.partition(TABLE_START)
    _, _, tail = rest.partition(TABLE_END)
    table = "\n".join(build_table(outcomes))
    LEDGER.write_text(f"{head}{TABLE_START}\n\n{table}\n\n{TABLE_END}{tail}", encoding="utf-8")
