"""A TCP server on loopback that captures every byte that it receives."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Final

Reply = Callable[[bytes], bytes]
"""Returns the response to a request (head and body); b"" for no response."""

PROBE: Final = b"probe\r\n\r\n"


@dataclass
class Listener:
    """A running server, and the bytes of each accepted connection, in order."""

    port: int = 0
    captured: list[bytearray] = field(default_factory=list)

    async def settle(self) -> list[bytes]:
        """Return and clear everything captured so far.

        The server accepts connections in order, so that after the reply to the probe it has accepted all earlier ones.
        """
        before = len(self.captured)
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(PROBE)
        await reader.read()
        writer.close()
        captured = [bytes(each) for each in self.captured if each != PROBE]
        assert len(self.captured) > before
        del self.captured[:]
        return captured


@asynccontextmanager
async def listener(reply: Reply | None = None, *, tls: SSLContext | None = None) -> AsyncIterator[Listener]:
    """Serve until the block ends. A connection is closed after the reply to its first request.

    An upgraded connection is closed after its first message.
    """
    running = Listener()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        captured = bytearray()
        running.captured.append(captured)
        with suppress(ConnectionError):
            while not _is_whole(captured) and (chunk := await reader.read(1 << 16)):
                captured += chunk
            if reply is not None and captured != PROBE:
                answer = reply(bytes(captured))
                writer.write(answer)
                await writer.drain()
                await reader.read(int(not answer or answer.startswith(b"HTTP/1.1 101")))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)
    running.port = server.sockets[0].getsockname()[1]
    try:
        yield running
    finally:
        server.close()
        await server.wait_closed()


def http_reply(status: int, body: bytes = b"", *headers: str) -> bytes:
    """Return an HTTP response that closes the connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body


def _is_whole(request: bytearray) -> bool:
    """Return whether a request is complete according to its Content-Length."""
    head, separator, body = bytes(request).partition(b"\r\n\r\n")
    length = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    return bool(separator) and len(body) >= int(length[1] if length else 0)
