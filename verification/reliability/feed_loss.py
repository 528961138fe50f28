"""T17: what a feed loses over connections that are killed in every way, with `resume`, with the position
in the URL, and without.

Two readers follow the feed: one by `Bridge.feed`, one by the tool with a cursor. What they read is compared with what
happened at the server. The pause before a reconnection is left out, so that a kill follows the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import astuple, dataclass, field
from typing import Final
from unittest.mock import patch

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.feeds import keeper
from utcp_ws_mcp.client.feeds.reading import FeedItem
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .clients import open_bridge
from .feed_endpoint import REPLAYS, EventServer, feed

QUIET: Final = 1.0
"""Seconds without an event after which a reader has everything, once nothing happens any more."""

LONGEST: Final = 1800.0
"""Seconds after which a measurement has failed."""


@dataclass
class Read:
    """What a reader has read: the numbers of events by their offsets, and the offsets after which gaps are.

    `doubled` counts events that came twice, `wrong_missed` pages whose `missed` says something else than the gaps.
    """

    numbers: dict[int, int] = field(default_factory=dict)
    gaps: list[int] = field(default_factory=list)
    doubled: int = 0
    wrong_missed: int = 0

    def add(self, offset: int, number: int) -> None:
        """Add an event."""
        self.doubled += offset in self.numbers
        self.numbers[offset] = number

    def compare(self, happened: int) -> Losses:
        """Compare what was read with what happened: the events 1 to `happened`."""
        numbers = list(self.numbers.values())
        lost = happened - len(set(numbers))
        sparse = set(self.numbers) != set(range(1, len(numbers) + 1))
        in_gaps = sum(self._lost_after(offset) for offset in set(self.gaps))
        return Losses(lost, lost - in_gaps, self.doubled + len(numbers) - len(set(numbers)), sparse)

    def _lost_after(self, offset: int) -> int:
        """Return how many events were lost between an offset and the next one."""
        return self.numbers.get(offset + 1, 0) - self.numbers.get(offset, 0) - 1 if offset + 1 in self.numbers else 0


@dataclass(frozen=True, slots=True)
class Losses:
    """How many events a reader has lost, how many of them outside of its gaps, and how many came twice.

    `sparse`: the offsets are not 1, 2, 3 …
    """

    lost: int
    unexplained: int
    doubled: int
    sparse: bool


async def follow(bridge: Bridge, read: Read) -> None:
    """Read with `Bridge.feed` until the task is cancelled."""
    async with aclosing(bridge.feed("m.f")) as events:
        async for each in events:
            if isinstance(each, FeedItem):
                read.add(each.offset, each.data)
            else:
                read.gaps.append(each.after)
                read.wrong_missed += each.missed is not None


async def poll(bridge: Bridge, server: EventServer, read: Read) -> None:
    """Read with the tool and its cursor, until nothing happens any more and everything was read."""
    cursor: dict[str, str] = {}
    while True:
        finished = server.finished.is_set()
        page = await bridge.call_tool("m.f_events", {"wait_seconds": QUIET, "max_events": 7, **cursor})
        cursor = {"cursor": page["cursor"]}
        for event in page["events"]:
            read.add(event["offset"], event["data"])
        read.gaps += [gap["after"] for gap in page["gaps"]]
        read.wrong_missed += page["missed"] != (None if page["gaps"] else 0)
        if finished and page["timed_out"]:
            return


async def drive(size: Size, kills: int, *, replay: str) -> tuple[EventServer, Read, Read]:
    """Kill the connection of a feed so many times, and return what its two readers have read."""
    server, polled, followed = EventServer(kills, size.random()), Read(), Read()
    with patch.object(keeper, "backoff_delay", lambda *_: 0.0):
        async with server.serving(), open_bridge([feed(server.port, replay=replay)]) as bridge:
            following = asyncio.create_task(follow(bridge, followed))
            async with asyncio.timeout(LONGEST):
                await poll(bridge, server, polled)
            following.cancel()
            await asyncio.wait([following])
    return server, polled, followed


async def measure(size: Size) -> Sequence[Figure]:
    """Kill as many connections with each kind of replay."""
    kills = size.of(1_000, 20_000, light=300)
    return [_figure(await drive(size, kills, replay=replay), replay) for replay in REPLAYS]


def _figure(driven: tuple[EventServer, Read, Read], replay: str) -> Figure:
    server, *reads = driven
    losses = [read.compare(server.happened) for read in reads]
    lost, unexplained, doubled = (sum(each) for each in zip(*(astuple(loss)[:3] for loss in losses), strict=True))
    gaps = max(len(read.gaps) for read in reads)
    wrong = sum(read.wrong_missed for read in reads) + sum(loss.sparse for loss in losses)
    how = f"with `{replay}`" if replay else "without a replay"
    what = f"{server.happened:,} events, {server.kills:,} connections killed, {how}"
    result = f"{lost:,} lost, {unexplained} of them outside of {gaps:,} gaps, {doubled} doubled, {wrong} wrong `missed`"
    if replay:
        met = not (lost or gaps or doubled or wrong)
        return Figure("T17", what, result, "0 lost, 0 gaps, 0 doubled, 0 wrong", met)
    met = lost > 0 and gaps <= server.kills and not (unexplained or doubled or wrong)
    return Figure("T17", what, result, "0 lost outside of gaps, at most a gap for each kill, 0 doubled, 0 wrong", met)


if __name__ == "__main__":
    run(measure)
