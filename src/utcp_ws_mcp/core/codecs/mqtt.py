"""MQTT 3.1.1 control packets as objects (OASIS standard, chapters 2 and 3).

`{"type": "publish", "topic", "payload", "qos", "retain", "packet_id"}`, `{"type": "connect", "client_id", …}` and so
on; payloads are text where they are UTF-8, else bytes. A WebSocket message may hold a part of a packet or several
(section 6 of the standard).

Written by hand because the client libraries own their sockets: none has a codec that takes pieces of a stream, is
bounded, and returns plain values whatever arrives.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any, Final

from .binary import as_binary
from .message import Message, RejectedValue, encode_json, text_or_bytes

_TYPES: Final = (
    *("", "connect", "connack", "publish", "puback", "pubrec", "pubrel", "pubcomp", "subscribe", "suback"),
    *("unsubscribe", "unsuback", "pingreq", "pingresp", "disconnect"),
)
_FLAGS: Final = {"pubrel": 2, "subscribe": 2, "unsubscribe": 2}
_MALFORMED: Final[dict[str, Any]] = {"type": "malformed"}
MAX_PACKET_BYTES: Final = 16 << 20
"""Bytes of a packet without its fixed header; the standard allows 256 MiB."""


class MqttCodec:
    """MQTT control packets in binary messages; a malformed one becomes `{"type": "malformed"}`."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def encode(self, value: Any) -> list[str | bytes]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind not in _TYPES[1:]:
            raise RejectedValue(
                'the value is not an MQTT packet. Write {"type": "publish", "topic": …, "payload": …} or another '
                "known type.",
                code="invalid-packet",
            )
        try:
            flags, body = _encode_body(kind, value)
        except (KeyError, struct.error, AttributeError, TypeError, OverflowError) as error:
            raise RejectedValue(_wrong_field(kind, value, error), code="invalid-packet") from None
        return [bytes([_TYPES.index(kind) << 4 | flags]) + _encode_length(len(body)) + body]

    def decode(self, raw: str | bytes) -> Iterator[Message]:
        if isinstance(raw, str):
            yield Message(raw, raw)
            return
        self._buffer += raw
        position = 0
        while position < len(self._buffer):
            try:
                bounds = _find_packet(self._buffer, position)
            except ValueError:  # without a length, nothing after this can be decoded
                yield Message(bytes(self._buffer[position:]), _MALFORMED, decoded=True)
                self._buffer.clear()
                return
            if bounds is None:
                break
            first, (start, position) = self._buffer[position], bounds
            body = bytes(self._buffer[start:position])
            try:
                packet = _parse_packet(_TYPES[first >> 4] if first >> 4 < len(_TYPES) else "", first & 15, body)
            except (struct.error, IndexError, UnicodeDecodeError):
                packet = _MALFORMED
            yield Message(body, packet, decoded=True)
        del self._buffer[:position]


def _encode_body(kind: str, value: dict[str, Any]) -> tuple[int, bytes]:
    match kind:
        case "connect":
            return 0, _encode_connect(value)
        case "publish":
            qos = int(value.get("qos", 0))
            flags = qos << 1 | bool(value.get("retain")) | bool(value.get("dup")) << 3
            number = struct.pack(">H", value["packet_id"]) if qos else b""
            return flags, _encode_topic(value["topic"]) + number + _encode_payload(value.get("payload", ""))
        case "subscribe":
            topics = [topic if isinstance(topic, dict) else {"topic": topic} for topic in value["topics"]]
            listed = b"".join(_encode_text(topic["topic"]) + bytes([topic.get("qos", 0)]) for topic in topics)
            return _FLAGS[kind], struct.pack(">H", value["packet_id"]) + listed
        case "unsubscribe":
            return _FLAGS[kind], struct.pack(">H", value["packet_id"]) + b"".join(map(_encode_text, value["topics"]))
        case "pingreq" | "pingresp" | "disconnect":
            return 0, b""
        case "puback" | "pubrec" | "pubrel" | "pubcomp" | "unsuback":
            return _FLAGS.get(kind, 0), struct.pack(">H", value["packet_id"])
        case _:
            raise RejectedValue(f"only a server sends the MQTT packet {kind!r}.", code="invalid-packet")


def _encode_topic(topic: str) -> bytes:
    """Return the name of a topic that is published to: no pattern of topics (section 3.3.2.1 of the standard)."""
    if "+" in topic or "#" in topic:
        raise RejectedValue(
            "the topic contains a wildcard, '+' or '#', which only subscriptions may. Remove it.", code="invalid-packet"
        )
    return _encode_text(topic)


def _encode_connect(value: dict[str, Any]) -> bytes:
    will, user, password = value.get("will"), value.get("username"), value.get("password")
    flags = 2 * bool(value.get("clean_session", True)) | 0x80 * (user is not None) | 0x40 * (password is not None)
    payload = _encode_text(value.get("client_id", ""))
    if will is not None:
        flags |= 4 | int(will.get("qos", 0)) << 3 | 0x20 * bool(will.get("retain"))
        message = _encode_payload(will.get("payload", ""))
        payload += _encode_topic(will["topic"]) + struct.pack(">H", len(message)) + message
    payload += b"".join(_encode_text(part) for part in (user, password) if part is not None)
    return _encode_text("MQTT") + bytes([4, flags]) + struct.pack(">H", value.get("keep_alive", 60)) + payload


def _parse_packet(kind: str, flags: int, body: bytes) -> dict[str, Any]:
    match kind:
        case "connack":
            return {"type": kind, "session_present": bool(body[0] & 1), "code": body[1]}
        case "publish":
            size = struct.unpack_from(">H", body)[0]
            topic, rest, qos = body[2 : 2 + size].decode(), body[2 + size :], flags >> 1 & 3
            if len(body) < 2 + size or qos == 3:
                raise IndexError
            number = struct.unpack_from(">H", rest)[0] if qos else None
            payload = as_binary(text_or_bytes(rest[2:] if qos else rest))
            packet = {"type": kind, "topic": topic, "payload": payload, "qos": qos}
            return packet | {"retain": bool(flags & 1)} | ({"packet_id": number} if qos else {})
        case "suback":
            return {"type": kind, "packet_id": struct.unpack_from(">H", body)[0], "codes": list(body[2:])}
        case "puback" | "pubrec" | "pubrel" | "pubcomp" | "unsuback":
            return {"type": kind, "packet_id": struct.unpack_from(">H", body)[0]}
        case _:
            return {"type": kind or "malformed"}


def _find_packet(buffer: bytearray, position: int) -> tuple[int, int] | None:
    """Return where the body of a packet starts and ends, or None while it is incomplete (section 2.2.3).

    Raises:
        ValueError: if its remaining length is malformed or too large.
    """
    size = 0
    for digit in range(1, 5):
        if position + digit >= len(buffer):
            return None
        byte = buffer[position + digit]
        size |= (byte & 127) << 7 * (digit - 1)
        if byte < 128:
            start = position + digit + 1
            if size > MAX_PACKET_BYTES:
                raise RejectedValue("the packet has more than 16 MiB.", code="invalid-frame")
            return (start, start + size) if len(buffer) >= start + size else None
    raise RejectedValue("the length has more than four digits.", code="invalid-frame")


def _encode_length(size: int) -> bytes:
    if size > MAX_PACKET_BYTES:
        raise RejectedValue("the MQTT packet has more than 16 MiB.", code="invalid-packet")
    digits = bytearray()
    while True:
        size, digit = size >> 7, size & 127
        digits.append(digit | (128 if size else 0))
        if not size:
            return bytes(digits)


def _encode_text(text: str) -> bytes:
    if "\0" in text:  # no text of MQTT may (section 1.5.3 of the standard); a broker closes the connection
        raise RejectedValue("a text of the MQTT packet contains NUL. Remove it.", code="invalid-packet")
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _encode_payload(payload: Any) -> bytes:
    if isinstance(payload, bytes):
        return payload
    return (payload if isinstance(payload, str) else encode_json(payload)).encode()


def _wrong_field(kind: str, value: dict[str, Any], error: Exception) -> str:
    """Return what is wrong with a packet that cannot be encoded, with the name of the field."""
    if isinstance(error, KeyError):
        return f"the MQTT packet {kind!r} has no {error.args[0]!r}."
    wrong = [f"{key!r} is {item}" for key, item in value.items() if isinstance(item, int) and not 0 <= item <= 0xFFFF]
    if wrong:
        fix = "A packet ID starts again after 65,535: {{ (request_id - 1) % 65535 + 1 }}."
        return f"a number of the MQTT packet {kind!r} is not from 0 to 65,535: {', '.join(wrong)}. {fix}"
    if long := [key for key, item in value.items() if isinstance(item, str) and len(item.encode()) > 0xFFFF]:
        return f"the MQTT packet {kind!r} has more than 65,535 bytes in {long[0]!r}."
    kinds = ", ".join(f"{key!r} is {type(item).__name__}" for key, item in value.items() if key != "type")
    return f"a field of the MQTT packet {kind!r} has the wrong type: {kinds}."
