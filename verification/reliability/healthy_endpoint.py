"""An endpoint without faults that records what it executes, and a token endpoint."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .reply_disturbances import reply_to

MANUAL: Final = {
    "utcp_version": "1.0.0",
    "manual_version": "1.0.0",
    "tools": [
        {"name": "t", "description": "", "inputs": {"type": "object"}, "outputs": {}, "tool_call_template": {}},
    ],
}
TOKEN: Final = json.dumps({"access_token": "t0ken", "token_type": "Bearer", "expires_in": 3600})


@dataclass
class HealthyEndpoint:
    """An endpoint on `port`. `numbers` yields the numbers of calls, `executed` holds those that arrived."""

    port: int = 0
    executed: set[int] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=count)

    async def serve(self, connection: ServerConnection) -> None:
        """Return the manual to a discovery, and answer other requests."""
        with suppress(ConnectionClosed):
            async for raw in connection:
                request = json.loads(raw)
                if request.get("type") == "utcp":
                    await connection.send(json.dumps(MANUAL))
                else:
                    self.executed.add(request["n"])
                    await connection.send(reply_to(request))


@asynccontextmanager
async def healthy_endpoint() -> AsyncIterator[HealthyEndpoint]:
    """Serve the endpoint until the block ends."""
    running = HealthyEndpoint()
    async with serve(running.serve, "127.0.0.1", 0, compression=None) as server:
        running.port = next(iter(server.sockets)).getsockname()[1]
        yield running


@asynccontextmanager
async def token_server() -> AsyncIterator[int]:
    """Serve an OAuth2 token endpoint until the block ends, and yield its port."""
    async with await asyncio.start_server(_serve_token, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def _serve_token(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError, asyncio.IncompleteReadError):
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head.lower())
        await reader.readexactly(int(length[1]) if length else 0)
        answer = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(TOKEN)}\r\n\r\n{TOKEN}"
        writer.write(answer.encode())
        await writer.drain()
    writer.close()
