"""Where the operator can be killed: each API write and each effect on the machine is a site with a stable name.

The log of one run is what both sides know of each other: the operator appends what it begins and what it has done, the
harness reads it. Appended lines outlive a SIGKILL without fsync; only a loss of power would take them.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

PHASES: Final = ("create", "upgrade", "delete")

_ID: Final = re.compile(r"\b[0-9a-f]{16}\b")
_TAG: Final = re.compile(r"(@v[0-9.]+)-[0-9a-f]{8}\b")
_OPERATION: Final = re.compile(r"\b(create|change|repair|revert|delete)-\d{8}t\d{6}-[0-9a-f]{8}\b")


class Side(StrEnum):
    """When the operator dies: before it acts, after the act but before it knows, once it knows."""

    BEFORE = "before"
    LOST = "lost"
    AFTER = "after"


class Where(StrEnum):
    """What a site changes."""

    HUB = "hub"
    CHILD = "child"
    EFFECT = "effect"


@dataclass(frozen=True, slots=True, order=True)
class Site:
    """One write or effect of a run: the nth time that this signature occurs in this phase."""

    phase: str
    signature: str
    occurrence: int

    @property
    def where(self) -> Where:
        """Say what this site changes."""
        return Where(self.signature.partition(" ")[0])


@dataclass(frozen=True, slots=True, order=True)
class Plan:
    """One kill."""

    site: Site
    side: Side

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON data."""
        return {**asdict(self.site), "side": self.side.value}


def parse_plan(data: Mapping[str, Any]) -> Plan:
    """Read a plan back."""
    return Plan(Site(data["phase"], data["signature"], data["occurrence"]), Side(data["side"]))


def name_request(where: Where, fleet: str, method: str, path: str, content_type: str) -> str:
    """Return the signature of an API write: `hub PATCH childclusters/q--a/status`."""
    parts = [unquote(part) for part in path.strip("/").split("/")]
    parts = parts[2:] if parts[0] == "api" else parts[3:]
    if parts[:2] == ["namespaces", fleet] and len(parts) > 2:
        parts = parts[2:]
    verb = f"{method} merge" if content_type.startswith("application/merge-patch") else method
    return f"{where} {verb} {hide_names('/'.join(parts))}"


def name_effect(what: str, home: Path) -> str:
    """Return the signature of an effect: paths below the home, random names hidden."""
    return f"{Where.EFFECT} {hide_names(what.replace(f'{home}/planes/', ''))}"


def hide_names(text: str) -> str:
    """Put placeholders where names differ from run to run."""
    return _ID.sub("<id>", _TAG.sub(r"\1-<tag>", _OPERATION.sub(r"\1-<operation>", text)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One passage through a site, as the log tells it."""

    number: int
    site: Site
    key: str
    """For API writes `hub PATCH /apis/…`, exactly as audit logs can tell it; else the effect in full."""
    facts: Mapping[str, Any]
    outcome: str
    """`done`, `failed`, or empty: cut short by the end of the process."""
    status: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One end of the operator by a plan."""

    plan: Plan
    pid: int


@dataclass(frozen=True, slots=True)
class RunLog:
    """Everything that the operators of one run wrote down."""

    visits: tuple[Visit, ...]
    kills: tuple[Kill, ...]
    starts: tuple[int, ...]

    @property
    def sites(self) -> tuple[Site, ...]:
        """List the sites in the order of their first visit."""
        return tuple(dict.fromkeys(visit.site for visit in self.visits))

    def count(self, phase: str | None = None) -> Counter[str]:
        """Count what has been done, by signature."""
        return Counter(
            visit.site.signature
            for visit in self.visits
            if visit.outcome == "done" and phase in {None, visit.site.phase}
        )


def read_log(path: Path) -> RunLog:
    """Read the log of a run; a line that a kill cut short is left out."""
    lines: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                continue
    ends = {line["number"]: line for line in lines if line["event"] in {"done", "failed"}}
    visits = tuple(
        Visit(
            number=line["number"],
            site=Site(line["phase"], line["signature"], line["occurrence"]),
            key=line["key"],
            facts=line.get("facts", {}),
            outcome=ends.get(line["number"], {}).get("event", ""),
            status=ends.get(line["number"], {}).get("status", 0),
        )
        for line in lines
        if line["event"] == "begin"
    )
    kills = tuple(Kill(plan=parse_plan(line["plan"]), pid=line["pid"]) for line in lines if line["event"] == "kill")
    return RunLog(visits, kills, tuple(line["pid"] for line in lines if line["event"] == "start"))


def list_plans(sites: Iterable[Site]) -> tuple[Plan, ...]:
    """List every kill that these sites allow."""
    return tuple(Plan(site, side) for site in sites for side in Side)


def write_plans(path: Path, plans: Sequence[Plan]) -> None:
    """Write the plans of a run."""
    path.write_text(json.dumps([plan.to_json() for plan in plans], indent=1), encoding="utf-8")


def read_plans(path: Path) -> tuple[Plan, ...]:
    """Read the plans of a run."""
    return tuple(parse_plan(data) for data in json.loads(path.read_text(encoding="utf-8")))
