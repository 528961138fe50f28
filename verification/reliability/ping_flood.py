"""T8: a peer sends pings as fast as it can, and reads none of the answers.

Bridge (the real process) and endpoint have a process each; a second endpoint is called all the time. The oracle is
Linux's count of the bridge's memory, the clock until the call at the flooding peer has its error, which is when the
bridge has dropped the connection, and the answers of the other endpoint.
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
"""Seconds until a peer that pings and does not read has lost its connection."""

CALL_LIMIT: Final = 1.0
"""Seconds of a call of another endpoint, while the bridge reads pings as fast as it can."""


async def measure(size: Size) -> Sequence[Figure]:
    """Let a peer flood, again and again, and call another one meanwhile."""
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
        Figure("T8", f"{len(seconds)} calls of another endpoint: wrong ends", str(failed), "0", not failed),
        Figure(
            "T8",
            "the slowest of them",
            f"{seconds[-1] * 1000:.0f} ms",
            f"{CALL_LIMIT * 1000:.0f} ms",
            seconds[-1] <= CALL_LIMIT,
        ),
    ]


if __name__ == "__main__":
    run(measure)
