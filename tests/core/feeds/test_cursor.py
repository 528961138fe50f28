"""The text of a cursor, and what is shown of a text that is none."""

from __future__ import annotations

import pytest

from utcp_ws_mcp.core.feeds.cursor import MAX_CURSOR_LENGTH, Cursor, InvalidCursor

PARSED = {
    "abcd-1.0": Cursor("abcd", 1, 0),
    "a0b1c2d3-12.34": Cursor("a0b1c2d3", 12, 34),
    "abcdefghijklmnop-0.7": Cursor("abcdefghijklmnop", 0, 7),
    f"abcd-{'9' * 18}.{'8' * 18}": Cursor("abcd", int("9" * 18), int("8" * 18)),
}


@pytest.mark.parametrize(("text", "cursor"), PARSED.items())
def test_a_cursor_has_an_epoch_an_offset_and_a_gap(text: str, cursor: Cursor) -> None:
    assert Cursor.parse(text) == cursor
    assert str(cursor) == text


@pytest.mark.parametrize(
    "text", ["abc-1.0", "abcdefghijklmnopq-1.0", f"abcd-{'9' * 19}.0", f"abcd-0.{'9' * 19}", "abcd-1.0 ", " abcd-1.0"]
)
def test_a_text_beyond_the_bounds_of_a_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidCursor):
        Cursor.parse(text)


@pytest.mark.parametrize(
    ("length", "shown"), [(64, f"'{'x' * 64}'"), (65, f"'{'x' * 20}… (65 characters)'")], ids=["whole", "cut"]
)
def test_a_text_that_is_no_cursor_is_shown_up_to_64_characters(length: int, shown: str) -> None:
    assert MAX_CURSOR_LENGTH == 64
    with pytest.raises(InvalidCursor) as refused:
        Cursor.parse("x" * length)
    assert str(refused.value) == (
        f'"cursor": {shown} was not returned by this feed. '
        "Use the cursor of an earlier result, or leave it out to start with the newest events"
    )
