"""From pydantic's JSON schema to the structural schema that a CRD accepts.

What a CRD refuses (references, unions with null, `const`, numeric exclusive bounds, closed objects) is rewritten; what
has no bounds or no description is refused here, before an API server sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel

from atoll.errors import BadInput

Schema = dict[str, Any]

RULES: Final = "x-kubernetes-validations"
INT_OR_STRING: Final = "x-kubernetes-int-or-string"
LIST_TYPE: Final = "x-kubernetes-list-type"
WITHOUT_DEFAULTS: Final = "x-atoll-without-defaults"
"""At a model: the properties whose own direct properties lose their defaults."""

_DROPPED: Final = frozenset({"title", "examples", "deprecated", "readOnly", "writeOnly", "$defs", WITHOUT_DEFAULTS})
_REFUSED: Final = frozenset(
    {"oneOf", "not", "discriminator", "patternProperties", "propertyNames", "prefixItems", "if", "then", "else"}
)
_ORDER: Final = (
    "description",
    "type",
    "format",
    "default",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "exclusiveMinimum",
    "maximum",
    "exclusiveMaximum",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "items",
)


def build_structural_schema(model: type[BaseModel]) -> Schema:
    """Build the structural schema of a kind; raises BadInput naming the field that has no bounds or description."""
    raw = model.model_json_schema(by_alias=True, mode="validation")
    defs: Mapping[str, Schema] = raw.get("$defs", {})
    # The server has a schema of its own for metadata and refuses most that a CRD could say about it.
    properties = {name: value for name, value in raw["properties"].items() if name != "metadata"}
    root = convert_schema({**raw, "properties": properties}, defs, path=model.__name__)
    if "status" in root["properties"]:
        root["properties"]["status"] = _drop_inner_defaults(root["properties"]["status"])
    root["required"] = [name for name in root.get("required", []) if name != "metadata"]
    check_schema(root, path=model.__name__)
    root["properties"] = {
        "apiVersion": {"type": "string", "description": "Version of the API that the object is written in."},
        "kind": {"type": "string", "description": "Kind of the object."},
        "metadata": {"type": "object"},
        **root["properties"],
    }
    return root


def convert_schema(node: Schema, defs: Mapping[str, Schema], *, path: str) -> Schema:
    """Rewrite one node and all below it; raises BadInput for what has no structural form."""
    node = _resolve(node, defs, path)
    refused = sorted(_REFUSED & node.keys())
    if refused:
        raise BadInput(f"{path}: `{refused[0]}` has no structural form. Model it as optional blocks.", field=path)
    found: Schema = {key: value for key, value in node.items() if key not in _DROPPED}
    if "const" in found:
        found["enum"] = [found.pop("const")]
    if found.pop("uniqueItems", False):
        found[LIST_TYPE] = "set"
    if found.get("default", ...) in (None, [], "") or found.get("default", ...) == ():
        # An empty default says nothing and would be written into every stored object.
        found.pop("default", None)
    _close_bounds(found)
    _convert_children(found, node, defs, path)
    if found.get("type") == "array":
        found.setdefault(LIST_TYPE, "atomic")
    order = {key: place for place, key in enumerate(_ORDER)}
    return {key: found[key] for key in sorted(found, key=lambda key: (order.get(key, len(order)), key))}


def check_schema(node: Schema, *, path: str) -> None:
    """Refuse strings, numbers, lists and maps without bounds and properties without a description."""
    kind = node.get("type")
    if node.get(INT_OR_STRING):
        _need(path, "maxLength" in node, "maxLength")
    elif kind == "string":
        bounded = "maxLength" in node or "enum" in node or node.get("format") == "date-time"
        _need(path, bounded, "maxLength")
    elif kind in {"integer", "number"}:
        _need(path, "enum" in node or ("minimum" in node and "maximum" in node), "minimum and maximum")
    elif kind == "array":
        _need(path, "maxItems" in node, "maxItems")
        check_schema(node["items"], path=f"{path}[]")
    elif kind == "object":
        more = node.get("additionalProperties")
        if more is not None:
            _need(path, "maxProperties" in node, "maxProperties")
            check_schema(more, path=f"{path}{{}}")
        for name, child in node.get("properties", {}).items():
            _need(f"{path}.{name}", bool(child.get("description")), "a description")
            check_schema(child, path=f"{path}.{name}")
    else:
        _need(path, kind == "boolean", "a type")


def _need(path: str, fulfilled: bool, what: str) -> None:
    if not fulfilled:
        raise BadInput(f"{path} has no {what}. Add it to the model.", field=path)


def _resolve(node: Schema, defs: Mapping[str, Schema], path: str) -> Schema:
    """Inline references and unwrap Optional until neither is left; what stands beside them wins."""
    while True:
        if "$ref" in node:
            beside = {key: value for key, value in node.items() if key != "$ref"}
            node = _merge(defs[node["$ref"].removeprefix("#/$defs/")], beside)
        elif "anyOf" in node:
            beside = {key: value for key, value in node.items() if key != "anyOf"}
            options = [option for option in node["anyOf"] if option != {"type": "null"}]
            if len(options) == 1:
                node = _merge(options[0], beside)
            elif {option.get("type") for option in options} == {"integer", "string"}:
                node = _merge({**_without_type(options[0]), **_without_type(options[1]), INT_OR_STRING: True}, beside)
            else:
                raise BadInput(f"{path}: a union of types has no structural form.", field=path)
        elif len(node.get("allOf", ())) == 1:
            beside = {key: value for key, value in node.items() if key != "allOf"}
            node = _merge(node["allOf"][0], beside)
        else:
            return node


def _without_type(node: Schema) -> Schema:
    return {key: value for key, value in node.items() if key != "type"}


def _merge(base: Schema, beside: Schema) -> Schema:
    rules = [*base.get(RULES, ()), *beside.get(RULES, ())]
    return {**base, **beside, **({RULES: rules} if rules else {})}


def _close_bounds(node: Schema) -> None:
    """Turn numeric exclusive bounds of integers into inclusive ones, and of numbers into the flags of OpenAPI 3.0."""
    for exclusive, inclusive, step in (("exclusiveMinimum", "minimum", 1), ("exclusiveMaximum", "maximum", -1)):
        bound = node.get(exclusive)
        if bound is None or isinstance(bound, bool):
            continue
        del node[exclusive]
        if node.get("type") == "integer":
            node[inclusive] = bound + step
        else:
            node[inclusive] = bound
            node[exclusive] = True


def _convert_children(found: Schema, node: Schema, defs: Mapping[str, Schema], path: str) -> None:
    if not found.get("properties", True):
        # An API server drops the empty map, and every install would differ from what is there.
        del found["properties"]
    if "properties" in found:
        bare = set(node.get(WITHOUT_DEFAULTS, ()))
        found["properties"] = {
            name: _without_defaults(child) if name in bare else child
            for name, child in (
                (name, convert_schema(child, defs, path=f"{path}.{name}")) for name, child in node["properties"].items()
            )
        }
    if isinstance(found.get("additionalProperties"), dict):
        found["additionalProperties"] = convert_schema(found["additionalProperties"], defs, path=f"{path}{{}}")
    else:
        found.pop("additionalProperties", None)
    if "items" in found:
        found["items"] = convert_schema(found["items"], defs, path=f"{path}[]")


def _drop_inner_defaults(node: Schema) -> Schema:
    """Drop every default below `node`: in a status, what was not written would differ from what was stored."""

    def bare(child: Any, *, top: bool) -> Any:
        if isinstance(child, list):
            return [bare(item, top=False) for item in child]
        if not isinstance(child, dict):
            return child
        is_schema = isinstance(child.get("type"), str) or INT_OR_STRING in child
        kept = {key: value for key, value in child.items() if top or not (is_schema and key == "default")}
        return {key: value if key == "default" else bare(value, top=False) for key, value in kept.items()}

    pruned: Schema = bare(node, top=True)
    return pruned


def _without_defaults(node: Schema) -> Schema:
    """Drop the defaults of the direct properties."""
    if "properties" not in node:
        return node
    bare = {name: {k: v for k, v in child.items() if k != "default"} for name, child in node["properties"].items()}
    return {**node, "properties": bare}
