r"""Regular expressions of `regex_find`, by RE2: the time is linear in the text, whatever the pattern.

RE2 reads the syntax of Python but look-around, back-references and possessive repetition. What means less in RE2 is
translated: `\w`, `\d` and `\s` are of Unicode, `\Z` and `\uXXXX` are known, and `$` also matches before a final line
feed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final

from ..codecs.message import RejectedValue
from ..limits import MAX_PATTERN_LENGTH

_PIECE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})|\\(.)|(\[:\^?\w+:\])|(\[\^?\]?)|(\])|(\$)", re.DOTALL)
_CLASSES: Final = {"w": r"\pL\pN_", "d": r"\p{Nd}", "s": r"\s\v\x{85}\pZ"}
_NOT_IN_RE2: Final = re.compile(r"\(\?(?:<?[=!]|P=|\(|>)|\\[1-9]|[*+?}]\+")


def compile_pattern(pattern: str) -> tuple[Any, bool]:
    """Return a compiled pattern, and whether it contains `$`.

    Raises:
        RejectedValue: where it is too long or no regular expression of RE2.
    """
    if not isinstance(pattern, str) or len(pattern) > MAX_PATTERN_LENGTH:
        raise RejectedValue(
            f"the pattern is not a text of at most {MAX_PATTERN_LENGTH:,} characters.", code="pattern-not-allowed"
        )
    return _compile(pattern)


@lru_cache(maxsize=256)
def _compile(pattern: str) -> tuple[Any, bool]:
    import re2  # 5 ms, for the manifests that search

    options = re2.Options()
    options.log_errors = False  # it would write to stderr
    translated, ends = _translate(pattern)
    try:
        return re2.compile(translated, options), ends
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
    compiled, ends = compile_pattern(pattern)
    searched = text if text.isascii() else text.encode("utf-8", "replace").decode()  # a lone surrogate is no text
    match = compiled.search(searched)
    if match is None and ends and searched.endswith("\n"):
        match = compiled.search(searched[:-1])
    if match is None:
        return None
    found: str | None = match.group(min(compiled.groups, 1))
    return found


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
        return members if escaped.islower() else written
    return f"[{'' if escaped.islower() else '^'}{members}]"
