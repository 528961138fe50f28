"""What to write instead of an expression that cannot be compiled, for its error message."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ...manifest.validation import closest_match
from .paths import STRING_LITERAL

CLEARER_REASONS: Final = {
    "unknown filter": "unknown filter: the one that map applies",
    "unknown test": "unknown test: the one that select, reject, selectattr or rejectattr applies",
}
"""What MiniJinja's shortest reasons are about."""

_FOREIGN_NULLS: Final = {"null": "none", "nil": "none", "undefined": "is not defined"}
_FOREIGN_SYNTAX: Final = (
    (re.compile(r"^\{\{"), "this is an expression already: leave the outer braces out"),
    (re.compile(r"[=!]=="), "write == or !="),
    (re.compile(r"&&"), "write 'and' for &&"),
    (re.compile(r"\|\|"), "write 'or' for ||"),
    (re.compile(r"!(?!=)"), "write 'not' for !"),
    (re.compile(r"\b(?:contain(?:s|ing)|match(?:es|ing))\b"), "write 'word' in message, or message | regex_find('…')"),
    (re.compile(r"\?[.?]"), "a path may lead nowhere; | default(…) says what then"),
    (re.compile(r"\?.*:"), "write 'a if b else c' for b ? a : c"),
    (re.compile(r"^[^(]*[^(=!<>]=(?!=)"), "write == to compare"),
)
"""Patterns of other languages, and what to write instead."""


def suggest_name(name: str, allowed: Collection[str]) -> str:
    """Return what to write for an unknown name. One of two letters is similar to too many to have a nearest."""
    suggestion = _FOREIGN_NULLS.get(name) or (closest_match(name, allowed) if len(name) > 2 else None)
    if suggestion:
        return f"did you mean {suggestion!r}?"
    members = [repr(f"{owner}.{name}") for owner in ("message", "args") if owner in allowed]
    member = f"is {' or '.join(members)} meant? " if members else ""
    return f"{member}known are {', '.join(sorted(allowed))}"


def suggest_syntax(source: str) -> str:
    """Return what to write for the syntax of another language, or nothing where none is recognized."""
    bare = STRING_LITERAL.sub("''", source)
    return next((f"; {advice}" for pattern, advice in _FOREIGN_SYNTAX if pattern.search(bare)), "")
