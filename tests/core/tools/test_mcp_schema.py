"""Every JSON Schema in a form that all hosts take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.tools.argument_schema import InvalidSchema, SchemaValidator
from utcp_ws_mcp.core.tools.mcp_schema import RECURSIVE, TOO_LARGE, UNPORTABLE_PATTERN, HostSchema, host_schema

CASES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "boolean properties": (
        {"properties": {"yes": True, "no": False}},
        {"properties": {"yes": {}, "no": {"not": {}}}},
    ),
    "booleans below": (
        {"properties": {"a": {"items": True, "anyOf": [False, True]}}, "additionalProperties": False},
        {"properties": {"a": {"items": {}, "anyOf": [{"not": {}}, {}]}}, "additionalProperties": False},
    ),
    "a reference": (
        {"$defs": {"d": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/d", "description": "A."}}},
        {"properties": {"a": {"type": "integer", "description": "A."}}},
    ),
    "a reference with a condition beside it": (
        {"definitions": {"d": {"type": "integer"}}, "properties": {"a": {"$ref": "#/definitions/d", "minimum": 2}}},
        {"properties": {"a": {"minimum": 2, "allOf": [{"type": "integer"}]}}},
    ),
    "a condition beside a reference that draft-07 ignores": (
        {
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"d": {"type": "integer"}},
            "properties": {"a": {"$ref": "#/definitions/d", "minimum": 2}},
        },
        {"properties": {"a": {"type": "integer"}}},
    ),
    "an anchor": (
        {"$defs": {"d": {"$anchor": "here", "type": "integer"}}, "properties": {"a": {"$ref": "#here"}}},
        {"properties": {"a": {"type": "integer"}}},
    ),
    "an escaped pointer": (
        {"$defs": {"a/b c": {"type": "integer"}}, "properties": {"a": {"$ref": "#/$defs/a~1b%20c"}}},
        {"properties": {"a": {"type": "integer"}}},
    ),
    "bounds and tuples of draft-04": (
        {
            "$schema": "http://json-schema.org/draft-04/schema#",
            "properties": {
                "a": {"minimum": 3, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": False},
                "b": {"items": [{"type": "string"}], "additionalItems": False},
                "c": {"const": 1},
            },
            "dependencies": {"a": ["b"], "b": {"required": ["c"]}},
        },
        {
            "properties": {
                "a": {"exclusiveMinimum": 3, "maximum": 9},
                "b": {"prefixItems": [{"type": "string"}], "items": {"not": {}}},
                "c": {},
            },
            "dependentRequired": {"a": ["b"]},
            "dependentSchemas": {"b": {"required": ["c"], "properties": {"c": {}}}},
        },
    ),
    "a required name without a property": (
        {"required": ["a"], "additionalProperties": {"type": "string"}},
        {"required": ["a"], "additionalProperties": {"type": "string"}, "properties": {"a": {"type": "string"}}},
    ),
    "a format": (
        {"properties": {"a": {"format": "email", "description": "Whose."}, "t": {"format": "date-time"}}},
        {"properties": {"a": {"description": "Whose. Format: email"}, "t": {"format": "date-time"}}},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_what_a_host_would_refuse_is_said_in_another_way(case: tuple[dict[str, Any], dict[str, Any]]) -> None:
    schema, expected = case
    rewritten = host_schema(schema)
    assert (rewritten.schema, rewritten.changes) == (expected, frozenset())


def test_a_schema_that_refers_to_itself_ends() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}, "required": ["value"]}
    rewritten = host_schema({"properties": {"list": {"$ref": "#/$defs/node"}}, "$defs": {"node": node}})
    assert rewritten.changes == {RECURSIVE}
    assert "$ref" not in json.dumps(rewritten.schema)
    assert rewritten.schema["properties"]["list"]["properties"]["next"]["properties"]["next"] == {"type": "object"}


def test_references_that_multiply_are_bounded() -> None:
    doubled = {f"d{n}": {"properties": {key: {"$ref": f"#/$defs/d{n + 1}"} for key in "ab"}} for n in range(40)}
    rewritten = host_schema({"$defs": {**doubled, "d40": {}}, "properties": {"a": {"$ref": "#/$defs/d0"}}})
    assert rewritten.changes == {TOO_LARGE}
    assert len(json.dumps(rewritten.schema)) < 100_000


@pytest.mark.parametrize("pattern", [r"^(?!x)", r"(?<=a)b", r"(a)\1", r"\p{L}", r"(?i)a", r"a++", r"(?<n>a)"])
def test_a_pattern_that_some_hosts_cannot_read_is_in_the_description(pattern: str) -> None:
    rewritten = host_schema({"properties": {"a": {"type": "string", "pattern": pattern}}})
    assert rewritten.schema == {"properties": {"a": {"type": "string", "description": f"Pattern: {pattern}"}}}
    assert rewritten.changes == {UNPORTABLE_PATTERN}


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_what_accepts_too_much_inside_a_negation_does_not_make_it_accept_too_little(depth: int) -> None:
    negated: dict[str, Any] = {"pattern": "(?!x)"}
    for _ in range(depth):
        negated = {"properties": {"a": negated}}
    rewritten = host_schema({"type": "object", "not": negated})
    assert (rewritten.schema, rewritten.changes) == ({"type": "object"}, {UNPORTABLE_PATTERN})


WIDE, EXACT = {"pattern": "(?!x)"}, {"type": "string"}
COUNTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "what is counted": ({"contains": WIDE, "maxContains": 1, "minContains": 1}, {"contains": {}, "minContains": 1}),
    "what is beside it": (
        {"items": WIDE, "contains": EXACT, "maxContains": 1},
        {"items": {}, "contains": EXACT, "maxContains": 1},
    ),
    "a condition": ({"if": WIDE, "then": EXACT, "else": EXACT}, {}),
    "what follows from a condition": ({"if": EXACT, "then": WIDE}, {"if": EXACT, "then": {}}),
    "one of several": ({"oneOf": [WIDE, EXACT]}, {"anyOf": [{}, EXACT]}),
}


@pytest.mark.parametrize(("schema", "expected"), COUNTED.values(), ids=COUNTED)
def test_only_conditions_on_what_accepts_too_much_are_left_out(
    schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    noted = json.loads(json.dumps(expected).replace("{}", '{"description": "Pattern: (?!x)"}')) if expected else {}
    assert host_schema(schema).schema == noted


def test_clients_do_not_check_in_results_what_their_validators_read_differently() -> None:
    schema = {"properties": {"a": {"pattern": "x", "format": "email"}, "b": {"prefixItems": [{}], "items": False}}}
    rewritten = host_schema(schema, for_outputs=True).schema
    assert rewritten == {"properties": {"a": {"description": "Format: email"}, "b": {"prefixItems": [{}]}}}


# --- what is exact: only an exact schema can be negated ---

DEFINITIONS: dict[str, Any] = {
    "$defs": {"wide": WIDE, "exact": {"minLength": 1}, "node": {"properties": {"next": {"$ref": "#/$defs/node"}}}}
}
TO_WIDE, TO_EXACT = {"$ref": "#/$defs/wide"}, {"$ref": "#/$defs/exact"}
NEGATED: dict[str, tuple[Any, bool]] = {
    "true": (True, True),
    "false": (False, True),
    "a type": ({"type": "string"}, True),
    "no other properties": ({"additionalProperties": False}, True),
    "other properties": ({"additionalProperties": {"minLength": 1}}, True),
    "other properties that are wide": ({"additionalProperties": WIDE}, False),
    "a list": ({"allOf": [EXACT, {"minLength": 1}]}, True),
    "a wide one in a list": ({"allOf": [EXACT, WIDE]}, False),
    "a wide one first in a list": ({"allOf": [WIDE, EXACT]}, False),
    "properties": ({"properties": {"a": EXACT, "b": WIDE}}, False),
    "an item": ({"items": WIDE}, False),
    "a portable pattern": ({"pattern": "^a+(?:b|c)?$"}, True),
    "a reference": (TO_EXACT, True),
    "a reference to a wide one": (TO_WIDE, False),
    "a reference with a condition": ({**TO_EXACT, "maxLength": 2}, True),
    "a reference to a wide one with a condition": ({**TO_WIDE, "maxLength": 2}, False),
    "a reference with a wide condition": ({**TO_EXACT, **WIDE}, False),
    "a reference to itself": ({"$ref": "#/$defs/node"}, False),
    "a reference to nothing": ({"$ref": "#/nothing"}, False),
    "a required name": ({"required": ["a"]}, True),
    "a required name that a property has": ({"required": ["a"], "properties": {"a": {}}}, True),
    "a required name beside patterns": ({"required": ["a"], "patternProperties": {"^b": EXACT}}, False),
    "a required name that a property has, beside patterns": (
        {"required": ["a"], "properties": {"a": {}}, "patternProperties": {"^b": EXACT}},
        True,
    ),
    "a required name among properties that are not evaluated": (
        {"required": ["a"], "unevaluatedProperties": False},
        False,
    ),
    "properties that are not evaluated": ({"unevaluatedProperties": False}, True),
    "patterns of names": ({"patternProperties": {"^a": EXACT}}, True),
    "patterns of names that hosts cannot read": ({"patternProperties": {"(?!a)": EXACT}}, False),
    "a format": ({"format": "email"}, True),
}


@pytest.mark.parametrize(("negated", "exact"), NEGATED.values(), ids=NEGATED)
def test_only_what_is_said_exactly_can_be_negated(negated: Any, exact: bool) -> None:
    assert ("not" in host_schema({**DEFINITIONS, "not": negated}).schema) is exact


@pytest.mark.parametrize(
    "negated", [{"pattern": "^a"}, {"prefixItems": [EXACT], "items": EXACT}], ids=["a pattern", "items behind others"]
)
def test_what_clients_read_differently_can_be_negated_in_inputs_only(negated: dict[str, Any]) -> None:
    assert host_schema({"not": negated}).schema == {"not": negated}
    assert host_schema({"not": negated}, for_outputs=True).schema == {}


def test_the_items_of_results_stay_where_no_others_come_first() -> None:
    for schema in ({"items": EXACT}, {"prefixItems": [EXACT]}):
        assert host_schema(schema, for_outputs=True).schema == schema
        assert host_schema({"not": schema}, for_outputs=True).schema == {"not": schema}


def test_no_text_of_a_result_has_a_format() -> None:
    schema = {"properties": {"t": {"format": "date-time", "pattern": "x"}}}
    rewritten = host_schema(schema, for_outputs=True)
    assert rewritten.schema == {"properties": {"t": {"description": "Format: date-time"}}}
    assert rewritten.changes == frozenset()


def test_names_with_a_pattern_that_hosts_cannot_read_are_not_bounded() -> None:
    schema = {
        "properties": {"a": EXACT},
        "patternProperties": {"^x": EXACT, "(?!a)": EXACT},
        "additionalProperties": False,
        "unevaluatedProperties": False,
    }
    rewritten = host_schema(schema)
    assert (rewritten.schema, rewritten.changes) == ({"properties": {"a": EXACT}}, {UNPORTABLE_PATTERN})
    portable = {**schema, "patternProperties": {"^x": EXACT}}
    assert host_schema(portable) == HostSchema(portable, frozenset())


REQUIRED: dict[str, tuple[dict[str, Any], Any]] = {
    "anything else": ({}, {}),
    "anything else, said so": ({"additionalProperties": True}, {}),
    "nothing else": ({"additionalProperties": False}, {"not": {}}),
    "texts": ({"additionalProperties": EXACT}, EXACT),
    "what a reference says": ({"additionalProperties": TO_EXACT}, {"minLength": 1}),
    "what a pattern may say": ({"additionalProperties": EXACT, "patternProperties": {"^a": {}}}, {}),
}


@pytest.mark.parametrize(("beside", "added"), REQUIRED.values(), ids=REQUIRED)
def test_a_required_name_without_a_property_gets_what_may_stand_there(beside: dict[str, Any], added: Any) -> None:
    shown = host_schema({**DEFINITIONS, "required": ["a", "b"], "properties": {"b": EXACT}, **beside}).schema
    assert shown["properties"] == {"b": EXACT, "a": added}
    assert shown["required"] == ["a", "b"]


def test_what_one_of_several_accepts_too_much_is_one_of_any() -> None:
    branches = [WIDE, EXACT]
    shown = host_schema({"oneOf": branches, "anyOf": [EXACT], "allOf": [EXACT]}).schema
    wide = {"description": "Pattern: (?!x)"}
    assert shown == {"anyOf": [EXACT], "allOf": [EXACT, {"anyOf": [wide, EXACT]}]}
    assert host_schema({"oneOf": branches, "anyOf": [EXACT]}).schema == {
        "anyOf": [EXACT],
        "allOf": [{"anyOf": [wide, EXACT]}],
    }


def test_annotations_stay_beside_what_a_reference_says() -> None:
    annotations = {
        "title": "t",
        "description": "d",
        "default": "x",
        "examples": ["x"],
        "format": "date-time",
        **dict.fromkeys(("deprecated", "readOnly", "writeOnly"), True),
    }
    shown = host_schema({**DEFINITIONS, "properties": {"a": {**TO_EXACT, **annotations}}}).schema
    assert shown["properties"]["a"] == {"minLength": 1, **annotations}


def test_a_reference_to_a_schema_that_is_true_accepts_anything() -> None:
    schema = {"$defs": {"any": True, "none": False}}
    properties = {name: {"$ref": f"#/$defs/{name}"} for name in ("any", "none")}
    shown = host_schema({**schema, "properties": {**properties, "again": properties["any"]}}).schema
    assert shown["properties"] == {"any": {}, "none": {"not": {}}, "again": {}}


# --- bounds ---


def nested_schema(levels: int, inmost: dict[str, Any]) -> dict[str, Any]:
    schema = inmost
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def inmost_of(schema: dict[str, Any], levels: int) -> Any:
    for _ in range(levels):
        schema = schema["properties"]["a"]
    return schema


@pytest.mark.parametrize(("levels", "whole"), [(24, True), (25, False)])
def test_a_schema_has_at_most_24_levels_below_its_root(levels: int, whole: bool) -> None:
    inmost = {"type": "string", "minLength": 1, "title": "t", "description": "d"}
    rewritten = host_schema(nested_schema(levels, inmost))
    left = inmost if whole else {"type": "string", "title": "t", "description": "d"}
    assert inmost_of(rewritten.schema, levels) == left
    assert rewritten.changes == (set() if whole else {TOO_LARGE})


@pytest.mark.parametrize("levels", [23, 24])
def test_a_required_name_gets_what_other_properties_have_at_every_level(levels: int) -> None:
    inmost = {"required": ["x"], "additionalProperties": {"type": "string", "minLength": 1}}
    shown = inmost_of(host_schema(nested_schema(levels, inmost)).schema, levels)
    assert shown["properties"]["x"] == shown["additionalProperties"]
    assert ("minLength" in shown["additionalProperties"]) is (levels == 23)


@pytest.mark.parametrize("count", [1000, 1001])
def test_a_schema_has_at_most_a_thousand_parts_below_its_root(count: int) -> None:
    part = {"type": "string", "minLength": 1}
    rewritten = host_schema({"properties": {f"p{number}": part for number in range(count)}})
    shown = list(rewritten.schema["properties"].values())
    assert shown[:1000] == [part] * 1000
    assert shown[1000:] == [{"type": "string"}] * (count - 1000)
    assert rewritten.changes == (set() if count == 1000 else {TOO_LARGE})


@pytest.mark.parametrize(
    ("dialect", "schema", "left"),
    [
        ("http://json-schema.org/draft-07/schema#", {"$ref": "#", "type": "object"}, {}),
        ("http://json-schema.org/draft-07/schema#", {"type": "object", "title": "t"}, {"type": "object", "title": "t"}),
        ("https://json-schema.org/draft/2020-12/schema", {"$ref": "#", "type": "object"}, {"type": "object"}),
    ],
    ids=["a type that draft-07 ignores", "a type in draft-07", "a type in 2020-12"],
)
def test_of_a_schema_beyond_the_bounds_its_type_is_left(dialect: str, schema: Any, left: Any) -> None:
    rewritten = host_schema({"$schema": dialect, **nested_schema(25, schema)})
    assert inmost_of(rewritten.schema, 25) == left


def test_a_schema_beyond_the_bounds_is_not_negated() -> None:
    schema = nested_schema(24, {"not": {"type": "string", "minLength": 1}})
    assert inmost_of(host_schema(schema).schema, 24) == {}


NAMES = st.sampled_from(("a", "b", "$c"))
SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(("", "a", "ab", "é")) | st.just(0.5)
INSTANCES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=3), max_leaves=6
)
DIALECTS = {
    "http://json-schema.org/draft-04/schema#",
    "http://json-schema.org/draft-06/schema#",
    "http://json-schema.org/draft-07/schema#",
    "https://json-schema.org/draft/2019-09/schema",
    "https://json-schema.org/draft/2020-12/schema",
}
REFERENCES = st.sampled_from(("#", "#/$defs/a", "#/definitions/b", "#/properties/a"))


def _objects(below: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several, named = st.lists(below, min_size=1, max_size=3), st.dictionaries(NAMES, below, max_size=2)
    types = st.sampled_from(("object", "array", "string", "integer", "number", "boolean", "null"))
    patterns = st.sampled_from(("^a", "(?!a)", "b$"))
    small = st.integers(0, 3)
    keywords: dict[str, st.SearchStrategy[Any]] = {
        "type": types | st.lists(types, min_size=1, max_size=2, unique=True),
        "properties": named,
        "patternProperties": st.dictionaries(patterns, below, max_size=1),
        "required": st.lists(NAMES, min_size=1, max_size=2, unique=True),
        **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), several),
        **dict.fromkeys(("not", "if", "then", "else", "contains", "propertyNames", "additionalProperties"), below),
        **dict.fromkeys(("unevaluatedProperties", "unevaluatedItems", "additionalItems"), below),
        "items": below | several,
        "dependencies": st.dictionaries(NAMES, below | st.lists(NAMES, min_size=1, unique=True), max_size=1),
        "dependentRequired": st.dictionaries(NAMES, st.lists(NAMES, unique=True), max_size=1),
        **dict.fromkeys(("minimum", "maximum", "minItems", "maxItems", "minContains", "maxContains"), small),
        "exclusiveMinimum": st.booleans() | small,
        "pattern": patterns,
        "enum": st.lists(SCALARS, min_size=1, max_size=2, unique_by=repr),
        "const": SCALARS,
        "format": st.just("email"),
        "$ref": REFERENCES,
    }
    return st.fixed_dictionaries({}, optional=keywords).flatmap(
        lambda drawn: st.lists(st.sampled_from(sorted(drawn) or [""]), max_size=4, unique=True).map(
            lambda kept: {key: drawn[key] for key in kept if key}
        )
    )


SCHEMAS = st.recursive(st.booleans() | st.just({}), _objects, max_leaves=8)
DOCUMENTS = st.builds(
    lambda schema, definitions, dialect: {
        **(schema if isinstance(schema, dict) else {}),
        **({"$defs": definitions, "definitions": definitions} if definitions else {}),
        **({"$schema": dialect} if dialect else {}),
    },
    SCHEMAS,
    st.fixed_dictionaries({"a": SCHEMAS, "b": SCHEMAS}),
    st.none() | st.sampled_from(sorted(DIALECTS)),
)


def _parts(schema: Any) -> Iterator[Any]:
    yield schema
    for value in schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ():
        yield from _parts(value)


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(DOCUMENTS, st.lists(INSTANCES, min_size=1, max_size=8), st.booleans())
def test_the_same_values_are_accepted(document: dict[str, Any], values: list[Any], for_outputs: bool) -> None:
    try:
        original = SchemaValidator(document)
        original.check(None)
    except InvalidSchema:
        return
    rewritten = host_schema(document, for_outputs=for_outputs)
    check = SchemaValidator(rewritten.schema)
    for value in values:
        accepted, shown = original.check(value) is None, check.check(value) is None
        assert not accepted or shown, (rewritten, value)
        assert accepted or not shown or rewritten.changes or for_outputs, (rewritten, value)
    assert not any("$ref" in part for part in _parts(rewritten.schema) if isinstance(part, dict))
