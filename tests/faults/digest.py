"""The end state of a phase as plain data, without what may differ from run to run: times, UIDs, random ids, ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from atoll.rollout.audit_pages import AUDIT_LABEL

Json = dict[str, Any]

_PATTERNS: Final = (
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<uid>"),
    (re.compile(r"\b(create|change|repair|revert|delete|drill)-\d{8}t\d{6}-[0-9a-f]{8}\b"), r"\1-<operation>"),
    (re.compile(r"\b[0-9a-f]{16}\b"), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "<time>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
    (re.compile(r"\b\d+(\.\d+)? s\b"), "<seconds> s"),
    (re.compile(r"etcd revision \d+"), "etcd revision <n>"),
)
_DROPPED_METADATA: Final = frozenset({"uid", "resourceVersion", "creationTimestamp", "managedFields", "selfLink"})
_SECONDS: Final = frozenset({"seconds", "secondsTotal", "lowSeconds", "highSeconds", "tookSeconds"})
_VARYING: Final = frozenset({"within", "auditHead"})
"""How many changes took as long as was forecast; and what the records say, which are checked apart."""


def normalise(value: Any, hidden: Mapping[str, str]) -> Any:
    """Put placeholders where values may differ; `hidden` names further texts to replace, such as the namespace."""
    if isinstance(value, Mapping):
        return {
            normalise(key, hidden): "<seconds>"
            if key in _SECONDS
            else "<varies>"
            if key in _VARYING
            else normalise(entry, hidden)
            for key, entry in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [normalise(entry, hidden) for entry in value]
    if isinstance(value, str):
        for pattern, placeholder in _PATTERNS:
            value = pattern.sub(placeholder, value)
        for text, placeholder in hidden.items():
            value = value.replace(text, placeholder)
    return value


def normalise_object(body: Mapping[str, Any], hidden: Mapping[str, str]) -> Json:
    """Return what must be equal of an object; of a Secret, and of a rollout's record, only which keys it has."""
    metadata = {key: value for key, value in body["metadata"].items() if key not in _DROPPED_METADATA}
    kept: Json = {**body, "metadata": metadata}
    if body["kind"] == "Secret":
        kept["data"] = dict.fromkeys(body.get("data") or {}, "<secret>")
    if body["kind"] == "ResourceQuota":
        # Its controller counts what other controllers make, sooner or later.
        kept.pop("status", None)
    if AUDIT_LABEL in (metadata.get("labels") or {}):
        kept["data"] = dict.fromkeys(body.get("data") or {}, "<records>")
    result: Json = normalise(kept, hidden)
    return result


def digest_objects(bodies: Iterable[Mapping[str, Any]], hidden: Mapping[str, str]) -> Json:
    """Return all objects by kind, namespace and name."""
    named = {}
    for body in bodies:
        kept = normalise_object(body, hidden)
        metadata = kept["metadata"]
        named[f"{kept['kind']} {metadata.get('namespace', '')}/{metadata['name']}"] = kept
    return dict(sorted(named.items()))


def list_differences(wanted: Any, found: Any, path: str = "") -> list[str]:
    """Say where two digests differ, one line for each place."""
    if isinstance(wanted, dict) and isinstance(found, dict):
        lines = []
        for key in sorted({*wanted, *found}, key=str):
            if key not in found:
                lines.append(f"{path}/{key} is missing; it was {wanted[key]!r:.300}")
            elif key not in wanted:
                lines.append(f"{path}/{key} is new: {found[key]!r:.300}")
            else:
                lines += list_differences(wanted[key], found[key], f"{path}/{key}")
        return lines
    if isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        return [
            line
            for place, (one, other) in enumerate(zip(wanted, found, strict=True))
            for line in list_differences(one, other, f"{path}[{place}]")
        ]
    return [] if wanted == found else [f"{path} was {wanted!r:.300} and is {found!r:.300}"]
