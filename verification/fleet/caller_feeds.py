"""F10: callers with credentials of their own follow a feed through all replicas, each over one connection.

Every read goes to the next replica. What Redis holds for a caller is encrypted with the key of the fleet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryDirectory
from typing import Any, Final

import httpx2
import redis.asyncio as redis

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import Endpoint
from .programs import PATIENCE
from .reader import Reader
from .site import Site, site

REPLICAS: Final = 3
HEADER: Final = "X-User-Key"
VALUES: Final = ("the-key-of-ada", "the-key-of-bob")


def manual(endpoint: Endpoint, replica: int) -> dict[str, Any]:
    """Return a call template that sends the value of the caller."""
    template = endpoint.manual(replica)
    return {**template, "headers": {**template["headers"], HEADER: "${caller:USER_KEY}"}}


async def readable(running: Site) -> int:
    """Return how many entries of Redis contain a value of a caller, or an event in plain text."""
    wanted = [each.encode() for each in (*VALUES, '{"o":', '"d":')]
    async with redis.Redis(port=running.redis.port) as client:
        await client.config_set("rdbcompression", "no")  # or what is dumped would not be found
        names = [key async for key in client.scan_iter()]
        texts = [await client.dump(key) or b"" for key in names]
    return sum(each in text for text in (*names, *texts) for each in wanted)


async def measure(size: Size) -> Sequence[Figure]:
    """Let two callers follow the feed at the same time."""
    seconds = size.of(10, 60, 5)
    with TemporaryDirectory() as folder:
        key = Path(folder) / "key"
        key.write_text(token_hex(32), encoding="utf-8")
        options = ["--shared-key-file", str(key), "--caller-variable", f"USER_KEY={HEADER}"]
        async with site(REPLICAS, manual, options=options) as running:
            readers = await _follow(running, seconds)
            found = await readable(running)
    open_at_once = max(accumulate(change.by for change in running.endpoint.changes))
    numbers = set(range(1, running.endpoint.happened + 1))
    lost = sum(
        len({each for each in numbers if each > min(reader.read_numbers)} - reader.read_numbers) for reader in readers
    )
    faults = sum(reader.faults + len(reader.named) for reader in readers)
    what = f"{len(VALUES)} callers read {len(numbers):,} events, each read at the next of {REPLICAS} replicas"
    result = (
        f"{open_at_once} connections; {lost} events lost, {faults} twice, out of order or in gaps; "
        f"{found} values or events readable in Redis"
    )
    met = (open_at_once, lost, faults, found) == (len(VALUES), 0, 0, 0)
    return [Figure("F10", what, result, f"{len(VALUES)}; 0, 0; 0", met)]


async def _follow(running: Site, seconds: float) -> list[Reader]:
    readers = [Reader() for _ in VALUES]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        sites = []
        for value in VALUES:
            client = httpx2.AsyncClient(timeout=PATIENCE, headers={HEADER: value})
            sites.append(replace(running, http=await stack.enter_async_context(client)))
        for one, reader in zip(sites, readers, strict=True):
            for _ in running.replicas:  # a replica follows the feed from the first read
                await reader.read(one)
        sending = tasks.create_task(running.endpoint.send_events())
        reading = [tasks.create_task(reader.follow(one)) for one, reader in zip(sites, readers, strict=True)]
        await asyncio.sleep(seconds)
        sending.cancel()
        for each in reading:
            each.cancel()
        for one, reader in zip(sites, readers, strict=True):
            await asyncio.wait_for(reader.read_until(one, running.endpoint.happened), timeout=PATIENCE)
    return readers


if __name__ == "__main__":
    run(measure)
