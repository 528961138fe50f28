"""A host that costs next to nothing: it speaks MCP line by line with a server process."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}}


class Driver:
    """One server process. `started` is the seconds from its start until `initialize` was answered."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._ids = 0
        self.started = 0.0
        self.listed = 0.0

    async def __aenter__(self) -> Self:
        begin = time.perf_counter()
        pipe, quiet = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=quiet, limit=1 << 26
        )
        assert self._process.stdin
        assert self._process.stdout
        self._stdin, self._stdout = self._process.stdin, self._process.stdout
        await self.request("initialize", INITIALIZE)
        self.started = time.perf_counter() - begin
        self._write({"jsonrpc": "2.0", "method": "notifications/initialized"})
        await self.request("tools/list", {})
        self.listed = time.perf_counter() - begin
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def request(self, method: str, params: dict[str, Any]) -> Any:
        """One request and its result, or an exception."""
        number = self._send(method, params)
        while True:
            reply = json.loads(await self._stdout.readline())
            if reply.get("id") == number:
                return reply["result"]

    async def call(self, arguments: dict[str, Any]) -> Any:
        """Call the tool that every bridge offers."""
        return await self.request("tools/call", {"name": "m_t", "arguments": arguments})

    async def latencies(self, count: int) -> list[float]:
        """Seconds of each of so many calls, one at a time."""
        seconds = []
        for number in range(count):
            begin = time.perf_counter()
            await self.call({"n": number})
            seconds.append(time.perf_counter() - begin)
        return seconds

    async def throughput(self, count: int, in_flight: int = 64) -> tuple[float, int]:
        """Calls a second with so many in flight, and how many of them failed."""
        begin = time.perf_counter()
        sent = failed = 0
        while sent < min(in_flight, count):
            self._send("tools/call", {"name": "m_t", "arguments": {"n": sent}})
            sent += 1
        for _ in range(count):
            reply = json.loads(await self._stdout.readline())
            failed += bool(reply["result"].get("isError"))
            if sent < count:
                self._send("tools/call", {"name": "m_t", "arguments": {"n": sent}})
                sent += 1
        return count / (time.perf_counter() - begin), failed

    def _send(self, method: str, params: dict[str, Any]) -> int:
        self._ids += 1
        self._write({"jsonrpc": "2.0", "id": self._ids, "method": method, "params": params})
        return self._ids

    def _write(self, message: dict[str, Any]) -> None:
        self._stdin.write(json.dumps(message).encode() + b"\n")
