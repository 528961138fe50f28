"""T6: a peer that goes silent, while its TCP connection stays, is found by pings; a call never passes its deadline.

The bridge reaches a real endpoint through a proxy that stops forwarding at a random moment, in both directions, and
closes nothing. It happens to idle connections, to calls that wait for a reply, and to calls in the middle of a big
request. The oracle is the clock, from the moment the proxy stopped: the connection is found dead, and a call with
time left gets its error, within ping_interval + ping_timeout + close_timeout + 0.5 s; a call with a short deadline
ends 0.1 s after it at most. Then the path is whole again, and the next call must be answered.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.websocket import CLOSE_TIMEOUT
from utcp_ws_mcp.errors import BridgeError, CallTimeout, ConnectionLost
from utcp_ws_mcp.observability import events
from utcp_ws_mcp.observability.events import Event
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .proxy import proxy

PINGS: Final = 0.3
"""`ping_interval` and `ping_timeout`, seconds."""

DETECTION_LIMIT: Final = PINGS + PINGS + CLOSE_TIMEOUT + 0.5
SHORT_TIMEOUT: Final = 0.4
LONG_TIMEOUT: Final = 30.0
MAX_LATENESS: Final = 0.1
LARGE_TEXT: Final = "x" * (12 << 20)


@dataclass(frozen=True, slots=True)
class Silence:
    """What one silence brought: seconds until it was found, and from the deadline of the short call to its end."""

    where: str
    found: float
    late: float
    right: bool


async def measure(size: Size) -> Sequence[Figure]:
    """Let many connections fall silent."""
    lots = size.random()
    silences: list[Silence] = []
    async with serve(_answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(size.of(2, 20)):
                each = [_silence(where, port, Path(folder), lots) for where in ("idle", "waiting", "sending") * 3]
                silences += await asyncio.gather(*each)
    slowest = max(silences, key=lambda each: each.found)
    latest = max(silences, key=lambda each: each.late)
    wrong = sorted({each.where for each in silences if not each.right})
    return [
        Figure("T6", f"slowest of {len(silences)} silent peers found", f"{slowest.found:.2f} s ({slowest.where})",
               f"{DETECTION_LIMIT} s", slowest.found <= DETECTION_LIMIT),
        Figure("T6", "latest end of a call with a short deadline", f"{latest.late:.3f} s after it ({latest.where})",
               f"{MAX_LATENESS} s", latest.late <= MAX_LATENESS),
        Figure("T6", "wrong errors, or no answer afterwards", ", ".join(wrong) or "0", "0", not wrong),
    ]  # fmt: skip


async def _answer(connection: ServerConnection) -> None:
    """Answer calls that ask for it."""
    with suppress(ConnectionClosed):
        async for raw in connection:
            message = json.loads(raw)
            if message["params"].get("answer"):
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "here"}))


async def _silence(where: str, target: int, folder: Path, lots: random.Random) -> Silence:
    pause = lots.uniform(0, PINGS)
    async with proxy(target) as path:
        closed = asyncio.Event()

        def observe(event: Event) -> None:
            if isinstance(event, events.ConnectionClosed):
                closed.set()

        file = folder / f"{path.port}.json"
        file.write_text(json.dumps(_document(path.port)))
        async with Bridge.open(file, observe=observe) as bridge:
            await bridge.call_tool("m.long", {"answer": True})
            await asyncio.sleep(pause)
            path.end_connections("stop")
            began = time.monotonic()
            outcomes = await asyncio.gather(*_calls(bridge, where), _timed(closed.wait(), began))
            right = all(isinstance(error, ConnectionLost) for error, _ in outcomes[1:-1])
            right = right and isinstance(outcomes[0][0], CallTimeout | ConnectionLost)
            afterwards, _ = await _timed(bridge.call_tool("m.short", {"answer": True}), began)
            right = right and afterwards is None
        found = max(seconds for _, seconds in outcomes[1:])
        return Silence(where, found, outcomes[0][1] - SHORT_TIMEOUT, right)


def _document(port: int) -> Any:
    tools = [{"name": "long"}, {"name": "short", "tool_call_template": {"timeout": SHORT_TIMEOUT}}]
    limits = {"ping_interval": PINGS, "ping_timeout": PINGS}
    url = f"ws://127.0.0.1:{port}/"
    return {"name": "m", "url": url, "preset": "jsonrpc2", "timeout": LONG_TIMEOUT, "limits": limits, "tools": tools}


def _calls(bridge: Bridge, where: str) -> list[Any]:
    """A call with a short deadline, and one with a long one unless the connection is to be idle."""
    began = time.monotonic()
    calls = [_timed(bridge.call_tool("m.short"), began)]
    if where != "idle":
        calls.append(_timed(bridge.call_tool("m.long", {"much": LARGE_TEXT} if where == "sending" else {}), began))
    return calls


async def _timed(work: Any, began: float) -> tuple[BridgeError | None, float]:
    """How some work failed, and how many seconds after `began` it ended."""
    error: BridgeError | None = None
    try:
        async with asyncio.timeout(LONG_TIMEOUT):
            await work
    except BridgeError as failed:
        error = failed
    except TimeoutError:  # never found: the seconds say it
        pass
    return error, time.monotonic() - began


if __name__ == "__main__":
    run(measure)
