"""From the body of an object to its model, or to a sentence that says which field cannot be used and why.

Bodies are judged as an API server judges JSON: nothing is turned into another type on the way, null counts as absent,
and fields that this version does not know are passed over, so that a newer CRD does not stop an older operator.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from atoll.errors import BadInput

from .kinds import KINDS, kind_named
from .meta import API_VERSION, Resource

Model = TypeVar("Model", bound=Resource)
Path = tuple[str | int, ...]

_COUNTRY_HINT: Final = ' Quote it: YAML reads NO as "false", so write "NO".'


def parse_resource(body: Mapping[str, Any]) -> Resource:
    """Parse an object of any of our kinds; raises BadInput naming kind, object and the first field that is wrong."""
    kind = str(body.get("kind", ""))
    if body.get("apiVersion") != API_VERSION or all(item.kind != kind for item in KINDS):
        raise BadInput(
            f"apiVersion `{body.get('apiVersion')}` with kind `{kind}` is none of ours. Use {API_VERSION} with one of "
            f"{', '.join(item.kind for item in KINDS)}.",
            field="apiVersion",
        )
    return parse_as(kind_named(kind).model, body)


def parse_as(model: type[Model], body: Mapping[str, Any], *, status: bool = True) -> Model:
    """Parse an object whose kind is known; raises BadInput naming the first field that is wrong.

    Without `status`, what stands there is passed over: a status that another version wrote spoils no spec.
    """
    read = body if status else {key: value for key, value in body.items() if key != "status"}
    # Strict JSON is the one mode of pydantic that takes lists for tuples and yet no "5" for 5.
    text = json.dumps(_drop_nulls(read))
    try:
        return model.model_validate_json(text, strict=True)
    except ValidationError as error:
        path, message = _describe(body, error)
        name = body.get("metadata", {}).get("name", "?")
        raise BadInput(f"{model.__name__} {name}: {path} {message}", field=path) from None


def write_path(body: Any, path: Sequence[str | int]) -> str:
    """Write a path as messages do, with names of list entries for their numbers: `spec.clusters[dev].country`."""
    text = ""
    for part in path:
        body = _step(body, part)
        if isinstance(part, int):
            name = body.get("name") if isinstance(body, Mapping) else None
            text += f"[{name if isinstance(name, str) and name else part}]"
        else:
            text += f".{part}"
    return text.removeprefix(".")


def _describe(body: Mapping[str, Any], error: ValidationError) -> tuple[str, str]:
    """Say which field is wrong first, and how."""
    details = error.errors(include_url=False, include_context=True, include_input=True)
    # A union reports each of its branches: the one with a pattern says most.
    first = _trim(body, details[0]["loc"])
    detail = next(
        (item for item in details if _trim(body, item["loc"]) == first and "pattern" in item.get("ctx", {})), details[0]
    )
    context: Mapping[str, Any] = detail.get("ctx", {})
    value = detail["input"]
    match detail["type"]:
        case "missing":
            missing = str(detail["loc"][-1])
            return write_path(body, (*first, missing) if missing not in first[-1:] else first), "is missing. Add it."
        case "string_pattern_mismatch":
            what = f"`{value}` must match {context['pattern']}. Correct it."
        case "literal_error":
            what = f"`{value}` must be one of {context['expected']}. Correct it."
        case "string_too_long":
            what = f"`{value}` must have at most {context['max_length']} characters. Shorten it."
        case "too_long":
            what = f"must have at most {context['max_length']} entries. Remove some."
        case "greater_than_equal" | "less_than_equal":
            bound = f"at least {context['ge']}" if "ge" in context else f"at most {context['le']}"
            what = f"{value} must be {bound}. Correct it."
        case _:
            told = str(detail["msg"])
            what = f"`{value}` cannot be used: {told[:1].lower()}{told[1:]}. Correct it."
    is_country = isinstance(value, bool) and any(str(part).startswith("countr") for part in first)
    return write_path(body, first), what + (_COUNTRY_HINT if is_country else "")


def _trim(body: Any, loc: Sequence[str | int]) -> Path:
    """Cut off what pydantic adds to a path inside of a union: parts that are no fields of the body."""
    kept: list[str | int] = []
    for part in loc:
        inside = isinstance(body, Mapping) if isinstance(part, str) else isinstance(body, (list, tuple))
        if not inside:
            break
        kept.append(part)
        body = _step(body, part)
        if body is None:
            break
    return tuple(kept)


def _step(body: Any, part: str | int) -> Any:
    if isinstance(part, str):
        return body.get(part) if isinstance(body, Mapping) else None
    return body[part] if isinstance(body, (list, tuple)) and part < len(body) else None


def _drop_nulls(value: Any) -> Any:
    """Drop fields that are null, as an API server does."""
    if isinstance(value, Mapping):
        return {key: _drop_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [_drop_nulls(item) for item in value]
    return value
