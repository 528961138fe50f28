"""S20: peers without a token that hold connections open keep no clients out and fill no disk.

The real HTTP server has few file descriptors. Attackers open more connections than it has: some send nothing, some half
a head, some half a body; all of them keep their connections. Pass criteria: every authorized request
meanwhile is answered; the processor time of the server while it waits, as a share of the time; the bytes of its log;
and after the deadline of a request (10 s) all of these connections are closed.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from verification.harness.clock import cpu_seconds
from verification.harness.command import Size, run
from verification.harness.figure import Figure

from .endpoint import endpoint
from .http_service import TOKEN, RawClient, Service, call_body, mcp_headers

DESCRIPTORS: Final = 200
MAX_LOG: Final = 8_000
"""Bytes of the log: a line for each kind of overload, and those of the start."""

MAX_CPU: Final = 0.2
"""Processor time of the server while the connections are held, as a share of the time."""

HOLD_SECONDS: Final = 14.0
"""Longer than the deadline of a request."""

PROGRAM: Final = f"""
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({DESCRIPTORS}, {DESCRIPTORS}))
from utcp_ws_mcp.__main__ import run
run()
"""
HEADER: Final = b"POST /mcp HTTP/1.1\r\nHost: HOST\r\nContent-Type: application/json\r\n"
BEGINNINGS: Final = (
    b"",
    b"POST /mc",
    HEADER,
    HEADER + b"Content-Length: 100\r\n\r\n{",
)


async def answer(connection: Any, message: Any) -> None:
    """Answer as JSON-RPC."""
    await connection.send(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": "here"}))


async def measure(size: Size) -> Sequence[Figure]:
    """Attack one server."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        async with endpoint(answer) as served:
            tools = [{"name": "t", "inputs": {"properties": {}}}]
            manifest = {"name": "m", "url": served.url, "preset": "jsonrpc2", "tools": tools}
            (folder / "manifest.json").write_text(json.dumps(manifest))
            log = folder / "log"
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, "serve", str(folder / "manifest.json"), "--http", "127.0.0.1:0"),
                stdin=DEVNULL, stderr=log.open("wb"), env={**os.environ, "UTCP_WS_MCP_TOKEN": TOKEN},
            )  # fmt: skip
            try:
                service = Service("127.0.0.1", await _port(log), process)
                return await attack(service, log, size.of(2, 20) * DESCRIPTORS)
            finally:
                process.terminate()
                await process.wait()


async def _port(log: Path) -> int:
    """Return the port that the server writes into its log."""
    text = ""
    for _ in range(1000):
        await asyncio.sleep(0.05)
        if "http://" in (text := log.read_text()):
            break
    return int(text.partition("http://127.0.0.1:")[2].partition("/")[0])


async def attack(service: Service, log: Path, count: int) -> list[Figure]:
    """Hold connections and call meanwhile."""
    assert await _works(service)
    held = []
    for number in range(count):
        reader, writer = await asyncio.open_connection(service.host, service.port)
        writer.write(BEGINNINGS[number % len(BEGINNINGS)].replace(b"HOST", f"{service.host}:{service.port}".encode()))
        held.append((reader, writer))
    calls = [await _works(service) for _ in range(20)]
    cpu = cpu_seconds(service.process.pid)
    await asyncio.sleep(HOLD_SECONDS)
    share = (cpu_seconds(service.process.pid) - cpu) / HOLD_SECONDS
    calls += [await _works(service) for _ in range(20)]
    open_now = sum([not await _is_closed(reader) for reader, _ in held])
    for _, writer in held:
        writer.close()
    written = log.stat().st_size
    failed = len(calls) - sum(calls)
    what = f"{count} connections that are held, {DESCRIPTORS} descriptors"
    return [
        Figure("S20", f"{what}: authorized requests that failed", f"{failed} of {len(calls)}", "0", not failed),
        Figure("S20", "processor time meanwhile", f"{share:.1%}", f"{MAX_CPU:.0%}", share <= MAX_CPU),
        Figure("S20", "bytes of the log", f"{written:,}", f"{MAX_LOG:,}", written <= MAX_LOG),
        Figure("S20", "connections open after the deadline", str(open_now), "0", not open_now),
    ]


async def _is_closed(reader: asyncio.StreamReader) -> bool:
    try:
        async with asyncio.timeout(0.5):
            await reader.read()
    except TimeoutError:
        return False
    except ConnectionError:
        return True
    return True


async def _works(service: Service) -> bool:
    """Return whether an authorized call on a new connection is answered."""
    try:
        async with asyncio.timeout(20):
            client = RawClient(service)
            headers = mcp_headers(service, modern=True)
            response = await client.request("POST", "/mcp", headers, call_body(1, {}, modern=True))
            await client.aclose()
            return response.status == HTTPStatus.OK
    except (OSError, EOFError, TimeoutError):
        return False


if __name__ == "__main__":
    run(measure)
