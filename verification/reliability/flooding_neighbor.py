"""T7: an endpoint sends events into a feed as fast as TCP takes them, while a host calls another endpoint.

The bridge (the real process) and the endpoints have separate processes. What one read from the socket of the flood
brings takes the bridge up to a second. Pass criteria: the latency of the calls, and no errors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Answer, Host
from .message_flood import FLOOD_SECONDS, document, endpoint, p99_of

MAX_P99: Final = 0.05
"""Seconds."""

FLOODED: Final[dict[str, Any]] = {
    "feeds": [{"name": "f", "match": "message.method == 'tick'", "max_bytes": 1 << 20}],
    "limits": {},  # the pong of the endpoint is behind all events that TCP holds
}


async def measure(size: Size) -> Sequence[Figure]:
    """Flood a feed several times, and call another endpoint meanwhile."""
    answers: list[Answer] = []
    async with (
        endpoint("greedy", FLOOD_SECONDS) as (port, flooder),
        endpoint("messages", 1) as (calm, _),
        Host([{**document("flood", port), **FLOODED}, document("calm", calm)]) as host,
    ):
        assert flooder.stdout
        await host.initialize()
        await host.call("flood_f_events")
        await host.call("calm_t")
        for _ in range(size.of(3, 30, light=2)):
            await host.call("flood_t", flood=True)
            flooding = asyncio.create_task(flooder.stdout.readline())
            while not flooding.done():
                answers.append(await host.call("calm_t"))
    p99 = p99_of(answers)
    failed = sum(answer.failed for answer in answers)
    what = f"{len(answers)} calls of another endpoint beside a feed with all events that TCP takes"
    return [
        Figure("T7", f"{what}: p99", f"{p99 * 1000:.0f} ms", f"{MAX_P99 * 1000:.0f} ms", p99 <= MAX_P99),
        Figure("T7", "failed calls", str(failed), "0", not failed),
    ]


if __name__ == "__main__":
    run(measure)
