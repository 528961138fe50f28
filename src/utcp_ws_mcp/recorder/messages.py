"""The messages of a conversation, and what tells one kind of them from another."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from ..core.expressions.paths import UNDEFINED, Path

KIND_KEYS: Final = ("type", "method", "action", "cmd", "command", "event", "op", "kind", "request", "name", "msg")
"""Keys whose value says what a message is about."""

_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z")


@dataclass(frozen=True, slots=True)
class RecordedMessage:
    """One message: `value` is parsed JSON, text or bytes."""

    sent: bool
    value: Any

    @property
    def is_json(self) -> bool:
        """Whether it is a JSON object or array."""
        return isinstance(self.value, dict | list)


def message_kind(value: Any) -> tuple[Path, Any] | None:
    """Where a message says what it is about, and what it says there."""
    if isinstance(value, dict):
        for name in KIND_KEYS:
            if isinstance(value.get(name), str | int) and not isinstance(value[name], bool):
                return (name,), value[name]
    if isinstance(value, list) and len(value) > 1 and isinstance(value[0], str) and _IDENTIFIER.match(value[0]):
        return (0,), value[0]
    return None


CATCH_ALL_PREDICATES: Final = frozenset({"message is string", "message is defined"})
"""Predicates on messages that do not say what they are about."""


def kind_predicate(value: Any) -> str:
    """A predicate that holds for messages of the same kind; one of `ANYTHING` where they do not say it."""
    if kind := message_kind(value):
        return f"{path_expression(kind[0])} == {literal(kind[1])}"
    if isinstance(value, dict) and value:
        return f"{path_expression((next(iter(value)),))} is defined"
    return "message is string" if isinstance(value, str) else "message is defined"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in a message that is no object, with its path; a list counts as one value."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list) and not path:
        for index, item in enumerate(value):
            yield from leaves(item, (index,))
    else:
        yield path, value


def value_at(value: Any, path: Path) -> Any:
    """The value at a path, or UNDEFINED."""
    for step in path:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return UNDEFINED
    return value


def path_expression(path: Path) -> str:
    """A path in a message as an expression."""
    steps = (f".{step}" if isinstance(step, str) and _IDENTIFIER.match(step) else f"[{literal(step)}]" for step in path)
    return "message" + "".join(steps)


def literal(value: Any) -> str:
    """A number or a text as it stands in an expression."""
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    for name in ("$", "vars"):  # what an endpoint said names no variable
        escaped = re.sub(rf"{re.escape(name)}(?=[{{.\[])", _unicode_escape, escaped)
    return f"'{escaped}'"


def _unicode_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0][0]):04x}{found[0][1:]}"
