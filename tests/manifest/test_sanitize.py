"""Schemas of manuals from the network: what is too much, wherever in the schema it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from utcp_ws_mcp.manifest.sanitize import (
    ascii_tool_name,
    remove_identifiers,
    sanitize_name,
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
    "too many parts": ({"const": [0] * 2000}, "schema-too-complex"),
    "too many patterns": ({"allOf": [{"pattern": "a"}] * 65}, "schema-pattern-unsupported"),
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize(("part", "code"), UNSAFE.values(), ids=UNSAFE)
def test_what_is_not_accepted_is_found_wherever_it_is(part: Any, code: str, place: Any) -> None:
    problem = schema_problem(place(part))
    assert problem is not None
    assert problem.code == code


def nested(depth: int) -> Any:
    return {"a": nested(depth - 1)} if depth else {}


def in_lists(depth: int) -> Any:
    return [in_lists(depth - 1)] if depth else 1


def as_long_as(characters: int) -> Any:
    return {"title": "x" * (characters - len(json.dumps({"title": ""})))}


COUNTS = "the counts in all regular expressions of the schema add up to more than {}."
AT_THE_LIMIT: dict[str, Any] = {
    "length": (as_long_as, 65_536, "the schema has more than 64 KiB."),
    "depth of lists": (in_lists, 32, "the schema is nested more than 32 levels deep."),
    "depth": (nested, 32, "the schema is nested more than 32 levels deep."),
    "parts": (lambda count: {"enum": [0] * (count - 2)}, 2000, "the schema has more than 2000 parts."),
    "patterns": (
        lambda count: {"allOf": [{"pattern": "a"}] * count},
        64,
        "a schema from the network can have at most 64 regular expressions.",
    ),
    "length of a pattern": (
        lambda length: {"pattern": "a" * length},
        512,
        "a regular expression from the network can have at most 512 characters.",
    ),
    "repetitions": (lambda count: {"pattern": f"a{{1,{count}}}"}, 1000, COUNTS.format(1000)),
    "repetitions in several patterns": (
        lambda count: {"allOf": [{"pattern": "a{400}"}, {"pattern": f"a{{{count - 400}}}"}]},
        1000,
        COUNTS.format(1000),
    ),
    "open repetitions": (lambda count: {"pattern": f"a{{{count},}}"}, 1000, COUNTS.format(1000)),
    "repetitions of classes of Unicode": (
        lambda count: {"allOf": [{"pattern": r"\p{L}"}, {"pattern": f"a{{{count}}}"}]},
        100,
        COUNTS.format(100),
    ),
}


@pytest.mark.parametrize(("build", "limit", "said"), AT_THE_LIMIT.values(), ids=AT_THE_LIMIT)
def test_a_schema_at_a_documented_limit_is_accepted_and_one_above_is_not(build: Any, limit: int, said: str) -> None:
    assert schema_problem(build(limit)) is None
    problem = schema_problem(build(limit + 1))
    assert problem is not None
    assert problem.message == said


def test_a_text_is_cut_behind_its_limit() -> None:
    assert sanitize_text("x" * 2048) == "x" * 2048
    assert sanitize_text("x" * 2049) == "x" * 2048 + "…"


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


def test_a_schema_that_python_cannot_write_is_too_deep() -> None:
    deep: Any = {}
    for _ in range(100_000):
        deep = [deep]
    for schema in (deep, {"const": object()}):
        problem = schema_problem(schema)
        assert problem is not None
        assert (problem.message, problem.code) == ("the schema is nested too deeply.", "schema-too-complex")


ACCEPTED = [
    {"$ref": "#"}, {"$ref": "#/$defs/a"}, {"properties": {"$dynamicRef": {"type": "string"}}}, {"pattern": 5},
    {"patternProperties": ["(?=a)"]}, {"pattern": "a{2}b{3}"}, {"pattern": "(?:a|b)+?"}, {"pattern": "(?P<n>a)"},
        True, {},
]  # fmt: skip


@pytest.mark.parametrize("schema", ACCEPTED, ids=str)
def test_a_harmless_schema_is_accepted(schema: Any) -> None:
    assert schema_problem(schema) is None


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)", "(?>a)", "(?|a)", r"(a)\1", r"\k<n>", r"\g1", "a++", "a*+", "a?+", "(a{2}b){3}"],
)
def test_a_pattern_that_may_take_long_is_refused(pattern: str) -> None:
    problem = schema_problem({"pattern": pattern})
    assert problem is not None
    assert problem.code == "schema-pattern-unsupported"
    assert "lookaround, backreferences and nested repetition are not allowed." in problem.message


def test_a_name_is_on_one_line_and_without_what_is_invisible() -> None:
    assert sanitize_name("a\nb\tc\u200bd  e") == "a b cd  e"
    assert ascii_tool_name("a.b c-d_é1") == "a_b_c-d__1"


def test_a_text_without_its_credentials_is_cut() -> None:
    assert sanitize_text("a s3cret b\u200b", lambda text: text.replace("s3cret", "***")) == "a *** b"
    assert sanitize_strings({"s3cret": ["s3cret"]}, lambda text: text.replace("s3cret", "*")) == {"*": ["*"]}
