"""A WebSocket peer at the level of bytes, for behavior that no library allows: raw frames, silent ports."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
import socket
import ssl
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Final

ConnectionHandler = Callable[[StreamReader, StreamWriter], Awaitable[None]]

HANG_SECONDS: Final = 10.0
"""Seconds that a peer stalls; limited so that a measurement ends even if the bridge waits without end."""

TEXT: Final = 1
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(rb"sec-websocket-key: *(\S+)", re.IGNORECASE)


def frame(payload: bytes, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """Return an unmasked frame, as servers send it (RFC 6455 §5.2)."""
    return header(len(payload), opcode, final=final) + payload


def header(length: int, opcode: int = TEXT, *, final: bool = True) -> bytes:
    """Return the header of a frame of this length; the payload need not follow."""
    first = bytes([(final << 7) | opcode])
    if length < 126:
        return first + bytes([length])
    if length < 1 << 16:
        return first + b"\x7e" + length.to_bytes(2, "big")
    return first + b"\x7f" + length.to_bytes(8, "big")


async def read_head(reader: StreamReader) -> bytes:
    """Return the head of an HTTP request."""
    return await reader.readuntil(b"\r\n\r\n")


def upgraded(head: bytes, more: bytes = b"") -> bytes:
    """Return the response that accepts an upgrade, with the additional header lines `more`."""
    found = _KEY.search(head)
    assert found
    accept = base64.b64encode(hashlib.sha1(found[1] + _GUID).digest())
    lines = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
    return lines + accept + b"\r\n" + more + b"\r\n"


async def accept(reader: StreamReader, writer: StreamWriter) -> None:
    """Read and accept the upgrade."""
    writer.write(upgraded(await read_head(reader)))
    await writer.drain()


async def read_frame(reader: StreamReader) -> tuple[int, bytes]:
    """Return the opcode and the payload of the next frame of a client."""
    first, second = await reader.readexactly(2)
    length = second & 0x7F
    if length > 125:
        length = int.from_bytes(await reader.readexactly(2 if length == 126 else 8), "big")
    mask = await reader.readexactly(4)
    masked = await reader.readexactly(length)
    repeated = (mask * (length // 4 + 1))[:length]
    payload = int.from_bytes(masked, "big") ^ int.from_bytes(repeated, "big")
    return first & 0x0F, payload.to_bytes(length, "big")


async def hang(reader: StreamReader, writer: StreamWriter) -> None:
    """Neither read nor write for HANG_SECONDS, which exceeds all timeouts that are measured."""
    await asyncio.sleep(HANG_SECONDS)


@asynccontextmanager
async def listening(talk: ConnectionHandler, tls: ssl.SSLContext | None = None, port: int = 0) -> AsyncIterator[int]:
    """Serve on a loopback port until the block ends; `talk` handles each connection, which is reset when it returns."""
    talks: set[asyncio.Task[None]] = set()

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        talks.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            talks.discard(task)
            writer.transport.abort()

    server = await asyncio.start_server(handle, "127.0.0.1", port, ssl=tls, limit=1 << 20, reuse_port=port > 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in talks:
            task.cancel()
        await asyncio.gather(*talks)


@contextmanager
def black_hole() -> Iterator[int]:
    """Yield a port that neither accepts nor refuses connections: its accept queue is full, so Linux drops SYNs."""
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@contextmanager
def dead_port() -> Iterator[int]:
    """Yield a port that refuses connections until this process listens on it; it is reserved meanwhile."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]
