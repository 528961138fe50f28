"""Malformed input wherever foreign data comes in: nothing crashes, and what comes next works."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from utcp_ws_mcp import Bridge
from utcp_ws_mcp.errors import BridgeError, InternalError
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .bridges import open_bridge
from .fuzz import try_input
from .lines import expected_id
from .malformed import malformed_inputs
from .parsers import Parser, parsers

STEP_TIMEOUT: Final = 10.0
VALID_RESULT: Final = {"right": True}
MANUAL: Final = {"utcp_version": "1.0.1", "manual_version": "1", "tools": [{"name": "t"}]}
_BY_ID: Final = {"match": "message.id == request_id", "result": "message.result"}
FILES: Final = ("manifest", "dotenv", "pins")


class Endpoint:
    """A WebSocket server and an HTTP server that say something `malformed` first, if there is something."""

    def __init__(self) -> None:
        self.malformed: bytes | None = None
        self.port = self.http_port = 0

    async def serve_socket(self, connection: ServerConnection) -> None:
        """Malformed in a text and in a binary message, then what is right: a greeting, a manual, a reply."""
        path = connection.request.path if connection.request else ""
        try:
            if path == "/login":
                await self._send_malformed(connection)
                await connection.send('{"op": 0}')
            async for raw in connection:
                message = json.loads(raw)
                if path != "/login":
                    await self._send_malformed(connection)
                answer = MANUAL if message == {"type": "utcp"} else {"id": message.get("id"), "result": VALID_RESULT}
                await connection.send(json.dumps(answer))
        except ConnectionClosed:
            return

    async def _send_malformed(self, connection: ServerConnection) -> None:
        malformed, self.malformed = self.malformed, None
        if malformed is not None:
            await connection.send(malformed, text=False)
            await connection.send(malformed, text=True)

    async def serve_http(self, stream: SocketStream) -> None:
        """One answer: the malformed body, or a token that is also a ticket."""
        async with stream:
            await stream.receive()
            body = json.dumps({"access_token": "t", "ticket": "x"}).encode()
            if self.malformed is not None:
                body, self.malformed = self.malformed, None
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await stream.send(head.encode() + body)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """Serve both on loopback."""
    made = Endpoint()
    async with anyio.create_task_group() as tasks, serve(made.serve_socket, "127.0.0.1", 0) as server:
        made.port = next(iter(server.sockets)).getsockname()[1]
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        made.http_port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, made.serve_http)
        yield made
        tasks.cancel_scope.cancel()


def places(made: Endpoint) -> dict[str, dict[str, Any]]:
    """A call template for each place where an endpoint's data comes in."""
    base = {"name": "m", "url": f"ws://127.0.0.1:{made.port}/", "tools": [{"name": "t"}], "timeout": STEP_TIMEOUT}
    by_id = {"message": {"id": "{{ request_id }}"}, "reply": _BY_ID}
    web = f"http://127.0.0.1:{made.http_port}/"
    oauth = {"auth_type": "oauth2", "token_url": web, "client_id": "c", "client_secret": "s"}
    fresh = {**base, **by_id, "keep_alive": False}
    return {
        "a call, replies by id": {**base, **by_id},
        "a call, the first message": {**base, "response_format": "json"},
        "login": {**fresh, "url": f"{base['url']}login", "on_connect": [{"expect": "message.op == 0"}]},
        "token endpoint": {**fresh, "auth": oauth},
        "before_connect": {**fresh, "before_connect": [{"http": {"url": web}, "capture": {"x": "body.ticket"}}]},
    }


async def call_after(made: Endpoint, bridge: Bridge, data: bytes) -> str | None:
    """A call that meets malformed data, and the next one; what is wrong, or None."""
    made.malformed = data
    try:
        await bridge.call_tool("m.t", {})
    except BridgeError as failed:
        str(failed)
    made.malformed = None
    result = await bridge.call_tool("m.t", {})
    good = result == VALID_RESULT or (isinstance(result, dict) and result.get("result") == VALID_RESULT)
    return None if good else f"the next call gave {result!r}"


async def discover_after(made: Endpoint, data: bytes) -> str | None:
    """A discovery that meets malformed data before the manual: it ends without a defect."""
    made.malformed = data
    template = {"name": "m", "url": f"ws://127.0.0.1:{made.port}/", "preset": "utcp"}
    async with open_bridge(template) as bridge:
        await bridge.wait_discovered(STEP_TIMEOUT)
        failed = bridge.discovery_errors.get("m")
        return (
            f"{failed!r}" if isinstance(failed, InternalError) else None
        )  # no tool: it was itself a manual, without one


async def count_broken(inputs: Sequence[bytes], trial: Callable[[bytes], Awaitable[str | None]]) -> list[str]:
    """What went wrong with each input that made something go wrong."""
    broken = []
    for data in inputs:
        try:
            with anyio.fail_after(STEP_TIMEOUT):
                wrong = await trial(data)
        except Exception as failed:  # whatever escapes is what is looked for
            wrong = f"{type(failed).__name__}: {failed}"
        broken += [f"{wrong[:100]} on {data[:60]!r}"] if wrong else []
    return broken


class Host:
    """A host that writes lines to a bridge's process and reads what it answers."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._count = 0

    async def try_line(self, data: bytes) -> str | None:
        """A malformed line and a ping: the ping is answered, and before it the line, if it is a request."""
        line = data.replace(b"\n", b" ")
        self._count += 1
        ping = f"ping {self._count}"
        request = {"jsonrpc": "2.0", "id": ping, "method": "ping"}
        await self._stdin.send(line + b"\n" + json.dumps(request).encode() + b"\n")
        answered, wanted = [], expected_id(line)
        pinged = False
        while not pinged or (wanted is not None and wanted not in answered):
            answer = json.loads(await self._lines.receive_until(b"\n", 1 << 26))
            answered.append(answer.get("id"))
            pinged = pinged or answer.get("id") == ping
        return None


@asynccontextmanager
async def host(template: dict[str, Any]) -> AsyncIterator[Host]:
    """The process that hosts run, initialized."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.json"
        file.write_text(json.dumps(template))
        command = [sys.executable, "-m", "utcp_ws_mcp", str(file), "--log-level", "error"]
        async with await anyio.open_process(command, stderr=None, env=dict(os.environ)) as process:
            made = Host(process)
            opened = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            assert process.stdin
            hello = {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": opened}
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await process.stdin.send(json.dumps(hello).encode() + b"\n" + json.dumps(ready).encode() + b"\n")
            yield made
            await process.stdin.aclose()


def in_file(parser: Parser) -> Callable[[bytes], Awaitable[str | None]]:
    """The trial of a file's parser."""

    async def trial(data: bytes) -> str | None:
        return try_input(parser, data) or None

    return trial


async def measure(size: Size) -> Sequence[Figure]:
    """Every input at every place."""
    logging.disable()
    inputs = malformed_inputs(size.random(), size.of(500, 20_000))
    broken: dict[str, list[str]] = {}
    async with endpoint() as made:
        for place, template in places(made).items():
            async with open_bridge(template) as bridge:
                broken[place] = await count_broken(inputs, lambda data, to=bridge: call_after(made, to, data))
        broken["discovery"] = await count_broken(inputs, lambda data: discover_after(made, data))
        async with host(places(made)["a call, replies by id"]) as opened:
            broken["stdin"] = await count_broken(inputs, opened.try_line)
    for parser in parsers():
        if parser.name in FILES:
            broken[f"{parser.name} file"] = await count_broken(inputs, in_file(parser))
    return [
        Figure(
            *("S7", f"malformed input, {place}", f"{len(wrong)} of {len(inputs)} broken{_shown(wrong)}"),
            *("0 of ≥ 500", not wrong and len(inputs) >= 500),
        )
        for place, wrong in broken.items()
    ]


def _shown(wrong: list[str]) -> str:
    return "".join(f"; {one}" for one in wrong[:3])


if __name__ == "__main__":
    run(measure)
