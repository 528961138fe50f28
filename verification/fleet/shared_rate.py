"""F1: two and three replicas keep `requests_per_second` together, also while Redis is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from statistics import linear_regression
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .site import CallFailed, Site, site

RATE: Final = 40
CALLERS: Final = 48
TOLERANCE: Final = 0.02
SETTLING: Final = 2.0
"""Seconds after the loss of Redis that are left out: turns that were given before are still waited for."""


def manual(endpoint: Endpoint, replica: int) -> dict[str, Any]:
    """Return a call template with a limit."""
    return endpoint.manual(replica, limits={"requests_per_second": RATE}, feeds=[])


async def keep_calling(running: Site) -> None:
    """Call until the task is cancelled."""
    while True:
        with suppress(CallFailed):
            await running.call("m_t")


async def measured_rate(endpoint: Endpoint, seconds: float) -> float:
    """Return the rate of the requests that arrive from now on: the slope of a line through their times.

    A request that is late at an end of the measurement hardly changes it.
    """
    begin = time.monotonic()
    await asyncio.sleep(seconds)
    times = [each for each in endpoint.requests if begin <= each <= begin + seconds]
    return linear_regression(times, range(len(times))).slope


async def measure(size: Size) -> Sequence[Figure]:
    """Measure with two replicas and with three."""
    return [figure for replicas in (2, 3) for figure in await _measure(size, replicas)]


async def _measure(size: Size, replicas: int) -> Sequence[Figure]:
    seconds = size.of(6, 60)
    async with site(replicas, manual) as running, asyncio.TaskGroup() as tasks:
        callers = [tasks.create_task(keep_calling(running)) for _ in range(CALLERS)]
        await asyncio.sleep(1.0)
        together = await measured_rate(running.endpoint, seconds)
        await running.redis.kill()
        await asyncio.sleep(SETTLING)
        alone = await measured_rate(running.endpoint, seconds)
        for each in callers:
            each.cancel()
    what = f"{replicas} replicas, {RATE} requests a second allowed, {CALLERS} callers for {seconds} s"
    low, high = RATE * (1 - TOLERANCE), RATE * (1 + TOLERANCE)
    target = f"{low:g} to {high:g} a second"
    return [
        Figure("F1", what, f"{together:.2f} a second", target, low <= together <= high),
        Figure("F1", f"{what}, without Redis", f"{alone:.2f} a second", f"at most {high:g} a second", alone <= high),
    ]


if __name__ == "__main__":
    run(measure)
