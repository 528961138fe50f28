"""A WebSocket server on loopback whose behavior a measurement defines."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

DISCOVERY = {"type": "utcp"}
Answer = Callable[[ServerConnection, Any], Awaitable[None]]


@dataclass
class Endpoint:
    """A running server and the connections that it accepted, in order."""

    scheme: str
    port: int = 0
    connections: list[ServerConnection] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The URL, with the host as a literal address."""
        return f"{self.scheme}://127.0.0.1:{self.port}/"


async def echo(connection: ServerConnection, message: Any) -> None:
    """Return the message."""
    await connection.send(json.dumps(message))


@asynccontextmanager
async def endpoint(answer: Answer = echo, *, manual: Any = None, **options: Any) -> AsyncIterator[Endpoint]:
    """Serve until the block ends. `manual` (a value or a function) answers discovery, `answer` every other message.

    `options` are those of `websockets.asyncio.server.serve`.
    """
    running = Endpoint("wss" if "ssl" in options else "ws")

    async def handle(connection: ServerConnection) -> None:
        running.connections.append(connection)
        try:
            async for raw in connection:
                message = _read(raw)
                if message == DISCOVERY and manual is not None:
                    await connection.send(json.dumps(manual() if callable(manual) else manual))
                else:
                    await answer(connection, message)
        except ConnectionClosed:
            pass

    async with serve(handle, "127.0.0.1", 0, **options) as server:
        running.port = next(iter(server.sockets)).getsockname()[1]
        yield running


def manual_of(*tools: Any) -> dict[str, Any]:
    """Return a UTCP manual with these tools."""
    return {"utcp_version": "1.0.0", "manual_version": "1.0.0", "tools": list(tools)}


def _read(raw: str | bytes) -> Any:
    try:
        return json.loads(raw)
    except ValueError:
        return raw
