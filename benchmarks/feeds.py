"""`python -m benchmarks.feeds`: events a second from the endpoint into a feed, and the latency of a read that waits.

The bridge is used in Python, in the process of the measurement, as the bare client is: MCP has no part in it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

from utcp_ws_mcp import Bridge, load_manifest

from .command import Size, run
from .comparison import Comparison
from .environment import OURS, RAW, benchmark_environment

FEED = {
    "name": "f",
    "match": "message.type == 'tool_response'",
    "item": "message.result",
    "size": 100_000,
    "max_bytes": 1 << 20,
}
SEND = {"name": "send", "tool_call_template": {"message": {"items": "{{ args.items }}"}, "reply": "none"}}


def measure(size: Size) -> Sequence[Comparison]:
    """Compare the bridge with a loop that receives, parses and keeps the same messages."""
    with benchmark_environment() as environment:
        return asyncio.run(_measure(environment.url(), size))


async def _measure(url: str, size: Size) -> Sequence[Comparison]:
    rounds, items, waits = size.of(10, 1), size.of(5_000, 100), size.of(50, 2)
    rate, latency = defaultdict(list), defaultdict(list)
    async with connect(url, compression=None, proxy=None) as bare, _bridge(url) as bridge:
        for number in range(rounds + 1):
            seconds = {RAW: await _time_bare(bare, items), OURS: await _time_events(bridge, items)}
            waited = {
                RAW: sum([await _time_bare(bare, 1) for _ in range(waits)]) / waits,
                OURS: await _time_waits(bridge, waits) / waits,
            }
            if number:  # the first round warms up
                for label, taken in seconds.items():
                    rate[label].append(items / taken)
                    latency[label].append(waited[label])
    return [
        Comparison(f"events a second from the endpoint into a feed of 1 MiB, {items:,} at once", "/s", OURS, rate),
        Comparison("from the request that causes an event to the end of a read that waits", "µs", OURS, latency),
    ]


async def _time_bare(connection: ClientConnection, count: int) -> float:
    """Return the seconds until so many events, and the message behind them, were parsed and kept."""
    kept: deque[Any] = deque(maxlen=10_000)
    began = time.perf_counter()
    await connection.send(json.dumps({"items": count}))
    while len(kept) <= count:
        kept.append(json.loads(await connection.recv()))
    return time.perf_counter() - began


@asynccontextmanager
async def _bridge(url: str) -> AsyncIterator[Bridge]:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "manifest.json"
        file.write_text(json.dumps({"name": "m", "url": url, "tools": [SEND], "feeds": [FEED]}))
        async with Bridge([load_manifest(file, {}, ())]) as bridge:
            await _read(bridge)
            yield bridge


async def _read(bridge: Bridge, **arguments: Any) -> Any:
    return await bridge.call_tool("m.f_events", {"max_events": 1, **arguments})


async def _time_events(bridge: Bridge, count: int) -> float:
    """Return the seconds until so many events are in the feed."""
    buffer = bridge.feed_instances()[0].live.buffer
    last = buffer.end.offset + count
    began = time.perf_counter()
    await bridge.call_tool("m.send", {"items": count})
    while buffer.end.offset < last:  # noqa: ASYNC110  # a read that waited for each event would be measured, too
        await asyncio.sleep(0.001)
    return time.perf_counter() - began


async def _time_waits(bridge: Bridge, count: int) -> float:
    """Return the seconds of so many reads, each from the request that causes its event."""
    seconds = 0.0
    for _ in range(count):
        cursor = (await _read(bridge, wait_seconds=0))["cursor"]
        waiting = asyncio.create_task(_read(bridge, cursor=cursor, wait_seconds=10))
        await asyncio.sleep(0.001)  # it waits now
        began = time.perf_counter()
        await bridge.call_tool("m.send", {"items": 1})
        await waiting
        seconds += time.perf_counter() - began
    return seconds


if __name__ == "__main__":
    run(measure)
