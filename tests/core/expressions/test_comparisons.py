"""Filters that compare, join or decode values of an endpoint: what they take, and what they refuse as too slow."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.expressions.expression import EvaluationError, Expression
from utcp_ws_mcp.core.expressions.scope import MESSAGE_NAMES, Ambient, Scope

OBJECTS = [{"a": {"x": number}, "n": number % 5, "t": str(number)} for number in range(30_000)]


def result(source: str, message: Any) -> Any:
    ambient = Ambient(None, None)  # type: ignore[arg-type]
    return Expression(source, MESSAGE_NAMES).evaluate(Scope(ambient, {"message": message}))


REFUSED = [
    "message | sort | first",
    "message | unique | length",
    "message | max",
    "message | min",
    "message | sort(attribute='a') | first",
    "message | unique(attribute='a') | first",
    "message | groupby('a') | length",
    "message | groupby(attribute='a') | length",
    "message | sort(attribute='n' ~ '') | first",
    "message | reverse | sort | first",
    "message | batch(100) | map('unique') | list | length",
    "message | batch(100) | map('uni' ~ 'que') | list | length",
]


@pytest.mark.parametrize("source", REFUSED)
def test_many_objects_are_not_compared(source: str) -> None:
    with pytest.raises(EvaluationError, match="it compares too many objects or lists. Name an attribute"):
        result(source, OBJECTS)


def test_an_object_that_is_large_counts_as_what_it_holds() -> None:
    with pytest.raises(EvaluationError, match="compares too many"):
        result("message | sort | first", [[[0] * 15_000], [[0] * 15_000]])


TAKEN = {
    "message | sort(attribute='n') | last | attr('n')": 4,
    "message | groupby('n') | length": 5,
    "message | groupby(attribute='a.x') | length": 30_000,
    "message | unique(attribute='t') | length": 30_000,
    "message | map(attribute='n') | unique | sort | join(',')": "0,1,2,3,4",
    "message | map(attribute='n') | max": 4,
    "message[:800] | sort | length": 800,
}


@pytest.mark.parametrize("source", TAKEN)
def test_what_is_a_text_or_a_number_is_compared(source: str) -> None:
    assert result(source, OBJECTS) == TAKEN[source]


@pytest.mark.parametrize("items", [[1, "a", 2.5, True, None, [1, "b"], {"c": 1}, 10**30, 1e300, -0.0]])
def test_items_are_joined_as_minijinja_writes_them(items: list[Any]) -> None:
    assert result("message | join('|')", items) == "|".join(result("message ~ ''", item) for item in items)


def test_a_text_with_too_many_entities_is_not_decoded() -> None:
    assert result("message | unescape", "&lt;&amp;" * 1_000) == "<&" * 1_000
    with pytest.raises(EvaluationError, match="unescape takes a text with at most 500,000 times '&'"):
        result("message | unescape", "&a" * 500_001)
