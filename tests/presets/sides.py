"""Scripted endpoints that follow their protocol strictly: a client that breaks it is rejected, which is recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

import anyio
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.peer import PATIENCE, Peer, peer, read
from utcp_ws_mcp import Bridge

TOGETHER = 5
"""Requests of the kind `together` that an endpoint waits for; then it answers them, the last one first."""


class Broken(Exception):
    """The client broke the protocol: the connection is closed with this code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Side:
    """The endpoint's side of one connection; each protocol has its own."""

    def __init__(self, stage: Stage, connection: ServerConnection) -> None:
        self.stage = stage
        self.connection = connection
        self.waiting: list[Any] = []

    async def greet(self) -> None:
        """What the endpoint does first."""

    async def take(self, message: Any) -> None:
        """What it does with a message; raises Broken where the protocol forbids it."""

    async def send(self, *values: Any) -> None:
        """Send values as one WebSocket message each."""
        for value in values:
            await self.connection.send(json.dumps(value))

    def all_together(self, request: Any) -> list[Any]:
        """Requests that are to be answered now: none, or all of TOGETHER, in the wrong order."""
        self.waiting.append(request)
        if len(self.waiting) < TOGETHER:
            return []
        ready, self.waiting = self.waiting[::-1], []
        return ready


class Stage:
    """An endpoint in action: what it has `seen`, the `sides` of its connections, and how it was `broken`.

    `crashed`, `made` and `closed` are what it has that outlives a connection.

    `silence`: seconds after which a client that says nothing is thrown out.
    """

    def __init__(self, silence: float | None) -> None:
        self.seen: Peer
        self.sides: list[Any] = []
        self.broken: list[str] = []
        self.crashed: list[str] = []
        self.made: list[str] = []
        self.closed: list[str] = []
        self._silence = silence
        self._watches: dict[ServerConnection, asyncio.TimerHandle] = {}

    def listen(self, connection: ServerConnection) -> None:
        """Wait for the next message of a client, or throw it out."""
        self.stop_listening(connection)
        if self._silence is not None:
            throw_out = self._throw_out
            self._watches[connection] = asyncio.get_running_loop().call_later(self._silence, throw_out, connection)

    def stop_listening(self, connection: ServerConnection) -> None:
        """The client may be silent now."""
        if watch := self._watches.pop(connection, None):
            watch.cancel()

    def _throw_out(self, connection: ServerConnection) -> None:
        self.broken.append("silence")
        connection.transport.abort()

    async def refuse(self, connection: ServerConnection, broken: Broken) -> None:
        """Close a connection with a code and note why."""
        self.broken.append(broken.reason)
        await connection.close(broken.code, broken.reason)


@asynccontextmanager
async def stage(side: type[Side], *, silence: float | None = None, **options: Any) -> AsyncIterator[Stage]:
    """Serve a protocol."""
    on = Stage(silence)
    sides: dict[ServerConnection, Side] = {}

    async def greet(connection: ServerConnection) -> None:
        sides[connection] = side(on, connection)
        on.sides.append(sides[connection])
        on.listen(connection)
        try:
            await sides[connection].greet()
        except Broken as broken:
            await on.refuse(connection, broken)

    async def answer(seen: Peer, connection: ServerConnection, message: Any) -> None:
        on.listen(connection)
        try:
            await sides[connection].take(message)
        except Broken as broken:
            await on.refuse(connection, broken)

    async with peer(answer, greet=greet, **options) as seen:
        on.seen = seen
        yield on
        for connection in sides:
            on.stop_listening(connection)


def check(message: Any, required: Collection[str], optional: Collection[str] = (), code: int = 1002) -> None:
    """Refuse a message that lacks a field or has one too many."""
    if not isinstance(message, dict) or not set(required) <= message.keys() <= {*required, *optional}:
        raise Broken(code, "wrong fields")


async def say(on: Stage, *messages: Any, path: str = "", **options: Any) -> tuple[list[Any], int | None]:
    """Send messages as a client that follows no rules: the received messages, and the close code."""
    received: list[Any] = []
    async with connect(on.seen.url + path, **options) as client:
        try:
            with anyio.fail_after(PATIENCE):
                for message in messages:
                    await client.send(message if isinstance(message, str) else json.dumps(message))
                while True:
                    received.append(read(await client.recv()))
        except ConnectionClosed:
            pass
        return received, client.close_code


async def call_together(bridge: Bridge, tool: str, arguments: Callable[[int], dict[str, Any]]) -> list[Any]:
    """Make TOGETHER calls at once; their results in the order of the calls."""
    results: dict[int, Any] = {}

    async def call(number: int) -> None:
        results[number] = await bridge.call_tool(tool, arguments(number))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:
            for number in range(TOGETHER):
                calls.start_soon(call, number)
    return [results[number] for number in range(TOGETHER)]


async def cancel_after_an_item(bridge: Bridge, tool: str, arguments: dict[str, Any]) -> None:
    """Call a tool that streams, and cancel the call once it gave something."""
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as calls:

            async def stop(item: Any) -> None:
                calls.cancel_scope.cancel()

            calls.start_soon(bridge.call_tool, tool, arguments, stop)


async def watch_during(bridge: Bridge, tool: str, arguments: dict[str, Any], cause: Callable[[], Any]) -> Any:
    """Call a tool that watches, and do once it watches what makes things happen; the call's result."""
    results: list[Any] = []

    async def watch() -> None:
        results.append(await bridge.call_tool(tool, arguments))

    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as watching:
            watching.start_soon(watch)
            await anyio.wait_all_tasks_blocked()
            await cause()
    return results[0]


async def cut(on: Stage) -> None:
    """Cut all connections as a network that fails."""
    for connection in list(on.seen.open):
        connection.transport.abort()
    await on.seen.until(lambda: not on.seen.open)
