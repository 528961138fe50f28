"""Convert values to WebSocket messages and back (manifest language, section 7).

What arrives passes through layers: a compressed connection is inflated, messages are found by a separator, a header or
a length, each body is inflated, and the codec makes a value of it. What is sent passes through them backwards.

A framer belongs to one connection, because some layers split one value over several WebSocket messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from ...manifest.models.framing import Compression, Framing
from ..limits import MAX_REQUEST_BYTES
from .binary import as_binary
from .codec_factory import BINARY_CODECS, make_codec
from .compression import Method, StreamInflater, load_method
from .message import (
    Message,
    MessageList,
    MessageTooLarge,
    RejectedValue,
    UndecodableStream,
    UnframedMessage,
    decode,
    member_message,
    text_or_bytes,
)
from .protobuf import ProtobufCodec, ProtobufSchema
from .splitting import DelimiterSplitter, Frame, Splitter, T, make_splitter
from .values import Codec, JsonCodec, Payload

DEFAULT_MAX_BYTES: Final = 16 << 20
"""The default of `limits.max_message_bytes`."""
MAX_UNFIT_BYTES: Final = 1 << 16
"""Bytes of a WebSocket message that are kept because it does not consist of whole messages."""


class Framer:
    """Encodes and decodes the messages of one connection.

    Args:
        framing: The framing.
        codec: Its codec.
        send_as: The type of the WebSocket messages that are sent, or None for that of the codec.
        max_bytes: The bytes that a WebSocket message may inflate to, and that a body may have.
    """

    def __init__(self, framing: Framing, codec: Codec, send_as: str | None, max_bytes: int) -> None:
        self._framing = framing
        self._codec = codec
        self._send_as = send_as
        self._max_bytes = max_bytes
        self._splitter = make_splitter(framing, max_bytes)
        separator = framing.separator or ""
        self._text_splitter = DelimiterSplitter(separator)
        self._binary_splitter = DelimiterSplitter(separator.encode())
        compression = framing.compression
        self._method: Method | None = None
        self._inflater: StreamInflater | None = None
        self._deflate_body: Callable[[bytes], bytes] | None = None
        self._deflate_whole: Callable[[bytes], bytes] | None = None
        if compression is not None:
            self._use(compression)
        self._unfit = b""  # the last WebSocket message that does not consist of whole messages
        self._inflated: list[bytes] = []
        self._budget = max_bytes
        has_layers = self._splitter is not None or framing.separator or compression is not None or framing.batch
        self._is_plain = isinstance(codec, JsonCodec) and not has_layers

    def _use(self, compression: Compression) -> None:
        """Choose what inflates and deflates: each body behind its header, each message, or the connection."""
        method = self._method = load_method(compression.method)
        if compression.context == "connection":
            self._inflater = StreamInflater(method)
            self._deflate_whole = method.open_deflater() if compression.send else None
        elif compression.send and self._splitter is not None:
            self._deflate_body = method.deflate
        elif compression.send:
            self._deflate_whole = method.deflate

    # Sending

    def encode(self, value: Any) -> list[Payload]:
        """Return the WebSocket messages for a value.

        Raises:
            ValueError: if the value cannot be encoded.
        """
        if not isinstance(value, MessageList):
            return self._encode(value)
        messages: list[Payload] = []
        size = 0
        for each in value:
            encoded = self._encode(each)
            size += sum(map(len, encoded))
            if size > MAX_REQUEST_BYTES:
                raise RejectedValue(
                    f'the messages of "$each" have more than {MAX_REQUEST_BYTES >> 20} MiB in total. Send less.',
                    code="request-too-large",
                )
            messages += encoded
        return messages

    def _encode(self, value: Any) -> list[Payload]:
        if isinstance(value, UnframedMessage):
            messages = [value.content]
        elif self._is_plain:
            messages = self._codec.encode(value)
        else:
            messages = [self._compress(message) for message in self._frame(value)]
        if self._send_as == "binary":
            return [message.encode() if isinstance(message, str) else message for message in messages]
        return messages

    def _frame(self, value: Any) -> list[Payload]:
        """Return the messages for a value with their headers, lengths and separators."""
        splitter, header, body = self._splitter, None, value
        if splitter is None:
            messages = self._codec.encode(value)
            separator = self._framing.separator
            return [_append(message, separator) for message in messages] if separator else messages
        if self._framing.has_header:
            header, body = _header_and_body(value, text=splitter.is_text)
            if body is None and splitter.is_text:
                return [text_or_bytes(splitter.join(None, header))]
        bodies = [b""] if body is None else self._codec.encode(body)
        data = [each.encode() if isinstance(each, str) else each for each in bodies]
        if self._deflate_body is not None:
            data = [self._deflate_body(each) for each in data]
        framed = [splitter.join(each, header) for each in data]
        # A header in text is sent as text where the body is text, as servers expect that speak text.
        is_text = splitter.is_text and all(isinstance(each, str) for each in bodies)
        return [text_or_bytes(each) for each in framed] if is_text else list(framed)

    def _compress(self, message: Payload) -> Payload:
        """Return a message compressed as a whole, if that is what the framing says."""
        if self._deflate_whole is None:
            return message
        return self._deflate_whole(message.encode() if isinstance(message, str) else message)

    def for_display(self, sent: Payload) -> Payload:
        """Return a message that was sent, for people: its value, if the message is binary only for the transport."""
        framing = self._framing
        packed = framing.codec in BINARY_CODECS or self._splitter is not None or framing.compression is not None
        if isinstance(sent, str) or not (self._send_as == "binary" or packed):
            return sent
        alone = framing.model_copy(update={"spans_messages": False})
        other = Framer(alone, self._codec_for_display(), self._send_as, self._max_bytes)
        try:
            messages = list(other.decode(sent))
            if len(messages) != 1 or (packed and other.encode(messages[0].value) != [sent]):
                return sent
        except (ValueError, MessageTooLarge, UndecodableStream):
            return sent
        return messages[0].for_display

    def _codec_for_display(self) -> Codec:
        """Return a codec for one message, which has no part in the state of this connection."""
        if isinstance(self._codec, ProtobufCodec):
            return self._codec.reversed()
        return make_codec(self._framing, self._send_as, None)

    # Receiving

    def decode(self, raw: Payload) -> Iterator[Message]:
        """Return the messages in a WebSocket message, in order.

        Raises:
            MessageTooLarge: from the iterator, if a message is, or inflates to, more bytes than are allowed.
            UndecodableStream: from the iterator, if nothing that follows can be decoded.
        """
        return iter(self._codec.decode(raw)) if self._is_plain else self._decode_layers(raw)

    def _decode_layers(self, raw: Payload) -> Iterator[Message]:
        self._budget = self._max_bytes
        batch = self._framing.batch
        for message in self._decode_unbatched(raw):
            if isinstance(batch, str):
                yield from self._take_prefixed_batch(message, batch)
            elif batch and isinstance(message.value, list):
                yield from map(member_message, message.value)
            else:
                yield message

    def _take_prefixed_batch(self, message: Message, prefix: str) -> Iterator[Message]:
        """Yield the messages of an array behind a prefix, `a["{}"]` in SockJS; a text in it is what the codec reads."""
        text = message.value
        items = decode(text[len(prefix) :]).value if isinstance(text, str) and text.startswith(prefix) else None
        if not isinstance(items, list):
            yield message
            return
        for item in items:
            if isinstance(item, str):
                yield from self._codec.decode(item)
            else:
                yield member_message(item)

    def _decode_unbatched(self, raw: Payload) -> Iterator[Message]:
        if self._inflater is not None and isinstance(raw, bytes):
            inflated = self._inflate_stream(self._inflater, raw)
            if inflated is None:
                return
            raw = inflated
        splitter = self._splitter
        if splitter is None:
            yield from self._decode_separated(self._inflate(raw))
        elif isinstance(raw, str) and not splitter.is_text:
            yield from self._codec.decode(raw)  # text messages have no binary header
        else:
            data = raw.encode("utf-8", "replace") if isinstance(raw, str) else raw
            yield from self._decode_frames(splitter, data, is_text=isinstance(raw, str))

    def _decode_frames(self, splitter: Splitter, data: bytes, *, is_text: bool) -> Iterator[Message]:
        """Yield the messages that the data of a WebSocket message completes; `is_text`: it was a text message."""
        try:
            for frame in splitter.feed(data):
                if not frame.whole:
                    self._unfit = data[:MAX_UNFIT_BYTES]
                if frame.whole or frame.body is None or not is_text:
                    yield from self._decode_frame(frame)
                else:
                    rest = text_or_bytes(frame.body)
                    yield Message(rest, rest)
        except (UndecodableStream, MessageTooLarge):
            self._unfit = data[:MAX_UNFIT_BYTES]
            raise

    def explain_misfit(self, message: Message | None = None) -> str:
        """Return what to write if a WebSocket message does not consist of whole messages; else nothing.

        If no other `length` fits it either, that is said only of a message that is a part of it.
        """
        pending = b"" if self._splitter is None else self._splitter.pending[:MAX_UNFIT_BYTES]
        unfit = self._unfit or pending
        if not unfit or self._framing.length is None:
            return ""
        from .misfit import describe_misfit, suggest_length  # only for errors

        if fitting := suggest_length(self._framing, unfit, self._decode_alone):
            return f'A WebSocket message does not fit "length" of "framing". It would with {fitting}.'
        if unfit is pending:
            count = "1 byte" if len(pending) == 1 else f"{len(pending):,} bytes"
            return f"The end of a message is missing: only {count} of it came."
        raw = b"" if message is None or message.is_json else message.raw
        if not raw or not unfit.endswith(raw.encode() if isinstance(raw, str) else raw):
            return ""
        reason = describe_misfit(self._framing, unfit, self._max_bytes)
        return f'It is the rest of a WebSocket message that does not fit "length" of "framing": {reason}.'

    def _decode_alone(self, framing: Framing, data: bytes) -> list[Message] | None:
        """Return the messages in data by another framing, or None if it does not consist of whole messages."""
        codec = self._codec if isinstance(self._codec, ProtobufCodec) else make_codec(framing, None, None)
        other = Framer(framing, codec, None, self._max_bytes)
        try:
            messages = list(other.decode(data))
        except (MessageTooLarge, UndecodableStream):
            return None
        return None if other._unfit else messages

    def _decode_separated(self, raw: Payload) -> Iterator[Message]:
        separator = self._framing.separator
        if separator is None:
            yield from self._codec.decode(raw)
            return
        parts: list[Payload] = [
            *(
                self._split_with(self._text_splitter, raw)
                if isinstance(raw, str)
                else self._split_with(self._binary_splitter, raw)
            )
        ]
        for part in parts:
            if part:
                yield from self._codec.decode(part)

    def _split_with(self, splitter: DelimiterSplitter[T], raw: T) -> list[T]:
        return splitter.feed(raw) if self._framing.spans_messages else raw.split(splitter.separator)

    def _decode_frame(self, frame: Frame, *, inflate: bool = True) -> Iterator[Message]:
        """Yield the messages in a frame: one, or those that its body inflates to."""
        body, compression = frame.body, self._framing.compression
        if not frame.whole and body is not None:
            yield Message(body, body)
            return
        if body is None:
            header = frame.header or ""
            yield Message(header, {"header": header, "body": None}, decoded=True)
            return
        data = self._inflate(body) if inflate else body
        if data is not body and compression is not None and compression.nested and isinstance(data, bytes):
            from .binary_splitting import BinarySplitter  # the splitter of the connection is one already

            alone = self._framing.model_copy(update={"spans_messages": False})
            for inner in BinarySplitter(alone, self._max_bytes).feed(data):
                yield from self._decode_frame(inner, inflate=False)
            return
        for message in self._codec.decode(data):
            if frame.header is None:
                yield message
            else:
                value = {"header": as_binary(frame.header), "body": as_binary(message.value)}
                yield Message(message.raw, value, decoded=True)

    def _inflate(self, raw: Payload) -> Payload:
        """Return what a message inflates to; one that is not compressed is returned unchanged."""
        if self._method is None or self._inflater is not None or isinstance(raw, str):
            return raw
        inflated = self._method.inflate(raw, self._budget)
        if inflated is None:
            return raw
        self._budget -= len(inflated)
        return inflated

    def _inflate_stream(self, inflater: StreamInflater, data: bytes) -> bytes | None:
        """Return the next bytes of a compressed connection, or None where the message goes on in the next one."""
        limit = self._budget - sum(map(len, self._inflated))
        self._inflated.append(inflater.inflate(data, limit))
        if not inflater.ends_message(data) and not self._framing.spans_messages:
            return None
        inflated = b"".join(self._inflated)
        self._inflated.clear()
        return inflated


def make_framer(
    framing: Framing,
    send_as: str | None = None,
    *,
    max_bytes: int = DEFAULT_MAX_BYTES,
    schema: ProtobufSchema | None = None,
) -> Framer:
    """Return a framer for a new connection.

    Args:
        framing: The framing.
        send_as: The type of the WebSocket messages that are sent, or None for that of the codec.
        max_bytes: `limits.max_message_bytes`.
        schema: The schema of the codec `protobuf`.

    Raises:
        InvalidTemplate: if the codec or the compression needs a package that is not installed.
    """
    return Framer(framing, make_codec(framing, send_as, schema), send_as, max_bytes)


def _header_and_body(value: Any, *, text: bool) -> tuple[Any, Any]:
    """Return the header and the body of a value to send; text alone is a header in text."""
    if text and isinstance(value, str):
        return value, None
    is_message = isinstance(value, dict) and bool(value) and value.keys() <= {"header", "body"}
    header = value.get("header") if is_message else None
    if not is_message or not isinstance(header, str if text else str | bytes | None):
        kind = "text" if text else "bytes"
        raise RejectedValue(
            f'the value is no message with a header. Write {{"header": {kind}, "body": …}}.', code="invalid-packet"
        )
    return header, value.get("body")


def _append(message: Payload, separator: str) -> Payload:
    return message + separator.encode() if isinstance(message, bytes) else message + separator
