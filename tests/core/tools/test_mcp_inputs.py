"""Input schemas and argument names that every model API accepts."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.tools.mcp_inputs import host_argument_names, host_inputs, restore_arguments

SAFE = re.compile(r"[a-zA-Z0-9_.-]{1,64}\Z")


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("$top", "top"),
        ("filter[name]", "filter_name"),
        ("Filter identifier", "Filter_identifier"),
        ("größe", "grosse"),
        ("@type", "type"),
        ("a/b", "a_b"),
        ("x.y-z", None),
        ("", "argument"),
        ("имя", "argument"),
        ("日本", "argument"),
        ("a" * 65, "a" * 55 + "_635361c4"),
    ],
)
def test_a_name_that_model_apis_refuse_gets_one_that_they_accept(name: str, shown: str | None) -> None:
    assert host_argument_names([name, "other"]) == ({} if shown is None else {name: shown})


def test_names_that_would_be_the_same_get_a_hash_whatever_their_order() -> None:
    names = ["$top", "top", "@top", "имя", "тип"]
    expected = host_argument_names(names)
    assert "top" not in expected.values()
    assert len({*expected.values()}) == 4
    assert all(host_argument_names(order) == expected for order in permutations(names))


@given(st.lists(st.text(max_size=70), unique=True, max_size=8), st.data())
def test_every_name_is_accepted_unique_and_mapped_back(names: list[str], data: st.DataObject) -> None:
    schema = {"type": "object", "properties": {name: {"type": "integer"} for name in names}, "required": names}
    shown = host_inputs(schema)
    assert len(shown.schema["properties"]) == len(names)
    assert all(SAFE.match(name) for name in shown.schema["properties"])
    assert {*shown.schema.get("required", ())} == {*shown.schema["properties"]}
    arguments = {name: data.draw(st.integers()) for name in shown.schema["properties"]}
    assert {*restore_arguments(arguments, shown.arguments)} == {*names}
    assert restore_arguments(dict.fromkeys(names), shown.arguments) == dict.fromkeys(names)


def test_the_description_of_an_argument_says_what_is_sent() -> None:
    shown = host_inputs({"properties": {"$top": {"description": "How many."}, "$skip": {}}, "required": ["$top"]})
    assert shown.schema == {
        "type": "object",
        "properties": {
            "top": {"description": "How many. Sent as '$top'."},
            "skip": {"description": "Sent as '$skip'."},
        },
        "required": ["top"],
    }
    assert restore_arguments({"top": 1, "$skip": 2}, shown.arguments) == {"$top": 1, "$skip": 2}


ID, NAME = {"type": "integer"}, {"type": "string"}
BY_ID, BY_NAME = {"properties": {"id": ID}, "required": ["id"]}, {"properties": {"name": NAME}}
BY_TEXT_ID = {"properties": {"id": NAME}, "required": ["id"]}
BOTH = {"id": ID, "name": NAME}


@pytest.mark.parametrize(
    ("schema", "properties", "required"),
    [
        ({"anyOf": [BY_ID, BY_NAME]}, BOTH, None),
        ({"oneOf": [BY_ID, BY_TEXT_ID]}, {"id": {"anyOf": [ID, NAME]}}, ["id"]),
        ({"allOf": [BY_ID, {"properties": {"name": True}}]}, {"id": ID, "name": {}}, ["id"]),
        ({"properties": BOTH, "anyOf": [{"required": ["id"]}, {"required": ["name"]}]}, BOTH, None),
        ({"$ref": "#/$defs/a", "$defs": {"a": BY_ID}}, {"id": ID}, ["id"]),
        ({"properties": {"id": ID}, "if": {"required": ["id"]}, "then": BY_NAME}, BOTH, None),
        ({"properties": {"id": ID}, "enum": [{"id": 1}]}, {"id": ID}, None),
    ],
    ids=["anyOf", "oneOf", "allOf", "required only", "reference", "if", "enum"],
)
def test_the_root_is_a_plain_object_with_the_properties_of_all_branches(
    schema: dict[str, Any], properties: dict[str, Any], required: list[str] | None
) -> None:
    shown = host_inputs({"type": "object", **schema}).schema
    expected = {"type": "object", "properties": properties}
    assert shown == ({**expected, "required": required} if required else expected)
