"""S22: names that never resolve hold up neither other endpoints nor the end of the process.

The look-up of `slow…` hangs for a minute, and cannot be cancelled, as in libc; a process serves many such endpoints and
a good one. Pass criteria: the calls of the good one, and the time from the end of stdin to the end of the process, each
as a multiple of what it takes when the other endpoints have no names and only do not answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure
from verification.reliability.host import Host

from .endpoint import endpoint

COUNT: Final = 16
MAX_RATIO: Final = 3.0
MIN_SECONDS: Final = 0.25
"""Seconds up to which a time counts as none: a ratio of a few milliseconds says nothing."""

PROGRAM: Final = """
import socket, sys, time
look_up = socket.getaddrinfo
def hang(host, *args, **options):
    if isinstance(host, str) and host.startswith("slow"):
        time.sleep(60)
    return look_up("127.0.0.1" if host == "good.test" else host, *args, **options)
socket.getaddrinfo = hang
from utcp_ws_mcp.__main__ import run
run()
"""


async def answer(connection: Any, message: Any) -> None:
    """Answer as JSON-RPC, except for one path."""
    if connection.request.path == "/silent":
        return
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "here"}))


async def measure(size: Size) -> Sequence[Figure]:
    """Serve endpoints that do not answer, and endpoints whose names hang."""
    async with endpoint(answer) as served:
        alone = await times(served.port, "127.0.0.1", size)
        beside = await times(served.port, "slow{}.test", size)
    figures = []
    for what, before, after in zip(("the slowest call of the good endpoint", "the end"), alone, beside, strict=True):
        limit = MAX_RATIO * max(before, MIN_SECONDS)
        result = f"{after:.2f} s, {before:.2f} s without"
        target = f"{MAX_RATIO:.0f} × that, at least {MAX_RATIO * MIN_SECONDS} s"
        figures.append(Figure("S22", f"names that hang: {what}", result, target, after <= limit))
    return figures


async def times(port: int, host: str, size: Size) -> tuple[float, float]:
    """Return the seconds of the slowest call of the good endpoint, and from the end of stdin to the end."""
    common = {
        "preset": "jsonrpc2",
        "tools": [{"name": "t"}],
        "timeout": 20,
        "network": {"allow": ["loopback"], "plaintext": True},
    }
    good = {"name": "good", "url": f"ws://good.test:{port}/", "keep_alive": False, **common}
    slow = [
        {"name": f"slow{number}", "url": f"ws://{host.format(number)}:{port}/silent", **common, "timeout": 2}
        for number in range(COUNT)
    ]
    async with Host([good, *slow], ("-c", PROGRAM)) as process:
        await process.initialize()
        await process.call("good_t")
        waiting = [asyncio.create_task(process.call(f"slow{number}_t")) for number in range(COUNT)]
        seconds = []
        for _ in range(size.of(10, 100)):
            reply = await process.call("good_t")
            assert not reply.failed, reply.text
            seconds.append(reply.seconds)
        await asyncio.gather(*waiting)
        waiting = [asyncio.create_task(process.call(f"slow{number}_t")) for number in range(COUNT)]
        await process.call("good_t")
        started = process.clock.now()
        process.end("eof")
        await process.ended()
        ended = process.clock.now() - started
        for task in waiting:
            task.cancel()
    return max(seconds), ended


if __name__ == "__main__":
    run(measure)
