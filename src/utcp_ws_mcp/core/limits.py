"""Limits of depth and size for values that come from outside, with their reasons.

The module imports nothing of the package, so that every layer may use it.
"""

from __future__ import annotations

from typing import Any, Final

# --- Levels of nesting ---

MAX_DOCUMENT_DEPTH: Final = 128
"""Levels of a manifest file and of a discovered tool. The loader recurses over them: Python allows about 1,000 frames,
and a level takes up to four."""

MAX_MESSAGE_DEPTH: Final = 64
"""Levels of a message template, and of a value from a message that is shown to a model. Below the limit of the JSON
parsers of MCP hosts (serde_json: 128), with room for the envelope."""

MAX_REMOTE_SCHEMA_DEPTH: Final = 32
"""Levels of a JSON Schema from the network. Lower than the rest: models read the schemas with each list of tools."""

LAZY_SCHEMA_DEPTH: Final = 64
"""Levels of a schema above which it is compiled when it is loaded, because the compiler may find it too deep."""

# --- Sizes: characters unless something else is said ---

FUEL: Final = 8_000_000
"""What one evaluation of an expression may do: a step, an element of a list and 64 bytes of a text cost 1 each.

It is enough to sort 100,000 numbers, or for some filters on a text of the greatest length; MiniJinja before 3.1 counts
steps only. What it does not bound are filters that ask Python for each value, which have limits of their own
(`expressions/bounded.py`): of all filters on values of 16 MiB, the slowest takes about a second."""

MAX_EXPRESSION_LENGTH: Final = 4_000
MAX_REQUEST_BYTES: Final = 64 << 20
"""Bytes of the messages that one `$each` gives: each of a thousand messages may repeat a large argument."""

MAX_REPETITIONS: Final = 10_000
"""Elements that one `$each` repeats for, and pieces that the filter `pieces` gives."""

MAX_JSON_LENGTH: Final = 16 << 20
"""JSON that an expression makes: JSON of JSON doubles with every turn."""

MAX_VALUE_LENGTH: Final = 64 << 20
"""A text, bytes or a list that an expression makes, and about what a rendered message or result takes when it is
written. Four times the default limit of an incoming message, so that a result may hold a message and parts of it."""

MAX_PATTERN_LENGTH: Final = 1_000
"""A pattern of `regex_find`. RE2 bounds the memory of a pattern as well (8 MiB)."""

MAX_RANDOM_BYTES: Final = 65_536
"""Bytes of `random_hex(n)`."""

MAX_URL_LENGTH: Final = 4_096
MAX_HEADER_LENGTH: Final = 8_192
"""The value of a header, and a subprotocol: what most servers accept for a line of the handshake."""

MAX_HEADER_NAME_LENGTH: Final = 128

_BRACKETS_TO_PARENS: Final = bytes.maketrans(b"[{]}", b"(())")
_NON_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


def is_deeper(value: Any, limit: int) -> bool:
    """Return whether a JSON value is nested more than `limit` levels deep, without recursion."""
    level = [value]
    for _ in range(limit + 1):
        objects = [item for each in level if isinstance(each, dict) for item in each.values()]
        level = objects + [item for each in level if isinstance(each, list) for item in each]
        if not level:
            return False
    return True


def json_text_is_deeper(text: str | bytes, limit: int) -> bool:
    """Return whether JSON, as text or in UTF-8, is nested more than `limit` levels deep, without parsing it.

    Brackets inside strings count as well, so that the answer may be a false yes, never a false no: for a result of
    megabytes this takes a fraction of the time that parsing takes. Each pass removes the innermost level.
    """
    data = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    brackets = data.translate(_BRACKETS_TO_PARENS, _NON_BRACKETS)
    if brackets.count(b"(") <= limit:
        return False
    for _ in range(limit):
        brackets = brackets.replace(b"()", b"")
    return bool(brackets)
