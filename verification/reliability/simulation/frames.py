"""The server's half of RFC 6455: answer the upgrade, parse frames and build frames."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@dataclass(frozen=True, slots=True)
class Request:
    """The fields of an upgrade request that the simulation uses."""

    target: str
    token: str
    key: bytes


def read_request(head: bytes) -> Request:
    """Parse the head of an upgrade request (RFC 6455 §4.2.1); tests of the client check its other fields."""
    lines = head.split(b"\r\n")
    fields = dict(line.split(b": ", 1) for line in lines[1:] if b": " in line)
    names = {name.lower(): value for name, value in fields.items()}
    token = names.get(b"authorization", b"").decode().removeprefix("Bearer ")
    return Request(lines[0].split(b" ")[1].decode(), token, names[b"sec-websocket-key"])


def accept(request: Request) -> bytes:
    """Return the head that accepts an upgrade (RFC 6455 §4.2.2)."""
    accepted = base64.b64encode(hashlib.sha1(request.key + _GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
        + accepted
        + b"\r\n\r\n"
    )


def reject(status: int) -> bytes:
    """Return the head that rejects an upgrade."""
    return f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """Return a final, unmasked frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    return bytes((0x80 | opcode, 126)) + size.to_bytes(2, "big") + payload


def take_frames(received: bytearray) -> Iterator[tuple[int, bytes]]:
    """Remove complete masked frames from `received` and yield their opcode and payload.

    The client never fragments messages.
    """
    while len(received) >= 6:
        size, start = received[1] & 0x7F, 2
        if size == 126:
            size, start = int.from_bytes(received[2:4], "big"), 4
        end = start + 4 + size
        if len(received) < end:
            return
        mask, payload = bytes(received[start : start + 4]), received[start + 4 : end]
        opcode = received[0] & 0x0F
        del received[:end]
        yield opcode, _unmask(payload, mask)


def _unmask(payload: bytes | bytearray, mask: bytes) -> bytes:
    size = len(payload)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")
