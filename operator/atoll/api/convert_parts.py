"""Parts that several kinds have, converted: metadata, selectors, pauses, status."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atoll.errors import BadInput
from atoll.fleet import spec, values

from . import meta

Body = Mapping[str, Any]


def convert_meta(parsed: meta.ObjectMeta) -> spec.Meta:
    """Convert an object's metadata."""
    return spec.Meta(
        name=parsed.name,
        namespace=parsed.namespace,
        uid=parsed.uid,
        resource_version=parsed.resource_version,
        generation=parsed.generation,
        labels=convert_labels(parsed.labels),
        annotations=convert_labels(parsed.annotations),
        finalizers=parsed.finalizers,
        creation_time=parsed.creation_timestamp,
        deletion_time=parsed.deletion_timestamp,
    )


def convert_selector(selector: meta.Selector | None, path: str) -> values.Selector | None:
    """Convert a label selector; an empty one is refused, `path` names it."""
    if selector is None:
        return None
    converted = values.Selector(
        match_labels=convert_labels(selector.match_labels or {}),
        match_expressions=tuple(
            values.Requirement(key=entry.key, operator=entry.operator, values=entry.values or ())
            for entry in selector.match_expressions or ()
        ),
    )
    if converted.is_empty():
        raise BadInput(f"{path} is empty and would select nothing. Name at least one label.", field=path)
    return converted


def convert_paused(paused: meta.Paused | None) -> spec.Paused | None:
    """Convert a pause."""
    return None if paused is None else spec.Paused(reason=paused.reason, until=paused.until)


def convert_labels(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Convert labels or annotations."""
    frozen: Mapping[str, str] = values.freeze(labels)
    return frozen


def freeze_model(model: meta.Part | None) -> Mapping[str, Any]:
    """Return a part as frozen JSON with API names; what says nothing (absent, empty, false) is left out."""
    said = {} if model is None else model.model_dump(mode="json", by_alias=True, exclude_none=True)
    frozen: Mapping[str, Any] = values.freeze({name: value for name, value in said.items() if value})
    return frozen


def freeze_status(body: Body) -> Mapping[str, Any]:
    """Return an object's status as it stands, frozen."""
    frozen: Mapping[str, Any] = values.freeze(body.get("status") or {})
    return frozen
