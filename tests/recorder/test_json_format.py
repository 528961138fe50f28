"""JSON as people write manifests."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from utcp_ws_mcp.recorder.manifest import LINE_WIDTH, format_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
    max_leaves=20,
)


@given(values)
def test_the_value_stays_the_same_and_nothing_that_can_be_parted_is_too_long(value: object) -> None:
    text = format_json(value)
    assert json.loads(text) == value
    for line in text.splitlines()[1:-1] if text.isprintable() else ():
        assert len(line) <= LINE_WIDTH or line.rstrip(",")[-1] not in "]}"


def test_what_fits_is_on_one_line() -> None:
    document = {"name": "a", "tools": [{"name": "t", "inputs": {"type": "object"}}], "long": ["x" * 60, "y" * 60]}
    assert format_json(document) == (
        '{\n  "name": "a",\n  "tools": [{"name": "t", "inputs": {"type": "object"}}],\n'
        f'  "long": [\n    "{"x" * 60}",\n    "{"y" * 60}"\n  ]\n}}'
    )


def test_a_line_of_110_characters_is_broken_and_one_of_109_is_not() -> None:
    fits, long = ["x" * 96], ["x" * 97]
    line = f'  "key": ["{fits[0]}"]'
    assert len(line) == 109
    assert format_json({"key": fits}) == f"{{\n{line}\n}}"
    assert format_json({"key": long}) == f'{{\n  "key": [\n    "{long[0]}"\n  ]\n}}'


def test_the_level_of_nesting_and_the_key_count_for_the_length_of_a_line() -> None:
    fits, long = ["x" * 91], ["x" * 92]
    assert format_json(fits, 2, 10) == f'["{fits[0]}"]'
    assert format_json(long, 2, 10) == f'[\n      "{long[0]}"\n    ]'
    assert format_json(fits, 2, 11) == f'[\n      "{fits[0]}"\n    ]'


def test_the_whole_value_is_on_several_lines_unless_it_is_empty_or_simple() -> None:
    assert [format_json(value) for value in ({}, [], "a", 1)] == ["{}", "[]", '"a"', "1"]
    assert format_json([1, 2]) == "[\n  1,\n  2\n]"
    assert format_json({"é\u202e": "å\u2028"}) == '{\n  "é\\u202e": "å\\u2028"\n}'
