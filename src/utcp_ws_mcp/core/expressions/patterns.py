"""Regular expressions of a manifest, guarded: Python's engine backtracks, and texts come from the network.

A pattern that could take exponential time is refused; one that takes polynomial time gets less text to search.
"""

from __future__ import annotations

import re

from ..limits import MAX_PATTERN_LENGTH, MAX_SEARCH_LENGTH

_REPETITION = re.compile(r"(?<!\\)(?:[*+]|\{[0-9]*(?:,[0-9]*)?\})")


def compile_pattern(pattern: str) -> tuple[re.Pattern[str], int]:
    """Return a compiled pattern, and how many parts of it repeat.

    A repetition in a pattern that begins with `^` costs nothing: the match begins at one place only.

    Raises:
        ValueError: where it could take exponential time, or is no regular expression.
    """
    if len(pattern) > MAX_PATTERN_LENGTH or re.search(r"[+*}][)]*[+*{]|\)[+*{]", pattern):
        raise ValueError("a pattern that repeats a repetition or a group is refused: it could run away")
    repeated = len(_REPETITION.findall(pattern)) - pattern.startswith("^")
    if repeated >= len(MAX_SEARCH_LENGTH):
        raise ValueError("a pattern in which more than two parts repeat is refused: it could run away")
    try:
        return re.compile(pattern), max(repeated, 0)
    except re.error as error:
        raise ValueError(f"no regular expression: {error}") from None


def find_pattern(text: str, pattern: str) -> str | None:
    """Return the first match, or its first group where the pattern has one; None where nothing matches.

    Raises:
        ValueError: where the pattern is refused, or what it finds may go on behind the text that is searched.
    """
    compiled, repeated = compile_pattern(pattern)
    match = compiled.search(text[: MAX_SEARCH_LENGTH[repeated]])
    if match is not None and match.end() == MAX_SEARCH_LENGTH[repeated] < len(text):
        match = _extend_match(match, text, MAX_SEARCH_LENGTH[max(repeated - 1, 0)])
    return None if match is None else match[min(compiled.groups, 1)]


def _extend_match(match: re.Match[str], text: str, max_length: int) -> re.Match[str] | None:
    """Return a match that goes on as far as it can: where it begins is known, so more text may be searched."""
    end = match.start() + max_length
    longer = match.re.match(text[:end], match.start())
    if longer is not None and longer.end() == end < len(text):
        raise ValueError(f"what the pattern finds has more than {max_length:,} characters; take it with split")
    return longer
