"""F4, F5: a rolling restart loses no event of a feed with `resume`, and hands the feed over at once.

It is always the owner that gets SIGTERM, and the feed has been read at all replicas: one at which it
was never read does not follow it. Redis wants TLS, and a user with a password and few permissions.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from statistics import median
from typing import Any, Final

import redis.asyncio as redis

from utcp_ws_mcp.core.feeds.shared_entry import SharedEvent, decode_entry
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .programs import PASSWORD, USER, RedisServer
from .reader import Reader
from .site import Site, site

REPLICAS: Final = 3
LONGEST: Final = 0.1
"""Seconds from the end of a connection to the subscription of the next one, typically."""
BETWEEN: Final = 1.0
"""Seconds between two restarts."""


async def restart_owner(running: Site) -> tuple[float, float]:
    """Restart the owner; return the seconds from SIGTERM to the next subscription, and those without one."""
    endpoint = running.endpoint
    replica, before = running.replicas[endpoint.owner], len(endpoint.changes)
    asked = endpoint.now()
    replica.signal(signal.SIGTERM)
    await endpoint.until(lambda: len(endpoint.changes) >= before + 2)
    ended, began = endpoint.changes[before : before + 2]
    await replica.ended()
    await replica.start()
    await running.call("m_f_events", port=replica.port)
    await asyncio.sleep(BETWEEN)
    return began.at - asked, began.at - ended.at


async def stored_events(server: RedisServer) -> list[int]:
    """Return the numbers of the events in the stream of the feed."""
    authority = str(server.folder / "authority.pem")
    client = redis.Redis(
        host="localhost", port=server.port, username=USER, password=PASSWORD, ssl=True, ssl_ca_certs=authority
    )
    async with client:
        keys = [key async for key in client.scan_iter("utcp-ws:*:feed:f:events")]
        assert len(keys) == 1, keys
        found: Any = await client.xrange(keys[0])
    entries = [decode_entry(fields[b"e"]) for _, fields in found]
    return [int(each.data or "") for each in entries if isinstance(each, SharedEvent)]


async def measure(size: Size) -> Sequence[Figure]:
    """Restart owners while a reader follows the feed."""
    restarts, reader = size.of(4, 40, 3), Reader(in_order=False)
    async with site(REPLICAS, Endpoint.resuming_manual, secure=True) as running, asyncio.TaskGroup() as tasks:
        endpoint = running.endpoint
        while not endpoint.open:
            await reader.read(running)
        sending = tasks.create_task(endpoint.send_events())
        reading = tasks.create_task(reader.follow(running))
        for each in running.replicas:
            await running.call("m_f_events", port=each.port)
        await asyncio.sleep(BETWEEN)
        times = [await restart_owner(running) for _ in range(restarts)]
        sending.cancel()
        await asyncio.sleep(BETWEEN)
        reading.cancel()
        stored = await stored_events(running.redis)
        await asyncio.wait_for(reader.read_until(running, endpoint.happened), timeout=30)
    return [_losses(restarts, stored, reader, endpoint.happened), _handovers(times)]


def _losses(restarts: int, stored: Sequence[int], reader: Reader, happened: int) -> Figure:
    lost, unread = happened - len(set(stored)), len(set(stored) - reader.read_numbers)
    what = f"{restarts} restarts of the owner (TLS, a user with few permissions), {happened:,} events at the endpoint"
    result = (
        f"{lost} lost, {unread} written and not read, {reader.doubled} twice, {len(reader.named)} gaps, "
        f"{reader.wrong_missed} wrong `missed`; {reader.repeated} reads repeated"
    )
    met = not (lost or unread or reader.faults or reader.named)
    return Figure("F4", what, result, "0 lost, 0 not read, 0 twice, 0 gaps", met)


def _handovers(times: Sequence[tuple[float, float]]) -> Figure:
    slowest, typical = (choose(without for _, without in times) for choose in (max, median))
    asked = max(after for after, _ in times)
    result = f"{1000 * typical:.0f} ms, at most {1000 * slowest:.0f} ms; at most {asked:.2f} s after SIGTERM"
    what = "without a connection at a restart of the owner, the median"
    return Figure("F5", what, result, f"{1000 * LONGEST:.0f} ms", typical <= LONGEST)


if __name__ == "__main__":
    run(measure)
