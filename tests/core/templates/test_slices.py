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
    "parts in any order": (["{{ args.a[2:6] }}", "{{ args.a[0:2] }}"], "x" * 6, 6),
    "parts with blanks": (["{{ args.a [ 0 : 2 ] }}", "{{ args.a [ 2 : 6 ] }}"], "x" * 6, 6),
    "parts by a filter": (["{{ args.a | part( 0 , 2 ) }}", "{{ args.a|part(2,6) }}"], "x" * 6, 6),
    "an element in several messages": (["{{ args.a[0] }}", "{{ args.a[1] }}", "{{ args.a[0] }}"], [1, 2], 2),
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
    "slices that do not begin at the beginning": ["{{ args.a[1:4] }}", "{{ args.a[4:8] }}"],
    "elements of two values": ["{{ args.a[0] | upper }}", "{{ args.b[1] | upper }}"],
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


def test_a_value_that_is_longer_is_named_with_its_length() -> None:
    sliced = find_sliced_values(["{{ args.a[:1000] }}", "{{ args.a[1000:2000] }}"], CALL_REQUEST_NAMES, local=True)
    message = CompleteSlices(Constant("x"), sliced)
    assert message.render({"args": {"a": b"x" * 2000}}) == "x"
    assert message.render({"args": {"a": 5}}) == "x"
    with pytest.raises(RenderError) as refused:
        message.render({"args": {"a": [0] * 2001}})
    assert str(refused.value) == (
        "args.a has the length 2,001, and the messages send only the first 2,000 of it. Pass less, or send it with "
        '"$each" and the filter pieces.'
    )


def test_a_manual_from_the_network_may_slice_only_what_it_may_look_up() -> None:
    elements = ["{{ args.a[0] }}", "{{ args.a[1] }}"]
    (found,) = find_sliced_values(elements, CALL_REQUEST_NAMES, local=False)
    assert (found.value.source, found.end) == ("args.a", 2)
