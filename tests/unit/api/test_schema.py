"""The way from pydantic to a structural schema: what is rewritten, what is refused, and what every kind promises."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from atoll.api.kinds import KINDS, Kind
from atoll.api.schema import build_structural_schema, check_schema, convert_schema
from atoll.errors import BadInput

TEXT = {"type": "string", "maxLength": 5}


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        pytest.param({"$ref": "#/$defs/Text", "description": "here"}, {**TEXT, "description": "here"}, id="inline"),
        pytest.param({"anyOf": [TEXT, {"type": "null"}], "default": None}, TEXT, id="optional"),
        pytest.param(
            {"anyOf": [{"type": "integer", "minimum": 0}, TEXT]},
            {"maxLength": 5, "minimum": 0, "x-kubernetes-int-or-string": True},
            id="int or string",
        ),
        pytest.param({"allOf": [{"$ref": "#/$defs/Text"}]}, TEXT, id="all of one"),
        pytest.param({"const": "a", "type": "string"}, {"type": "string", "enum": ["a"]}, id="const"),
        pytest.param({**TEXT, "title": "T", "examples": ["x"]}, TEXT, id="noise"),
        pytest.param(
            {"type": "object", "additionalProperties": False, "properties": {}},
            {"type": "object"},
            id="closed object",
        ),
        pytest.param(
            {"type": "integer", "exclusiveMinimum": 0, "exclusiveMaximum": 9},
            {"type": "integer", "minimum": 1, "maximum": 8},
            id="exclusive integers",
        ),
        pytest.param(
            {"type": "number", "exclusiveMinimum": 0.5},
            {"type": "number", "minimum": 0.5, "exclusiveMinimum": True},
            id="exclusive numbers",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "uniqueItems": True},
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "set"},
            id="set",
        ),
        pytest.param(
            {"type": "array", "items": TEXT, "default": []},
            {"type": "array", "items": TEXT, "x-kubernetes-list-type": "atomic"},
            id="list without a type, empty default",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"$ref": "#/$defs/Text"}},
            {"type": "object", "additionalProperties": TEXT},
            id="map",
        ),
        pytest.param({**TEXT, "default": ""}, TEXT, id="empty text says nothing"),
        pytest.param({"type": "boolean", "default": False}, {"type": "boolean", "default": False}, id="false is kept"),
        pytest.param({"type": "integer", "default": 0}, {"type": "integer", "default": 0}, id="zero is kept"),
        pytest.param(
            {**TEXT, "x-kubernetes-validations": [{"rule": "self != ''"}]},
            {**TEXT, "x-kubernetes-validations": [{"rule": "self != ''"}]},
            id="kubernetes extensions pass",
        ),
    ],
)
def test_what_a_crd_refuses_is_rewritten(written: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert convert_schema(written, {"Text": TEXT}, path="x") == wanted


def test_rules_of_a_part_and_of_its_place_add_up() -> None:
    part = {"type": "object", "x-kubernetes-validations": [{"rule": "a"}]}
    written = {"$ref": "#/$defs/Part", "x-kubernetes-validations": [{"rule": "b"}]}
    converted = convert_schema(written, {"Part": part}, path="x")
    assert converted["x-kubernetes-validations"] == [{"rule": "a"}, {"rule": "b"}]


@pytest.mark.parametrize(
    "written",
    [
        {"oneOf": [TEXT]},
        {"discriminator": {"propertyName": "kind"}},
        {"patternProperties": {"^a": TEXT}},
        {"type": "array", "prefixItems": [TEXT]},
        {"anyOf": [{"type": "object"}, TEXT]},
    ],
    ids=lambda written: next(iter(written)),
)
def test_what_has_no_structural_form_is_refused_by_name(written: dict[str, Any]) -> None:
    with pytest.raises(BadInput, match=r"^spec\.x: .* has no structural form") as caught:
        convert_schema(written, {}, path="spec.x")
    assert caught.value.field == "spec.x"


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "string"}, "x has no maxLength."),
        ({"x-kubernetes-int-or-string": True}, "x has no maxLength."),
        ({"type": "integer", "minimum": 0}, "x has no minimum and maximum."),
        ({"type": "array", "items": TEXT}, "x has no maxItems."),
        ({"type": "array", "maxItems": 1, "items": {"type": "string"}}, "x[] has no maxLength."),
        ({"type": "object", "additionalProperties": TEXT}, "x has no maxProperties."),
        ({"type": "object", "properties": {"a": TEXT}}, "x.a has no a description."),
        ({}, "x has no a type."),
    ],
)
def test_what_is_not_bounded_or_described_is_refused(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_schema(schema, path="x")
    assert str(caught.value).startswith(told)


@pytest.mark.parametrize(
    "schema",
    [TEXT, {"type": "string", "enum": ["a"]}, {"type": "string", "format": "date-time"}, {"type": "boolean"}],
)
def test_what_is_bounded_passes(schema: dict[str, Any]) -> None:
    check_schema(schema, path="x")


class Inner(BaseModel):
    """Something inside."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    size: Annotated[int, Field(ge=0, le=9)] = 3
    """How large."""


class Outer(BaseModel):
    """A kind."""

    model_config = ConfigDict(use_attribute_docstrings=True, json_schema_extra={"x-atoll-without-defaults": ["own"]})

    metadata: dict[str, Any]
    shared: Inner | None = None
    """With defaults."""
    own: Inner | None = None
    """Without defaults."""
    mode: Literal["a", "b"] = "a"
    """One of two."""
    status: Inner = Field(default_factory=Inner, json_schema_extra={"default": {"size": 1}})
    """What was seen."""
    text: Annotated[str, StringConstraints(max_length=3)]
    """Some text."""


def test_a_whole_kind() -> None:
    size = {"type": "integer", "description": "How large.", "minimum": 0, "maximum": 9}
    assert build_structural_schema(Outer) == {
        "type": "object",
        "description": "A kind.",
        "required": ["text"],
        "properties": {
            "apiVersion": {"type": "string", "description": "Version of the API that the object is written in."},
            "kind": {"type": "string", "description": "Kind of the object."},
            "metadata": {"type": "object"},
            "shared": {
                "type": "object",
                "description": "With defaults.",
                "properties": {"size": {**size, "default": 3}},
            },
            "own": {"type": "object", "description": "Without defaults.", "properties": {"size": size}},
            "mode": {"type": "string", "description": "One of two.", "default": "a", "enum": ["a", "b"]},
            "status": {
                "type": "object",
                "description": "What was seen.",
                "default": {"size": 1},
                "properties": {"size": size},
            },
            "text": {"type": "string", "description": "Some text.", "maxLength": 3},
        },
    }


def leaves(node: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    """List everything in a schema that holds a value of its own."""
    below = [(f"{path}.{name}", child) for name, child in node.get("properties", {}).items()]
    below += [(f"{path}[]", node[key]) for key in ("items", "additionalProperties") if isinstance(node.get(key), dict)]
    return [(path, node), *(leaf for name, child in below for leaf in leaves(child, name))]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
class TestEveryKind:
    def schema(self, kind: Kind) -> dict[str, Any]:
        """Return the parts that are ours."""
        properties = build_structural_schema(kind.model)["properties"]
        return {
            "type": "object",
            "properties": {key: properties[key] for key in ("spec", "status") if key in properties},
        }

    def test_every_value_is_bounded_and_described(self, kind: Kind) -> None:
        schema = self.schema(kind)
        check_schema(schema, path=kind.kind)
        texts = [(path, node) for path, node in leaves(schema, kind.kind) if node.get("type") == "string"]
        unbounded = [path for path, node in texts if not {"maxLength", "enum", "format"} & node.keys()]
        assert unbounded == []

    def test_nothing_in_it_is_unknown_to_crds(self, kind: Kind) -> None:
        known = {
            *("type", "format", "description", "default", "enum", "pattern", "minLength", "maxLength"),
            *("minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"),
            *("properties", "additionalProperties", "items", "required"),
            *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys"),
            "x-kubernetes-int-or-string",
        }
        used = {key for _, node in leaves(self.schema(kind), kind.kind) for key in node}
        assert used <= known

    def test_a_status_has_no_defaults_but_that_nobody_has_looked(self, kind: Kind) -> None:
        if not kind.has_status:
            assert kind.kind == "Approval"
            return
        status = self.schema(kind)["properties"]["status"]
        inner = [path for path, node in leaves(status, "status")[1:] if "default" in node]
        assert (status["default"], inner) == ({"observedGeneration": -1}, [])

    def test_conditions_are_told_apart_by_type(self, kind: Kind) -> None:
        if kind.has_status:
            conditions = self.schema(kind)["properties"]["status"]["properties"]["conditions"]
            found = {
                key: conditions[key] for key in ("maxItems", "x-kubernetes-list-type", "x-kubernetes-list-map-keys")
            }
            assert found == {
                "maxItems": 16,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            }

    def test_rules_speak_with_our_voice(self, kind: Kind) -> None:
        schema = build_structural_schema(kind.model)
        messages = [
            rule["message"]
            for _, node in leaves(schema, kind.kind)
            for rule in node.get("x-kubernetes-validations", ())
        ]
        assert [message for message in messages if not message.endswith(".")] == []

    def test_columns_lead_to_fields_that_exist(self, kind: Kind) -> None:
        schema = build_structural_schema(kind.model)
        for path in (*(column.path for column in kind.columns), *kind.selectable_fields):
            node: dict[str, Any] = schema
            for part in path.lstrip(".").split("."):
                if part == "metadata":
                    break
                name, _, rest = part.partition("[")
                node = node["properties"][name]
                if rest.startswith("?"):
                    break
                node = node["items"] if rest else node
