"""What the record of a rollout says: one entry for each thing that was decided or found out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was decided about a rollout, or found out."""

    time: datetime
    event: str
    """One word of a closed list, `rollout.audit_entries`: Began, WaveDone, GateOpened, MemberTold, …"""
    message: str
    """For people; never holds a secret."""
    wave: str = ""
    """Empty: it is about the rollout as a whole."""
    cluster: str = ""
    """Member name; empty: it is about no single one."""
    by: str = ""
    """Who made it so, where that is known: names, joined with a comma."""
