"""Make what a manual from the network shows to models harmless: descriptions and schemas."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from .models.base import Json
from .schema_limits import expansion_problem

MAX_TEXT_LENGTH: Final = 2048
"""Characters of a description."""

MAX_SCHEMA_LENGTH: Final = 64 << 10
"""Characters of a schema."""

MAX_DEPTH: Final = 32
MAX_SCHEMA_VALUES: Final = 2000
"""Values in a schema, at any depth."""

MAX_PATTERN_LENGTH: Final = 512
MAX_PATTERNS: Final = 64
MAX_REPETITIONS: Final = 1000
"""Sum of the counts in all patterns of a schema, as in `{1,64}`: each makes a pattern so much bigger."""

MAX_UNICODE_CLASS_REPETITIONS: Final = 100
"""The same where classes of Unicode (`\\p{L}`) are counted, which are big themselves."""

_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, also those that move a terminal's cursor
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"  # invisible, and marks of direction
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # bidirectional overrides, variation selectors
    "\U000e0000-\U000e0fff]"  # tags
)


def sanitize_text(text: str) -> str:
    """A description without characters that nobody sees, and of bounded length."""
    shown = _INVISIBLE.sub("", text)
    return shown if len(shown) <= MAX_TEXT_LENGTH else shown[:MAX_TEXT_LENGTH] + "…"


def ascii_tool_name(name: str) -> str:
    """A name in the characters that every host accepts."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def sanitize_schema(schema: Json) -> Json:
    """A schema with clean texts and without `$id`, which could redirect references."""
    if isinstance(schema, dict):
        kept = {key: value for key, value in schema.items() if key not in ("$id", "id") or isinstance(value, dict)}
        return {sanitize_text(key): sanitize_schema(value) for key, value in kept.items()}
    if isinstance(schema, list):
        return [sanitize_schema(item) for item in schema]
    return sanitize_text(schema) if isinstance(schema, str) else schema


def schema_problem(schema: Json) -> str | None:
    """Why a schema from the network is not used, or None."""
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError, RecursionError):
        return "is nested too deeply"
    if size > MAX_SCHEMA_LENGTH:
        return f"has more than {MAX_SCHEMA_LENGTH // 1024} KiB"
    patterns: list[str] = []
    parts = 0
    for depth, key, value in _walk(schema):
        parts += 1
        if depth > MAX_DEPTH:
            return f"is nested more than {MAX_DEPTH} deep"
        if key in ("$ref", "$dynamicRef") and isinstance(value, str) and (key != "$ref" or not _is_json_pointer(value)):
            return "refers to another document, or not by a JSON pointer"
        patterns += _regex_patterns(key, value)
    if parts > MAX_SCHEMA_VALUES:
        return f"has more than {MAX_SCHEMA_VALUES} parts"
    return pattern_problem(patterns) or expansion_problem(schema)


def pattern_problem(patterns: list[str]) -> str | None:
    """Why patterns could take long, to be read or to be looked for, or None."""
    if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_PATTERN_LENGTH for pattern in patterns):
        return "has a pattern that is too long, or too many"
    if any(_UNSUPPORTED_REGEX.search(pattern) for pattern in patterns):
        return "has a pattern that looks around or back, or counts what it counts, which could take for ever"
    most = (
        MAX_UNICODE_CLASS_REPETITIONS
        if any(re.search(r"\\p", pattern, re.IGNORECASE) for pattern in patterns)
        else MAX_REPETITIONS
    )
    if sum(int(count) for pattern in patterns for count in _REPETITION.findall(pattern)) > most:
        return f"has patterns that count to more than {most} in all"
    return None


_UNSUPPORTED_REGEX = re.compile(r"\(\?[=!<>|]|\\[1-9kg]|[+*?}]\+|\}[^{}]*\)\{")
"""Looking around, back references, possessive and atomic groups, a counted group with a count in it."""

_REPETITION = re.compile(r"\{(?:[0-9]{1,9},)?([0-9]{1,9}),?\}")


def _regex_patterns(key: str, value: Json) -> list[str]:
    """The patterns of a keyword."""
    if key == "patternProperties" and isinstance(value, dict):
        return list(value)
    return [value] if key == "pattern" and isinstance(value, str) else []


def _is_json_pointer(reference: str) -> bool:
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
