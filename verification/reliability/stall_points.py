"""T13: wherever a peer stalls, the call ends by its deadline and nothing is left.

Each point is a real endpoint on loopback that goes so far and no further; the name server is a resolver that never
answers. Calls have 0.5 s, `connect_timeout` and login steps 1 s. The oracle is the clock around `call_tool`, and Linux:
after 2 s no socket leads to an endpoint that never opened, and once the bridge is closed, which takes 2.5 s at most, no
socket leads to any and no task is left. One round before the first loads the libraries.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
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
"""`connect_timeout`, and the timeout of each step before the first request."""

OPENING_LIMIT: Final = 2.0
"""Seconds after which nothing may be opening any more."""

START_INTERVAL: Final = 0.08
"""Seconds between the starts of two points, so that none has to wait for another one's first steps."""

CLOSE_LIMIT: Final = 2.5
"""Seconds that closing the bridge may take: the closing handshake has 2."""


@dataclass(frozen=True, slots=True)
class Point:
    """Where a peer stalls. `talk` is its side, None a port that accepts nothing; `template` says what needs it there.

    `answers`: the call succeeds, and it is afterwards that the peer stalls. `opens`: a connection is opened.
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
    Point("send", _never_read, lambda host: RPC, {"much": "x" * (8 << 20)}, opens=True),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class StallResult:
    """One point in one round: how late the call ended, what was left, and how long the bridge took to close."""

    point: str
    right: bool
    late: float
    sockets: int
    closing: float


async def measure(size: Size) -> Sequence[Figure]:
    """Stall at all points side by side, again and again."""
    await _round()
    before = tasks()
    seen = [each for _ in range(size.of(1, 50)) for each in await _round()]
    left = len(tasks() - before)
    wrong = sorted({each.point for each in seen if not each.right})
    latest = max(seen, key=lambda each: each.late)
    slowest = max(seen, key=lambda each: each.closing)
    sockets = sum(each.sockets for each in seen)
    points = f"{len(POINTS)} points where a peer stalls, {len(seen)} calls"
    return [
        Figure("T13", f"{points}: ended otherwise than they should", _names(wrong), "0", not wrong),
        Figure(
            "T13", "latest end of a call", _at(latest.late, latest), f"{MAX_LATENESS} s", latest.late <= MAX_LATENESS
        ),
        Figure("T13", "left behind", f"{left} tasks, {sockets} sockets", "0, 0", not left and not sockets),
        Figure(
            "T13", "slowest close", _at(slowest.closing, slowest), f"{CLOSE_LIMIT} s", slowest.closing <= CLOSE_LIMIT
        ),
    ]


def _at(seconds: float, seen: StallResult) -> str:
    return f"{seconds:.3f} s ({seen.point})"


def _names(names: Sequence[str]) -> str:
    return f"{len(names)} ({', '.join(names)})" if names else "0"


async def _round() -> list[StallResult]:
    with tempfile.TemporaryDirectory() as folder:
        stalled = (_stalled(point, Path(folder), number * START_INTERVAL) for number, point in enumerate(POINTS))
        return await asyncio.gather(*stalled)


async def _stalled(point: Point, folder: Path, start: float) -> StallResult:
    await asyncio.sleep(start)
    async with AsyncExitStack() as stack:
        port = await _open(point, stack)
        ours = sockets_to(port)
        async with _bridge(point, port, folder) as bridge:
            began = time.monotonic()
            answered = await _call(bridge, point)
            late = time.monotonic() - began - TIMEOUT
            await asyncio.sleep(OPENING_LIMIT - TIMEOUT if not point.answers else CLOSE_LIMIT)
            sockets = 0 if point.opens else sockets_to(port) - ours
            began = time.monotonic()
        closing = time.monotonic() - began
        return StallResult(point.name, answered == point.answers, late, sockets + sockets_to(port) - ours, closing)


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
    """Whether the call succeeded."""
    try:
        await bridge.call_tool("m.t", point.arguments)
    except BridgeError:
        return False
    return True


if __name__ == "__main__":
    run(measure)
