"""T7: an endpoint sends events into a feed as fast as TCP takes them, while a host calls another endpoint.

The events come in messages of their own, in messages of 50,000, or in lists of 10,000. The bridge (the real process)
and the endpoints have separate processes. What one read from the socket of the flood brings, or one message, takes the
bridge up to a second. Pass criteria: the latency of the calls, and no errors.
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

FEED: Final[dict[str, Any]] = {"name": "f", "match": "message.method == 'tick'", "max_bytes": 1 << 20}
FLOODED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "greedy": ("all events that TCP takes", {"feeds": [FEED]}),
    "batches": ("messages of 50,000 events", {"feeds": [FEED], "framing": {"batch": True}}),
    "lists": ("lists of 10,000 events", {"feeds": [{**FEED, "item": "message.params.price", "flat": True}]}),
}
"""What each kind of flood consists of, and the fields of its call template."""


async def measure(size: Size) -> Sequence[Figure]:
    """Flood a feed in each way several times, and call another endpoint meanwhile."""
    figures: list[Figure] = []
    failed = 0
    for kind, (what, fields) in FLOODED.items():
        answers = await _calls_beside(kind, fields, size.of(3, 30, light=2))
        p99 = p99_of(answers)
        failed += sum(answer.failed for answer in answers)
        result, target = f"{p99 * 1000:.0f} ms", f"{MAX_P99 * 1000:.0f} ms"
        figures.append(
            Figure("T7", f"{len(answers)} calls of another endpoint beside {what}: p99", result, target, p99 <= MAX_P99)
        )
    return [*figures, Figure("T7", "failed calls", str(failed), "0", not failed)]


async def _calls_beside(kind: str, fields: dict[str, Any], floods: int) -> list[Answer]:
    """Return the calls of another endpoint during floods of a feed."""
    answers: list[Answer] = []
    flooded = {**fields, "limits": {}}  # the pong of the endpoint is behind all events that TCP holds
    async with (
        endpoint(kind, FLOOD_SECONDS) as (port, flooder),
        endpoint("messages", 1) as (calm, _),
        Host([{**document("flood", port), **flooded}, document("calm", calm)]) as host,
    ):
        assert flooder.stdout
        await host.initialize()
        await host.call("flood_f_events")
        await host.call("calm_t")
        for _ in range(floods):
            await host.call("flood_t", flood=True)
            flooding = asyncio.create_task(flooder.stdout.readline())
            while not flooding.done():
                answers.append(await host.call("calm_t"))
    return answers


if __name__ == "__main__":
    run(measure)
