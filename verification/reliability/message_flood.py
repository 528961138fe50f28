"""T7: a peer sends 100,000 unsolicited messages a second on the connection that calls use.

The bridge (the real process) and the endpoint have separate processes; a host makes calls continuously. The endpoint
sends as fast as the bridge reads, at most 100,000 messages a second, and prints the rate. Pass criteria: the latency of
the calls, no errors (pings must not time out under the flood), and the memory of the bridge.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .host import Answer, Host
from .memory import Memory

RATE: Final = 100_000
MAX_GROWTH: Final = 16
"""MiB."""

MAX_P99: Final = 0.05
CALL_INTERVAL: Final = 0.005
"""Seconds between two calls: at most 200 calls a second."""


@asynccontextmanager
async def endpoint(kind: str, seconds: int) -> AsyncIterator[tuple[int, asyncio.StreamReader]]:
    """Run a flooding endpoint until the block ends, and yield its port and the rest of its output."""
    command = ["-m", "verification.reliability.flood_endpoint", kind, str(RATE), str(seconds)]
    process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    assert process.stdout
    try:
        yield int(await process.stdout.readline()), process.stdout
    finally:
        process.kill()
        await process.wait()


def document(name: str, port: int) -> dict[str, Any]:
    """Return a call template for an endpoint."""
    limits = {"ping_interval": 1, "ping_timeout": 2}
    url = f"ws://127.0.0.1:{port}/"
    return {"name": name, "url": url, "preset": "jsonrpc2", "limits": limits, "tools": [{"name": "t"}]}


async def measure(size: Size) -> Sequence[Figure]:
    """Make calls during the flood."""
    async with endpoint("messages", size.of(4, 60)) as (port, printed), Host(document("m", port)) as host:
        await host.initialize()
        await host.call("m_t")
        memory = Memory(host.process.pid)
        await host.call("m_t", flood=True)
        flooding = asyncio.create_task(printed.readline())
        answers = await _calls(host, flooding)
        seconds = sorted(answer.seconds for answer in answers)
        p99, failed = seconds[len(seconds) * 99 // 100], sum(answer.failed for answer in answers)
        growth = memory.growth
    rate = int(flooding.result())
    calls = f"{len(answers)} calls under {rate:,} unsolicited messages a second"
    return [
        Figure("T7", f"{calls}: p99", f"{p99 * 1000:.1f} ms", f"{MAX_P99 * 1000:.0f} ms", p99 <= MAX_P99),
        Figure("T7", "errors", str(failed), "0", not failed),
        Figure("T7", "memory", f"+{growth:.1f} MiB", f"+{MAX_GROWTH} MiB", growth <= MAX_GROWTH),
    ]


async def _calls(host: Host, flooding: asyncio.Task[bytes]) -> list[Answer]:
    answers = []
    while not flooding.done():
        answers.append(await host.call("m_t"))
        await asyncio.sleep(CALL_INTERVAL)
    return answers


if __name__ == "__main__":
    run(measure)
