"""What a lane has shown, as a table for the terminal and as a line of docs/reliability.md."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .lane import Tally
from .sites import PHASES, Plan, Side, Where

LEDGER: Final = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
ROWS_MARK: Final = "<!-- rows: written by `python -m tests.faults --write-ledger` -->"
TABLE_START: Final = "<!-- table: written by `python -m tests.faults --write-ledger` -->"
TABLE_END: Final = "<!-- end of table -->"


def build_table(tally: Tally) -> list[str]:
    """Return plans, failures and sites that were not reached, by phase, kind of site and side, as Markdown."""
    lines = [
        "| phase | where | sites | " + " | ".join(side.value for side in Side) + " | failed | not reached |",
        "|---|---|---:|" + "---:|" * (len(Side) + 2),
    ]
    for phase in PHASES:
        for where in Where:

            def here(plans: Iterable[Plan], phase: str = phase, where: Where = where) -> list[Plan]:
                return [plan for plan in plans if plan.site.phase == phase and plan.site.where is where]

            sites = sum(site.phase == phase and site.where is where for site in tally.sites)
            fired = here(tally.fired)
            sides = " | ".join(str(sum(plan.side is side for plan in fired)) for side in Side)
            failed, missed = len(here(tally.failed)), len(here(tally.not_reached))
            lines.append(f"| {phase} | {where} | {sites} | {sides} | {failed} | {missed} |")
    sides = " | ".join(str(sum(plan.side is side for plan in tally.fired)) for side in Side)
    lines.append(f"| all | | {len(tally.sites)} | {sides} | {len(tally.failed)} | {len(tally.not_reached)} |")
    return lines


def build_summary(tally: Tally) -> str:
    """Say in one sentence what was shown."""
    return (
        f"{len(tally.fired)} plans in {tally.runs} runs ({tally.seconds / 60:.0f} min): {tally.failed_runs} runs "
        f"failed; {tally.write_sites} API writes begun, {tally.audited} in the audit logs, {tally.unanswered} whose "
        f"answer nobody saw; {tally.samples} samples of the processes"
    )


def write_ledger(tally: Tally, *, commit: str, day: str, what: str) -> None:
    """Add a line to the ledger and replace its table."""
    text = LEDGER.read_text(encoding="utf-8")
    row = (
        f"| {day} | `{commit}` | {what} | {len(tally.sites)} | {len(tally.fired)} | {len(tally.failed)} | "
        f"{len(tally.not_reached)} | {tally.write_sites} / {tally.audited} / {tally.unanswered} | "
        f"{tally.seconds / 60:.0f} min |"
    )
    text = text.replace(ROWS_MARK, f"{row}\n{ROWS_MARK}")
    head, _, rest = text.partition(TABLE_START)
    _, _, tail = rest.partition(TABLE_END)
    table = "\n".join(build_table(tally))
    LEDGER.write_text(f"{head}{TABLE_START}\n\n{table}\n\n{TABLE_END}{tail}", encoding="utf-8")
