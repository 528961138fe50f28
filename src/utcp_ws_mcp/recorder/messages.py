"""The messages of a conversation: their kinds, their values, and expressions that select them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from enum import StrEnum
from typing import Any, Final

from ..core.codecs.message import decode
from ..core.expressions.paths import UNDEFINED, Path, value_at
from ..manifest.secret_names import is_secret_name
from ..records import Record

KIND_KEYS: Final = ("type", "method", "action", "cmd", "command", "event", "op", "kind", "request", "name", "msg")
"""Keys whose value can be the kind of a message, the most usual first."""

KIND_HOLDERS: Final = ("request", "header", "message", "command", "call")
"""Keys of an object that can hold the kind of a message whose root has none."""

HEARTBEATS: Final = frozenset({"ping", "pong", "heartbeat", "heart_beat", "hb", "keepalive", "keep_alive", "ka"})
"""Kinds of messages that only keep a connection open."""

_WORD_LENGTH: Final = 40
"""Characters of a text that can say what a message is."""

_MAX_NAME_LENGTH: Final = 100
"""Characters of a key, or of a text that is the kind of a message, which a draft repeats."""

_MAX_KIND_NUMBER: Final = 2**53
_HEXADECIMAL_ID = re.compile(r"(?=.*\d)[0-9a-f-]{16,}\Z", re.IGNORECASE)
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*\Z", re.ASCII)


class Mark(StrEnum):
    """What a person says that a message is. It holds for other messages of the same kind as well."""

    REQUEST = "request"
    REPLY = "reply"
    EVENT = "event"
    ERROR = "error"
    IGNORED = "ignored"


class RecordedMessage(Record):
    """One message.

    Attributes:
        sent: Whether this side sent it.
        value: Parsed JSON, text or bytes.
        mark: What a person says that it is; None: the recorder finds out.
    """

    sent: bool
    value: Any
    mark: Mark | None = None

    @property
    def is_json(self) -> bool:
        """Return whether the message is a JSON object or array."""
        return isinstance(self.value, dict | list)


def sent_text(text: str) -> RecordedMessage:
    """Return a text message that was sent, as JSON if it is an object or an array.

    Other JSON stays text: a manifest cannot send a number as a message, and a JSON string would lose its quotes.
    """
    value = decode(text).value
    return RecordedMessage(True, value if isinstance(value, dict | list) else text)


def is_plain(text: str, length: int = _MAX_NAME_LENGTH) -> bool:
    """Return whether a draft may repeat a text of the endpoint: it is short, and nothing in it is invisible."""
    return len(text) <= length and text.isprintable()


def message_kind(value: Any) -> tuple[Path, Any] | None:
    """Return the path and the value of the kind of a message, or None if it has none."""
    if isinstance(value, dict):
        if (name := _kind_key(value)) is not None:
            return (name,), value[name]
        for holder in KIND_HOLDERS:
            if isinstance(held := value.get(holder), dict) and (name := _kind_key(held)) is not None:
                return (holder, name), held[name]
    if isinstance(value, list) and len(value) > 1 and isinstance(value[0], str) and _IDENTIFIER.match(value[0]):
        return ((0,), value[0]) if _is_kind(value[0]) else None
    return None


def is_heartbeat(value: Any) -> bool:
    """Return whether a message only keeps a connection open, by its kind."""
    kind = message_kind(value)
    return kind is not None and str(kind[1]).lower() in HEARTBEATS


def _kind_key(value: dict[str, Any]) -> str | None:
    """Return the key of an object whose value is its kind."""
    return next((name for name in KIND_KEYS if _is_kind(value.get(name))), None)


def _is_kind(value: Any) -> bool:
    if isinstance(value, str):
        return is_plain(value)
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_KIND_NUMBER


CATCH_ALL_PREDICATES: Final = frozenset({"message is string", "message is defined"})
"""Predicates for messages without a kind."""


def kind_predicate(value: Any) -> str:
    """Return a predicate that holds for messages of the same kind; for one without a kind it can be a catch-all."""
    if kind := message_kind(value):
        return f"{path_expression(kind[0])} == {literal(kind[1])}"
    if isinstance(value, dict) and (key := next(filter(is_plain, value), None)) is not None:
        return f"{path_expression((key,))} is defined"
    return "message is string" if isinstance(value, str) else "message is defined"


def alike(message: RecordedMessage, others: Collection[RecordedMessage]) -> bool:
    """Return whether a message has no mark and has a kind, which is that of one of the others."""
    kind = message_kind(message.value) if message.mark is None else None
    return kind is not None and any(message_kind(each.value) == kind for each in others)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield the path and the value of each field of a message; a list is one value, except at the root.

    What is below a key that no draft may repeat is left out.
    """
    if isinstance(value, dict) and value:
        for key in filter(is_plain, value):
            yield from leaves(value[key], (*path, key))
    elif isinstance(value, list) and not path:
        for index, item in enumerate(value):
            yield from leaves(item, (index,))
    else:
        yield path, value


def path_expression(path: Path) -> str:
    """Return the expression for a path in a message."""
    steps = (f".{step}" if isinstance(step, str) and _IDENTIFIER.match(step) else f"[{literal(step)}]" for step in path)
    return "message" + "".join(steps)


def literal(value: Any) -> str:
    """Return a number or a text as a literal of the expression language."""
    if not isinstance(value, str):
        return str(value)
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    for name in ("$", "vars"):  # a text of an endpoint must not become a reference to a variable
        escaped = re.sub(rf"{re.escape(name)}(?=[{{.\[])", _unicode_escape, escaped)
    return f"'{escaped}'"


def _unicode_escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0][0]):04x}{found[0][1:]}"


def distinguishing_predicate(wanted: Sequence[Any], others: Sequence[Any]) -> str | None:
    """Return a predicate that holds for all wanted messages and for none of the others, or None.

    The kind of the messages comes first, then a text or boolean that they share, then a key that only they have. No
    text comes from a field with the name of a secret: it is another one next time, and the draft is no place for it.
    """
    shared = [
        (path, item)
        for path, item in leaves(wanted[0])
        if path and all(value_at(each, path) == item for each in wanted)
    ]
    kind = message_kind(wanted[0])
    words = [
        (path, item)
        for path, item in shared
        if isinstance(item, bool) or (isinstance(item, str) and _is_word(item) and not _is_secret(path))
    ]
    for path, item in [*([kind] if kind in shared else []), *words]:
        if not any(value_at(each, path) == item and type(value_at(each, path)) is type(item) for each in others):
            return f"{path_expression(path)} == {str(item).lower() if isinstance(item, bool) else literal(item)}"
    keys = (path for path in _key_paths(wanted[0]) if all(value_at(each, path) is not UNDEFINED for each in wanted))
    own = (path for path in keys if all(value_at(each, path) is UNDEFINED for each in others))
    return next((f"{path_expression(path)} is defined" for path in own), None)


def _is_word(text: str) -> bool:
    """Return whether a text can say what messages are; an ID in hexadecimal is another one on the next connection."""
    return is_plain(text, _WORD_LENGTH) and not _HEXADECIMAL_ID.match(text)


def _is_secret(path: Path) -> bool:
    return any(isinstance(step, str) and is_secret_name(step) for step in path)


def _key_paths(value: Any) -> Iterator[Path]:
    yield from ((key,) for key in (value if isinstance(value, dict) else ()) if is_plain(key))
    yield from (path for path, _ in leaves(value) if len(path) > 1 and isinstance(path[-1], str))


def with_value(value: Any, path: Path, item: Any) -> Any:
    """Return a message with another value at a path."""
    if not path:
        return item
    if isinstance(value, dict):
        return {key: with_value(below, path[1:], item) if key == path[0] else below for key, below in value.items()}
    if isinstance(value, list):
        return [with_value(below, path[1:], item) if index == path[0] else below for index, below in enumerate(value)]
    return value


def unescape(line: str) -> str:
    """Return a line in which the escape sequences for characters that cannot be typed are replaced."""
    return _ESCAPE.sub(lambda found: chr(int(found[2], 16)) if found[2] else _ESCAPED[found[1]], line)


_ESCAPED: Final = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:([rnt0\\])|x([0-9A-Fa-f]{2}))")
