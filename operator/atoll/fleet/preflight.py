"""What was found out about a cluster before a change of it begins."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .cluster import Finding
from .values import Version


@dataclass(frozen=True, slots=True, kw_only=True)
class PreflightRun:
    """The latest preflight of one child. Nothing was changed by it."""

    rollout: str
    """Name of the Rollout that wants to know."""
    version: Version
    """The hop that shall come next."""
    time: datetime
    findings: tuple[Finding, ...] = ()
    """What is in the way; empty: nothing."""
    warnings: tuple[Finding, ...] = ()
    """What people should know, and what holds nothing up."""
