"""What a report looks things up in: the objects of a fleet by kind and name, and what was seen in its children. Pure.

Bodies are read as they are and not converted, because one object that cannot be read must not cost the whole report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from atoll.fleet.observed import ObjectKey

Body = Mapping[str, Any]
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a child showed of Atoll's objects when it was asked, or why it showed nothing."""

    objects: Mapping[ObjectKey, Body] | None = None
    """None: the child was not seen."""
    reason: str = ""
    """Why it was not seen."""


NEVER_ASKED = Seen(reason="it was not asked")


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """A fleet to report on."""

    fleet: str
    by_kind: Mapping[str, Mapping[str, Body]]
    seen: Mapping[str, Seen]
    """By ChildCluster name."""

    def all(self, kind: str) -> list[Body]:
        """Return the objects of a kind, by name."""
        found = self.by_kind.get(kind, {})
        return [found[name] for name in sorted(found)]

    def get(self, kind: str, name: str) -> Body:
        """Return one object; an empty one when it is not there."""
        return self.by_kind.get(kind, {}).get(name, MappingProxyType({}))

    def seen_in(self, child: str) -> Seen:
        """Return what was seen in a child."""
        return self.seen.get(child, NEVER_ASKED)

    def member(self, child: str) -> Body:
        """Return the entry of a child in its ClusterSet; an empty one when it has left the list."""
        spec = read_spec(self.get("ChildCluster", child))
        entries = read_spec(self.get("ClusterSet", str(spec.get("setName", "")))).get("clusters") or ()
        return next((entry for entry in entries if entry.get("name") == spec.get("memberName")), MappingProxyType({}))


def build_index(fleet: str, bodies: Iterable[Body], seen: Mapping[str, Seen]) -> Index:
    """Sort the objects of a fleet by kind and name."""
    by_kind: dict[str, dict[str, Body]] = {}
    for body in bodies:
        by_kind.setdefault(str(body["kind"]), {})[str(body["metadata"]["name"])] = body
    return Index(fleet=fleet, by_kind=by_kind, seen=seen)


def read_spec(body: Body) -> Body:
    """Return the spec of an object, or an empty one."""
    return body.get("spec") or MappingProxyType({})


def read_status(body: Body) -> Body:
    """Return the status of an object, or an empty one."""
    return body.get("status") or MappingProxyType({})


def pick(body: Body, *keys: str) -> Row:
    """Return some plain values of an object, in this order; what is not there is an empty text."""
    return {key: body.get(key) if body.get(key) is not None else "" for key in keys}
