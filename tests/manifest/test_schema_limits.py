"""How far the references of a schema from the network are followed."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.manifest.schema_limits import expansion_problem

TWICE = {
    "the whole schema": ("#", "several ways"),
    "a definition": ("#/$defs/a", "several ways"),
    "another document": ("other.json/$defs/a", None),
    "another place of the schema": ("#/properties/a", None),
    "a definition with another spelling": ("#/%24defs/a", None),
}


@pytest.mark.parametrize(("reference", "problem"), TWICE.values(), ids=TWICE)
def test_only_references_to_definitions_and_the_whole_schema_are_followed(reference: str, problem: str | None) -> None:
    twice: dict[str, Any] = {"allOf": [{"$ref": reference}, {"$ref": reference}]}
    found = expansion_problem({"$defs": {"a": twice}, "properties": {"a": twice}, "anyOf": [twice]})
    assert found is None if problem is None else problem in str(found)


def test_the_parts_of_a_schema_are_counted_up_to_the_limit() -> None:
    assert expansion_problem({"anyOf": [{}] * 9_999}) is None
    assert "more than 10,000 parts" in str(expansion_problem({"anyOf": [{}] * 10_000}))


BOTH = {
    "two members": ({"properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}, False),
    "one member twice": ({"properties": {"a": {"$ref": "#"}}, "allOf": [{"properties": {"a": {"$ref": "#"}}}]}, True),
    "a member and any other": ({"properties": {"a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}, True),
    "members by a pattern and any other": (
        {"patternProperties": {"^a": {"$ref": "#"}}, "additionalProperties": {"$ref": "#"}}, True,
    ),
    "a name and a member": ({"propertyNames": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}, True),
    "the elements and a member": ({"items": {"$ref": "#"}, "properties": {"a": {"$ref": "#"}}}, False),
    "the elements and any member": ({"items": {"$ref": "#"}, "additionalProperties": {"$ref": "#"}}, False),
    "the elements twice": ({"items": {"$ref": "#"}, "contains": {"$ref": "#"}}, True),
    "two of the first elements": ({"prefixItems": [{"$ref": "#"}, {"$ref": "#"}]}, True),
    "a member and a member of it": (
        {"properties": {"a": {"$ref": "#"}, "b": {"properties": {"a": {"$ref": "#"}}}}}, False,
    ),
    "a member of two members": (
        {"properties": {name: {"properties": {"a": {"$ref": "#"}}} for name in "bc"}}, False,
    ),
    "a member of one member twice": (
        {"properties": {"b": {"allOf": [{"properties": {"a": {"$ref": "#"}}}] * 2}}}, True,
    ),
    "the value itself once": ({"not": {"$ref": "#"}}, False),
    "the value itself twice": ({"if": {"$ref": "#"}, "then": {"$ref": "#"}}, True),
    "by two definitions": (
        {"$defs": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}, "anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]},
            True,
    ),
    "dependent schemas": ({"dependentSchemas": {"a": {"$ref": "#"}, "b": {"$ref": "#"}}}, True),
    "what is no schema": ({"properties": {"a": True}, "items": [1], "allOf": "x", "enum": [{"$ref": "#"}] * 2}, False),
    "a harmless definition twice": ({"$defs": {"a": {}}, "anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]},
        False),
    "lists in place of objects of schemas": ({"properties": ["a"], "dependentSchemas": 5, "items": "x"}, False),
    "a definition that is not there": ({"allOf": [{"$ref": "#/$defs/a"}] * 2}, False),
    "a definition that is no object": ({"$defs": {"a": 1}, "allOf": [{"$ref": "#/$defs/a"}] * 2}, False),
    "an escaped name": (
        {"$defs": {"a/~b": {"allOf": [{"$ref": "#/$defs/a~1~0b"}] * 2}}, "not": {"$ref": "#/$defs/a~1~0b"}}, True,
    ),
    "a boolean": (True, False),
}  # fmt: skip


@pytest.mark.parametrize(("schema", "is_refused"), BOTH.values(), ids=BOTH)
def test_a_schema_may_apply_itself_once_to_a_part_of_a_value(schema: Any, is_refused: bool) -> None:
    problem = expansion_problem(schema)
    assert problem == ("refers to itself in several ways for the same value" if is_refused else None)


def doubling(levels: int) -> dict[str, Any]:
    """A schema whose definitions each apply the next one to two members."""
    definitions = {
        f"d{level}": {"properties": {name: {"$ref": f"#/$defs/d{level + 1}"} for name in "ab"}}
        for level in range(levels)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**definitions, f"d{levels}": {}}}


def test_references_that_double_the_schema_with_each_level_are_counted() -> None:
    assert expansion_problem(doubling(8)) is None
    assert expansion_problem(doubling(12)) == "has more than 10,000 parts with its references replaced"


@pytest.mark.parametrize(("members", "is_refused"), [(120, False), (150, True)])
def test_the_pairs_of_places_where_a_schema_applies_again_are_counted(members: int, is_refused: bool) -> None:
    problem = expansion_problem({"properties": {f"p{number}": {"$ref": "#"} for number in range(members)}})
    assert problem == ("has more than 10,000 parts with its references replaced" if is_refused else None)
