"""Make what a manual from the network shows to models harmless: descriptions and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from .models.base import Json
from .schema_limits import unfolding_problem

MAX_TEXT: Final = 2048
"""Characters of a description."""

MAX_SCHEMA: Final = 64 << 10
"""Characters of a schema."""

MAX_DEPTH: Final = 32
MAX_PARTS: Final = 2000
"""Values in a schema, at any depth."""

MAX_PATTERN: Final = 512
MAX_PATTERNS: Final = 64
MAX_COUNTS: Final = 1000
"""Sum of the counts in all patterns of a schema, as in `{1,64}`: each makes a pattern so much bigger."""

MAX_CLASS_COUNTS: Final = 100
"""The same where classes of Unicode (`\\p{L}`) are counted, which are big themselves."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, also those that move a terminal's cursor
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"  # invisible, and marks of direction
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # bidirectional overrides, variation selectors
    "\U000e0000-\U000e0fff]"  # tags
)


def clean_text(text: str) -> str:
    """A description without characters that nobody sees, and of bounded length."""
    shown = _INVISIBLE.sub("", text)
    return shown if len(shown) <= MAX_TEXT else shown[:MAX_TEXT] + "…"


def visible_name(name: str) -> str:
    """A name in the characters that every host accepts."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def clean_schema(schema: Json) -> Json:
    """A schema with clean texts and without `$id`, which could redirect references."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key not in ("$id", "id") or isinstance(value, dict)}
        return {clean_text(key): clean_schema(value) for key, value in kept.items()}
    if isinstance(schema, list):
        return [clean_schema(item) for item in schema]
    return clean_text(schema) if isinstance(schema, str) else schema


def schema_problem(schema: Json) -> str | None:
    """Why a schema from the network is not used, or None."""
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError, RecursionError):
        return "is nested too deeply"
    if size > MAX_SCHEMA:
        return f"has more than {MAX_SCHEMA // 1024} KiB"
    patterns: list[str] = []
    parts = 0
    for depth, key, value in _walk(schema):
        parts += 1
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and (key != "$ref" or not _is_pointer(value)):
            return "refers to another document, or not by a JSON pointer"
        patterns += _patterns(key, value)
    if parts > MAX_PARTS:
        return f"has more than {MAX_PARTS} parts"
    return pattern_problem(patterns) or unfolding_problem(schema)


def pattern_problem(patterns: list[str]) -> str | None:
    """Why patterns could take long, to be read or to be looked for, or None."""
    if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_PATTERN for pattern in patterns):
        return "has a pattern that is too long, or too many"
    if any(_NOT_LINEAR.search(pattern) for pattern in patterns):
        return "has a pattern that looks around or back, or counts what it counts, which could take for ever"
    most = MAX_CLASS_COUNTS if any(re.search(r"\\p", pattern, re.IGNORECASE) for pattern in patterns) else MAX_COUNTS
    if sum(int(count) for pattern in patterns for count in _COUNT.findall(pattern)) > most:
        return f"has patterns that count to more than {most} in all"
    return None


_NOT_LINEAR = re.compile(r"\(\?[=!<>|]|\\[1-9kg]|[+*?}]\+|\}[^{}]*\)\{")
"""Looking around, back references, possessive and atomic groups, a counted group with a count in it."""

_COUNT = re.compile(r"\{(?:[0-9]{1,9},)?([0-9]{1,9}),?\}")


def _patterns(key: str, value: Json) -> list[str]:
    """The patterns of a keyword."""
    if key == "patternProperties" and isinstance(value, dict):
        return list(value)
    return [value] if key == "pattern" and isinstance(value, str) else []


def _is_pointer(reference: str) -> bool:
    return reference == "#" or (reference.startswith("#/") and "%" not in reference)


def _walk(schema: Json) -> Iterator[tuple[int, str, Any]]:
    """Every value in a schema: its depth, its key (empty in a list), itself."""
    waiting: list[tuple[int, str, Any]] = [(0, "", schema)]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, name, item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, "", item) for item in value]
