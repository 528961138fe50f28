"""Socket.IO 5 packets in Engine.IO 4 packets (the protocol of Socket.IO v3 and v4).

An Engine.IO packet is one digit and data; those of type `message` hold a Socket.IO packet: a digit, the number of
binary attachments and `-`, the namespace and `,` where it is not `/`, the acknowledgement's id, and JSON.

Written by hand because python-socketio has no decoder for untrusted input: its parser raises on odd packets and limits
ids, and its import loads 300 modules.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .binary import Binary
from .message import Message, RejectedValue, encode_json, parse_json

_ENGINE_PACKETS: Final = ("open", "close", "ping", "pong", "message", "upgrade", "noop")
_PACKETS: Final = ("connect", "disconnect", "event", "ack", "connect_error", "binary_event", "binary_ack")
_BINARY_PACKETS: Final = {"event": "binary_event", "ack": "binary_ack"}
_PACKET = re.compile(r"4([0-6])(?:([0-9]{1,9})-)?(/[^,]*)?,?([0-9]{1,18})?(.*)\Z", re.DOTALL)
MAX_ATTACHMENTS: Final = 64
"""Binary attachments of a packet; a packet that announces more is complete with these."""


class SocketIOCodec:
    """Packets as objects: `{"type": "event", "namespace", "id", "data"}`, `{"type": "ping"}`, `{"type": "open", …}`.

    A binary event or acknowledgement is an `event` or `ack` whose data holds bytes.
    """

    def __init__(self) -> None:
        self._pending: dict[str, Any] | None = None
        self._raw: str | bytes = ""
        self._expected_attachments = 0
        self._attachments: list[bytes] = []

    def encode(self, value: Any) -> list[str | bytes]:
        kind = value.get("type") if isinstance(value, dict) else None
        if kind in ("open", "close", "ping", "pong", "upgrade", "noop"):
            data = value.get("data", "")
            return [f"{_ENGINE_PACKETS.index(kind)}{data if isinstance(data, str) else encode_json(data)}"]
        if kind not in _PACKETS:
            raise RejectedValue(
                'the value is not a Socket.IO packet. Write {"type": "event", "data": ["name", …]} or another known '
                "type.",
                code="invalid-packet",
            )
        attachments: list[bytes] = []
        data = _extract_attachments(value.get("data"), attachments)
        if attachments:
            kind = _BINARY_PACKETS.get(kind, kind)
        count = f"{len(attachments)}-" if attachments else ""
        namespace = value.get("namespace") or "/"
        prefix = "" if namespace == "/" else f"{namespace},"
        if "," in namespace:  # it would end the namespace, and go on as the data
            raise RejectedValue("the namespace of a Socket.IO packet contains a comma.", code="invalid-packet")
        ack_id = "" if value.get("id") is None else str(value["id"])
        if ack_id and not (ack_id.isascii() and ack_id.isdigit()):
            raise RejectedValue("the id of a Socket.IO packet is not a number.", code="invalid-packet")
        body = "" if data is None else encode_json(data)
        return [f"4{_PACKETS.index(kind)}{count}{prefix}{ack_id}{body}", *attachments]

    def decode(self, raw: str | bytes) -> list[Message]:
        if isinstance(raw, bytes):
            return self._add_attachment(raw)
        packet = _parse_packet(raw)
        if packet is None:
            return [Message(raw, raw)]
        self._expected_attachments = min(packet.pop("attachments", 0), MAX_ATTACHMENTS)
        if not self._expected_attachments:
            return [Message(raw, packet, decoded=True)]
        self._pending, self._raw, self._attachments = packet, raw, []
        return []

    def _add_attachment(self, data: bytes) -> list[Message]:
        """Add an attachment to the packet that announced it; return the packet when it is complete."""
        if self._pending is None:
            return [Message(data, data)]
        self._attachments.append(Binary(data))
        if len(self._attachments) < self._expected_attachments:
            return []
        packet, self._pending = self._pending, None
        try:
            packet["data"] = _insert_attachments(packet["data"], self._attachments)
        except RecursionError:
            return [Message(self._raw, self._raw)]
        return [Message(self._raw, packet, decoded=True)]


def _parse_packet(raw: str) -> dict[str, Any] | None:
    if not raw or raw[0] not in "0123456":
        return None
    if raw[0] != "4":
        data = _json_or_text(raw[1:])
        return {"type": _ENGINE_PACKETS[int(raw[0])], **({} if data == "" else {"data": data})}
    match = _PACKET.match(raw)
    if match is None:
        return None
    kind = _PACKETS[int(match[1])]
    packet = {
        "type": kind.removeprefix("binary_"),
        "namespace": match[3] or "/",
        "id": int(match[4]) if match[4] else None,
        "data": _json_or_text(match[5]) if match[5] else None,
    }
    return packet | ({"attachments": int(match[2])} if match[2] else {})


def _json_or_text(text: str) -> Any:
    try:
        return parse_json(text)
    except ValueError:
        return text


def _extract_attachments(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, bytes):
        attachments.append(value)
        return {"_placeholder": True, "num": len(attachments) - 1}
    if isinstance(value, dict):
        return {key: _extract_attachments(item, attachments) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_extract_attachments(item, attachments) for item in value]
    return value


def _insert_attachments(value: Any, attachments: list[bytes]) -> Any:
    if isinstance(value, dict):
        number = value.get("num")
        if value.get("_placeholder") is True and isinstance(number, int) and 0 <= number < len(attachments):
            return attachments[number]
        return {key: _insert_attachments(item, attachments) for key, item in value.items()}
    return [_insert_attachments(item, attachments) for item in value] if isinstance(value, list) else value
