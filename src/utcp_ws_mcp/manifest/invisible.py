"""Characters that are invisible, or change how others are shown: what a text can hide, or do to a terminal.

They are those of the categories Cc, Cf, Zl and Zp, those with the property Default_Ignorable_Code_Point, and halves of
surrogate pairs (Cs), which no file can hold.
"""

from __future__ import annotations

import json
import unicodedata
from functools import lru_cache
from typing import Final

_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ALLOWED: Final = frozenset("\t\n")

OTHER_RANGES: Final = (
    (0x034F, 0x034F),  # combining grapheme joiner
    (0x115F, 0x1160),  # fillers of Hangul
    (0x17B4, 0x17B5),  # vowels of Khmer without a shape
    (0x180B, 0x180F),  # variation selectors and a separator of Mongolian
    (0x2065, 0x2065),  # not assigned
    (0x2800, 0x2800),  # the blank of Braille: not ignorable, but empty
    (0x3164, 0x3164),  # filler of Hangul
    (0xFE00, 0xFE0F),  # variation selectors
    (0xFFA0, 0xFFA0),  # filler of Hangul
    (0xFFF0, 0xFFF8),  # not assigned
    (0x13430, 0x1343F),  # format controls of hieroglyphs, of which Unicode 14 has the first half
    (0xE0000, 0xE0FFF),  # tags and variation selectors
)
"""Default_Ignorable_Code_Point outside of these categories (Unicode 16, DerivedCoreProperties.txt), and a blank."""


@lru_cache(maxsize=4096)
def is_invisible(char: str) -> bool:
    """Return whether a character is invisible, or changes how others are shown; tabs and line breaks are not."""
    if char in _ALLOWED:
        return False
    code = ord(char)
    return unicodedata.category(char) in _CATEGORIES or any(first <= code <= last for first, last in OTHER_RANGES)


def remove_invisible(text: str) -> str:
    """Return a text without invisible characters."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(char for char in text if not is_invisible(char))


def escape_invisible(text: str) -> str:
    """Return a text with the escapes of JSON for invisible characters, and symbols for control characters of ASCII."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_symbol(char) if is_invisible(char) else char for char in text)


def escape_in_json(text: str) -> str:
    """Return JSON with escapes for the invisible characters in its strings."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_json_escape(char) if is_invisible(char) else char for char in text)


def _symbol(char: str) -> str:
    return chr(0x2400 + ord(char)) if char < " " else _json_escape(char)


def _json_escape(char: str) -> str:
    return "\\u007f" if char == "\x7f" else json.dumps(char)[1:-1]
