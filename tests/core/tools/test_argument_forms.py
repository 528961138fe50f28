"""Arguments in the form that the input schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.tools.test_mcp_schema import DOCUMENTS, INSTANCES
from utcp_ws_mcp.core.tools import argument_forms
from utcp_ws_mcp.core.tools.argument_forms import ArgumentForms
from utcp_ws_mcp.core.tools.argument_schema import InvalidSchema, SchemaValidator

INTEGER, STRING, NUMBER = {"type": "integer"}, {"type": "string"}, {"type": "number"}
TREE = {"type": "object", "properties": {"n": INTEGER, "below": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}


DEEP = {"below": [{"below": [{"below": [{"n": 1.0}]}]}]}


def fit(schema: Any, value: Any, definitions: Any = None) -> tuple[str, bool]:
    """Return the JSON of a value of one argument in the form of its schema, and whether a text was read."""
    root = {"properties": {"a": schema}, **({"$defs": definitions} if definitions else {})}
    read: list[None] = []
    fitted = ArgumentForms(root).fit({"a": value}, lambda: read.append(None))
    return json.dumps(fitted["a"]), bool(read)


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (INTEGER, 5.0, "5"),
        (INTEGER, -0.0, "0"),
        (INTEGER, 2.0**70, str(2**70)),
        (INTEGER, 5.5, "5.5"),
        (NUMBER, 5.0, "5.0"),
        (NUMBER, 5, "5"),
        ({}, 5.0, "5.0"),
        ({"type": ["integer", "null"]}, 5.0, "5"),
        ({"type": ["integer", "number"]}, 5.0, "5.0"),
        ({"type": "number", "allOf": [INTEGER]}, 5.0, "5"),
        ({"enum": [1, 2]}, 1.0, "1"),
        ({"enum": [1, 2.5]}, 1.0, "1"),
        ({"const": 0}, -0.0, "0"),
        ({"enum": [True, 1.5]}, 1.5, "1.5"),
        ({"anyOf": [INTEGER, STRING]}, 5.0, "5"),
        ({"oneOf": [{"type": "array", "items": INTEGER}, STRING]}, [5.0], "[5]"),
        ({"type": "array", "items": INTEGER}, [1.0, 2], "[1, 2]"),
        ({"prefixItems": [INTEGER, NUMBER], "items": INTEGER}, [1.0, 1.0, 1.0], "[1, 1.0, 1]"),
        ({"additionalProperties": INTEGER}, {"x": 1.0}, '{"x": 1}'),
        ({"patternProperties": {"^i": INTEGER}}, {"i": 1.0, "n": 1.0}, '{"i": 1, "n": 1.0}'),
        ({"if": {"required": ["i"]}, "then": {"properties": {"i": INTEGER}}}, {"i": 1.0}, '{"i": 1}'),
        ({"$ref": "#/$defs/tree"}, DEEP, json.dumps(DEEP).replace("1.0", "1")),
    ],
)
def test_an_integer_is_written_as_one(schema: Any, value: Any, expected: str) -> None:
    assert fit(schema, value, {"tree": TREE}) == (expected, False)


ARRAY, OBJECT, BOOLEAN = {"type": "array"}, {"type": "object"}, {"type": "boolean"}


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        (ARRAY, "[1,2]", "[1, 2]"),
        (INTEGER, "3", "3"),
        (INTEGER, " 3.0 ", "3"),
        (NUMBER, "3", "3"),
        (NUMBER, "-1.5e3", "-1500.0"),
        (OBJECT, '{"x": 1}', '{"x": 1}'),
        (BOOLEAN, "true", "true"),
        (BOOLEAN, "False", "false"),
        ({"type": ["integer", "null"]}, "null", "null"),
        ({"enum": [1, 2]}, "2", "2"),
        ({"anyOf": [INTEGER, ARRAY]}, "[3]", "[3]"),
        ({"anyOf": [{"anyOf": [INTEGER, {"type": "null"}]}, ARRAY]}, "3", "3"),
        ({"anyOf": [{"type": "string", "maxLength": 2}, ARRAY]}, "[1,2]", "[1, 2]"),
        ({"type": "array", "items": INTEGER}, '["1", "2"]', "[1, 2]"),
        (
            {"type": "array", "items": TREE},
            '["{\\"n\\": \\"1\\"}"]',
            '[{"n": 1}]',
        ),
        ({"$ref": "#/$defs/tree"}, '{"below": "[{\\"n\\": \\"1\\"}]"}', '{"below": [{"n": 1}]}'),
    ],
)
def test_a_text_is_read_where_the_schema_allows_no_text(schema: Any, text: str, expected: str) -> None:
    assert fit(schema, text, {"tree": TREE}) == (expected, True)


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "[1,2]"),
        (STRING, "3"),
        ({"type": ["string", "integer"]}, "3"),
        ({"anyOf": [STRING, INTEGER]}, "3"),
        ({"enum": ["1", 2]}, "1"),
        ({"properties": {"x": INTEGER}}, '{"x": 1}'),
        (INTEGER, "3.5"),
        (INTEGER, "three"),
        (INTEGER, "true"),
        (INTEGER, "0x10"),
        (INTEGER, "9" * 5000),
        (NUMBER, "NaN"),
        (NUMBER, "1e999"),
        (ARRAY, "1,2"),
        (ARRAY, "[" * 100_000),
        (ARRAY, '{"x": 1}'),
        (OBJECT, '"{}"'),
    ],
)
def test_any_other_text_stays_as_it_is(schema: Any, text: str) -> None:
    assert fit(schema, text) == (json.dumps(text), False)


@pytest.mark.parametrize(("depth", "read"), [(64, True), (65, False)])
def test_a_text_is_read_up_to_the_depth_of_a_message(depth: int, read: bool) -> None:
    text = "[" * depth + "1" + "]" * depth
    assert fit(ARRAY, text)[1] is read


def test_brackets_in_a_text_are_no_nesting() -> None:
    text = json.dumps([":-[", *([{}] * 70)])
    assert fit(ARRAY, text) == (text, True)


def test_a_large_array_is_not_walked_slowly() -> None:
    schema = {"properties": {"a": {"type": "array", "items": INTEGER}}}
    forms = ArgumentForms(schema)
    assert forms.fit({"a": [1.0] * 50_000})["a"] == [1] * 50_000


def test_alternatives_inside_alternatives_are_tried_for_a_bounded_number_of_times() -> None:
    schema: Any = INTEGER
    for _ in range(6):
        schema = {"anyOf": [{"type": "array", "items": schema, "maxItems": n} for n in (3, 2, 1)]}
    value: Any = "x"
    for _ in range(6):
        value = [value]
    assert fit(schema, value) == (json.dumps(value), False)


class CountingForms(ArgumentForms):
    """Counts how often it is asked what schemas say about values, and whether they accept one."""

    def __init__(self, schema: dict[str, Any]) -> None:
        super().__init__(schema)
        self.steps = 0

    def plan(self, schemas: list[Any]) -> Any:
        self.steps += 1
        return super().plan(schemas)

    def accepts(self, branch: Any, value: Any) -> bool:
        self.steps += 1
        return super().accepts(branch, value)


def steps(schema: Any, value: Any = 5.0) -> int:
    """Return in how many steps a value of one argument is fitted."""
    forms = CountingForms({"properties": {"a": schema}})
    forms.fit({"a": value})
    return forms.steps


def nested_conditions(depth: int) -> Any:
    schema: Any = INTEGER
    for _ in range(depth):
        branches = {"if": NUMBER, "then": schema, "else": schema}
        schema = {**branches, "allOf": [branches, {**branches, "title": "again"}]}
    return schema


def test_the_steps_grow_linearly_with_the_depth_of_conditions() -> None:
    assert steps(nested_conditions(40)) <= 5 * steps(nested_conditions(10))


def test_the_steps_of_alternatives_are_bounded_for_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    schema: Any = INTEGER
    for _ in range(6):
        schema = {"anyOf": [{"type": "array", "items": schema, "maxItems": n} for n in (4, 3, 2, 1)]}
    value = [[[[[[n + a / 7 for a in range(5)]] * 2] * 3] * 3] for n in range(20)]
    unbounded = steps(schema, value)
    monkeypatch.setattr(argument_forms, "MAX_STEPS", 100)
    assert steps(schema, value) < 150 < unbounded


@pytest.mark.parametrize(
    "cycle",
    [
        {"$ref": "#/definitions/a"},
        {"allOf": [{"$ref": "#/definitions/a"}, {"$ref": "#/definitions/b"}]},
        {"anyOf": [{"$ref": "#/definitions/a"}, {"$ref": "#/definitions/b"}]},
        {"if": True, "then": {"$ref": "#/definitions/b"}},
    ],
)
@pytest.mark.parametrize("dialect", ["http://json-schema.org/draft-07/schema#", "draft 2020-12"])
def test_references_that_lead_back_to_themselves_end(cycle: Any, dialect: str) -> None:
    definitions = {"a": cycle, "b": {"allOf": [{"$ref": "#/definitions/a"}], "type": "integer"}}
    forms = CountingForms({"$schema": dialect, "definitions": definitions, "properties": {"n": definitions["a"]}})
    forms.fit({"n": 5.0})
    assert forms.steps < 50


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS, st.dictionaries(st.sampled_from(("a", "b")), INSTANCES), st.booleans())
def test_valid_arguments_stay_valid_and_equal(document: dict[str, Any], value: dict[str, Any], as_float: bool) -> None:
    try:
        validator = SchemaValidator(document)
        validator.check(None)
    except InvalidSchema:
        return
    if as_float:
        value = json.loads(json.dumps(value), parse_int=float)
    if validator.check(value) is None:
        fitted = ArgumentForms(document).fit(value)
        assert fitted == value
        assert validator.check(fitted) is None


@pytest.mark.parametrize("pattern", ["^(a|a)*$", "^(a+)+$", "(a|aa)+b", "^(.*a){20}b$"])
def test_a_name_is_searched_in_linear_time(pattern: str) -> None:
    schema = {"type": "object", "patternProperties": {pattern: INTEGER}, "properties": {"n": INTEGER}}

    assert fit(schema, {"a" * 60 + "!": 1.0, "n": 2.0}) == (json.dumps({"a" * 60 + "!": 1.0, "n": 2}), False)


def test_a_name_that_a_pattern_finds_has_the_schema_of_the_pattern() -> None:
    assert fit({"type": "object", "patternProperties": {"^n_": INTEGER}}, {"n_a": 2.0, "m": 2.0}) == (
        '{"n_a": 2, "m": 2.0}',
        False,
    )
