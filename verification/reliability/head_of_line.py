"""T14: a slow call, or a stream whose consumer stops reading, does not delay other calls on the same connection.

The endpoint runs in its own process. Blocks of fast calls alternate: alone, and beside a call without a reply and a
stream whose consumer stopped, all on one connection. The p99 of the calls beside slow ones is compared with the p99 of
the calls alone; alternating blocks cancel the drift of the machine's speed, and the clock of the harness leaves out
what this process waits for a processor.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import BridgeError
from utcp_ws_mcp.observability.events import ConnectionOpened, Event
from verification.harness.clock import Clock
from verification.harness.command import Size, run
from verification.harness.figure import Figure

CALLS_PER_BLOCK: Final = 50
MAX_RATIO: Final = 2.0
UNDELAYED: Final = 0.003
"""Seconds: a p99 below this is no delay, whatever its ratio: the slow call and the stream would cost far more."""

STREAM: Final = 500
"""Items of a stream, which the endpoint sends at once."""


async def answer(connection: ServerConnection) -> None:
    """Answer `fast` once, `slow` never, and `stream` with STREAM items and no end."""
    with suppress(ConnectionClosed):
        async for raw in connection:
            message = json.loads(raw)
            times = {"fast": 1, "slow": 0, "stream": STREAM}[message["method"]]
            for _ in range(times):
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]}))


async def serve_forever() -> None:
    """Print the port and serve until the process is killed."""
    async with serve(answer, "127.0.0.1", 0, compression=None) as server:
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().create_future()


async def measure(size: Size) -> Sequence[Figure]:
    """Alternate blocks of calls with and without slow calls."""
    program = "import asyncio; from verification.reliability.head_of_line import serve_forever as s; asyncio.run(s())"
    command = ["-c", program]
    endpoint = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=PIPE)
    opened: list[Event] = []
    assert endpoint.stdout
    try:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "manifest.json"
            file.write_text(json.dumps(_document(int(await endpoint.stdout.readline()))))
            async with Bridge.open(file, observe=opened.append) as bridge:
                alone, beside = await _alternate(bridge, Clock(), size.of(1000, 20_000) // CALLS_PER_BLOCK)
    finally:
        endpoint.kill()
        await endpoint.wait()
    base, p99 = _p99(alone), _p99(beside)
    connections = sum(isinstance(event, ConnectionOpened) for event in opened)
    what = f"{len(beside)} calls beside slow ones: p99"
    target = f"{MAX_RATIO} ×, or {UNDELAYED * 1000:.0f} ms"
    result = f"{p99 * 1000:.2f} ms, {p99 / base:.2f} × that of {base * 1000:.2f} ms without"
    return [
        Figure("T14", what, result, target, p99 <= max(MAX_RATIO * base, UNDELAYED)),
        Figure("T14", "connections", str(connections), "1", connections == 1),
    ]


def _document(port: int) -> Any:
    tools = [{"name": "fast"}, {"name": "slow"}, {"name": "stream", "tool_call_template": {"stream": True}}]
    return {"name": "m", "url": f"ws://127.0.0.1:{port}/", "preset": "jsonrpc2", "tools": tools}


async def _alternate(bridge: Bridge, clock: Clock, blocks: int) -> tuple[list[float], list[float]]:
    """Return the seconds of the calls alone and of those beside slow ones; the first block is a warm-up."""
    await _block(bridge, clock)
    alone: list[float] = []
    beside: list[float] = []
    for _ in range(blocks):
        alone += await _block(bridge, clock)
        streaming = asyncio.Event()
        slow = [asyncio.create_task(_slow(bridge)), asyncio.create_task(_stop_reading_stream(bridge, streaming))]
        await streaming.wait()
        await bridge.call_tool("m.fast")  # its reply arrives after all items of the stream
        beside += await _block(bridge, clock)
        for call in slow:
            call.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
    return alone, beside


async def _block(bridge: Bridge, clock: Clock) -> list[float]:
    seconds = []
    for number in range(CALLS_PER_BLOCK):
        started = clock.now()
        await bridge.call_tool("m.fast", {"n": number})
        seconds.append(clock.now() - started)
    return seconds


async def _slow(bridge: Bridge) -> None:
    with suppress(BridgeError):
        await bridge.call_tool("m.slow")


async def _stop_reading_stream(bridge: Bridge, streaming: asyncio.Event) -> None:
    """Read one item of a stream, then stop reading."""
    async for _ in bridge.call_tool_streaming("m.stream", {"n": 0}):
        streaming.set()
        await asyncio.get_running_loop().create_future()


def _p99(seconds: list[float]) -> float:
    return sorted(seconds)[len(seconds) * 99 // 100]


if __name__ == "__main__":
    run(measure)
