"""Invisible characters are removed from texts, and escaped in logs."""

from __future__ import annotations

import json
import unicodedata

import pytest

from utcp_ws_mcp.manifest.invisible import escape_in_json, escape_invisible, is_invisible, remove_invisible

HIDDEN = {
    **{f"U+{code:04X}": chr(code) for code in (0, 7, 8, 0x0B, 0x1B, 0x7F, 0x85, 0x9B, 0xAD, 0x34F, 0x600, 0x61C)},
    **{f"U+{code:04X}": chr(code) for code in (0x115F, 0x1160, 0x17B4, 0x180B, 0x180E, 0x180F, 0x200B, 0x200F, 0x2028)},
    **{f"U+{code:04X}": chr(code) for code in (0x2029, 0x202E, 0x2060, 0x2065, 0x206F, 0x2800, 0x3164, 0xFE0F, 0xFEFF)},
    **{f"U+{code:04X}": chr(code) for code in (0xFFA0, 0xFFF0, 0xFFFB, 0x13430, 0x1343F, 0x1BCA0, 0x1D173, 0xE0001)},
    **{f"U+{code:04X}": chr(code) for code in (0xE0061, 0xE007F, 0xE0100, 0xE0FFF)},
}


@pytest.mark.parametrize("char", HIDDEN.values(), ids=HIDDEN)
def test_an_invisible_character_is_removed_from_texts_and_visible_in_logs(char: str) -> None:
    assert is_invisible(char)
    assert remove_invisible(f"a{char}b") == "ab"
    assert char not in escape_invisible(f"a{char}b")
    assert escape_invisible(f"a{char}b")[0] == "a"


@pytest.mark.parametrize("char", HIDDEN.values(), ids=HIDDEN)
def test_json_with_an_invisible_character_keeps_its_meaning(char: str) -> None:
    text = json.dumps({"a": char}, ensure_ascii=False)
    assert char not in escape_in_json(text)
    assert json.loads(escape_in_json(text)) == {"a": char}


@pytest.mark.parametrize("code", [0xDFFFF, 0xE1000, 0x1342F, 0x13456])
def test_what_stands_beside_invisible_characters_is_shown(code: int) -> None:
    assert not is_invisible(chr(code))


RANGES = {
    0x34F: 0x34F, 0x115F: 0x1160, 0x17B4: 0x17B5, 0x180B: 0x180F, 0x2800: 0x2800, 0x3164: 0x3164, 0xFE00: 0xFE0F,
    0xFFA0: 0xFFA0, 0x13430: 0x1343F, 0xE0000: 0xE0FFF,
}  # fmt: skip
"""The first and the last of characters that are invisible, between others that are not."""


@pytest.mark.parametrize(("first", "last"), RANGES.items())
def test_a_range_of_invisible_characters_is_invisible_from_its_first_to_its_last(first: int, last: int) -> None:
    assert all(is_invisible(chr(code)) for code in range(first, last + 1))
    assert not is_invisible(chr(first - 1))
    assert not is_invisible(chr(last + 1))


@pytest.mark.parametrize("code", [0x2065, *range(0xFFF0, 0xFFF9)])
def test_a_character_that_is_not_assigned_and_would_be_ignored_is_invisible(code: int) -> None:
    assert is_invisible(chr(code))
    assert not is_invisible(chr(0xFFEF))


def test_a_control_character_of_ascii_has_a_symbol_and_others_an_escape() -> None:
    assert escape_invisible("\x00\x1b\x1f\x7f\x80\u2028\t\n") == "␀␛␟\\u007f\\u0080\\u2028\t\n"
    assert escape_in_json("\x00\x7f\U000e0041") == "\\u0000\\u007f\\udb40\\udc41"


def test_every_character_of_these_categories_is_invisible_and_no_letter_is() -> None:
    for code in range(0x110000):
        char, category = chr(code), unicodedata.category(chr(code))
        if category in {"Cc", "Cf", "Zl", "Zp"} and char not in "\t\n":
            assert is_invisible(char)
        if category in {"Lu", "Ll", "Nd", "Po", "Sc", "Zs"}:
            assert not is_invisible(char)


@pytest.mark.parametrize("text", ["", "a\tb\nc", "Zürich — 東京 …", "👍", "a b"])
def test_other_texts_are_unchanged(text: str) -> None:
    assert remove_invisible(text) == escape_invisible(text) == escape_in_json(text) == text
