r"""The forms in which a secret may appear in a text, as patterns of Rust's `regex`, whose time is linear for any text.

The forms are those that filters of expressions, JSON, URLs and HTML make: escapes, percent-encoding, hexadecimal, both
alphabets of base64 at any offset, other case, reversed. A form has units: the characters, but a run of backslashes is
one unit, because JSON inside JSON has any number of them.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from ..manifest.secret_names import MIN_SECRET_LENGTH
from ..records import Record

MIN_ANCHOR: Final = 5
"""Letters and digits in a row that are enough to look for."""

MIN_MIXED_ANCHOR: Final = 6
"""The same for a part with other characters."""

MAX_ANCHOR: Final = 12
"""Units of a form that are looked for first: enough to be rare, and few, because the patterns of all secrets are
compiled together when an endpoint logs in."""

MAX_PIECE_LENGTH: Final = 2048
"""Characters of a secret that are searched for in one pattern; of a longer one, each piece is."""

MAX_PIECE_SIGNS: Final = 256
"""Characters of a piece that are no letters and digits: each has a pattern of its own for its escapes, of 1 KB."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9]")
_WORD: Final = re.compile(r"[A-Za-z][a-z]{1,15}|[A-Z]{2,16}")
_UNITS: Final = re.compile(r"\\+|[^\\]", re.DOTALL)
_PERCENT: Final = "%(?:25)*"
_BACKSLASH: Final = rf"(?:\\|{_PERCENT}5[cC])"
_SEMICOLON: Final = f"(?:;|{_PERCENT}3[bB])"
_AMPERSAND: Final = f"(?:&|{_PERCENT}26)(?:amp{_SEMICOLON})*"
_NUMBER_SIGN: Final = f"(?:#|{_PERCENT}23)"
_NAMED_ENTITIES: Final = {"<": "lt", ">": "gt", "&": "amp", '"': "quot"}


class Anchor(Record):
    """A part of a form that every text with the form has: literal text, or a pattern that begins with literal text."""

    text: str
    pattern: str = ""


class Form(Record):
    """A form of a secret: its units, whether their case may be another one, and whether it may be escaped."""

    units: tuple[str, ...]
    any_case: bool = False
    escapes: bool = True

    @property
    def texts(self) -> tuple[str, ...]:
        """The form as literal text, in the cases that filters make: it is found much faster than its pattern."""
        text = "".join(self.units)
        return tuple(dict.fromkeys(_cases(text))) if self.any_case else (text,)

    @property
    def pattern(self) -> str:
        """A pattern for the form, with its escapes."""
        return self._pattern(self.units) if self.escapes else escape("".join(self.units))

    @property
    def anchors(self) -> list[Anchor]:
        """Parts of the form, one of which every text with the form has.

        That is the end of the longest run of letters and digits (tokens begin alike). If that is too short, the part
        begins with it: an engine is fast with patterns that begin with literal text.
        """
        if not self.escapes:
            return [Anchor(text[-MAX_ANCHOR:]) for text in self.texts]
        signs = "".join(unit if _PLAIN.match(unit) else " " for unit in self.units)
        runs = list(re.finditer(r"\w+", signs, re.ASCII))
        longest = max(runs, key=lambda run: len(run[0]), default=None)
        if longest is not None and len(longest[0]) >= MIN_ANCHOR:
            cases = dict.fromkeys(_cases(longest[0])) if self.any_case else (longest[0],)
            return [Anchor(each[-MAX_ANCHOR:]) for each in cases]
        early = [run for run in runs if len(self.units) - run.start() >= MIN_MIXED_ANCHOR]
        run = max(early, key=lambda run: len(run[0]), default=None)
        start = run.start() if run else 0
        return [Anchor(run[0] if run else "", self._pattern(self.units[start : start + MAX_ANCHOR]))]

    @property
    def max_length(self) -> int:
        """A length that the form hardly exceeds: each escape has up to 63 backslashes, six JSONs deep."""
        if not self.escapes:
            return len("".join(self.units))
        return sum(1 if _PLAIN.match(unit) else 72 for unit in self.units)

    def _pattern(self, units: tuple[str, ...]) -> str:
        """Return a pattern for units. A run of backslashes takes those of an escape that follows it."""
        text = "".join(_unit_pattern(unit, escaped=before[0] == "\\") for before, unit in pairwise((" ", *units)))
        if not self.any_case:
            return text
        return f"(?i-u:{text})" if text.isascii() and r"\x{" not in text else f"(?i:{text})"


def is_word(secret: str) -> bool:
    """Return whether a secret is one word of letters, which sentences of this package may contain as well."""
    return _WORD.fullmatch(secret) is not None


def pieces_of(secret: str) -> Iterator[str]:
    """Yield the pieces of a secret whose patterns are compiled: the secret itself, unless it is very long."""
    signs = len(secret) - len(_PLAIN.findall(secret))
    count = max(math.ceil(len(secret) / MAX_PIECE_LENGTH), math.ceil(signs / MAX_PIECE_SIGNS))
    size = math.ceil(len(secret) / count)  # all pieces are about as long: one of a few characters is found everywhere
    yield from (secret[start : start + size] for start in range(0, len(secret), size))


def secret_forms(secret: str, *, escapes: bool = True) -> Iterator[Form]:
    """Yield the forms of a secret. A word has no other case: sentences would lose it everywhere.

    Args:
        secret: The secret, or a piece of it.
        escapes: Whether its signs may be escaped. If not, only text and encodings of the whole are forms.
    """
    has_variants = not is_word(secret)
    yield Form(tuple(_UNITS.findall(secret)), any_case=has_variants, escapes=escapes)
    if has_variants:
        yield Form(tuple(_UNITS.findall(secret[::-1])), escapes=escapes)
    if not secret.isascii():
        yield Form(tuple(_UNITS.findall(secret.encode("utf-8", "replace").decode("latin-1"))), escapes=escapes)
    for text in dict.fromkeys((secret, json.dumps(secret, ensure_ascii=False)[1:-1])):
        yield from _encoded_forms(text.encode("utf-8", "replace"))


def _cases(text: str) -> tuple[str, ...]:
    """Return a text in the cases that filters make."""
    return text, text.lower(), text.upper(), text.capitalize(), text.title()


def _encoded_forms(encoded: bytes) -> Iterator[Form]:
    """Yield the forms of a secret, or of its JSON, as hexadecimal digits and in base64."""
    yield Form(tuple(encoded.hex()))
    yield Form(tuple(encoded.hex().upper()))
    for offset in range(3):
        core = _base64_core(encoded, offset)
        if len(core) >= MIN_SECRET_LENGTH:
            yield Form(tuple(core))
            if "+" in core or "/" in core:
                yield Form(tuple(core.replace("+", "-").replace("/", "_")))


def _base64_core(data: bytes, offset: int) -> str:
    """Return the part of base64 that depends only on `data`, which starts `offset` bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    start = (0, 2, 3)[offset]
    end = len(text) - (0, 3, 2)[(offset + len(data)) % 3]
    return text[start:end]


@cache
def _unit_pattern(unit: str, *, escaped: bool) -> str:
    """Return a pattern for a character in texts, JSON in JSON, URLs and HTML, and in each of these inside of another.

    `escaped`: the backslashes of an escape may have been read already.
    """
    if _PLAIN.fullmatch(unit):
        return unit
    char = unit[0]
    if "\ud800" <= char <= "\udfff":
        return "."  # UTF-8 has no lone surrogates: the text that is searched has U+FFFD instead
    cases = [char] if char.isascii() else [each for each in {char, char.lower(), char.upper()} if len(each) == 1]
    percent = "|".join("".join(f"{_PERCENT}{_hex(byte)}" for byte in each.encode()) for each in cases)
    entities = f"{_AMPERSAND}(?:{'|'.join(name for each in cases for name in _entities(each))}){_SEMICOLON}"
    if char == "\\":
        return f"(?:{_BACKSLASH}+(?:u005[cC])?|{entities})+"
    escapes = f"{_BACKSLASH}{'*' if escaped else '+'}(?:{'|'.join(name for each in cases for name in _escapes(each))})"
    space = r"|\+" if char == " " else ""
    return f"(?:{_BACKSLASH}*(?:{escape(char)}|{percent}|{entities}{space})|{escapes})"


def escape(text: str) -> str:
    """Return a pattern for literal text."""
    return "".join(char if _PLAIN.match(char) else rf"\x{{{ord(char):x}}}" for char in text)


def _hex(number: int, digits: int = 2) -> str:
    """Return a pattern for a number in hexadecimal digits of either case."""
    return "".join(f"[{digit}{digit.upper()}]" if digit.isalpha() else digit for digit in f"{number:0{digits}x}")


def _escapes(char: str) -> Iterator[str]:
    """Yield what follows the backslash of an escape in JSON or Python, as patterns."""
    code = ord(char)
    if code > 0xFFFF:
        high, low = (int(half, 16) for half in json.dumps(char)[3:-1].split("\\u"))
        yield from (f"u{_hex(high, 4)}{_BACKSLASH}+u{_hex(low, 4)}", f"U{_hex(code, 8)}")
    else:
        yield f"u{_hex(code, 4)}"
    if code < 0x100:
        yield f"x{_hex(code)}"
    if len(short := json.dumps(char)[1:-1]) == 2 and short[1].isalpha():
        yield short[1]


def _entities(char: str) -> Iterator[str]:
    """Yield the names of a character in HTML, as patterns."""
    yield f"{_NUMBER_SIGN}{ord(char)}"
    yield f"{_NUMBER_SIGN}[xX]0*{_hex(ord(char), 1)}"
    if char in _NAMED_ENTITIES:
        yield _NAMED_ENTITIES[char]
