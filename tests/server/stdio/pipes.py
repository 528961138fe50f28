"""A host whose session runs in this process: lines go through pipes, as they do between processes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from tests.peer import PATIENCE, bridge_to
from utcp_ws_mcp.server.result import DEFAULT_OPTIONS, MessageOptions
from utcp_ws_mcp.server.stdio.session import StdioSession
from utcp_ws_mcp.server.tools import ToolService

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}


class PipeHost:
    """Sends lines to a session, and receives what it writes."""

    def __init__(self, session: StdioSession, reading: int, writing: int) -> None:
        self.session = session
        self._ended = anyio.Event()
        self._reading, self._writing = reading, writing
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        self._rest = b""
        self._received: list[Any] = []

    async def run(self) -> None:
        """Serve until the session ends."""
        await self.session.run()
        self._ended.set()

    async def send(self, *messages: Any) -> None:
        """Send lines; what is not bytes is sent as JSON."""
        lines = (each if isinstance(each, bytes) else json.dumps(each).encode() for each in messages)
        rest = b"".join(line + b"\n" for line in lines)
        while rest:
            await anyio.wait_writable(self._writing)
            rest = rest[os.write(self._writing, rest) :]

    async def receive(self) -> Any:
        """Return the next line."""
        with anyio.fail_after(PATIENCE):
            while not self._received:
                await anyio.wait_readable(self._reading)
                self._add(os.read(self._reading, 1 << 20))
        return self._received.pop(0)

    async def request(self, number: Any, method: str, **params: Any) -> Any:
        """Send a request, and return the next line."""
        await self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return await self.receive()

    async def notify(self, method: str, **params: Any) -> None:
        """Send a notification."""
        await self.send({"jsonrpc": "2.0", "method": method, "params": params})

    async def initialize(self, version: str = "2025-11-25") -> Any:
        """Open a session of a handshake revision; return the result of `initialize`."""
        opened = await self.request(0, "initialize", **{**INITIALIZE, "protocolVersion": version})
        await self.notify("notifications/initialized")
        return opened["result"]

    async def end(self) -> list[Any]:
        """Close stdin, wait for the end of the session, and return what it has written meanwhile."""
        os.close(self._writing)
        self._writing = -1
        with anyio.fail_after(PATIENCE):
            await self._ended.wait()
        with suppress(BlockingIOError):
            while True:
                self._add(os.read(self._reading, 1 << 20))
        return self._received

    def close(self) -> None:
        """Close the descriptors of the host."""
        for fd in {self._reading, self._writing} - {-1}:
            os.close(fd)

    def _add(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._received += map(json.loads, lines)


@asynccontextmanager
async def pipe_host(tools: ToolService, *, fast_path: bool = True) -> AsyncIterator[PipeHost]:
    """Run a session until the block ends."""
    to_session, from_host = os.pipe()
    to_host, from_session = os.pipe()
    host = PipeHost(StdioSession(tools, to_session, from_session, fast_path=fast_path), to_host, from_host)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(host.run)
            yield host
            host.session.stop()
    finally:
        host.close()
        os.close(to_session)
        os.close(from_session)


@asynccontextmanager
async def host_in_process(
    folder: Path, document: Any, *, fast_path: bool = True, options: MessageOptions = DEFAULT_OPTIONS
) -> AsyncIterator[PipeHost]:
    """Serve a manifest to a host in this process."""
    async with bridge_to(folder, document) as bridge:
        async with pipe_host(ToolService(bridge, options), fast_path=fast_path) as host:
            yield host


@contextmanager
def standard_descriptors(stdin: int, stdout: int, stderr: int) -> Iterator[None]:
    """Let the descriptors 0, 1 and 2 be others, until the block ends."""
    kept = [os.dup(number) for number in range(3)]
    for number, descriptor in enumerate((stdin, stdout, stderr)):
        os.dup2(descriptor, number)
    try:
        yield
    finally:
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


@contextmanager
def kept_signal_handlers() -> Iterator[None]:
    """Restore the handlers of the signals that end the server."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    kept = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, kept, strict=True):
            signal.signal(number, handler)


class StandardPipes:
    """A host's ends of stdin, stdout and stderr."""

    def __init__(self) -> None:
        self.stdin, self.to_stdin = os.pipe()
        self.from_stdout, self.stdout = os.pipe()
        self.from_stderr, self.stderr = os.pipe()

    def close(self, *kept: int) -> None:
        for fd in {self.stdin, self.to_stdin, self.from_stdout, self.stdout, self.from_stderr, self.stderr} - {*kept}:
            os.close(fd)
