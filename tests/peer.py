"""A WebSocket server on loopback whose behaviour a test scripts, and a bridge in front of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.observability.events import Event, Observer, noop

Answer = Callable[["Peer", ServerConnection, Any], Awaitable[None]]
Greet = Callable[[ServerConnection], Awaitable[None]]
PATIENCE = 10
"""Seconds after which a test that waits has failed."""


@dataclass
class Peer:
    """What a scripted server has seen: handshakes (path and headers), and messages in order."""

    port: int = 0
    scheme: str = "ws"
    upgrades: list[Any] = field(default_factory=list)
    received: list[Any] = field(default_factory=list)
    open: list[ServerConnection] = field(default_factory=list)
    closed: list[tuple[int | None, str | None]] = field(default_factory=list)
    arrived: anyio.Event = field(default_factory=anyio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/"

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that arriving messages, upgrades or closes bring about."""
        with anyio.fail_after(PATIENCE):
            while not condition():
                self.arrived = anyio.Event()
                await self.arrived.wait()


@asynccontextmanager
async def peer(
    answer: Answer, *, greet: Greet | None = None, port: int = 0, scheme: str = "ws", **options: Any
) -> AsyncIterator[Peer]:
    """Serve; `answer` gets each message, parsed where it is JSON."""
    seen = Peer(port, scheme)

    async def handle(connection: ServerConnection) -> None:
        seen.upgrades.append(connection.request)
        seen.open.append(connection)
        seen.arrived.set()
        try:
            if greet is not None:
                await greet(connection)
            async for raw in connection:
                message = read(raw)
                seen.received.append(message)
                seen.arrived.set()
                await answer(seen, connection, message)
        except ConnectionClosed:
            pass
        finally:
            seen.open.remove(connection)
            await connection.wait_closed()
            seen.closed.append((connection.close_code, connection.close_reason))
            seen.arrived.set()

    async with serve(handle, "127.0.0.1", port, **options) as server:
        seen.port = next(iter(server.sockets)).getsockname()[1]
        yield seen


def read(raw: str | bytes) -> Any:
    """A message as JSON where it is JSON."""
    try:
        return json.loads(raw)
    except ValueError:
        return raw


async def echo(seen: Peer, connection: ServerConnection, message: Any) -> None:
    """Answer every message with itself."""
    await connection.send(json.dumps(message) if not isinstance(message, str | bytes) else message)


def timed(times: list[float]) -> Answer:
    """Answer as JSON-RPC, and note when each request came (the clock of anyio)."""

    async def answer(seen: Peer, connection: ServerConnection, message: Any) -> None:
        times.append(anyio.current_time())
        await jsonrpc(seen, connection, message)

    return answer


async def jsonrpc(seen: Peer, connection: ServerConnection, message: Any) -> None:
    """Answer every JSON-RPC request with its parameters."""
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]}))


async def silent(seen: Peer, connection: ServerConnection, message: Any) -> None:
    """Answer nothing."""


def entry(seen: Peer, *tools: Any, **template: Any) -> dict[str, Any]:
    """A call template for a peer; a tool is its name, or a whole tool."""
    listed = [{"name": tool} if isinstance(tool, str) else tool for tool in tools]
    return {"name": "m", "url": seen.url, **({"tools": listed} if listed else {}), **template}


@asynccontextmanager
async def bridge_to(
    folder: Path,
    document: Any,
    *,
    environ: dict[str, str] | None = None,
    events: list[Event] | None = None,
    observe: Observer = noop,
) -> AsyncIterator[Bridge]:
    """A bridge for a manifest, open as long as the block lasts."""
    file = folder / "manifest.json"
    file.write_text(json.dumps(document), encoding="utf-8")
    observe = observe if events is None else events.append
    async with Bridge.open(file, environ=environ or {}, observe=observe) as bridge:
        yield bridge
