"""T8: a peer sends pings as fast as possible and does not read the pongs.

The bridge (the real process) and the endpoint have separate processes; a host calls a second endpoint continuously.
Pass criteria: the memory of the bridge, the time until the bridge drops the connection to the flooding peer (the call
there fails), and the calls of the second endpoint.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Host
from .memory import Memory
from .message_flood import MAX_GROWTH, document, endpoint

DROP_LIMIT: Final = 2.0
"""Seconds within which the bridge drops the connection."""

CALL_LIMIT: Final = 1.0
"""Seconds of a call of the other endpoint while the bridge reads pings."""


async def measure(size: Size) -> Sequence[Figure]:
    """Flood several times and call another endpoint meanwhile."""
    rounds = size.of(3, 30)
    async with (
        endpoint("pings", 10) as (port, _),
        endpoint("messages", 1) as (calm, _),
        Host([document("flood", port), document("calm", calm)]) as host,
    ):
        await host.initialize()
        await host.call("calm_t")
        memory = Memory(host.process.pid)
        answers, floods = [], []
        for _ in range(rounds):
            flooded = asyncio.create_task(host.call("flood_t", flood=True))
            while not flooded.done():
                answers.append(await host.call("calm_t"))
            floods.append(flooded.result())
        growth = memory.growth
    seconds = sorted(answer.seconds for answer in answers)
    failed = sum(answer.failed for answer in answers) + sum(not flood.failed for flood in floods)
    slowest = max(flood.seconds for flood in floods)
    return [
        Figure("T8", f"{rounds} ping floods: memory", f"+{growth:.1f} MiB", f"+{MAX_GROWTH} MiB", growth <= MAX_GROWTH),
        Figure("T8", "slowest drop of the peer", f"{slowest:.2f} s", f"{DROP_LIMIT} s", slowest <= DROP_LIMIT),
        Figure("T8", f"{len(seconds)} calls of another endpoint: failed", str(failed), "0", not failed),
        Figure(
            "T8",
            "the slowest of these calls",
            f"{seconds[-1] * 1000:.0f} ms",
            f"{CALL_LIMIT * 1000:.0f} ms",
            seconds[-1] <= CALL_LIMIT,
        ),
    ]


if __name__ == "__main__":
    run(measure)
