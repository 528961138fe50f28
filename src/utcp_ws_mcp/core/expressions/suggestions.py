"""What to write instead of an expression that cannot be compiled, for its error message."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from ...manifest.validation import closest_match
from .paths import STRING_LITERAL

_NO_NUMBER: Final = "int and float need a text that is a number; write int(0) for another value"
_CLEARER_REASONS: Final = {
    "unknown filter": "unknown filter in map",
    "unknown test": "unknown test in select, reject, selectattr or rejectattr",
    "cannot perform a containment check on this value": "'in' needs a text, a list or an object behind it",
    "invalid operation": "the operation is not possible on a value of this type",
    "invalid float literal": f"the text is not a number: {_NO_NUMBER}",
    "cannot parse float from empty string": f"the text is empty: {_NO_NUMBER}",
}
"""What MiniJinja's shortest reasons mean."""

_RUST_TYPES: Final = {
    **dict.fromkeys(("isize", "usize", "i64", "i32", "u64", "u32"), "a whole number"),
    "sequence": "a list",
    "map": "an object",
    "string": "a text",
    "integer": "an integer",
}
_CONVERSION: Final = re.compile(r"cannot convert (\w+) to (\w+)")

_FOREIGN_NULLS: Final = {"null": "none", "nil": "none", "undefined": "is not defined"}
_FOREIGN_SYNTAX: Final = (
    (re.compile(r"^\{\{"), "This field is already an expression: remove the outer braces."),
    (re.compile(r"=~|!~"), "Write message | regex_find('…')."),
    (re.compile(r"[=!]=="), "Write == or !=."),
    (re.compile(r"&&"), "Write 'and' instead of &&."),
    (re.compile(r"\|\|"), "Write 'or' instead of ||."),
    (re.compile(r"!(?!=)"), "Write 'not' instead of !."),
    (re.compile(r"\b(?:contain(?:s|ing)|match(?:es|ing))\b"), "Write 'word' in message, or message | regex_find('…')."),
    (
        re.compile(r"=>"),
        "There are no functions; write rows | selectattr('name', 'eq', 'x') or rows | map(attribute='name').",
    ),
    (re.compile(r"\?[.?]"), "A path without a value is allowed; write | default(…) for another value."),
    (re.compile(r"\?.*:"), "Write 'a if b else c' instead of b ? a : c."),
    (re.compile(r"^[^(]*[^(=!<>]=(?!=)"), "Write == to compare."),
)
"""Patterns of other languages, and what to write instead."""

_FILTER: Final = " | "
"""What stands before each filter in an advice; expressions of strangers may have none."""


_ABSENT: Final = {
    "tool": "A connection is shared by tools, so that only the message of a call can name its tool; write the name.",
}
"""Why a name that other fields have does not exist in a field."""


def clear_reason(reason: str) -> str:
    """Return the reason of an error of MiniJinja in terms of manifests."""
    reason = reason.removeprefix("invalid operation: ")
    if found := _CONVERSION.fullmatch(reason):
        source, target = (_RUST_TYPES.get(name, name) for name in found.groups())
        return f"{source} cannot become {target}"
    return _CLEARER_REASONS.get(reason, reason.replace("end of variable block", "end of the expression"))


def suggest_name(name: str, allowed: Collection[str]) -> str:
    """Return what to write for an unknown name. One of two letters is similar to too many to have a nearest."""
    if name in _ABSENT:
        return _ABSENT[name]
    if name == "message" and "body" in allowed:
        return "The response of an HTTP step is 'body' (the parsed JSON or text), 'status', 'headers' and 'cookies'."
    if name == "request_id" and "next_id" in allowed:
        return "It is no message of a call. Write next_id(), which makes a new one."
    suggestion = _FOREIGN_NULLS.get(name) or (closest_match(name, allowed) if len(name) > 2 else None)
    if suggestion:
        return f"Did you mean {suggestion!r}?"
    members = [repr(f"{owner}.{name}") for owner in ("message", "body", "args") if owner in allowed]
    member = f"Did you mean {' or '.join(members)}? " if members else ""
    return f"{member}Known names: {', '.join(sorted(allowed))}."


_EARLY_END: Final = re.compile(r"''[\w(\[{]|^(?:[^']|'')*'(?!')|\"")
"""What is left where a quote has ended a text early, once all texts are empty."""


def suggest_syntax(source: str, *, filters: bool) -> str:
    """Return what to write for the syntax of another language, or nothing where none is recognized.

    Args:
        source: The expression.
        filters: Whether it may have filters.
    """
    bare = STRING_LITERAL.sub("''", source)
    if _EARLY_END.search(bare):
        return " The next quote of its kind ends a text: write \\x27 for ' and \\x22 for \" inside of it."
    advice = next((advice for pattern, advice in _FOREIGN_SYNTAX if pattern.search(bare)), "")
    has_filter = _FILTER in advice
    return f" {advice}" if advice and (filters or not has_filter) else ""
