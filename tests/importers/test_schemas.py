"""Schemas of descriptions become complete schemas of arguments."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.importers.failures import Inexpressible
from utcp_ws_mcp.importers.references import References
from utcp_ws_mcp.importers.schemas import MAX_INLINE_VALUES, MAX_SCHEMAS, Schemas, flat_object


def complete(schema: Any, **definitions: Any) -> Any:
    return Schemas(References({"d": definitions})).complete(schema)


def ref(name: str, **beside: Any) -> dict[str, Any]:
    return {"$ref": f"#/d/{name}", **beside}


TEXT = {"type": "string"}
LARGE = {"type": "object", "properties": {f"p{number}": {"type": "string"} for number in range(MAX_INLINE_VALUES)}}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, {}),
        (False, {"not": {}}),
        (None, {}),
        ("odd", {}),
        ([TEXT], {}),
        ({"items": True, "not": False}, {"items": True, "not": False}),
        ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
        (
            {"type": "string", "nullable": True, "enum": ["a"]},
            {"type": ["string", "null"], "enum": ["a", None]},
        ),
        ({"type": "string", "nullable": False}, TEXT),
        ({"type": ["string"], "nullable": True}, {"type": ["string"]}),
        ({"nullable": True}, {}),
        ({"minimum": 1, "exclusiveMinimum": True}, {"exclusiveMinimum": 1}),
        ({"items": [TEXT], "if": TEXT, "x-a": 1}, {"prefixItems": [TEXT], "if": TEXT}),
        ({"maximum": 1, "exclusiveMaximum": True}, {"exclusiveMaximum": 1}),
        ({"maximum": 1, "exclusiveMaximum": 2}, {"maximum": 1, "exclusiveMaximum": 2}),
        (
            {"items": [TEXT], "additionalItems": False},
            {"prefixItems": [TEXT], "items": False},
        ),
        (
            {"$schema": "x", "$id": "x", "id": "x", "$comment": "x", "example": 1, "examples": [1], "xml": {}, **TEXT},
            TEXT,
        ),
        ({"externalDocs": {}, "discriminator": {}, "deprecated": True, "x-order": 1, **TEXT}, TEXT),
        (
            {"properties": {"id": {"xml": 1, **TEXT}, "x-a": TEXT, "deprecated": True, "example": TEXT}},
            {"properties": {"id": TEXT, "x-a": TEXT, "deprecated": True, "example": TEXT}},
        ),
        ({"properties": {"a": "odd"}}, {"properties": {"a": {}}}),
        (
            {"patternProperties": {"^x-": TEXT}, "dependentSchemas": {"id": {"x-a": 1}}},
            {"patternProperties": {"^x-": TEXT}, "dependentSchemas": {"id": {}}},
        ),
        ({"allOf": [{"xml": 1}, True], "type": "string"}, {"allOf": [{}, True], "type": "string"}),
        ({"const": {"xml": 1}, "default": {"id": 1}}, {"const": {"xml": 1}, "default": {"id": 1}}),
        ({"enum": [{"xml": 1}], "required": ["id"]}, {"enum": [{"xml": 1}], "required": ["id"]}),
        ({"default": {"$ref": "#/nowhere"}, **TEXT}, {"default": {"$ref": "#/nowhere"}, **TEXT}),
        ({"additionalProperties": {"xml": 1, **TEXT}}, {"additionalProperties": TEXT}),
    ],
    ids=str,
)
def test_a_schema_is_one_of_today_without_what_hosts_do_not_read(schema: Any, expected: Any) -> None:
    assert complete(schema) == expected


def test_what_is_referred_to_once_stands_in_place_whatever_its_size() -> None:
    assert complete({"properties": {"a": ref("Large")}}, Large=LARGE) == {"properties": {"a": LARGE}}


def test_only_texts_and_the_default_beside_a_reference_are_kept() -> None:
    beside = {"description": "It.", "title": "T", "default": "x"}
    assert complete(ref("T", **beside, minLength=1), T={**TEXT, "description": "Other."}) == {**TEXT, **beside}
    assert complete({"properties": {"a": ref("T", title="A")}}, T=True) == {"properties": {"a": True}}


def of_size(values: int) -> dict[str, Any]:
    """Return a schema with a number of values, itself included."""
    return {"enum": [f"v{number}" for number in range(values - 2)]}


@pytest.mark.parametrize(("values", "in_place"), [(12, True), (13, False)])
def test_what_is_referred_to_twice_stands_in_place_if_it_is_small(values: int, in_place: bool) -> None:
    completed = complete({"properties": {"a": ref("S"), "b": ref("S", title="B")}}, S=of_size(values))
    if in_place:
        assert completed == {"properties": {"a": of_size(values), "b": {**of_size(values), "title": "B"}}}
    else:
        assert completed == {
            "properties": {"a": {"$ref": "#/$defs/S"}, "b": {"$ref": "#/$defs/S", "title": "B"}},
            "$defs": {"S": of_size(values)},
        }


def test_what_contains_itself_is_a_definition_though_it_is_small() -> None:
    tree = {"properties": {"below": ref("Tree")}}
    expected = {"properties": {"below": {"$ref": "#/$defs/Tree"}}}
    assert complete(ref("Tree"), Tree=tree) == {"$ref": "#/$defs/Tree", "$defs": {"Tree": expected}}


def test_what_contains_itself_by_way_of_another_is_one_definition() -> None:
    completed = complete({"items": ref("A")}, A={"items": ref("B")}, B={"items": ref("A")})
    assert completed == {
        "items": {"$ref": "#/$defs/A"},
        "$defs": {"A": {"items": {"items": {"$ref": "#/$defs/A"}}}},
    }


def test_definitions_of_one_name_in_several_places_have_names_of_their_own() -> None:
    references = References({"d": {"S": of_size(20)}, "e": {"S": LARGE}, "f": {"→": {**LARGE, "title": "odd"}}})
    places = ["#/d/S", "#/e/S", "#/f/→", "#/d/S", "#/e/S", "#/f/→"]
    completed = Schemas(references).complete({"anyOf": [{"$ref": place} for place in places]})
    names = ["S", "S_2", "schema"]
    assert completed["anyOf"] == [{"$ref": f"#/$defs/{name}"} for name in [*names, *names]]
    assert [*completed["$defs"].values()] == [of_size(20), LARGE, {**LARGE, "title": "odd"}]


@pytest.mark.parametrize(("number", "fits"), [(MAX_SCHEMAS - 1, True), (MAX_SCHEMAS, False)])
def test_of_more_than_40_schemas_the_deeper_levels_only_say_their_type(number: int, fits: bool) -> None:
    below = {f"S{index}": {"type": "string", "title": f"{index}"} for index in range(number)}
    top = {"properties": {name: ref(name) for name in below}}
    completed = complete({"properties": {"top": ref("Top")}}, Top=top, **below)["properties"]["top"]["properties"]
    outlines = {name: {"type": "string", "description": f"{name}."} for name in below}
    assert completed == (below if fits else outlines)
    assert MAX_SCHEMAS == 40


def outline(target: Any) -> Any:
    """Return what is said of a schema for which there is no room."""
    below = {f"S{index}": {"title": f"{index}"} for index in range(MAX_SCHEMAS)}
    top = {"properties": {name: ref(name) for name in ("T", *below)}}
    completed = complete({"properties": {"top": ref("Top")}}, Top=top, T=target, **below)
    return completed["properties"]["top"]["properties"]["T"]


FIELDS = [f"f{number}" for number in range(21)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (True, {"description": "T"}),
        ({"type": "string", "enum": ["a"], "minLength": 1}, {"type": "string", "enum": ["a"], "description": "T."}),
        ({"description": "It."}, {"description": "T."}),
        ({"properties": {"a": {}, "b": {}}}, {"description": "T with the fields a, b."}),
        (
            {"properties": {name: {} for name in FIELDS}},
            {"description": f"T with the fields {', '.join(FIELDS[:20])}."},
        ),
    ],
)
def test_an_outline_says_the_type_the_values_and_up_to_20_fields(target: Any, expected: Any) -> None:
    assert outline(target) == expected


def test_each_argument_of_a_large_schema_has_its_first_level() -> None:
    below = {f"S{index}": {"type": "object", "properties": {"x": TEXT}} for index in range(MAX_SCHEMAS + 1)}
    completed = complete({"properties": {name: ref(name) for name in below}}, **below)
    assert completed["properties"] == below


MANY = {f"S{index}": {"type": "string", "title": f"{index}"} for index in range(MAX_SCHEMAS + 1)}


def test_large_schemas_among_many_are_definitions_if_they_are_used_twice() -> None:
    properties = {name: ref(name) for name in ("Large", *MANY)}
    completed = complete({"properties": {**properties, "again": ref("Large")}}, Large=LARGE, **MANY)
    assert completed["properties"]["Large"] == completed["properties"]["again"] == {"$ref": "#/$defs/Large"}
    assert completed["$defs"] == {"Large": LARGE}


def test_of_many_schemas_what_contains_itself_below_the_first_level_is_outlined() -> None:
    properties = {name: ref(name) for name in ("A", *MANY)}
    completed = complete({"properties": properties}, A={"items": ref("B")}, B={"items": ref("A")}, **MANY)
    assert completed["properties"]["A"] == {"items": {"description": "B."}}
    assert "$defs" not in completed


def test_of_many_schemas_one_that_contains_itself_is_a_definition_of_one_level() -> None:
    completed = complete({"properties": {name: ref(name) for name in ("A", *MANY)}}, A={"items": ref("A")}, **MANY)
    assert completed["properties"]["A"] == {"$ref": "#/$defs/A"}
    assert completed["$defs"] == {"A": {"items": {"description": "A."}}}
    later = complete({"properties": {name: ref(name) for name in (*MANY, "A")}}, A={"items": ref("A")}, **MANY)
    assert later["properties"]["A"] == {"items": {"description": "A."}}  # behind the first 40


@pytest.mark.parametrize("key", ["properties", "dependentSchemas"])
def test_a_keyword_whose_value_is_no_object_is_refused(key: str) -> None:
    with pytest.raises(Inexpressible, match="cannot be used"):
        complete({key: "odd"})


def test_a_pattern_that_python_cannot_read_is_left_out_everywhere() -> None:
    odd = "^[a-z]+\\Z("
    schema = {
        "properties": {
            "a": {"type": "string", "pattern": odd, "minLength": 1},
            "pattern": {"anyOf": [{"pattern": odd, "type": "string"}]},
        },
        "patternProperties": {odd: TEXT},
    }
    assert complete(schema) == {
        "properties": {"a": {"type": "string", "minLength": 1}, "pattern": {"anyOf": [TEXT]}},
    }
    fine = {"properties": {"a": {"type": "string", "pattern": "^a"}}}
    assert complete(fine) == fine


def test_a_schema_that_cannot_be_used_says_why() -> None:
    with pytest.raises(Inexpressible) as refused:
        complete({"properties": {"a": {"type": "odd"}}})
    text = str(refused.value)
    assert text.startswith("its arguments are described by a schema that cannot be used (")
    assert text.endswith(")")
    assert not text.endswith(".)")
    assert "odd" in text


def test_a_reference_that_leads_nowhere_is_refused_or_empty() -> None:
    schemas = Schemas(References({"d": {"T": TEXT}}))
    assert schemas.resolve(ref("T")) == schemas.peek(ref("T")) == TEXT
    assert schemas.peek(ref("Missing")) == {}
    for refuse in (schemas.resolve, schemas.complete):
        with pytest.raises(Inexpressible):
            refuse(ref("Missing"))


A, B = {"type": "integer"}, {"minimum": 1}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "object"}, {"type": "object"}),
        ({"allOf": "odd"}, {"allOf": "odd"}),
        ({"allOf": [{"properties": {"a": A}}, "odd"]}, {"allOf": [{"properties": {"a": A}}, "odd"]}),
        (
            {"allOf": [{"properties": {"a": A}, "required": ["a"]}, {"properties": {"b": B}, "required": ["b"]}]},
            {"type": "object", "properties": {"a": A, "b": B}, "required": ["b", "a"]},
        ),
        (
            {"title": "T", "required": ["c"], "properties": {"a": B, "c": {}}, "allOf": [{"properties": {"a": A}}]},
            {"type": "object", "title": "T", "required": ["c"], "properties": {"a": {**A, **B}, "c": {}}},
        ),
        (
            {"allOf": [{"properties": {"a": True, "b": B}}, {"properties": {"a": A, "b": True}}]},
            {"type": "object", "properties": {"a": A, "b": True}},
        ),
        ({"allOf": [{"type": "object", "description": "It.", "title": "T"}]}, {}),
        ({"allOf": [{"$ref": "#/x"}, {"minProperties": 1}]}, {"allOf": [{"$ref": "#/x"}, {"minProperties": 1}]}),
        (
            {"allOf": [{"$ref": "#/x", "properties": {"b": B}}, {"properties": {"a": A}}]},
            {"type": "object", "properties": {"a": A}, "allOf": [{"$ref": "#/x", "properties": {"b": B}}]},
        ),
        ({"allOf": [{"allOf": [{"properties": {"a": A}}]}]}, {"type": "object", "properties": {"a": A}}),
        (
            {"type": ["object", "null"], "allOf": [{"properties": {"a": A}}]},
            {"type": ["object", "null"], "properties": {"a": A}},
        ),
        ({"allOf": [{"properties": 3}], "properties": "odd"}, {}),
    ],
    ids=str,
)  # fmt: skip
def test_the_properties_of_all_parts_stand_at_the_top(schema: Any, expected: Any) -> None:
    assert flat_object(schema) == expected
