"""ConfigMaps that hold the records of a rollout, `<rollout>-audit-<n>` from 1: as they are written, and read back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from atoll.fleet.names import API_VERSION, MANAGED_LABELS

AUDIT_LABEL: Final = "atoll.dev/audit"
"""On a ConfigMap with records: of which Rollout, by name."""
KEY: Final = "records"
"""The one key in it: JSON lines."""
PAGE_BYTES: Final = 64 * 1024
"""Each record rewrites its page: a small one costs etcd less history."""
PAGE_LINES: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One of the ConfigMaps."""

    name: str
    number: int
    lines: tuple[str, ...] = ()
    full: bool = False
    """Immutable: the API server itself lets nobody change it."""
    resource_version: str = ""
    """Empty: it is not there yet."""
    owner_uid: str = ""
    """UID of the Rollout that owns it; empty: it names none."""


def page_name(rollout: str, number: int) -> str:
    """Return the name of a rollout's n-th page."""
    return f"{rollout}-audit-{number}"


def first_number(seq: int) -> int:
    """Return the first page that can hold this record or the next: earlier ones are full by count alone."""
    return max(0, seq - 1) // PAGE_LINES + 1


def read_page(rollout: str, body: Mapping[str, Any]) -> Page | None:
    """Read a ConfigMap; None when its name is no page's of this rollout."""
    metadata = body["metadata"]
    match = re.fullmatch(rf"{re.escape(rollout)}-audit-([1-9][0-9]{{0,8}})", str(metadata["name"]))
    if match is None:
        return None
    text = str((body.get("data") or {}).get(KEY, ""))
    owners = [owner for owner in metadata.get("ownerReferences") or () if owner.get("kind") == "Rollout"]
    return Page(
        name=metadata["name"],
        number=int(match.group(1)),
        # Not splitlines: what ends a line in print may stand inside of a record.
        lines=tuple(text.removesuffix("\n").split("\n")) if text else (),
        full=body.get("immutable") is True,
        resource_version=str(metadata.get("resourceVersion", "")),
        owner_uid=str(owners[0].get("uid", "")) if owners else "",
    )


def read_pages(rollout: str, uid: str, bodies: Iterable[Mapping[str, Any]]) -> tuple[Page, ...]:
    """Read the pages of one Rollout, in order; those of an earlier one of the same name are left out."""
    pages = [page for body in bodies if (page := read_page(rollout, body)) is not None]
    return tuple(
        sorted((page for page in pages if page.owner_uid in {"", uid}), key=lambda page: (page.number, page.name))
    )


def join(pages: Sequence[Page]) -> tuple[str, ...]:
    """Return all lines of pages, in order."""
    return tuple(line for page in pages for line in page.lines)


def fill(
    page: Page, lines: Sequence[str], *, most_lines: int = PAGE_LINES, most_bytes: int = PAGE_BYTES
) -> tuple[Page, tuple[str, ...]]:
    """Put as many lines on a page as it takes; return it with what is left over. Left over: it is full."""
    kept = list(page.lines)
    size = sum(len(line.encode("utf-8", "surrogatepass")) + 1 for line in kept)
    rest = list(lines)
    while rest and not page.full and len(kept) < most_lines:
        size += len(rest[0].encode()) + 1
        if size > most_bytes:
            break
        kept.append(rest.pop(0))
    filled = Page(
        name=page.name,
        number=page.number,
        lines=tuple(kept),
        full=page.full or bool(rest) or len(kept) >= most_lines,
        resource_version=page.resource_version,
        owner_uid=page.owner_uid,
    )
    return filled, tuple(rest)


def build_page(page: Page, rollout: Mapping[str, Any]) -> dict[str, Any]:
    """Build the ConfigMap of a page; `rollout` as the API server returned it."""
    metadata = rollout["metadata"]
    body: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": page.name,
            "namespace": metadata["namespace"],
            "labels": {**MANAGED_LABELS, AUDIT_LABEL: metadata["name"]},
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Rollout",
                    "name": metadata["name"],
                    "uid": metadata["uid"],
                    "controller": True,
                }
            ],
        },
        "data": {KEY: "".join(f"{line}\n" for line in page.lines)},
    }
    if page.resource_version:
        body["metadata"]["resourceVersion"] = page.resource_version
    if page.full:
        body["immutable"] = True
    return body
