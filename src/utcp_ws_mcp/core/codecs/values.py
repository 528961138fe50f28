"""Codecs that need no state: JSON, text, bytes, and binary encodings of whole values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final, Literal, Protocol

from ...records import Record
from .message import Message, RejectedValue, decode, decode_values, encode, text_or_bytes

Payload = str | bytes
_AROUND: Final = b" \t\r\n\0\x1e" + b"\xef\xbb\xbf"
"""What may stand before JSON in bytes, with the byte order mark in UTF-8."""


class Codec(Protocol):
    """Converts a value to messages, and a message to values."""

    def encode(self, value: Any) -> list[Payload]:
        """Return the messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """

    def decode(self, raw: Payload) -> Iterable[Message]:
        """Return the values in a message; what cannot be decoded is returned unchanged."""


class JsonCodec(Record):
    """JSON where a message is JSON, else text or bytes; bytes are sent as a binary message.

    `binary` says what incoming bytes are: "bytes", "json" (JSON if they hold an object or an array, else bytes) or
    "text" (the same as text where they are UTF-8).
    """

    binary: Literal["bytes", "json", "text"] = "bytes"

    def encode(self, value: Any) -> list[Payload]:
        return [value if isinstance(value, bytes) else encode(value)]

    def decode(self, raw: Payload) -> list[Message]:
        if isinstance(raw, str):
            return decode_values(raw)
        may_be_text = self.binary == "text" or (self.binary == "json" and raw[:16].lstrip(_AROUND)[:1] in (b"{", b"["))
        text = text_or_bytes(raw) if may_be_text else raw
        messages = decode_values(text) if isinstance(text, str) else [Message(raw, raw)]
        return messages if self.binary == "text" or messages[0].is_json else [Message(raw, raw)]


class TextCodec:
    """Text, never parsed as JSON; binary messages are decoded as UTF-8."""

    def encode(self, value: Any) -> list[Payload]:
        return [value if isinstance(value, bytes) else encode(value)]

    def decode(self, raw: Payload) -> list[Message]:
        text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
        return [Message(text, text)]


class BinaryCodec:
    """Bytes in both directions; text is sent as UTF-8."""

    def encode(self, value: Any) -> list[Payload]:
        return [value if isinstance(value, bytes) else encode(value).encode()]

    def decode(self, raw: Payload) -> list[Message]:
        data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
        return [Message(data, data)]


class PackedCodec(Record):
    """A binary encoding of whole values (MessagePack, CBOR)."""

    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]

    def encode(self, value: Any) -> list[Payload]:
        try:
            return [self.pack(value)]
        except Exception as error:  # an edge: the libraries have no common base class of errors
            raise RejectedValue(
                f"the codec cannot encode this value ({type(error).__name__}).", code="not-json"
            ) from None

    def decode(self, raw: Payload) -> list[Message]:
        if isinstance(raw, str):
            return [decode(raw)]
        try:
            return [Message(raw, self.unpack(raw), decoded=True)]
        except Exception:  # an edge: a message that cannot be decoded is passed on as bytes, whatever the reason
            return [Message(raw, raw)]
