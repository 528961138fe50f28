"""A request that sends a value in slices of fixed bounds never cuts it silently."""

from __future__ import annotations

from typing import Any

import pytest

from utcp_ws_mcp.core.expressions.scope import CALL_REQUEST_NAMES
from utcp_ws_mcp.core.templates.nodes import Constant, RenderError
from utcp_ws_mcp.core.templates.slices import CompleteSlices, find_sliced_values

SLICED: dict[str, tuple[list[Any], Any, int]] = {
    "text": (["{{ args.a[0:4] }}", {"x": ["{{ args.a[4:8] }}"]}], "x" * 8, 8),
    "from the beginning": (["{{ args.a[:4] }}", "{{ args.a[4:6] }}"], "x" * 6, 6),
    "text with a filter": (["{{ args.a[:4] | upper }}", "{{ args.a[4:6] | upper }}"], "x" * 6, 6),
    "parts of bytes": (
        [f"{{{{ args.a | unbase64 | part({start}, {start + 2}) }}}}" for start in (0, 2, 4)],
        "AAAAAAAA",
        6,
    ),
    "lists": (["{{ args.a[0:1] }}", "{{ args.a[1:2] }}"], [1, 2], 2),
    "elements in different messages": ([{"a": "{{ args.a[0] }}"}, {"a": "{{ args.a[1].b }}"}], [1, {"b": 2}], 2),
    "a value of let": (["{{ let.a[0:1] }}", "{{ let.a[1:2] }}"], "ab", 2),
}


@pytest.mark.parametrize(("messages", "value", "end"), SLICED.values(), ids=SLICED)
def test_a_value_that_is_longer_than_its_slices_fails_the_call(messages: list[Any], value: Any, end: int) -> None:
    sliced = find_sliced_values(messages, CALL_REQUEST_NAMES, local=True)
    message = CompleteSlices(Constant("x"), sliced)

    assert [each.end for each in sliced] == [end]
    assert message.render({"args": {"a": value}, "let": {"a": value}}) == "x"
    longer = value + (value[:4] if isinstance(value, str) else [3])
    with pytest.raises(RenderError, match=rf"only the first {end} of it\. Pass less, or .*\$each") as refused:
        message.render({"args": {"a": longer}, "let": {"a": longer}})
    assert refused.value.code == "argument-cut"


NOT_SLICED = {
    "one slice, which is meant to cut": ["{{ args.a[:80] }}"],
    "an open last slice": ["{{ args.a[:4] }}", "{{ args.a[4:] }}"],
    "an open last part": ["{{ args.a | part(0, 4) }}", "{{ args.a | part(4) }}"],
    "slices that overlap": ["{{ args.a[:4] }}", "{{ args.a[:8] }}"],
    "slices with a gap": ["{{ args.a[:4] }}", "{{ args.a[5:8] }}"],
    "of two values": ["{{ args.a[:4] }}", "{{ args.b[4:8] }}"],
    "the same slice twice": ["{{ args.a[:4] }}", "{{ args.a[:4] }}"],
    "elements in one message": [{"x": "{{ args.a[0] }}", "y": "{{ args.a[1] }}"}],
    "one element": ["{{ args.a[0] }}", "{{ args.a[0] }}"],
    "elements with a gap": ["{{ args.a[0] }}", "{{ args.a[2] }}"],
    "elements of a message": ["{{ reply.a[0] }}", "{{ reply.a[1] }}"],
    "none": [{"a": "{{ args.a }}"}, "text"],
}


@pytest.mark.parametrize("messages", NOT_SLICED.values(), ids=NOT_SLICED)
def test_other_slices_are_left_alone(messages: list[Any]) -> None:
    assert find_sliced_values(messages, CALL_REQUEST_NAMES, local=True) == []


def test_a_value_that_cannot_be_read_is_left_to_its_message() -> None:
    sliced = find_sliced_values(
        ["{{ args.a | unbase64 | part(0, 2) }}", "{{ args.a | unbase64 | part(2, 4) }}"], CALL_REQUEST_NAMES, local=True
    )
    assert CompleteSlices(Constant("x"), sliced).render({"args": {"a": "?"}}) == "x"
    assert CompleteSlices(Constant("x"), sliced).render({"args": {}}) == "x"
