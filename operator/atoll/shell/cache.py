"""What the watches told us: plain dicts by kind, fleet and name. Our own writes go in at once, before their echo."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from atoll.ports import Body

OWN_PREFIX: Final = "atoll.dev/"
"""Of the annotations that mean something to us."""


@dataclass(slots=True)
class Entry:
    """One object, and when we first saw its present generation and last wrote its status."""

    body: Body
    seen: datetime
    taken_in: datetime
    """When we last heard of it."""
    written: datetime | None = None


@dataclass(slots=True)
class Cache:
    """Objects of our kinds."""

    _entries: dict[str, dict[tuple[str, str], Entry]] = field(default_factory=dict)
    """By fleet, then (kind, name)."""

    def put(self, body: Mapping[str, Any], now: datetime) -> bool:
        """Take in an object; say whether a decision could read anything new in it. What is older is passed over."""
        metadata = body["metadata"]
        entries = self._entries.setdefault(metadata["namespace"], {})
        key = (body["kind"], metadata["name"])
        known = entries.get(key)
        if known is not None and known.body["metadata"].get("uid") == metadata.get("uid"):
            before = known.body["metadata"]
            if _is_older(metadata["resourceVersion"], before["resourceVersion"]):
                return False
            seen = known.seen if metadata.get("generation") == before.get("generation") else now
            entries[key] = Entry(body=_without_bookkeeping(body), seen=seen, taken_in=now, written=known.written)
            return _what_counts(entries[key].body) != _what_counts(known.body)
        entries[key] = Entry(body=_without_bookkeeping(body), seen=now, taken_in=now)
        return True

    def mark_written(self, fleet: str, kind: str, name: str, now: datetime) -> None:
        """Remember when we last wrote an object's status."""
        entry = self._entries.get(fleet, {}).get((kind, name))
        if entry is not None:
            entry.written = now

    def drop(self, fleet: str, kind: str, name: str, uid: str = "") -> bool:
        """Forget an object, unless another one has taken its name meanwhile; say whether it was there."""
        entries = self._entries.get(fleet, {})
        entry = entries.get((kind, name))
        if entry is None or (uid and entry.body["metadata"].get("uid") != uid):
            return False
        del entries[kind, name]
        return True

    def replace_kind(self, kind: str, bodies: Iterable[Mapping[str, Any]], asked: datetime) -> set[str]:
        """Take in a list of one kind and forget what is not in it; return the fleets in which anything changed.

        `asked`: when the list was asked for. What a watch has told since then is newer than the list, and is kept.
        """
        changed = set()
        kept = set()
        for body in bodies:
            metadata = body["metadata"]
            kept.add((metadata["namespace"], metadata["name"]))
            if self.put({**body, "kind": kind}, asked):
                changed.add(metadata["namespace"])
        for fleet, entries in self._entries.items():
            for entry_kind, name in [key for key in entries if key[0] == kind]:
                if (fleet, name) not in kept and entries[entry_kind, name].taken_in <= asked:
                    del entries[entry_kind, name]
                    changed.add(fleet)
        return changed

    def fleets(self) -> tuple[str, ...]:
        """Return the fleets that hold anything."""
        return tuple(sorted(fleet for fleet, entries in self._entries.items() if entries))

    def get(self, fleet: str, kind: str, name: str) -> Body | None:
        """Return one object."""
        entry = self._entries.get(fleet, {}).get((kind, name))
        return entry.body if entry is not None else None

    def of_kind(self, fleet: str, kind: str) -> list[Body]:
        """Return all objects of a kind in a fleet, by name."""
        entries = self._entries.get(fleet, {})
        return [entry.body for (entry_kind, _), entry in sorted(entries.items()) if entry_kind == kind]

    def seen(self, fleet: str) -> dict[tuple[str, str], datetime]:
        """Return when each object's present generation was first seen."""
        return {key: entry.seen for key, entry in self._entries.get(fleet, {}).items()}

    def written(self, fleet: str) -> dict[tuple[str, str], datetime]:
        """Return when each object's status was last written by us."""
        entries = self._entries.get(fleet, {})
        return {key: entry.written for key, entry in entries.items() if entry.written is not None}


def _without_bookkeeping(body: Mapping[str, Any]) -> Body:
    """Drop managedFields, half of an object's size, where nothing reads them: everywhere but in children."""
    metadata = dict(body["metadata"])
    if body["kind"] != "ChildCluster":
        metadata.pop("managedFields", None)
    return {**body, "metadata": metadata}


def _what_counts(body: Body) -> Body:
    """Leave out what no decision reads: the resourceVersion, and annotations that are not ours."""
    metadata = {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}
    annotations = metadata.get("annotations") or {}
    metadata["annotations"] = {key: value for key, value in annotations.items() if key.startswith(OWN_PREFIX)}
    return {**body, "metadata": metadata}


def _is_older(new: str, known: str) -> bool:
    """Compare resourceVersions; equal ones hold nothing new. Kubernetes promises that they are ordered numbers."""
    return int(new) <= int(known)
