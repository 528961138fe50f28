r"""Regular expressions of `regex_find`, by RE2: the time is linear in the text, whatever the pattern.

RE2 reads the syntax of Python but look-around, back-references and possessive repetition. What means less in RE2 is
translated: `\w`, `\d` and `\s` are of Unicode, `\Z` and `\uXXXX` are known, and `$` also matches before a final line
feed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, Protocol

from ...records import Record
from ..codecs.message import RejectedValue
from ..limits import MAX_PATTERN_LENGTH

_PIECE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)|(\[:\^?\w+:\])|(\[\^?\]?)|(\])|(\$)", re.DOTALL)
_CLASSES: Final = {"w": r"\pL\pN_", "d": r"\p{Nd}", "s": r"\s\v\x{85}\pZ"}
_NOT_IN_RE2: Final = re.compile(r"\(\?(?:<?[=!]|P=|\(|>)|\\[1-9]|[*+?}]\+")


class Match(Protocol):
    """What a pattern found."""

    def __getitem__(self, group: int) -> str | None:
        """Return the text of a group; 0 is all that was found."""

    def span(self, group: int) -> tuple[int, int]:
        """Return where a group begins and ends."""


class Pattern(Record):
    """A compiled pattern.

    Args:
        compiled: The pattern of RE2.
        has_end: Whether it contains `$`.
    """

    compiled: Any
    has_end: bool

    @property
    def groups(self) -> int:
        """Return the number of groups."""
        return int(self.compiled.groups)

    def search(self, text: str) -> Match | None:
        """Return the first match, or None."""
        # Half of a surrogate pair is no text; it counts as one character here, as in Python.
        searched = text if text.isascii() else text.encode("utf-8", "replace").decode()
        match = self.compiled.search(searched)
        if match is None and self.has_end and searched.endswith("\n"):
            match = self.compiled.search(searched[:-1])
        found: Match | None = match
        return found


def compile_pattern(pattern: str) -> Pattern:
    """Return a compiled pattern.

    Raises:
        RejectedValue: where it is too long or no regular expression of RE2.
    """
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_LENGTH:
        raise RejectedValue(
            f"the pattern is not a text of at most {MAX_PATTERN_LENGTH:,} characters.", code="pattern-not-allowed"
        )
    return _compile(pattern)


@lru_cache(maxsize=256)
def _compile(pattern: str) -> Pattern:
    import re2  # 5 ms, for the manifests that search

    options = re2.Options()
    options.log_errors = False  # it would write to stderr
    translated, ends = _translate(pattern)
    try:
        return Pattern(re2.compile(translated, options), ends)
    except (re2.error, UnicodeError) as error:
        if _NOT_IN_RE2.search(pattern):
            reason = (
                "look-around, back-references and possessive repetition are not supported. Select the text around it "
                "with a group, as in 'id=([0-9]+)'"
            )
        else:
            cause = error.args[0] if error.args else ""
            reason = cause.decode("utf-8", "replace") if isinstance(cause, bytes) else "a character is not text"
        message = f"the pattern is not a regular expression: {reason}."
        raise RejectedValue(message, code="pattern-not-allowed") from None


def find_pattern(text: str, pattern: str) -> str | None:
    """Return the first match, or its first group where the pattern has one; None where nothing matches.

    Raises:
        RejectedValue: where the pattern is refused.
    """
    compiled = compile_pattern(pattern)
    match = compiled.search(text)
    return None if match is None else match[min(compiled.groups, 1)]


def _translate(pattern: str) -> tuple[str, bool]:
    """Return the pattern for RE2, and whether it contains `$`."""
    in_class = ends = False

    def replace(piece: re.Match[str]) -> str:
        nonlocal in_class, ends
        unicode, escaped, _, opens, closes, end = piece.groups()
        if unicode:
            return rf"\x{{{unicode}}}"
        if escaped:
            return _translate_escape(piece[0], escaped, in_class=in_class)
        if opens:
            in_class = not (in_class and opens.endswith("]"))  # inside of a class "[" is a character
        in_class = in_class and not closes
        ends = ends or (bool(end) and not in_class)
        return piece[0]

    return _PIECE.sub(replace, pattern), ends


def _translate_escape(written: str, escaped: str, *, in_class: bool) -> str:
    if escaped == "Z" and not in_class:
        return r"\z"
    members = _CLASSES.get(escaped.lower())
    if members is None:
        return written if escaped.isascii() else escaped
    if in_class:
        return members if escaped.islower() else _complement(members)
    return f"[{'' if escaped.islower() else '^'}{members}]"


@lru_cache(maxsize=len(_CLASSES))
def _complement(members: str) -> str:
    """Return the ranges of all characters that are no members of a class: in RE2, no class can stand in a class.

    They are those of RE2's own tables. With `(?i)`, a range would also match what folds to one of its characters, so
    the mark U+0345, which folds to the letter iota, counts as one.
    """
    import re2

    ranges, start = list[str](), 0
    for match in re2.compile(f"(?i)[{members}]+").finditer(_assigned_characters()):
        first, end = match.span()
        if start < first:
            ranges.append(rf"\x{{{start:x}}}-\x{{{first - 1:x}}}")
        start = end
    return "".join([*ranges, rf"\x{{{start:x}}}-\x{{10ffff}}"])


def _assigned_characters() -> str:
    """Return a text in which each letter, number and blank has its number as its index.

    Half of a surrogate pair is none, and none is behind the last plane of ideographs.
    """
    characters = (*range(0xD800), *[0xE000] * 0x800, *range(0xE000, 0x40000))
    return "".join(map(chr, characters))
