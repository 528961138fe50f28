"""Servers that follow a protocol strictly: a client that does not is disconnected, and the test fails."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import pytest
from websockets.asyncio.server import ServerConnection
from websockets.protocol import State

from tests.peer import PATIENCE, Peer, peer
from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import ConnectError


class Broken(Exception):
    """The client has broken the protocol."""


class Session:
    """One connection to a strict server, whose mistakes are collected in `server`."""

    def __init__(self, connection: ServerConnection, server: Strict) -> None:
        self.connection = connection
        self.server = server
        self._watch: asyncio.TimerHandle | None = None

    async def greet(self) -> None:
        """Say what the server says first."""

    async def take(self, message: Any) -> None:
        """Take a message, which is parsed where it is JSON; raise Broken if it may not come now."""
        raise NotImplementedError

    async def send(self, *values: Any) -> None:
        """Send messages: text and bytes as they are, anything else as JSON."""
        for value in values:
            await self.connection.send(value if isinstance(value, str | bytes) else json.dumps(value))

    def expect_within(self, seconds: float, what: str) -> None:
        """Have the client broken unless this is called again in time."""
        self.stop_expecting()
        self._watch = asyncio.get_running_loop().call_later(seconds, self._missed, what)

    def stop_expecting(self) -> None:
        """Nothing need come any more."""
        if self._watch is not None:
            self._watch.cancel()

    def _missed(self, what: str) -> None:
        if self.connection.state is State.OPEN:
            self.server.broken.append(f"there was no {what}")
            self.connection.transport.abort()


@dataclass
class Strict:
    """What a strict server has seen. `settings` are for its sessions, of which the last is `session`."""

    peer: Peer = field(default_factory=Peer)
    sessions: list[Any] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def session(self) -> Any:
        return self.sessions[-1]

    async def until(self, condition: Callable[[], bool]) -> None:
        await self.peer.until(condition)

    async def cut(self) -> None:
        """Cut every connection, and wait until they are gone."""
        for connection in list(self.peer.open):
            connection.transport.abort()
        await self.until(lambda: not self.peer.open)


@asynccontextmanager
async def strict(kind: Callable[[ServerConnection, Strict], Session], **settings: Any) -> AsyncIterator[Strict]:
    """Serve sessions of a kind; `subprotocols` and `process_request` are for the upgrade, the rest for the sessions."""
    options = {key: settings.pop(key) for key in ("subprotocols", "process_request") if key in settings}
    server = Strict(settings=settings)
    by_connection: dict[ServerConnection, Session] = {}

    async def greet(connection: ServerConnection) -> None:
        session = by_connection[connection] = kind(connection, server)
        server.sessions.append(session)
        await session.greet()

    async def answer(_: Peer, connection: ServerConnection, message: Any) -> None:
        try:
            await by_connection[connection].take(message)
        except Broken as mistake:
            server.broken.append(str(mistake))
            await connection.close(1002, str(mistake)[:100])

    async with peer(answer, greet=greet, **options) as server.peer:
        yield server
    assert not server.broken


async def call_all(bridge: Bridge, calls: Sequence[tuple[str, dict[str, Any]]]) -> list[Any]:
    """Make calls at once; their results in order."""
    results: list[Any] = [None] * len(calls)

    async def call(index: int, name: str, arguments: dict[str, Any]) -> None:
        results[index] = await bridge.call_tool(name, arguments)

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            for index, (name, arguments) in enumerate(calls):
                tasks.start_soon(call, index, name, arguments)
    return results


@asynccontextmanager
async def meanwhile(work: Callable[[], Awaitable[Any]]) -> AsyncIterator[None]:
    """Do some work beside the block."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(work)
            yield


@asynccontextmanager
async def calling(bridge: Bridge, name: str, arguments: dict[str, Any] | None = None) -> AsyncIterator[None]:
    """A call that is under way in the block, and cancelled at its end."""
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(bridge.call_tool, name, arguments)
        with anyio.fail_after(PATIENCE):
            yield
        tasks.cancel_scope.cancel()


def interval(bridge: Bridge) -> float | None:
    """Seconds between the heartbeats of the one connection there is."""
    connections = [pooled.connection for pool in bridge._pool_manager.pools for pooled in pool.connections]
    assert len(connections) == 1
    assert connections[0] is not None
    return connections[0].state.heartbeat_interval()


async def refused(bridge: Bridge, name: str, arguments: dict[str, Any] | None = None) -> str:
    """What is said of a login that fails."""
    with pytest.raises(ConnectError) as failed:
        await bridge.call_tool(name, arguments)
    return str(failed.value)
