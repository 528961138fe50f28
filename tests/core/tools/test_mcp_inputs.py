"""Input schemas and argument names that every model API accepts."""

from __future__ import annotations

import re
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.core.tools.mcp_inputs import HostInputs, host_argument_names, host_inputs, restore_arguments
from utcp_ws_mcp.core.tools.mcp_schema import UNPORTABLE_PATTERN

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


# --- names ---


def test_a_name_of_64_characters_is_accepted_and_a_longer_one_is_cut_before_its_hash() -> None:
    assert host_argument_names(["a" * 64]) == {}
    ((_, shown),) = host_argument_names(["a" * 65]).items()
    assert (len(shown), shown[:56]) == (64, "a" * 55 + "_")
    ((_, shown),) = host_argument_names(["$" + "a" * 64]).items()
    assert shown == "a" * 64
    ((_, shown),) = host_argument_names(["$" + "a" * 65]).items()
    assert len(shown) == 64


def test_a_name_that_another_argument_has_gets_a_hash_and_a_longer_one_if_that_is_taken() -> None:
    ((_, hashed),) = host_argument_names(["$top", "top"]).items()
    assert re.fullmatch(r"top_[0-9a-f]{8}", hashed)
    ((_, longer),) = host_argument_names(["$top", "top", hashed]).items()
    assert re.fullmatch(rf"{hashed}[0-9a-f]", longer)


@pytest.mark.parametrize(
    ("name", "shown"), [("a b  c", "a_b_c"), ("__a__", None), ("(a)", "a"), ("_é_", "e"), ("ß", "ss")]
)
def test_what_model_apis_refuse_becomes_one_underscore_and_none_at_the_ends(name: str, shown: str | None) -> None:
    assert host_argument_names([name]) == ({} if shown is None else {name: shown})


def test_the_names_of_arguments_that_stay_are_not_changed() -> None:
    assert host_argument_names(["a", "b.c", "d-e", "F_1"]) == {}
    assert restore_arguments({"a": 1, "top": 2}, {"top": "$top"}) == {"a": 1, "$top": 2}


def test_keywords_that_compare_names_are_left_out_where_names_are_changed() -> None:
    schema = {
        "properties": {"$top": {"type": "integer"}, "skip": {}},
        "patternProperties": {"^x": {}},
        "propertyNames": {"maxLength": 5},
        "dependentSchemas": {"$top": {}},
        "dependentRequired": {"$top": ["skip"]},
        "required": ["skip", "$top"],
        "additionalProperties": False,
    }
    shown = host_inputs(schema)
    assert shown.schema == {
        "type": "object",
        "properties": {"top": {"type": "integer", "description": "Sent as '$top'."}, "skip": {}},
        "required": ["skip", "top"],
        "additionalProperties": False,
    }
    assert shown.arguments == {"top": "$top"}
    same = {
        **schema,
        "properties": {"top": {}, "skip": {}},
        "dependentRequired": {"top": ["skip"]},
        "required": ["skip"],
    }
    assert {"patternProperties", "propertyNames", "dependentSchemas", "dependentRequired"} <= host_inputs(
        same
    ).schema.keys()
    assert host_inputs(same).arguments == {}


def test_an_argument_that_is_not_required_stays_so_under_another_name() -> None:
    assert "required" not in host_inputs({"properties": {"$top": {}}}).schema


def test_inputs_without_properties_are_an_object_without_any() -> None:
    assert host_inputs({}) == HostInputs({"type": "object", "properties": {}}, {}, frozenset())
    assert host_inputs({"type": ["object", "null"]}).schema == {"type": "object", "properties": {}}


def test_what_could_not_be_said_exactly_is_named() -> None:
    assert host_inputs({"properties": {"a": {"pattern": "(?!x)"}}}).changes == {UNPORTABLE_PATTERN}
    assert host_inputs({"properties": {"a": {}}}).changes == frozenset()


# --- combinators at the root ---

BOTH_REQUIRED = {"properties": {"a": NAME, "b": NAME}}
A, B, C = ({"properties": {name: {"type": "string"}}, "required": [name]} for name in "abc")
STRINGS = {"a": NAME, "b": NAME, "c": NAME}
ROOTS: dict[str, tuple[dict[str, Any], dict[str, Any], list[str] | None]] = {
    "else": ({"if": A, "then": B, "else": C}, {"b": NAME, "c": NAME}, None),
    "not": ({"not": A}, {}, None),
    "const": ({"const": {"a": 1}}, {}, None),
    "alternatives of both kinds": ({"anyOf": [A], "oneOf": [B]}, {"a": NAME, "b": NAME}, ["a", "b"]),
    "a name that every alternative requires": (
        {"anyOf": [{**BOTH_REQUIRED, "required": ["a", "b"]}, {**BOTH_REQUIRED, "required": ["b"]}]},
        {"a": NAME, "b": NAME},
        ["b"],
    ),
    "required in a part of a part": (
        {"allOf": [{"allOf": [A]}, {"anyOf": [B, B]}]},
        {"a": NAME, "b": NAME},
        ["a", "b"],
    ),
    "required twice": ({**A, "allOf": [A]}, {"a": NAME}, ["a"]),
    "required without a property": ({"required": ["a"], "anyOf": [{}]}, {"a": {}}, ["a"]),
    "a property that the root has": (
        {"properties": {"a": ID}, "anyOf": [A]},
        {"a": ID},
        ["a"],
    ),
    "a property that the root leaves open": ({"properties": {"a": {}}, "anyOf": [A]}, {"a": NAME}, ["a"]),
    "the same form twice": ({"anyOf": [A, A, B]}, {"a": NAME, "b": NAME}, None),
    "a form that is open": ({"anyOf": [{"properties": {"a": {}}}, A]}, {"a": NAME}, None),
    "three forms": (
        {"anyOf": [A, {"properties": {"a": ID}}, {"properties": {"a": {"type": "null"}}}]},
        {"a": {"anyOf": [NAME, ID, {"type": "null"}]}},
        None,
    ),
    "only open forms": ({"anyOf": [{"properties": {"a": {}}}]}, {"a": {}}, None),
    "combinators in branches": ({"anyOf": [{"allOf": [A, B]}, {"oneOf": [C]}]}, STRINGS, None),
}


@pytest.mark.parametrize(("schema", "properties", "required"), ROOTS.values(), ids=ROOTS)
def test_a_root_with_combinators_lists_what_the_branches_have(
    schema: dict[str, Any], properties: dict[str, Any], required: list[str] | None
) -> None:
    shown = host_inputs(schema).schema
    assert shown == {"type": "object", "properties": properties, **({"required": required} if required else {})}


def test_a_root_keeps_what_is_no_combinator() -> None:
    shown = host_inputs({"anyOf": [A], "description": "d", "minProperties": 1, "additionalProperties": False}).schema
    assert shown == {
        "type": "object",
        "description": "d",
        "minProperties": 1,
        "additionalProperties": False,
        "properties": {"a": NAME},
        "required": ["a"],
    }


def test_names_that_come_one_by_one_are_compared_with_all_others() -> None:
    assert host_argument_names(name for name in ("$top", "top")) == host_argument_names(["$top", "top"])


def test_required_names_are_in_the_order_of_the_first_alternative() -> None:
    alternatives = [{**BOTH_REQUIRED, "required": ["b", "a"]}, {**BOTH_REQUIRED, "required": ["a", "b"]}]
    assert host_inputs({"anyOf": alternatives}).schema["required"] == ["b", "a"]
    assert host_inputs({"anyOf": alternatives[:1]}).schema["required"] == ["b", "a"]
