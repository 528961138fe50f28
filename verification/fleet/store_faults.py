"""F6, F7: no call fails because of Redis, and a frozen one delays a call once."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from statistics import median
from typing import Any, Final

from verification.harness.clock import Clock
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .site import CallFailed, Site, site

REPLICAS: Final = 2
LONGEST: Final = 0.3
"""Seconds that Redis may delay a call."""
NOTICEABLE: Final = 0.1
"""Seconds from which a call counts as delayed."""


def manual(endpoint: Endpoint, replica: int) -> dict[str, Any]:
    """Return a call template whose calls ask Redis, which makes none of them wait."""
    return endpoint.manual(replica, limits={"requests_per_second": 100_000}, feeds=[])


class Calls:
    """Calls one after the other, through nginx: their durations without waits for a processor, and failures."""

    def __init__(self, running: Site) -> None:
        self.seconds: list[float] = []
        self.failed = 0
        self._running = running
        self._clock = Clock([each.pid for each in running.replicas])

    async def make(self, seconds: float) -> None:
        """Make calls for so long."""
        now = self._clock.now
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            began = now()
            try:
                await self._running.call("m_t")
            except CallFailed:
                self.failed += 1
            self.seconds.append(now() - began)
            await asyncio.sleep(0.005)


async def measure_frozen(running: Site, seconds: float) -> Figure:
    """Freeze Redis during calls."""
    before, during = Calls(running), Calls(running)
    await before.make(1.0)
    running.redis.signal(signal.SIGSTOP)
    await during.make(seconds)
    running.redis.signal(signal.SIGCONT)
    usual = median(before.seconds)
    delays = [each - usual for each in during.seconds]
    delayed = sum(each > NOTICEABLE for each in delays)
    failed = before.failed + during.failed
    what = f"{len(delays):,} calls at {REPLICAS} replicas after Redis froze"
    result = f"{delayed} delayed, by {1000 * max(delays):.0f} ms at most; {failed} failed"
    target = f"one at each replica, by {1000 * LONGEST:.0f} ms; 0 failed"
    return Figure("F6", what, result, target, delayed <= REPLICAS and max(delays) < LONGEST and not failed)


@asynccontextmanager
async def garbage(port: int) -> AsyncIterator[None]:
    """Serve another protocol at a port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", port):
        yield


async def measure_failures(running: Site, seconds: float) -> Sequence[Figure]:
    """Make calls while Redis is gone, is another program, is full, wants a password, and has lost its data."""
    figures = []

    async def try_out(state: str) -> None:
        calls = Calls(running)
        await calls.make(seconds)
        result = f"{calls.failed} failed, the slowest took {1000 * max(calls.seconds):.0f} ms"
        met = not calls.failed and max(calls.seconds) < LONGEST
        target = f"0 failed, {1000 * LONGEST:.0f} ms"
        figures.append(Figure("F7", f"{len(calls.seconds):,} calls while Redis {state}", result, target, met))

    await running.redis.kill()
    await try_out("is gone")
    async with garbage(running.redis.port):
        await try_out("is another program")
    await running.redis.start("--maxmemory", "1", "--maxmemory-policy", "noeviction")
    await try_out("is full")
    await running.redis.kill()
    await running.redis.start("--requirepass", "another")
    await try_out("wants another password")
    await running.redis.kill()
    await running.redis.start()
    await try_out("is back without its data")
    return figures


async def measure(size: Size) -> Sequence[Figure]:
    """Freeze Redis, and let it fail in other ways."""
    seconds = size.of(3, 20, 2)
    async with site(REPLICAS, manual) as running:
        await Calls(running).make(0.3)
        return [await measure_frozen(running, seconds), *await measure_failures(running, seconds / 2)]


if __name__ == "__main__":
    run(measure)
