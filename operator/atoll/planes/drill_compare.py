"""Is a restored plane what the living one was at the snapshot's revision? Pure.

Etcd keeps old revisions for some minutes, so both planes are asked for their objects as of that very revision: then
each must have what the other has. Where the living one has forgotten the revision already, it is asked for what it has
now; then whatever carries a newer revision was written since, and what it lacks may have been deleted since.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Final

SAMPLES: Final = 40
NAMED_DIFFERENCES: Final = 5

ABSENT: Final = object()
"""Equal to nothing that JSON can say."""

RESTLESS: Final = frozenset({"events", "leases.coordination.k8s.io"})
"""Written all the time by planes themselves, and they end by themselves: compared only as of one revision."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Kind:
    """One resource whose objects can be listed."""

    group: str
    """Empty: the core group."""
    version: str
    resource: str

    def __str__(self) -> str:
        return f"{self.resource}.{self.group}" if self.group else self.resource

    @property
    def root(self) -> str:
        """Where the API of its group and version is served."""
        return f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mark:
    """What tells one state of one object from any other."""

    namespace: str
    """Empty: it lies in none."""
    name: str
    uid: str
    revision: int
    """Its resourceVersion."""

    @property
    def place(self) -> str:
        """Name it, for people."""
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """All objects of one kind in one plane."""

    marks: tuple[Mark, ...] = ()
    exact: bool = True
    """They are those of the snapshot's revision; False: those of now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KindComparison:
    """How one kind compares."""

    objects: int
    """So many were restored."""
    equal: tuple[Mark, ...]
    differences: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillResult:
    """What a drill has shown; without differences the snapshot would have brought everything back."""

    time: datetime
    seconds: float
    """From the verified snapshot to the last comparison."""
    objects: int
    kinds: int
    """So many kinds had objects."""
    samples: int
    """So many objects were compared field by field."""
    differences: tuple[str, ...]


def parse_kinds(
    core: Mapping[str, Any], groups: Mapping[str, Any], served_elsewhere: Collection[str]
) -> tuple[Kind, ...]:
    """Read the two discovery documents (apidiscovery.k8s.io/v2): each kind once, in its group's preferred version.

    `served_elsewhere`: versions of groups (`v1beta1.metrics.k8s.io`) whose objects other API servers keep.
    """
    found: dict[tuple[str, str], Kind] = {}
    for item in chain(core.get("items", ()), groups.get("items", ())):
        group = str(item.get("metadata", {}).get("name", ""))
        for version in item.get("versions", ()):
            if f"{version['version']}.{group}" in served_elsewhere:
                continue
            for resource in version.get("resources", ()):
                kind = Kind(group=group, version=version["version"], resource=resource["resource"])
                if "list" in resource.get("verbs", ()) and is_stored(kind):
                    found.setdefault((group, kind.resource), kind)
    return tuple(sorted(found.values()))


def is_stored(kind: Kind) -> bool:
    """Tell whether objects of this kind are stored, and under this name: two kinds are not."""
    return str(kind) not in {"componentstatuses", "events.events.k8s.io"}


def parse_marks(items: Iterable[Mapping[str, Any]]) -> tuple[Mark, ...]:
    """Read a list of metadata; what has no uid is computed, not stored."""
    bodies = (item["metadata"] for item in items)
    return tuple(
        Mark(
            namespace=body.get("namespace", ""),
            name=body["name"],
            uid=body["uid"],
            revision=int(body["resourceVersion"]),
        )
        for body in bodies
        if body.get("uid")
    )


def compare_kind(kind: Kind, living: Listing, restored: Listing, *, revision: int) -> KindComparison:
    """Compare what both planes have of one kind as of the snapshot's revision; differences come sorted by name."""
    exact = living.exact and restored.exact
    objects = len(restored.marks)
    if not exact and str(kind) in RESTLESS:
        return KindComparison(objects=objects, equal=(), differences=())
    there, here = index_marks(living.marks), index_marks(restored.marks)
    since = {place for marks in (there, here) for place, mark in marks.items() if mark.revision > revision}
    equal, differences = [], []
    for place in sorted((there.keys() | here.keys()) - since):
        difference = compare_marks(there.get(place), here.get(place), exact=exact)
        if difference:
            differences.append(f"{kind} {'/'.join(part for part in place if part)} {difference}")
        elif place in there and place in here:
            equal.append(here[place])
    return KindComparison(objects=objects, equal=tuple(equal), differences=tuple(differences))


def index_marks(marks: Iterable[Mark]) -> dict[tuple[str, str], Mark]:
    """Find objects by namespace and name."""
    return {(mark.namespace, mark.name): mark for mark in marks}


def compare_marks(living: Mark | None, restored: Mark | None, *, exact: bool) -> str:
    """Say how one object differs; empty: not at all, or nobody can know."""
    if restored is None:
        return "was not restored"
    if living is None:
        return "was restored, and the cluster did not have it" if exact else ""
    if living.uid != restored.uid:
        return f"was restored with uid {restored.uid}, and has {living.uid}"
    if living.revision != restored.revision:
        return f"was restored as of revision {restored.revision}, and was last written at {living.revision}"
    return ""


def choose_samples(marks: Mapping[Kind, Iterable[Mark]], seed: str) -> tuple[tuple[Kind, Mark], ...]:
    """Put objects into the order in which to sample them: by chance, but the first of every kind come first."""
    ranked = []
    for kind, each in marks.items():
        if str(kind) in RESTLESS:
            continue
        drawn = sorted((draw(seed, kind, mark), mark) for mark in each)
        ranked += [(rank, number, kind, mark) for rank, (number, mark) in enumerate(drawn)]
    return tuple((kind, mark) for _, _, kind, mark in sorted(ranked))


def draw(seed: str, kind: Kind, mark: Mark) -> bytes:
    """Return a number that looks like chance and is the same for the same seed."""
    return hashlib.sha256(chr(0).join((seed, str(kind), mark.namespace, mark.name)).encode()).digest()


def judge_sample(
    kind: Kind, mark: Mark, living: Mapping[str, Any] | None, restored: Mapping[str, Any] | None
) -> str | None:
    """Say how an object differs that both planes had listed; empty: not at all; None: it was written since."""
    if living is None or read_revision(living) != mark.revision:
        return None
    if restored is None:
        return f"{kind} {mark.place} is listed in the restored plane, and cannot be read there"
    if read_revision(restored) != mark.revision:
        return None
    field = find_difference(living, restored)
    return "" if field is None else f"{kind} {mark.place} differs in {field}"


def read_revision(body: Mapping[str, Any]) -> int:
    """Return the revision at which an object was last written."""
    return int(body["metadata"]["resourceVersion"])


def find_difference(living: object, restored: object, path: str = "") -> str | None:
    """Return the path of the first field in which two objects differ, never its value; None: they are equal."""
    pairs: list[tuple[str, object, object]] = []
    if isinstance(living, Mapping) and isinstance(restored, Mapping):
        pairs = [
            (f"{path}.{key}" if path else str(key), living.get(key, ABSENT), restored.get(key, ABSENT))
            for key in sorted(living.keys() | restored.keys())
        ]
    elif isinstance(living, list) and isinstance(restored, list) and len(living) == len(restored):
        pairs = [(f"{path}[{number}]", *pair) for number, pair in enumerate(zip(living, restored, strict=True))]
    elif living != restored:
        return path
    found = (find_difference(one, other, inner) for inner, one, other in pairs)
    return next((inner for inner in found if inner is not None), None)


def describe_result(result: DrillResult) -> str:
    """Give the figures of a drill in one line."""
    return (
        f"restored {result.objects} objects of {result.kinds} kinds in {result.seconds:.1f} s; "
        f"{result.samples} samples equal"
    )


def describe_differences(differences: tuple[str, ...]) -> str:
    """Name the first differences and say how many more there are."""
    more = len(differences) - NAMED_DIFFERENCES
    return "; ".join(differences[:NAMED_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
