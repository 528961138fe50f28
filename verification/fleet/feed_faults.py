"""F2, F3: a feed of three replicas has one connection, and its events are read once, whatever fails.

The owner is killed, and paused for longer than its lease; Redis is killed and comes back empty, and in the large size
it is frozen. A reader follows the feed through nginx all the while, each read at the next replica.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from typing import Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint, seconds_with
from .reader import Reader
from .site import Site, site

REPLICAS: Final = 3
PAUSE: Final = 10.0
LEASE: Final = 5.0
LONGEST_RENEWAL: Final = 3.0
"""Seconds that the last renewal of a lease is old when the pause begins, at most: a third of the lease, and what a busy
machine adds."""
LONGEST_WITHOUT: Final = 8.0
"""Seconds without a connection: the lease of 5 s, the attempt of another replica that follows it, the connection."""
LONGEST_AFTER_PAUSE: Final = 0.5
QUIET: Final = 1.5
"""Seconds that are observed after a failure."""


async def kill_owner(running: Site) -> tuple[float, float]:
    """Kill the owner, wait for the next one, and start the replica again; return when that was."""
    endpoint, owner = running.endpoint, running.endpoint.owner
    began = endpoint.now()
    running.replicas[owner].signal(signal.SIGKILL)
    await running.replicas[owner].ended()
    await _until_moved(endpoint)
    await running.replicas[owner].start()
    await asyncio.sleep(QUIET)
    return began, endpoint.now()


async def pause_owner(running: Site) -> tuple[float, float, float]:
    """Pause the owner; return when the pause began and ended, and when this was over."""
    endpoint, owner = running.endpoint, running.endpoint.owner
    began = endpoint.now()
    running.replicas[owner].signal(signal.SIGSTOP)
    await asyncio.sleep(PAUSE)
    running.replicas[owner].signal(signal.SIGCONT)
    continued = endpoint.now()
    await endpoint.until(lambda: len(endpoint.open) == 1)
    await asyncio.sleep(QUIET)
    return began, continued, endpoint.now()


async def restart_redis(running: Site) -> tuple[float, float]:
    """Kill Redis and start it empty; return when that was.

    No events happen meanwhile: the owner would notice with the next one that it owns the feed no longer.
    """
    endpoint = running.endpoint
    endpoint.quiet = True
    began, before = endpoint.now(), len(endpoint.changes)
    await running.redis.kill()
    await running.redis.start()
    await endpoint.until(lambda: len(endpoint.changes) >= before + 2 and len(endpoint.open) == 1)
    await asyncio.sleep(LEASE + QUIET)  # a replica that waited for a lease would take the feed over now
    endpoint.quiet = False
    await asyncio.sleep(QUIET)
    return began, endpoint.now()


async def freeze_redis(running: Site) -> tuple[float, float]:
    """Freeze Redis for longer than the lease; return when that was."""
    endpoint = running.endpoint
    began = endpoint.now()
    running.redis.signal(signal.SIGSTOP)
    await asyncio.sleep(PAUSE)
    running.redis.signal(signal.SIGCONT)
    await endpoint.until(lambda: len(endpoint.open) == 1)
    await asyncio.sleep(QUIET)
    return began, endpoint.now()


async def _until_moved(endpoint: Endpoint) -> None:
    await endpoint.until(lambda: not endpoint.open)
    await endpoint.until(lambda: len(endpoint.open) == 1)


async def measure(size: Size) -> Sequence[Figure]:
    """Let everything fail, one after the other."""
    rounds, reader = size.of(1, 6), Reader()
    async with site(REPLICAS, Endpoint.manual) as running, asyncio.TaskGroup() as tasks:
        endpoint = running.endpoint
        while not endpoint.open:
            await reader.read(running)
        working = [tasks.create_task(each) for each in (endpoint.send_events(), reader.follow(running))]
        await asyncio.sleep(QUIET)
        figures: list[Figure] = []
        for _ in range(rounds):
            figures += [
                _outage(endpoint, "the owner killed", *await kill_owner(running)),
                _pause(endpoint, *await pause_owner(running)),
                _outage(endpoint, "Redis killed and started empty", *await restart_redis(running)),
            ]
            if size.nightly:
                name = f"Redis frozen for {PAUSE:g} s"
                figures.append(_outage(endpoint, name, *await freeze_redis(running)))
        for each in working:
            each.cancel()
        last = endpoint.happened
        await asyncio.wait_for(_read_the_rest(running, reader), timeout=30)
    return [*figures, _read(reader, last)]


async def _read_the_rest(running: Site, reader: Reader) -> None:
    """Read until nothing more comes."""
    count = -1
    while count != len(reader.numbers):
        count = len(reader.numbers)
        await reader.read(running)


def _outage(endpoint: Endpoint, name: str, since: float, until: float) -> Figure:
    without = seconds_with(endpoint.changes, lambda count: count == 0, since, until)
    two = seconds_with(endpoint.changes, lambda count: count > 1, since, until)
    met = two == 0 and without <= LONGEST_WITHOUT
    result = f"none for {without:.2f} s, two for {two:.2f} s"
    return Figure("F2", f"connections of a feed, {name}", result, f"none at most {LONGEST_WITHOUT:g} s, never two", met)


def _pause(endpoint: Endpoint, since: float, continued: float, until: float) -> Figure:
    two = seconds_with(endpoint.changes, lambda count: count > 1, since, continued)
    after = seconds_with(endpoint.changes, lambda count: count > 1, continued, until)
    result = f"a second one for {two:.2f} s of the pause, and for {after:.2f} s afterwards"
    # A paused process cannot close its connection; what arrives there reaches no reader.
    met = 0 < two <= PAUSE - LEASE + LONGEST_RENEWAL and after <= LONGEST_AFTER_PAUSE
    target = f"from the end of the lease ({LEASE:g} s) to {LONGEST_AFTER_PAUSE:g} s after the pause"
    return Figure("F2", f"connections of a feed, the owner paused for {PAUSE:g} s", result, target, met)


def _read(reader: Reader, happened: int) -> Figure:
    read = reader.read_numbers
    result = (
        f"{len(read):,} read, {reader.doubled} twice, {reader.unexplained} missing without a named gap, "
        f"{reader.disordered} out of order, {reader.wrong_missed} wrong `missed`; {len(reader.named)} gaps, "
        f"{reader.repeated} reads repeated"
    )
    what = f"{happened:,} events at the endpoint, read by cursor at the replicas in turn meanwhile"
    met = not reader.faults and bool(read) and bool(reader.named)
    return Figure("F3", what, result, "each event once, or within a named gap", met)


if __name__ == "__main__":
    run(measure)
