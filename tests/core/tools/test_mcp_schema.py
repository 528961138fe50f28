"""Every JSON Schema in a form that all hosts take."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utcp_ws_mcp.core.tools.argument_schema import InvalidSchema, SchemaValidator
from utcp_ws_mcp.core.tools.mcp_schema import RECURSIVE, TOO_LARGE, UNPORTABLE_PATTERN, host_schema

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
