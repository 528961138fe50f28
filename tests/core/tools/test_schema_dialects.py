"""Keywords of older dialects of JSON Schema as those of 2020-12."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.tools.schema_dialects import LATEST, dialect_of, modernized, references_stand_alone

DIALECTS: dict[str, tuple[Any, int]] = {
    "none": (None, 2020),
    "2020-12": ("https://json-schema.org/draft/2020-12/schema", 2020),
    "2019-09": ("https://json-schema.org/draft/2019-09/schema", 2019),
    "draft-07": ("http://json-schema.org/draft-07/schema#", 7),
    "draft-06": ("http://json-schema.org/draft-06/schema#", 6),
    "draft-04": ("http://json-schema.org/draft-04/schema#", 4),
    "draft-03, as the nearest": ("http://json-schema.org/draft-03/schema#", 4),
    "another": ("https://example.com/schema", 2020),
    "no text": (7, 2020),
}


@pytest.mark.parametrize(("name", "dialect"), DIALECTS.values(), ids=DIALECTS)
def test_a_document_names_its_dialect(name: Any, dialect: int) -> None:
    assert dialect_of({} if name is None else {"$schema": name}) == dialect
    assert LATEST == 2020


@pytest.mark.parametrize(("dialect", "alone"), [(4, True), (6, True), (7, True), (2019, False), (2020, False)])
def test_keywords_beside_a_reference_are_ignored_up_to_draft_07(dialect: int, alone: bool) -> None:
    assert references_stand_alone(dialect) is alone


ADDED: dict[int, tuple[str, ...]] = {
    6: ("const", "contains", "propertyNames"),
    7: ("if", "then", "else"),
    2019: (
        *("dependentRequired", "dependentSchemas", "minContains", "maxContains"),
        *("unevaluatedItems", "unevaluatedProperties", "$anchor"),
    ),
    2020: ("prefixItems", "$dynamicRef", "$dynamicAnchor"),
}
BEFORE = {6: 4, 7: 6, 2019: 7, 2020: 2019}


@pytest.mark.parametrize(
    ("keyword", "dialect"), [(keyword, dialect) for dialect, keywords in ADDED.items() for keyword in keywords]
)
def test_a_keyword_has_no_effect_before_the_dialect_that_introduced_it(keyword: str, dialect: int) -> None:
    schema = {"type": "object", keyword: {}}
    assert modernized(schema, dialect) == schema
    assert modernized(schema, BEFORE[dialect]) == {"type": "object"}
    assert modernized(schema, 2020) == schema


FIRST = [{"type": "string"}]
REQUIRES, SCHEMA = {"a": ["b"]}, {"a": {"required": ["c"]}}
CONVERTED: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "a tuple": (7, {"items": FIRST}, {"prefixItems": FIRST}),
    "a tuple and what follows": (7, {"items": FIRST, "additionalItems": {}}, {"prefixItems": FIRST, "items": {}}),
    "a tuple without what follows": (
        2019,
        {"items": FIRST, "additionalItems": False},
        {"prefixItems": FIRST, "items": False},
    ),
    "a list": (7, {"items": {"type": "string"}, "additionalItems": False}, {"items": {"type": "string"}}),
    "what follows nothing": (2020, {"additionalItems": False}, {}),
    "a tuple with what follows, of 2020-12": (
        2020,
        {"items": FIRST, "additionalItems": False},
        {"prefixItems": FIRST, "items": False},
    ),
    "exclusive bounds of draft-04": (
        4,
        {"minimum": 1, "exclusiveMinimum": True, "maximum": 9, "exclusiveMaximum": True},
        {"exclusiveMinimum": 1, "exclusiveMaximum": 9},
    ),
    "inclusive bounds of draft-04": (
        4,
        {"minimum": 1, "exclusiveMinimum": False, "maximum": 9, "exclusiveMaximum": False},
        {"minimum": 1, "maximum": 9},
    ),
    "exclusive without a bound": (4, {"exclusiveMinimum": True, "exclusiveMaximum": True}, {}),
    "a number in draft-04": (4, {"minimum": 1, "exclusiveMinimum": 1}, {"minimum": 1}),
    "exclusive bounds of draft-06": (
        6,
        {"minimum": 1, "exclusiveMinimum": 0, "exclusiveMaximum": 9},
        {"minimum": 1, "exclusiveMinimum": 0, "exclusiveMaximum": 9},
    ),
    "required by another": (7, {"dependencies": REQUIRES}, {"dependentRequired": REQUIRES}),
    "a schema by another": (2020, {"dependencies": SCHEMA}, {"dependentSchemas": SCHEMA}),
    "both": (
        4,
        {"dependencies": {**REQUIRES, "x": True}},
        {"dependentRequired": REQUIRES, "dependentSchemas": {"x": True}},
    ),
    "none": (7, {"dependencies": {}}, {}),
    "beside the newer keyword": (
        2020,
        {"dependencies": REQUIRES, "dependentRequired": {"x": ["y"]}, "allOf": [{}]},
        {"dependentRequired": {"x": ["y"]}, "allOf": [{}, {"dependentRequired": REQUIRES}]},
    ),
    "beside both newer keywords": (
        2019,
        {"dependencies": {**REQUIRES, "x": True}, "dependentRequired": {}, "dependentSchemas": {}},
        {
            "dependentRequired": {},
            "dependentSchemas": {},
            "allOf": [{"dependentRequired": REQUIRES}, {"dependentSchemas": {"x": True}}],
        },
    ),
}


@pytest.mark.parametrize(("dialect", "schema", "converted"), CONVERTED.values(), ids=CONVERTED)
def test_a_keyword_of_an_older_dialect_is_said_with_newer_ones(
    dialect: int, schema: dict[str, Any], converted: dict[str, Any]
) -> None:
    before = dict(schema)
    assert modernized(schema, dialect) == converted
    assert schema == before


def test_a_schema_of_the_latest_dialect_is_not_copied() -> None:
    schema = {"type": "object", "properties": {}}
    assert modernized(schema, LATEST) is schema
