"""Convert values to WebSocket messages and back (manifest language, section 7).

A framer belongs to one connection, because some codecs split one value over several messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, Protocol, TypeVar

from ...errors import InvalidTemplate
from ...manifest.models.connection import Framing
from .message import Message, decode, encode, text_or_bytes

Payload = str | bytes
T = TypeVar("T", str, bytes)

BINARY_CODECS: Final = ("msgpack", "cbor", "mqtt")
"""Codecs whose messages are not readable text."""

MAX_JOINED_LENGTH: Final = 16 << 20
"""Characters or bytes of a message that spans WebSocket messages; the default limit of one WebSocket message."""


class Codec(Protocol):
    """Converts a value to messages, and a message to values."""

    def encode(self, value: Any) -> list[Payload]:
        """Return the messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """

    def decode(self, raw: Payload) -> Iterable[Message]:
        """Return the values in a message; what cannot be decoded is returned unchanged."""


@dataclass(frozen=True, slots=True)
class JsonCodec:
    """JSON where a message is JSON, else text or bytes; bytes are sent as a binary message.

    `in_binary`: binary messages that hold JSON objects and arrays are decoded, too.
    """

    in_binary: bool = False

    def encode(self, value: Any) -> list[Payload]:
        return [value if isinstance(value, bytes) else encode(value)]

    def decode(self, raw: Payload) -> list[Message]:
        if self.in_binary and isinstance(raw, bytes) and raw[:1] in (b"{", b"["):
            message = decode(text_or_bytes(raw))
            return [message if message.is_json else Message(raw, raw)]
        return [decode(raw)]


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


@dataclass(frozen=True, slots=True)
class PackedCodec:
    """A binary encoding of whole values (MessagePack, CBOR)."""

    pack: Callable[[Any], bytes]
    unpack: Callable[[bytes], Any]

    def encode(self, value: Any) -> list[Payload]:
        try:
            return [self.pack(value)]
        except Exception as error:  # an edge: the libraries have no common base class of errors
            raise ValueError(type(error).__name__) from None

    def decode(self, raw: Payload) -> list[Message]:
        if isinstance(raw, str):
            return [decode(raw)]
        try:
            return [Message(raw, self.unpack(raw), decoded=True)]
        except Exception:  # an edge: a message that cannot be decoded is passed on as bytes, whatever the reason
            return [Message(raw, raw)]


class DelimiterSplitter(Generic[T]):
    """Splits a stream of text or bytes at a separator, which may itself be split over two pieces."""

    def __init__(self, separator: T) -> None:
        self.separator: T = separator
        self._pieces: list[T] = []
        self._size = 0
        self._tail: T = separator[:0]

    def feed(self, piece: T) -> list[T]:
        """Return the messages that a piece completes; one that exceeds MAX_JOINED_LENGTH is returned incomplete."""
        self._pieces.append(piece)
        self._size += len(piece)
        # Only the end of what came before can be a part of the separator, so that a long message is joined once.
        seam = self._tail + piece
        if self.separator not in seam and self._size <= MAX_JOINED_LENGTH:
            self._tail = seam[-len(self.separator) :]
            return []
        *messages, rest = self.separator[:0].join(self._pieces).split(self.separator)
        if len(rest) > MAX_JOINED_LENGTH:
            messages, rest = [*messages, rest], self.separator[:0]
        self._pieces, self._size, self._tail = [rest], len(rest), rest[-len(self.separator) :]
        return messages


class Framer:
    """Encodes and decodes the messages of one connection."""

    def __init__(self, framing: Framing, codec: Codec, send_as: str | None = None) -> None:
        separator = framing.separator or ""
        self._text_splitter = DelimiterSplitter(separator)
        self._binary_splitter = DelimiterSplitter(separator.encode())
        self._framing = framing
        self._codec = codec
        self._send_as = send_as

    def encode(self, value: Any) -> list[Payload]:
        """Return the WebSocket messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """
        messages = self._codec.encode(value)
        if separator := self._framing.separator:
            messages = [_append_separator(message, separator) for message in messages]
        if self._send_as == "binary":
            return [message.encode() if isinstance(message, str) else message for message in messages]
        return messages

    def for_display(self, sent: Payload) -> Payload:
        """Return a message that was sent, for people: its value, if the message is binary only for the transport."""
        in_binary, packed = self._send_as == "binary", self._framing.codec in BINARY_CODECS
        if isinstance(sent, str) or not (in_binary or packed):
            return sent
        codec = _make_codec(self._framing.codec, in_binary)
        messages = list(codec.decode(sent))
        if len(messages) != 1 or (packed and not _round_trips(codec, messages[0].value, sent)):
            return sent
        return messages[0].for_display

    def decode(self, raw: Payload) -> Iterator[Message]:
        """Yield the messages in a WebSocket message, in order."""
        for part in self._split(raw):
            for message in self._codec.decode(part):
                if self._framing.batch and isinstance(message.value, list):
                    yield from (Message(message.raw, item, decoded=True) for item in message.value)
                else:
                    yield message

    def _split(self, raw: Payload) -> list[Payload]:
        if self._framing.separator is None:
            return [raw]
        parts = (
            self._split_with(self._text_splitter, raw)
            if isinstance(raw, str)
            else self._split_with(self._binary_splitter, raw)
        )
        return [part for part in parts if part]

    def _split_with(self, splitter: DelimiterSplitter[T], raw: T) -> list[T]:
        return splitter.feed(raw) if self._framing.spans_messages else raw.split(splitter.separator)


def make_framer(framing: Framing, send_as: str | None = None) -> Framer:
    """Return a framer for a new connection.

    Raises:
        InvalidTemplate: if the codec needs a package that is not installed.
    """
    return Framer(framing, _make_codec(framing.codec, send_as == "binary"), send_as)


def _round_trips(codec: Codec, value: Any, sent: bytes) -> bool:
    """Return whether a value is all of a message; codecs decode what servers send, not all that clients send."""
    try:
        return codec.encode(value) == [sent]
    except ValueError:
        return False


def _append_separator(message: Payload, separator: str) -> Payload:
    return message + separator.encode() if isinstance(message, bytes) else message + separator


def _make_codec(name: str, in_binary: bool) -> Codec:
    match name:
        case "text":
            return TextCodec()
        case "binary":
            return BinaryCodec()
        case "msgpack" | "cbor":
            return _make_packed_codec(name)
        case "stomp":
            from .stomp import StompCodec

            return StompCodec()
        case "socketio4":
            from .socketio import SocketIOCodec

            return SocketIOCodec()
        case "mqtt":
            from .mqtt import MqttCodec

            return MqttCodec()
        case _:
            return JsonCodec(in_binary)


def _make_packed_codec(name: str) -> PackedCodec:
    from .msgpack_cbor import LOADERS

    try:
        return PackedCodec(*LOADERS[name]())
    except ImportError:
        raise InvalidTemplate(
            f"the codec {name!r} needs a package that is not installed: pip install 'utcp-ws-mcp[{name}]'"
        ) from None
