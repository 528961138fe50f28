r"""The forms in which a secret may appear in a text, as patterns of Rust's `regex`, whose time is linear for any text.

The forms are those that filters of expressions, JSON, URLs and HTML make: escapes, percent-encoding, hexadecimal, both
alphabets of base64 at any offset, other case, reversed. A form is a tuple of units: the characters, but a run of
backslashes is one unit, because JSON inside JSON has any number of them.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from ..manifest.secret_names import MIN_SECRET_LENGTH

Units = tuple[str, ...]

MIN_ANCHOR: Final = 5
"""Letters and digits in a row that are enough to look for."""

MAX_ANCHOR: Final = 24
"""Units of a form that are looked for first, so that the search is fast even if secrets are long."""

MIN_MIXED_ANCHOR: Final = 6
"""The same for a form without such a run."""

MAX_VARIANT: Final = 128
"""Characters of a secret that is also looked for in other case and reversed."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9]")
_WORD: Final = re.compile(r"[A-Za-z][a-z]{1,15}|[A-Z]{2,16}")
_UNITS: Final = re.compile(r"\\+|[^\\]", re.DOTALL)
_PERCENT: Final = "%(?:25)*"
_AMPERSAND: Final = "&(?:amp;)*"


def is_word(secret: str) -> bool:
    """Return whether a secret is one word of letters, which sentences of this package may contain as well."""
    return _WORD.fullmatch(secret) is not None


def secret_forms(secret: str) -> Iterator[Units]:
    """Yield the forms of a secret. A word has no other case: sentences would lose it everywhere."""
    variants = {secret}
    if len(secret) <= MAX_VARIANT and not is_word(secret):
        variants |= {secret.lower(), secret.upper(), secret.title(), secret.capitalize(), secret[::-1]}
    for variant in sorted(variants):
        yield tuple(_UNITS.findall(variant))
    encoded = secret.encode("utf-8", "replace")
    yield tuple(encoded.hex())
    yield tuple(encoded.hex().upper())
    for offset in range(3):
        core = _base64_core(encoded, offset)
        if len(core) >= MIN_SECRET_LENGTH:
            yield tuple(core)
            if "+" in core or "/" in core:
                yield tuple(core.replace("+", "-").replace("/", "_"))


def form_pattern(form: Units) -> str:
    """Return a pattern for a form. A run of backslashes takes those of an escape that follows it."""
    return "".join(_unit_pattern(unit, escaped=before[0] == "\\") for before, unit in pairwise((" ", *form)))


def anchor_of(form: Units) -> tuple[str, bool]:
    """Return a pattern for a part of a form, and whether it is literal text.

    The part is the end of the longest run of letters and digits (tokens begin alike). If that is too short, the part
    begins with it: an engine is fast with patterns that begin with literal text.
    """
    signs = "".join(unit if _PLAIN.match(unit) else " " for unit in form)
    runs = list(re.finditer(r"\w+", signs, re.ASCII))
    longest = max(runs, key=lambda run: len(run[0]), default=None)
    if longest is not None and len(longest[0]) >= MIN_ANCHOR:
        return longest[0][-MAX_ANCHOR:], True
    early = [run for run in runs if len(form) - run.start() >= MIN_MIXED_ANCHOR]
    start = max(early, key=lambda run: len(run[0])).start() if early else 0
    return form_pattern(form[start : start + MAX_ANCHOR]), False


def max_length(form: Units) -> int:
    """Return a length that a form hardly exceeds in a text: each escape has up to 63 backslashes, six JSONs deep."""
    return sum(1 if _PLAIN.match(unit) else 72 for unit in form)


def _base64_core(data: bytes, offset: int) -> str:
    """Return the part of base64 that depends only on `data`, which starts `offset` bytes into a group of three."""
    text = base64.b64encode(bytes(offset) + data).decode()
    start = (0, 2, 3)[offset]
    end = len(text) - (0, 3, 2)[(offset + len(data)) % 3]
    return text[start:end]


@cache
def _unit_pattern(unit: str, *, escaped: bool) -> str:
    """Return a pattern for a character in texts, JSON in JSON, URLs and HTML.

    `escaped`: the backslashes of an escape may have been read already.
    """
    if _PLAIN.fullmatch(unit):
        return unit
    char = unit[0]
    if "\ud800" <= char <= "\udfff":
        return "."  # UTF-8 has no lone surrogates: the text that is searched has U+FFFD instead
    percent = "(?i:" + "".join(f"{_PERCENT}{byte:02x}" for byte in char.encode()) + ")"
    if char == "\\":
        return rf"(?:\\+(?:u005[cC])?|{percent}|{_AMPERSAND}#(?:92|x5[cC]);)+"
    backslashes = r"\\*" if escaped else r"\\+"
    forms = [rf"\\*{_escape(char)}", percent]
    forms += [backslashes + escape for escape in _escapes(char)]
    forms += [f"{_AMPERSAND}{name};" for name in _entities(char)]
    if char == " ":
        forms.append(r"\+")
    if not char.isascii():
        forms.append(_escape(char.encode().decode("latin-1")))
    return f"(?:{'|'.join(forms)})"


def _escape(text: str) -> str:
    return "".join(char if _PLAIN.match(char) else rf"\x{{{ord(char):x}}}" for char in text)


def _escapes(char: str) -> Iterator[str]:
    """Yield what follows the backslash of an escape in JSON or Python, as patterns."""
    code = ord(char)
    if code > 0xFFFF:
        high, low = json.dumps(char)[2:6], json.dumps(char)[8:12]
        yield from (rf"(?i:u{high}\\+u{low})", f"U(?i:{code:08x})")
    else:
        yield f"u(?i:{code:04x})"
    if code < 0x100:
        yield f"x(?i:{code:02x})"
    if len(short := json.dumps(char)[1:-1]) == 2 and short[1].isalpha():
        yield short[1]


def _entities(char: str) -> Iterator[str]:
    """Yield the names of a character in HTML, as patterns."""
    yield f"#{ord(char)}"
    yield f"#[xX](?i:{ord(char):x})"
    if (named := html.escape(char)) != char:
        yield named[1:-1]
