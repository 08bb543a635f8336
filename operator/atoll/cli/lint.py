"""What an API server would refuse, found without one: the generated schemas, and the rules that can be told from them.

CEL rules are not evaluated here, with the exceptions that people meet most: exactly one of several blocks, names that
are joined with others, and empty selectors. What is left is refused by the API server, with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, relevance

from atoll.api.crds import build_crd
from atoll.api.kinds import KINDS, Kind
from atoll.api.meta import API_VERSION, DNS_LABEL, GROUP, NAME_RULE

from .documents import Document, Fault, name_object

Schema = Mapping[str, Any]

_MADE_BY_US: Final = frozenset({"ChildCluster", "Host"})
_ONE_OF: Final = re.compile(r"(?:\(has\(self\.(\w+)\) \? 1 : 0\)(?: \+ )?)+ == 1")
_SELECTOR: Final = frozenset({"matchLabels", "matchExpressions"})
_HAS: Final = re.compile(r"has\(self\.(\w+)\)")


def is_ours(body: Mapping[str, Any]) -> bool:
    """Say whether an object belongs to our API, of whatever version."""
    return str(body["apiVersion"]).partition("/")[0] == GROUP


def check_document(document: Document) -> list[Fault]:
    """Find what is wrong with an object of ours; objects of others are none of our business."""
    body = document.body
    if not is_ours(body):
        return []
    kind = next((item for item in KINDS if item.kind == body["kind"]), None)
    if kind is None or body["apiVersion"] != API_VERSION:
        there = ", ".join(item.kind for item in KINDS)
        field, what = ("kind", body["kind"]) if kind is None else ("apiVersion", body["apiVersion"])
        return [_fault(document, field, f"{what} is not known. Use {API_VERSION} with one of {there}.")]
    if kind.kind in _MADE_BY_US:
        return [_fault(document, "kind", f"{kind.kind} objects are made by Atoll alone. Remove it from the files.")]
    wanted = {key: value for key, value in body.items() if key != "status"}
    schema = _schema(kind)
    found = sorted(_validator(kind).iter_errors(wanted), key=relevance)
    faults = [_fault(document, write_path(error.absolute_path), describe_error(error)) for error in found]
    if faults:
        return faults
    return [_fault(document, field, message) for field, message in _check(schema, wanted, ())]


def write_path(parts: Sequence[str | int]) -> str:
    """Write a path as messages do: `spec.clusters[0].name`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def describe_error(error: ValidationError) -> str:
    """Say in our words what a schema refuses."""
    value: Any = error.instance
    wanted: Any = error.validator_value
    meaning = str(error.schema.get("description", "")) if isinstance(error.schema, Mapping) else ""
    told = {
        "required": lambda: error.message.replace("is a required property", "is missing. Add it."),
        "type": lambda: f"{value!r} is no {wanted}. {meaning}",
        "enum": lambda: f"{value!r} is not one of {', '.join(map(str, wanted))}.",
        "pattern": lambda: f"{value!r} is not written as it must be. {meaning}",
        "maxLength": lambda: f"{value!r} is longer than {wanted} characters. Shorten it.",
        "maxItems": lambda: f"it has {len(value)} entries, and at most {wanted} are admitted. Remove some.",
        "minimum": lambda: f"{value!r} is less than {wanted}. {meaning}",
        "maximum": lambda: f"{value!r} is more than {wanted}. {meaning}",
    }
    return told.get(str(error.validator), lambda: error.message)().strip()


@cache
def _schema(kind: Kind) -> dict[str, Any]:
    schema: dict[str, Any] = build_crd(kind)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return schema


@cache
def _validator(kind: Kind) -> Draft202012Validator:
    return Draft202012Validator(_schema(kind))


def _check(schema: Schema, value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    """Find unknown fields, entries that stand twice, and broken rules, in this value and all below it."""
    yield from _check_rules(schema, value, path)
    if isinstance(value, Mapping):
        properties = schema.get("properties")
        inner = schema.get("additionalProperties")
        for key, item in value.items():
            below = (properties or {}).get(key, inner)
            if isinstance(below, Mapping):
                yield from _check(below, item, (*path, key))
            elif properties is not None and path != ("metadata",) and properties:
                yield write_path((*path, key)), f"there is no such field. There are: {', '.join(properties)}."
    elif isinstance(value, list):
        yield from _check_doubles(schema, value, path)
        for index, item in enumerate(value):
            yield from _check(schema.get("items", {}), item, (*path, index))


def _check_doubles(schema: Schema, value: list[Any], path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    kind, keys = schema.get("x-kubernetes-list-type"), schema.get("x-kubernetes-list-map-keys", ())
    if kind not in {"map", "set"}:
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        name = ", ".join(str(item.get(key)) for key in keys) if kind == "map" else str(item)
        if name in seen:
            yield write_path((*path, index)), f"{name} stands twice. Remove or rename one."
        seen.add(name)


def _check_rules(schema: Schema, value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[str, str]]:
    for rule in schema.get("x-kubernetes-validations", ()):
        if _ONE_OF.fullmatch(rule["rule"]) and isinstance(value, Mapping):
            names = _HAS.findall(rule["rule"])
            there = [name for name in names if name in value]
            if len(there) != 1:
                has = " and ".join(there) or "none"
                yield write_path(path), f"{rule['message']} It has {has}."
        elif schema.get("properties", {}).keys() == _SELECTOR and "empty" in rule["message"]:
            if not any(value.values()):
                yield write_path(path), rule["message"]
        elif rule == NAME_RULE:
            name = value["metadata"]["name"]
            if len(name) > 24 or not re.search(DNS_LABEL, name):
                yield "metadata.name", rule["message"]


def _fault(document: Document, field: str, message: str) -> Fault:
    namespace, kind, name = document.key
    told = message if not field or message.startswith(field) else f"{field}: {message}"
    return Fault(namespace=namespace, object=name_object(kind, name), field=field, message=told)
