"""Forms for the arguments of a tool."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.studio.forms import (
    MAX_CHOICES,
    MAX_FIELDS,
    MAX_REFERENCES,
    MAX_TEXT,
    FieldKind,
    enter,
    form_fields,
    read_form,
    read_json_arguments,
)

EVERY_KIND = {
    "type": "object",
    "properties": {
        "note": {"type": "string", "description": "A note.", "maxLength": 80},
        "symbol": {"type": "string", "description": "The symbol."},
        "count": {"type": "integer", "minimum": 1, "default": 3},
        "limit": {"type": "number"},
        "live": {"type": "boolean"},
        "side": {"enum": ["buy", "sell", 1, True, None]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "extra": {"type": "object"},
    },
    "required": ["symbol"],
}


def fields_by_name(schema):
    return {field.name: field for field in form_fields(schema)}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "string"}, FieldKind.TEXT),
        ({"type": ["string", "null"]}, FieldKind.TEXT),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, FieldKind.INTEGER),
        ({"oneOf": [{"type": "null"}, {"enum": [1, 2]}]}, FieldKind.CHOICE),
        ({"type": "integer"}, FieldKind.INTEGER),
        ({"type": ["integer", "number"]}, FieldKind.NUMBER),
        ({"type": "boolean"}, FieldKind.BOOLEAN),
        ({"const": "only"}, FieldKind.CHOICE),
        ({"enum": list(range(201))}, FieldKind.JSON),
        ({"enum": []}, FieldKind.JSON),
        ({"type": ["string", "integer"]}, FieldKind.JSON),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, FieldKind.JSON),
        ({"type": "array"}, FieldKind.JSON),
        ({"type": "object"}, FieldKind.JSON),
        ({"type": "null"}, FieldKind.JSON),
        ({}, FieldKind.JSON),
        (True, FieldKind.JSON),
        ({"$ref": "#/$defs/side"}, FieldKind.CHOICE),
        ({"$ref": "#/$defs/loop"}, FieldKind.JSON),
        ({"$ref": "https://elsewhere.example/schema"}, FieldKind.JSON),
    ],
)
def test_the_kind_of_a_field_follows_its_schema(schema, kind):
    root = {"properties": {"x": schema}, "$defs": {"side": {"enum": ["a"]}, "loop": {"$ref": "#/$defs/loop"}}}
    assert [field.kind for field in form_fields(root)] == [kind]


def test_required_fields_come_first_and_the_others_keep_their_order():
    assert list(fields_by_name(EVERY_KIND)) == ["symbol", "note", "count", "limit", "live", "side", "tags", "extra"]


def test_a_required_argument_that_has_no_schema_gets_a_field():
    assert fields_by_name({"required": ["q", 7]})["q"].kind is FieldKind.JSON


@pytest.mark.parametrize("schema", [{}, {"properties": []}, {"properties": {}, "required": "q"}])
def test_a_schema_without_arguments_has_an_empty_form(schema):
    assert form_fields(schema) == []
    assert read_form([], {}).arguments == {}


def test_a_form_has_at_most_100_fields():
    assert len(form_fields({"properties": {f"p{n}": {"type": "string"} for n in range(101)}})) == 100


def test_a_description_has_the_default_and_the_bounds():
    fields = fields_by_name(EVERY_KIND)
    assert fields["count"].description == "(default: 3, at least 1)"
    assert fields["note"].description == "A note. (characters: at most 80)"
    assert fields["symbol"].description == "The symbol."


def test_a_field_for_json_says_which_kind_is_expected():
    schemas = {"tags": {"type": "array"}, "extra": {"type": "object", "description": "More."}, "any": {}}
    found = {each.name: each.description for each in form_fields({"properties": schemas})}
    assert found == {"tags": "(a JSON array)", "extra": "More. (a JSON object)", "any": "(as JSON)"}


def test_invisible_characters_of_descriptions_and_choices_are_shown():
    field = form_fields({"properties": {"x": {"enum": ["a\u202eb"], "description": "c\u200bd"}}})[0]
    assert "\u202e" not in field.choices[0][0]
    assert "\u200b" not in field.description
    assert field.choices[0][1] == "a\u202eb"


def test_what_was_entered_becomes_arguments_of_the_right_types():
    entered = {
        "symbol": "ACME",
        "count": "2",
        "limit": "1.5",
        "live": False,
        "side": 3,
        "tags": '["a"]',
        "extra": '{"b": 1}',
    }
    filled = read_form(form_fields(EVERY_KIND), entered)
    assert filled.problems == {}
    assert filled.arguments == {
        "symbol": "ACME",
        "count": 2,
        "limit": 1.5,
        "live": False,
        "side": True,
        "tags": ["a"],
        "extra": {"b": 1},
    }


def test_what_is_empty_is_left_out_but_a_required_text_may_be_empty():
    assert read_form(form_fields(EVERY_KIND), {"symbol": "", "note": "", "count": None}).arguments == {"symbol": ""}


def test_an_empty_required_value_is_a_problem_unless_the_schema_has_a_default():
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer", "default": 1}}, "required": ["a", "b"]}
    assert read_form(form_fields(schema), {}).problems == {"a": "a call needs this argument"}


@pytest.mark.parametrize(
    ("schema", "text", "says"),
    [
        ({"type": "integer"}, "2.5", "whole number"),
        ({"type": "integer"}, "two", "write a number"),
        ({"type": "integer"}, "1e999", "write a number"),
        ({"type": "number"}, "nan", "write a number"),
        (
            {"type": "array"},
            "a, b",
            'this is no JSON: Expecting value, line 1, column 1. Texts need quotes. Write ["…"].',
        ),
        ({"type": "object"}, '{"a": NaN}', "NaN is no JSON"),
        ({"type": "array"}, "[" * 100_000, "this is no JSON"),
    ],
)
def test_a_problem_says_what_to_write(schema, text, says):
    filled = read_form(form_fields({"properties": {"x": schema}}), {"x": text})
    assert says in filled.problems["x"]
    assert filled.arguments == {}


def test_whole_numbers_of_any_size_stay_exact():
    fields = form_fields({"properties": {"x": {"type": "integer"}, "y": {"type": "number"}}})
    assert read_form(fields, {"x": "9007199254740993", "y": " -12 "}).arguments == {"x": 9007199254740993, "y": -12}


def test_arguments_survive_the_way_into_the_form_and_back():
    fields = form_fields(EVERY_KIND)
    arguments = {"symbol": "A", "count": 4, "limit": 0.5, "live": True, "side": None, "tags": ["x"], "extra": {}}
    assert read_form(fields, enter(fields, arguments)).arguments == arguments


@pytest.mark.parametrize(
    ("text", "arguments", "problem"),
    [
        ("", {}, None),
        ('{"a": [1]}', {"a": [1]}, None),
        ("[1]", {}, "write one JSON object"),
        ("{", {}, "this is no JSON"),
        ("[" * 100_000, {}, "this is no JSON"),
    ],
)
def test_all_arguments_can_be_entered_as_json(text, arguments, problem):
    filled = read_json_arguments(text)
    assert filled.arguments == arguments
    assert (problem is None) == (filled.problems == {})
    assert problem is None or problem in filled.problems[""]


def only(schema, **root):
    return form_fields({"properties": {"x": schema}, **root})[0]


def test_the_limits_of_a_form():
    assert (MAX_FIELDS, MAX_CHOICES, MAX_REFERENCES, MAX_TEXT) == (100, 200, 8, 2_000)
    assert only({"enum": list(range(MAX_CHOICES))}).kind is FieldKind.CHOICE
    assert len(only({"enum": ["x" * (MAX_TEXT + 1)]}).choices[0][0]) == MAX_TEXT
    assert len(only({"description": "x" * (MAX_TEXT + 1)}).description) == MAX_TEXT
    assert len(only({"default": "x" * MAX_TEXT}).default) == MAX_TEXT


@pytest.mark.parametrize(("length", "kind"), [(MAX_REFERENCES - 1, FieldKind.TEXT), (MAX_REFERENCES, FieldKind.JSON)])
def test_some_references_are_followed_one_after_the_other(length, kind):
    chain = {f"r{n}": {"$ref": f"#/$defs/r{n + 1}"} for n in range(1, length)}
    field = only({"$ref": "#/$defs/r1"}, **{"$defs": {**chain, f"r{length}": {"type": "string"}}})
    assert field.kind is kind


def test_what_stands_beside_a_reference_comes_first():
    target = {"type": "string", "description": "a", "default": "d"}
    field = only({"$ref": "#/$defs/a", "description": "own"}, **{"$defs": {"a": target}})
    assert (field.kind, field.description, field.default) == (FieldKind.TEXT, 'own (default: "d")', '"d"')


def test_a_title_stands_for_a_description_that_is_missing_and_other_values_are_none():
    assert only({"type": "string", "title": "T"}).description == "T"
    assert only({"type": "string", "title": "T", "description": "D"}).description == "D"
    assert only({"type": "string", "description": 3}).description == ""


BOUNDS = {
    "minimum": "at least 2",
    "exclusiveMinimum": "more than 2",
    "maximum": "at most 2",
    "exclusiveMaximum": "less than 2",
    "minLength": "characters: at least 2",
    "maxLength": "characters: at most 2",
    "pattern": "pattern 2",
    "format": "format 2",
}


@pytest.mark.parametrize(("key", "words"), BOUNDS.items())
def test_each_bound_is_said_in_words(key, words):
    assert only({"type": "string", key: 2}).description == f"({words})"
    assert only({"type": "string", key: [2]}).description == ""


EXAMPLES = [
    ({"type": "array"}, '["…"]'),
    ({"type": ["null", "object"]}, '{"…": "…"}'),
    ({"anyOf": [{"type": "array"}, {"type": "null"}]}, '["…"]'),
    ({}, 'JSON, such as 1, true or "text"'),
    ({"type": "string"}, ""),
]


@pytest.mark.parametrize(("schema", "example"), EXAMPLES)
def test_a_field_for_json_has_an_example(schema, example):
    assert only(schema).example == example


ALTERNATIVES = [
    ({"anyOf": [{"type": "integer"}, {"type": "null"}, {"type": "string"}]}, FieldKind.JSON),
    ({"anyOf": [{"type": "null"}, {"type": "null"}]}, FieldKind.JSON),
    ({"anyOf": [{"type": "null"}, True]}, FieldKind.JSON),
    ({"anyOf": [{"type": "integer"}]}, FieldKind.JSON),
    ({"anyOf": {"type": "integer"}}, FieldKind.JSON),
    ({"type": "string", "anyOf": [{"type": "integer"}, {"type": "null"}]}, FieldKind.TEXT),
    ({"oneOf": [{"type": "null"}, {"type": "boolean"}]}, FieldKind.BOOLEAN),
    ({"type": ["number", "integer", "null"]}, FieldKind.NUMBER),
    ({"const": None}, FieldKind.CHOICE),
]


@pytest.mark.parametrize(("schema", "kind"), ALTERNATIVES)
def test_only_one_alternative_beside_null_is_unwrapped(schema, kind):
    assert only(schema).kind is kind


NUMBERS = [("3", 3), (" +3 ", 3), ("-3", -3), ("3.0", 3), ("1e3", 1000), ("3.5", None), ("--3", None), ("0x10", None)]


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_whole_numbers_may_be_written_in_any_form(text, number):
    filled = read_form([only({"type": "integer"})], {"x": text})
    assert filled.arguments == ({} if number is None else {"x": number})
    assert all(isinstance(value, int) for value in filled.arguments.values())
    assert ("x" in filled.problems) is (number is None)


def test_a_problem_of_json_has_its_place_and_is_bounded():
    field = only({"type": "array"})
    problem = read_form([field], {"x": '[\n "a" "b"]'}).problems["x"]
    assert problem == "this is no JSON: Expecting ',' delimiter, line 2, column 6. Texts need quotes. Write [\"…\"]."
    assert read_form([field], {"x": "[Infinity]"}).problems["x"] == 'this is no JSON: Infinity is no JSON. Write ["…"].'
    assert len(read_form([field], {"x": "[" * 100_000}).problems["x"]) < 250


def test_values_are_entered_as_their_fields_show_them():
    properties = {
        "side": {"enum": [True, 1, {"a": 1, "b": 2}, "ä"]},
        "live": {"type": "boolean"},
        "text": {"type": "string"},
        "tags": {"type": "array"},
    }
    fields = form_fields({"properties": properties})
    assert [shown for shown, _ in fields[0].choices] == ["true", "1", '{"a": 1, "b": 2}', "ä"]
    assert enter(fields, {"side": 1, "live": "yes", "text": 5, "tags": ["ä"], "more": 1}) == {
        "side": 1,
        "live": None,
        "text": "5",
        "tags": '["ä"]',
    }
    assert enter(fields, {"side": {"b": 2, "a": 1}, "live": False, "text": "5"}) == {
        "side": 2,
        "live": False,
        "text": "5",
    }
    assert enter(fields, {"side": "other"}) == {"side": None}
    assert enter(fields, {"side": True}) == {"side": 0}
    assert read_form(fields, {"side": 0, "live": True}).arguments == {"side": True, "live": True}
