"""A bridge that serves HTTP in its own process, its endpoint, and a client that sends raw requests."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from websockets.asyncio.server import ServerConnection, serve

TOKEN: Final = "a-token-of-the-measuring-commands"
MODERN: Final = "2026-07-28"
HANDSHAKE: Final = "2025-11-25"
META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientInfo": {"name": "figures", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(slots=True)
class Service:
    """A running server: its address, its process, the calls that reached the endpoint, and what it has logged."""

    host: str
    port: int
    process: asyncio.subprocess.Process
    received_calls: list[Any] = field(default_factory=list)
    log: bytearray = field(default_factory=bytearray)

    def memory(self) -> int:
        """Return the resident memory in bytes."""
        status = Path(f"/proc/{self.process.pid}/statm").read_text(encoding="ascii")
        return int(status.split()[1]) * os.sysconf("SC_PAGE_SIZE")


@asynccontextmanager
async def service(address: str, *options: str, token: str | None = TOKEN) -> AsyncIterator[Service]:
    """Serve the tool `m_t`, which returns its arguments, at an address until the block ends."""
    received_calls: list[Any] = []

    async def answer(connection: ServerConnection) -> None:
        async for raw in connection:
            message = json.loads(raw)
            received_calls.append(message["params"])
            await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message["params"]}))

    async with serve(answer, "127.0.0.1", 0) as endpoint:
        port = next(iter(endpoint.sockets)).getsockname()[1]
        tool = {"name": "t", "inputs": {"properties": {}}}
        document = {"name": "m", "url": f"ws://127.0.0.1:{port}/", "preset": "jsonrpc2", "tools": [tool]}
        async with service_of(document, address, *options, token=token) as served:
            served.received_calls = received_calls
            yield served


@asynccontextmanager
async def service_of(document: Any, address: str, *options: str, token: str | None = TOKEN) -> AsyncIterator[Service]:
    """Serve a manifest at an address until the block ends."""
    with TemporaryDirectory() as folder:
        manifest = Path(folder) / "manifest.json"
        manifest.write_text(json.dumps(document))
        process = await _start(str(manifest), "--http", address, *options, token=token)
        reading: asyncio.Task[None] | None = None
        try:
            host, port = await _address(process)
            served = Service(host, port, process)
            reading = asyncio.create_task(_read_log(process, served.log))
            yield served
        finally:
            process.terminate()
            await process.wait()
            if reading is not None:
                await reading


async def _read_log(process: asyncio.subprocess.Process, log: bytearray) -> None:
    assert process.stderr is not None
    while chunk := await process.stderr.read(1 << 16):
        log += chunk


async def _start(*arguments: str, token: str | None) -> asyncio.subprocess.Process:
    environ = {**os.environ, **({} if token is None else {"UTCP_WS_MCP_TOKEN": token})}
    command = (sys.executable, "-m", "utcp_ws_mcp", "serve", *arguments)
    return await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE, env=environ)


async def _address(process: asyncio.subprocess.Process) -> tuple[str, int]:
    assert process.stderr is not None
    line = (await process.stderr.readline()).decode()
    host, _, port = line.rpartition("/")[0].rpartition("//")[2].rpartition(":")
    return host.strip("[]").replace("0.0.0.0", "127.0.0.1"), int(port)


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The response to a request; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def message(self) -> Any:
        """Return the JSON-RPC message in the body: plain JSON, or the last event of a stream."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            lines = [line for line in self.body.decode().splitlines() if line.startswith("data: {")]
            return json.loads(lines[-1].removeprefix("data: "))
        return json.loads(self.body)


class RawClient:
    """An HTTP/1.1 connection that sends headers unchanged; it is opened again after the server closed it."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, target: str, headers: list[tuple[str, str]], body: bytes = b""
    ) -> HttpResponse:
        """Send a request and return its response; only the header Content-Length is added."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._service.host, self._service.port)
        reader, writer = self._streams
        lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
        head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""])
        writer.write(head.encode("latin-1") + body)
        answer = await _read_answer(reader)
        if answer.headers.get("connection") == "close":
            await self.aclose()
        return answer

    async def aclose(self) -> None:
        """Close the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


async def _read_answer(reader: asyncio.StreamReader) -> HttpResponse:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
    fields = (line.partition(":") for line in head[1:] if line)
    headers = {name.lower(): value.strip() for name, _, value in fields}
    if headers.get("transfer-encoding") == "chunked":
        return HttpResponse(int(head[0].split()[1]), headers, await _read_chunks(reader))
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return HttpResponse(int(head[0].split()[1]), headers, body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    await reader.readline()
    return bytes(body)


def call_body(number: int, arguments: Mapping[str, Any], *, modern: bool) -> bytes:
    """Return the body of a call of the tool."""
    params = {"name": "m_t", "arguments": arguments, **({"_meta": META} if modern else {})}
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}).encode()


def initialize_body() -> bytes:
    """Return the body of an `initialize` request."""
    info = {"name": "figures", "version": "1"}
    params = {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": info}
    return json.dumps({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}).encode()


def mcp_headers(service: Service, *, modern: bool) -> list[tuple[str, str]]:
    """Return the headers of an authorized request."""
    return [
        ("Host", f"{'[::1]' if ':' in service.host else service.host}:{service.port}"),
        ("Authorization", f"Bearer {TOKEN}"),
        ("Content-Type", "application/json"),
        ("Accept", "application/json, text/event-stream"),
        ("MCP-Protocol-Version", MODERN if modern else HANDSHAKE),
        *([("Mcp-Method", "tools/call"), ("Mcp-Name", "m_t")] if modern else []),
    ]
