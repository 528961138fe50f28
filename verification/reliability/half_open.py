"""T6: pings detect a silent peer whose TCP connection stays open, and a call never passes its deadline.

The bridge uses a real endpoint through a proxy that stops forwarding in both directions at a random moment and closes
nothing. This happens to idle connections, to calls that wait for a reply, and to calls that send a large request.
Measured from the moment when the proxy stops: the dead connection is detected, and a call with time left fails, within
ping_interval + ping_timeout + close_timeout + 0.5 s; a call with a short deadline ends at most 0.1 s after it. A new
connection through the proxy works, so the next call must succeed. All times are those of the clock of the harness,
which stands still while this process waits for a processor.
"""

from __future__ import annotations

import asyncio
import json
import random
import tempfile
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
"""`ping_interval` and `ping_timeout` in seconds."""

DETECTION_LIMIT: Final = PINGS + PINGS + CLOSE_TIMEOUT + 0.5
SHORT_TIMEOUT: Final = 0.4
LONG_TIMEOUT: Final = 30.0
MAX_LATENESS: Final = 0.1
LARGE_TEXT: Final = "x" * (12 << 20)


@dataclass(frozen=True, slots=True)
class Silence:
    """The effect of a silent peer: seconds until detection, and from the deadline of the short call to its end."""

    where: str
    detected: float
    late: float
    correct: bool


async def measure(size: Size) -> Sequence[Figure]:
    """Make many connections silent."""
    rng = size.random()
    silences: list[Silence] = []
    async with serve(_answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(size.of(2, 20)):
                places = ("idle", "waiting", "sending") * 3
                runs = [_silence(where, port, Path(folder), rng) for where in places]
                silences += await asyncio.gather(*runs)
    slowest = max(silences, key=lambda each: each.detected)
    latest = max(silences, key=lambda each: each.late)
    failed = sorted({each.where for each in silences if not each.correct})
    return [
        Figure("T6", f"slowest of {len(silences)} silent peers detected", f"{slowest.detected:.2f} s ({slowest.where})",
               f"{DETECTION_LIMIT} s", slowest.detected <= DETECTION_LIMIT),
        Figure("T6", "latest end of a call with a short deadline", f"{latest.late:.3f} s after it ({latest.where})",
               f"{MAX_LATENESS} s", latest.late <= MAX_LATENESS),
        Figure("T6", "unexpected errors, or no answer afterwards", ", ".join(failed) or "0", "0", not failed),
    ]  # fmt: skip


async def _answer(connection: ServerConnection) -> None:
    """Answer the requests with the parameter `answer`."""
    with suppress(ConnectionClosed):
        async for raw in connection:
            message = json.loads(raw)
            if message["params"].get("answer"):
                await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "here"}))


async def _silence(where: str, target: int, folder: Path, rng: random.Random) -> Silence:
    pause = rng.uniform(0, PINGS)
    async with proxy(target) as silenced:
        closed = asyncio.Event()

        def observe(event: Event) -> None:
            if isinstance(event, events.ConnectionClosed):
                closed.set()

        file = folder / f"{silenced.port}.json"
        file.write_text(json.dumps(_document(silenced.port)))
        async with Bridge.open(file, observe=observe) as bridge:
            await bridge.call_tool("m.long", {"answer": True})
            await asyncio.sleep(pause)
            silenced.end_connections("stop")
            started = _now()
            outcomes = await asyncio.gather(*_calls(bridge, where), _timed(closed.wait(), started))
            correct = all(isinstance(error, ConnectionLost) for error, _ in outcomes[1:-1])
            correct = correct and isinstance(outcomes[0][0], CallTimeout | ConnectionLost)
            afterwards, _ = await _timed(bridge.call_tool("m.short", {"answer": True}), started)
            correct = correct and afterwards is None
        detected = max(seconds for _, seconds in outcomes[1:])
        return Silence(where, detected, outcomes[0][1] - SHORT_TIMEOUT, correct)


def _document(port: int) -> Any:
    tools = [{"name": "long"}, {"name": "short", "tool_call_template": {"timeout": SHORT_TIMEOUT}}]
    limits = {"ping_interval": PINGS, "ping_timeout": PINGS}
    url = f"ws://127.0.0.1:{port}/"
    return {"name": "m", "url": url, "preset": "jsonrpc2", "timeout": LONG_TIMEOUT, "limits": limits, "tools": tools}


def _calls(bridge: Bridge, where: str) -> list[Any]:
    """Return a call with a short deadline and, unless the connection must be idle, one with a long deadline."""
    started = _now()
    calls = [_timed(bridge.call_tool("m.short"), started)]
    if where != "idle":
        calls.append(_timed(bridge.call_tool("m.long", {"text": LARGE_TEXT} if where == "sending" else {}), started))
    return calls


async def _timed(work: Any, started: float) -> tuple[BridgeError | None, float]:
    """Return the error of some work, and the seconds from `started` to its end."""
    error: BridgeError | None = None
    try:
        async with asyncio.timeout(LONG_TIMEOUT):
            await work
    except BridgeError as failed:
        error = failed
    except TimeoutError:  # never detected: the returned seconds exceed the limit
        pass
    return error, _now() - started


def _now() -> float:
    return asyncio.get_running_loop().time()


if __name__ == "__main__":
    run(measure)
