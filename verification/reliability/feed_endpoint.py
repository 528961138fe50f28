"""A server whose events happen whether or not anyone is connected, and which kills its connections in every way.

Event n is `{"n": n}`; numbers begin with 1. `subscribe` is confirmed, and from then on a connection gets what happens.
`replay` sends what happened after a number, without a confirmation and in the midst of new events. So does a number in
the URL, `?from=`, but with its own event. Its events happen as fast as the server sends them; some happen while no
connection is open.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import cycle
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from .kills import KILLS

MAX_EVENTS_PER_LIFE: Final = 24
"""Events after which a connection has been killed at the latest."""

MAX_EVENTS_BETWEEN: Final = 3
"""Events that happen at most while no connection is open."""


class EventServer:
    """The events so far, and how they are sent.

    Args:
        kills: How many connections are killed; then the last one stays open.
        rng: Draws the moments.

    Attributes:
        happened: The number of the last event.
        finished: Set when nothing happens any more.
    """

    def __init__(self, kills: int, rng: random.Random) -> None:
        self.happened = 0
        self.kills = 0
        self.port = 0
        self.finished = asyncio.Event()
        self._wanted_kills = kills
        self._ways = cycle(KILLS)
        self._rng = rng

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with serve(self._serve, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
            self.port = next(iter(listening.sockets)).getsockname()[1]
            yield

    async def _serve(self, connection: ServerConnection) -> None:
        happening: asyncio.Task[None] | None = None
        try:
            async for raw in connection:
                request = json.loads(raw)
                if request["op"] == "subscribe":
                    await connection.send(json.dumps({"op": "subscribed"}))
                    happening = asyncio.create_task(self._happen(connection))
                    if begin := _beginning(connection):
                        await self._replay(connection, begin - 1)
                else:
                    await self._replay(connection, request["after"])
        except ConnectionClosed:
            pass
        finally:
            if happening is not None:
                await happening

    async def _replay(self, connection: ServerConnection, after: int) -> None:
        for number in range(after + 1, self.happened + 1):
            await connection.send(_event(number))
            await asyncio.sleep(0)  # new events happen in between

    async def _happen(self, connection: ServerConnection) -> None:
        """Send events until the connection is killed; some more happen before the next one is open."""
        with suppress(ConnectionClosed):
            for _ in range(self._rng.randrange(MAX_EVENTS_PER_LIFE)):
                self.happened += 1
                await connection.send(_event(self.happened))
                await asyncio.sleep(0)
            if self.kills == self._wanted_kills:
                self.finished.set()
                return
        self.kills += 1
        await next(self._ways).run(connection, self._count, _event(self.happened + 1))
        self.happened += self._rng.randrange(MAX_EVENTS_BETWEEN + 1)

    def _count(self) -> None:
        self.happened += 1


def _event(number: int) -> str:
    return json.dumps({"n": number})


def _beginning(connection: ServerConnection) -> int:
    """Return the number of the event with which the events of a connection begin; 0: with those that happen."""
    assert connection.request is not None
    query = parse_qs(urlsplit(connection.request.path).query)
    return int(query["from"][0]) if "from" in query else 0


REPLAYS: Final[dict[str, dict[str, Any]]] = {
    "resume": {"position": "message.n", "resume": [{"send": {"op": "replay", "after": "{{ position }}"}}]},
    "query": {"position": "message.n", "query": {"from": "{{ position }}"}},
    "": {},
}
"""How a feed asks for what it has missed: by the field of this name, or not at all."""


def feed(port: int, *, replay: str, **more: Any) -> dict[str, Any]:
    """Return a call template whose feed follows the events of a server."""
    return {
        "name": "m",
        "url": f"ws://127.0.0.1:{port}/",
        "feeds": [
            {
                "name": "f",
                "open": [{"send": {"op": "subscribe"}}, {"expect": "message.op == 'subscribed'"}],
                "match": "message.n is defined",
                "item": "message.n",
                "max_bytes": 1 << 26,
                "size": 100_000,
                **REPLAYS[replay],
                **more,
            }
        ],
    }
