"""Make the texts and schemas of a manual from the network harmless for models, hosts and validators."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final

from ..core.limits import MAX_REMOTE_SCHEMA_DEPTH
from ..errors import Problem
from .invisible import remove_invisible
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


def sanitize_text(text: str, redact: Callable[[str], str] = str) -> str:
    """Return a text without invisible characters and credentials, and of bounded length."""
    visible = redact(remove_invisible(text))
    return visible if len(visible) <= MAX_TEXT_LENGTH else visible[:MAX_TEXT_LENGTH] + "…"


def sanitize_name(text: str) -> str:
    """Return a name without invisible characters, on one line."""
    return " ".join(remove_invisible(text).split("\n")).replace("\t", " ")


def sanitize_strings(value: Json, redact: Callable[[str], str] = str) -> Json:
    """Return a value in which every string and key is sanitized."""
    if isinstance(value, dict):
        return {sanitize_text(key, redact): sanitize_strings(item, redact) for key, item in value.items()}
    if isinstance(value, list):
        return [sanitize_strings(item, redact) for item in value]
    return sanitize_text(value, redact) if isinstance(value, str) else value


def ascii_tool_name(name: str) -> str:
    """Return a tool name in the characters that every host accepts; names with the same result look alike there."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)


def remove_identifiers(schema: Json) -> Json:
    """Return a schema without `$id`, which could redirect references."""
    if isinstance(schema, dict):
        # An object under "id" is a property of this name, not an identifier.
        fields = {key: value for key, value in schema.items() if key not in ("$id", "id") or isinstance(value, dict)}
        return {key: remove_identifiers(value) for key, value in fields.items()}
    return [remove_identifiers(item) for item in schema] if isinstance(schema, list) else schema


def schema_problem(schema: Json) -> Problem | None:
    """Return why a schema from the network is not accepted, as a problem of the whole schema, or None."""
    try:
        size = len(json.dumps(schema))
    except (TypeError, ValueError, RecursionError):
        return _too_complex("is nested too deeply")
    if size > MAX_SCHEMA_LENGTH:
        return _too_complex(f"has more than {MAX_SCHEMA_LENGTH // 1024} KiB")
    patterns: list[str] = []
    parts = 0
    for depth, key, value in walk(schema):
        parts += 1
        if depth > MAX_REMOTE_SCHEMA_DEPTH:
            return _too_complex(f"is nested more than {MAX_REMOTE_SCHEMA_DEPTH} levels deep")
        if key in _REFERENCES and isinstance(value, str) and (key != "$ref" or not is_local_reference(value)):
            message = 'the schema has a reference to something other than "#" and "#/$defs/NAME".'
            return Problem("", message, code="schema-reference-not-allowed")
        patterns += regex_patterns(key, value)
    if parts > MAX_SCHEMA_VALUES:
        return _too_complex(f"has more than {MAX_SCHEMA_VALUES} parts")
    if reason := _pattern_problem(patterns):
        return Problem("", reason, code="schema-pattern-unsupported")
    expanded = expansion_problem(schema)
    return _too_complex(expanded) if expanded else None


def _too_complex(reason: str) -> Problem:
    return Problem("", f"the schema {reason}.", code="schema-too-complex")


def _pattern_problem(patterns: list[str]) -> str | None:
    """Return why patterns could take too long to compile or to match, or None."""
    if len(patterns) > MAX_PATTERNS:
        return f"a schema from the network can have at most {MAX_PATTERNS} regular expressions."
    if any(len(pattern) > MAX_PATTERN_LENGTH for pattern in patterns):
        return f"a regular expression from the network can have at most {MAX_PATTERN_LENGTH} characters."
    if any(_UNSUPPORTED_REGEX.search(pattern) for pattern in patterns):
        return (
            "unsupported regular expression in a remote manual: lookaround, backreferences and nested repetition are "
            "not allowed."
        )
    has_unicode_class = any(re.search(r"\\p", pattern, re.IGNORECASE) for pattern in patterns)
    limit = MAX_UNICODE_CLASS_REPETITIONS if has_unicode_class else MAX_REPETITIONS
    if sum(int(count) for pattern in patterns for count in _REPETITION.findall(pattern)) > limit:
        return f"the counts in all regular expressions of the schema add up to more than {limit}."
    return None


_UNSUPPORTED_REGEX = re.compile(r"\(\?[=!<>|]|\\[1-9kg]|[+*?}]\+|\}[^{}]*\)\{")
"""Lookaround, backreferences, possessive quantifiers, atomic groups, and a counted group that contains a count."""

_REPETITION = re.compile(r"\{(?:[0-9]{1,9},)?([0-9]{1,9}),?\}")


def regex_patterns(key: str, value: Json) -> list[str]:
    """Return the patterns in the value of a keyword."""
    if key == "patternProperties" and isinstance(value, dict):
        return list(value)
    return [value] if key == "pattern" and isinstance(value, str) else []


def walk(schema: Json) -> Iterator[tuple[int, str, Any]]:
    """Yield every value in a schema: its depth, its key (empty in a list), and the value."""
    waiting: list[tuple[int, str, Any]] = [(0, "", schema)]
    while waiting:
        depth, key, value = waiting.pop()
        yield depth, key, value
        if isinstance(value, dict):
            waiting += [(depth + 1, name, item) for name, item in value.items()]
        elif isinstance(value, list):
            waiting += [(depth + 1, "", item) for item in value]
