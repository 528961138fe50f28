"""A WebSocket endpoint that returns what the suite expects from its fixture tools."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

from websockets.asyncio.server import ServerConnection, serve

Message = str | bytes


def png() -> bytes:
    """Return a PNG image of one red pixel."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\xff\0\0")),
        (b"IEND", b""),
    )
    framed = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
              for kind, data in chunks)  # fmt: skip
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def wav() -> bytes:
    """Return a WAV file of eight silent samples."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8)
    data = struct.pack("<4sI", b"data", 8) + b"\x80" * 8
    return struct.pack("<4sI4s", b"RIFF", 4 + len(form) + len(data), b"WAVE") + form + data


ANSWERS: Final[Mapping[str, tuple[Message, ...]]] = {
    "simple_text": ("This is a simple text response for testing.",),
    "image_content": (png(),),
    "audio_content": (wav(),),
    "embedded_resource": (b"%PDF-1.7 of the conformance suite",),
    "multiple_content_types": ("Multiple content types test:", png(), b"%PDF-1.7 of the conformance suite", "end"),
    "error_handling": (json.dumps({"error": "This tool intentionally returns an error for testing"}),),
    "tool_with_progress": ("0 of 100", "50 of 100", "100 of 100", "end"),
}


async def answer(connection: ServerConnection) -> None:
    """Answer each request with the messages of its tool."""
    async for raw in connection:
        tool = json.loads(raw)["tool"]
        for message in ANSWERS.get(tool, (f"{tool} was called",)):
            await connection.send(message)


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    """Serve on a loopback port until the block ends, and yield the URL."""
    async with serve(answer, "127.0.0.1", 0) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}/"
