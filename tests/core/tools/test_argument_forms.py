"""Arguments in the form that the input schema says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.tools.test_mcp_schema import DOCUMENTS, INSTANCES
from utcp_ws_mcp.core.tools import argument_forms
from utcp_ws_mcp.core.tools.argument_forms import ArgumentForms, has_float
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


# --- which types a schema allows, and which form a value gets ---

NULL: dict[str, Any] = {"type": "null"}
WHOLE_NUMBERS: dict[str, tuple[Any, Any, str]] = {
    "true beside a number in an enum": ({"enum": [True, 1]}, 1.0, "1"),
    "an enum without the number": ({"enum": [1, 2]}, 3.0, "3"),
    "an enum with a fraction": ({"enum": [1.5, 2]}, 3.0, "3.0"),
    "a constant": ({"const": 3}, 3.0, "3"),
    "a constant that is a fraction": ({"const": 3.0}, 3.0, "3.0"),
    "an enum of another schema": ({"allOf": [{"enum": [1, 2.5]}, NUMBER]}, 1.0, "1"),
    "a type beside alternatives": ({"type": "integer", "anyOf": [{"minimum": 1}]}, 5.0, "5"),
    "the second alternative": ({"anyOf": [NULL, INTEGER]}, 5.0, "5"),
    "an alternative that is false": ({"anyOf": [False, INTEGER]}, 5.0, "5"),
    "an alternative that is true": ({"anyOf": [True, INTEGER]}, 5.0, "5.0"),
    "no alternatives": ({"anyOf": [], "type": "integer"}, 5.0, "5"),
    "alternatives of both kinds": ({"anyOf": [INTEGER, NULL], "oneOf": [NUMBER]}, 5.0, "5"),
    "alternatives of which none fits": ({"anyOf": [{"type": "array", "items": INTEGER}]}, {"n": 1.0}, '{"n": 1.0}'),
    "the first alternative that fits": (
        {"anyOf": [{"properties": {"n": NUMBER}}, {"properties": {"n": INTEGER}}]},
        {"n": 1.0},
        '{"n": 1.0}',
    ),
    "an alternative that fits after another one": (
        {"anyOf": [{"properties": {"n": NUMBER}, "required": ["x"]}, {"properties": {"n": INTEGER}}]},
        {"n": 1.0},
        '{"n": 1}',
    ),
    "a condition that holds": ({"if": NUMBER, "then": INTEGER, "else": NUMBER}, 5.0, "5"),
    "a condition that does not hold": (
        {"if": {"required": ["x"]}, "then": {"properties": {"n": NUMBER}}, "else": {"properties": {"n": INTEGER}}},
        {"n": 1.0},
        '{"n": 1}',
    ),
    "a condition without else": ({"if": NULL, "then": INTEGER}, [1.0], "[1.0]"),
    "a condition without then": ({"if": NUMBER, "else": INTEGER}, 5.0, "5.0"),
    "properties and patterns": (
        {"properties": {"n": NUMBER}, "patternProperties": {"^n": INTEGER}, "additionalProperties": INTEGER},
        {"n": 1.0, "nn": 1.0, "m": 1.0},
        '{"n": 1, "nn": 1, "m": 1}',
    ),
    "a property that is no additional one": (
        {"properties": {"n": NUMBER}, "additionalProperties": INTEGER},
        {"n": 1.0},
        '{"n": 1.0}',
    ),
    "a pattern that names match otherwise": ({"patternProperties": {"(?!x)": INTEGER}}, {"n": 1.0}, '{"n": 1.0}'),
    "items behind two tuples": (
        {"allOf": [{"prefixItems": [NUMBER], "items": NUMBER}, {"prefixItems": [NUMBER, INTEGER], "items": INTEGER}]},
        [1.0, 1.0, 1.0, 1.0],
        "[1.0, 1, 1, 1]",
    ),
    "a tuple without items": ({"prefixItems": [INTEGER]}, [1.0, 1.0], "[1, 1.0]"),
    "a reference into the definitions": ({"anyOf": [{"$ref": "#/$defs/n"}, NULL]}, 5.0, "5"),
    "a reference to elsewhere, which cannot be checked": ({"anyOf": [{"$ref": "#/properties/n"}, NULL]}, 5.0, "5"),
    "alternatives that refer to elsewhere": (
        {"anyOf": [{"items": {"$ref": "#/properties/n"}}, NULL]},
        [5.0],
        "[5.0]",
    ),
    "a reference to nothing": ({"anyOf": [{"$ref": "#/nothing"}, NULL]}, [5.0], "[5.0]"),
}


@pytest.mark.parametrize(("schema", "value", "expected"), WHOLE_NUMBERS.values(), ids=WHOLE_NUMBERS)
def test_a_whole_number_has_the_form_that_every_part_of_the_schema_allows(
    schema: Any, value: Any, expected: str
) -> None:
    root = {"properties": {"a": schema, "n": INTEGER}, "$defs": {"n": INTEGER}}
    assert json.dumps(ArgumentForms(root).fit({"a": value})["a"]) == expected


@pytest.mark.parametrize(("others", "form"), [(62, "5"), (63, "5.0")])
def test_sixty_four_schemas_are_considered_for_a_value(others: int, form: str) -> None:
    schema = {"allOf": [*({"title": str(number)} for number in range(others)), INTEGER]}
    assert fit(schema, 5.0) == (form, False)


READ: dict[str, tuple[Any, str, str]] = {
    "a whole number for fractions": ({"enum": [1.5, 2.0]}, "2", "2"),
    "a fraction of them": ({"enum": [1.5, 2.0]}, "1.5", "1.5"),
    "blanks": (INTEGER, " \t5\n", "5"),
    "true in Python": (BOOLEAN, " True ", "true"),
    "null or true": ({"type": ["null", "boolean"]}, "False", "false"),
    "a constant": ({"const": [1]}, "[1]", "[1]"),
    "below an alternative": (
        {"anyOf": [{"type": "array", "items": INTEGER, "maxItems": 0}, {"type": "array", "items": INTEGER}]},
        '["5"]',
        "[5]",
    ),
}


@pytest.mark.parametrize(("schema", "text", "expected"), READ.values(), ids=READ)
def test_a_text_is_read_in_the_type_that_the_schema_allows(schema: Any, text: str, expected: str) -> None:
    assert fit(schema, text) == (expected, True)


@pytest.mark.parametrize(
    ("schema", "text"),
    [(INTEGER, "True"), (NUMBER, "-Infinity"), (NUMBER, "-1e999"), (NULL, ""), (ARRAY, "null"), (BOOLEAN, "TRUE")],
)
def test_a_text_that_is_of_no_allowed_type_stays_as_it_is(schema: Any, text: str) -> None:
    assert fit(schema, text) == (json.dumps(text), False)


def test_texts_are_left_alone_where_the_caller_says_nothing_of_them() -> None:
    assert ArgumentForms({"properties": {"a": INTEGER, "b": INTEGER}}).fit({"a": "5", "b": 5.0}) == {"a": "5", "b": 5}


def test_a_text_of_an_alternative_that_does_not_fit_is_not_noted() -> None:
    schema = {"anyOf": [{"properties": {"n": INTEGER}, "required": ["x"]}, {"properties": {"n": STRING}}]}
    assert fit(schema, {"n": "5"}) == ('{"n": "5"}', False)


def test_a_value_that_several_alternatives_contain_is_fitted_and_noted_in_each() -> None:
    item = {"anyOf": [INTEGER, NULL]}
    arrays = [{"type": "array", "items": item, "maxItems": count} for count in (0, 1)]
    assert fit({"anyOf": arrays}, ["5"]) == ("[5]", True)
    assert fit({"anyOf": arrays}, [5.0]) == ("[5]", False)


def test_arguments_that_have_their_forms_are_not_copied() -> None:
    value = {"a": [1, {"n": 2}], "b": [2.5], "c": "x"}
    forms = ArgumentForms({"properties": {"a": {"items": OBJECT}, "b": {"items": NUMBER}, "c": STRING}})
    assert forms.fit(value) is value
    fitted = ArgumentForms({"properties": {"b": {"items": NUMBER}, "n": INTEGER}}).fit({**value, "n": 1.0})
    assert (fitted["b"] is value["b"], fitted["n"], type(fitted["n"])) == (True, 1, int)


WITH_NUMBER = {"properties": {"n": INTEGER}}
TRIED = {
    "alternatives": {"anyOf": [{**WITH_NUMBER, "required": ["x"]}, WITH_NUMBER]},
    "a condition": {"if": True, "then": WITH_NUMBER},
}


@pytest.mark.parametrize("schema", TRIED.values(), ids=TRIED)
def test_only_attempts_count_for_the_bound_of_steps(schema: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(argument_forms, "MAX_STEPS", 20)
    properties = {"a": schema, "many": {"type": "array", "items": INTEGER}, "z": schema}
    fitted = ArgumentForms({"properties": properties}).fit({"a": {"n": 1.0}, "many": [1.0] * 100, "z": {"n": 1.0}})
    assert json.dumps(fitted) == json.dumps({"a": {"n": 1}, "many": [1] * 100, "z": {"n": 1}})


@pytest.mark.parametrize(("most", "tried"), [(7, 4), (8, 4), (9, 5)])
def test_beyond_the_bound_of_steps_no_condition_is_tried(
    most: int, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argument_forms, "MAX_STEPS", most)
    assert fitted_numbers(TRIED["a condition"]) == tried, "each attempt visits an object and its number"


@pytest.mark.parametrize(("most", "tried"), [(7, 2), (8, 2), (10, 2), (11, 3)])
def test_beyond_the_bound_of_steps_no_alternative_is_tried(
    most: int, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(argument_forms, "MAX_STEPS", most)
    assert fitted_numbers(TRIED["alternatives"]) == tried, "the second of two alternatives fits"


def fitted_numbers(schema: Any) -> int:
    """Return how many of the first objects of an array got the form of the schema; no other one did."""
    forms = ArgumentForms({"properties": {"a": {"type": "array", "items": schema}}})
    kinds = [type(each["n"]) for each in forms.fit({"a": [{"n": float(n)} for n in range(9)]})["a"]]
    assert kinds == sorted(kinds, key=[int, float].index)
    return kinds.count(int)


def test_an_alternative_with_a_reference_to_the_root_cannot_be_checked_by_itself() -> None:
    alternative = {"properties": {"n": INTEGER, "below": {"$ref": "#"}}, "type": "object"}
    assert fit({"anyOf": [alternative, NULL]}, {"n": 1.0}) == ('{"n": 1.0}', False)
    assert fit({"anyOf": [{**alternative, "properties": WITH_NUMBER["properties"]}, NULL]}, {"n": 1.0}) == (
        '{"n": 1}',
        False,
    )


FLOATS: dict[str, tuple[Any, bool]] = {
    "a fraction": (1.5, True),
    "a whole fraction": (1.0, True),
    "an integer": (1, False),
    "scalars": ([1, "1.5", True, None], False),
    "in a list": ([1, [2, [3.0]]], True),
    "in an object": ({"a": {"b": {"c": 1.0}}}, True),
    "in an object in a list": ([{"a": [1, {"b": 2.5}]}], True),
    "nowhere": ({"a": [{}, [], {"b": [None]}]}, False),
    "in a list beside an object": ([{"a": 1}, [1.0]], True),
}


@pytest.mark.parametrize(("value", "found"), FLOATS.values(), ids=FLOATS)
def test_a_fraction_is_found_at_every_level(value: Any, found: bool) -> None:
    assert has_float([value]) is found


@pytest.mark.parametrize("before", [{}, {"first": 1.5}], ids=["even", "odd"])
def test_the_attempts_of_one_call_visit_twenty_thousand_parts(before: dict[str, Any]) -> None:
    items = {"type": "array", "items": TRIED["a condition"]}
    forms = ArgumentForms({"properties": {"first": {"if": True, "then": INTEGER}, "a": items}})
    fitted = forms.fit({**before, "a": [{"n": 1.0} for _ in range(10_001)]})["a"]
    assert [type(fitted[at]["n"]) for at in (0, 9_999, 10_000)] == [int, int, float]


@pytest.mark.parametrize(("dialect", "form"), [("draft-07", "5"), ("2020-12", "5.0")])
def test_a_type_beside_a_reference_counts_since_2019(dialect: str, form: str) -> None:
    schema = {"$ref": "#/definitions/n", "type": "string"}
    root = {"$schema": f"http://json-schema.org/{dialect}/schema#", "definitions": {"n": INTEGER}}
    assert json.dumps(ArgumentForms({**root, "properties": {"a": schema}}).fit({"a": 5.0})["a"]) == form
