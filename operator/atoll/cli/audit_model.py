"""Records of rollouts as the command line reads them: from a management cluster, or from exported files."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from atoll.errors import BadInput
from atoll.rollout.audit import Finding, Verdict, read, verify_chain
from atoll.rollout.audit_pages import read_pages

FORMAT: Final = "atoll.dev/audit/v1"
"""What the first line of an export says it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """All records of one Rollout, and the head that its status named when they were read."""

    fleet: str
    name: str
    uid: str
    head: str
    lines: tuple[str, ...]
    places: tuple[tuple[str, int], ...]
    """ConfigMap (or file) and how many of the lines it has, in order."""
    state: str = ""
    """What the status said of the rollout; empty: no status was written yet."""

    def place(self, line: int) -> str:
        """Return which ConfigMap, or file, has a line; empty: none."""
        for name, count in self.places:
            if 0 < line <= count:
                return name
            line -= count
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A chain and what it is worth."""

    chain: Chain
    verdict: Verdict


def build_chain(rollout: Mapping[str, Any], config_maps: Iterable[Mapping[str, Any]]) -> Chain:
    """Put together what was read of one Rollout. Its ConfigMaps must have been read after it."""
    metadata = rollout["metadata"]
    pages = read_pages(metadata["name"], metadata["uid"], config_maps)
    return Chain(
        fleet=str(metadata.get("namespace", "")),
        name=metadata["name"],
        uid=metadata["uid"],
        head=str((rollout.get("status") or {}).get("auditHead", "")),
        lines=tuple(line for page in pages for line in page.lines),
        places=tuple((f"ConfigMap {page.name}", len(page.lines)) for page in pages),
        state=str((rollout.get("status") or {}).get("state", "")),
    )


def write_export(chain: Chain) -> str:
    """Write a chain as JSON lines that say by themselves whose they are; `read_export` reads them."""
    words = {"fleet": chain.fleet, "rollout": chain.name, "uid": chain.uid, "head": chain.head, "state": chain.state}
    first = {"format": FORMAT, **words}
    return "".join(f"{line}\n" for line in (json.dumps(first, ensure_ascii=False), *chain.lines))


def read_export(name: str, content: bytes) -> Chain:
    """Read an exported file; what is wrong with its records is for the check to say, what is none raises BadInput."""
    # Bytes that are no UTF-8 stay what they are: the check finds them, by the number of their record.
    text = content.decode("utf-8", "surrogateescape").removesuffix("\n")
    header, *lines = text.split("\n")
    try:
        first = json.loads(header)
    except (ValueError, RecursionError):
        first = None
    words = ("fleet", "rollout", "uid", "head", "state")
    if (
        not isinstance(first, dict)
        or first.get("format") != FORMAT
        or not all(isinstance(first.get(word), str) for word in words)
    ):
        raise BadInput(
            f"{name} does not begin as `atoll audit export` writes it: its first line must say format, fleet, rollout, "
            "uid, head and state"
        )
    return Chain(
        fleet=first["fleet"],
        name=first["rollout"],
        uid=first["uid"],
        head=first["head"],
        lines=tuple(lines),
        places=((name, len(lines)),),
        state=first["state"],
    )


def check(chain: Chain) -> Checked:
    """Check a chain; a status that was written after records, and names none of them, has lost its head."""
    verdict = verify_chain(chain.uid, chain.lines, chain.head)
    if chain.lines and chain.state and not chain.head:
        lost = Finding(
            kind="BadHead",
            seq=0,
            message=f"status.auditHead is empty although the rollout is {chain.state}",
            remedy="Compare with an export, or restore the Rollout's status from a backup of etcd; nobody but Atoll "
            "writes there. Where Atoll was upgraded while the rollout ran, its next write mends it",
        )
        verdict = replace(verdict, findings=(*verdict.findings, lost))
    return Checked(chain=chain, verdict=verdict)


def write_checked(checked: Sequence[Checked]) -> dict[str, Any]:
    """Write what was found, for programs."""
    return {
        "rollouts": [
            {
                "fleet": item.chain.fleet,
                "rollout": item.chain.name,
                "uid": item.chain.uid,
                "result": "Intact" if item.verdict.intact else "Broken",
                "records": item.verdict.records,
                "head": item.chain.head,
                "unacknowledged": item.verdict.unacknowledged,
                "findings": [_write_finding(item.chain, finding) for finding in item.verdict.findings],
            }
            for item in checked
        ]
    }


def _write_finding(chain: Chain, finding: Finding) -> dict[str, Any]:
    return {
        "kind": finding.kind,
        "seq": finding.seq,
        "place": chain.place(finding.line),
        "message": finding.message,
        "remedy": finding.remedy,
    }


def write_records(chain: Chain) -> list[dict[str, Any]]:
    """Return the records for programs, as they stand; a line that is none as `unreadable`."""
    return [json.loads(line) if read(line) is not None else {"unreadable": line} for line in chain.lines]
