"""An endpoint that counts: requests with their times, and the connections that have subscribed to its feed.

Its events are `{"n": 1}`, `{"n": 2}` … They happen at a steady pace, whether or not a connection gets them. `replay`
sends those after a number again, in the midst of new ones.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

EVENTS_PER_SECOND: Final = 50
REPLICA_HEADER: Final = "X-Replica"
RESUMED: Final = {
    "position": "message.n",
    "resume": [{"send": {"op": "replay", "after": "{{ position }}"}}],
}
"""What a feed needs whose events are replayed to the next connection."""


@dataclass(frozen=True, slots=True)
class Change:
    """A moment at which a subscription began (`by` is 1) or ended (-1), and its replica."""

    at: float
    by: int
    replica: int


@dataclass(eq=False)
class Endpoint:
    """What has arrived so far.

    Attributes:
        now: The clock of `changes`.
        requests: When each request arrived, in seconds of the monotonic clock of the system.
        changes: When subscriptions began and ended.
        open: The subscribed connections, with their replicas.
        happened: The number of the last event.
        quiet: Whether no events happen for now.
        changed: Set with each change.
    """

    port: int = 0
    now: Callable[[], float] = time.monotonic
    requests: list[float] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    open: dict[ServerConnection, int] = field(default_factory=dict)
    happened: int = 0
    quiet: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def owner(self) -> int:
        """Return the replica that has subscribed last, of those that are connected."""
        return list(self.open.values())[-1]

    async def until(self, condition: Callable[[], bool], seconds: float = 60.0) -> None:
        """Wait until a condition holds, which changes only with subscriptions."""
        async with asyncio.timeout(seconds):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def send_events(self) -> None:
        """Let events happen until the task is cancelled."""
        while True:
            await asyncio.sleep(1 / EVENTS_PER_SECOND)
            if self.quiet:
                continue
            self.happened += 1
            for connection in list(self.open):
                with suppress(ConnectionClosed):
                    await connection.send(json.dumps({"n": self.happened}))

    async def serve(self, connection: ServerConnection) -> None:
        """Answer the messages of a connection."""
        assert connection.request is not None
        replica = int(connection.request.headers.get(REPLICA_HEADER, "-1"))
        try:
            async for raw in connection:
                message = json.loads(raw)
                if message.get("op") == "subscribe":
                    await connection.send(json.dumps({"op": "subscribed"}))
                    self._change(connection, replica, 1)
                elif message.get("op") == "replay":
                    for number in range(message["after"] + 1, self.happened + 1):
                        await connection.send(json.dumps({"n": number}))
                else:
                    self.requests.append(time.monotonic())
                    await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}))
        except ConnectionClosed:
            pass
        finally:
            if connection in self.open:
                self._change(connection, replica, -1)

    def _change(self, connection: ServerConnection, replica: int, by: int) -> None:
        if by > 0:
            self.open[connection] = replica
        else:
            del self.open[connection]
        self.changes.append(Change(self.now(), by, replica))
        self.changed.set()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve until the block ends."""
        async with serve(self.serve, "127.0.0.1", 0, compression=None, ping_interval=None) as listening:
            self.port = next(iter(listening.sockets)).getsockname()[1]
            yield

    def resuming_manual(self, replica: int) -> dict[str, Any]:
        """Return the call template of a replica with a feed that asks for what it has missed."""
        manual = self.manual(replica)
        return {**manual, "feeds": [{**manual["feeds"][0], **RESUMED}]}

    def manual(self, replica: int, **more: Any) -> dict[str, Any]:
        """Return the call template of a replica: the tool `t` and the feed `f`."""
        feed = {
            "name": "f",
            "open": [{"send": {"op": "subscribe"}}, {"expect": "message.op == 'subscribed'"}],
            "match": "message.n is defined",
            "item": "message.n",
            "size": 100_000,
            "max_bytes": 1 << 24,
        }
        tool = {"name": "t", "inputs": {"properties": {}}}
        headers = {REPLICA_HEADER: str(replica)}
        url = f"ws://127.0.0.1:{self.port}/"
        manual = {"name": "m", "url": url, "preset": "jsonrpc2", "headers": headers, "tools": [tool], "feeds": [feed]}
        return {**manual, **more}


def seconds_with(changes: Iterable[Change], wanted: Callable[[int], bool], since: float, until: float) -> float:
    """Return for how many seconds between two times the number of subscriptions was a wanted one."""
    count, last, total = 0, since, 0.0
    for change in (*changes, Change(until, 0, 0)):
        at = min(max(change.at, since), until)
        total += (at - last) if wanted(count) else 0.0
        count, last = count + change.by, max(last, at)
    return total
