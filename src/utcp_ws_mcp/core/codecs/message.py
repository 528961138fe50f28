"""Messages and values: encode what is sent, decode what arrives, and show both to people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from ...errors import quote_endpoint
from ...records import Record
from ..limits import MAX_MESSAGE_DEPTH
from . import json_text

REDACTION_WINDOW: Final = 1 << 16
"""Characters after the limit that are redacted before a text is cut; half of it is the longest secret that is found."""

_BINARY_DIGITS: Final = 48
"""Hexadecimal digits of binary data that are shown."""


class RejectedValue(ValueError):
    """A value that a codec or a filter cannot process. `code` is that of the error which reports it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


class UndecodableStream(Exception):
    """Incoming data after which the beginning of the next message is unknown, so that the connection must end."""


class MessageTooLarge(Exception):
    """An incoming message that inflates to, or announces, more bytes than `limits.max_message_bytes`."""


class UnframedMessage(Record):
    """A value to send as it is, without the codec and the framing of the connection (`$raw`)."""

    content: str | bytes


class MessageList(list[Any]):
    """Several messages to send, which one template gives (`$each`)."""


class Message(Record):
    """One incoming message.

    Attributes:
        raw: The message as it arrived.
        value: The parsed JSON; `raw` where the message is not JSON; what a codec decoded.
        decoded: Whether a codec decoded the value, so that the value is the payload, not `raw`.
        session: The captured values of the connection once it had processed this message; expressions on a message
            that waited see these, not the values of later messages. None: messages do not change these values.
    """

    raw: str | bytes
    value: Any
    decoded: bool = False
    session: Mapping[str, Any] | None = None

    def with_session(self, session: Mapping[str, Any]) -> Message:
        """Return the message with the captured values of its connection."""
        return Message(self.raw, self.value, self.decoded, session)

    @property
    def payload(self) -> Any:
        """Return the value that a codec decoded, else the message as it arrived."""
        return self.value if self.decoded else self.raw

    @property
    def for_display(self) -> str | bytes:
        """Return the message for people: the JSON of what a codec decoded, else the message as it arrived."""
        return encode_json(to_json_safe(self.value, show_bytes=mark_bytes)) if self.decoded else self.raw

    @property
    def size(self) -> int:
        """Return the size of the message in bytes."""
        raw = self.raw
        return len(raw) if isinstance(raw, bytes) or raw.isascii() else len(raw.encode("utf-8", "replace"))

    @property
    def is_json(self) -> bool:
        """Return whether the message is JSON, or a codec decoded it."""
        return self.value is not self.raw


def encode(value: Any) -> str:
    """Return a message to send: text unchanged, any other value as strict JSON.

    Raises:
        RejectedValue: if the value cannot be written as JSON (NaN, bytes).
        UnicodeEncodeError: if it contains a character that UTF-8 cannot encode.
    """
    text = value if isinstance(value, str) else encode_json(value)
    if not text.isascii():
        text.encode()
    return text


def encode_json(value: Any) -> str:
    """Return a value as compact, strict JSON.

    Raises:
        RejectedValue: if the value cannot be written as JSON.
    """
    try:
        return json_text.encode(value)
    except TypeError:
        raise RejectedValue(
            "JSON cannot contain binary data. Encode it with a filter such as base64.", code="binary-in-text"
        ) from None
    except (ValueError, RecursionError):
        raise RejectedValue(
            "a value cannot be written as JSON: it contains a number that JSON does not have, or is nested too deeply.",
            code="not-json",
        ) from None


def decode(raw: str | bytes) -> Message:
    """Decode one incoming message; what is not JSON stays text or bytes, because many APIs send both."""
    if isinstance(raw, str) and (text := raw.strip(_AROUND_JSON))[:1] in _JSON_STARTS:
        try:
            return Message(raw, json_text.parse(text))
        except (ValueError, RecursionError):
            pass
    return Message(raw, raw)


def member_message(value: Any) -> Message:
    """Return a member of an array as a message of its own, whose size is that of the member."""
    try:
        raw = json_text.encode(value)
    except (TypeError, ValueError, RecursionError):  # it has bytes, infinities, or too many levels
        raw = encode_json(to_json_safe(value))
    return Message(raw, value, decoded=True)


def decode_values(raw: str) -> list[Message]:
    """Decode a text message that may hold several JSON objects and arrays in a row, each as a message of its own.

    Nothing, white space, a record separator, a NUL or a byte order mark may be between them. Any other text, and one
    with more than MAX_VALUES of them, is one message.
    """
    message = decode(raw)
    if message.value is not raw:  # it is JSON
        return [message]
    parts: list[Message] = []
    position = _skip(raw, 0)
    while position < len(raw):
        if raw[position] not in "{[" or len(parts) == MAX_VALUES:
            return [message]
        try:
            value, end = json_text.DECODER.raw_decode(raw, position)
        except (ValueError, RecursionError):
            return [message]
        parts.append(Message(raw[position:end], value))
        position = _skip(raw, end)
    return parts if len(parts) > 1 else [message]


def _skip(text: str, position: int) -> int:
    """Return where the next character is that may not stand between JSON values."""
    while position < len(text) and text[position] in _AROUND_JSON:
        position += 1
    return position


_JSON_STARTS = frozenset('{["-0123456789tfn')
_AROUND_JSON: Final = " \t\r\n\0\ufeff\x1e"
"""What may stand around a JSON value: white space, NUL (C strings), the byte order mark, the separator of RFC 7464."""

MAX_VALUES: Final = 10_000
"""JSON values in a row in one text message; a text with more of them is left as it is."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(text: str) -> Any:
    """Parse JSON; NaN and the infinities become their names, because JSON has no such numbers (RFC 8259 §6).

    What may stand around JSON, such as a byte order mark, is ignored.

    Raises:
        ValueError: if it is not JSON, nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return json_text.parse(text.strip(_AROUND_JSON))
    except RecursionError:
        raise ValueError("nested too deeply") from None


MAX_INTEGER_BITS: Final = 8192
"""Bits of an integer that is written in decimal digits; Python refuses to convert very long ones."""


def mark_bytes(data: bytes) -> str:
    """Return bytes inside a value for people: their length, and the bytes in hexadecimal."""
    return f"<{len(data)} bytes: 0x{data.hex()}>"


def to_json_safe(value: Any, depth: int = MAX_MESSAGE_DEPTH, *, show_bytes: Callable[[bytes], str] = bytes.hex) -> Any:
    """Return a value that can be encoded as JSON, whatever the value is.

    Lone surrogates become U+FFFD, NaN and the infinities their names, bytes what `show_bytes` makes of them, very long
    integers hexadecimal, and what is nested more deeply than `depth` a note.
    """
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case bytes():
            return show_bytes(value)
        case int() if value.bit_length() > MAX_INTEGER_BITS:
            return hex(value)
        case dict() | list() | tuple() if depth == 0:
            return "… nested too deeply"
        case dict():
            items = value.items()
            return {_json_key(key): to_json_safe(item, depth - 1, show_bytes=show_bytes) for key, item in items}
        case list() | tuple():
            return [to_json_safe(item, depth - 1, show_bytes=show_bytes) for item in value]
        case None | bool() | int() | float():
            return value
        case _:
            return str(value)


def _json_key(key: Any) -> str:
    """Return a key of an object: text unchanged, anything else as its JSON."""
    safe = to_json_safe(key)
    return safe if isinstance(safe, str) else encode_json(safe)


def text_or_bytes(data: bytes) -> str | bytes:
    """Return bytes as text if they are UTF-8, else unchanged."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def excerpt(raw: str | bytes, limit: int = 200, redact: Callable[[str], str] = str) -> str:
    """Return the beginning of a message for an error or a log: printable, on one line; binary data in hex.

    `redact` removes secrets before the text is cut to `limit` characters: half of a secret would not be recognized.
    """
    if isinstance(raw, bytes):
        text = text_or_bytes(raw)
        if isinstance(text, str) and "".join(text.split()).isprintable() and text.strip():
            return f"{len(raw)} bytes of binary data, as text: {excerpt(text, limit, redact)}"
        shown = redact_beginning(raw[:REDACTION_WINDOW].hex(), _BINARY_DIGITS, redact)
        cut = len(raw) > REDACTION_WINDOW or len(shown) > _BINARY_DIGITS
        return f"{len(raw)} bytes of binary data, 0x{shown[:_BINARY_DIGITS]}" + ("…" if cut else "")
    shown = redact_beginning(raw.strip(" \t\r\n"), limit, redact)
    return _make_visible(shown[:limit]) + ("…" if len(shown) > limit else "")


def _make_visible(text: str) -> str:
    """Return a text on one line; characters that cannot be seen, such as NUL or a byte order mark, as their number."""
    return "".join(char if char.isprintable() else " " if char in "\t\r\n" else f"\\u{ord(char):04x}" for char in text)


def redact_beginning(text: str, limit: int, redact: Callable[[str], str]) -> str:
    """Return at least `limit` redacted characters of a text, if it has as many; the caller cuts the rest.

    A message may have many megabytes, so only the beginning is redacted. Its last characters are dropped, because a
    secret that the cut has split would be among them.
    """
    size = limit + REDACTION_WINDOW
    return redact(text) if len(text) <= size else redact(text[:size])[: -(REDACTION_WINDOW // 2)]


def http_error_detail(status: int, body: bytes, redact: Callable[[str], str] = str) -> str:
    """Return the reason in an HTTP error response, for an error text; empty for HTML, binary data and success."""
    text = text_or_bytes(body)
    words = " ".join(text.split()) if isinstance(text, str) else ""
    if status < 400 or not words or words.startswith("<"):
        return ""
    return f"; {quote_endpoint(excerpt(words, redact=redact))}"
