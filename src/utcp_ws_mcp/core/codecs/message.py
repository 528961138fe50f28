"""Messages and values: encode what is sent, decode what arrives, and show both to people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from ...errors import quote_endpoint
from ..limits import MAX_MESSAGE_DEPTH

REDACTION_WINDOW: Final = 1 << 16
"""Characters after the limit that are redacted before a text is cut; half of it is the longest secret that is found."""

_BINARY_DIGITS: Final = 48
"""Hexadecimal digits of binary data that are shown."""


class RejectedValue(ValueError):
    """A value that a codec or a filter cannot process. `code` is that of the error which reports it."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """One incoming message.

    Attributes:
        raw: The message as it arrived.
        value: The parsed JSON; `raw` where the message is not JSON; what a codec decoded.
        decoded: Whether a codec decoded the value, so that the value is the payload, not `raw`.
    """

    raw: str | bytes
    value: Any
    decoded: bool = False

    @property
    def payload(self) -> Any:
        """Return the value that a codec decoded, else the message as it arrived."""
        return self.value if self.decoded else self.raw

    @property
    def for_display(self) -> str | bytes:
        """Return the message for people: the JSON of what a codec decoded, else the message as it arrived."""
        return encode_json(to_json_safe(self.value)) if self.decoded else self.raw

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
        return _ENCODER.encode(value)
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
    if isinstance(raw, str) and raw.lstrip()[:1] in _JSON_STARTS:
        try:
            return Message(raw, parse_json(raw))
        except ValueError:
            pass
    return Message(raw, raw)


_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_DECODER = json.JSONDecoder(parse_constant=str)
_JSON_STARTS = frozenset('{["-0123456789tfn')
_SURROGATE = re.compile("[\ud800-\udfff]")


def parse_json(text: str) -> Any:
    """Parse JSON; NaN and the infinities become their names, because JSON has no such numbers (RFC 8259 §6).

    Raises:
        ValueError: if it is not JSON, nested too deeply, or holds a number of thousands of digits.
    """
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


MAX_INTEGER_BITS: Final = 8192
"""Bits of an integer that is written in decimal digits; Python refuses to convert very long ones."""


def to_json_safe(value: Any, depth: int = MAX_MESSAGE_DEPTH) -> Any:
    """Return a value that can be encoded as JSON, whatever the value is.

    Lone surrogates become U+FFFD, NaN and the infinities their names, bytes and very long integers hexadecimal, and
    what is nested more deeply than `depth` a note.
    """
    match value:
        case str():
            return value if value.isascii() else _SURROGATE.sub("\ufffd", value)
        case float() if not math.isfinite(value):
            return json.dumps(value)
        case bytes():
            return value.hex()
        case int() if value.bit_length() > MAX_INTEGER_BITS:
            return hex(value)
        case dict() | list() | tuple() if depth == 0:
            return "… nested too deeply"
        case dict():
            return {_json_key(key): to_json_safe(item, depth - 1) for key, item in value.items()}
        case list() | tuple():
            return [to_json_safe(item, depth - 1) for item in value]
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
            return f"{len(raw)} bytes of text: {excerpt(text, limit, redact)}"
        shown = redact_beginning(raw[:REDACTION_WINDOW].hex(), _BINARY_DIGITS, redact)
        cut = len(raw) > REDACTION_WINDOW or len(shown) > _BINARY_DIGITS
        return f"{len(raw)} bytes of binary data, 0x{shown[:_BINARY_DIGITS]}" + ("…" if cut else "")
    shown = redact_beginning(raw.strip(), limit, redact)
    printable = "".join(char if char.isprintable() else " " for char in shown[:limit])
    return str(to_json_safe(printable)) + ("…" if len(shown) > limit else "")


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
