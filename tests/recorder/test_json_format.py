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
