"""Run the examples of the documentation: a scripted endpoint on loopback, and a bridge that calls it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from unittest import mock

import anyio
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from utcp_ws_mcp import Bridge, BridgeError, StreamResult
from utcp_ws_mcp.cli.tools import format_signature
from utcp_ws_mcp.core.exchange.connection_state import ConnectionState
from utcp_ws_mcp.core.exchange.result import as_text
from utcp_ws_mcp.core.expressions.scope import Ambient
from utcp_ws_mcp.observability import events

from .examples import ROOT, VARIABLES, Block, Example, Line, Scene, decode, write_manifest

NOW = datetime(2026, 11, 20, 8, 12, 0, 123000, UTC)
RANDOM = bytes.fromhex("5f0c3d0e9a414b6f8e2d7c1b0a99f312")
"""Time and randomness of the examples: a UUID is always 5f0c3d0e-9a41-4b6f-8e2d-7c1b0a99f312."""

HEARTBEAT = 0.1
"""Seconds between two heartbeats in the examples, whatever their manifests say, so that the tests are fast."""

_ORIGIN = re.compile(r"\b(ws|http)s?://[A-Za-z0-9.-]+(:\d+)?")


@dataclass
class Endpoint:
    """An endpoint that replies to the messages of its script. `http` is its HTTP response."""

    lines: list[Line]
    beat: Any = None
    http: tuple[int, Block] | None = None
    received: list[Any] = field(default_factory=list)
    beats: int = 0
    requests: list[str] = field(default_factory=list)
    upgrades: list[Any] = field(default_factory=list)
    connections: list[ServerConnection] = field(default_factory=list)
    opened: anyio.Event = field(default_factory=anyio.Event)
    received_all: anyio.Event = field(default_factory=anyio.Event)
    reopened: anyio.Event = field(default_factory=anyio.Event)
    gone: anyio.Event = field(default_factory=anyio.Event)
    port: int = 0
    http_port: int = 0

    @asynccontextmanager
    async def run(self) -> AsyncIterator[Endpoint]:
        async with AsyncExitStack() as servers:
            server = await servers.enter_async_context(
                serve(self._serve, "127.0.0.1", 0, select_subprotocol=_first, ping_interval=None)
            )
            self.port = next(iter(server.sockets)).getsockname()[1]
            if self.http is not None:
                web = await servers.enter_async_context(await asyncio.start_server(self._answer, "127.0.0.1", 0))
                self.http_port = web.sockets[0].getsockname()[1]
            yield self

    def here(self, text: str) -> str:
        """Return the text with URLs that lead to this endpoint."""
        ports = {"ws": self.port, "http": self.http_port}
        return _ORIGIN.sub(lambda found: f"{found[1]}://127.0.0.1:{ports[found[1]]}", text)

    def observe(self, event: events.Event) -> None:
        if isinstance(event, events.ConnectionOpened):
            self.opened.set()

    async def _serve(self, websocket: ServerConnection) -> None:
        self.upgrades.append(websocket.request)
        self.connections.append(websocket)
        if len(self.connections) > 1:
            self.reopened.set()
        with suppress(ConnectionClosed):
            await self._talk(websocket)
        self.gone.set()

    async def _talk(self, websocket: ServerConnection) -> None:
        if self.lines and self.lines[0].sent is None:
            await self.reply(self.lines[0], websocket)
        held: list[Line] = []
        async for raw in websocket:
            message = decode(raw)
            if self.beat is not None and message == self.beat:
                self.beats += 1
            else:
                self.received.append(message)
            if len(self.received) >= sum(line.sent is not None for line in self.lines):
                self.received_all.set()
            held += [line for line in self.lines if line.sent and decode(line.sent.message) == message]
            ready = [
                line for line in held if self.beat is None or self.beats or (line.sent and line.sent.kind) != "call"
            ]
            held = [line for line in held if line not in ready]
            for line in ready:
                await self.reply(line, websocket)

    async def reply(self, line: Line, websocket: ServerConnection) -> None:
        for reply in line.replies:
            await websocket.send(reply)
        if line.closes is not None:
            await websocket.close(*line.closes)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one HTTP request, and record it as the documentation shows it."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n").replace("\r\n", "\n")
        length = re.search(r"^content-length: (\d+)$", head, re.IGNORECASE | re.MULTILINE)
        body = await reader.readexactly(int(length[1])) if length else b""
        self.requests.append(head.replace(" HTTP/1.1", "", 1) + (f"\n\n{body.decode()}" if body else ""))
        assert self.http is not None
        status, block = self.http
        head, _, text = block.text.partition("\n\n") if block.language == "http" else ("", "", self.here(block.text))
        fixed = [f"HTTP/1.1 {status} X", "Connection: close", f"Content-Length: {len(text.encode())}"]
        writer.write("\r\n".join([*fixed, *head.splitlines(), "", text]).encode())
        await writer.drain()
        writer.close()


def _first(_: ServerConnection, offered: Sequence[Subprotocol]) -> Subprotocol | None:
    return offered[0] if offered else None


@asynccontextmanager
async def open_example(example: Example, folder: Path, endpoint: Endpoint) -> AsyncIterator[Bridge]:
    """Open a bridge for the manifest of an example, with URLs that lead to the endpoint."""
    file = write_manifest(endpoint.here(example.manifest.text), folder)
    bridge = Bridge.open(file, environ=VARIABLES, observe=endpoint.observe)
    bridge._ambient = Ambient(lambda: NOW, lambda count: RANDOM[:count])
    interval = ConnectionState.heartbeat_interval
    hurried = mock.patch.object(ConnectionState, "heartbeat_interval", lambda state: interval(state) and HEARTBEAT)
    with anyio.fail_after(10), hurried:
        async with bridge:
            await bridge.wait_discovered(5)
            yield bridge


async def list_tools(example: Example, folder: Path) -> str:
    """Return the tools of an example, as the command line lists them."""
    async with Endpoint(example.lines).run() as endpoint, open_example(example, folder, endpoint) as bridge:
        return "".join(f"{plan.full_name}({format_signature(plan.inputs)})\n" for plan in bridge.tools.values())


async def play(example: Example, scene: Scene, folder: Path) -> tuple[Endpoint, Any]:
    """Make the call of a scene; return the endpoint, and the result of the call or the message of its error."""
    before = example.before(scene)
    later = [] if scene.call.kind == "refused" else [line for line in scene.lines if line.sent]
    http = (before.status(), before.blocks["answers"]) if "answers" in before.blocks else None
    beat = example.blocks["beat"].message if "beat" in example.blocks else None
    async with Endpoint([*before.lines, *later], beat, http).run() as endpoint:
        async with open_example(example, folder, endpoint) as bridge:
            outcome = await _outcome(bridge, scene, endpoint)
            if "reconnects" in scene.blocks:
                await endpoint.reopened.wait()
        if endpoint.upgrades:
            with anyio.fail_after(5):
                await endpoint.gone.wait()
    return endpoint, _renamed(outcome, example, endpoint)


async def _outcome(bridge: Bridge, scene: Scene, endpoint: Endpoint) -> Any:
    """Return the result or the error of the call. If the page shows no end, the call is cancelled after it was sent."""
    outcome: Any = None
    async with anyio.create_task_group() as tasks:

        async def call() -> None:
            nonlocal outcome
            try:
                value = await bridge.call_tool(scene.tool, scene.arguments)
            except BridgeError as failed:
                value = str(failed)
            outcome = _in_json(value.value) if isinstance(value, StreamResult) else value
            endpoint.received_all.set()

        tasks.start_soon(call)
        if scene.call.kind == "watch":
            await endpoint.opened.wait()
            await anyio.wait_all_tasks_blocked()
            await endpoint.reply(scene.lines[0], endpoint.connections[-1])
        elif scene.waits:
            await endpoint.received_all.wait()
            tasks.cancel_scope.cancel()
    return outcome


def _in_json(result: dict[str, Any]) -> dict[str, Any]:
    """Return the result of a stream as its JSON shows it: binary data has a block of its own beside it."""
    return {key: as_text(item) if isinstance(item, bytes) else item for key, item in result.items()}


def _renamed(outcome: Any, example: Example, endpoint: Endpoint) -> Any:
    """Return a message with the origins of the example instead of those of the endpoint."""
    if isinstance(outcome, str):
        for found in _ORIGIN.finditer(example.manifest.text):
            outcome = outcome.replace(endpoint.here(found[0]), found[0])
    return outcome


async def trace_call(example: Example, scene: Scene, folder: Path) -> str:
    """Return the output of `call --trace` for the call of a scene."""
    arguments = [f"{name}:={json.dumps(value)}" for name, value in scene.arguments.items()]
    lines = [*example.before(scene).lines, *(line for line in scene.lines if line.sent)]
    return await run_beside_endpoint(
        example, lines, ["call", "manifest.json", scene.tool, *arguments, "--trace"], folder
    )


async def check_manifest(example: Example, folder: Path) -> str:
    """Return the output of `check` for the manifest of an example, with the options of its block."""
    options = example.blocks["check"].mark.partition(":")[2].split()
    return await run_beside_endpoint(example, example.lines, ["check", *options, "manifest.json"], folder)


async def run_beside_endpoint(example: Example, lines: Sequence[Line], command: Sequence[str], folder: Path) -> str:
    """Run a command of the program while an endpoint replies, and return what a terminal shows."""
    async with Endpoint(list(lines)).run() as endpoint:
        write_manifest(endpoint.here(example.manifest.text), folder)
        output = await run_python(["-m", "utcp_ws_mcp", *command], folder, VARIABLES)
    return str(_renamed(output, example, endpoint))


async def run_python(
    arguments: Sequence[str], folder: Path, variables: Mapping[str, str] = {}, *, stderr: int = subprocess.STDOUT
) -> str:
    """Run Python and return its output, with stderr unless that goes elsewhere."""
    environ = {**os.environ, **variables, "PYTHONPATH": str(ROOT / "src"), "PYTHONIOENCODING": "utf-8"}
    with anyio.fail_after(60):
        done = await anyio.run_process(
            [sys.executable, *arguments], cwd=folder, env=environ, check=False, stderr=stderr
        )
    return done.stdout.decode()


def steady(text: str) -> str:
    """Return the text without the parts that differ from run to run: ports and times."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:PORT", text)
    text = re.sub(r"^ *\d+\.\d{3} ", "TIME ", text, flags=re.MULTILINE)
    return re.sub(r"\d+(\.\d)? (ms|s)\b", r"TIME \2", text)
