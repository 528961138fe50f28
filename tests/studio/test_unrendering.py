"""How much a message says of its template."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.studio.unrendering import Unrendered, unrender

CONSTANTS: list[tuple[Any, Any, int]] = [
    ({"op": "get", "q": "{{ args.x }}", "n": [1, None]}, {"op": "get", "q": 5, "n": [1, None]}, 3),
    ({"op": "get", "q": "a {{ args.x }}"}, {"op": "get", "q": "a b"}, 1),
    ({"q": "{{ args.x }}"}, {}, 0),
    ("get", "get", 1),
    (None, None, 1),
]


@pytest.mark.parametrize(("template", "value", "count"), CONSTANTS)
def test_each_value_that_the_message_repeats_is_counted(template: Any, value: Any, count: int) -> None:
    found = unrender(template, value)
    assert found is not None
    assert found.constants == count


ARGUMENTS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({}, {}),
    ({"args": {"a": 1, "b": 2}, "args.b": 3, "tool": "t"}, {"a": 1, "b": 3}),
    ({"args": "text", "args.c.d": 4}, {"c.d": 4}),
]


@pytest.mark.parametrize(("names", "arguments"), ARGUMENTS)
def test_arguments_are_those_of_the_whole_and_the_single_ones(names: dict[str, Any], arguments: dict[str, Any]) -> None:
    assert Unrendered(names).arguments == arguments
    assert Unrendered().constants == 0


TEXTS = ["UTCP_ARG_a_UTCP_ARG!", "x ${a}", "x $a", "{% for a in b %}", "{{ a + 1 }}"]


@pytest.mark.parametrize("template", TEXTS)
def test_what_an_expression_computes_can_be_anything_and_may_be_absent(template: str) -> None:
    found = unrender({"q": template, "op": "x"}, {"q": {"any": 1}, "op": "x"})
    assert found is not None
    assert (found.names, found.constants) == ({}, 1)
    assert unrender({"q": template}, {}) is not None


def test_a_text_that_costs_money_is_a_text() -> None:
    assert unrender({"price": "5 $"}, {"price": "6 $"}) is None
    assert unrender({"price": "5 $"}, {}) is None
