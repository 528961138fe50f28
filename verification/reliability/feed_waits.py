"""T19: reads that wait for an event of a feed: how soon they return, how many may wait, what a cancelled one leaves.

The server and the bridge share this process, so that the moment of an event is known; all times are those of the
harness's clock. Each event is awaited by several reads, one of which is cancelled at the same moment. Then 1,000
readers wait at once: as many as may wait get the event, the others an error at once; without waiting, all read it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import anyio
from websockets.asyncio.server import ServerConnection, serve

from utcp_ws_mcp import Bridge, CallError
from utcp_ws_mcp.client.feeds.live_feed import MAX_WAITING_READS
from verification.harness.clock import Clock
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import open_bridge

MAX_SECONDS: Final = 0.1
"""From an event until the read that waits for it has returned; 50 ms of it are the wait for a burst."""

READERS: Final = 1_000
WAIT_SECONDS: Final = 20.0


@dataclass
class Tally:
    """What the reads got: seconds until they returned, and how many results were wrong.

    Of the readers at once, `answered` waited and got the event, `refused` got the error that too many wait.
    """

    seconds: list[float] = field(default_factory=list)
    wrong: int = 0
    answered: int = 0
    refused: int = 0


class Server:
    """Sends numbered events on demand."""

    def __init__(self) -> None:
        self.sent = 0
        self._connection: ServerConnection | None = None

    @asynccontextmanager
    async def bridge(self) -> AsyncIterator[Bridge]:
        """Serve, and open a bridge with a feed until the block ends."""
        async with serve(self._serve, "127.0.0.1", 0, compression=None) as listening:
            url = f"ws://127.0.0.1:{next(iter(listening.sockets)).getsockname()[1]}/"
            feed = {"name": "f", "match": "message.n is defined", "item": "message.n", "size": 100_000}
            async with open_bridge([{"name": "m", "url": url, "feeds": [feed]}]) as bridge:
                yield bridge

    async def _serve(self, connection: ServerConnection) -> None:
        self._connection = connection
        await connection.wait_closed()

    async def send(self) -> None:
        """Send the next event."""
        assert self._connection is not None
        self.sent += 1
        await self._connection.send(json.dumps({"n": self.sent}))


async def measure(size: Size) -> Sequence[Figure]:
    """Wait for events one after the other, then read with many readers."""
    server, tally, clock = Server(), Tally(), Clock()
    async with server.bridge() as bridge:
        cursor = (await read(bridge, wait_seconds=0))["cursor"]
        for _ in range(size.of(100, 2_000)):
            cursor = await _wait_for_one(bridge, server, cursor, clock, tally)
        left = bridge.feed_instances()[0].live.readers
        crowds = size.of(2, 50)
        for _ in range(crowds):
            cursor = await _wait_for_one(bridge, server, await _crowd(bridge, server, cursor, tally), clock, tally)
    slowest = max(tally.seconds)
    waits = f"{len(tally.seconds):,} waits beside cancelled ones: the slowest, wrong results, reads left waiting"
    readers = f"{READERS:,} readers at once: waited for the event, refused because too many wait"
    expected = (crowds * MAX_WAITING_READS, crowds * (READERS - MAX_WAITING_READS))
    return [
        Figure(
            "T19",
            waits,
            f"{slowest * 1000:.0f} ms, {tally.wrong}, {left}",
            f"{MAX_SECONDS * 1000:.0f} ms, 0, 0",
            slowest <= MAX_SECONDS and not (tally.wrong or left),
        ),
        Figure(
            "T19",
            readers,
            f"{tally.answered:,}, {tally.refused:,}",
            f"{expected[0]:,}, {expected[1]:,}",
            (tally.answered, tally.refused) == expected,
        ),
    ]


async def read(bridge: Bridge, **arguments: Any) -> Any:
    """Read the feed."""
    return await bridge.call_tool("m.f_events", arguments)


async def _wait_for_one(bridge: Bridge, server: Server, cursor: str, clock: Clock, tally: Tally) -> str:
    """Let some reads wait for an event, and cancel one of them; return the cursor behind the event."""
    waiting = [asyncio.create_task(read(bridge, cursor=cursor, wait_seconds=WAIT_SECONDS)) for _ in range(4)]
    await anyio.wait_all_tasks_blocked()
    began = clock.now()
    ended = [0.0] * len(waiting)

    def note_end(index: int, _: object) -> None:
        ended[index] = clock.now()

    for index, task in enumerate(waiting):
        task.add_done_callback(partial(note_end, index))
    await server.send()
    waiting[-1].cancel()
    results: list[Any] = await asyncio.gather(*waiting, return_exceptions=True)
    tally.seconds += [end - began for end in ended[:-1]]
    for result in results[:-1]:
        data = [event["data"] for event in result["events"]]
        tally.wrong += data != [server.sent] or result["timed_out"] or result["missed"] != 0
    tally.wrong += not isinstance(results[-1], asyncio.CancelledError)
    return str(results[0]["cursor"])


async def _crowd(bridge: Bridge, server: Server, cursor: str, tally: Tally) -> str:
    """Let many readers wait for an event, then read it without waiting; return the cursor behind it."""
    waiting = [asyncio.create_task(read(bridge, cursor=cursor, wait_seconds=WAIT_SECONDS)) for _ in range(READERS)]
    await anyio.wait_all_tasks_blocked()
    await server.send()
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        if isinstance(result, CallError) and result.code == "too-many-reads":
            tally.refused += 1
        elif isinstance(result, dict) and [event["data"] for event in result["events"]] == [server.sent]:
            tally.answered += 1
        else:
            tally.wrong += 1
    pages = await asyncio.gather(*(read(bridge, cursor=cursor, wait_seconds=0) for _ in range(READERS)))
    tally.wrong += sum([event["data"] for event in page["events"]] != [server.sent] for page in pages)
    return str(pages[0]["cursor"])


if __name__ == "__main__":
    run(measure)
