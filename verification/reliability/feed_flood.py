"""T18: a feed of 1 MiB gets 10,000 events a second, on the connection that calls use.

The bridge (the real process) and the endpoint have separate processes; a host makes calls continuously, in turns
without the flood, with it, and with it beside readers who search for an event that never comes. Pass criteria: the
latency of the calls under the flood as a multiple of that without, the memory of the bridge, and `missed`: with the
events that are left, it must add up to the events that were sent, exactly.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from verification.harness.clock import Clock
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Answer, Host
from .memory import Memory
from .message_flood import calls_during, document, endpoint, p99_of

RATE: Final = 10_000
MIN_RATE: Final = 5_000
"""The rate that must be reached: the endpoint does not send more than the bridge reads."""

FLOOD_SECONDS: Final = 2
SEARCHING: Final = 64
"""Readers who search at the same time: as many as may wait."""

MAX_BYTES: Final = 1 << 20
MAX_GROWTH: Final = 8
"""MiB, for a feed that may keep 1 MiB of events."""

MAX_RATIO: Final = 8.0
"""The p99 of calls under the flood, as a multiple of that without: some events are always ahead of the reply."""
MAX_SEARCHED_RATIO: Final = 16.0
"""The same beside the readers who search: a part of one search is ahead of each step of a call as well."""

FEED: Final[dict[str, Any]] = {
    "name": "f",
    "match": "message.method == 'event'",
    "item": "message.params.n",
    "size": 100_000,
    "max_bytes": MAX_BYTES,
}


async def measure(size: Size) -> Sequence[Figure]:
    """Make calls in turns with and without a flood, then read what the feed has kept."""
    flooded: list[Answer] = []
    searched: list[Answer] = []
    quiet: list[Answer] = []
    seconds = 0.0
    async with (
        endpoint("events", FLOOD_SECONDS, RATE) as (port, flooder),
        Host({**document("m", port), "feeds": [FEED]}) as host,
    ):
        assert flooder.stdout
        host.clock = Clock([host.process.pid, flooder.pid])
        await host.initialize()
        start = json.loads((await host.call("m_f_events")).text)["cursor"]
        memory = Memory(host.process.pid)
        for _ in range(size.of(3, 40)):
            began = host.clock.now()
            await host.call("m_t", flood=True)
            flooded += await calls_during(host, asyncio.create_task(flooder.stdout.readline()))
            await host.call("m_t", flood=True)
            async with _searching(host):
                searched += await calls_during(host, asyncio.create_task(flooder.stdout.readline()))
            seconds += host.clock.now() - began
            resting = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(FLOOD_SECONDS / 2, resting.set_result, b"")
            quiet += await calls_during(host, resting)
        growth = memory.growth
        missed, kept = await _read_all(host, start)
    rate = min(RATE, int((missed + len(kept)) / seconds))
    return [
        *_call_figures(flooded, searched, quiet, rate),
        _memory_figure(growth),
        _count_figure(missed, kept),
    ]


@asynccontextmanager
async def _searching(host: Host) -> AsyncIterator[None]:
    """Let readers follow the feed with a condition that no event fulfils, until the block ends."""
    is_over = False

    async def search() -> None:
        cursor: dict[str, Any] = {}
        while not is_over:
            answer = await host.call("m_f_events", where="data == -1", wait_seconds=0.5, **cursor)
            cursor = {"cursor": json.loads(answer.text)["cursor"]}

    async with asyncio.TaskGroup() as tasks:
        for _ in range(SEARCHING):
            tasks.create_task(search())
        yield
        is_over = True


async def _read_all(host: Host, cursor: str) -> tuple[int, list[int]]:
    """Return how many events a reader has missed, and those that it gets."""
    missed, kept, has_more = 0, [], True
    while has_more:
        answer = await host.call("m_f_events", cursor=cursor, wait_seconds=0, max_events=1000)
        page = json.loads(answer.text)
        missed += page["missed"]
        kept += [event["data"] for event in page["events"]]
        cursor, has_more = page["cursor"], page["has_more"]
    return missed, kept


def _call_figures(
    flooded: Sequence[Answer], searched: Sequence[Answer], quiet: Sequence[Answer], rate: int
) -> list[Figure]:
    base = p99_of(quiet)
    failed = sum(answer.failed for answer in (*flooded, *searched, *quiet))
    figures = []
    searching = f", and {SEARCHING} readers who search it"
    for answers, readers, ratio in ((flooded, "", MAX_RATIO), (searched, searching, MAX_SEARCHED_RATIO)):
        p99 = p99_of(answers)
        result = f"{p99 * 1000:.1f} ms, {p99 / base:.2f} × that of {base * 1000:.1f} ms without"
        met = p99 <= ratio * base and rate >= MIN_RATE
        target = f"{ratio:.0f} ×, at least {MIN_RATE:,} events a second"
        what = f"{len(answers)} calls beside a feed with {rate:,} events a second{readers}"
        figures.append(Figure("T18", f"{what}: p99", result, target, met))
    return [*figures, Figure("T18", "failed calls", str(failed), "0", not failed)]


def _memory_figure(growth: float) -> Figure:
    return Figure("T18", "memory", f"+{growth:.1f} MiB", f"+{MAX_GROWTH} MiB", growth <= MAX_GROWTH)


def _count_figure(missed: int, kept: Sequence[int]) -> Figure:
    exact = len(kept) > 0 and list(kept) == list(range(missed + 1, missed + 1 + len(kept)))
    result = f"{missed:,} and {len(kept):,}, {'exact' if exact else 'WRONG'}"
    return Figure("T18", "`missed`, and events that were kept", result, "exact", exact and missed > 0)


if __name__ == "__main__":
    run(measure)
