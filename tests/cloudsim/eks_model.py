"""A service as its own SDK knows it: which call a request is, what it may hold, and what an answer must hold.

botocore's client checks types and required fields alone; enums, patterns, lengths and unknown fields are the service's
to refuse, so that they are checked here, out of the same model.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

import botocore.loaders
from botocore.model import ListShape, MapShape, OperationModel, ServiceModel, Shape, StructureShape

from .core import Ask

PYTHON_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "long": (int,),
    "boolean": (bool,),
    "float": (int, float),
    "double": (int, float),
    "timestamp": (int, float),
    "blob": (str, bytes),
}


@dataclass(frozen=True, slots=True)
class Route:
    """One operation of a REST service, by method and path."""

    method: str
    pattern: re.Pattern[str]
    operation: OperationModel


@functools.cache
def load_model(service: str) -> ServiceModel:
    """Read a service model of botocore."""
    return ServiceModel(botocore.loaders.Loader().load_service_model(service, "service-2"), service)


@functools.cache
def build_routes(service: str) -> tuple[Route, ...]:
    """Return all operations of a REST service."""
    model = load_model(service)
    operations = [model.operation_model(name) for name in model.operation_names]
    return tuple(
        Route(
            operation.http["method"],
            re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.http["requestUri"])),
            operation,
        )
        for operation in operations
    )


def find_route(service: str, method: str, path: str) -> tuple[OperationModel, dict[str, str]] | None:
    """Return the operation and what the path names, decoded; None when the service has no such call."""
    for route in build_routes(service):
        found = route.pattern.fullmatch(path)
        if found and route.method == method:
            return route.operation, {name: unquote(value) for name, value in found.groupdict().items()}
    return None


def read_rest_params(operation: OperationModel, ask: Ask) -> tuple[dict[str, Any], list[str]]:
    """Return the parameters of a REST-JSON call, and everything that is wrong with them."""
    shape = operation.input_shape
    try:
        body = ask.json()
    except ValueError:
        return {}, ["the body is no JSON"]
    if body is not None and not isinstance(body, dict):
        return {}, ["the body is no object"]
    members: Mapping[str, Shape] = shape.members if shape is not None else {}
    params: dict[str, Any] = {}
    in_body: dict[str, str] = {}
    queried = set()
    for name, member in members.items():
        place, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if place == "uri":
            params[name] = ask.parts[wire]
        elif place == "querystring":
            queried.add(wire)
            found = [value for key, value in ask.query if key == wire]
            if found:
                params[name] = _read_query(member, found)
        else:
            in_body[wire] = name
    problems = [f"unknown query parameter {key}" for key, _ in ask.query if key not in queried]
    problems += [f"unknown field {key}" for key in body or {} if key not in in_body]
    params |= {in_body[key]: value for key, value in (body or {}).items() if key in in_body}
    return params, problems + (check_value(shape, params, "") if shape is not None else [])


def _read_query(shape: Shape, values: list[str]) -> Any:
    if isinstance(shape, ListShape):
        return values
    if shape.type_name in ("integer", "long"):
        return int(values[0]) if re.fullmatch(r"-?\d+", values[0]) else values[0]
    if shape.type_name == "boolean":
        return {"true": True, "false": False}.get(values[0], values[0])
    return values[0]


def check_value(shape: Shape, value: Any, path: str) -> list[str]:
    """Return everything that is wrong with a value; `path` names it, empty for the whole."""
    if isinstance(shape, StructureShape):
        return _check_structure(shape, value, path)
    if isinstance(shape, ListShape):
        if not isinstance(value, list):
            return [f"{path} is no list"]
        parts = [problem for n, item in enumerate(value) for problem in check_value(shape.member, item, f"{path}[{n}]")]
        return check_range(shape, len(value), path) + parts
    if isinstance(shape, MapShape):
        if not isinstance(value, dict):
            return [f"{path} is no map"]
        keys = [problem for key in value for problem in check_value(shape.key, key, f"key {key!r} of {path}")]
        parts = [problem for key, item in value.items() for problem in check_value(shape.value, item, f"{path}.{key}")]
        return check_range(shape, len(value), path) + keys + parts
    return _check_scalar(shape, value, path)


def _check_structure(shape: StructureShape, value: Any, path: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{path} is no object"]
    dot = f"{path}." if path else ""
    missing = [f"{dot}{name} is missing" for name in shape.required_members if value.get(name) is None]
    unknown = [f"unknown field {dot}{name}" for name in value if name not in shape.members]
    parts = [
        problem
        for name, item in value.items()
        if name in shape.members and item is not None
        for problem in check_value(shape.members[name], item, f"{dot}{name}")
    ]
    return missing + unknown + parts


def _check_scalar(shape: Shape, value: Any, path: str) -> list[str]:
    wanted: Any = PYTHON_TYPES[shape.type_name]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        return [f"{path} is no {shape.type_name}"]
    if isinstance(value, str):
        problems = check_range(shape, len(value), path)
        enum, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if enum and value not in enum:
            problems.append(f"{path} is none of {', '.join(enum)}")
        if pattern and not re.search(pattern, value):
            problems.append(f"{path} does not match {pattern}")
        return problems
    return check_range(shape, value, path) if isinstance(value, int | float) and not isinstance(value, bool) else []


def check_range(shape: Shape, amount: float, path: str) -> list[str]:
    """Compare a length or a number with what the model allows."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is not None and amount < low:
        return [f"{path} is below {low}"]
    return [f"{path} is above {high}"] if high is not None and amount > high else []


def check_answer(operation: OperationModel, answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer without empty members; raises ValueError when the SDK's model does not have what it holds."""
    clean: dict[str, Any] = drop_none(answer)
    shape = operation.output_shape
    problems = check_value(shape, clean, "") if shape is not None else [f"{name} is unknown" for name in clean]
    # The bounds are those of what is asked: a real answer holds tags that are empty.
    problems = [problem for problem in problems if not problem.endswith(" is below 1")]
    if problems:
        raise ValueError(f"the answer to {operation.name} is wrong: {'; '.join(problems)}")
    return clean


def drop_none(value: Any) -> Any:
    """Return a value without members that are None, at any depth."""
    if isinstance(value, Mapping):
        return {name: drop_none(item) for name, item in value.items() if item is not None}
    return [drop_none(item) for item in value] if isinstance(value, list | tuple) else value
