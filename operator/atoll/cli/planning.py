"""What `atoll plan` does: read, check, decide, summarise. Nothing is written anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from .documents import Documents, Fault, read_documents
from .fleets import build_fleet_value, decide_live, decide_offline, lay_over, read_versions
from .lint import check_document, is_ours
from .options import Target
from .plan_model import summarise_plan


def plan_offline(paths: Sequence[str], namespace: str, now: datetime, *, everything: bool) -> dict[str, Any]:
    """Plan from manifests alone."""
    documents = read_documents(paths, namespace=namespace)
    faults = _check(documents)
    versions = read_versions()
    pairs = []
    for name in _list_namespaces(documents):
        fleet = build_fleet_value(name, _bodies_of(documents, name), versions)
        # What the check has told already is not told twice.
        told = {fault.object for fault in faults if fault.namespace == name}
        fleet = replace(fleet, invalid=tuple(bad for bad in fleet.invalid if f"{bad.kind}/{bad.name}" not in told))
        pairs.append((fleet, decide_offline(fleet, now)))
    return summarise_plan(pairs, faults, everything=everything)


async def plan_live(paths: Sequence[str], target: Target, now: datetime, *, everything: bool) -> dict[str, Any]:
    """Plan from manifests laid over what is in the management cluster; without manifests, from that alone."""
    from .live import open_store, read_bodies  # the HTTP client, which a plan offline has no use for

    documents = read_documents(paths, namespace=target.namespace)
    faults = _check(documents)
    versions = read_versions()
    pairs = []
    async with open_store(target) as store:
        for name in _list_namespaces(documents) or [target.namespace]:
            bodies = lay_over(await read_bodies(store, name), _bodies_of(documents, name))
            fleet = build_fleet_value(name, bodies, versions)
            pairs.append((fleet, decide_live(fleet, now)))
    return summarise_plan(pairs, faults, everything=everything)


def _check(documents: Documents) -> list[Fault]:
    found = [fault for document in documents.items for fault in check_document(document)]
    return [*documents.faults, *found]


def _list_namespaces(documents: Documents) -> list[str]:
    return sorted({item.key[0] for item in documents.items if is_ours(item.body)})


def _bodies_of(documents: Documents, namespace: str) -> list[dict[str, Any]]:
    return [item.body for item in documents.items if is_ours(item.body) and item.key[0] == namespace]
