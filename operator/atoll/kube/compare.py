"""Does an object already hold what we want, so that a server-side apply would change nothing? Pure.

Comparing must neither miss a change (drift would stay) nor invent one (we would write for ever). The server makes both
hard: it adds defaults, drops empty fields, and rewrites amounts (`1000m` becomes `1`). And a field that we no longer
want is simply absent from `wanted`: only `managedFields` tells that it is ours and has to go.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from atoll.fleet.values import parse_quantity

from .kinds import KINDS

Path = tuple[str, ...]

_LIST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "matchConditions": ("name",),
    "variables": ("name",),
}
"""Lists that the schema of a built-in kind (or, for conditions, every kind) treats as maps."""
_SETS: Final = frozenset({"finalizers"})
_AMOUNTS: Final = frozenset(
    {
        ("ResourceQuota", "hard"),
        ("LimitRange", "max"),
        ("LimitRange", "min"),
        ("LimitRange", "default"),
        ("LimitRange", "defaultRequest"),
        ("LimitRange", "maxLimitRequestRatio"),
        ("Pod", "limits"),
        ("Pod", "requests"),
        ("Deployment", "limits"),
        ("Deployment", "requests"),
        ("Job", "limits"),
        ("Job", "requests"),
        ("PersistentVolumeClaim", "limits"),
        ("PersistentVolumeClaim", "requests"),
    }
)
"""Maps whose values are quantities, by kind and field."""
_DROPPED_MAPS: Final = frozenset(
    {"labels", "annotations", "matchLabels", "data", "binaryData", "nodeSelector", "hard", "limits", "requests"}
)
"""Maps that a built-in kind drops when empty; other empty maps mean something (`podSelector: {}`: all pods)."""
_ATOMIC_MAPS: Final = frozenset({"podSelector", "namespaceSelector", "objectSelector", "labelSelector", "selector"})
"""Selectors of built-in kinds: one value, so a key that somebody added makes it another one."""
_OWN_DEFINITION_DATA: Final = frozenset({"default", "enum", "example"})
"""Fields of a CRD schema that hold data, where false and 0 are values and not absence."""
_IGNORED_METADATA: Final = frozenset(
    {"resourceVersion", "managedFields", "creationTimestamp", "generation", "selfLink"}
)
_ABSENT: Final = object()


def covers(wanted: Mapping[str, Any], observed: Mapping[str, Any], *, manager: str = "", subresource: str = "") -> bool:
    """Say whether `observed` already holds all of `wanted`; see `differences`."""
    return next(_differences(wanted, observed, manager, subresource), None) is None


def differences(
    wanted: Mapping[str, Any], observed: Mapping[str, Any], *, manager: str = "", subresource: str = ""
) -> tuple[str, ...]:
    """Return the paths of fields that an apply of `wanted` would change.

    With a `manager` also those that it applied earlier and that `wanted` no longer has, told from the object's
    managedFields; one whose managedFields name no apply of that manager differs as a whole (`metadata.managedFields`),
    one without managedFields (from a cache that drops them) is compared by value alone.
    """
    return tuple(_differences(wanted, observed, manager, subresource))


def _differences(
    wanted: Mapping[str, Any], observed: Mapping[str, Any], manager: str, subresource: str
) -> Iterator[str]:
    rules = _Rules(wanted)
    for key, value in _without_string_data(wanted).items():
        if key == "metadata":
            content = {name: item for name, item in value.items() if name not in _IGNORED_METADATA}
            yield from rules.compare(("metadata",), content, observed.get("metadata", {}))
        else:
            yield from rules.compare((key,), value, observed.get(key, _ABSENT))
    if manager:
        yield from _ownership(wanted, observed, manager, subresource)


class _Rules:
    """How one kind's fields compare."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self._kind = str(wanted.get("kind", ""))
        found = KINDS.get((str(wanted.get("apiVersion", "")), self._kind))
        self._builtin = found is not None and found.is_builtin
        self._is_definition = self._builtin and self._kind == "CustomResourceDefinition"

    def compare(self, path: Path, wanted: Any, observed: Any) -> Iterator[str]:
        if observed is _ABSENT or observed is None:
            if not self._reads_as_absent(path, wanted):
                yield _show(path)
        elif isinstance(wanted, Mapping) and isinstance(observed, Mapping):
            if self._builtin and path[-1] in _ATOMIC_MAPS and set(observed) - set(wanted):
                yield _show(path)
            for key, value in wanted.items():
                yield from self.compare((*path, str(key)), value, observed.get(key, _ABSENT))
        elif _is_list(wanted) and _is_list(observed):
            yield from self._compare_lists(path, wanted, observed)
        elif not self._is_same_value(path, wanted, observed):
            yield _show(path)

    def _compare_lists(self, path: Path, wanted: Sequence[Any], observed: Sequence[Any]) -> Iterator[str]:
        name = path[-1]
        keys = self._keys(path)
        if name in _SETS and path[:-1] == ("metadata",):
            if not all(item in observed for item in wanted):
                yield _show(path)
        elif keys and all(isinstance(item, Mapping) and all(key in item for key in keys) for item in wanted):
            seen = [item for item in observed if isinstance(item, Mapping)]
            for item in wanted:
                identity = tuple(item[key] for key in keys)
                inner = (*path[:-1], f"{name}[{','.join(str(part) for part in identity)}]")
                same = (other for other in seen if all(other.get(key) == item[key] for key in keys))
                yield from self.compare(inner, item, next(same, _ABSENT))
        elif len(wanted) != len(observed):
            yield _show(path)
        else:
            for index, (want, see) in enumerate(zip(wanted, observed, strict=True)):
                yield from self.compare((*path[:-1], f"{name}[{index}]"), want, see)

    def _keys(self, path: Path) -> tuple[str, ...]:
        keys = _LIST_KEYS.get(path[-1], ())
        return keys if self._builtin or path in {("status", "conditions"), ("metadata", "ownerReferences")} else ()

    def _reads_as_absent(self, path: Path, wanted: Any) -> bool:
        """Say whether the server stores `wanted` by leaving the field out."""
        if wanted is None:
            return True
        if isinstance(wanted, Mapping) and not wanted:
            return path[-1] in _DROPPED_MAPS and (self._builtin or path[0] == "metadata")
        if _is_list(wanted) and not wanted:
            return self._builtin or path[0] == "metadata"
        if not self._builtin:
            return False
        if wanted == "" and isinstance(wanted, str):
            return True
        return self._is_definition and wanted in (False, 0) and not _OWN_DEFINITION_DATA & set(path)

    def _is_same_value(self, path: Path, wanted: Any, observed: Any) -> bool:
        if isinstance(wanted, bool) or isinstance(observed, bool):
            return wanted is observed
        if wanted == observed:
            return True
        if len(path) < 2 or (self._kind, path[-2]) not in _AMOUNTS:
            return False
        try:
            return parse_quantity(wanted) == parse_quantity(observed)
        except ValueError:
            return False


def _ownership(wanted: Mapping[str, Any], observed: Mapping[str, Any], manager: str, subresource: str) -> Iterator[str]:
    """Yield fields that `manager` applied and no longer wants."""
    entries = (observed.get("metadata") or {}).get("managedFields") or ()
    fields = [
        entry.get("fieldsV1") or {}
        for entry in entries
        if isinstance(entry, Mapping)
        and entry.get("manager") == manager
        and entry.get("operation") == "Apply"
        and (entry.get("subresource") or "") == subresource
    ]
    if entries and not fields and _has_content(wanted):
        # Restored or made by somebody else: without ownership we could never take a field away again.
        yield "metadata.managedFields"
    for owned in fields:
        yield from _stale((), owned, wanted)


def _stale(path: Path, owned: Any, wanted: Any) -> Iterator[str]:
    for key, inner in owned.items() if isinstance(owned, Mapping) else ():
        if key == ".":
            continue
        kind, _, name = key.partition(":")
        found = _follow(kind, name, wanted)
        here = (*path, name)
        if found is _ABSENT:
            yield _show(here)
        elif inner:
            yield from _stale(here, inner, found)


def _follow(kind: str, name: str, wanted: Any) -> Any:
    """Return the part of `wanted` that a path element of managedFields names."""
    if kind == "f":
        value = wanted.get(name) if isinstance(wanted, Mapping) else None
        return _ABSENT if value is None else value
    items: Sequence[Any] = wanted if _is_list(wanted) else ()
    try:
        sought = json.loads(name)
    except ValueError:
        return _ABSENT
    match kind, sought:
        case "i", int():
            return items[sought] if 0 <= sought < len(items) else _ABSENT
        case "k", dict():
            # A key that our element leaves out was filled in by the server's default (`protocol: TCP`).
            fits = (
                item
                for item in items
                if isinstance(item, Mapping) and all(item.get(key, value) == value for key, value in sought.items())
            )
            return next(fits, _ABSENT)
        case _:
            return sought if sought in items else _ABSENT


def _has_content(wanted: Mapping[str, Any]) -> bool:
    metadata = wanted.get("metadata") or {}
    return any(metadata.get(name) for name in ("labels", "annotations", "finalizers", "ownerReferences")) or any(
        value for key, value in wanted.items() if key not in {"apiVersion", "kind", "metadata"}
    )


def _without_string_data(wanted: Mapping[str, Any]) -> Mapping[str, Any]:
    """Write a Secret's `stringData` as the `data` that the server makes of it."""
    if wanted.get("kind") != "Secret" or "stringData" not in wanted:
        return wanted
    encoded = {key: base64.b64encode(str(text).encode()).decode() for key, text in wanted["stringData"].items()}
    rest = {key: value for key, value in wanted.items() if key != "stringData"}
    return {**rest, "data": {**(wanted.get("data") or {}), **encoded}}


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, (str, bytes))


def _show(path: Path) -> str:
    return ".".join(path)
