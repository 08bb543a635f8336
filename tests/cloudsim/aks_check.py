"""Bodies checked against the SDK's own models: names, types, enumerations, what is required.

The models have no patterns and no bounds; those are in `aks_rules`.
"""

from __future__ import annotations

import base64
import binascii
import functools
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime, time
from enum import Enum
from typing import Any

from azure.mgmt.containerservice import models

SIMPLE: Mapping[Any, tuple[type, ...]] = types.MappingProxyType(
    {str: (str,), bool: (bool,), int: (int,), float: (int, float)}
)


@functools.cache
def read_fields(model: type) -> dict[str, tuple[Any, bool, bool]]:
    """Return the fields of a model as on the wire: name → type, required, read-only."""
    model()  # The SDK fills in the names of the fields when the first object is made.
    hints = typing.get_type_hints(model, localns={"_models": models})
    found = {}
    for attribute, rest in model._attr_to_rest_field.items():  # type: ignore[attr-defined]
        kind, optional = _without_none(hints[attribute])
        read_only = rest._visibility == ["read"]
        found[rest._rest_name] = (kind, not optional and not read_only, read_only)
    return found


def check_body(model: type, body: Any) -> tuple[dict[str, Any], list[str]]:
    """Return the body without nulls and read-only fields, which the cloud passes over, and what is wrong with it."""
    problems: list[str] = []
    cleaned = _check_model(model, body, "", problems)
    return (cleaned if isinstance(cleaned, dict) else {}), problems


def _check_model(model: type, value: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{path or 'the body'} is {type(value).__name__}, not an object")
        return value
    fields = read_fields(model)
    cleaned = {}
    for name, inner in value.items():
        where = f"{path}.{name}" if path else name
        if name not in fields:
            problems.append(f'unknown field "{where}"')
            continue
        kind, _, read_only = fields[name]
        if inner is not None and not read_only:
            cleaned[name] = _check_value(kind, inner, where, problems)
    for name, (_, required, _) in fields.items():
        if required and value.get(name) is None:
            problems.append(f"required field {path + '.' if path else ''}{name} is missing")
    return cleaned


def _check_value(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    kind, _ = _without_none(kind)
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (list, set):
        return _check_list(args[0], value, path, problems)
    if origin is dict:
        return _check_dict(args[1], value, path, problems)
    if origin in (typing.Union, types.UnionType):
        return _check_choice(args, value, path, problems)
    if getattr(kind, "_is_model", False):
        return _check_model(kind, value, path, problems)
    _check_simple(kind, value, path, problems)
    return value


def _check_list(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, list):
        problems.append(f"{path} is {type(value).__name__}, not a list")
        return value
    return [_check_value(kind, item, f"{path}[{number}]", problems) for number, item in enumerate(value)]


def _check_dict(kind: Any, value: Any, path: str, problems: list[str]) -> Any:
    if not isinstance(value, dict):
        problems.append(f"{path} is {type(value).__name__}, not an object")
        return value
    return {name: _check_value(kind, item, f"{path}.{name}", problems) for name, item in value.items()}


def _check_choice(args: tuple[Any, ...], value: Any, path: str, problems: list[str]) -> Any:
    """Check a union: the SDK writes `str or enumeration`, and means the enumeration."""
    for kind in args:
        if isinstance(kind, type) and issubclass(kind, Enum):
            allowed = [member.value for member in kind]
            if value not in allowed:
                problems.append(f"{path} is {value!r}, which is none of {', '.join(map(str, allowed))}")
            return value
    return _check_value(args[0], value, path, problems)


def _check_simple(kind: Any, value: Any, path: str, problems: list[str]) -> None:
    if kind in SIMPLE:
        if not isinstance(value, SIMPLE[kind]) or (isinstance(value, bool) and kind is not bool):
            problems.append(f"{path} is {type(value).__name__}, not {kind.__name__}")
    elif kind in (datetime, date, time, bytes):
        try:
            _ = base64.b64decode(value, validate=True) if kind is bytes else kind.fromisoformat(value)
        except (ValueError, TypeError, binascii.Error):
            problems.append(f"{path} is {value!r}, which is no {kind.__name__}")
    elif kind is not Any:
        raise TypeError(f"{path}: the check does not know {kind!r}")


def _without_none(kind: Any) -> tuple[Any, bool]:
    """Return a type without its None, and whether it had one."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        args = tuple(arg for arg in typing.get_args(kind) if arg is not type(None))
        if len(args) < len(typing.get_args(kind)):
            return (args[0] if len(args) == 1 else typing.Union[args]), True  # noqa: UP007 - made at run time
    return kind, False
