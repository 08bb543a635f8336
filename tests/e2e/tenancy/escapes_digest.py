"""Everything that stands in a cluster, by what it says: to see that nothing has changed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Mapping
from typing import Final

from tests.e2e.tenancy.escapes_client import Call, Caller, Json, Login

_RESTLESS: Final = frozenset({"leases", "events"})
"""Kept by Kubernetes' own programs."""
_NOT_SAID: Final = ("resourceVersion", "managedFields", "generation")


async def list_resources(caller: Caller, admin: Login) -> list[tuple[str, Json]]:
    """Return each resource that the server offers, subresources too, under its group and version."""
    groups = (await caller.send(admin, Call(method="GET", path="/apis"))).body["groups"]
    roots = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    answers = await asyncio.gather(*(caller.send(admin, Call(method="GET", path=root)) for root in roots))
    return [(root, entry) for root, answer in zip(roots, answers, strict=True) for entry in answer.body["resources"]]


async def take_digest(caller: Caller, admin: Login) -> Mapping[str, str]:
    """Return a digest of each object, by path."""
    collections = [
        f"{root}/{entry['name']}"
        for root, entry in await list_resources(caller, admin)
        if "list" in entry["verbs"] and entry["name"] not in _RESTLESS
    ]
    answers = await asyncio.gather(*(caller.send(admin, Call(method="GET", path=name)) for name in collections))
    digests = {}
    for name, answer in zip(collections, answers, strict=True):
        assert answer.accepted, f"{name}: {answer}"
        for item in answer.body["items"]:
            key = f"{name} {item['metadata'].get('namespace', '')}/{item['metadata']['name']}"
            digests[key] = _digest(item, status=not name.endswith("/resourcequotas"))
    return digests


def tell_changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Say what differs, sorted."""
    made = [f"made: {key}" for key in after.keys() - before.keys()]
    gone = [f"gone: {key}" for key in before.keys() - after.keys()]
    changed = [f"changed: {key}" for key in before.keys() & after.keys() if before[key] != after[key]]
    return sorted((*made, *gone, *changed))


def _digest(item: Json, *, status: bool) -> str:
    said = {key: value for key, value in item.items() if key != "status" or status}
    said["metadata"] = {key: value for key, value in item["metadata"].items() if key not in _NOT_SAID}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
