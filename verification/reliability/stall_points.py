"""T13: wherever a peer stalls, the call ends by its deadline and leaves no task and no socket.

Each point is a real endpoint on loopback that stalls at one step; for DNS it is a resolver that never answers. Calls
have a timeout of 0.5 s, `connect_timeout` and login steps of 1 s. Pass criteria: the end of `call_tool`; no socket to
an endpoint that never completed the opening after 2 s; no socket and no task after the bridge is closed, which takes
at most 2.5 s. A first round without measurement loads the libraries.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.client.manifest_files import load_manifest
from utcp_ws_mcp.errors import BridgeError
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .leaks import sockets_to, tasks
from .raw import (
    PING,
    PONG,
    ConnectionHandler,
    accept,
    black_hole,
    frame,
    hang,
    header,
    listening,
    read_frame,
    read_head,
)

TIMEOUT: Final = 0.5
MAX_LATENESS: Final = 0.1
"""Seconds after its deadline by which a call must have ended."""

STEP_TIMEOUT: Final = 1.0
"""Seconds of `connect_timeout` and of each step before the first request."""

OPENING_LIMIT: Final = 2.0
"""Seconds after which no connection may be opening."""

START_INTERVAL: Final = 0.08
"""Seconds between the starts of two points, so that the CPU use of one does not delay another."""

CLOSE_LIMIT: Final = 2.5
"""Seconds for closing the bridge: the closing handshake has 2."""


@dataclass(frozen=True, slots=True)
class Point:
    """A point where a peer stalls. `talk` is the peer, None a port that accepts nothing.

    `template`: fields of the call template that make the bridge reach this point. `answers`: the call succeeds, and the
    peer stalls afterwards. `opens`: a connection is opened.
    """

    name: str
    talk: ConnectionHandler | None
    template: Callable[[str], dict[str, Any]] = lambda host: {}
    arguments: dict[str, Any] = field(default_factory=dict)
    answers: bool = False
    opens: bool = False


async def _accept_and(reader: StreamReader, writer: StreamWriter, sent: bytes = b"") -> None:
    await accept(reader, writer)
    writer.write(sent)
    while True:
        await read_frame(reader)


async def _half_a_frame(reader: StreamReader, writer: StreamWriter) -> None:
    await _accept_and(reader, writer, header(100) + b'{"half')


async def _half_a_body(reader: StreamReader, writer: StreamWriter) -> None:
    await read_head(reader)
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"access_token"')
    await hang(reader, writer)


async def _never_read(reader: StreamReader, writer: StreamWriter) -> None:
    await accept(reader, writer)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    await hang(reader, writer)


async def _answer_once(reader: StreamReader, writer: StreamWriter) -> None:
    await accept(reader, writer)
    opcode = PING
    while opcode == PING:
        opcode, payload = await read_frame(reader)
        writer.write(frame(payload, PONG if opcode == PING else opcode))
    await hang(reader, writer)


def _token(host: str) -> dict[str, Any]:
    credentials = {"client_id": "i", "client_secret": "s", "token_url": f"http://{host}/token"}
    return {"auth": {"auth_type": "oauth2", **credentials}}


def _before(host: str) -> dict[str, Any]:
    return {"before_connect": [{"http": {"url": f"http://{host}/ticket"}, "timeout": STEP_TIMEOUT}]}


RPC: Final = {"preset": "jsonrpc2"}
POINTS: Final = (
    Point("DNS", hang, lambda host: {"url": f"wss://{host.replace('127.0.0.1', 'stalls.test')}/"}),
    Point("TCP", None),
    Point("TLS", hang, lambda host: {"url": f"wss://{host}/", "tls": {"insecure": True}}),
    Point("token, connect", None, _token),
    Point("token, answer", hang, _token),
    Point("token, body", _half_a_body, _token),
    Point("before_connect", hang, _before),
    Point("upgrade", hang),
    Point("login", _accept_and, lambda host: {"on_connect": [{"expect": "message.ready", "timeout": STEP_TIMEOUT}]}),
    Point("discovery", _accept_and, lambda host: {"tools": None}, opens=True),
    Point("first frame", _accept_and, lambda host: RPC, opens=True),
    Point("half a frame", _half_a_frame, lambda host: RPC, opens=True),
    Point("settling", _accept_and, opens=True),
    Point("close", _answer_once, lambda host: {"keep_alive": False}, answers=True),
    Point("send", _never_read, lambda host: RPC, {"text": "x" * (8 << 20)}, opens=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StallResult:
    """A point in a round: lateness of the call, sockets that are left, and seconds for closing the bridge."""

    point: str
    as_expected: bool
    late: float
    sockets: int
    closing: float


async def measure(size: Size) -> Sequence[Figure]:
    """Stall at all points concurrently, in several rounds."""
    await _round()
    before = tasks()
    results = [each for _ in range(size.of(1, 50)) for each in await _round()]
    leaked = len(tasks() - before)
    unexpected = sorted({each.point for each in results if not each.as_expected})
    latest = max(results, key=lambda each: each.late)
    slowest = max(results, key=lambda each: each.closing)
    sockets = sum(each.sockets for each in results)
    points = f"{len(POINTS)} points where a peer stalls, {len(results)} calls"
    return [
        Figure("T13", f"{points}: unexpected end", _names(unexpected), "0", not unexpected),
        Figure(
            "T13", "latest end of a call", _at(latest.late, latest), f"{MAX_LATENESS} s", latest.late <= MAX_LATENESS
        ),
        Figure("T13", "leaked", f"{leaked} tasks, {sockets} sockets", "0, 0", not leaked and not sockets),
        Figure(
            "T13", "slowest close", _at(slowest.closing, slowest), f"{CLOSE_LIMIT} s", slowest.closing <= CLOSE_LIMIT
        ),
    ]


def _at(seconds: float, result: StallResult) -> str:
    return f"{seconds:.3f} s ({result.point})"


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


async def _round() -> list[StallResult]:
    with tempfile.TemporaryDirectory() as folder:
        runs = (_run_point(point, Path(folder), number * START_INTERVAL) for number, point in enumerate(POINTS))
        return await asyncio.gather(*runs)


async def _run_point(point: Point, folder: Path, start: float) -> StallResult:
    await asyncio.sleep(start)
    async with AsyncExitStack() as stack:
        port = await _open(point, stack)
        listening_sockets = sockets_to(port)
        async with _bridge(point, port, folder) as bridge:
            started = _now()
            answered = await _call(bridge, point)
            late = _now() - started - TIMEOUT
            await asyncio.sleep(OPENING_LIMIT - TIMEOUT if not point.answers else CLOSE_LIMIT)
            leaked = 0 if point.opens else sockets_to(port) - listening_sockets
            started = _now()
        closing = _now() - started
        leaked += sockets_to(port) - listening_sockets
        return StallResult(point.name, answered == point.answers, late, leaked, closing)


async def _open(point: Point, stack: AsyncExitStack) -> int:
    if point.talk is None:
        return stack.enter_context(black_hole())
    return await stack.enter_async_context(listening(point.talk))


async def _never_resolve(host: str, port: int) -> list[str]:
    await asyncio.get_running_loop().create_future()
    return []


def _bridge(point: Point, port: int, folder: Path) -> Bridge:
    host = f"127.0.0.1:{port}"
    document = {
        "name": "m",
        "url": f"ws://{host}/",
        "tools": [{"name": "t"}],
        "timeout": TIMEOUT,
        "limits": {"connect_timeout": STEP_TIMEOUT},
    }
    file = folder / f"{port}.json"
    template = {**document, **point.template(host)}
    file.write_text(json.dumps({key: value for key, value in template.items() if value is not None}))
    return Bridge([load_manifest(file)], resolver=_never_resolve)


async def _call(bridge: Bridge, point: Point) -> bool:
    """Call the tool and return whether the call succeeded."""
    try:
        await bridge.call_tool("m.t", point.arguments)
    except BridgeError:
        return False
    return True


def _now() -> float:
    """Return the time of the harness's clock, which stands still while this process waits for a processor."""
    return asyncio.get_running_loop().time()


if __name__ == "__main__":
    run(measure)
