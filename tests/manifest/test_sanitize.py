"""Schemas of manuals from the network: what is too much, wherever in the schema it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.core.limits import MAX_REMOTE_SCHEMA_DEPTH
from utcp_ws_mcp.manifest.sanitize import (
    MAX_PATTERN_LENGTH,
    MAX_PATTERNS,
    MAX_REPETITIONS,
    MAX_SCHEMA_LENGTH,
    MAX_SCHEMA_VALUES,
    MAX_TEXT_LENGTH,
    MAX_UNICODE_CLASS_REPETITIONS,
    remove_identifiers,
    sanitize_strings,
    sanitize_text,
    schema_problem,
)

PLACES: dict[str, Any] = {
    "a property": lambda part: {"properties": {"a": part}},
    "an alternative": lambda part: {"anyOf": [{"type": "null"}, part]},
    "the first alternative": lambda part: {"oneOf": [part, {"type": "null"}]},
    "a list in a list": lambda part: {"allOf": [{"prefixItems": [{}, part]}]},
    "an alternative of a property": lambda part: {"properties": {"a": {"anyOf": [part]}}},
    "an element of enum": lambda part: {"enum": [1, part]},
}
UNSAFE: dict[str, Any] = {
    "a costly pattern": ({"pattern": "(?=a)b"}, "schema-pattern-unsupported"),
    "a costly name of properties": ({"patternProperties": {"(?=a)b": {}}}, "schema-pattern-unsupported"),
    "a reference to another document": ({"$ref": "https://evil.example/s"}, "schema-reference-not-allowed"),
    "a dynamic reference": ({"$dynamicRef": "#a"}, "schema-reference-not-allowed"),
    "a reference of draft 2019-09": ({"$recursiveRef": "#"}, "schema-reference-not-allowed"),
    "too many parts": ({"const": [0] * MAX_SCHEMA_VALUES}, "schema-too-complex"),
    "too many patterns": ({"allOf": [{"pattern": "a"}] * (MAX_PATTERNS + 1)}, "schema-pattern-unsupported"),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("part", "code"), UNSAFE.values(), ids=UNSAFE)
def test_what_is_not_accepted_is_found_wherever_it_is(part: Any, code: str, place: Any) -> None:
    problem = schema_problem(place(part))
    assert problem is not None
    assert problem.code == code


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else {}


def as_long_as(characters: int) -> Any:
    return {"title": "x" * (characters - len(json.dumps({"title": ""})))}


AT_THE_LIMIT: dict[str, Any] = {
    "length": (as_long_as, MAX_SCHEMA_LENGTH),
    "depth": (nested, MAX_REMOTE_SCHEMA_DEPTH),
    "parts": (lambda count: {"enum": [0] * (count - 2)}, MAX_SCHEMA_VALUES),
    "patterns": (lambda count: {"allOf": [{"pattern": "a"}] * count}, MAX_PATTERNS),
    "length of a pattern": (lambda length: {"pattern": "a" * length}, MAX_PATTERN_LENGTH),
    "repetitions": (lambda count: {"pattern": f"a{{1,{count}}}"}, MAX_REPETITIONS),
    "repetitions in several patterns": (
        lambda count: {"allOf": [{"pattern": "a{400}"}, {"pattern": f"a{{{count - 400}}}"}]},
        MAX_REPETITIONS,
    ),
    "open repetitions": (lambda count: {"pattern": f"a{{{count},}}"}, MAX_REPETITIONS),
    "repetitions of classes of Unicode": (
        lambda count: {"allOf": [{"pattern": r"\p{L}"}, {"pattern": f"a{{{count}}}"}]},
        MAX_UNICODE_CLASS_REPETITIONS,
    ),
}


@pytest.mark.parametrize(("build", "limit"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_a_schema_at_a_limit_is_accepted_and_one_above_is_not(build: Any, limit: int) -> None:
    assert schema_problem(build(limit)) is None
    assert schema_problem(build(limit + 1)) is not None


def test_the_limits_are_those_of_the_documentation() -> None:
    assert (MAX_TEXT_LENGTH, MAX_SCHEMA_LENGTH, MAX_SCHEMA_VALUES) == (2048, 65_536, 2000)
    assert (MAX_PATTERN_LENGTH, MAX_PATTERNS, MAX_REPETITIONS, MAX_UNICODE_CLASS_REPETITIONS) == (512, 64, 1000, 100)


def test_a_text_is_cut_behind_its_limit() -> None:
    assert sanitize_text("x" * MAX_TEXT_LENGTH) == "x" * MAX_TEXT_LENGTH
    assert sanitize_text("x" * (MAX_TEXT_LENGTH + 1)) == "x" * MAX_TEXT_LENGTH + "…"


def test_every_text_is_cleaned_also_keys_and_those_in_lists() -> None:
    hidden = "a\u200b"
    assert sanitize_strings({hidden: [hidden, {hidden: hidden}, 1, None]}) == {"a": ["a", {"a": "a"}, 1, None]}


@pytest.mark.parametrize("key", ["$id", "id"])
def test_identifiers_are_removed_also_in_lists(key: str) -> None:
    assert remove_identifiers({key: "https://evil.example/", "anyOf": [{key: "x", "type": "null"}]}) == {
        "anyOf": [{"type": "null"}]
    }


@pytest.mark.parametrize("key", ["$id", "id"])
def test_a_property_that_is_named_like_an_identifier_stays(key: str) -> None:
    schema = {"properties": {key: {"type": "string"}}}
    assert remove_identifiers(schema) == schema
