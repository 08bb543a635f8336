"""Appending to the record of a rollout: first the records, then the status that names the last of them.

Whoever is stopped between the two finds records after the head, and writes none of them twice. Nothing that stands
there is ever taken away or written anew: where somebody has changed it, new records go on from the head that the status
names, and the break stays for `atoll audit verify` to find.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from atoll.errors import Conflict, Refused, Unreachable
from atoll.fleet.audit import AuditEntry
from atoll.kube.kinds import CONFIG_MAP
from atoll.kube.store import Store
from atoll.rollout.audit import Link, Record, link, list_tail, parse_head, read
from atoll.rollout.audit_entries import drop_known, drop_repeated
from atoll.rollout.audit_pages import (
    AUDIT_LABEL,
    Page,
    build_page,
    fill,
    first_number,
    join,
    page_name,
    read_page,
    read_pages,
)

from .context import FIELD_MANAGER

log: Final = logging.getLogger("atoll.audit")

TRIES: Final = 3
PAGES_LIMIT: Final = 1000
"""Pages that are looked at for one append: a million records."""


async def append(
    store: Store,
    fleet: str,
    rollout_body: Mapping[str, Any],
    entries: Sequence[AuditEntry],
    stored_head: str,
) -> str:
    """Append what is not there yet; return the new head, for the Rollout's status.

    Raises Conflict when another writer is always faster, Refused where `stored_head` cannot be read.
    """
    name, uid = rollout_body["metadata"]["name"], rollout_body["metadata"]["uid"]
    head = parse_head(uid, stored_head)
    if head is None:
        raise Refused(
            f"status.auditHead of Rollout {fleet}/{name} is not `<number>:<SHA-256 in hex>`, so nothing can follow "
            f"from it. Restore it: `atoll audit verify {name} -n {fleet}` names what is there"
        )
    if not entries:
        return stored_head
    for attempt in range(1, TRIES + 1):
        pages = await _read_newest(store, fleet, name, uid, head)
        tail = list_tail(join(pages), head)
        try:
            return str(await _write(store, rollout_body, pages, head, tail, entries))
        except (Conflict, Unreachable) as error:
            # After no answer it may be there all the same: the next look tells.
            if attempt == TRIES:
                raise
            log.info("%s/%s: %s; looking again", fleet, name, error)
    raise AssertionError("the last try neither returned nor raised")


async def _read_newest(store: Store, fleet: str, name: str, uid: str, head: Link) -> tuple[Page, ...]:
    """Read the pages from the one on which the head may stand, up to the newest; empty: there are none."""
    pages: list[Page] = []
    first = first_number(head.seq)
    for number in range(first, first + PAGES_LIMIT):
        body = await store.get(CONFIG_MAP, fleet, page_name(name, number))
        page = read_page(name, body) if body is not None else None
        if page is None:
            break
        pages.append(page)
        if not page.full and page.owner_uid in {"", uid}:
            break
    if not pages and head.seq:
        # Somebody took a page away. What is left tells where to go on.
        pages += read_pages(name, uid, await store.list(CONFIG_MAP, fleet, f"{AUDIT_LABEL}={name}"))
    return tuple(pages)


async def _write(
    store: Store,
    rollout_body: Mapping[str, Any],
    pages: Sequence[Page],
    head: Link,
    tail: Sequence[Record],
    entries: Sequence[AuditEntry],
) -> Link:
    """Write what is missing, page by page, each only if nobody else has written it meanwhile."""
    metadata = rollout_body["metadata"]
    end = Link(tail[-1].seq, tail[-1].digest) if tail else head
    lines: list[str] = []
    ours = [page for page in pages if page.owner_uid in {"", metadata["uid"]}]
    written = [record.entry for record in map(read, join(ours)) if record is not None]
    for entry in drop_repeated(drop_known(entries, [record.entry for record in tail]), written):
        line, end = link(entry, end)
        lines.append(line)
    page = pages[-1] if pages else None
    rest = tuple(lines)
    while rest:
        if page is None or page.full or page.owner_uid not in {"", metadata["uid"]}:
            number = page.number + 1 if page is not None else first_number(head.seq)
            page = Page(name=page_name(metadata["name"], number), number=number)
        page, rest = fill(page, rest)
        body = build_page(page, rollout_body)
        if page.resource_version:
            await store.apply(body, FIELD_MANAGER)
        else:
            await store.create(body, manager=FIELD_MANAGER)
    return end
