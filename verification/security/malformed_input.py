"""S7: malformed input at every entry point of untrusted data causes no crash, and the next input works."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
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

from .bridge_fixture import open_bridge
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
    """A WebSocket server and an HTTP server that send `malformed` first, unless it is None."""

    def __init__(self) -> None:
        self.malformed: bytes | None = None
        self.port = self.http_port = 0

    async def serve_socket(self, connection: ServerConnection) -> None:
        """Send the malformed data as a binary and a text message, then a valid greeting, manual or reply."""
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
        """Send one response: the malformed body, or a valid body with a token and a ticket."""
        async with stream:
            await stream.receive()
            body = json.dumps({"access_token": "t", "ticket": "x"}).encode()
            if self.malformed is not None:
                body, self.malformed = self.malformed, None
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            await stream.send(head.encode() + body)


@asynccontextmanager
async def endpoint() -> AsyncIterator[Endpoint]:
    """Serve both on loopback until the block ends."""
    running = Endpoint()
    async with anyio.create_task_group() as tasks, serve(running.serve_socket, "127.0.0.1", 0) as server:
        running.port = next(iter(server.sockets)).getsockname()[1]
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        running.http_port = listener.extra(SocketAttribute.local_port)
        tasks.start_soon(listener.serve, running.serve_http)
        yield running
        tasks.cancel_scope.cancel()


def places(server: Endpoint) -> dict[str, dict[str, Any]]:
    """Return a call template for each entry point of an endpoint's data."""
    base = {"name": "m", "url": f"ws://127.0.0.1:{server.port}/", "tools": [{"name": "t"}], "timeout": STEP_TIMEOUT}
    by_id = {"message": {"id": "{{ request_id }}"}, "reply": _BY_ID}
    http_url = f"http://127.0.0.1:{server.http_port}/"
    oauth = {"auth_type": "oauth2", "token_url": http_url, "client_id": "c", "client_secret": "s"}
    one_shot = {**base, **by_id, "keep_alive": False}
    return {
        "a call, replies by id": {**base, **by_id},
        # On a shared connection an unsolicited message ends the use of tools without `match`, on purpose.
        "a call, the first message": {**base, "response_format": "json", "keep_alive": False},
        "login": {**one_shot, "url": f"{base['url']}login", "on_connect": [{"expect": "message.op == 0"}]},
        "token endpoint": {**one_shot, "auth": oauth},
        "before_connect": {
            **one_shot,
            "before_connect": [{"http": {"url": http_url}, "capture": {"x": "body.ticket"}}],
        },
    }


async def call_after(server: Endpoint, bridge: Bridge, data: bytes) -> str | None:
    """Make a call that receives malformed data, and a next one; return the defect or None."""
    server.malformed = data
    try:
        await bridge.call_tool("m.t", {})
    except BridgeError as failed:
        str(failed)  # the message must be printable
    server.malformed = None
    result = await bridge.call_tool("m.t", {})
    correct = result == VALID_RESULT or (isinstance(result, dict) and result.get("result") == VALID_RESULT)
    return None if correct else f"the next call gave {result!r}"


async def discover_after(server: Endpoint, data: bytes) -> str | None:
    """Discover a manual after malformed data; return the defect or None."""
    server.malformed = data
    template = {"name": "m", "url": f"ws://127.0.0.1:{server.port}/", "preset": "utcp"}
    async with open_bridge(template) as bridge:
        await bridge.wait_discovered(STEP_TIMEOUT)
        failed = bridge.discovery_errors.get("m")
        # The discovery may fail or find no tool: the malformed data can be a manual without tools.
        return f"{failed!r}" if isinstance(failed, InternalError) else None


async def find_broken(inputs: Sequence[bytes], trial: Callable[[bytes], Awaitable[str | None]]) -> list[str]:
    """Run a trial with each input and return the defects."""
    broken = []
    for data in inputs:
        try:
            with anyio.fail_after(STEP_TIMEOUT):
                defect = await trial(data)
        except Exception as failed:  # any exception that escapes is a defect
            defect = f"{type(failed).__name__}: {failed}"
        broken += [f"{defect[:100]} on {data[:60]!r}"] if defect else []
    return broken


class Host:
    """A host that writes lines to the process of a bridge and reads the replies."""

    def __init__(self, process: anyio.abc.Process) -> None:
        assert process.stdin
        assert process.stdout
        self._stdin = process.stdin
        self._lines = BufferedByteReceiveStream(process.stdout)
        self._count = 0

    async def try_line(self, data: bytes) -> str | None:
        """Send a malformed line and a ping, and wait for the reply to the ping and, if it is a request, to the line."""
        line = data.replace(b"\n", b" ")
        self._count += 1
        ping = f"ping {self._count}"
        request = {"jsonrpc": "2.0", "id": ping, "method": "ping"}
        await self._stdin.send(line + b"\n" + json.dumps(request).encode() + b"\n")
        answered_ids, expected = [], expected_id(line)
        pinged = False
        while not pinged or (expected is not None and expected not in answered_ids):
            answer = json.loads(await self._lines.receive_until(b"\n", 1 << 26))
            answered_ids.append(answer.get("id"))
            pinged = pinged or answer.get("id") == ping
        return None


@asynccontextmanager
async def host(template: dict[str, Any]) -> AsyncIterator[Host]:
    """Run the initialized process until the block ends."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "m.json"
        file.write_text(json.dumps(template))
        command = [sys.executable, "-m", "utcp_ws_mcp", str(file), "--log-level", "error"]
        async with await anyio.open_process(command, stderr=None, env=dict(os.environ)) as process:
            running = Host(process)
            opened = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
            assert process.stdin
            hello = {"jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": opened}
            ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
            await process.stdin.send(json.dumps(hello).encode() + b"\n" + json.dumps(ready).encode() + b"\n")
            yield running
            await process.stdin.aclose()


def in_file(parser: Parser) -> Callable[[bytes], Awaitable[str | None]]:
    """Return the trial of a parser of files."""

    async def trial(data: bytes) -> str | None:
        # In a thread: the parser of pins runs an event loop of its own.
        return await asyncio.to_thread(try_input, parser, data) or None

    return trial


async def measure(size: Size) -> Sequence[Figure]:
    """Use every input at every entry point."""
    logging.disable()
    inputs = malformed_inputs(size.random(), size.of(500, 20_000))
    broken: dict[str, list[str]] = {}
    async with endpoint() as server:
        for place, template in places(server).items():
            async with open_bridge(template) as bridge:
                broken[place] = await find_broken(inputs, partial(call_after, server, bridge))
        broken["discovery"] = await find_broken(inputs, lambda data: discover_after(server, data))
        async with host(places(server)["a call, replies by id"]) as stdin_host:
            broken["stdin"] = await find_broken(inputs, stdin_host.try_line)
    for parser in parsers():
        if parser.name in FILES:
            broken[f"{parser.name} file"] = await find_broken(inputs, in_file(parser))
    return [
        Figure(
            *("S7", f"malformed input, {place}", f"{len(defects)} of {len(inputs)} broken{_examples(defects)}"),
            *("0 of ≥ 500", not defects and len(inputs) >= 500),
        )
        for place, defects in broken.items()
    ]


def _examples(defects: list[str]) -> str:
    return "".join(f"; {defect}" for defect in defects[:3])


if __name__ == "__main__":
    run(measure)
