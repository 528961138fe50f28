"""Make the texts and schemas of a manual from the network harmless for models, hosts and validators."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from ..core.limits import MAX_REMOTE_SCHEMA_DEPTH
from .models.base import Json
from .schema_limits import expansion_problem, is_local_reference

MAX_TEXT_LENGTH: Final = 2048
"""The maximum length of a description in characters."""

MAX_SCHEMA_LENGTH: Final = 64 << 10
"""The maximum length of a schema as JSON in characters."""

MAX_SCHEMA_VALUES: Final = 2000
"""The maximum number of values in a schema, at any depth."""

MAX_PATTERN_LENGTH: Final = 512
"""The maximum length of a pattern in characters."""

MAX_PATTERNS: Final = 64
"""The maximum number of patterns in a schema."""

MAX_REPETITIONS: Final = 1000
"""The maximum sum of the counts in all patterns, as in `{1,64}`: a compiled pattern grows with each of them."""

MAX_UNICODE_CLASS_REPETITIONS: Final = 100
"""The same for patterns with classes of Unicode (`\\p{L}`), which are large themselves."""

_REFERENCES: Final = ("$ref", "$dynamicRef", "$recursiveRef")
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters, also those that move a terminal's cursor
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f"  # invisible, and marks of direction
    "\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"  # bidirectional overrides, variation selectors
    "\U000e0000-\U000e0fff]"  # tags
)


def sanitize_text(text: str) -> str:
    """Return a text without invisible characters, and of bounded length."""
    visible = _INVISIBLE.sub("", text)
    return visible if len(visible) <= MAX_TEXT_LENGTH else visible[:MAX_TEXT_LENGTH] + "…"


def ascii_tool_name(name: str) -> str:
    """Return a tool name in the characters that every host accepts; names with the same result look alike there."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def sanitize_schema(schema: Json) -> Json:
    """Return a schema with sanitized texts and without `$id`, which could redirect references."""
    if isinstance(schema, dict):
        # An object under "id" is a property of this name, not an identifier.
        fields = {key: value for key, value in schema.items() if key not in ("$id", "id") or isinstance(value, dict)}
        return {sanitize_text(key): sanitize_schema(value) for key, value in fields.items()}
    if isinstance(schema, list):
        return [sanitize_schema(item) for item in schema]
    return sanitize_text(schema) if isinstance(schema, str) else schema


def schema_problem(schema: Json) -> str | None:
    """Return why a schema from the network is not accepted, or None."""
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
        if depth > MAX_REMOTE_SCHEMA_DEPTH:
            return f"is nested more than {MAX_REMOTE_SCHEMA_DEPTH} deep"
        if key in _REFERENCES and isinstance(value, str) and (key != "$ref" or not is_local_reference(value)):
            return 'refers to something else than "#" or "#/$defs/NAME"'
        patterns += _regex_patterns(key, value)
    if parts > MAX_SCHEMA_VALUES:
        return f"has more than {MAX_SCHEMA_VALUES} parts"
    return pattern_problem(patterns) or expansion_problem(schema)


def pattern_problem(patterns: list[str]) -> str | None:
    """Return why patterns could take too long to compile or to match, or None."""
    if len(patterns) > MAX_PATTERNS or any(len(pattern) > MAX_PATTERN_LENGTH for pattern in patterns):
        return "has a pattern that is too long, or too many"
    if any(_UNSUPPORTED_REGEX.search(pattern) for pattern in patterns):
        return "has an unsupported regular expression: lookaround, backreferences and nested repetition are not allowed"
    has_unicode_class = any(re.search(r"\\p", pattern, re.IGNORECASE) for pattern in patterns)
    limit = MAX_UNICODE_CLASS_REPETITIONS if has_unicode_class else MAX_REPETITIONS
    if sum(int(count) for pattern in patterns for count in _REPETITION.findall(pattern)) > limit:
        return f"has patterns that count to more than {limit} in all"
    return None


_UNSUPPORTED_REGEX = re.compile(r"\(\?[=!<>|]|\\[1-9kg]|[+*?}]\+|\}[^{}]*\)\{")
"""Lookaround, backreferences, possessive quantifiers, atomic groups, and a counted group that contains a count."""

_REPETITION = re.compile(r"\{(?:[0-9]{1,9},)?([0-9]{1,9}),?\}")


def _regex_patterns(key: str, value: Json) -> list[str]:
    """Return the patterns in the value of a keyword."""
    if key == "patternProperties" and isinstance(value, dict):
        return list(value)
    return [value] if key == "pattern" and isinstance(value, str) else []


def _walk(schema: Json) -> Iterator[tuple[int, str, Any]]:
    """Yield every value in a schema: its depth, its key (empty in a list), and the value."""
    waiting: list[tuple[int, str, Any]] = [(0, "", schema)]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, name, item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, "", item) for item in value]
