"""The SDK's own model of GKE's REST interface: paths, request messages, and the shape of what may be sent.

The paths come from the SDK's own transcoding rules, the messages from its protobuf descriptors. Which fields are
output only is told by nothing but the generated docstrings, so these are read.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.cloud.container_v1.services.cluster_manager.transports import rest_base
from google.cloud.container_v1.types import cluster_service as api
from google.protobuf import json_format

from .core import Ask
from .gke_errors import misshapen

PACKAGE: Final = "google.container.v1."
ANSWER_FORMAT: Final = ("$alt", "json;enum-encoding=int")
STANDARD: Final = frozenset({"$alt", "alt", "prettyPrint", "quotaUser", "$.xgafv"})
"""Query parameters of all Google services."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One call: how its request looks on the wire."""

    name: str
    """As the SDK's model names it, such as `CreateCluster`."""
    method: str
    pattern: re.Pattern[str]
    has_body: bool


def new(kind: type[Any]) -> Any:
    """Return an empty protobuf message of one of the SDK's types."""
    return kind.pb(kind())


@functools.cache
def list_routes() -> tuple[Route, ...]:
    """Return all calls of the SDK, by their paths with `locations`; the older ones with `zones` are not served."""
    found = []
    for attribute, rules in vars(rest_base._BaseClusterManagerRestTransport).items():
        if attribute.startswith("_Base"):
            option = rules._get_http_options()[0]
            found.append(
                Route(
                    name=attribute.removeprefix("_Base"),
                    method=option["method"].upper(),
                    pattern=re.compile(_build_pattern(option["uri"])),
                    has_body="body" in option,
                )
            )
    return tuple(found)


def _build_pattern(uri: str) -> str:
    """Turn `/v1/{name=projects/*/x/*}:do` into a regular expression."""

    def build_group(match: re.Match[str]) -> str:
        return f"(?P<{match[1]}>{match[2].replace('*', '[^/:]+')})"

    return "".join(
        re.sub(r"\{(\w+)=([^}]*)\}", build_group, part) if part.startswith("{") else re.escape(part)
        for part in re.split(r"(\{[^}]*\})", uri)
    )


def find_route(method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """Return the call of a path, and what the path names."""
    for route in list_routes():
        if route.method == method and (match := route.pattern.fullmatch(path)):
            return route, match.groupdict()
    return None


def parse_request(ask: Ask) -> Any:
    """Return the request message of a call. Raises Refusal for what is not of its shape."""
    route = next(route for route in list_routes() if route.name == ask.name)
    message = new(getattr(api, f"{route.name}Request"))
    sent = _read_body(ask) if route.has_body else {}
    if ask.body and not route.has_body:
        raise misshapen([("", "Request has a body, and its method takes none.")])
    violations = _check_query(ask, message)
    for name, value in ask.query:
        if name not in STANDARD:
            sent[name] = value
    for name in ask.parts:
        if name in sent:
            violations.append((name, f'Field "{name}" is in the path, and cannot be sent beside.'))
    if violations:
        raise misshapen(violations)
    try:
        json_format.ParseDict({**sent, **ask.parts}, message, ignore_unknown_fields=False)
    except json_format.ParseError as error:
        raise misshapen([_explain(str(error))]) from error
    if wrong := [*_find_strange_enums(message, ""), *_find_output_only(message, "")]:
        raise misshapen(wrong)
    return message


def _read_body(ask: Ask) -> dict[str, Any]:
    try:
        sent = ask.json()
    except ValueError as error:
        raise misshapen([("", "Unexpected token.")]) from error
    if sent is not None and not isinstance(sent, dict):
        raise misshapen([("", "Root element must be a message.")])
    return sent or {}


def _check_query(ask: Ask, message: Any) -> list[tuple[str, str]]:
    """Find parameters that no field takes."""
    known = {name for field in message.DESCRIPTOR.fields for name in (field.name, field.json_name)} | STANDARD
    why = "Cannot bind query parameter. Field '{0}' could not be found in request message."
    return [(name, f'Unknown name "{name}": {why.format(name)}') for name, _ in ask.query if name not in known]


def _explain(error: str) -> tuple[str, str]:
    """Say in GKE's words what protobuf found."""
    match = re.search(r'has no field named "([^"]+)"(?: at "([^"]+)")?', error)
    if match is None:
        return "", f"Invalid value: {error}"
    name, place = match[1], ".".join((match[2] or "").split(".")[1:])
    return f"{place}.{name}".lstrip("."), f"Unknown name \"{name}\" at '{place}': Cannot find field."


def _list_children(message: Any, path: str) -> Iterator[tuple[Any, Any, str]]:
    """Go through the fields that are set: descriptor, value, path."""
    for field, value in message.ListFields():
        name = f"{path}.{field.name}".lstrip(".")
        if field.type == field.TYPE_MESSAGE and field.message_type.GetOptions().map_entry:
            for key in value:
                yield field.message_type.fields_by_name["value"], value[key], f"{name}[{key}]"
        elif field.is_repeated:
            for index, item in enumerate(value):
                yield field, item, f"{name}[{index}]"
        else:
            yield field, value, name


def _find_strange_enums(message: Any, path: str) -> Iterator[tuple[str, str]]:
    """Find numbers that an enum does not have: protobuf itself lets them pass."""
    for field, value, name in _list_children(message, path):
        if field.type == field.TYPE_MESSAGE:
            yield from _find_strange_enums(value, name)
        elif field.type == field.TYPE_ENUM and value not in field.enum_type.values_by_number:
            yield name, f"Invalid value at '{name}' (type.googleapis.com/{field.enum_type.full_name}), {value}"


def _find_output_only(message: Any, path: str) -> Iterator[tuple[str, str]]:
    """Find fields that only the service writes."""
    own = _list_output_only(message.DESCRIPTOR.full_name)
    for field, value, name in _list_children(message, path):
        if field.name in own:
            yield name, f'Field "{name}" is output only.'
        elif field.type == field.TYPE_MESSAGE:
            yield from _find_output_only(value, name)


@functools.cache
def _list_output_only(full_name: str) -> frozenset[str]:
    """Read from the docstring of a message which of its fields are output only."""
    if not full_name.startswith(PACKAGE):
        return frozenset()
    kind: Any = api
    for part in full_name.removeprefix(PACKAGE).split("."):
        kind = getattr(kind, part, None)
    text = getattr(kind, "__doc__", None) or ""
    return frozenset(re.findall(r"^ +(\w+) \([^)]*\):\n +Output only\.", text, re.MULTILINE))


def render_message(message: Any, ask: Ask) -> dict[str, Any]:
    """Return a message as JSON types, with enums as numbers where the client wants them so."""
    return dict(json_format.MessageToDict(message, use_integers_for_enums=ANSWER_FORMAT in ask.query))
